"""Puts marks into checked policies: before each expression as it is written, and behind each body. Results are the same.

What a mark is, and what is learnt from it, is for `coverage.py` and `events.py` to say.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, Path


class Instrument:
    """One use for one policy, and the query that is asked of it. Marks are expressions that always hold."""

    def policy(self, checked: Checked) -> Checked:
        """The same policy with marks."""
        rules = {
            path: replace(
                group,
                rules=tuple(self._rule(rule, path) for rule in group.rules),
                default=None if group.default is None else self._rule(group.default, path),
            )
            for path, group in checked.rules.items()
        }
        return replace(checked, rules=rules)

    def before(self, expr: ast.Expr) -> ast.Expr:
        """The mark before an expression."""
        raise NotImplementedError

    def behind(self, rule: ast.Rule) -> tuple[ast.Expr, ...]:
        """The marks where a rule has a value."""
        raise NotImplementedError

    def open_rule(self, rule: ast.Rule, path: Path) -> ast.Rule:
        """Before the marks of a rule are made: the rule to mark."""
        return rule

    def open_body(self, body: ast.Body) -> None:
        """Before the marks of a body in another one are made."""

    def close_body(self) -> tuple[ast.Expr, ...]:
        """The marks behind such a body."""
        return ()

    def body(self, body: ast.Body) -> ast.Body:
        """A body with a mark before each expression."""
        marked: list[ast.Expr] = []
        for expr in body:
            if expr.loc.row and not expr.generated:
                marked.append(self.before(expr))
            marked.append(self._inside(expr))
        return tuple(marked)

    def _rule(self, rule: ast.Rule, path: Path) -> ast.Rule:
        rule = self.open_rule(rule, path)
        body = (*self.body(rule.body), *self.behind(rule))
        head = self._inside(rule.head)
        else_ = None if rule.else_ is None else self._rule(rule.else_, path)
        return replace(rule, head=head, body=body, else_=else_)

    def _inside(self, node: Any) -> Any:
        """The node with the bodies inside of it marked."""
        if isinstance(node, tuple):
            if node and isinstance(node[0], ast.Expr):
                self.open_body(node)
                body = self.body(node)
                return (*body, *self.close_body())
            return tuple(self._inside(item) for item in node)
        if not is_dataclass(node) or isinstance(node, (ast.Location, type)):
            return node
        changed = {
            f.name: new
            for f in fields(node)
            if (new := self._inside(old := getattr(node, f.name))) is not old and new != old
        }
        return replace(node, **changed) if changed else node


def rule_place(rule: ast.Rule) -> ast.Location:
    """Where a rule's head stands."""
    return rule.head.loc if rule.head.loc.row else rule.loc

"""Rules as text."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from cupcake.engine.format.bodies import BodyWriter
from cupcake.engine.format.lines import Lines, Misplaced
from cupcake.engine.format.places import Places
from cupcake.engine.format.plain import plain
from cupcake.engine.format.style import Style
from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import KEYWORDS_V0, KEYWORDS_V1

_TRUE: Final = ast.Boolean(True)


class RuleWriter(BodyWriter):
    """Writes rules; `general`: some rule of the module has a name that Rego could not always spell (`a.b.c`), so that
    names are not written in its old way (`a["b"]`)."""

    def __init__(self, lines: Lines, places: Places, style: Style, *, general: bool) -> None:
        super().__init__(lines, places)
        self.style = style
        self._general = general
        self.keywords = KEYWORDS_V0 if style.target == "v0" else KEYWORDS_V1

    def rule(self, rule: ast.Rule, *, lay_out: bool = True) -> None:
        """The lines of a rule, as they were written if a comment in them has no other place, or not to be laid out."""
        lines = self.lines
        mark = lines.mark()
        try:
            if lay_out:
                self._rule(rule)
                lines.end()
        except Misplaced:
            lines.back_to(mark)
            lay_out = False
        if not lay_out:
            self.as_written(rule.loc)
            lines.end()

    def _rule(self, rule: ast.Rule) -> None:
        if rule.default:
            self.lines.put("default ")
        self.flat = self._repeats_head(rule)
        self._head(rule)
        self.flat = False
        branch = rule
        while _says_more(branch):
            end_row = self._closing_row(branch, is_else=branch is not rule)
            inline = self._body(branch, end_row, is_else=branch is not rule)
            if branch.else_ is None:
                return
            self._to_else(branch, branch.else_, end_row, inline=inline)
            branch = branch.else_
            if branch.head.value not in (None, _TRUE) or not _says_more(branch):
                self._else_value(branch, rule.head.assign)

    # Heads

    def _head(self, rule: ast.Rule) -> None:
        lines = self.lines
        head = rule.head
        self._name(head.ref)
        if head.args is not None:
            loc = self.places.parentheses_after(head.ref.loc)
            self.or_as_written(partial(self.parameters, head.args, loc), loc)
        if head.key is not None:
            lines.put(" contains " if self.style.uses_contains else "[")
            self.whole(head.key)
            lines.put("" if self.style.uses_contains else "]")
            return
        if head.value in (None, _TRUE) and _says_more(rule) and not self._maps(head):
            return
        if head.value is not None or rule.body:
            self._value(head, assign=head.assign)

    def _value(self, head: ast.Head, *, assign: bool) -> None:
        self.lines.put(" := " if self.style.assigns or assign else " = ")
        self.whole(head.value or _TRUE)

    def _name(self, ref: ast.Ref) -> None:
        self.term(ref.terms[0])
        if self._general:
            self.steps(ref.terms[1:])
        else:
            self.lines.put("".join(f"[{plain(part)}]" for part in ref.terms[1:]))

    def _maps(self, head: ast.Head) -> bool:
        """Whether the value has to be written although it is `true`: the rule makes an object with a key that only an
        evaluation knows, or it has no `if` and would make a set without the value."""
        if head.value is None or head.args is not None or len(head.ref.terms) != 2:
            return False
        last = head.ref.terms[-1]
        return not self._has_if(head) or isinstance(last, ast.Ref) or not _is_ground(last)

    # Bodies

    def _body(self, rule: ast.Rule, end_row: int, *, is_else: bool) -> bool:
        """Writes the body; whether it stands on the line of the head."""
        lines = self.lines
        body = rule.body
        if self.uses_if(rule):
            lines.put(" if")
            if len(body) == 1 and self._fits_head(rule, is_else=is_else):
                lines.put(" ")
                self.expr(body[0])
                return True
        lines.put(" {")
        lines.end()
        lines.level += 1
        self.body(body, end_row, after_if=self.style.uses_if and not is_else)
        lines.row = end_row
        lines.level -= 1
        lines.put("}")
        return False

    def uses_if(self, rule: ast.Rule) -> bool:
        """Whether the body comes after `if`; without `contains` a set is told from an object by the missing word."""
        return self.style.uses_if and (rule.head.key is None or self.style.uses_contains)

    def _fits_head(self, rule: ast.Rule, *, is_else: bool) -> bool:
        """Whether the statement of a body stays on the line of its head."""
        row = rule.body[0].loc.row
        if self._repeats_head(rule):
            return row == self.places.last_row(rule.loc)
        if not is_else:
            return row == self.places.last_row(rule.head.loc)
        before = self.places.word(self.places.token_before(rule.body[0].loc.offset))
        return row == rule.loc.row or (rule.head.value is None and before == "if")

    def _closing_row(self, rule: ast.Rule, *, is_else: bool) -> int:
        """Where OPA takes the body to be closed."""
        head = rule.head
        if is_else:
            return self.places.closing_row(rule.loc, "{}")
        keyed = head.key is not None or (len(head.ref.terms) == 2 and not self._has_if(head))
        skipped = "()" if head.args else "[]" if keyed else ""
        return self.places.closing_row(rule.loc, "{}", skipped)

    def _has_if(self, head: ast.Head) -> bool:
        return self.places.word(self.places.token_before(head.loc.end) + 1) == "if"

    def _to_else(self, rule: ast.Rule, branch: ast.Rule, end_row: int, *, inline: bool) -> None:
        """Goes from a body to the `else` after it; `end_row`: where the body is taken to end."""
        lines = self.lines
        row = branch.loc.row
        follows = self.places.token_row(self.places.token_before(branch.loc.offset)) == row
        if not follows or row == rule.loc.row or 0 < lines.next_row() <= end_row:
            lines.end()
            lines.blank()
            lines.begin(row)
            lines.put("else")
            return
        if inline:
            lines.end()
        lines.put(" else")
        lines.row = row

    def _else_value(self, branch: ast.Rule, assign: bool) -> None:
        """The value after `else`, laid out as if it began on the row of the word. `assign`: the rule is written with `:=`."""
        head = branch.head
        value = head.value
        if value is not None:
            assign = head.assign
            head = replace(head, value=replace(value, loc=replace(value.loc, row=branch.loc.row)))
        self._value(head, assign=assign)

    def _repeats_head(self, rule: ast.Rule) -> bool:
        """Whether the rule is but a body after that of another rule, whose head it shares."""
        return rule.loc.offset > rule.head.loc.offset and not rule.default


def _says_more(rule: ast.Rule) -> bool:
    """Whether there is a body that has to be written: one that is but `true` says nothing at the end of a rule."""
    return bool(rule.body) and (rule.else_ is not None or rule.body != (ast.Expr(_TRUE),))


def _is_ground(term: ast.Term) -> bool:
    match term:
        case ast.Var():
            return False
        case ast.Ref(terms=terms):
            return all(map(_is_ground, terms[1:]))
        case ast.Array(items=items) | ast.Set(items=items) | ast.Call(args=items):
            return all(map(_is_ground, items))
        case ast.Object(pairs=pairs):
            return all(_is_ground(part) for pair in pairs for part in pair)
        case ast.ArrayComprehension() | ast.SetComprehension() | ast.ObjectComprehension():
            return False
        case _:
            return True

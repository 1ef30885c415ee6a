"""Modules as text: the package, imports in groups, rules and the blank lines between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

from cupcake.engine.format.imports import ImportLine, grouped, import_lines
from cupcake.engine.format.lines import Lines
from cupcake.engine.format.places import Places
from cupcake.engine.format.rules import RuleWriter
from cupcake.engine.format.style import Style
from cupcake.engine.rego import ast


class ModuleWriter(RuleWriter):
    """Writes one module; `as_they_are`: the numbers of rules that are not laid out."""

    def __init__(
        self,
        lines: Lines,
        places: Places,
        style: Style,
        module: ast.Module,
        as_they_are: Collection[int] = (),
    ) -> None:
        general = any(_is_general(rule.head) for rule in module.rules)
        super().__init__(lines, places, style, general=general)
        self._module = module
        self._as_they_are = {id(module.rules[number]) for number in as_they_are}

    def module(self) -> None:
        """All of it."""
        lines = self.lines
        module = self._module
        self._package(module.package)
        first, others = import_lines(module, self.style)
        items: list[ImportLine | ast.Rule] = [*others, *module.rules]
        items.sort(key=_row)
        for are_rules, part in groupby([*first, *items], lambda item: isinstance(item, ast.Rule)):
            found = list(part)
            lines.blank()
            if are_rules:
                self._rules([item for item in found if isinstance(item, ast.Rule)])
            else:
                self._imports([item for item in found if isinstance(item, ImportLine)])
        lines.blank()
        lines.comments_to_the_end()

    def _package(self, package: ast.Ref) -> None:
        row = self.places.token_row(0)
        self.lines.begin(row)
        _, name, *rest = package.terms
        self.lines.put("package ")
        self.lines.put(name.value if isinstance(name, ast.String) else "")
        self.steps(rest)
        self.lines.end()

    def _imports(self, imports: Sequence[ImportLine]) -> None:
        lines = self.lines
        for group in grouped(imports):
            lines.blank()
            lines.begin(min(line.row for line in group))
            rows = {line.row for line in group}
            trailing = {found.row: found.text for found in lines.take_comments(max(rows))}
            for line in group:
                lines.put("import ")
                self.term(line.path.terms[0])
                self.steps(line.path.terms[1:])
                if line.alias is not None:
                    lines.put(f" as {line.alias}")
                if line.row in trailing:
                    lines.put(f" {trailing.pop(line.row)}")
                lines.end()

    def _rules(self, rules: Sequence[ast.Rule]) -> None:
        previous: ast.Rule | None = None
        for rule in rules:
            if previous is not None and self._stand_apart(previous, rule):
                self.lines.blank()
            self.lines.begin(rule.loc.row)
            self.rule(rule, lay_out=id(rule) not in self._as_they_are)
            previous = rule

    def _stand_apart(self, previous: ast.Rule, rule: ast.Rule) -> bool:
        """Whether a blank line belongs between two rules: only short ones on rows next to each other have none."""
        if not self.style.uses_if or rule.loc.row - previous.loc.row != 1:
            return True
        return any(
            one.default or one.else_ or len(one.body) > 1 or not self.uses_if(one)
            for one in (previous, rule)
        )


def _row(item: ImportLine | ast.Rule) -> int:
    return item.row if isinstance(item, ImportLine) else item.loc.row


def _is_general(head: ast.Head) -> bool:
    return len(head.ref.terms) > 2 or (head.key is not None and len(head.ref.terms) > 1)

"""Locals of one rule: fresh names, declarations, and what an occurrence of a name means.

The scoping half of `rewrite.py`: it knows levels and names, and nothing of statements or calls.
"""

from __future__ import annotations

from cupcake.engine.rego import ast
from cupcake.engine.rego.resolve import ROOTS, ModuleNames, Problems, Scope

COMPILE_ERROR = "rego_compile_error"

REDECLARED = {
    "seen": "var {} referenced above",
    "assigned": "var {} assigned above",
    "declared": "var {} declared above",
    "arg": "arg {} redeclared",
    "looked up": "var {} assigned before",
}


class Locals:
    """The names of one rule or query; `written` maps locals to the names that were written."""

    def __init__(self, names: ModuleNames, problems: Problems, *, v1: bool) -> None:
        self.names = names
        self.problems = problems
        self.v1 = v1
        self.written: dict[str, str] = {}
        # Written names that occur, locals that are read, and what `:=` introduced: for unused checks.
        self.occurred: set[str] = set()
        self.read: set[str] = set()
        self.assigned: list[tuple[str, ast.Var]] = []

    def fresh(self, written: str, loc: ast.Location) -> ast.Var:
        name = f"__local{len(self.written)}__"
        self.written[name] = written
        return ast.Var(name, loc)

    def generated(self, loc: ast.Location) -> ast.Var:
        return self.fresh("", loc)

    def declare(self, var: ast.Var, scope: Scope, how: str, loc: ast.Location) -> ast.Var:
        """Introduce `var` in `scope`; a second introduction is an error at `loc`."""
        name = var.name
        if name.startswith("$"):
            return self.fresh("_", var.loc)
        if name in ROOTS and self.v1:
            self.problems.add(
                COMPILE_ERROR,
                f"variables must not shadow {name} (use a different variable name)",
                loc,
            )
        before = scope.how.get(name)
        if before is not None:
            self.problems.add(COMPILE_ERROR, REDECLARED[before].format(name), loc)
        local = self.fresh(name, var.loc)
        scope.names[name] = local
        scope.how[name] = how
        if how == "assigned":
            self.assigned.append((local.name, var))
        return local

    def var(self, term: ast.Var, scope: Scope) -> ast.Term:
        name = term.name
        self.occurred.add(name)
        found = scope.names.get(name)
        if found is None and scope.parent is not None:
            found = scope.parent.lookup(name)
        if found is not None:
            self.read.add(found.name)
            return ast.Var(found.name, term.loc)
        if name.startswith("$"):
            return self.fresh("_", term.loc)
        absolute = self.visible(name, scope)
        if absolute is not None:
            head = absolute[0]
            if len(absolute) == 1:
                return ast.Var(head.name if isinstance(head, ast.Var) else name, term.loc)
            return ast.Ref(absolute, term.loc)
        if name in ROOTS:
            return term
        return self._implicit_local(term, scope)

    def visible(self, name: str, scope: Scope) -> tuple[ast.Term, ...] | None:
        absolute = self.names.visible.get(name)
        if absolute is None or scope.hides(name):
            return None
        self.names.used.add(name)
        return absolute

    def _implicit_local(self, term: ast.Var, scope: Scope) -> ast.Var:
        """A name that nothing declares belongs to the outermost level that uses it outside closures."""
        name = term.name
        target = scope
        level = scope.parent
        while level is not None:
            if name in level.outside and name not in level.declared:
                target = level
            level = level.parent
        local = self.fresh(name, term.loc)
        target.names[name] = local
        target.how[name] = "seen"
        if target is not scope:
            scope.how.setdefault(name, "seen")
        return local

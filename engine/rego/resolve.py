"""Names: what a module can see (its package's rules, its imports) and which names a body declares.

Everything here reads the parsed form and answers questions; it rewrites nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cupcake.engine.builtins.types import Builtin
from cupcake.engine.errors import Diagnostic
from cupcake.engine.rego import ast

ROOTS = frozenset({"data", "input"})
_SYNTAX_IMPORTS = frozenset({"future", "rego"})


class Problems:
    """Collects the errors of one compile; `ordered` gives them in source order, each once.

    `serious` counts those beside names that are not used, which stop no other check."""

    __slots__ = ("_found", "serious")

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}
        self.serious = 0

    def add(self, code: str, message: str, loc: ast.Location, hint: str = "") -> None:
        self.extend((Diagnostic(code, message, loc.file, loc.row, loc.col, "", hint),))

    def extend(self, found: Iterable[Diagnostic]) -> None:
        for diagnostic in found:
            if diagnostic not in self._found:
                self._found[diagnostic] = None
                self.serious += not _is_minor(diagnostic)

    def __len__(self) -> int:
        return len(self._found)

    def ordered(self) -> tuple[Diagnostic, ...]:
        return tuple(sorted(self._found, key=lambda d: (d.file, d.row, d.col, d.code, d.message)))


def _is_minor(found: Diagnostic) -> bool:
    return found.message.endswith(" unused") or found.message.startswith("unused argument ")


@dataclass(slots=True)
class Signatures:
    """Arities of everything that can be called: `functions` by absolute name `data.a.f`, and builtins.

    `absent` are requirements of builtins (`Builtin.requires`) that are not met: calls are refused."""

    functions: dict[str, int]
    builtins: Mapping[str, Builtin]
    absent: frozenset[str] = frozenset()


@dataclass(slots=True)
class Scope:
    """One lexical level. `names` maps a written name to its local; `declared` are the names that
    `:=`, `some`, `every` or arguments introduce here, which hide rules and imports for the whole level;
    `outside` are the names that occur here outside closures."""

    parent: Scope | None
    declared: frozenset[str]
    outside: frozenset[str]
    names: dict[str, ast.Var] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)

    def lookup(self, name: str) -> ast.Var | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def hides(self, name: str) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.declared:
                return True
            scope = scope.parent
        return False


@dataclass(slots=True)
class ModuleNames:
    """The names that a module sees: global name -> absolute terms; `imports` by name for unused checks."""

    package: tuple[ast.Term, ...]
    visible: dict[str, tuple[ast.Term, ...]]
    imports: dict[str, ast.Import]
    used: set[str] = field(default_factory=set)


def dotted(operator: ast.Ref) -> str:
    """`json.unmarshal`, `data.a.f`: the name of a call operator."""
    parts: list[str] = []
    for t in operator.terms:
        if isinstance(t, ast.Var):
            parts.append(t.name)
        elif isinstance(t, ast.String):
            parts.append(t.value)
    return ".".join(parts)


def import_name(imported: ast.Import) -> str:
    """The name that an import binds: its alias, or the last part of its path."""
    if imported.alias is not None:
        return imported.alias
    last = imported.path.terms[-1]
    match last:
        case ast.String():
            return last.value
        case ast.Var():
            return last.name
        case _:
            return ""


def is_syntax_import(imported: ast.Import) -> bool:
    """`import rego.v1` and `import future.keywords...` bind no name."""
    head = imported.path.terms[0]
    return isinstance(head, ast.Var) and head.name in _SYNTAX_IMPORTS


def package_exports(modules: Sequence[ast.Module]) -> dict[tuple[ast.Term, ...], set[str]]:
    """Rule names by package, over all modules of the package."""
    exports: dict[tuple[ast.Term, ...], set[str]] = {}
    for module in modules:
        names = exports.setdefault(module.package.terms, set())
        for rule in module.rules:
            head = rule.head.ref.terms[0]
            if isinstance(head, ast.Var):
                names.add(head.name)
    return exports


def visible_names(
    package: tuple[ast.Term, ...], exports: Iterable[str], imports: Sequence[ast.Import]
) -> ModuleNames:
    """What a module sees; an import hides a rule of the same name."""
    visible: dict[str, tuple[ast.Term, ...]] = {
        name: (*package, ast.String(name)) for name in sorted(exports)
    }
    bound: dict[str, ast.Import] = {}
    for imported in imports:
        if is_syntax_import(imported):
            continue
        name = import_name(imported)
        visible[name] = imported.path.terms
        bound[name] = imported
    return ModuleNames(package, visible, bound)


def declared_names(body: ast.Body) -> frozenset[str]:
    """Names that a body declares at its own level (closures left out)."""
    names: set[str] = set()
    for expr in body:
        kind = expr.kind
        if isinstance(kind, ast.Assign):
            _all_names(kind.lhs, names)
        elif isinstance(kind, ast.SomeDecl):
            names.update(v.name for v in kind.names)
        elif isinstance(kind, ast.SomeIn):
            if kind.key is not None:
                _all_names(kind.key, names)
            _all_names(kind.value, names)
    return frozenset(names)


def pattern_names(term: ast.Term) -> list[ast.Var]:
    """Variables in the places of a pattern that can bind: itself, array items, object values."""
    found: list[ast.Var] = []
    stack = [term]
    while stack:
        t = stack.pop()
        if isinstance(t, ast.Var):
            found.append(t)
        elif isinstance(t, ast.Array):
            stack.extend(reversed(t.items))
        elif isinstance(t, ast.Object):
            stack.extend(v for _, v in reversed(t.pairs))
    return found


def _all_names(term: ast.Term, out: set[str]) -> None:
    if isinstance(term, ast.Var):
        if term.name not in ROOTS:
            out.add(term.name)
    else:
        outside_term(term, out)


def outside_body(body: ast.Body, out: set[str]) -> None:
    """Add every name that occurs in `body` outside comprehensions and `every` bodies."""
    for expr in body:
        kind = expr.kind
        if isinstance(kind, (ast.Unify, ast.Assign)):
            outside_term(kind.lhs, out)
            outside_term(kind.rhs, out)
        elif isinstance(kind, ast.SomeIn):
            if kind.key is not None:
                outside_term(kind.key, out)
            outside_term(kind.value, out)
            outside_term(kind.domain, out)
        elif isinstance(kind, ast.Every):
            outside_term(kind.domain, out)
        elif isinstance(kind, (ast.Not, ast.Logical)):
            for operand in operands(kind):
                if not operand.explicit:
                    outside_body(operand.body, out)
        elif isinstance(kind, ast.Block):
            pass
        elif not isinstance(kind, ast.SomeDecl) and not is_print(kind):
            outside_term(kind, out)
        for w in expr.withs:
            outside_term(w.target, out)
            outside_term(w.value, out)


def operands(kind: ast.Not | ast.Logical) -> tuple[ast.Operand, ...]:
    """The operands, as written."""
    return (kind.operand,) if isinstance(kind, ast.Not) else (kind.lhs, kind.rhs)


def is_print(kind: ast.ExprKind) -> bool:
    """A `print(...)` statement, which is left out of the checked form."""
    return isinstance(kind, ast.Call) and kind.operator.terms == (ast.Var("print"),)


def outside_term(term: ast.Term, out: set[str]) -> None:
    """Add every variable name of `term` outside closures; call operators do not count."""
    t = type(term)
    if t is ast.Var:
        out.add(term.name)  # type: ignore[union-attr]
    elif isinstance(term, ast.Ref):
        for x in term.terms:
            if type(x) is not ast.String:
                outside_term(x, out)
    elif isinstance(term, ast.Call):
        for x in term.args:
            outside_term(x, out)
    elif isinstance(term, (ast.Array, ast.Set)):
        for x in term.items:
            outside_term(x, out)
    elif isinstance(term, ast.Object):
        for k, v in term.pairs:
            outside_term(k, out)
            outside_term(v, out)
    elif isinstance(term, ast.TemplateString):
        for part in term.parts:
            if isinstance(part, ast.Var):
                out.add(part.name)

"""In which Rego a policy is written out: v0, v1, or what both read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cupcake.engine.rego import ast

Target: TypeAlias = Literal["v0", "v1", "both"]
_V1_IMPORTS = ("v1", "v2")


@dataclass(frozen=True, slots=True)
class Style:
    """What the words of a module are. `target`: the versions that have to read it; `uses_if`, `uses_contains`: it has these
    keywords; `drops_imports`: imports that the target does not need are left out."""

    target: Target
    uses_if: bool
    uses_contains: bool
    drops_imports: bool = False

    @property
    def assigns(self) -> bool:
        """Whether `=` in the head of a rule is written `:=`."""
        return self.target != "v0"


def style_of(module: ast.Module, target: Target, *, drop_imports: bool = False) -> Style:
    """The style of a module that is to be read as `target`."""
    if target != "v0":
        return Style(target, True, True, drop_imports and target == "v1")
    words = {word for found in module.imports for word in imported_keywords(found)}
    return Style(target, "if" in words, "contains" in words)


def imported_keywords(found: ast.Import) -> tuple[str, ...]:
    """The keywords of newer Rego that an import allows."""
    root, *path = _names(found.path)
    if root == "rego" or (root, *path) == ("future", "keywords"):
        return ("if", "contains")
    return (path[-1],) if root == "future" else ()


def is_rego_import(found: ast.Import, *versions: str) -> bool:
    """Whether it is `import rego.VERSION` of one of these (of any, if none is given)."""
    names = _names(found.path)
    return names[0] == "rego" and names[-1] in (versions or _V1_IMPORTS)


def is_future_import(found: ast.Import) -> bool:
    """Whether it is `import future.keywords`, or of one of them."""
    return _names(found.path)[0] == "future"


def _names(path: ast.Ref) -> list[str]:
    root = path.terms[0]
    names = [root.name if isinstance(root, ast.Var) else ""]
    return names + [term.value for term in path.terms[1:] if isinstance(term, ast.String)]

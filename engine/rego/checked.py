"""The checked form of a compile: what the front end hands to the planner.

`CHECKED.md` states the promises in full. Pure data; it must not resolve, order or check anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cupcake.engine.rego import ast

GroupKind: TypeAlias = Literal["complete", "partial_set", "partial_object", "function"]

# The ground prefix of a rule's name below `data`: text where the term is a String, else the scalar node.
Path: TypeAlias = tuple["str | ast.Null | ast.Boolean | ast.Number", ...]


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """All definitions of one rule, in source order (files sorted by name); `default` stands apart.

    `arity` is None unless `kind` is "function".
    """

    path: Path
    rules: tuple[ast.Rule, ...]
    kind: GroupKind
    default: ast.Rule | None = None
    arity: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """A checked query; `vars` pairs each name as written with its renamed variable, wildcards left out."""

    body: ast.Body
    vars: tuple[tuple[str, ast.Var], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that the planner needs of a policy.

    `fingerprints`: a number for each group with all that it depends on, equal only where these are the same objects
    (see `reuse.py`)."""

    rules: dict[Path, RuleGroup]
    query: CheckedQuery | None
    modules: tuple[ast.Module, ...]
    fingerprints: Mapping[Path, int] = field(default_factory=dict, compare=False)

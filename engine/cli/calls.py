"""Which builtins parsed modules call. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.rego import ast
from cupcake.engine.rego.resolve import dotted


def called(modules: Iterable[ast.Module]) -> frozenset[str]:
    """Names of the builtins, by their names in a capabilities file: `=` is `eq`, `:=` is `assign`."""
    found: set[str] = set()
    for module in modules:
        _collect(module.rules, found)
    return frozenset(found)


def _collect(node: Any, found: set[str]) -> None:
    match node:
        case tuple():
            for item in node:
                _collect(item, found)
            return
        case ast.Unify():
            found.add("eq")
        case ast.Assign():
            found.add("assign")
        case ast.SomeIn() | ast.Every():  # OPA takes them apart before it looks
            return
        case ast.TemplateString():
            found.add("internal.template_string")
        case ast.Call(operator):
            name = dotted(operator)
            if name in REGISTRY:
                found.add(name)
    if is_dataclass(node) and not isinstance(node, (ast.Location, ast.Annotations)):
        for field in fields(node):
            _collect(getattr(node, field.name), found)

"""The one registry of builtins: what the type checker, the planner, the linker and the VM agree on.

Built once from `declarations.py`. It must not import an implementation, so that compiling a policy
needs neither the host functions nor the VM.

Flags of a declaration: `infix=OP` (its operator), `nondeterministic`, `deprecated` (refused in
Rego v1), `relation` (many results), `variadic` (any number of the last argument), `needs=LIBRARY` and `zoned` (the
runtime's, but for operands that name a time zone).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, cast

from cupcake.engine.builtins import declarations
from cupcake.engine.builtins.signature import parse_signature
from cupcake.engine.builtins.types import (
    Any,
    ArrayOf,
    Builtin,
    FunctionOf,
    ObjectOf,
    Scalar,
    SetOf,
    Type,
)

_CONTINUED = re.compile(r"\n +")
_COLUMNS = re.compile(r"\s{2,}")
_HOMES = ("runtime", "host", "compiler")

# What the language around the builtins offers, in the words of OPA's capability file.
FEATURES: tuple[str, ...] = (
    "keywords_in_refs",
    "rego_v1",
    "rego_v2_import",
    "template_strings",
)
FUTURE_KEYWORDS: tuple[str, ...] = ("and", "not", "or")


def _declared() -> Iterator[tuple[str, Builtin]]:
    for _family, text in declarations.FAMILIES:
        for line in _CONTINUED.sub(" ", text).strip().splitlines():
            name, home, signature, *rest = _COLUMNS.split(line.strip())
            flags = rest[0].split() if rest else []
            args, result = parse_signature(signature)
            if home not in _HOMES:
                raise ValueError(f"{name}: unknown home {home!r}")
            yield (
                name,
                Builtin(
                    name=name,
                    args=args,
                    result=result,
                    home=cast(Literal["runtime", "host", "compiler"], home),
                    symbol="bi_" + name.replace(".", "_") if home == "runtime" else "",
                    deterministic="nondeterministic" not in flags,
                    infix=next((f[6:] for f in flags if f.startswith("infix=")), ""),
                    relation="relation" in flags,
                    deprecated="deprecated" in flags,
                    variadic="variadic" in flags,
                    requires=next((f[6:] for f in flags if f.startswith("needs=")), ""),
                    zoned="zoned" in flags,
                ),
            )


REGISTRY: Mapping[str, Builtin] = MappingProxyType(dict(_declared()))
UNSERVED: tuple[str, ...] = declarations.UNSERVED

# Served, but written by the compiler only: not offered to policies in the capability file.
_INTERNAL = frozenset({"internal.regex_compile"})


def explain_missing(name: str) -> str:
    """One sentence on why a call of `name` cannot be compiled."""
    if name in UNSERVED:
        return f"builtin {name} exists in OPA but is not served by this version"
    return f"undefined function {name}"


def explain_absent(builtin: Builtin) -> tuple[str, str]:
    """Why a call of a builtin whose requirement is not met is refused, and what to do about it."""
    if builtin.requires == "network":
        message = f"builtin {builtin.name} is refused: policies have no access to the network"
        return (
            message,
            "allow the hosts (`effects: {allow_net: [...]}` in the rulebook), or use a signal",
        )
    message = f"builtin {builtin.name} needs the library {builtin.requires}, which is not installed"
    return message, "install it: pip install 'cupcake-policy[full]'"


def capabilities() -> dict[str, object]:
    """The capability file of this version, in the shape of `opa capabilities`."""
    return {
        "builtins": [
            _capability(builtin)
            for name, builtin in sorted(REGISTRY.items())
            if name not in _INTERNAL
        ],
        "future_keywords": list(FUTURE_KEYWORDS),
        "features": list(FEATURES),
        "wasm_abi_versions": [{"version": 1, "minor_version": 3}],
    }


def type_to_json(kind: Type) -> dict[str, object]:
    """A type in the JSON form of OPA's capability file."""
    match kind:
        case Scalar(name):
            return {"type": name}
        case Any(of):
            return {"type": "any", **({"of": [type_to_json(t) for t in of]} if of else {})}
        case ArrayOf(static, rest):
            array: dict[str, object] = {"type": "array"}
            if static:
                array["static"] = [type_to_json(t) for t in static]
            if rest is not None:
                array["dynamic"] = type_to_json(rest)
            return array
        case SetOf(of):
            return {"type": "set", "of": type_to_json(of)}
        case ObjectOf(fields, key, value):
            result: dict[str, object] = {"type": "object"}
            if fields:
                result["static"] = [{"key": k, "value": type_to_json(t)} for k, t in fields]
            if key is not None and value is not None:
                result["dynamic"] = {"key": type_to_json(key), "value": type_to_json(value)}
            return result
        case FunctionOf(args, returns):
            function: dict[str, object] = {
                "type": "function",
                "args": [type_to_json(t) for t in args],
            }
            if returns is not None:
                function["result"] = type_to_json(returns)
            return function


def _capability(builtin: Builtin) -> dict[str, object]:
    args = builtin.args[:-1] if builtin.variadic else builtin.args
    decl: dict[str, object] = {"type": "function"}
    if args:
        decl["args"] = [type_to_json(t) for t in args]
    if builtin.variadic:
        decl["variadic"] = type_to_json(builtin.args[-1])
    decl["result"] = type_to_json(builtin.result)
    entry: dict[str, object] = {"name": builtin.name, "decl": decl}
    if builtin.infix:
        entry["infix"] = builtin.infix
    if builtin.relation:
        entry["relation"] = True
    if not builtin.deterministic:
        entry["nondeterministic"] = True
    return entry

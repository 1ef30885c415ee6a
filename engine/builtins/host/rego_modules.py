"""rego.parse_module: our own parser's tree as JSON.

Imported only when it is called: serving policies must not load the compiler.
"""

from __future__ import annotations

from collections.abc import Callable

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.values import Value
from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego.ast_json import module_to_json
from cupcake.engine.rego.parser import parse_module


def _parse_module(gate: Gate, filename: Value, rego: Value) -> Value:
    name = "rego.parse_module"
    file, text = string(name, 1, filename), string(name, 2, rego)
    try:
        shown: Value = module_to_json(
            parse_module(text, file, rego_version="v0" if gate.rego_version == "v0" else "v1"), text
        )
    except CompileErrors as error:
        raise failed(name, str(error)) from None
    except RecursionError:
        raise failed(name, "the module is nested too deeply") from None
    return shown


GATED: tuple[tuple[str, Callable[..., Value]], ...] = (("rego.parse_module", _parse_module),)

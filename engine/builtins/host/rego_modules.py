"""rego.parse_module: our own parser's tree as JSON.

Imported only when it is called: serving policies must not load the compiler.
"""

from __future__ import annotations

from collections.abc import Callable

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.values import Value
from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.rego.ast_json import module_to_json
from cupcake.engine.rego.parser import RegoVersion, parse_module


def _parse_module(gate: Gate, filename: Value, rego: Value) -> Value:
    name = "rego.parse_module"
    file, text = string(name, 1, filename), string(name, 1, rego)  # OPA counts both as the first
    version: RegoVersion = "v0" if gate.rego_version == "v0" else "v1"
    try:
        module = parse_module(text, file, rego_version=version, annotations=False)
        shown: Value = module_to_json(module, text)
    except CompileErrors as error:
        raise failed(name, _summary(error)) from None
    except RecursionError:
        raise failed(name, "the module is nested too deeply") from None
    return shown


def _summary(errors: CompileErrors) -> str:
    """Place, code and message of each error, as OPA counts them."""
    found = errors.diagnostics
    lines = [f"{_place(d)}: {d.code}: {d.message}" for d in found]
    if len(found) == 1:
        return f"1 error occurred: {lines[0]}" if found[0].row else lines[0]
    return f"{len(found)} errors occurred:\n" + "\n".join(lines)


def _place(found: Diagnostic) -> str:
    return f"{found.file}:{found.row}" if found.file else f"{found.row}:{found.col}"


GATED: tuple[tuple[str, Callable[..., Value]], ...] = (("rego.parse_module", _parse_module),)

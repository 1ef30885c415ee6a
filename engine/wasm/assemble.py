"""IR policy -> Artifact: code generation and both ways of linking, in one call. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.types import Builtin
from cupcake.engine.plan import ir
from cupcake.engine.wasm.codegen import generate
from cupcake.engine.wasm.image import RuntimeImage, runtime_image
from cupcake.engine.wasm.link import link
from cupcake.engine.wasm.split import Core, policy_module, shipped_core
from cupcake.engine.wasm.unit import CodeCache


def assemble(
    policy: ir.Policy,
    image: RuntimeImage | None = None,
    core: Core | None = None,
    *,
    extra_builtins: Iterable[Builtin] = (),
    cache: CodeCache | None = None,
    linked: bool = True,
) -> Artifact:
    """Compile a planned policy. `image` and `core` default to the runtime that ships with the package;
    `extra_builtins` are host builtins that the registry does not know. A `cache` serves policies of one pool.
    Not `linked`: for our own VM only, `wasm` stays empty.

    Raises CodegenError (a limit, an unknown builtin) or LinkError."""
    image, core = image or runtime_image(), core or shipped_core()
    generated = generate(
        policy,
        image,
        compile_pattern=_compile_pattern,
        compile_glob=_compile_glob,
        extra_builtins=extra_builtins,
        cache=cache,
    )
    owned, places = policy_module(generated, core)
    return Artifact(
        wasm=link(generated, image) if linked else b"",
        wasm_owned=owned,
        entrypoints=generated.entrypoints,
        builtins=generated.builtins,
        data=document_json(policy.data).encode(),
        source_map=places,
        capabilities=tuple(sorted(generated.builtins)),
        core=core.wasm,
        counters=generated.counters,
    )


def _compile_pattern(pattern: str) -> bytes:
    # Most policies match nothing, and the compiler of patterns takes a while to import.
    from cupcake.engine.regex.compile import compile_pattern

    return compile_pattern(pattern)


def _compile_glob(pattern: str, delimiters: tuple[str, ...] | None) -> bytes:
    from cupcake.engine.regex.globs import compile_glob

    return compile_glob(pattern, delimiters)


def document_json(data: ir.Const | ir.ConstDocument) -> str:
    """JSON text of a base document."""
    return data.text if isinstance(data, ir.ConstDocument) else const_json(data)


def const_json(value: ir.Const) -> str:
    """JSON text of a constant of JSON's kinds; numbers as they were written. ValueError for others."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value)
        case ir.ConstNumber(text):
            return text
        case ir.ConstArray(items):
            return f"[{','.join(map(const_json, items))}]"
        case ir.ConstObject(pairs):
            return "{" + ",".join(f"{_key(k)}:{const_json(v)}" for k, v in pairs) + "}"
        case ir.ConstSet():
            raise ValueError("a set in a JSON document")


def _key(key: ir.Const) -> str:
    if not isinstance(key, str):
        raise ValueError("a key that is no string in a JSON document")
    return json.dumps(key)

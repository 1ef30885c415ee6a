"""`Compiler`: versions of one policy, one after the other. What an edit does not touch is not worked on again, and the artifact is
byte for byte the one that a compile from nothing gives.

Strings the stages together and keeps their caches; each of them knows by itself what it may use again. Pure.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.libraries import absent_libraries, never_allowed
from cupcake.engine.documents import document
from cupcake.engine.entrypoints import entrypoint_path, known_entrypoints
from cupcake.engine.errors import EngineError
from cupcake.engine.plan import ir
from cupcake.engine.plan.planner import plan
from cupcake.engine.plan.reuse import PlanCache
from cupcake.engine.rego import ast
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module
from cupcake.engine.rego.reuse import ModuleCache
from cupcake.engine.wasm.assemble import assemble, document_json
from cupcake.engine.wasm.unit import CodeCache

RegoVersion: TypeAlias = Literal["v2", "v1", "v0"]

# Constants of versions that are gone stay in the pools; beyond this many new ones all caches are made anew.
_STALE_CONSTANTS: Final = 20_000


@dataclass(slots=True)
class Caches:
    """What the compiles of a policy leave for the next one of nearly the same. Planned functions name strings by their number in
    the pool, code names constants: the three go together."""

    modules: ModuleCache = field(default_factory=ModuleCache)
    plans: PlanCache = field(default_factory=PlanCache)
    code: CodeCache = field(default_factory=CodeCache)
    _room: int = 0

    def start(self) -> None:
        """A compile begins: drops everything when most of it belongs to versions that are gone."""
        if len(self.code.values) > self._room:
            self.modules, self.plans, self.code = ModuleCache(), PlanCache(), CodeCache()
            self._room = 0

    def done(self) -> None:
        """The compile has succeeded."""
        if not self._room:
            self._room = len(self.code.values) + _STALE_CONSTANTS

    def aside(self) -> Caches:
        """For another plan of the same rules, which does not forget what only the one before has needed."""
        plans = replace(
            self.plans, functions=dict(self.plans.functions), answers=dict(self.plans.answers)
        )
        code = replace(self.code, functions=dict(self.code.functions))
        return Caches(self.modules, plans, code, self._room)


class Compiler:
    """Not for use by several threads at once."""

    def __init__(
        self,
        rego_version: RegoVersion = "v1",
        *,
        effects: Effects | None = None,
        linked: bool = True,
    ) -> None:
        """With `effects`, calls of builtins that these will never allow are errors of the compile; without, that is decided
        when the policy is evaluated. Not `linked`: without the module of OPA's ABI."""
        self.rego_version, self.effects = rego_version, effects
        self._linked = linked
        self._parsed: dict[str, tuple[str, ast.Module]] = {}
        self._caches = Caches()

    def compile(
        self, modules: Mapping[str, str], data: object = None, entrypoints: Sequence[str] = ()
    ) -> Artifact:
        """Compile Rego modules ({file name: text}) with a base document to an Artifact with these entrypoints ("a/b/c" or
        "data.a.b.c"). CompileErrors holds every error; the next compile works all the same. EngineError is for
        arguments that are no texts, data that is no object, and entrypoints that name nothing."""
        _require(entrypoints)
        require_texts(modules)
        require_version(self.rego_version)
        caches = self._caches
        caches.start()
        with collector_at_rest():
            parsed = [self._parse(name, text) for name, text in modules.items()]
            self._parsed = {m.file: (modules[m.file], m) for m in parsed}
            base = base_document(data)
            checked = check(
                parsed,
                data_paths=data if isinstance(data, Mapping) else None,
                absent=absent_libraries() | never_allowed(self.effects),
                cache=caches.modules,
                sources=modules,
            )
            planned = plan(
                checked, known_entrypoints(checked, entrypoints, data), base, cache=caches.plans
            )
            artifact = replace(
                assemble(planned, cache=caches.code, linked=self._linked),
                rego_version=self.rego_version,
            )
        caches.done()
        return artifact

    def _parse(self, name: str, text: str) -> ast.Module:
        known = self._parsed.get(name)
        if known is not None and known[0] == text:
            return known[1]
        return parse_module(text, name, rego_version=self.rego_version)


def compile_policy(
    modules: Mapping[str, str],
    data: object = None,
    entrypoints: Sequence[str] = (),
    rego_version: RegoVersion = "v1",
    *,
    compiler: Literal["builtin", "opa"] = "builtin",
    effects: Effects | None = None,
) -> Artifact:
    """`Compiler.compile` for once.

    `compiler` "opa" lets the OPA executable compile (OpaError when there is none, see `cupcake opa install`)."""
    if compiler == "opa":
        return _compile_with_opa(modules, data, entrypoints, rego_version)
    return Compiler(rego_version, effects=effects).compile(modules, data, entrypoints)


def _compile_with_opa(
    modules: Mapping[str, str],
    data: object,
    entrypoints: Sequence[str],
    rego_version: RegoVersion,
) -> Artifact:
    import os
    import platform

    from cupcake.engine import opa
    from cupcake.engine.opa_compiler import compile_with_opa

    _require(entrypoints)
    require_texts(modules)
    require_version(rego_version)
    if rego_version == "v2":
        raise EngineError("OPA's command knows no rego_version v2: write `import rego.v2`")
    asset = opa.platform_asset(platform.system(), platform.machine())
    found = opa.find(os.environ, asset)
    text = document_json(base_document(data))
    return compile_with_opa(
        found.path, modules, text, [entrypoint_path(e) for e in entrypoints], rego_version
    )


def require_texts(modules: object) -> None:
    """EngineError unless these are texts by name: the usual slips are a list of texts, and bytes."""
    if not isinstance(modules, Mapping):
        raise EngineError('modules must be texts by file name, as in {"a.rego": "package a"}')
    for name, text in modules.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise EngineError(f"module {name!r}: name and text must be str, not bytes or a path")


def require_version(rego_version: str) -> None:
    """EngineError unless there is such a version."""
    if rego_version not in ("v0", "v1", "v2"):
        raise EngineError(f"rego_version {rego_version!r} is none of v0, v1 and v2")


def _require(entrypoints: Sequence[str]) -> None:
    if not entrypoints:
        raise EngineError('compile_policy needs at least one entrypoint, such as "example/allow"')
    if isinstance(entrypoints, str):
        raise EngineError(f"entrypoints must be a list: write [{entrypoints!r}]")


def base_document(data: object) -> ir.Const | ir.ConstDocument:
    """`document` for what may be `data`, None for nothing. EngineError for other values than objects."""
    if data is not None and not isinstance(data, Mapping):
        raise EngineError(
            f'data must be an object, as in {{"users": [...]}}, not {type(data).__name__}'
        )
    return document({} if data is None else data)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Trees and plans are large, live to the end of a compile and hold no cycles: collecting in between costs a third of
    the time and finds nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

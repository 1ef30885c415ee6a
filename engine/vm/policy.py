"""`Policy`: a loaded artifact with its entrypoints, and `load`, `precompile`.

It must not know wasmtime beyond `native.py`'s names, nor the compiler.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cupcake.engine.artifact import Artifact, core_namespace
from cupcake.engine.builtins.effects import Effects, Record, Recorder
from cupcake.engine.errors import EngineError, EvaluationError, LoadError
from cupcake.engine.runtime.abi import TEXT_HOST, TEXT_VALUE
from cupcake.engine.vm import native
from cupcake.engine.vm.cache import ModuleCache
from cupcake.engine.vm.counting import CountingProgram
from cupcake.engine.vm.foreign import ForeignProgram
from cupcake.engine.vm.hostcalls import HostCalls, HostFunction, HostSession
from cupcake.engine.vm.limits import Limits
from cupcake.engine.vm.text import (
    MAX_DIGITS,
    ValueTextError,
    decimal_number,
    dump_value,
    whole_number,
)
from cupcake.engine.vm.upgrade import Upgrade

if TYPE_CHECKING:
    from cupcake.engine.bundle_signature import Verification

STRICT = 1


class Undefined:
    """The type of UNDEFINED: what an entrypoint without a value gives. False in a condition, equal to itself only."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()


class Policy:
    """A policy that can be evaluated, from any thread. Every evaluation has a memory of its own."""

    __slots__ = ("_calls", "_ids", "_others", "_program", "_upgrade", "entrypoints")

    def __init__(
        self,
        program: native.Program | ForeignProgram,
        entrypoints: Mapping[str, int],
        calls: HostCalls,
        others: Mapping[str, Policy] | None = None,
        upgrade: Upgrade | None = None,
    ) -> None:
        """`others`: further entrypoints, with the policies that have them (a bundle of several modules). `upgrade`: where a
        better program comes from."""
        self._program, self._calls, self._upgrade = program, calls, upgrade
        self._others = {
            **(others or {}),
            **{"data." + n.replace("/", "."): policy for n, policy in (others or {}).items()},
        }
        self.entrypoints = (*entrypoints, *(others or {}))
        self._ids = {
            **entrypoints,
            **{"data." + n.replace("/", "."): i for n, i in entrypoints.items()},
        }

    def evaluate(
        self,
        entrypoint: str,
        input: object = UNDEFINED,
        *,
        strict_builtin_errors: bool = False,
        effects: Effects | None = None,
        recorder: Recorder | None = None,
        replay: Record | None = None,
    ) -> Any:
        """The entrypoint's value for an input (any JSON value; left out = no input), or UNDEFINED.

        Sets come as sorted lists, keys that are no strings as their JSON text. Numbers are int, float when that is exact,
        else Decimal. `effects` is what this evaluation may do (default: what `load` was given); `recorder` collects what it did;
        with `replay` it does nothing and takes the answers from the record. Raises EvaluationError."""
        results = self.solutions(
            entrypoint,
            input,
            strict_builtin_errors=strict_builtin_errors,
            effects=effects,
            recorder=recorder,
            replay=replay,
        )
        try:
            return results[0]["result"] if results else UNDEFINED
        except KeyError:
            raise EvaluationError(
                "eval_internal_error", "the module's answer holds no result"
            ) from None

    def solutions(
        self,
        entrypoint: str,
        input: object = UNDEFINED,
        *,
        strict_builtin_errors: bool = False,
        effects: Effects | None = None,
        recorder: Recorder | None = None,
        replay: Record | None = None,
    ) -> list[dict[str, Any]]:
        """The whole result set: for an entrypoint at most one {"result": value}, for a query its bindings."""
        text, options = input_text(input)
        if strict_builtin_errors:
            options |= STRICT
        found: list[dict[str, Any]] = loads(
            self.evaluate_json(
                entrypoint, text, options=options, effects=effects, recorder=recorder, replay=replay
            )
        )
        if not isinstance(found, list) or [one for one in found if not isinstance(one, dict)]:
            raise EvaluationError("eval_internal_error", "the module's answer is no result set")
        return found

    def evaluate_json(
        self,
        entrypoint: str,
        input: bytes = b"",
        *,
        options: int = 0,
        effects: Effects | None = None,
        recorder: Recorder | None = None,
        replay: Record | None = None,
    ) -> bytes:
        """JSON text of the input (b"" = none) -> JSON text of the result set: `[{"result": value}]`, or `[]` when undefined.

        `entrypoint` is a name such as "a/b/c" or "data.a.b.c". The path without any conversion. Raises EvaluationError."""
        number = self._ids.get(entrypoint)
        if number is None:
            other = self._others.get(entrypoint)
            if other is not None:
                return other.evaluate_json(
                    entrypoint,
                    input,
                    options=options,
                    effects=effects,
                    recorder=recorder,
                    replay=replay,
                )
            raise EngineError(
                f"the policy has no entrypoint {entrypoint!r}; it has {', '.join(self.entrypoints) or 'none'}"
            )
        session = None
        if self._calls.by_id:
            session = HostSession(
                self._calls,
                bool(options & STRICT),
                self._program.limits.seconds,
                effects=effects,
                recorder=recorder,
                replay=replay,
            )
        return self._program.run(input, number, options, session)

    def evaluate_value(self, entrypoint: str, input: bytes) -> bytes:
        """As `evaluate_json`, strict, with the value text for hosts in and out (`text.py`): sets, keys of any kind and bytes
        that are not UTF-8 survive."""
        session = HostSession(self._calls, True, self._program.limits.seconds)
        options = STRICT | TEXT_HOST
        return self._program.run(input, self._ids[entrypoint], options, session, form=TEXT_HOST)

    def prepare(self) -> None:
        """Do ahead what the next evaluation needs (a fresh Store, better code); for servers, between two requests."""
        if self._upgrade is not None:
            better = self._upgrade.look()
            if better is not None:
                self._program, self._upgrade = better, None
        if isinstance(self._program, native.Program):
            self._program.prepare()

    def lay_out(self, text: str, base: int) -> tuple[bytes, int]:
        """A value text as a data segment for address `base` and its address there, made by the policy's runtime."""
        if not isinstance(self._program, native.Program):
            raise EngineError("only policies of our own compiler carry the runtime that lays out")
        return self._program.lay_out(text, base)

    def counts(self) -> tuple[int, ...]:
        """What the counters of an instrumented policy stand at, over all evaluations so far; () for any other policy."""
        return self._program.counts() if isinstance(self._program, CountingProgram) else ()

    @property
    def limits(self) -> Limits:
        return self._program.limits


def input_text(value: object) -> tuple[bytes, int]:
    """An input as `evaluate_json` takes it, with the option that says in which form."""
    if value is UNDEFINED:
        return b"", 0
    try:
        return _encode(value).encode(), 0
    except RecursionError:
        raise EvaluationError("eval_limit_depth", "the input nests too deeply") from None
    except (TypeError, ValueError):
        pass
    try:
        return dump_value(value).encode(), TEXT_VALUE
    except RecursionError:
        raise EvaluationError("eval_limit_depth", "the input nests too deeply") from None
    except TypeError as e:
        raise EvaluationError("eval_input_error", f"the input cannot be evaluated: {e}") from e


def exact_number(text: str) -> float | Decimal:
    """A JSON number with a fraction or an exponent: a float when that is the same number, else a Decimal."""
    number = float(text)
    exact = decimal_number(text)
    return number if Decimal(repr(number)) == exact else exact


def _encoder() -> Callable[[object], str]:
    """Value -> JSON text, as `json.dumps` gives it. A value that holds itself is a RecursionError."""
    whole = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
    try:
        # `encode` makes this for each call, which takes a quarter of its time for a small input.
        write = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
            None,
            whole.default,
            json.encoder.encode_basestring_ascii,
            None,
            whole.key_separator,
            whole.item_separator,
            whole.sort_keys,
            whole.skipkeys,
            whole.allow_nan,
        )
    except (AttributeError, TypeError):  # a Python without it, or with another one
        return whole.encode
    return lambda value: "".join(write(value, 0))


def _decoder(parse_int: Callable[[str], int | Decimal] | None = None) -> Callable[[str], Any]:
    """JSON text -> value, as `json.loads` gives it."""
    decoder = json.JSONDecoder(parse_float=exact_number, parse_int=parse_int)
    read = decoder.raw_decode

    def decode(text: str) -> Any:
        # Our own modules write no white space, which `decode` looks for by two regular expressions.
        try:
            value, end = read(text)
        except json.JSONDecodeError:
            end = -1
        return value if end == len(text) else decoder.decode(text)

    return decode


# Made once: `json.dumps` and `json.loads` with arguments make theirs for each call.
_encode = _encoder()
_decode = _decoder()
_decode_long = _decoder(whole_number)


def loads(text: bytes) -> Any:
    """JSON text of a result, numbers exact (integers of more than 4,300 digits as Decimal). EvaluationError for what
    Python cannot hold."""
    try:
        return (_decode if len(text) <= MAX_DIGITS else _decode_long)(text.decode("utf-8"))
    except ValueTextError as e:
        raise EvaluationError("eval_input_error", f"the result cannot be given: {e}") from None
    except RecursionError:
        raise EvaluationError("eval_limit_depth", "the result nests too deeply") from None
    except ValueError as e:
        raise EvaluationError(
            "eval_internal_error", f"the module's answer is no JSON: {e}"
        ) from None


def load(
    source: Artifact | bytes | str | Path,
    *,
    limits: Limits | None = None,
    cache_dir: str | Path | None = None,
    builtins: Mapping[str, HostFunction] | None = None,
    effects: Effects | None = None,
    quick: bool = False,
    quick_first: bool = False,
    verification: Verification | None = None,
) -> Policy:
    """Load a compiled policy: an Artifact, the bytes of a module of OPA's ABI, or the path of a module or bundle.

    `verification`: the signature that a bundle must have; without it, signatures are not looked at.

    `cache_dir`: folder for compiled code (made with mode 0700). `builtins`: further host functions over Python
    values, by name. `effects`: what evaluations may do beyond computing (default: no network, no environment). `quick`: compile faster for few evaluations.
    `quick_first`: the same, unless the cache has the code that runs fast; `prepare` changes to that as soon as it is there. Raises LoadError, also when a builtin is not served."""
    limits = limits or Limits()
    own = builtins or {}
    if isinstance(source, Artifact) and source.counters[1]:
        quick = True  # counters are read from Stores that no pool takes back
    cache = ModuleCache(Path(cache_dir)) if cache_dir is not None else None
    if verification is not None and isinstance(source, Artifact | bytes):
        raise LoadError("only bundles are signed: give the path of one, or no verification")
    upgrade = None
    if quick_first and not quick and isinstance(source, Artifact) and not source.foreign:
        upgrade = _upgrade(source, limits, cache)
        quick = upgrade is not None
    machine = native.quick_machine() if quick else native.machine()
    data = b"{}"
    modules: tuple[tuple[bytes, tuple[str, ...]], ...]
    if isinstance(source, Artifact):
        if not source.foreign:
            calls = HostCalls(source.builtins, own, effects, source.rego_version)
            try:
                program = _program(machine, source, limits, cache)
            except native.DoesNotFit:
                program = _program(native.plain_machine(), source, limits, cache)
            ids = {name: i for i, name in enumerate(source.entrypoints)}
            return Policy(program, ids, calls, upgrade=upgrade)
        data, modules = source.data, ((source.wasm, ()),)
    elif isinstance(source, bytes):
        modules = ((source, ()),)
    else:
        from cupcake.engine.vm.bundle import read_bundle

        bundle = read_bundle(Path(source), verification)
        data, modules = bundle.data, bundle.modules
    # Its memory comes from the embedder, which has no pool.
    machine = native.quick_foreign_machine() if quick else native.plain_machine()

    place = "the module" if isinstance(source, bytes | Artifact) else str(source)

    def one(wasm: bytes, names: tuple[str, ...], others: Mapping[str, Policy]) -> Policy:
        foreign = ForeignProgram(machine, machine.compile(wasm), limits, data)
        missing = [name for name in names if name not in foreign.entrypoints]
        if missing:
            raise LoadError(
                f"{place}: the manifest gives the module an entrypoint that it has not: {missing[0]}"
            )
        mine = {n: i for n, i in foreign.entrypoints.items() if not names or n in names}
        return Policy(foreign, mine, HostCalls(foreign.builtins, own, effects), others)

    (first, names), *more = modules
    further = {name: policy for w, ns in more for policy in (one(w, ns, {}),) for name in ns}
    return one(first, names, further)


def _upgrade(artifact: Artifact, limits: Limits, cache: ModuleCache | None) -> Upgrade | None:
    """Where the code that runs fast comes from later; None when it is there already."""
    machine = native.machine()
    key = _key(machine, artifact.wasm_owned)

    def ready() -> bool:
        return cache is not None and cache.path(key).exists()

    def make() -> native.Program:
        try:
            return _program(machine, artifact, limits, cache)
        except native.DoesNotFit:
            return _program(native.plain_machine(), artifact, limits, cache)

    return None if ready() else Upgrade(ready, make)


def warm(core: bytes, cache_dir: str | Path) -> None:
    """For a process that loads `quick`: take the code of the runtime from a folder, or keep it there. Policies themselves
    are not kept. Saves most of what such a process spends on compiling."""
    machine = native.quick_machine()
    cache = ModuleCache(Path(cache_dir))
    machine.core(core_namespace(core), lambda: _module(machine, core, cache))


def precompile(artifact: Artifact, cache_dir: str | Path) -> Path:
    """Compile an artifact into the cache, so that `load` with the same folder needs a millisecond. Returns the path of
    its entry; LoadError when the folder cannot be used."""
    machine = native.machine()
    cache = ModuleCache(Path(cache_dir))
    try:
        _program(machine, artifact, Limits(), cache)
    except native.DoesNotFit:
        machine = native.plain_machine()
        _program(machine, artifact, Limits(), cache)
    path = cache.path(_key(machine, artifact.wasm_owned))
    if not path.exists():
        raise LoadError(
            f"cannot keep compiled code in {cache.folder}: it must be a folder of yours with mode 0700"
        )
    return path


def _program(
    machine: native.Machine, artifact: Artifact, limits: Limits, cache: ModuleCache | None
) -> native.Program:
    namespace = core_namespace(artifact.core)
    core = machine.core(namespace, lambda: _module(machine, artifact.core, cache))
    module = _module(machine, artifact.wasm_owned, cache)
    if artifact.counters[1]:
        return CountingProgram(machine, core, module, limits, artifact)
    return native.Program(machine, core, module, limits, artifact.source_map)


def _key(machine: native.Machine, wasm: bytes) -> str:
    return f"{hashlib.sha256(wasm).hexdigest()}|{machine.identity}"


def _module(machine: native.Machine, wasm: bytes, cache: ModuleCache | None) -> Any:
    if cache is None:
        return machine.compile(wasm)
    key = _key(machine, wasm)
    native_code = cache.read(key)
    if native_code is not None:
        found = machine.deserialize(native_code)
        if found is not None:
            return found
    module = machine.compile(wasm)
    cache.write(key, machine.serialize(module))
    return module

"""The engine in three calls: `compile_policy`, `load`, `query`. Strings the parts together and does nothing itself."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cupcake.engine.artifact import Artifact
from cupcake.engine.bridge import runtime_builtins
from cupcake.engine.builtins.effects import Effects, Record, Recorder
from cupcake.engine.builtins.libraries import absent_libraries
from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.types import ANY, Builtin
from cupcake.engine.builtins.values import Value
from cupcake.engine.compiler import (
    RegoVersion,
    compile_policy,
    require_texts,
    require_version,
)
from cupcake.engine.documents import document, to_value
from cupcake.engine.errors import EngineError
from cupcake.engine.plan.constants import constant, is_constant
from cupcake.engine.plan.json_form import from_json
from cupcake.engine.plan.planner import plan
from cupcake.engine.plan.verify import IRError, verify
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module, parse_query, parse_term
from cupcake.engine.solutions import in_order, without_hidden
from cupcake.engine.vm import Limits, Policy
from cupcake.engine.vm import load as load_policy
from cupcake.engine.vm.hostcalls import HostFunction
from cupcake.engine.vm.policy import UNDEFINED
from cupcake.engine.wasm.assemble import assemble

if TYPE_CHECKING:
    from cupcake.engine.bundle_signature import VerificationKey

__all__ = ["compile_plan", "compile_policy", "load", "query"]


def compile_plan(plan: str | bytes, data: object = None) -> Artifact:
    """Compile a plan as `opa build -t plan` and `cupcake rego plan --format json` write it (`plan.json`) with a base
    document. EngineError when it is no plan, is no sound one, or calls a builtin that there is not."""
    try:
        policy = from_json(json.loads(plan))
        verify(policy)
    except (ValueError, IRError) as error:
        raise EngineError(f"the plan cannot be compiled: {error}") from error
    return assemble(policy if data is None else replace(policy, data=document(data)))


def load(
    source: Artifact | bytes | str | Path,
    *,
    limits: Limits | None = None,
    cache_dir: str | Path | None = None,
    builtins: Mapping[str, HostFunction] | None = None,
    effects: Effects | None = None,
    verification_key: str | VerificationKey | None = None,
    verification_key_id: str = "default",
    scope: str = "",
    exclude_files_verify: Sequence[str] = (),
) -> Policy:
    """Load a compiled policy: an Artifact, the bytes of a module of OPA's ABI, or the path of a module or bundle (.tar.gz or
    folder). As `cupcake.engine.vm.load`, but modules that OPA compiled are also served the builtins of our runtime.

    With `verification_key` (the PEM text of a public key for RS256, or a VerificationKey with another algorithm) only a bundle
    loads whose `.signatures.json` is of this key and names every file with its hash; LoadError for any other."""
    verification = None
    if verification_key is not None:
        from cupcake.engine.bundle_signature import Verification
        from cupcake.engine.bundle_signature import VerificationKey as Key

        if isinstance(verification_key, str):
            verification_key = Key(verification_key)
        verification = Verification(
            {verification_key_id: verification_key},
            verification_key_id,
            scope,
            exclude_files_verify,
        )
    if not isinstance(source, Artifact) or source.foreign:
        builtins = {**runtime_builtins(), **(builtins or {})}
    return load_policy(
        source,
        limits=limits,
        cache_dir=cache_dir,
        builtins=builtins,
        effects=effects,
        verification=verification,
    )


def query(
    query: str,
    modules: Mapping[str, str] | None = None,
    data: object = None,
    input: object = UNDEFINED,
    *,
    input_term: str | None = None,
    rego_version: RegoVersion = "v1",
    strict_builtin_errors: bool = False,
    check_data: bool = False,
    limits: Limits | None = None,
    builtins: Mapping[str, HostFunction] | None = None,
    effects: Effects | None = None,
    recorder: Recorder | None = None,
    replay: Record | None = None,
) -> list[dict[str, Any]]:
    """Evaluate a query as `opa eval` does: one dict of the query's variables a solution, in the order of the iteration,
    [] when undefined.

    Where a rule and `data` both give a document, `data` wins, as in OPA's evaluator; with `check_data` that is an error
    of the compile, as it is for `compile_policy` and on the command line.
    `builtins` adds host functions over Python values by name, or replaces ones of that name. Sets are sorted lists, keys that are no strings their JSON text; numbers are int, float when that is exact, else
    Decimal. `input` None is null, left out is no input; `input_term` gives the input as a Rego term instead.
    Raises CompileErrors or EvaluationError(code, message)."""
    require_texts(modules or {})
    require_version(rego_version)
    parsed = [
        parse_module(text, name, rego_version=rego_version)
        for name, text in (modules or {}).items()
    ]
    body = parse_query(query, rego_version=rego_version)
    base = document({} if data is None else data)
    extra = [_declare(name, f) for name, f in (builtins or {}).items() if name not in REGISTRY]
    for name in builtins or ():
        if name in REGISTRY and REGISTRY[name].home != "host":
            raise EngineError(
                f"builtins: {name} is computed in the sandbox and cannot be replaced; give the function another name"
            )
    checked = check(
        parsed,
        body,
        data_paths=data if check_data and isinstance(data, Mapping) else None,
        extra_builtins=extra,
        absent=absent_libraries(),
        sources={**(modules or {}), "<query>": query},
    )
    assert checked.query is not None
    asked = in_order(checked.query)
    planned = plan(checked, (), base, queries={"query": asked})
    artifact = assemble(planned, extra_builtins=extra, linked=False)
    artifact = replace(artifact, rego_version=rego_version)
    policy = load_policy(artifact, limits=limits, builtins=builtins, effects=effects, quick=True)
    if input_term is not None:
        input = _term_value(input_term)
    found = policy.solutions(
        artifact.entrypoints[0],
        input,
        strict_builtin_errors=strict_builtin_errors,
        recorder=recorder,
        replay=replay,
    )
    return [without_hidden(solution) for solution in found]


def _declare(name: str, function: HostFunction) -> Builtin:
    """The declaration of a caller's own builtin: any values in, any value out."""
    arity = len(inspect.signature(function).parameters)
    return Builtin(name=name, args=(ANY,) * arity, result=ANY, home="host", deterministic=False)


def _term_value(text: str) -> Value:
    """The value of a ground Rego term."""
    found = constant(parse_term(text, "<input>"))
    if not is_constant(found):
        raise EngineError(
            "the input term must be a ground value: it holds a variable, reference or call"
        )
    return to_value(found)

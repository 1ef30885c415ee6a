"""What OPA built runs here: its WebAssembly modules in our VM, its plans through our back end; with the values of our own
compiler. Needs OPA: PATH or CUPCAKE_OPAS."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comparison import without_faults
from opa_build import BuildError, Sources, build, plan_of
from programs import CALLS, DATA, ENTRYPOINTS, NO_INPUT, TEXTS
from random_programs import program
from reference import Opa, executables, running
from source import MISSING, Program

from cupcake.engine import (
    CompileErrors,
    EvaluationError,
    Policy,
    compile_plan,
    compile_policy,
    load,
)
from cupcake.engine.vm import UNDEFINED

PROGRAMS = Sources(TEXTS, DATA, ENTRYPOINTS)
_OPAS = executables()
# OPA builds no plan of rules with such keys in their heads: "invalid path value type".
_HEADS = re.compile(r"^r\d+(\.\w+)*\[[^v\"]", re.MULTILINE)
_RANDOM = int(os.environ.get("CUPCAKE_PLANS", "20"))


@pytest.fixture(params=_OPAS or [None], ids=lambda opa: "none" if opa is None else f"{opa.version}")
def opa(request: pytest.FixtureRequest) -> Opa:
    if request.param is None:
        pytest.skip("no opa executable: PATH or CUPCAKE_OPAS")
    found: Opa = request.param
    return found


def outcome(policy: Policy, entrypoint: str, value: object) -> tuple[str, Any]:
    given = UNDEFINED if value in (NO_INPUT, MISSING) else value
    try:
        found = policy.evaluate(entrypoint, given)
    except EvaluationError as error:
        return ("error", error.code)
    return ("undefined", None) if found is UNDEFINED else ("value", found)


@pytest.fixture(scope="module")
def ours() -> Policy:
    return load(compile_policy(TEXTS, DATA, ENTRYPOINTS))


def test_every_program_has_a_value(ours: Policy) -> None:
    assert {outcome(ours, *call)[0] for call in CALLS} == {"value", "undefined", "error"}


def test_modules_that_opa_built_give_our_values(opa: Opa, ours: Policy, tmp_path: Path) -> None:
    theirs = load(build(opa, "wasm", tmp_path, PROGRAMS))
    assert sorted(theirs.entrypoints) == sorted(ENTRYPOINTS)
    different = {
        call[0]: (found, wanted)
        for call in CALLS
        if unordered(found := outcome(theirs, *call)) != unordered(wanted := outcome(ours, *call))
    }
    assert not different


def unordered(value: Any) -> Any:
    """OPA's modules give sets in no order."""
    match value:
        case list() | tuple():
            return sorted(map(unordered, value), key=repr)
        case dict():
            return {key: unordered(item) for key, item in sorted(value.items())}
        case _:
            return value


def test_plans_that_opa_built_give_our_values(opa: Opa, ours: Policy, tmp_path: Path) -> None:
    bundle = build(opa, "plan", tmp_path, PROGRAMS)
    theirs = load(compile_plan(plan_of(bundle), DATA))
    assert [outcome(theirs, *call) for call in CALLS] == [outcome(ours, *call) for call in CALLS]


def under(source: Program, root: str) -> Program:
    """The program with all of its packages and documents under data.<root>."""
    modules = []
    for module in source.modules:
        imports = tuple(
            line.replace("import data.", f"import data.{root}.") for line in module.imports
        )
        rules = tuple(rule.replace("data.", f"data.{root}.") for rule in module.rules)
        modules.append(type(module)(f"{root}.{module.package}", imports, rules))
    paths = tuple(f"{root}/{path}" for path in source.paths)
    return Program(tuple(modules), {root: source.data}, source.input, paths, v0=source.v0)


def random_programs(opa: Opa, count: int) -> list[Program]:
    """Programs that both accept, each under a root of its own."""
    found: list[Program] = []
    seed = 0
    # OPA 1.22 leaves out `not true`, which does not hold.
    left_out = re.compile(r"not (true|false)$|\btrue with ", re.MULTILINE)
    with running(opa) as reference:
        while len(found) < count:
            seed += 1
            source = without_faults(program(seed, templates=opa.has_templates), reference)
            accepted = isinstance(reference.run(replace(source, paths=())), dict) and not source.v0
            if accepted and not any(
                _HEADS.search(text) or left_out.search(text) for text in source.texts().values()
            ):
                moved = under(source, f"t{seed}")
                if not rules_of(moved):
                    continue
                try:
                    compile_policy(moved.texts(), moved.data, rules_of(moved))
                except CompileErrors:
                    continue
                found.append(moved)
    return found


def rules_of(source: Program) -> list[str]:
    """The paths of the rules that a program has left."""
    found = []
    for module in source.modules:
        names = re.findall(r"^(r\d+)(?![\w(])", module.text(), re.MULTILINE)
        found += [f"{module.package.replace('.', '/')}/{name}" for name in dict.fromkeys(names)]
    return found


def test_plans_of_random_programs_give_our_values(opa: Opa, tmp_path: Path) -> None:
    def alone(root: str, source: Program) -> bool:
        texts = {f"{root}_{n}.rego": t for n, t in source.texts().items()}
        try:
            build(opa, "plan", tmp_path, Sources(texts, {}, rules_of(source)))
        except BuildError:
            return False
        return True

    sources = {s.paths[0].split("/")[0]: s for s in random_programs(opa, _RANDOM)}
    while True:
        texts = {f"{r}_{n}.rego": t for r, s in sources.items() for n, t in s.texts().items()}
        data = {r: s.data[r] for r, s in sources.items()}
        calls = [(path, s.input) for s in sources.values() for path in rules_of(s)]
        wanted = sorted({path for path, _ in calls})
        try:
            bundle = build(opa, "plan", tmp_path, Sources(texts, data, wanted))
            break
        except BuildError as error:
            # What `opa build` refuses although OPA's server does not.
            found = re.search(r"(t\d+)_m", str(error))
            refused = [found[1]] if found else [r for r in sources if not alone(r, sources[r])]
            assert refused, error
            for root in refused:
                del sources[root]
    assert len(sources) > _RANDOM // 2
    theirs = load(compile_plan(plan_of(bundle), data))
    own = load(compile_policy(texts, data, wanted))
    different = {}
    for call in calls:
        found, expected = outcome(theirs, *call), outcome(own, *call)
        # A plan has no rule index: what that rules out may fail in it.
        if found != expected and found[0] != "error":
            different[call[0]] = (found, expected)
    assert not different

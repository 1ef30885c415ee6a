"""Modules and bundles that we built run in @open-policy-agent/opa-wasm under Node, with our values. Needs Node and
`npm install --prefix .sdk @open-policy-agent/opa-wasm` (or its node_modules in CUPCAKE_OPA_WASM)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from programs import CALLS, DATA, ENTRYPOINTS, HERE, NO_INPUT, PROGRAMS, TEXTS

from cupcake.engine import EvaluationError, Policy, compile_policy, load
from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.vm import UNDEFINED

_MODULES = Path(os.environ.get("CUPCAKE_OPA_WASM", HERE.parents[1] / ".sdk" / "node_modules"))
_LACKS = {
    line
    for line in (HERE / "sdk_lacks.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
}
# The SDK takes null for no input.
_CALLS = [(entrypoint, value) for entrypoint, value in CALLS if value is not None]
Job = dict[str, Any]


class Sdk:
    """One process of Node for all modules of a test."""

    def __init__(self, node: str, folder: Path) -> None:
        self.node, self.folder = node, folder

    def evaluate(self, jobs: list[Job]) -> list[list[tuple[str, Any]]]:
        """The outcomes of each job's calls: ("results", [{"result": value}]) or ("error", message)."""
        given = self.folder / "jobs.json"
        given.write_text(json.dumps(jobs), "utf-8")
        done = subprocess.run(
            [self.node, str(HERE / "evaluate.js"), str(_MODULES), str(given)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return [[(kind, value) for kind, value in calls] for calls in json.loads(done.stdout)]

    def job(self, name: str, wasm: bytes, calls: list[Any], data: Any) -> Job:
        """The SDK gives every module a document, an empty one if no other: `data` stands beside it in a bundle."""
        module = self.folder / f"{name}.wasm"
        module.write_bytes(wasm)
        return {"module": str(module), "calls": calls, "data": data}


@pytest.fixture
def sdk(tmp_path: Path) -> Sdk:
    node = shutil.which("node")
    if node is None or not (_MODULES / "@open-policy-agent" / "opa-wasm").is_dir():
        pytest.skip("needs Node and `npm install --prefix .sdk @open-policy-agent/opa-wasm`")
    return Sdk(node, tmp_path)


def call(entrypoint: str, value: object) -> list[Any]:
    return [entrypoint] if value is NO_INPUT else [entrypoint, value]


def ours(policy: Policy, entrypoint: str, value: object) -> tuple[str, Any]:
    """Our outcome in the SDK's form."""
    given = UNDEFINED if value is NO_INPUT else value
    try:
        found = policy.evaluate(entrypoint, given)
    except EvaluationError as error:
        return ("error", f"{error.code}: {error.message}")
    return ("results", [] if found is UNDEFINED else [{"result": found}])


def canonical(value: Any) -> Any:
    """JavaScript's numbers are all floating."""
    match value:
        case bool() | str() | None:
            return value
        case list() | tuple():
            return [canonical(item) for item in value]
        case dict():
            return {key: canonical(item) for key, item in value.items()}
        case _:
            return float(value)


def different(policy: Policy, theirs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {}
    for (entrypoint, value), outcome in zip(_CALLS, theirs, strict=True):
        wanted = ours(policy, entrypoint, value)
        lacks = re.search(r"not implemented: built-in function \d+: (\S+)", str(outcome[1]))
        if canonical(outcome) != canonical(wanted) and not (lacks and lacks[1] in _LACKS):
            found[f"{entrypoint} {value}"] = (outcome, wanted)
    return found


def test_a_module_of_all_programs_gives_our_values(sdk: Sdk) -> None:
    artifact = compile_policy(TEXTS, DATA, ENTRYPOINTS)
    [theirs] = sdk.evaluate([sdk.job("all", artifact.wasm, [call(*c) for c in _CALLS], DATA)])
    assert not different(load(artifact), theirs)


def test_data_that_the_sdk_sets_is_what_the_policy_sees(sdk: Sdk) -> None:
    changed = {**DATA, "k": 99, "doc": {"list": [1, [2], "é😀"], "none": None}}
    artifact = compile_policy(TEXTS, DATA, ENTRYPOINTS)
    job = sdk.job("data", artifact.wasm, [call(*c) for c in _CALLS], changed)
    [theirs] = sdk.evaluate([job])
    assert not different(load(compile_policy(TEXTS, changed, ENTRYPOINTS)), theirs)


def test_each_program_alone_gives_our_values(sdk: Sdk) -> None:
    artifacts = {p.name: compile_policy(TEXTS, DATA, p.entrypoints) for p in PROGRAMS}
    jobs = [
        sdk.job(
            p.name,
            artifacts[p.name].wasm,
            [call(e, v) for e in p.entrypoints for v in p.inputs if v is not None],
            DATA,
        )
        for p in PROGRAMS
    ]
    outcomes = [outcome for calls in sdk.evaluate(jobs) for outcome in calls]
    assert not different(load(compile_policy(TEXTS, DATA, ENTRYPOINTS)), outcomes)


def test_a_bundle_of_the_command_line_gives_our_values(sdk: Sdk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, text in TEXTS.items():
        (source / name).write_text(text, "utf-8")
    (source / "data.json").write_text(json.dumps(DATA), "utf-8")
    bundle = tmp_path / "bundle.tar.gz"
    entrypoints = [f"--entrypoint={e}" for e in ENTRYPOINTS]
    command = [sys.executable, "-m", "cupcake", "rego", "build", "-t", "wasm", *entrypoints]
    subprocess.run([*command, "-o", str(bundle), str(source)], check=True, timeout=120)
    with tarfile.open(bundle) as archive:
        files = {m.name.lstrip("/"): archive.extractfile(m) for m in archive.getmembers()}
        wasm, data = files["policy.wasm"], files["data.json"]
        assert wasm is not None
        assert data is not None
        job = sdk.job("b", wasm.read(), [call(*c) for c in _CALLS], json.loads(data.read()))
    [theirs] = sdk.evaluate([job])
    assert not different(load(bundle), theirs)


def test_the_list_of_what_the_sdk_lacks_is_right(sdk: Sdk) -> None:
    """Each builtin of the host is called once, those of the sandbox that know no time zones with one: which of them the SDK does
    not know are listed, and no others."""
    hosted = sorted(
        name
        for name, b in REGISTRY.items()
        if (b.home == "host" or b.zoned) and not name.startswith("internal.")
    )
    calls = {
        name: ", ".join("input.zoned" if b.zoned else "input" for _ in b.args)
        for name in hosted
        if (b := REGISTRY[name])
    }
    rules = [f"r{i} := {name}({args})" for i, (name, args) in enumerate(calls.items())]
    paths = [f"t/r{i}" for i in range(len(hosted))]
    artifact = compile_policy({"t.rego": "\n".join(["package t", *rules])}, None, paths)
    given = {"zoned": [0, "Asia/Tokyo"]}
    [outcomes] = sdk.evaluate([sdk.job("host", artifact.wasm, [[p, given] for p in paths], {})])
    lacking = {
        name
        for name, (_, said) in zip(hosted, outcomes, strict=True)
        if "not implemented: built-in function" in str(said)
    }
    assert lacking == _LACKS & set(hosted)

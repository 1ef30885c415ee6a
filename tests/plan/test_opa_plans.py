"""Plans made by OPA load, verify and run; needs the `opa` executable."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from few_builtins import BUILTINS
from interpreter import Interpreter
from values import Obj, from_json, to_json

from cupcake.engine.plan import json_form
from cupcake.engine.plan.verify import verify

SOURCE = """package a.b
import rego.v1
p contains x if some x in input.xs
q := 1 if input.a == "s"
else := 2 if not input.b
f(x, [y, "k"]) := x[0] + y if { every z in x { z > 1 } }
o[k].z := v if some k, v in input.o
main := {
    "p": data.a.c, "q": q, "f": f([2], [2, "k"]), "e": f([], [1, "k"]) == 1,
    "dyn": data.a[input.pk].q2, "c": [x | some x in input.xs], "o": o, "s": p,
} if f([2], [1, "k"])
none if { every z in [] { z > 1 } }
"""
OTHER = "package a.c\nimport rego.v1\nq2 := 2 if input.a == input.a2\n"


def opa() -> str:
    found = os.environ.get("CUPCAKE_OPA_PATH") or shutil.which("opa")
    if found is None:
        pytest.skip("the opa executable is not here (CUPCAKE_OPA_PATH or PATH)")
    return found


def test_a_plan_of_opa_runs(tmp_path: Path) -> None:
    binary = opa()
    (tmp_path / "a.rego").write_text(SOURCE.replace('"e": f([], [1, "k"]) == 1,', ""))
    (tmp_path / "c.rego").write_text(OTHER)
    entrypoints = ["-e", "a/b/main", "-e", "a/b/none"]
    command = [binary, "build", "-t", "plan", *entrypoints, "-o", "out.tgz", "a.rego", "c.rego"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    with tarfile.open(tmp_path / "out.tgz") as bundle:
        member = next(m for m in bundle.getmembers() if m.name.endswith("plan.json"))
        handle = bundle.extractfile(member)
        assert handle is not None
        policy = json_form.from_json(json.loads(handle.read()))
    verify(policy)
    event = {"xs": [2, 1], "a": "t", "a2": "t", "o": {"k": 1}, "pk": "c"}
    machine = Interpreter(policy, BUILTINS)
    (found,) = machine.run("a/b/main", from_json(event), Obj())
    assert to_json(found)["result"] == {
        "p": {"q2": 2}, "q": 2, "f": 4, "dyn": 2, "c": [2, 1], "o": {"k": {"z": 1}}, "s": [1, 2],
    }  # fmt: skip
    assert to_json(machine.run("a/b/none", from_json(event), Obj())) == [{"result": True}]

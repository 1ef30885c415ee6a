"""What `compile_policy` takes for entrypoints and data, and what it says of the rest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cupcake.engine import EngineError, compile_policy, load
from cupcake.engine.errors import UnknownEntrypoints

POLICY = """package t13

q.s.r1 := 1

q.s.r2[x] := 2 if some x in ["a"]

q.s.r3[x].g1 if some x in ["a"]

q.s.r4 contains x if some x in ["a"]

q.fn(x) := x

obj := {"a": {"b": 1}}

default dd := 1

num[1] := 2
"""
OTHER = "package other.pkg\n\np := 1\n"
MODULES = {"t.rego": POLICY, "u.rego": OTHER}
DATA = {"base": {"x": 1}, "t13": {"more": 1}}
NAMED = [
    *("t13", "t13/q", "t13/q/s", "t13/q/s/r1", "t13/q/s/r2", "t13/q/s/r2/a", "t13/q/s/r3", "t13/q/s/r3/g1"),
    *("t13/q/s/r3/a/g1", "t13/q/s/r4/a", "t13/obj/a/b", "t13/dd", "t13/num", "t13/num/1", "other", "other/pkg/p"),
    *("/t13/obj", ""),
]  # fmt: skip
NAMELESS = ["nope", "t13/nope", "t13/q/s/nope", "base/y", "other/pk", "t13/q/fn", "data/t13"]
BASE = ["base", "base/x", "t13/more"]


@pytest.mark.parametrize("entrypoint", NAMED)
def test_entrypoints_may_name_packages_rules_and_what_is_in_them(entrypoint: str) -> None:
    assert len(compile_policy(MODULES, DATA, [entrypoint]).entrypoints) == 1


@pytest.mark.parametrize("entrypoint", NAMELESS)
def test_an_entrypoint_that_names_nothing_is_an_error(entrypoint: str) -> None:
    with pytest.raises(EngineError, match=f'entrypoint "{entrypoint}"'):
        compile_policy(MODULES, DATA, [entrypoint])


@pytest.mark.parametrize("entrypoint", BASE)
def test_what_the_base_document_holds_is_an_entrypoint_where_there_is_one(entrypoint: str) -> None:
    policy = load(compile_policy(MODULES, DATA, [entrypoint]))
    assert policy.evaluate(entrypoint, {}) in (1, {"x": 1})
    with pytest.raises(EngineError, match=f'entrypoint "{entrypoint}"'):
        compile_policy(MODULES, {}, [entrypoint])


def test_all_that_name_nothing_are_told_at_once() -> None:
    with pytest.raises(UnknownEntrypoints, match=r'"nope".*\n.*"t13/q/fn" is a function') as caught:
        compile_policy(MODULES, entrypoints=["nope", "t13", "t13/q/fn"])
    assert caught.value.names == ("nope", "t13/q/fn")


def test_the_error_says_what_may_have_been_meant() -> None:
    with pytest.raises(EngineError, match=r"did you mean t13/q/s/r1\?"):
        compile_policy(MODULES, entrypoints=["t13/q/s/r11"])


def test_opa_takes_and_refuses_the_same(tmp_path: Path) -> None:
    opa = shutil.which("opa")
    if opa is None:
        pytest.skip("there is no `opa` on PATH to compare with")
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    taken = {}
    for entrypoint in (*NAMED, *NAMELESS):
        command = [opa, "build", "-t", "plan", "-e", entrypoint, "-o", "out.tar.gz", *MODULES]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        taken[entrypoint] = done.returncode == 0
    assert taken == {**dict.fromkeys(NAMED, True), **dict.fromkeys(NAMELESS, False)}


@pytest.mark.parametrize("data", [[1], "text", 1, True])
def test_data_that_is_no_object_is_an_error(data: object) -> None:
    with pytest.raises(EngineError, match="data must be an object"):
        compile_policy(MODULES, data, ["t13"])

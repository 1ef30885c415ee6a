"""Bundles: ours packed by hand, and OPA's own where its executable is present."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cupcake.engine import api
from cupcake.engine.artifact import Artifact
from cupcake.engine.bridge import runtime_builtins
from cupcake.engine.builtins.values import BuiltinError, rego_set
from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.vm import UNDEFINED, load

Compile = Callable[..., Artifact]


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_an_archive_brings_its_data(tmp_path: Path, compiled: Compile) -> None:
    wasm = compiled("p := data.k + input").wasm
    bundle = pack(tmp_path / "b.tar.gz", {"/policy.wasm": wasm, "/data.json": b'{"k":3}'})
    assert load(bundle).evaluate("a/p", 1) == 4


def test_a_folder_is_a_bundle_too(tmp_path: Path, compiled: Compile) -> None:
    (tmp_path / "policy.wasm").write_bytes(compiled("p := data.k + input").wasm)
    (tmp_path / "data.json").write_bytes(b'{"k":3}')
    assert load(str(tmp_path)).evaluate("a/p", 1) == 4
    assert load(tmp_path / "policy.wasm").evaluate("a/p", 1) is UNDEFINED


def test_a_bundle_without_a_policy_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"no policy\.wasm.*opa build"):
        load(pack(tmp_path / "b.tar.gz", {"data.json": b"{}"}))


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00broken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar.gz").write_bytes(content)
    with pytest.raises(LoadError, match=r"b\.tar\.gz"):
        load(tmp_path / "b.tar.gz")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"none\.tar\.gz"):
        load(tmp_path / "none.tar.gz")


def find_opa() -> str | None:
    return os.environ.get("CUPCAKE_OPA_PATH") or shutil.which("opa")


@pytest.fixture(scope="module")
def opa_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    opa = find_opa()
    if opa is None:
        pytest.skip("needs the opa executable (CUPCAKE_OPA_PATH, or on PATH)")
    folder = tmp_path_factory.mktemp("opa")
    (folder / "a.rego").write_text(
        "package a\nimport rego.v1\np := input.x + data.k\nq contains x if { some x in input.xs; x > 1 }\n"
        "c := 1 if input.a\nc := 2 if input.b\nn := crypto.sha256(input.x)\n"
        's := sprintf("%s-%d", [input.x, 7])\n'
    )
    (folder / "data.json").write_text('{"k":10}')
    subprocess.run(
        [opa, "build", "-t", "wasm", *(f"-e=a/{e}" for e in "pqcns"), "-o", "b.tar.gz", "a.rego", "data.json"],
        cwd=folder, check=True, timeout=60,
    )  # fmt: skip
    return folder / "b.tar.gz"


def test_a_bundle_that_opa_built_is_evaluated(opa_bundle: Path) -> None:
    policy = api.load(opa_bundle)
    assert sorted(policy.entrypoints) == ["a/c", "a/n", "a/p", "a/q", "a/s"]
    assert policy.evaluate("a/p", {"x": 5}) == 15
    assert policy.evaluate("data.a.q", {"xs": [3, 1, 2]}) == [2, 3]
    assert policy.evaluate("a/c", {}) is UNDEFINED
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/c", {"a": 1, "b": 1})
    assert caught.value.code == "eval_conflict_error"


def test_a_builtin_that_opa_leaves_to_the_host_is_served(opa_bundle: Path) -> None:
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert api.load(opa_bundle).evaluate("a/n", {"x": "abc"}) == wanted


def test_a_builtin_of_our_runtime_serves_opa_s_module(opa_bundle: Path) -> None:
    assert api.load(opa_bundle).evaluate("a/s", {"x": "hi"}) == "hi-7"


def test_without_them_the_module_is_refused_by_the_builtin_s_name(opa_bundle: Path) -> None:
    with pytest.raises(LoadError, match="sprintf"):
        load(opa_bundle)


BRIDGED: list[tuple[str, tuple[object, ...], object]] = [
    ("sprintf", ("%d|%s", [1, "x"]), "1|x"),
    ("count", (rego_set([1, 2]),), 2),
    ("union", (rego_set([rego_set([1]), rego_set([2])]),), rego_set([1, 2])),
    ("upper", ("aé",), "AÉ"),
]


@pytest.mark.parametrize(("name", "operands", "wanted"), BRIDGED)
def test_a_runtime_builtin_is_a_host_function(
    name: str, operands: tuple[object, ...], wanted: object
) -> None:
    assert runtime_builtins()[name](*operands) == wanted


def test_its_errors_are_those_of_a_builtin() -> None:
    with pytest.raises(BuiltinError, match="operand 1 must be"):
        runtime_builtins()["upper"](1)

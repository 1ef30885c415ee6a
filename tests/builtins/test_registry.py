"""The registry agrees with itself, with the runtime module and with the host functions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from calling import call
from test_calls import needs_opa

from cupcake.engine import runtime
from cupcake.engine.builtins import declarations
from cupcake.engine.builtins.capabilities import FILE, text
from cupcake.engine.builtins.case_table import header
from cupcake.engine.builtins.host import HOST
from cupcake.engine.builtins.registry import (
    REGISTRY,
    UNSERVED,
    capabilities,
    explain_missing,
    type_to_json,
)
from cupcake.engine.builtins.signature import SignatureError, parse_signature, parse_type
from cupcake.engine.builtins.types import ANY, NUMBER, STRING, ArrayOf, ObjectOf, SetOf

OPA = shutil.which("opa")
SOURCES = Path(__file__).parents[2] / "engine" / "runtime"
WASM = Path(runtime.__file__).with_name("runtime.wasm")


def test_every_runtime_builtin_is_exported_by_the_runtime() -> None:
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(WASM))
    exported = {e.name for e in module.exports}
    wanted = {b.symbol for b in REGISTRY.values() if b.home == "runtime"}
    assert wanted - exported == set()
    assert {e for e in exported if e.startswith("bi_")} - wanted == set()


def test_exported_builtins_take_as_many_operands_as_declared() -> None:
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(WASM))
    types = {e.name: e.type for e in module.exports}
    counts = {}
    for builtin in REGISTRY.values():
        kind = types.get(builtin.symbol)
        if isinstance(kind, wasmtime.FuncType):
            counts[builtin.name] = (len(kind.params), len(builtin.args))
    assert {n: c for n, c in counts.items() if c[0] != c[1]} == {}


def test_host_builtins_are_exactly_the_host_functions() -> None:
    assert {n for n, b in REGISTRY.items() if b.home == "host" or b.zoned} == set(HOST)


def test_what_is_not_served_is_not_registered() -> None:
    assert set(UNSERVED) & set(REGISTRY) == set()
    assert explain_missing("no.such") == "undefined function no.such"


def test_no_builtin_is_declared_twice() -> None:
    names = [
        line.split("  ")[0]
        for _, text in declarations.FAMILIES
        for line in text.strip().splitlines()
        if not line.startswith(" ")
    ]
    assert len(names) == len(set(names)) == len(REGISTRY)


def test_network_and_environment_are_not_served() -> None:
    assert {n for n, b in REGISTRY.items() if b.requires == "network"} == {
        "http.send",
        "net.lookup_ip_addr",
    }
    assert call("opa.runtime") == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("number", NUMBER),
        ("array[string]", ArrayOf(rest=STRING)),
        ("tuple[number, string]", ArrayOf(static=(NUMBER, STRING))),
        ("set[any]", SetOf(ANY)),
        ("object[string: number]", ObjectOf((), STRING, NUMBER)),
        ("record[a: string; any: any]", ObjectOf((("a", STRING),), ANY, ANY)),
    ],
)
def test_type_notation(text: str, kind: object) -> None:
    assert parse_type(text) == kind


@pytest.mark.parametrize("text", ["", "numbr", "array[", "array[number", "number number", "a -> b"])
def test_wrong_type_notation_is_an_error(text: str) -> None:
    with pytest.raises(SignatureError):
        parse_type(text)


def test_a_signature_needs_an_arrow() -> None:
    with pytest.raises(SignatureError):
        parse_signature("number, number")


def test_case_table_is_the_one_of_this_unicode_version() -> None:
    committed = (SOURCES / "b_case_table.h").read_text("ascii")
    row = re.compile(r"\{0x[0-9A-F]+, 0x[0-9A-F]+, \d, -?\d+\}")
    ours, theirs = set(row.findall(header())), set(row.findall(committed))
    assert ours and len(ours ^ theirs) <= len(theirs) // 20  # another Python may know new letters


def _bare(kind: Any) -> Any:
    """A type of OPA's capability file without names, descriptions and unions of one."""
    if isinstance(kind, list):
        return [_bare(item) for item in kind]
    if not isinstance(kind, dict):
        return kind
    bare = {k: _bare(v) for k, v in kind.items() if k not in ("name", "description")}
    if bare.get("type") == "any" and len(bare.get("of", [])) == 1:
        return bare["of"][0]
    return bare


@needs_opa
def test_types_are_those_of_opa() -> None:
    done = subprocess.run(
        [str(OPA), "capabilities", "--current"], capture_output=True, check=True, timeout=60
    )
    theirs = {b["name"]: _bare(b["decl"]) for b in json.loads(done.stdout)["builtins"]}
    wrong = {}
    for name, builtin in REGISTRY.items():
        if name in theirs and name not in ("print", "internal.print"):
            mine = [type_to_json(t) for t in builtin.args], type_to_json(builtin.result)
            if mine != (theirs[name].get("args", []), theirs[name]["result"]):
                wrong[name] = mine
    assert wrong == {}
    assert set(theirs) - set(REGISTRY) - set(UNSERVED) == {"internal.test_case"}


@needs_opa
def test_flags_are_those_of_opa() -> None:
    done = subprocess.run(
        [str(OPA), "capabilities", "--current"], capture_output=True, check=True, timeout=60
    )
    flags = ("infix", "relation", "nondeterministic")
    mine = {b["name"]: [b.get(f) for f in flags] for b in entries()}
    theirs = {b["name"]: [b.get(f) for f in flags] for b in json.loads(done.stdout)["builtins"]}
    assert {n for n in mine.keys() & theirs.keys() if mine[n] != theirs[n]} == set()


def entries() -> list[dict[str, Any]]:
    listed = capabilities()["builtins"]
    assert isinstance(listed, list)
    return listed


def test_the_capability_file_is_that_of_the_registry() -> None:
    assert FILE.read_text("ascii") == text()


def test_capabilities_hide_what_only_the_compiler_calls() -> None:
    names = {entry["name"] for entry in entries()}
    assert "internal.regex_compile" not in names
    assert {"count", "sprintf", "regex.match", "time.now_ns"} <= names

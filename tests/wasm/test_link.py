"""The linked module is OPA's ABI 1.3; the runtime's index belongs to the runtime."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cupcake.engine.api import compile_policy
from cupcake.engine.artifact import Artifact
from cupcake.engine.wasm.decode import decode
from cupcake.engine.wasm.image import INDEX_FILE, RUNTIME_FILE, build_image, make_index
from cupcake.engine.wasm.split import SHARED, shipped_core

RUNTIME = Path(__file__).resolve().parents[2] / "engine" / "runtime"
ABI_FUNCTIONS = {
    "opa_eval", "eval", "builtins", "entrypoints", "opa_malloc", "opa_free", "opa_json_parse", "opa_json_dump",
    "opa_value_parse", "opa_value_dump", "opa_heap_ptr_get", "opa_heap_ptr_set", "opa_value_add_path",
    "opa_value_remove_path", "opa_eval_ctx_new", "opa_eval_ctx_set_input", "opa_eval_ctx_set_data",
    "opa_eval_ctx_set_entrypoint", "opa_eval_ctx_get_result", "opa_heap_blocks_stash",
    "opa_heap_blocks_restore", "opa_heap_stash_clear",
}  # fmt: skip
#: With them our VM takes operands of builtins, whose bytes OPA's text cannot hold.
OWN_FUNCTIONS = {"rt_read", "rt_write"}
POLICY = """package a
p := input.x + data.k
q contains sprintf("%s=%d", [k, v]) if some k, v in input.o
m if regex.match("^a+b$", input.s)
c := 1 if input.a
c := 2 if input.b
w := y if y := p with input.x as 100
"""
ENTRYPOINTS = ("a/p", "a/q", "a/m", "a/c", "a/w")


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return compile_policy({"a.rego": POLICY}, {"k": 10}, ENTRYPOINTS)


def test_the_linked_module_exports_the_abi_and_two_functions_for_our_vm(artifact: Artifact) -> None:
    exports = {e.name: e.kind for e in decode(artifact.wasm).exports}
    wanted = dict.fromkeys(ABI_FUNCTIONS | OWN_FUNCTIONS, "func") | {
        "memory": "memory",
        "opa_wasm_abi_version": "global",
        "opa_wasm_abi_minor_version": "global",
    }
    assert exports == wanted


def test_the_linked_module_says_abi_1_3(artifact: Artifact) -> None:
    module = decode(artifact.wasm)
    values = {e.name: module.globals[e.index].init for e in module.exports if e.kind == "global"}
    assert values == {"opa_wasm_abi_version": 1, "opa_wasm_abi_minor_version": 3}


def test_the_linked_module_imports_only_from_env(artifact: Artifact) -> None:
    imports = {(i.module, i.name) for i in decode(artifact.wasm).imports}
    assert ("env", "memory") in imports
    assert imports <= {
        ("env", n)
        for n in ("memory", "opa_abort", "opa_println", *(f"opa_builtin{i}" for i in range(5)))
    }


def test_the_policy_module_imports_from_exactly_its_core(artifact: Artifact) -> None:
    core = shipped_core()
    assert [(i.module, i.name) for i in decode(artifact.wasm_owned).imports] == [
        (core.namespace, "abort"),
        (core.namespace, "host"),
    ]
    assert artifact.core == core.wasm


def test_the_core_takes_from_the_policy_what_the_policy_shares(artifact: Artifact) -> None:
    exports = [e.name for e in decode(artifact.wasm_owned).exports]
    imports = decode(shipped_core().wasm).imports
    assert tuple(i.name for i in imports) == SHARED
    assert set(SHARED) < set(exports)


def test_no_two_data_segments_overlap(artifact: Artifact) -> None:
    for wasm in (artifact.wasm, artifact.wasm_owned):
        end = 0
        for segment in sorted(decode(wasm).data, key=lambda s: s.offset):
            assert segment.offset >= end
            end = segment.offset + len(segment.data)


def test_the_index_was_made_from_the_runtime_beside_it() -> None:
    """When this fails, run `python -m cupcake.engine.wasm.image` and commit the index with the runtime."""
    wasm = (RUNTIME / RUNTIME_FILE).read_bytes()
    assert (RUNTIME / INDEX_FILE).read_bytes() == make_index(wasm)


def test_an_index_of_another_runtime_is_not_used() -> None:
    wasm = (RUNTIME / RUNTIME_FILE).read_bytes()
    stale = json.loads(make_index(wasm)) | {"runtime": "0" * 64, "sites": []}
    assert build_image(wasm, json.dumps(stale).encode()).sites == build_image(wasm).sites

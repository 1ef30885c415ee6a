"""abi.h and abi.py say the same, and the module exports what ABI.md promises."""

from __future__ import annotations

import re
from pathlib import Path

import wasmtime

from cupcake.engine.runtime import abi

RUNTIME = Path(__file__).resolve().parents[2] / "engine" / "runtime"

PROMISED_TEXT = """
rt_int rt_array rt_array_push rt_object rt_object_put rt_object_put_once rt_set rt_set_put rt_get rt_type rt_len
rt_iter_key rt_iter_value rt_equal rt_compare rt_is_true rt_object_merge rt_with rt_fail rt_read rt_write
opa_malloc opa_free opa_json_parse opa_json_dump opa_value_parse opa_value_dump opa_heap_ptr_get opa_heap_ptr_set
opa_value_add_path opa_value_remove_path opa_eval_ctx_new opa_eval_ctx_set_input opa_eval_ctx_set_data
opa_eval_ctx_set_entrypoint opa_eval_ctx_get_result opa_heap_blocks_stash opa_heap_blocks_restore opa_heap_stash_clear
rt_heap_start rt_regex_table rt_regex_count rt_glob_table rt_glob_count rt_regex_compile_id rt_zoned_ids rt_error_id rt_strict __heap_base
"""
PROMISED = PROMISED_TEXT.split()


def header_constants() -> dict[str, int]:
    text = (RUNTIME / "abi.h").read_text()
    found = re.findall(r"^#define RT_(\w+)[ \t]+(\S+)$", text, re.MULTILINE)
    return {name: int(value, 0) for name, value in found}


def test_python_constants_are_those_of_the_header() -> None:
    python = {name: value for name, value in vars(abi).items() if name.isupper()}
    assert python == header_constants()
    assert len(python) > 40


def test_module_exports_everything_that_the_contract_names(module: wasmtime.Module) -> None:
    assert set(PROMISED) <= {export.name for export in module.exports}


def test_module_imports_only_opas_host_functions(module: wasmtime.Module) -> None:
    allowed = {"memory", "opa_abort", "opa_println", *(f"opa_builtin{n}" for n in range(5))}
    assert {(i.module, i.name) for i in module.imports} <= {("env", name) for name in allowed}


def test_module_has_no_start_function() -> None:
    """A policy's module is instantiated for each evaluation: its memory image is all the start it needs."""
    assert 8 not in sections()


def sections() -> set[int]:
    data = (RUNTIME / "runtime.wasm").read_bytes()
    at, found = 8, set()
    while at < len(data):
        found.add(data[at])
        size, shift, at = 0, 0, at + 1
        while True:
            byte = data[at]
            size |= (byte & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if byte < 0x80:
                break
        at += size
    return found

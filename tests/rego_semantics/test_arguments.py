"""Arguments of the Python calls that are no texts, versions or lists: each is refused with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cupcake.engine import EngineError, compile_policy, query

_TEXT = "package a\n\nx := 1\n"
_CALLS: dict[str, tuple[Callable[[Any], object], Any, str]] = {
    "bytes for a text": (lambda m: compile_policy(m, {}, ["a/x"]), {"a": b"package a"}, "'a'"),
    "a list of modules": (lambda m: compile_policy(m, {}, ["a/x"]), [_TEXT], "by file name"),
    "a text for the modules": (lambda m: query("1", m), _TEXT, "by file name"),
    "a text for the entrypoints": (
        lambda e: compile_policy({"a": _TEXT}, {}, e),
        "a/x",
        r"write \['a/x'\]",
    ),
    "an unknown version": (lambda v: query("1", rego_version=v), "v3", "none of v0, v1 and v2"),
    "a number for a version": (
        lambda v: compile_policy({"a": _TEXT}, {}, ["a/x"], v),
        1,
        "none of v0, v1 and v2",
    ),
}


@pytest.mark.parametrize("name", _CALLS)
def test_a_wrong_argument_is_refused_with_what_to_write(name: str) -> None:
    call, wrong, says = _CALLS[name]
    with pytest.raises(EngineError, match=says):
        call(wrong)

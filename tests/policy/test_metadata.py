"""Heads of policy files: package, METADATA block, routing."""

from __future__ import annotations

import pytest

from cupcake.engine.policy.metadata import BadMetadata, read_head
from cupcake.engine.policy.routing import Routing

FULL = """\
# METADATA
# scope: package
# title: A title
# authors: ["A <a@example.org>"]
# custom:
#   severity: HIGH
#   id: X-1
#   whatever: {a: [1]}
#   routing:
#     required_events: ["PreToolUse", "PostToolUse", "PreToolUse"]
#     required_tools: [Bash, "mcp__a__b"]
#     required_signals: ["s"]
package cupcake.policies.full
"""

GOOD = {
    "full": (FULL, "cupcake.policies.full", Routing(("PreToolUse", "PostToolUse"), ("Bash", "mcp__a__b"), ("s",))),
    "no block": ("package a.b\n", "a.b", None),
    "no routing": ("# METADATA\n# title: x\npackage a\n", "a", None),
    "routing null": ("# METADATA\n# custom: {routing: }\npackage a\n", "a", None),
    "empty routing": ("# METADATA\n# custom: {routing: {}}\npackage a\n", "a", Routing()),
    "empty lists": ("# METADATA\n# custom: {routing: {required_tools: []}}\npackage a\n", "a", Routing()),
    "after the package": (
        "package a\n# METADATA\n# custom: {routing: {required_events: [E]}}\n", "a", Routing(("E",)),
    ),
    "indented, CRLF, a bare # line": (
        "  # METADATA\r\n  #\r\n  # custom:\r\n  #   routing:\r\n  #     required_events: [E]\r\n\r\npackage a\r\n",
        "a",
        Routing(("E",)),
    ),
    "only the first block counts": (
        "# METADATA\n# custom: {routing: {required_events: [E]}}\n\npackage a\n# METADATA\n# custom: {routing: 7}\n",
        "a",
        Routing(("E",)),
    ),
    "a blank line ends the block": (
        "# METADATA\n# title: x\n\n# custom: {routing: {required_events: [E]}}\npackage a\n", "a", None,
    ),
    "not quite the word": ("# METADATA x\n# custom: {routing: {required_events: [E]}}\npackage a\n", "a", None),
    "package with a comment": ("package   a.b # c\n", "a.b", None),
}  # fmt: skip

BAD = {
    "no package": ("import rego.v1\n", 1, "no package"),
    "indented package": ("  package a\n", 1, "no package"),
    "not YAML": ("# METADATA\n# title: x\n# custom: {a: b: c}\npackage a\n", 3, "not valid YAML"),
    "not a mapping": ("# METADATA\n# - a\npackage a\n", 2, "must be a YAML mapping"),
    "events a string": (
        "# METADATA\n# custom:\n#   routing:\n#     required_events: E\npackage a\n",
        4,
        "custom.routing.required_events in the METADATA block must be a list of strings",
    ),
    "tools of numbers": (
        "# METADATA\n# custom:\n#   routing:\n#     required_events: [E]\n#     required_tools: [1]\npackage a\n",
        5,
        "required_tools",
    ),
    "routing a list": ("# METADATA\n# custom:\n#   routing: []\npackage a\n", 3, "custom.routing"),
    "custom a string": ("# METADATA\n# custom: x\npackage a\n", 2, "custom"),
    "title a number": ("# METADATA\n# title: 7\npackage a\n", 2, "title"),
    "a tag of Python": (
        "# METADATA\n# title: !!python/object/apply:os.getcwd []\npackage a\n",
        2,
        "not valid YAML",
    ),
    "very deep": (
        "# METADATA\n# a: " + "[" * 500 + "]" * 500 + "\npackage a\n",
        2,
        "nested deeper",
    ),
    "billion laughs": (
        "# METADATA\n# a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"# {b}: &{b} [{','.join(['*' + a] * 10)}]\n"
            for a, b in zip("abcdef", "bcdefg", strict=True)
        )
        + "package a\n",
        2,
        "when aliases are expanded",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_head_is_read(name: str) -> None:
    text, package, routing = GOOD[name]
    head = read_head(text)
    assert (head.package, head.routing) == (package, routing)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_head_is_refused_with_its_row(name: str) -> None:
    text, row, fault = BAD[name]
    with pytest.raises(BadMetadata) as refused:
        read_head(text)
    assert fault in str(refused.value)
    if name != "billion laughs":
        assert refused.value.row == row

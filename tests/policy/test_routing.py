"""The routing map as a gate."""

from __future__ import annotations

import pytest

from cupcake.engine.policy.routing import RoutedPolicy, Routing, build_routing

POLICIES = {
    "bare": Routing(("PreToolUse",)),
    "star": Routing(("PreToolUse",), ("*",)),
    "bash": Routing(("PreToolUse",), ("Bash",)),
    "several": Routing(("PreToolUse", "PostToolUse"), ("Edit", "Write")),
    "prompt": Routing(("UserPromptSubmit",)),
    "mcp": Routing(("PreToolUse",), ("mcp__github__create",)),
    "pattern": Routing(("PreToolUse",), ("mcp__github__.*",)),
    "star and more": Routing(("PostToolUse",), ("Bash", "*")),
    "nothing": Routing(),
}

TABLE: list[tuple[tuple[str, ...], str | None, set[str]]] = [
    (("PreToolUse",), "Bash", {"bare", "star", "bash"}),
    (("PreToolUse",), "bash", {"bare", "star"}),
    (("PreToolUse",), "Edit", {"bare", "star", "several"}),
    (("PreToolUse",), "mcp__github__create", {"bare", "star", "mcp"}),
    (("PreToolUse",), "mcp__github__.*", {"bare", "star", "pattern"}),
    (("PreToolUse",), None, {"bare", "star"}),
    (("PostToolUse",), "Write", {"several", "star and more"}),
    (("PostToolUse",), "Glob", {"star and more"}),
    (("UserPromptSubmit",), None, {"prompt"}),
    (("UserPromptSubmit",), "Bash", {"prompt"}),
    (("PreToolUse", "UserPromptSubmit"), None, {"bare", "star", "prompt"}),
    (("Stop",), None, set()),
    (("pretooluse",), "Bash", set()),
    (("*",), "Bash", set()),
]


@pytest.mark.parametrize(("names", "tool", "expected"), TABLE)
def test_who_is_routed(names: tuple[str, ...], tool: str | None, expected: set[str]) -> None:
    routing = build_routing(RoutedPolicy(name, f"{name}.rego", r) for name, r in POLICIES.items())
    routed = [policy.package for policy in routing.route(names, tool)]
    assert set(routed) == expected
    assert len(routed) == len(set(routed))

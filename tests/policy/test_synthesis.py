"""Decision objects, priorities, joined reasons, merged modifications."""

from __future__ import annotations

from typing import Any

import pytest

from cupcake.engine.policy.decision import MALFORMED_RULE_ID, DecisionSet, read_decision_set
from cupcake.engine.policy.synthesis import deep_merge, merge_layers, synthesise


def d(reason: str, severity: str = "HIGH", rule_id: str = "ID", **more: Any) -> dict[str, Any]:
    return {"reason": reason, "severity": severity, "rule_id": rule_id, **more}


def m(
    updated: Any, priority: int = 50, reason: str = "m", rule_id: str = "M", **more: Any
) -> dict[str, Any]:
    return {
        "reason": reason,
        "rule_id": rule_id,
        "priority": priority,
        "updated_input": updated,
        **more,
    }


def read(value: Any) -> DecisionSet:
    return read_decision_set(value, lambda entry: " somewhere")


FINAL: list[tuple[Any, dict[str, Any]]] = [
    ({}, {"Allow": {"context": []}}),
    ({"add_context": ["a", "b"], "unknown": 7}, {"Allow": {"context": ["a", "b"]}}),
    (
        {"halts": [d("h")], "denials": [d("d")], "blocks": [d("b")], "asks": [d("a")]},
        {"Halt": {"reason": "h", "agent_messages": []}},
    ),
    ({"denials": [d("d")], "blocks": [d("b")]}, {"Deny": {"reason": "d", "agent_messages": []}}),
    ({"blocks": [d("b")], "asks": [d("a")]}, {"Block": {"reason": "b", "agent_messages": []}}),
    ({"asks": [d("a")], "modifications": [m({})]}, {"Ask": {"reason": "a", "agent_messages": []}}),
    (
        {"modifications": [m({"x": 1})], "allow_overrides": [d("o")], "add_context": ["c"]},
        {"Modify": {"reason": "m", "updated_input": {"x": 1}, "agent_messages": []}},
    ),
    ({"allow_overrides": [d("o")], "add_context": ["c"]}, {"AllowOverride": {"reason": "o"}}),
    (
        {
            "denials": [
                d("a", agent_context="one"),
                d("b", agent_context=None),
                d("c", agent_context="two"),
            ]
        },
        {
            "Deny": {
                "reason": "Multiple high-severity policy violations detected: [ID] a; [ID] b; [ID] c",
                "agent_messages": ["one", "two"],
            }
        },
    ),
    (
        {"asks": [d("a", "medium", "1"), d("b", "MODERATE", "2"), d("c", "LOW", "3")]},
        {
            "Ask": {
                "reason": "Multiple policy violations detected: [1] a; [2] b",
                "agent_messages": [],
            }
        },
    ),
    (
        {"asks": [d("a", "low"), d("b", "", "2")]},
        {"Ask": {"reason": "Policy guidelines: a; b", "agent_messages": []}},
    ),
    ({"asks": [d("a", "low"), d("b", "Critical")]}, {"Ask": {"reason": "b", "agent_messages": []}}),
    (
        {
            "modifications": [
                m({"a": 1, "n": {"k": "low"}}, 10, "r1", "1", agent_context="first"),
                m({"a": 2, "n": {"k": "high", "l": [1]}}, 200, "r2", "2", agent_context="second"),
                m({"b": 3, "n": {"l": [2]}}, 10, "r3", "3"),
            ]
        },
        {
            "Modify": {
                "reason": "Multiple modifications applied: [2] r2; [1] r1; [3] r3",
                "updated_input": {"a": 2, "n": {"k": "high", "l": [1]}, "b": 3},
                "agent_messages": ["first", "second"],
            }
        },
    ),
]


@pytest.mark.parametrize(("value", "tagged"), FINAL)
def test_the_final_decision_of_a_set(value: Any, tagged: dict[str, Any]) -> None:
    found = read(value)
    assert found.faults == []
    assert synthesise(found).tagged() == tagged


MALFORMED: list[tuple[Any, str]] = [
    (
        {"denials": [{"severity": "HIGH", "rule_id": "X"}]},
        "`deny` decision somewhere: `reason` is missing (rule_id X)",
    ),
    (
        {"asks": [{"reason": "r", "rule_id": "X"}]},
        "`ask` decision somewhere: `severity` is missing (rule_id X)",
    ),
    ({"halts": [d("r", rule_id=7)]}, "`rule_id` is a number"),  # type: ignore[arg-type]
    ({"blocks": [d("r", agent_context=["x"])]}, "`agent_context` is an array"),
    (
        {"denials": ["text"]},
        'a string where an object with reason, severity, rule_id is needed: "text"',
    ),
    ({"denials": [None]}, "null where an object"),
    ({"denials": [True]}, "a boolean where an object"),
    ({"denials": {}}, "`denials` of the aggregation entrypoint is an object, not an array"),
    ({"denials": 0}, "`denials` of the aggregation entrypoint is a number, not an array"),
    ({"halts": None}, "`halts` of the aggregation entrypoint is null, not an array"),
    (
        {"add_context": "text"},
        "`add_context` of the aggregation entrypoint is a string, not an array",
    ),
    (
        {"add_context": [{"a": 1}]},
        'malformed `add_context` somewhere: an object where a string is needed: {"a": 1}',
    ),
    ({"modifications": [m("x")]}, "`updated_input` is a string, not an object"),
    ({"modifications": [{"reason": "r", "rule_id": "X"}]}, "`updated_input` is missing"),
    ({"modifications": [m({}, priority=-1)]}, "`priority` must be an integer from 0 to 255"),
    ({"modifications": [m({}, priority=256)]}, "`priority` must be an integer from 0 to 255"),
    ({"modifications": [m({}, priority=50.5)]}, "`priority` must be an integer"),  # type: ignore[arg-type]
    ({"modifications": [m({}, priority=True)]}, "`priority` must be an integer"),
    ({"modifications": [m({}, severity=1)]}, "`severity` is a number"),
    ([], "the aggregation entrypoint returned an array, not an object"),
    (None, "the aggregation entrypoint returned null, not an object"),
]


@pytest.mark.parametrize(("value", "fault"), MALFORMED)
def test_a_malformed_decision_counts_as_a_denial(value: Any, fault: str) -> None:
    found = read(value)
    assert [fault in told for told in found.faults] == [True]
    final = synthesise(found)
    assert (final.verdict, final.rule_ids) == ("deny", (MALFORMED_RULE_ID,))
    assert fault in final.reason


def test_a_malformed_decision_does_not_void_the_others() -> None:
    found = read({"halts": [d("real")], "denials": [{}, d("also")], "add_context": ["c"]})
    assert (len(found.halts), len(found.denials), found.add_context) == (1, 2, ["c"])
    assert synthesise(found).tagged() == {"Halt": {"reason": "real", "agent_messages": []}}


def test_the_global_layer_stands_first_in_every_list() -> None:
    both = merge_layers(
        read({"asks": [d("g")], "add_context": ["g"]}),
        read({"asks": [d("p")], "add_context": ["p"]}),
    )
    assert [decision.reason for decision in both.asks] == ["g", "p"]
    assert both.add_context == ["g", "p"]


def test_a_deep_merge_keeps_what_is_there_on_a_clash() -> None:
    assert deep_merge(
        {"a": 1, "o": {"x": 1}, "l": [1]}, {"a": {"b": 2}, "o": {"x": 2, "y": 3}, "l": [2]}
    ) == {
        "a": 1,
        "o": {"x": 1, "y": 3},
        "l": [1],
    }

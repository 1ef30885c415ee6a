"""The indexed aggregation gives what the plain walk gives, in the same order, and runs only what can match."""

from __future__ import annotations

from typing import Any

import pytest
from few_builtins import BUILTINS
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import Interpreter
from values import from_json, to_json

from cupcake.engine.plan import ir
from cupcake.engine.plan.planner import plan
from cupcake.engine.plan.verify import verify
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module

AGGREGATION = """
package cupcake.system

evaluate := decision_set if {
    decision_set := {
        "halts": collect_verbs("halt"),
        "denials": collect_verbs("deny"),
        "add_context": collect_verbs("add_context")
    }
}

collect_verbs(verb_name) := result if {
    verb_sets := [value |
        walk(data.cupcake.policies, [path, value])
        path[count(path) - 1] == verb_name
    ]
    all_decisions := [decision |
        some verb_set in verb_sets
        some decision in verb_set
    ]
    result := all_decisions
}

default collect_verbs(_) := []
"""


NOTHING = ir.ConstObject(())


def build(modules: dict[str, str], *, index: bool, data: ir.Const = NOTHING) -> Interpreter:
    checked = check([parse_module(text, name) for name, text in sorted(modules.items())])
    policy = plan(checked, ["cupcake/system/evaluate"], data, index=index)
    verify(policy)
    return Interpreter(policy, BUILTINS)


def both(modules: dict[str, str], event: Any, data: ir.Const = NOTHING) -> Any:
    plain = build(modules, index=False, data=data)
    indexed = build(modules, index=True, data=data)
    event = from_json(event)
    want = to_json(plain.run("cupcake/system/evaluate", event))
    assert to_json(indexed.run("cupcake/system/evaluate", event)) == want
    return want[0]["result"]


GUARDS = [
    "true",
    'input.event == "pre"',
    '"post" == input.event',
    'input.event in {"pre", "post"}',
    'input.event in ["post"]',
    'input.tool = "Bash"',
    'tool := input.tool; tool == "Edit"',
    'input.event == "pre"; input.tool in {"Bash", "Edit"}',
    'not input.event == "pre"',
    'input.event != "pre"',
    "is_pre",
    "input.tool in tools",
    'some t in ["Bash"]; input.tool == t',
    'input.nested.a == "x"',
    "input.event == input.tool",
]
VALUES = [
    '{"id": "%d"}',
    '"s%d"',
    '{"deny": ["inner%d"], "n": 1}',
    '{"context": input.nested, "n": %d}',
    "input.nested.deny",
    "[%d, input.tool]",
    'sprintf("%%s %d", [input.tool])',
]
RULES = [
    "deny contains v if { GUARD; v := VALUE }",
    "halt contains VALUE if { GUARD }",
    "deny contains w if { GUARD; x := VALUE; w = x }",
    "add_context contains VALUE if GUARD",
    'note := VALUE if GUARD else := {"halt": ["e"]}',
    'extra[k] := VALUE if { GUARD; some k in {"deny", "other"} }',
    "facts := VALUE",
    "deep := [y | GUARD; y := VALUE]",
    'obj := {"halt": {"x": VALUE}} if GUARD',
]
FIXED = """
default is_pre := false
is_pre if input.event == "pre"
tools := {"Bash", "Write"}
"""
NAMES = ["a", "b", "deny", "halt", "zz"]


@st.composite
def policy_sets(draw: Any) -> dict[str, str]:
    modules = {"evaluate.rego": AGGREGATION}
    paths = draw(
        st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2), min_size=1, max_size=4)
    )
    taken: set[tuple[str, ...]] = set()
    number = 0
    for at, path in enumerate(paths):
        # a package may not lie below a rule or the other way round: only leaf packages get rules
        key = tuple(
            f"p{at}" if depth == 0 and path[0] == "a" else name for depth, name in enumerate(path)
        )
        if any(key[: len(t)] == t or t[: len(key)] == key for t in taken):
            continue
        taken.add(key)
        lines = [f"package cupcake.policies.{'.'.join(key)}", FIXED]
        once: set[str] = set()
        for _ in range(draw(st.integers(1, 4))):
            rule = draw(st.sampled_from(RULES))
            name = rule.split()[0].split("[")[0]
            if name in once and "contains" not in rule:
                continue
            once.add(name)
            value = draw(st.sampled_from(VALUES))
            number += 1
            value = value % number if "%d" in value else value
            guard = draw(st.sampled_from(GUARDS))
            if "if GUARD" in rule and ";" in guard:
                guard = "{ " + guard + " }"
            lines.append(rule.replace("GUARD", guard).replace("VALUE", value))
        modules[f"m{at}.rego"] = "\n".join(lines)
    return modules


EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["pre", "post", "other", 1]),
        "tool": st.sampled_from(["Bash", "Edit", "Write", None]),
        "nested": st.sampled_from(
            [{"a": "x"}, {"deny": ["in"], "a": "x"}, {"b": {"halt": ["h"]}}, "x"]
        ),
    },
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(policy_sets(), EVENTS)
def test_the_index_changes_no_result_and_no_order(modules: dict[str, str], event: Any) -> None:
    both(modules, event)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(policy_sets(), EVENTS)
def test_base_data_under_the_prefix_is_walked_too(modules: dict[str, str], event: Any) -> None:
    base = ir.ConstObject(
        (
            (
                "cupcake",
                ir.ConstObject((("policies", ir.ConstObject((("deny", ir.ConstArray(("d",))),))),)),
            ),
        )
    )
    assert "d" in both(modules, event, base)["denials"]


def policies(count: int, event: str) -> dict[str, str]:
    return {
        f"{event}{number}.rego": f"""package cupcake.policies.{event}{number}
deny contains d if {{
    input.event == "{event}"
    input.tool == "Bash"
    d := {{"id": "{event}{number}", "why": input.tool}}
}}
"""
        for number in range(count)
    }


def test_policies_for_other_events_are_not_run() -> None:
    event = from_json({"event": "pre", "tool": "Bash"})
    machines = []
    for unrelated in (0, 50):
        modules = {"e.rego": AGGREGATION, **policies(10, "pre"), **policies(unrelated, "post")}
        machine = build(modules, index=True)
        (result,) = to_json(machine.run("cupcake/system/evaluate", event))
        assert [d["id"] for d in result["result"]["denials"]] == [f"pre{n}" for n in range(10)]
        machines.append(machine)
    few, many = machines
    assert not [name for name in many.calls if "post" in name]
    assert many.steps == few.steps


def size(policy: ir.Policy) -> int:
    def blocks(all_blocks: Any) -> int:
        return sum(stmts(block) for block in all_blocks)

    def stmts(block: ir.Block) -> int:
        total = 0
        for stmt in block.stmts:
            total += 1
            match stmt:
                case ir.BlockStmt():
                    total += blocks(stmt.blocks)
                case ir.ScanStmt() | ir.NotStmt() | ir.WithStmt():
                    total += stmts(stmt.block)
                case ir.SwitchStmt():
                    total += blocks(inner for _, inner in stmt.cases) + stmts(stmt.default)
        return total

    return sum(blocks(func.blocks) for func in policy.funcs)


def test_code_grows_linearly_with_the_rules() -> None:
    sizes = []
    for count in (20, 40, 80):
        mixed = {"e.rego": AGGREGATION, **policies(count, "pre"), **policies(count, "post")}
        mixed["open.rego"] = "package cupcake.policies.open\n" + "\n".join(
            f'deny contains "d{number}" if input.x == {number}' for number in range(count)
        )
        sizes.append(size(build(mixed, index=True).policy))
    assert sizes[2] - sizes[1] <= 2 * (sizes[1] - sizes[0]) * 1.05


@pytest.mark.parametrize(
    "change",
    [
        ("some decision in verb_set\n", "some decision in verb_set; count(verb_sets) > 0\n"),
        ("some decision in verb_set\n", "decision := verb_set\n"),
        ("result := all_decisions", "result := verb_sets"),
        ("some verb_set in verb_sets", "some i, verb_set in verb_sets; i >= 0"),
        ("count(path) - 1]", "count(path) - 2]"),
    ],
)
def test_an_aggregation_written_otherwise_is_honoured_as_written(change: tuple[str, str]) -> None:
    source = AGGREGATION.replace(*change)
    assert source != AGGREGATION
    modules = {"e.rego": source, **policies(3, "pre"), **policies(2, "post")}
    both(modules, {"event": "pre", "tool": "Bash"})


INLINE = """
package cupcake.system

evaluate := {"denials": denials}

denials := [d |
    found := [v | walk(data.cupcake.policies, [p, v]); "deny" == p[count(p) - 1]]
    some s in found
    some d in s
]
"""


@pytest.mark.parametrize(
    ("source", "prefix"),
    [
        (AGGREGATION, "policies"),
        (
            AGGREGATION.replace("verb_sets", "xs").replace("path", "at").replace("value", "v"),
            "policies",
        ),
        (AGGREGATION.replace("cupcake.policies", "cupcake.global.policies"), "global.policies"),
        (AGGREGATION.replace("some verb_set in", "some _, verb_set in"), "policies"),
    ],
    ids=["stock", "other names", "global", "key ignored"],
)
def test_the_stock_aggregation_is_recognised(source: str, prefix: str) -> None:
    modules = {"e.rego": source, **policies(3, "pre"), **policies(2, "post")}
    modules = {
        name: text.replace("package cupcake.policies", f"package cupcake.{prefix}")
        for name, text in modules.items()
    }
    event = {"event": "pre", "tool": "Bash"}
    assert len(both(modules, event)["denials"]) == 3
    machine = build(modules, index=True)
    machine.run("cupcake/system/evaluate", from_json(event))
    assert f'g0.data.cupcake.{prefix}//"deny"' in machine.calls
    assert not [name for name in machine.calls if "post" in name]


def test_an_aggregation_without_a_helper_function_stays_right() -> None:
    modules = {"e.rego": INLINE, **policies(3, "pre"), **policies(2, "post")}
    assert len(both(modules, {"event": "pre", "tool": "Bash"})["denials"]) == 3


def test_a_mocked_policy_is_walked_as_written() -> None:
    source = (
        AGGREGATION
        + """
mocked := evaluate with data.cupcake.policies.pre0 as {"deny": ["m"]}
"""
    )
    source = source.replace("evaluate := decision_set if", "real := decision_set if").replace(
        "mocked := evaluate with", "evaluate := x if x := real with"
    )
    modules = {"e.rego": source, **policies(2, "pre")}
    denials = both(modules, {"event": "pre", "tool": "Bash"})["denials"]
    assert denials[0] == "m"
    assert denials[1]["id"] == "pre1"

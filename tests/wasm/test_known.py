"""What is known of operands while a policy is compiled: patterns from constant collections are compiled with it, and calls that
cannot name a time zone need no host. The answers are the same."""

from __future__ import annotations

import pytest

from cupcake.engine import UNDEFINED, compile_policy, load

TEXTS = ["rm -rf /", "git push", "a.tmp", "src/x.go", ""]

# body of a comprehension over texts `t` -> whether the host has to compile patterns at run time
BODIES = {
    'some p in ["^rm", "push$"]; regex.match(p, t)': False,
    'some _, p in {"a": "^rm", "b": "push$"}; regex.match(p, t)': False,
    'some p, _ in {"^rm": 1, "push$": 2}; regex.match(p, t)': False,
    'some p in {"^rm", "push$"}; regex.match(p, t)': False,
    "some p in patterns; regex.match(p, t)": False,
    "some name; p := table[name]; regex.match(p, t)": False,
    'p := table["one"]; regex.match(p, t)': False,
    "regex.match(single, t)": False,
    "some g in globs; glob.match(g, [], t)": False,
    'some g in globs; glob.match(g, ["/"], t)': False,
    "some g in globs; glob.match(g, null, t)": False,
    "some p in input.patterns; regex.match(p, t)": True,
    "some p in mixed; regex.match(p, t)": True,
    'some p in ["(", "^rm"]; regex.match(p, t)': True,
    "some p in chosen; regex.match(p, t)": True,
}

MODULE = """package a
import rego.v1

single := "^rm"
patterns := ["^rm", "push$"]
table := {"one": "^rm", "two": "push$"}
globs := {"*.tmp", "src/**", "*"}
mixed := ["^rm", input.patterns[0]]
chosen := ["^rm"] if input.patterns
chosen := ["push$"] if not input.patterns

result := [t | some t in input.texts; %s]
"""


@pytest.mark.parametrize("body", BODIES)
def test_answers_are_those_of_patterns_from_input(body: str) -> None:
    artifact = compile_policy({"a.rego": MODULE % body}, entrypoints=("a/result",))
    assert ("internal.regex_compile" in artifact.builtins) is BODIES[body]
    found = load(artifact).evaluate("a/result", {"texts": TEXTS, "patterns": ["^rm", "push$"]})
    hidden = body
    for name in ("patterns", "table", "globs", "single"):
        hidden = hidden.replace(f" {name}", f" input.{name}").replace(f"({name}", f"(input.{name}")
    event = {
        "texts": TEXTS,
        "patterns": ["^rm", "push$"],
        "table": {"one": "^rm", "two": "push$"},
        "globs": ["*", "*.tmp", "src/**"],
        "single": "^rm",
    }
    hidden = hidden.replace("input.input", "input")
    other = compile_policy({"a.rego": MODULE % hidden}, entrypoints=("a/result",))
    assert load(other).evaluate("a/result", event) == found


def test_a_replaced_constant_rule_is_replaced() -> None:
    module = """package a
import rego.v1
words := ["^rm"]
hit if { some w in words; regex.match(w, input) }
result if { hit with data.a.words as ["push$"] }
"""
    policy = load(compile_policy({"a.rego": module}, entrypoints=("a/result", "a/hit")))
    assert policy.evaluate("a/hit", "rm x") is True
    assert policy.evaluate("a/result", "git push") is True
    assert policy.evaluate("a/result", "rm x") is UNDEFINED


# A call -> whether it may come to the host.
CALENDAR = {
    "time.clock(0)": False,
    "time.clock(1.5e18)": False,
    "time.clock(time.now_ns())": False,
    'time.clock([0, "UTC"])': False,
    'time.clock([time.now_ns(), ""])': False,
    'time.clock([input.ns, "UTC"])': False,
    "time.weekday(now)": True,
    "time.weekday(time.parse_rfc3339_ns(input.at))": False,
    'ns := time.parse_rfc3339_ns(input.at); x := time.date([ns, "UTC"])': False,
    "time.add_date(time.now_ns(), 0, 1, 0)": False,
    'time.diff(time.now_ns(), [0, ""])': False,
    "time.clock(input.ns)": True,
    'time.clock([0, "Asia/Tokyo"])': True,
    "time.clock([0, input.zone])": True,
    'some zone in ["", "Asia/Tokyo"]; x := time.clock([0, zone])': True,
    'x := time.clock([y | some y in [0, "Asia/Tokyo"]])': True,
    'time.diff(0, [0, "Asia/Tokyo"])': True,
}


@pytest.mark.parametrize("body", CALENDAR)
def test_the_host_is_asked_only_where_there_may_be_a_time_zone(body: str) -> None:
    module = f"package a\nnow := input.ns\nresult if {{ {body} }}"
    artifact = compile_policy({"a.rego": module}, entrypoints=("a/result",))
    called = {
        name for name in artifact.builtins if name.startswith("time.") and name != "time.now_ns"
    }
    assert bool(called) is CALENDAR[body]
    given = {"ns": 0, "zone": "Asia/Tokyo", "at": "2024-01-02T03:04:05Z"}
    assert load(artifact).evaluate("a/result", given) is True

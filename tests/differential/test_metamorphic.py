"""Changes that must not change what a program means, on random programs. Needs no OPA."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from comparison import Found, canonical, ours
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programs import programs
from source import Module, Program

_COUNT = int(os.environ.get("CUPCAKE_METAMORPHIC", "25"))
Change = Callable[[Program, random.Random], Program]
settings.register_profile(
    "metamorphic",
    max_examples=_COUNT,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def renamed(source: Program, choose: random.Random) -> Program:
    """Variables with other names, in another order of names."""

    def name(match: re.Match[str]) -> str:
        return f"w{1000 - int(match[1])}"

    return _rules(source, lambda rules: [re.sub(r"\bv(\d+)\b", name, rule) for rule in rules])


def shuffled(source: Program, choose: random.Random) -> Program:
    """Rules in another order; the definitions of one rule keep theirs, so that the same error comes first."""

    def other(rules: list[str]) -> list[str]:
        groups: dict[str, list[str]] = {}
        for rule in rules:
            groups.setdefault(
                re.sub(r"^default ", "", rule).split("[")[0].split(" ")[0], []
            ).append(rule)
        order = list(groups)
        choose.shuffle(order)
        return [rule for name in order for rule in groups[name]]

    return _rules(source, other)


def split(source: Program, choose: random.Random) -> Program:
    """Every module in two."""
    modules: list[Module] = []
    for module in source.modules:
        at = choose.randrange(len(module.rules) + 1)
        modules += [
            replace(module, rules=rules) for rules in (module.rules[:at], module.rules[at:])
        ]
    return replace(source, modules=tuple(modules))


def with_strangers(source: Program, choose: random.Random) -> Program:
    """More packages and rules that nothing refers to."""
    stranger = Module(
        "stranger.x",
        ("import rego.v1",),
        ('stranger if input.s == "a"', "other contains 1 if true"),
    )
    return replace(source, modules=(*source.modules, stranger))


def with_blocks(source: Program, choose: random.Random) -> Program:
    """Bodies that also say that 1 is 1."""
    return _rules(
        source, lambda rules: [rule.replace("{\n\t", "{\n\t1 == 1\n\t") for rule in rules]
    )


def reordered(source: Program, choose: random.Random) -> Program:
    """Statements of bodies in another order."""

    def block(match: re.Match[str]) -> str:
        lines = match[1].split("\n\t")
        choose.shuffle(lines)
        return "{\n\t" + "\n\t".join(lines) + "\n}"

    return _rules(
        source,
        lambda rules: [re.sub(r"\{\n\t((?s:.*?))\n\}", block, rule) for rule in rules],
    )


def _rules(source: Program, change: Callable[[list[str]], list[str]]) -> Program:
    modules = (replace(m, rules=tuple(change(list(m.rules)))) for m in source.modules)
    return replace(source, modules=tuple(modules))


def meaning(found: Found, *, errors: bool) -> dict[str, str] | None:
    """What a program gives at its paths; None when it is refused, or (without `errors`) nothing where it fails."""
    if isinstance(found, list):
        return None
    shown = {}
    for path, outcome in found.items():
        if outcome[0] == "value":
            shown[path] = canonical(outcome[1])
        elif outcome[0] == "undefined" or errors:
            shown[path] = str(outcome[:2])
    return shown


@pytest.mark.parametrize("change", [renamed, shuffled, split, with_strangers, with_blocks])
def test_a_change_that_means_nothing_changes_nothing(change: Change) -> None:
    @settings(settings.get_profile("metamorphic"))
    @given(source=programs(), seed=st.integers(0, 1000))
    def check(source: Program, seed: int) -> None:
        changed = change(source, random.Random(seed))
        before, after = ours(source), ours(changed)
        assert meaning(before, errors=True) == meaning(after, errors=True), changed.show()

    check()


def test_the_order_of_statements_changes_no_value() -> None:
    """It may change whether a program is refused (a variable used above its :=), and what fails first."""

    @settings(settings.get_profile("metamorphic"))
    @given(source=programs(), seed=st.integers(0, 1000))
    def check(source: Program, seed: int) -> None:
        changed = reordered(source, random.Random(seed))
        before = meaning(ours(source), errors=False)
        after = meaning(ours(changed), errors=False)
        if before is not None and after is not None:
            shared = before.keys() & after.keys()
            assert {p: before[p] for p in shared} == {p: after[p] for p in shared}, changed.show()

    check()


_SET_RULE = re.compile(r"(r\d+) contains ((?s:.*)) if \{\n((?s:.*))\n\}")


def test_a_set_rule_is_a_set_comprehension() -> None:
    @settings(settings.get_profile("metamorphic"))
    @given(source=programs())
    def check(source: Program) -> None:
        paths: dict[str, str] = {}
        modules = []
        for module in source.modules:
            rules = list(module.rules)
            for rule in module.rules:
                match = _SET_RULE.fullmatch(rule)
                if match and sum(other.startswith(f"{match[1]} ") for other in rules) == 1:
                    name, member, body = match.groups()
                    rules.append(f"{name}c := {{x | {body}\nx := {member}}}")
                    path = f"{module.package.replace('.', '/')}/{name}"
                    paths[path] = f"{path}c"
            modules.append(replace(module, rules=tuple(rules)))
        asked = (*paths, *paths.values())
        found = ours(replace(source, modules=tuple(modules), paths=asked))
        if isinstance(found, dict):
            shown = meaning(found, errors=False) or {}
            for path, other in paths.items():
                if path in shown and other in shown:
                    assert shown[path] == shown[other], source.show()

    check()

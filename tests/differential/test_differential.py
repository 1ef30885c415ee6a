"""Random programs mean the same to OPA and to us.

200 programs in the suite; CUPCAKE_DIFFERENTIAL=N compares N, CUPCAKE_DIFFERENTIAL_FIRST is the first seed.
`explore.py` shows the differences, shrunk.
"""

from __future__ import annotations

import os

import pytest
from comparison import Difference, Program, differences, without_faults
from random_programs import program
from reference import executable, running

_COUNT = int(os.environ.get("CUPCAKE_DIFFERENTIAL", "200"))
_FIRST = int(os.environ.get("CUPCAKE_DIFFERENTIAL_FIRST", "0"))


def known(difference: Difference, source: Program) -> str:
    """Why a difference is expected, empty when it is not."""
    ours, theirs = difference.ours, difference.theirs
    assert isinstance(ours, tuple) and isinstance(theirs, tuple)
    if ours[0] == theirs[0] == "refused":
        return "both refuse it; OPA stops at another error"
    if ours[0] == "accepted" and set(difference.kind()[1:]) == {"refused", "rego_type_error"}:
        return "the type of an operand of a user's function is not inferred"
    if ours[0] == "accepted" and "rego_unsafe_var_error" in difference.kind():
        return "OPA looks for variables of one closure in another"
    if ours[0] == "error":
        return "OPA skips a rule, or stops, before the statement that fails"
    if theirs[0] == "accepted" and difference.kind()[:2] == ("refused", "rego_unsafe_var_error"):
        return "OPA orders a call under `not` or `with` before what it is in; we call it unsafe"
    text = "".join(source.texts().values())
    if ours[0] == "value" and "} else := " in text and ".g" in text:
        return "OPA drops the else value of a rule with a ref head beside one with a variable key"
    if "yaml.marshal" in text and ours[0] == theirs[0] == "value":
        return "another style of quotes in YAML"
    return ""


def test_random_programs_give_what_they_give_in_opa() -> None:
    opa = executable()
    if opa is None:
        pytest.skip("no opa 1.7 executable on the path to compare with")
    unexpected: dict[int, list[Difference]] = {}
    compared = 0
    with running(opa) as reference:
        for seed in range(_FIRST, _FIRST + _COUNT):
            source = program(seed)
            found = [d for d in differences(source, reference) if not known(d, source)]
            # A program that OPA refuses is compared once more without what it refuses.
            accepted = without_faults(source, reference)
            if accepted is not source:
                found += [d for d in differences(accepted, reference) if not known(d, accepted)]
            compared += 1
            if found:
                unexpected[seed] = found
    assert compared == _COUNT
    assert not unexpected


def test_a_seed_always_gives_the_same_program() -> None:
    assert program(7) == program(7)
    assert program(7).texts() != program(8).texts()

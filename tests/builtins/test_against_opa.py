"""Every builtin answers as the newest OPA: on request here (CUPCAKE_BUILTIN_CALLS=20), thousands by `against_opa.py` as a script."""

from __future__ import annotations

import os
import random
import shutil

import pytest
from against_opa import cases, compare, explained, names
from reference import Opa, running
from test_calls import needs_opa

CALLS = int(os.environ.get("CUPCAKE_BUILTIN_CALLS", "0"))


@needs_opa
@pytest.mark.skipif(
    CALLS == 0, reason="long: set CUPCAKE_BUILTIN_CALLS to the calls of each builtin"
)
def test_every_builtin_answers_as_opa() -> None:
    opa = shutil.which("opa")
    assert opa is not None
    wrong = []
    with running(Opa(opa, (1, 22))) as reference:
        for name in names(""):
            calls = list(cases(name, CALLS, random.Random(f"0:{name}")))
            wrong += [d for d in compare(reference, name, calls) if not explained(*d)]
    assert wrong == []


def test_operands_of_every_builtin_are_terms() -> None:
    """Also where no OPA is installed: the pools hold what both parsers read."""
    from against_opa import operands, value_of

    choose = random.Random(1)
    for name in names(""):
        for _ in range(3):
            for term in operands(name, choose):
                value_of(term)


@pytest.mark.parametrize("name", ["count", "json.patch", "semver.compare"])
def test_ours_answers_without_opa(name: str) -> None:
    from against_opa import ours

    for _, terms in cases(name, 5, random.Random(2)):
        assert ours(name, terms)[0] in ("value", "undefined", "error")

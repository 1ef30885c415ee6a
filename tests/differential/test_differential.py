"""Random programs mean the same to OPA and to us: value, undefined or error, and where the error is.

Hypothesis draws the programs and shrinks what differs. 100 in the suite; CUPCAKE_DIFFERENTIAL=N compares N, and
CUPCAKE_DIFFERENTIAL_SEED starts from another seed. A program that the newest OPA refuses is compared once more without what
it refuses. Of more than 1000 programs only every fourth is compared with the older OPAs. OPA: `opa` on the PATH, more in CUPCAKE_OPAS. `explore.py` goes on after
the first difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from zlib import crc32

import pytest
from comparison import compare_twice
from hypothesis import HealthCheck, Phase, given, seed, settings
from known import reason
from random_programs import program, programs
from reference import Reference, executables, running
from source import Program

_COUNT = int(os.environ.get("CUPCAKE_DIFFERENTIAL", "100"))
_SEED = int(os.environ.get("CUPCAKE_DIFFERENTIAL_SEED", "0"))


@pytest.fixture(scope="module")
def references() -> Iterator[list[Reference]]:
    opas = executables()
    if not opas:
        pytest.skip("no opa executable to compare with: PATH or CUPCAKE_OPAS")
    if not opas[-1].has_templates:
        pytest.skip("OPA 1.7 alone is not enough: what changed since is as in newer ones")
    with ExitStack() as stack:
        yield [stack.enter_context(running(opa)) for opa in opas]


@seed(_SEED)
@settings(
    max_examples=_COUNT,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(source=programs())
def test_random_programs_give_what_they_give_in_opa(
    references: list[Reference], source: Program
) -> None:
    every = _COUNT <= 1000 or crc32(source.show().encode()) % 4 == 0
    found = compare_twice(source, references if every else references[-1:])
    unexpected = [d for d, of in found if not reason(d, of, references)]
    assert not unexpected, f"{source.show()}\n{unexpected}"


def test_a_seed_always_gives_the_same_program() -> None:
    assert program(7) == program(7)
    assert program(7).texts() != program(8).texts()

"""Lets the tests here import their helpers, and the random programs of the differential tests; the OPA to compare with."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "differential"))


@pytest.fixture(scope="session")
def opa() -> str:
    """The newest OPA, whose layout is the one that counts."""
    from reference import executables

    new = [found.path for found in executables() if found.version >= (1, 22)]
    if not new:
        pytest.skip("no opa executable that is new enough: PATH or CUPCAKE_OPAS")
    return new[-1]

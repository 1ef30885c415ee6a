"""`print(...)` in policies: what `rego eval` and `rego test` show, and every other compile leaves out.

It must not write anywhere itself: the caller hands in where lines go.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from cupcake.engine.builtins.texts import readable
from cupcake.engine.builtins.types import ARRAY, BOOLEAN, Builtin
from cupcake.engine.builtins.values import RegoSet
from cupcake.engine.documents import to_const
from cupcake.engine.plan.pretty import const_text

PRINT = Builtin("internal.print", (ARRAY,), BOOLEAN, home="host", deterministic=False)
_UNDEFINED = "<undefined>"


def printer(line: Callable[[str], object]) -> Callable[[list[Any]], bool]:
    """The host function of PRINT; it hands over one line for each combination of its operands' values."""

    def show(operands: list[Any]) -> bool:
        for parts in itertools.product(*(list(_texts(operand)) for operand in operands)):
            line(readable(" ".join(parts)))
        return True

    return show


def _texts(operand: Any) -> Iterator[str]:
    """A literal text is itself; everything else is the set of its values, empty when it is undefined."""
    if not isinstance(operand, RegoSet):
        yield operand if isinstance(operand, str) else const_text(to_const(operand))
    elif not operand.items:
        yield _UNDEFINED
    else:
        for value in operand.items:
            yield value if isinstance(value, str) else const_text(to_const(value))

"""Serves the builtins that live in Python: finds them at load, calls them with Python values.

One `HostCalls` belongs to a loaded policy, one `HostSession` to an evaluation: within it, the same call gives the same
answer, as OPA caches `time.now_ns`, `rand.intn` and the like for a query. It must not know wasmtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cupcake.engine.builtins.values import BuiltinError
from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.vm.text import dump_value, parse_value

HostFunction = Callable[..., object]


class HostCalls:
    """The host functions of one policy, by the ids that its module uses."""

    __slots__ = ("by_id", "repeated")

    def __init__(self, wanted: Mapping[str, int], own: Mapping[str, HostFunction]) -> None:
        """`own` functions go before those that ship. LoadError naming every builtin that is wanted and not served."""
        served = own if all(name in own for name in wanted) else {**_shipped(), **own}
        missing = sorted(name for name in wanted if name not in served)
        if missing:
            raise LoadError(
                f"the policy calls {'builtins' if len(missing) > 1 else 'a builtin'} that this host does not serve: "
                f"{', '.join(missing)}. Remove the call, or serve it (load(..., builtins={{name: function}}))"
            )
        # What is shown is shown as often as it is asked for.
        self.repeated = frozenset(n for name, n in wanted.items() if name == "internal.print")
        self.by_id = {number: (name, served[name]) for name, number in wanted.items()}


class HostSession:
    """The calls of one evaluation."""

    __slots__ = ("_answers", "_calls", "_strict")

    def __init__(self, calls: HostCalls, strict: bool) -> None:
        self._calls, self._strict = calls, strict
        self._answers: dict[tuple[int, tuple[str, ...]], str | None] = {}

    def call(self, number: int, operands: tuple[str, ...]) -> str | None:
        """Texts of the operands -> text of the result, None for undefined. EvaluationError ends the evaluation."""
        if number in self._calls.repeated:
            return self._call(number, operands)
        key = (number, operands)
        if key not in self._answers:
            self._answers[key] = self._call(number, operands)
        return self._answers[key]

    def _call(self, number: int, operands: tuple[str, ...]) -> str | None:
        found = self._calls.by_id.get(number)
        if found is None:
            raise EvaluationError(
                "eval_internal_error", f"the module calls a builtin by the unknown id {number}"
            )
        name, function = found
        try:
            return dump_value(function(*(parse_value(o) for o in operands)))
        except BuiltinError as e:
            if e.kind == "undefined" or not self._strict:
                return None
            code = "eval_type_error" if e.kind == "type" else "eval_builtin_error"
            raise EvaluationError(code, e.message) from e
        except EvaluationError:
            raise
        except Exception as e:
            # A defect of a host function must not look like "undefined": a rule would vanish.
            raise EvaluationError(
                "eval_internal_error", f"{name} failed: {type(e).__name__}: {e}"
            ) from e


def _shipped() -> Mapping[str, HostFunction]:
    """The host functions that come with the engine; most policies need none, so they are imported late."""
    from cupcake.engine.builtins import host

    return getattr(host, "HOST", {})

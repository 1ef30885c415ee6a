"""Serves the builtins that live in Python: finds them at load, calls them with Python values.

One `HostCalls` belongs to a loaded policy, one `HostSession` to an evaluation: within it, the same call gives the same
answer, as OPA caches `time.now_ns`, `rand.intn` and the like for a query. It must not know wasmtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from cupcake.engine.builtins.effects import Effects, Outcome, Record, Recorder
from cupcake.engine.builtins.gate import Gate, Gated
from cupcake.engine.builtins.texts import readable
from cupcake.engine.builtins.values import BuiltinError
from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.vm.text import ValueTextError, dump_value, parse_value

HostFunction: TypeAlias = Callable[..., object]

_NO_EFFECTS = Effects()
# What is shown is shown as often as it is asked for.
_REPEATED = frozenset({"internal.print", "internal.event", "internal.error"})


class HostCalls:
    """The host functions of one policy, by the ids that its module uses, and what its evaluations may do."""

    __slots__ = ("by_id", "effectful", "effects", "errors", "rego_version", "repeated", "shared")

    def __init__(
        self,
        wanted: Mapping[str, int],
        own: Mapping[str, HostFunction],
        effects: Effects | None = None,
        rego_version: str = "v1",
    ) -> None:
        """`own` functions go before those that ship. LoadError naming every builtin that is wanted and not served."""
        shipped = {} if all(name in own for name in wanted) else _shipped()
        served: dict[str, HostFunction | Gated] = {**shipped, **own}
        missing = sorted(name for name in wanted if name not in served)
        if missing:
            raise LoadError(
                f"the policy calls {'builtins' if len(missing) > 1 else 'a builtin'} that this host does not serve: "
                f"{', '.join(missing)}. Remove the call, or serve it (load(..., builtins={{name: function}}))"
            )
        self.repeated = frozenset(n for name, n in wanted.items() if name in _REPEATED)
        # Told the errors of builtins that do not end the evaluation, those of the host too.
        self.errors = own.get("internal.error")
        self.by_id = {number: (name, served[name]) for name, number in wanted.items()}
        self.effects = effects or _NO_EFFECTS
        self.rego_version = rego_version
        self.shared: dict[str, Any] = {}
        pure = _deterministic() if shipped else frozenset[str]()
        self.effectful = frozenset(
            n
            for name, n in wanted.items()
            if name not in _REPEATED and (name in own or name not in pure)
        )


class HostSession:
    """The calls of one evaluation. With `replay`, effects are looked up there and none is performed."""

    __slots__ = ("_answers", "_calls", "_effects", "_gate", "_recorder", "_replay", "_seconds", "_strict")  # fmt: skip

    def __init__(
        self,
        calls: HostCalls,
        strict: bool,
        seconds: float = 1.0,
        *,
        effects: Effects | None = None,
        recorder: Recorder | None = None,
        replay: Record | None = None,
    ) -> None:
        self._calls, self._strict, self._seconds = calls, strict, seconds
        self._effects, self._recorder, self._replay = effects, recorder, replay
        self._answers: dict[tuple[int, tuple[str, ...]], Outcome] = {}
        # The gate's clock starts with the evaluation.
        self._gate = self._new_gate() if calls.effectful else None

    def call(self, number: int, operands: tuple[str, ...]) -> str | None:
        """Texts of the operands -> text of the result, None for undefined. EvaluationError ends the evaluation."""
        if number in self._calls.repeated:
            return self._served(self._call(number, operands))
        key = (number, operands)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._answer(number, operands)
        return self._served(found)

    def _served(self, outcome: Outcome) -> str | None:
        if outcome.value is not None:
            return outcome.value
        if outcome.code == "undefined":
            return None
        if not outcome.fatal and not self._strict:
            if self._calls.errors is not None:
                self._calls.errors(outcome.code, outcome.message)
            return None
        raise EvaluationError(outcome.code, outcome.message)

    def _answer(self, number: int, operands: tuple[str, ...]) -> Outcome:
        calls = self._calls
        if number not in calls.effectful:
            return self._call(number, operands)
        name = calls.by_id[number][0]
        if self._replay is not None:
            found = self._replay.find(name, operands)
            if found is None:
                shown = ", ".join(operands)
                raise EvaluationError(
                    "eval_replay_error",
                    f"the record has no call {name}({shown if len(shown) < 200 else shown[:200] + '...'})",
                )
        else:
            found = self._call(number, operands)
        if self._recorder is not None:
            self._recorder.add(name, operands, found)
        return found

    def _call(self, number: int, operands: tuple[str, ...]) -> Outcome:
        found = self._calls.by_id.get(number)
        if found is None:
            raise EvaluationError(
                "eval_internal_error", f"the module calls a builtin by the unknown id {number}"
            )
        name, function = found
        try:
            values = [parse_value(o) for o in operands]
            if isinstance(function, Gated):
                return Outcome(dump_value(function.function(self._the_gate(), *values)))
            return Outcome(dump_value(function(*values)))
        except BuiltinError as e:
            if e.kind == "undefined":
                return Outcome(None, "undefined")
            code = "eval_type_error" if e.kind == "type" else "eval_builtin_error"
            return Outcome(None, code, readable(e.message))
        except ValueTextError as e:  # an operand that Python cannot hold
            return Outcome(None, "eval_builtin_error", readable(f"{name}: {e}"))
        except EvaluationError as e:
            return Outcome(None, e.code, readable(e.message), fatal=True)
        except Exception as e:
            # A defect of a host function must not look like "undefined": a rule would vanish.
            raise EvaluationError(
                "eval_internal_error", readable(f"{name} failed: {type(e).__name__}: {e}")
            ) from e

    def _the_gate(self) -> Gate:
        if self._gate is None:
            self._gate = self._new_gate()
        return self._gate

    def _new_gate(self) -> Gate:
        calls = self._calls
        return Gate(self._effects or calls.effects, self._seconds, calls.shared, calls.rego_version)


def _shipped() -> Mapping[str, HostFunction | Gated]:
    """The host functions that come with the engine; most policies need none, so they are imported late."""
    from cupcake.engine.builtins import host

    return host.HOST


def _deterministic() -> frozenset[str]:
    from cupcake.engine.builtins import host

    return host.DETERMINISTIC

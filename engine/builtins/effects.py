"""What a policy may do beyond computing (`Effects`), and what it did (`Record`). Pure data: who does it is `gate.py`.

An effect is the answer of any builtin that is not deterministic: clock, randomness, network, environment, and the host
functions that a caller adds. A record holds all of an evaluation's, so that the evaluation can be repeated without one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cupcake.engine.errors import EngineError

_FORMAT = 1


class RecordError(EngineError):
    """A text is no record of effects."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What evaluations are allowed. The default is a clock and randomness, and nothing of the machine or the network.

    `allow_net`: the hosts that `http.send` and `net.lookup_ip_addr` may reach, as `host` or `host:port` (no patterns); None
    is every host. A name of this list that resolves to a loopback or link-local address is refused all the same, unless the
    address is in the list too (or the name is localhost): otherwise whoever answers for the name picks a service of this machine.
    `env`: the variables that `opa.runtime().env` shows, and that a request may take certificates from; None is all.
    `config`: what `opa.runtime().config` shows. `time_ns` and `seed` fix the clock and the random numbers.
    `request_seconds`: time of a request that states none; each is also bound by the time limit of its evaluation.
    `response_bytes`: the longest response that is read."""

    allow_net: tuple[str, ...] | None = ()
    env: tuple[str, ...] | None = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    time_ns: int | None = None
    seed: int | None = None
    request_seconds: float = 5.0
    response_bytes: int = 4 << 20

    def allows_host(self, host: str, port: int | None = None) -> bool:
        """Whether the list has the host, or exactly this port of it."""
        if self.allow_net is None:
            return True
        wanted = host.lower().rstrip(".").strip("[]")
        names = {wanted} if port is None else {wanted, f"{wanted}:{port}", f"[{wanted}]:{port}"}
        return any(
            entry.lower() in names or entry.strip("[]") == wanted for entry in self.allow_net
        )

    def shows_variable(self, name: str) -> bool:
        return self.env is None or name in self.env


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call came to: `value` is Rego text, None with an error. `code` "undefined" is no result and no error.
    `fatal` ends the evaluation also where a builtin's error is undefined."""

    value: str | None = None
    code: str = ""
    message: str = ""
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Every effect of an evaluation: builtin -> text of the array of operands -> outcome.

    It holds what the policy asked and was told (requests with their headers, keys that signed a token): keep it as you keep
    the policy's secrets."""

    calls: Mapping[str, Mapping[str, Outcome]] = field(default_factory=dict)

    def find(self, name: str, operands: tuple[str, ...]) -> Outcome | None:
        return self.calls.get(name, {}).get(operands_key(operands))

    def to_json(self) -> str:
        """One JSON document; equal records give equal texts."""
        calls = {
            name: {key: _outcome_to_json(outcome) for key, outcome in found.items()}
            for name, found in self.calls.items()
        }
        return json.dumps({"format": _FORMAT, "calls": calls}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """Reads `to_json`, and the `nd_builtin_cache` of one of OPA's decision logs. RecordError."""
        try:
            document = json.loads(text, parse_float=_NumberText, parse_int=_NumberText)
            if "format" not in document and all(isinstance(v, dict) for v in document.values()):
                return cls(_from_opa(document.get("nd_builtin_cache", document)))
            if str(document["format"]) != str(_FORMAT):
                raise RecordError(f"the record has the unknown format {document['format']}")
            return cls(
                {
                    name: {key: _outcome_from_json(o) for key, o in found.items()}
                    for name, found in document["calls"].items()
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RecordError(
                f"not a record of effects ({type(error).__name__}: {error}); write one with `--record`"
            ) from None


class Recorder:
    """Collects the effects of one evaluation; give a new one to each."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, Outcome]] = {}

    def add(self, name: str, operands: tuple[str, ...], outcome: Outcome) -> None:
        self._calls.setdefault(name, {})[operands_key(operands)] = outcome

    @property
    def record(self) -> Record:
        return Record({name: dict(found) for name, found in self._calls.items()})


def operands_key(operands: tuple[str, ...]) -> str:
    return "[" + ",".join(operands) + "]"


class _NumberText(str):
    """A number as it was written."""

    __slots__ = ()


def _outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    if outcome.value is not None:
        return {"value": outcome.value}
    return {"error": outcome.code, "message": outcome.message, "fatal": outcome.fatal}


def _outcome_from_json(found: Mapping[str, Any]) -> Outcome:
    if "value" in found:
        value = found["value"]
        if not isinstance(value, str) or isinstance(value, _NumberText):
            raise ValueError("a value must be Rego text")
        return Outcome(value)
    return Outcome(None, str(found["error"]), str(found["message"]), found["fatal"] is True)


def _from_opa(cache: Mapping[str, Any]) -> dict[str, dict[str, Outcome]]:
    """OPA writes the answers themselves; a set has become an array."""
    return {
        name: {
            _text(json.loads(key, parse_float=_NumberText, parse_int=_NumberText)): Outcome(
                _text(value, as_set=name == "net.lookup_ip_addr")
            )
            for key, value in found.items()
        }
        for name, found in cache.items()
    }


def _text(value: Any, *, as_set: bool = False) -> str:
    """The value as the runtime writes it: no blanks, keys in order, numbers as they stand."""
    match value:
        case _NumberText():
            return value
        case list() if as_set:
            return "{" + ",".join(_text(v) for v in value) + "}" if value else "set()"
        case list():
            return "[" + ",".join(_text(v) for v in value) + "]"
        case dict():
            pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-8", "replace"))
            return "{" + ",".join(f"{_text(k)}:{_text(v)}" for k, v in pairs) + "}"
        case _:
            return json.dumps(value, ensure_ascii=False)

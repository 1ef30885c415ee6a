"""Counters of one daemon. Plain integers: the broker adds to them for every request.

It must not format, log or send anything."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counters:
    """Since the start of the daemon. `requests` = accepted EVALUATEs; `answers` = answers from engines."""

    requests: int = 0
    answers: int = 0
    errors: int = 0
    halted: int = 0
    denied: int = 0
    asked: int = 0
    modified: int = 0
    allowed: int = 0
    expired: int = 0
    overloaded: int = 0
    retried: int = 0
    rescued: int = 0
    duplicates: int = 0
    crashed: int = 0
    quarantined: int = 0
    bad_requests: int = 0
    undeliverable: int = 0
    engine_deaths: int = 0
    engine_hangs: int = 0
    reloads: int = 0
    builds: int = 0
    failed_builds: int = 0

    def as_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

"""Runs one target: seeds, mutations of them, and a check that raises on what must never happen.

Deterministic for a seed and a number of runs. It knows nothing of what the targets test. With atheris installed,
`guided` lets coverage choose what to keep; without it mutations alone do.
"""

from __future__ import annotations

import hashlib
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
#: Longest time that one input may take: far above what any takes, so that only a hang meets it.
HANG_SECONDS = 30.0

Check = Callable[[bytes], None]
Mutate = Callable[[random.Random, Sequence[bytes]], bytes]


class Hang(BaseException):
    """An input took longer than HANG_SECONDS. No Exception, so that nothing under test swallows it."""


class Finding(AssertionError):
    """A check's own complaint: what came out is wrong, though nothing crashed."""


@dataclass(frozen=True, slots=True)
class Target:
    """`check` gets bytes and raises on a defect; `mutate` makes an input of seeds. `max_size` caps what is tried."""

    name: str
    check: Check
    mutate: Mutate
    more_seeds: Callable[[], Sequence[bytes]] = field(default=lambda: ())
    max_size: int = 4096


def corpus(target: Target) -> dict[str, bytes]:
    """The committed inputs of a target by file name: seeds, and cases of bugs that were fixed (`bug-*`)."""
    folder = CORPUS / target.name
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: path.read_bytes() for path in files if path.is_file()}


@contextmanager
def no_hang(seconds: float = HANG_SECONDS) -> Iterator[None]:
    """Raises Hang in the main thread when the block takes longer."""

    def late(number: int, frame: object) -> None:
        raise Hang(f"no answer within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def replay(target: Target) -> int:
    """Checks every committed input; returns how many there are."""
    inputs = corpus(target)
    for data in inputs.values():
        with no_hang():
            target.check(data)
    return len(inputs)


@dataclass(slots=True)
class Outcome:
    """`findings`: trace -> the input that showed it; one for each place in the code."""

    runs: int = 0
    seconds: float = 0.0
    findings: dict[str, bytes] = field(default_factory=dict)


def explore(target: Target, seconds: float, seed: int, *, stop_at_first: bool = False) -> Outcome:
    """Random inputs for that long. Findings of the same place are kept once, the shortest input of them."""
    rng = random.Random(seed)
    seeds = [*corpus(target).values(), *target.more_seeds()]
    outcome = Outcome()
    places: dict[str, str] = {}
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        data = target.mutate(rng, seeds)[: target.max_size]
        outcome.runs += 1
        try:
            with no_hang():
                target.check(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            place = _place(error)
            known = places.get(place)
            if known is None or len(data) < len(outcome.findings[known]):
                if known is not None:
                    del outcome.findings[known]
                places[place] = "".join(traceback.format_exception(error))
                outcome.findings[places[place]] = data
            if stop_at_first:
                break
    outcome.seconds = time.monotonic() - began
    return outcome


def guided(target: Target, seconds: float, seed: int) -> None:
    """Coverage-guided by atheris (libFuzzer); ends the process at the first finding, which it writes here."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    seeds = [*corpus(target).values(), *target.more_seeds()]
    rng = random.Random(seed)

    def custom(data: bytes, size: int, number: int) -> bytes:
        rng.seed(number)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, size))
        return target.mutate(rng, [data, data, rng.choice(seeds or [b""])])[:size]

    atheris.instrument_all()
    options = [
        f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-max_len={target.max_size}",
        f"-timeout={int(HANG_SECONDS)}", "-rss_limit_mb=3072", "-print_final_stats=1",
    ]  # fmt: skip
    folder = CORPUS / target.name
    work = Path(sys.argv[0]).resolve().parent / ".work" / target.name
    work.mkdir(parents=True, exist_ok=True)
    options += [str(work), *([str(folder)] if folder.is_dir() else [])]
    atheris.Setup(["fuzz", *options], target.check, custom_mutator=custom)
    atheris.Fuzz()


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/fuzz/driver" not in f.filename]
    if isinstance(error, (RecursionError, Hang, MemoryError)):
        return type(error).__name__ + ":" + ",".join(sorted({f.name for f in own[-60:]})[:6])
    last = own[-1] if own else frames[-1]
    return f"{type(error).__name__}:{last.filename}:{last.lineno}"


def digest(data: bytes) -> str:
    """A short name for an input."""
    return hashlib.sha256(data).hexdigest()[:12]


def minimised(target: Target, data: bytes, seconds: float = 20.0) -> bytes:
    """A smaller input that fails in the same place."""

    def failure(candidate: bytes) -> str:
        try:
            with no_hang():
                target.check(candidate)
        except BaseException as error:
            return _place(error)
        return ""

    wanted = failure(data)
    began = time.monotonic()
    step = max(len(data) // 2, 1)
    while wanted and step and time.monotonic() - began < seconds:
        at = 0
        while at < len(data) and time.monotonic() - began < seconds:
            candidate = data[:at] + data[at + step :]
            if failure(candidate) == wanted:
                data = candidate
            else:
                at += step
        step //= 2
    return data


# -- mutations ------------------------------------------------------------------------------------


def mutate_bytes(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Flips, cuts, copies and splices of bytes; lengths and edges more often than chance would."""
    data = bytearray(rng.choice(seeds) if seeds else b"")
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 64)))
        match rng.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * rng.choice((1, 2, 20))
            case 4:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 5)))
            case 5 if seeds:
                other = rng.choice(seeds)
                cut = rng.randrange(len(other) + 1)
                data[at:end] = other[cut : cut + rng.choice((1, 8, 64, 512))]
            case 6:
                del data[at:]
            case _:
                data[at:end] = rng.choice(
                    (
                        b"\xff\xff\xff\xff\x0f",
                        b"\x80\x80\x80\x80\x00",
                        b"\xff\xff\xff\xff",
                        b"\0\0\0\0",
                    )
                )
    return bytes(data)


def token_mutator(
    token: re.Pattern[str], words: Sequence[str], *, opening: str = "([{", closing: str = ")]}"
) -> Mutate:
    """Mutations of text by its tokens: splices between seeds, copies, swaps, words of the language, deeper nesting."""

    def tokens(data: bytes) -> list[str]:
        return token.findall(data.decode("utf-8", "surrogateescape"))

    def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
        if rng.random() < 0.05:
            return mutate_bytes(rng, seeds)
        mine = tokens(rng.choice(seeds)) if seeds else []
        for _ in range(rng.choice((1, 1, 2, 3, 6, 12))):
            at = rng.randrange(len(mine) + 1)
            end = min(len(mine), at + rng.choice((1, 1, 2, 3, 5, 10, 30)))
            match rng.randrange(9):
                case 0:
                    del mine[at:end]
                case 1:
                    mine[at:at] = mine[at:end] * rng.choice((1, 1, 3))
                case 2 | 3 if seeds:
                    other = tokens(rng.choice(seeds))
                    cut = rng.randrange(len(other) + 1)
                    mine[at:end] = other[cut : cut + rng.choice((1, 2, 3, 5, 10, 30))]
                case 4 | 5:
                    mine[at : at + rng.randrange(2)] = [rng.choice(words)]
                case 6 if mine:
                    other_at = rng.randrange(len(mine))
                    at = min(at, len(mine) - 1)
                    mine[at], mine[other_at] = mine[other_at], mine[at]
                case 7:
                    kind = rng.randrange(len(opening))
                    depth = rng.choice((1, 1, 2, 5, 60))
                    mine[at:end] = [opening[kind]] * depth + mine[at:end] + [closing[kind]] * depth
                case _ if mine:
                    at = min(at, len(mine) - 1)
                    same = [t for t in mine if t.isidentifier()] or mine
                    mine[at] = rng.choice(same)
        return "".join(mine).encode("utf-8", "surrogateescape")

    return mutate

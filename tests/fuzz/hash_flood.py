"""`python tests/fuzz/hash_flood.py [KEYS]`: how long an evaluation takes whose input has keys that all have the same hash.

The hash of a string is open to everybody, and its steps can be undone: the last eight bytes of a key are chosen so that the
hash comes out as wanted. Prints the time for ordinary keys and for these, with the module's own time for each.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator

from cupcake.engine import Limits, compile_policy, load
from cupcake.engine.runtime import abi

_WORD = (1 << 64) - 1
_INVERSE = pow(abi.HASH_MUL, -1, 1 << 64)
_TARGET = 0x1234_5678_9ABC_DEF0


def _mix(h: int, word: int) -> int:
    h = ((h ^ word) * abi.HASH_MUL) & _WORD
    return h ^ h >> 29


def _unmixed(h: int) -> int:
    """What `_mix` multiplied: h = x ^ x >> 29 solved for x, times the inverse."""
    x = h
    for _ in range(3):
        x = h ^ x >> 29
    return x * _INVERSE & _WORD


def colliding(count: int, seed: int = 1) -> Iterator[str]:
    """Keys of 16 bytes with one hash, of 64 bits even. The last eight bytes are whatever they must be, as UTF-8 if they are."""
    rng = random.Random(seed)
    wanted = _unmixed(_TARGET)
    found = 0
    while found < count:
        head = rng.getrandbits(64) & 0x3F3F3F3F3F3F3F3F | 0x4040404040404040
        tail = _mix(abi.HASH_SEED_STRING ^ 16, head) ^ wanted
        data = head.to_bytes(8, "little") + tail.to_bytes(8, "little")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            found += 1
            yield text


POLICY = "package a\nobject := count(input)\nset := count({k | some k, _ in input})\n"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    limits = Limits(seconds=600, memory_bytes=1 << 30, input_bytes=256 << 20)
    policy = load(
        compile_policy({"a.rego": POLICY}, entrypoints=["a/object", "a/set"]), limits=limits
    )
    hostile = list(colliding(count))
    kinds = {"ordinary": [f"{i:016x}" for i in range(count)], "one hash": hostile}
    for name, keys in kinds.items():
        text = json.dumps(dict.fromkeys(keys, 1), ensure_ascii=False).encode()
        for entrypoint in ("a/object", "a/set"):
            best = min(_timed(policy, entrypoint, text) for _ in range(3))
            print(
                f"{name:10} {entrypoint:9} {count} keys, {len(text)} bytes: {best * 1000:8.2f} ms"
            )


def _timed(policy: object, entrypoint: str, text: bytes) -> float:
    began = time.perf_counter()
    policy.evaluate_json(entrypoint, text)  # type: ignore[attr-defined]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

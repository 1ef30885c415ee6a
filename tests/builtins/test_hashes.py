"""Hashes and HMACs of the sandbox are those of Python's hashlib, at every border of a block."""

from __future__ import annotations

import hashlib
import hmac
import json

from cupcake.engine import query

LENGTHS = (0, 1, 54, 55, 56, 57, 63, 64, 65, 111, 112, 113, 119, 120, 127, 128, 129, 200, 4097)
TEXTS = [*("x" * n for n in LENGTHS), "é😀" * 30]
KEYS = ["", "k", "y" * 64, "y" * 65, "z" * 128, "z" * 129, "é" * 100]


def module(calls: list[str]) -> str:
    return "package t\nx := [" + ",\n".join(calls) + "]\n"


def test_hashes() -> None:
    pairs = [(a, i) for a in ("md5", "sha1", "sha256") for i in range(len(TEXTS))]
    calls = [f"crypto.{a}(input[{i}])" for a, i in pairs]
    [found] = query("data.t.x = x", {"t.rego": module(calls)}, input=TEXTS)
    wanted = [
        hashlib.new(a, TEXTS[i].encode(), usedforsecurity=False).hexdigest() for a, i in pairs
    ]
    assert found["x"] == wanted


def test_hmacs() -> None:
    kinds = ("md5", "sha1", "sha256", "sha512")
    triples = [(a, i, key) for a in kinds for i in range(len(TEXTS)) for key in KEYS]
    calls = [f"crypto.hmac.{a}(input[{i}], {json.dumps(key)})" for a, i, key in triples]
    [found] = query("data.t.x = x", {"t.rego": module(calls)}, input=TEXTS)
    wanted = [hmac.new(key.encode(), TEXTS[i].encode(), a).hexdigest() for a, i, key in triples]
    assert found["x"] == wanted


def test_equal() -> None:
    [found] = query(
        'x := [crypto.hmac.equal(a, "abc") | some a in ["abc", "abd", "ab", "", "xbc"]]',
        rego_version="v1",
    )
    assert found["x"] == [True, False, False, False, False]

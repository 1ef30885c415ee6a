"""Attack stories against the signed state, told on pure bytes: nothing here touches a disk or a clock."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cupcake.trust import errors
from cupcake.trust import manifest as m
from cupcake.trust.trusted_state import accept, check_files

KEY = b"k" * 32
FILES = {".cupcake/policies/claude/a.rego": b"package a", ".cupcake/rulebook.yml": b"{}"}
SIGNED = m.Manifest("/p", 3, 1000, None, {path: m.entry_of(data) for path, data in FILES.items()})


def judge(
    data: bytes | None, *, key: bytes = KEY, project: str = "/p", now: float = 2000, last: int = 3
) -> m.Manifest:
    return accept(data, key, project=project, now=now, last_generation=last)


def test_what_was_signed_is_accepted() -> None:
    assert judge(m.to_bytes(SIGNED, KEY)) == SIGNED
    check_files(SIGNED, FILES)


def edited(**changes: object) -> bytes:
    raw = json.loads(m.to_bytes(SIGNED, KEY))
    raw["manifest"].update(changes)
    return json.dumps(raw).encode()


REFUSED = {
    "the manifest was deleted": (None, errors.ManifestMissing),
    "empty": (b"", errors.ManifestInvalid),
    "not JSON": (b"{", errors.ManifestInvalid),
    "deeply nested": (b"[" * 200_000, errors.ManifestInvalid),
    "no envelope": (m.canonical(SIGNED), errors.ManifestInvalid),
    "huge": (b" " * (m.MAX_BYTES + 1), errors.ManifestInvalid),
    "an entry was edited": (
        edited(files={".cupcake/rulebook.yml": {"size": 1, "sha256": "0" * 64}}),
        errors.ManifestForged,
    ),
    "the generation was raised": (edited(generation=99), errors.ManifestForged),
    "the expiry was added": (edited(expires=1), errors.ManifestForged),
    "another format": (edited(format="cupcake-trust/2"), errors.ManifestInvalid),
    "a number is a text": (edited(generation="3"), errors.ManifestInvalid),
    "a number is a boolean": (edited(generation=True), errors.ManifestInvalid),
    "an unknown field": (edited(extra=1), errors.ManifestInvalid),
    "signed with another key": (m.to_bytes(SIGNED, b"x" * 32), errors.ManifestForged),
    "the signature is not ASCII": (
        m.to_bytes(SIGNED, KEY).replace(b'"hmac":"', '"hmac":"ä'.encode()),
        errors.ManifestForged,
    ),
    "the signature is no text": (
        b'{"hmac":1,"manifest":' + m.canonical(SIGNED) + b"}",
        errors.ManifestForged,
    ),
}


@pytest.mark.parametrize("story", REFUSED)
def test_refused(story: str) -> None:
    data, error = REFUSED[story]
    with pytest.raises(error):
        judge(data)


def test_an_older_generation_is_a_rollback() -> None:
    with pytest.raises(errors.Rollback, match="4"):
        judge(m.to_bytes(SIGNED, KEY), last=4)


def test_a_manifest_of_another_project_is_refused() -> None:
    with pytest.raises(errors.WrongProject, match="/p"):
        judge(m.to_bytes(SIGNED, KEY), project="/q")


def test_expiry_counts_from_its_second() -> None:
    data = m.to_bytes(m.Manifest("/p", 3, 0, 2000, {}), KEY)
    assert judge(data, now=1999.9).expires == 2000
    with pytest.raises(errors.Expired):
        judge(data, now=2000)


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({**FILES, ".cupcake/rulebook.yml": b"{ }"}, errors.FileChanged),
        ({**FILES, ".cupcake/policies/claude/new.rego": b""}, errors.FileNotTrusted),
        ({".cupcake/rulebook.yml": b"{}"}, errors.FileMissing),
    ],
)
def test_any_difference_of_the_files_is_refused(
    files: dict[str, bytes], error: type[errors.TrustError]
) -> None:
    with pytest.raises(error):
        check_files(SIGNED, files)


def test_a_changed_file_is_named_with_both_digests() -> None:
    with pytest.raises(errors.FileChanged) as caught:
        check_files(SIGNED, {**FILES, ".cupcake/rulebook.yml": b"x"})
    assert caught.value.path == ".cupcake/rulebook.yml"
    assert caught.value.expected == m.entry_of(b"{}").sha256
    assert caught.value.actual == m.entry_of(b"x").sha256


@given(st.dictionaries(st.text(), st.binary(max_size=20), max_size=5), st.integers(0, 2**40))
def test_manifests_survive_a_round_trip(files: dict[str, bytes], generation: int) -> None:
    signed = m.Manifest(
        "/p", generation, 0, None, {path: m.entry_of(data) for path, data in files.items()}
    )
    assert m.from_bytes(m.to_bytes(signed, KEY), KEY) == signed


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_single_changed_byte_is_accepted_as_something_else(position: int, change: int) -> None:
    data = bytearray(m.to_bytes(SIGNED, KEY))
    data[position % len(data)] ^= change
    try:
        read = m.from_bytes(bytes(data), KEY)
    except errors.TrustError:
        return
    assert read == SIGNED

"""Files that nobody should have: each is one error that names the file, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

DOCUMENTS = [
    ("deep.json", b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ("cut.json", b'{"a": [1, 2', "not JSON"),
    ("bytes.json", b"\xff\xfe", "byte 0 is not UTF-8"),
    ("nan.json", b'{"a": NaN}', "NaN is no number of JSON"),
    ("exponent.json", b'{"a": 1e99999999999999999999}', "out of range"),
    ("nan.yaml", b"a: .nan\n", "no number of JSON"),
    ("keys.yaml", b"[1, 2]: x\n", "YAML"),
    ("bomb.yaml", b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 107)
    ), "values"),
    ("set.yaml", b"!!set {a, b}\n", "no value of JSON"),
    ("array.json", b"[1]", "must be an object"),
]  # fmt: skip
POLICIES = [
    ("nul.rego", b"package a\x00\n", "illegal null character"),
    ("bytes.rego", b"package \xff\n", "byte 8 is not UTF-8"),
    ("deep.rego", b"package a\n\np := " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
    ("empty.rego", b"", "empty"),
]


@pytest.mark.parametrize(("name", "content", "says"), DOCUMENTS, ids=[n for n, _, _ in DOCUMENTS])
def test_data_that_cannot_be_used_is_named(
    rego: Run, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    code, out, err = rego(f"eval -f raw data -d {tmp_path / name}")
    assert (code, out) == (2, "")
    assert name in err
    assert says in err


@pytest.mark.parametrize("policy", POLICIES, ids=[n for n, _, _ in POLICIES])
@pytest.mark.parametrize("word", ["check", "test", "eval data -f raw -d"])
def test_policies_that_cannot_be_read_are_named(
    rego: Run, tmp_path: Path, word: str, policy: tuple[str, bytes, str]
) -> None:
    name, content, says = policy
    (tmp_path / name).write_bytes(content)
    code, _, err = rego(f"{word} {tmp_path / name}")
    assert code == (2 if word.startswith("eval") else 1)
    assert name in err
    assert says in err


def test_numbers_of_any_size_go_through_unchanged(rego: Run, tmp_path: Path) -> None:
    text = '{"a":1e999999,"b":0.10,"c":123456789012345678901234567890.5}'
    (tmp_path / "n.json").write_text(text, encoding="utf-8")
    assert rego(f"eval -f raw data -d {tmp_path}/n.json")[1] == text + "\n"
    assert rego(f"eval -f raw input -i {tmp_path}/n.json")[1] == text + "\n"


def test_a_missing_folder_is_named(rego: Run) -> None:
    for line in ("test nowhere", "check nowhere", "build nowhere -e a/b", "plan nowhere -e a/b"):
        code, _, err = rego(line)
        assert (code, "nowhere: no such file or folder" in err) == (1, True)

"""Files that nobody should have: each is one error that names the file, and no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
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


# -- symbolic links -----------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with a link to another one beside it."""
    folder, other = tmp_path / "folder", tmp_path / "other"
    for path in (folder / "a", other):
        path.mkdir(parents=True)
    (folder / "a" / "data.json").write_text('{"x": 1}', encoding="utf-8")
    (other / "data.json").write_text('{"y": 2}', encoding="utf-8")
    (folder / "link").symlink_to(other)
    return folder


def test_links_to_folders_are_followed_as_opa_does(rego: Run, opa: Run, linked: Path) -> None:
    line = f"eval -f raw data -d {linked}"
    assert rego(line) == opa(line) == (0, '{"a":{"x":1},"link":{"y":2}}\n', "")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("..", "leads back to"),
        ("nowhere", "No such file or directory: a symbolic link to nowhere"),
        ("up", "Too many levels of symbolic links"),
    ],
)
def test_a_link_that_leads_nowhere_or_round_is_named(
    rego: Run, opa: Run, linked: Path, target: str, says: str
) -> None:
    (linked / "a" / "up").symlink_to(target)
    line = f"eval -f raw data -d {linked}"
    code, out, err = rego(line)
    assert (code, out, says in err) == (2, "", True), err
    assert f"{linked / 'a' / 'up'}: " in err
    assert err.rstrip().endswith("--ignore up")
    assert opa(line)[0] == 2
    assert rego(f"{line} --ignore up")[:2] == (0, '{"a":{"x":1},"link":{"y":2}}\n')


# -- inputs that are no JSON --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a: 1",
        "",
        "01",
        "a:\n  - b: 2\n",
        "abc",
        '{"a": 1,}',
        "---\na: 1\n---\nb: 2\n",
    ],
)
def test_an_input_may_be_yaml_whatever_its_name(
    rego: Run, opa: Run, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "input"
    path.write_text(text, encoding="utf-8")
    line = "eval -f raw input"
    wanted = opa(f"{line} -I", text)
    assert wanted[0] == 0
    assert rego(f"{line} -I", text) == rego(f"{line} -i {path}") == wanted


def test_what_stands_behind_the_first_document_must_be_yaml_too(rego: Run) -> None:
    code, out, _ = rego("eval -f raw input -I", "a: 1\n---\n{b")
    assert (code, out) == (2, "")


@pytest.mark.parametrize("text", ["{", "a: [1", '{"a": 1} x'])
def test_what_is_neither_is_reported_at_its_place(rego: Run, text: str) -> None:
    code, _, err = rego("eval -f raw input -I", text)
    assert (code, err.startswith("<stdin>:1:"), "not JSON" in err) == (2, True, True)


# -- who does not wait ---------------------------------------------------------------------------------


def test_an_interrupt_ends_an_evaluation_at_once() -> None:
    endless = "count([1 | numbers.range(1, 1000000)[_]; numbers.range(1, 1000000)[_]])"
    command = [sys.executable, "-m", "cupcake", "rego", "eval", "-I", endless]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        # More than a pipe holds: it has been written once the command reads.
        process.stdin.write(b'"' + b"x" * (1 << 20) + b'"')
        process.stdin.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "cupcake", "rego", "capabilities"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_of_a_very_long_line_what_is_around_the_place_is_shown(rego: Run, tmp_path: Path) -> None:
    path = tmp_path / "long.rego"
    many = ", ".join(map(str, range(10_000)))
    path.write_text(f"package long\n\nx := [{many}, y, {many}]\n", encoding="utf-8")
    _, _, err = rego(f"check {path}")
    line, caret = err.splitlines()[1:3]
    assert (len(line) < 250, line[caret.index("^")]) == (True, "y")
    assert line.startswith("    ...")
    assert line.endswith("...")

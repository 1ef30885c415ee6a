"""`cupcake rego eval` gives what `opa eval` gives: stdout and exit code."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ANSWERS: dict[str, tuple[int, str]] = json.loads(
    (HERE / "eval_answers.json").read_text(encoding="utf-8")
)

_spec = importlib.util.spec_from_file_location("record", HERE / "record.py")
assert _spec is not None
assert _spec.loader is not None
record = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(record)

LINES = record.lines("eval_lines.txt")
ERRORS = record.lines("eval_errors.txt")
Run = Callable[..., tuple[int, str, str]]


def test_every_line_has_its_recorded_answer() -> None:
    assert set(ANSWERS) == {command for command, _ in (*LINES, *ERRORS)}


def plain(text: str) -> str:
    """Tables as OPA 1.7 draws them; ours are those of newer versions."""
    return text.translate(str.maketrans("│─┌┬┐├┼┤└┴┘", "|-+++++++++"))


@pytest.mark.parametrize(("command", "stdin"), LINES, ids=[c for c, _ in LINES])
def test_it_prints_what_opa_prints(rego: Run, command: str, stdin: str) -> None:
    code, out, err = rego(f"eval {command}", stdin)
    wanted_code, wanted = ANSWERS[command]
    assert (plain(out), code) == (wanted, wanted_code), err


@pytest.mark.parametrize(("command", "stdin"), ERRORS, ids=[c for c, _ in ERRORS])
def test_errors_have_opas_codes_and_rows(rego: Run, command: str, stdin: str) -> None:
    code, out, err = rego(f"eval {command}", stdin)
    wanted_code, wanted = ANSWERS[command]
    if not wanted:  # OPA says it on stderr, with its usage
        assert code == 2
        assert (out or err).strip()
        return
    assert code == wanted_code
    assert faults(out) == faults(wanted)


def faults(text: str) -> set[tuple[str, str, int]]:
    """(code, file, row) of every error. Conflicts of rules have no row: OPA names the second rule, we the first."""
    errors: list[dict[str, Any]] = json.loads(text)["errors"]
    found: set[tuple[str, str, int]] = set()
    for error in errors:
        code, place = error.get("code", ""), error.get("location", {})
        row = 0 if code == "eval_conflict_error" else place.get("row", 0)
        found.add((code, place.get("file", ""), row))
    return found


def test_the_recorded_answers_are_those_of_opa() -> None:
    opa = shutil.which("opa")
    if opa is None:
        pytest.skip("there is no `opa` on PATH to compare with")
    version = subprocess.run([opa, "version"], capture_output=True, text=True, check=True).stdout
    if "Version: 1.7." not in version:
        pytest.skip(f"the answers are of OPA 1.7, not of {version.splitlines()[0]}")
    found = {c: list(record.answer(opa, "eval", c, s)) for c, s in LINES}
    assert found == {c: ANSWERS[c] for c, _ in LINES}


def test_partial_evaluation_is_refused_with_what_to_do(rego: Run) -> None:
    code, _, err = rego("eval --partial data.x")
    assert (code, "evaluate with the whole input" in err) == (2, True)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--explain full 1", "print(...)"),
        ("--explain=fails 1", "cupcake rego test"),
        ("--profile-sort colour 1", "invalid choice"),
        ("--instrument 1", "--metrics"),
        ("--format source 1", "partial evaluation"),
    ],
)
def test_what_is_not_served_is_refused_with_what_to_do(rego: Run, line: str, says: str) -> None:
    code, out, err = rego(f"eval {line}")
    assert (code, out, says in err) == (2, "", True), err


@pytest.mark.parametrize("line", ["eval", "eval x --stdin", "eval --stdin -I"])
def test_arguments_that_do_not_go_together_are_wrong_usage(rego: Run, line: str) -> None:
    code, _, err = rego(line)
    assert (code, err.startswith("cupcake rego eval: ")) == (2, True)


PRINTED = [
    ("data.printing.p", ['a 1 {"b"} <undefined> [1, "q"] null', "in f 3"]),
    ("data.printing.q", ["1", "same", "2", "same", "2", "same"]),
    ("data.printing.r", ['x {"y": 1.50}']),
    ('print([hex.decode("ff")], {hex.decode("e697"): 1})', ['["\\xff"] {"\\xe6\\x97": 1}']),
    ('print("here", data.printing.q)', None),
]


@pytest.mark.parametrize(("query", "lines"), PRINTED, ids=[q for q, _ in PRINTED])
def test_print_goes_to_stderr(rego: Run, query: str, lines: list[str] | None) -> None:
    _, _, err = rego(f"eval -d print.rego {query!r}")
    if lines is None:
        assert err.splitlines()[-1] == "here {1, 2}"
    else:
        assert err.splitlines() == lines


SHOWN = [
    ("eval -f pretty 'print(hex.decode(\"ff\"))'", "\ufffd"),
    ("eval -f raw 'hex.decode(\"61ff\")'", "a\ufffd"),
    ("eval -f pretty --explain notes '[1 | trace(hex.decode(\"ff\"))]'", '| Note "\ufffd"'),
    (
        'eval --strict-builtin-errors \'net.cidr_contains(hex.decode("ff"), "1.1.1.1")\'',
        "address: \ufffd",
    ),
    (
        'eval --show-builtin-errors \'x := net.cidr_contains(hex.decode("ff"), "1.1.1.1")\'',
        "address: \ufffd",
    ),
]


@pytest.mark.parametrize(("line", "shown"), SHOWN)
def test_bytes_that_are_not_utf8_are_not_written(rego: Run, line: str, shown: str) -> None:
    _, out, err = rego(line)
    assert shown in out + err
    (out + err).encode("utf-8", "strict")


@pytest.mark.parametrize("query", [q for q, _ in PRINTED if q != "data.printing.r"])
def test_opa_prints_the_same(rego: Run, opa: Run, query: str) -> None:
    """But for `print(...) with ...`: OPA takes the operands from outside of the `with`."""
    line = f"eval -d print.rego {query!r}"
    assert rego(line)[1:] == opa(line)[1:]

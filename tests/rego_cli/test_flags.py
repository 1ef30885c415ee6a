"""docs/rego-flags.md lists every flag of `opa`, and says of each what it does here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

PAGE = (Path(__file__).parents[2] / "docs" / "rego-flags.md").read_text(encoding="utf-8")
STATES = ("served", "no effect", "refused")
#: These never end, ask for another flag, or write a file (which the operands of `build` do too).
NOT_ALONE = frozenset({"--watch", "--claims-file", "--verification-key", "--output"})
#: Operands that let a command come as far as its flags.
OPERANDS = {
    "eval": "1",
    "test": "tests -r test_passes$",
    "check": "policy.rego",
    "build": "policy.rego -o {out}",
    "deps": "1",
    "fmt": "",
}


def listed() -> dict[str, dict[str, str]]:
    """Command -> flag -> state."""
    found: dict[str, dict[str, str]] = {}
    for part in PAGE.split("\n## ")[1:]:
        rows = re.findall(r"^\| `(--[\w-]+)` \| ([\w ]+) \|", part, re.MULTILINE)
        found[part.split("\n")[0]] = dict(rows)
    return found


def helped(text: str) -> dict[str, str]:
    """Flag -> what `opa` says of its value."""
    flags = re.findall(r"^\s+(?:-\w, )?(--[\w-]+)(\S* ?\S*)\s{2,}", text.split("Flags:")[1], re.M)
    return {name: kind.strip() for name, kind in flags if name != "--help"}


@pytest.mark.parametrize("word", OPERANDS)
def test_the_page_lists_the_flags_of_opa(opa: Run, word: str) -> None:
    if "Version: 1.7." in opa("version")[1]:
        pytest.skip("the page is about a newer `opa`")
    assert sorted(listed()[word]) == sorted(helped(opa(f"{word} --help")[1]))


@pytest.mark.parametrize("word", OPERANDS)
def test_flags_are_known_and_refused_as_the_page_says(rego: Run, word: str, tmp_path: Path) -> None:
    wrong = {}
    for flag, state in listed()[word].items():
        assert state in STATES
        if flag in NOT_ALONE:
            continue
        operands = OPERANDS[word].format(out=tmp_path / "out.tar.gz")
        tried = [rego(f"{word} {operands} {given}") for given in (flag, f"{flag}=1")]
        unknown = all("there is no option" in err for _, _, err in tried)
        # A flag that is refused says so in a sentence that starts with it.
        refused = any(code == 2 and f"rego {word}: {flag}" in err for code, _, err in tried)
        if unknown or refused != (state == "refused"):
            wrong[flag] = [err for _, _, err in tried]
    assert not wrong

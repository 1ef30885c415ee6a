"""Rulebooks: what is accepted, and every fault with its row."""

from __future__ import annotations

import pytest

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.policy.rulebook import Findings, Rulebook, read_rulebook
from cupcake.engine.policy.signal import Signal


def read(text: str) -> tuple[Rulebook, Findings]:
    findings = Findings()
    return read_rulebook("r.yml", text.encode(), findings), findings


def test_an_empty_rulebook_is_the_default() -> None:
    for text in ("", "# comment\n", "version: 1\n", "signals:\nbuiltins:\n"):
        rulebook, findings = read(text)
        assert rulebook == Rulebook()
        assert findings.errors == []


def test_signals_have_a_command_and_a_time_limit() -> None:
    rulebook, findings = read(
        "signals:\n  a: {command: 'echo 1'}\n  b: {command: x, timeout_seconds: 30}\n"
    )
    assert rulebook.signals == {"a": Signal("echo 1", 5), "b": Signal("x", 30)}
    assert findings.errors == []


ERRORS = [
    ("a: b: c", 1, "not valid YAML"),
    ("- a\n", 1, "must be a YAML mapping"),
    ("signals: {}\nbuiltins: {}\nsignals: {}\n", 3, "the key `signals` stands twice"),
    (
        "builtins:\n  protected_paths: {enabled: true, paths: [/etc]}\n  protected_paths: {}\n",
        3,
        "the key `protected_paths` stands twice",
    ),
    ("text", 1, "must be a YAML mapping"),
    ("a: 1\nsignals: []\n", 2, "`signals` must be a mapping"),
    ("signals:\n  a: echo\n", 2, "signal `a` must be a mapping"),
    ("signals:\n  ok: {command: x}\n  a: {}\n", 3, "signal `a` needs a `command`"),
    ("signals:\n  a: {command: ' '}\n", 2, "signal `a` needs a `command`"),
    ("signals:\n  a: {command: x, timeout_seconds: 0}\n", 2, "`timeout_seconds` of signal `a`"),
    ("signals:\n  a: {command: x, timeout_seconds: true}\n", 2, "`timeout_seconds` of signal `a`"),
    ("signals:\n  a: {command: x, timeout_seconds: 1.5}\n", 2, "`timeout_seconds` of signal `a`"),
    ("signals:\n  1: {command: x}\n", 2, "must be a string"),
    ("builtins: 7\n", 1, "`builtins` must be a mapping"),
    ("builtins:\n  protected_paths: yes please\n", 2, "builtins.protected_paths must be a mapping"),
    ("builtins:\n  protected_paths: {enabled: 'true'}\n", 2, "enabled must be true or false"),
    (
        "builtins:\n  protected_paths:\n    enabled: true\n",
        2,
        "`paths` must name at least one path",
    ),
    (
        "builtins:\n  protected_paths:\n    enabled: true\n    paths: ['']\n",
        4,
        "must not hold an empty string",
    ),
    ("builtins:\n  protected_paths:\n    paths: x\n", 3, "paths must be a list of strings"),
    (
        "builtins:\n  rulebook_security_guardrails: {enabled: true, protected_paths: []}\n",
        2,
        "at least one path",
    ),
    ("builtins:\n  git_pre_check: {enabled: true}\n", 2, "at least one check"),
    (
        "builtins:\n  git_pre_check:\n    checks:\n    - {command: x, message: m}\n    - {command: ''}\n",
        5,
        "not blank",
    ),
    ("builtins:\n  post_edit_check: {enabled: true}\n", 2, "at least one extension"),
    (
        "builtins:\n  post_edit_check:\n    by_extension:\n      .py: {command: x}\n",
        4,
        "without a dot",
    ),
    (
        "builtins:\n  always_inject_on_prompt: {enabled: true, context: []}\n",
        2,
        "`context` must not be empty",
    ),
    (
        "builtins:\n  always_inject_on_prompt:\n    context:\n    - {other: x}\n",
        4,
        "has `file` or `command`",
    ),
    ("builtins:\n  enforce_full_file_read: {max_lines: 0}\n", 2, "greater than 0"),
    (
        "builtins:\n  enforce_full_file_read: {max_lines: many}\n",
        2,
        "max_lines must be a whole number",
    ),
]


@pytest.mark.parametrize(("text", "row", "fault"), ERRORS)
def test_a_fault_is_told_with_its_row(text: str, row: int, fault: str) -> None:
    _, findings = read(text)
    assert [(error.file, error.row, fault in error.message) for error in findings.errors] == [
        ("r.yml", row, True)
    ]


WARNINGS = [
    ("builtins:\n  protected_path: {enabled: true}\n", 2, "did you mean `protected_paths`?"),
    ("builtins:\n  rulebook_security_guardrails: {}\n", 2, "configured but off"),
    ("signal: {}\n", 1, "unknown key `signal`"),
    ("watchdog: true\n", 1, "not part of this version"),
]


def test_effects_are_lists_of_names() -> None:
    rulebook, findings = read("effects:\n  allow_net: [a.example, b:8443]\n  env: [HOME]\n")
    assert findings.errors == []
    assert rulebook.effects == Effects(("a.example", "b:8443"), ("HOME",))
    assert read("signals: {}\n")[0].effects == Effects((), ())


@pytest.mark.parametrize(
    ("text", "row", "error"),
    [
        ("effects: [a]\n", 1, "must be a mapping"),
        ("effects:\n  allow_net: a\n", 2, "must be a list of names"),
        ("effects:\n  env: [1]\n", 2, "must be a list of names"),
        ("effects:\n  allow_net: ['*']\n", 2, "no patterns"),
        ("effects:\n  allow_net: [http://a/]\n", 2, "no URLs"),
        ("effects:\n  allow_nets: [a]\n", 2, "unknown key `allow_nets`"),
    ],
)
def test_effects_that_say_too_much_or_nothing_stop_the_build(
    text: str, row: int, error: str
) -> None:
    rulebook, findings = read(text)
    assert [(e.row, error in e.message) for e in findings.errors] == [(row, True)]
    assert rulebook.effects.allow_net == ()


@pytest.mark.parametrize(("text", "row", "warning"), WARNINGS)
def test_what_protects_nothing_is_warned_of(text: str, row: int, warning: str) -> None:
    _, findings = read(text)
    assert findings.errors == []
    assert [(told.row, warning in told.message) for told in findings.warnings] == [(row, True)]


def test_not_utf8_is_a_fault_with_its_row() -> None:
    findings = Findings()
    read_rulebook("r.yml", b"a: 1\nb: \xff\n", findings)
    assert [(error.row, error.message) for error in findings.errors] == [(2, "not UTF-8 text")]


def test_enabled_builtins_are_injected_with_their_defaults() -> None:
    rulebook, findings = read(
        """
builtins:
  protected_paths: {enabled: true, paths: [/etc/], extra: ignored}
  rulebook_security_guardrails: {enabled: true}
  git_block_no_verify: {enabled: true, message: own}
  enforce_full_file_read: {enabled: true}
  always_inject_on_prompt: {enabled: true, context: [one, {command: date}, {file: "a b.md"}]}
  git_pre_check: {enabled: true, checks: [{command: make test, message: m}]}
  post_edit_check: {enabled: true, by_extension: {py: {command: ruff, message: m}}}
  system_protection: {enabled: false}
"""
    )
    assert findings.errors == []
    builtins = rulebook.builtins
    assert builtins.configured_off == ("system_protection",)
    assert "claude_code_enforce_full_file_read" in builtins.enabled
    assert builtins.injected == {
        "protected_paths": {
            "message": "This path is read-only and cannot be modified",
            "paths": ["/etc/"],
        },
        "rulebook_security_guardrails": {
            "message": "Cupcake configuration files are protected from modification",
            "protected_paths": [".cupcake/"],
        },
        "git_block_no_verify": {"message": "own", "exceptions": []},
        "claude_code_enforce_full_file_read": {
            "message": "Please read the entire file first (files under 2000 lines must be read completely)",
            "max_lines": 2000,
        },
        "claude_code_always_inject_on_prompt": {"static_contexts": ["one"]},
    }
    assert builtins.signals == {
        "__builtin_prompt_context_0": ("date", 5),
        "__builtin_prompt_context_1": ("cat -- 'a b.md'", 2),
        "__builtin_git_check_0": ("make test", 30),
        "__builtin_post_edit_py": ("ruff", 10),
    }

"""Runs `.case` files: a project, events, and the answers that Claude Code gets.

    === name
    --- policy NAME EVENT[:TOOL,TOOL] ... [signal=NAME]     a policy with its head written for it
    --- file PATH                                           any file of the project (or of `global/`)
    --- event          JSON; CL adds the common fields of Claude Code
    --- answer         JSON, compared as JSON            (exit code 0)
    --- failure TEXT   refused: exit 2 with TEXT on stderr, or a deny whose reason holds TEXT
    --- warning TEXT   the answer before carries a warning that holds TEXT
    --- build-error FILE:ROW TEXT     the project does not compile, and says why

`$ROOT` stands for the project's folder everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.errors import BuildFailed
from cupcake.engine.evaluate import Evaluator, HarnessAnswer, compile_project
from cupcake.engine.policy.discovery import read_sources

CASES = Path(__file__).parent / "cases"
COMMON = {"session_id": "s1", "transcript_path": "/tmp/t.jsonl"}


@dataclass
class Case:
    name: str
    blocks: list[tuple[str, str, str]] = field(default_factory=list)


def read_cases() -> list[Case]:
    cases: list[Case] = []
    for file in sorted(CASES.glob("*.case")):
        for part in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            title, _, rest = part.partition("\n")
            case = Case(f"{file.stem}: {title.strip()}")
            for block in re.split(r"^--- ", rest, flags=re.MULTILINE)[1:]:
                head, _, body = block.partition("\n")
                kind, _, argument = head.strip().partition(" ")
                case.blocks.append((kind, argument.strip(), body))
            cases.append(case)
    return cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = read_cases()
        metafunc.parametrize("case", cases, ids=[case.name for case in cases])


def policy_text(argument: str, body: str) -> tuple[str, str]:
    """File and text of a `--- policy` block."""
    name, *routes = argument.split()
    signals = [route[7:] for route in routes if route.startswith("signal=")]
    events = [route for route in routes if not route.startswith("signal=")]
    names = [event.split(":")[0] for event in events]
    tools = [tool for event in events if ":" in event for tool in event.split(":")[1].split(",")]
    head = f"""# METADATA
# scope: package
# custom:
#   routing:
#     required_events: {json.dumps(names)}
#     required_tools: {json.dumps(tools)}
#     required_signals: {json.dumps(signals)}
package cupcake.policies.{name}

import rego.v1

"""
    return f".cupcake/policies/claude/{name}.rego", head + body


@pytest.fixture(scope="session")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.fixture
def make_evaluator(tmp_path: Path, module_cache: Path) -> Callable[..., Evaluator]:
    """Writes files (path -> text) below a fresh folder and compiles the project there."""

    def make(files: dict[str, str]) -> Evaluator:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("$ROOT", str(tmp_path)), encoding="utf-8")
            if "/signals/" in name:
                path.chmod(0o755)
        sources = read_sources(tmp_path, global_dir=tmp_path / "global")
        return Evaluator(compile_project(sources), cache_dir=module_cache)

    return make


@pytest.fixture
def run_case(make_evaluator: Callable[..., Evaluator], tmp_path: Path) -> Callable[[Case], None]:
    def run(case: Case) -> None:
        files: dict[str, str] = {}
        for kind, argument, body in case.blocks:
            if kind == "policy":
                path, text = policy_text(argument, body)
                files[path] = text
            elif kind == "file":
                files[argument] = body
        expected_errors = [
            (argument, body) for kind, argument, body in case.blocks if kind == "build-error"
        ]
        if expected_errors:
            with pytest.raises(BuildFailed) as failed:
                make_evaluator(files)
            told = [(f"{d.file}:{d.row}", d.message) for d in failed.value.diagnostics]
            for argument, _ in expected_errors:
                place, _, text = argument.partition(" ")
                assert any(place == file and text in message for file, message in told), told
            return
        _play(case, make_evaluator(files), tmp_path)

    return run


def _play(case: Case, evaluator: Evaluator, root: Path) -> None:
    answer: HarnessAnswer | None = None
    checked = 0
    for kind, argument, body in case.blocks:
        if kind == "event":
            event: Any = json.loads(body.replace("$ROOT", str(root)))
            if argument == "CL":
                event = {**COMMON, "cwd": str(root), **event}
            answer = evaluator.answer("claude", json.dumps(event).encode())
        elif kind == "answer":
            assert answer is not None
            assert json.loads(answer.response) == json.loads(body.replace("$ROOT", str(root))), (
                answer
            )
            assert answer.exit_code == 0
            checked += 1
        elif kind == "failure":
            assert answer is not None
            assert answer.verdict == "deny", answer
            text = answer.response.decode() + answer.stderr
            assert argument in text, answer
            assert answer.exit_code == 2 or "deny" in text or "block" in text
            checked += 1
        elif kind == "warning":
            assert answer is not None
            assert any(argument in warning for warning in answer.warnings), answer
            checked += 1
    assert checked, "a case without a check"

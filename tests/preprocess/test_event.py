"""What policies get to see of an event."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.preprocess.event import RESERVED, clean_event, enrich_event


def seen(harness: str, event: dict[str, Any], root: Path) -> dict[str, Any]:
    before = copy.deepcopy(event)
    cleaned, _ = clean_event(harness, event)
    result = enrich_event(harness, cleaned, str(root))
    assert event == before, "the event itself must stay as it was sent"
    return result


@pytest.mark.parametrize("key", RESERVED)
def test_a_reserved_key_is_removed_and_reported(key: str) -> None:
    cleaned, warnings = clean_event("claude", {"hook_event_name": "Stop", key: "spoofed"})
    assert key not in cleaned
    assert [key in warning for warning in warnings] == [True]


def test_the_name_of_the_event_is_there_in_both_spellings() -> None:
    assert clean_event("claude", {"hook_event_name": "A"})[0]["hookEventName"] == "A"
    assert clean_event("claude", {"hookEventName": "A"})[0]["hook_event_name"] == "A"
    both = {"hookEventName": "A", "hook_event_name": "B"}
    assert clean_event("claude", both)[0] == both


def test_null_is_no_name_of_an_event() -> None:
    """Routing passes over it; policies that were left with it would judge nothing."""
    for event in (
        {"hook_event_name": None, "hookEventName": "A"},
        {"hook_event_name": "A", "hookEventName": None},
    ):
        assert clean_event("claude", event)[0] == {"hook_event_name": "A", "hookEventName": "A"}


def test_factory_events_get_both_spellings_of_all_common_fields() -> None:
    cleaned, _ = clean_event(
        "factory", {"hookEventName": "A", "permissionMode": "auto", "sessionId": "s"}
    )
    assert (cleaned["hook_event_name"], cleaned["permission_mode"], cleaned["session_id"]) == (
        "A",
        "auto",
        "s",
    )


def test_unknown_fields_reach_policies(tmp_path: Path) -> None:
    assert seen("claude", {"hook_event_name": "X", "new": {"a": [1]}}, tmp_path)["new"] == {
        "a": [1]
    }


def test_a_bash_command_is_normalised(tmp_path: Path) -> None:
    event = {"tool_name": "Bash", "tool_input": {"command": "rm  -rf  ./x", "description": "d  d"}}
    result = seen("claude", event, tmp_path)
    assert result["tool_input"] == {"command": "rm -rf ./x", "description": "d  d"}
    assert result["affected_parent_directories"] == [str(tmp_path.resolve() / "x")]


@pytest.mark.parametrize(
    "tool_input",
    [
        None,
        "text",
        [],
        {},
        {"command": None},
        {"command": 7},
        {"command": ["rm", "x"]},
        {"file_path": 1},
    ],
)
def test_odd_tool_input_is_left_alone(tmp_path: Path, tool_input: Any) -> None:
    event = {
        "hook_event_name": "A",
        "hookEventName": "A",
        "tool_name": "Bash",
        "tool_input": tool_input,
    }
    assert seen("claude", event, tmp_path) == event


def test_a_command_of_another_tool_is_left_alone(tmp_path: Path) -> None:
    event = {"tool_name": "PowerShell", "tool_input": {"command": "a  b"}}
    assert seen("claude", event, tmp_path)["tool_input"]["command"] == "a  b"


def test_the_content_of_a_write_is_also_its_new_string(tmp_path: Path) -> None:
    event = {
        "tool_name": "Write",
        "tool_input": {"file_path": "/a", "content": "x", "new_string": "spoofed"},
    }
    assert seen("claude", event, tmp_path)["tool_input"]["new_string"] == "x"


@pytest.mark.parametrize("field", ["file_path", "path", "notebook_path"])
def test_paths_are_resolved_against_cwd(tmp_path: Path, field: str) -> None:
    root = tmp_path.resolve()
    (root / "data").symlink_to(root / ".cupcake")
    event = {"cwd": str(root), "tool_name": "Read", "tool_input": {field: "data/x.rego"}}
    result = seen("claude", event, Path("/elsewhere"))
    assert result["resolved_file_path"] == str(root / ".cupcake/x.rego")
    assert result["original_file_path"] == "data/x.rego"
    assert result["is_symlink"] is False


def test_without_cwd_the_root_of_the_project_counts(tmp_path: Path) -> None:
    event = {"tool_name": "Read", "tool_input": {"file_path": "x"}}
    assert seen("claude", event, tmp_path.resolve())["resolved_file_path"] == str(
        tmp_path.resolve() / "x"
    )


def test_a_glob_pattern_is_not_resolved(tmp_path: Path) -> None:
    result = seen("claude", {"tool_name": "Glob", "tool_input": {"pattern": ".cup*"}}, tmp_path)
    assert "resolved_file_path" not in result


def test_every_edit_gets_its_own_path_and_no_spoofed_one(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    edits = [{"old_string": "a", "resolved_file_path": "/spoofed"}, {"file_path": "b"}, "odd"]
    event = {"cwd": str(root), "tool_name": "MultiEdit", "tool_input": {"edits": edits}}
    assert seen("claude", event, root)["tool_input"]["edits"] == [
        {"old_string": "a"},
        {
            "file_path": "b",
            "resolved_file_path": str(root / "b"),
            "original_file_path": "b",
            "is_symlink": False,
        },
        "odd",
    ]


def test_opencode_events_get_the_common_names(tmp_path: Path) -> None:
    event = {
        "hook_event_name": "PreToolUse",
        "tool": "bash",
        "args": {"command": "rm  x"},
        "result": {"success": True},
    }
    result = seen("opencode", event, tmp_path)
    assert (result["tool_name"], result["tool_input"]) == ("Bash", {"command": "rm x"})
    assert result["tool_response"] == {"success": True}
    assert clean_event("opencode", {"tool": "own_tool"})[0]["tool_name"] == "own_tool"
    assert clean_event("opencode", {})[0]["tool_name"] == "unknown"


def test_cursor_events_keep_their_own_shape(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    event = {"hook_event_name": "beforeShellExecution", "command": "rm  -rf ./x", "cwd": str(root)}
    result = seen("cursor", event, root)
    assert (result["command"], result["affected_parent_directories"]) == (
        "rm -rf ./x",
        [str(root / "x")],
    )
    read = seen("cursor", {"hook_event_name": "beforeReadFile", "file_path": "y"}, root)
    assert read["resolved_file_path"] == str(root / "y")

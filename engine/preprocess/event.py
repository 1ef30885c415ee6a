"""From a harness event to the input that policies see. Deterministic but for the links that `paths` follows.

It never mutates the event that it is given: the answer needs the original tool input.
"""

from __future__ import annotations

from typing import Any

from cupcake.engine.errors import BadEvent
from cupcake.engine.preprocess.paths import (
    MAX_PATHS,
    MAX_STEPS,
    affected_folders,
    canonical,
    is_link,
)
from cupcake.engine.preprocess.whitespace import normalise_whitespace

#: Keys that only the engine sets. An event that carries them is stripped of them, and that is reported.
RESERVED = (
    "signals",
    "builtin_config",
    "resolved_file_path",
    "original_file_path",
    "is_symlink",
    "affected_parent_directories",
    "executed_script_content",
    "executed_script_path",
    "script_inspection_performed",
)
_RESERVED = frozenset(RESERVED)
_PATH_KEYS = ("resolved_file_path", "original_file_path", "is_symlink")

_PATH_FIELDS = {
    "claude": ("file_path", "path", "notebook_path"),
    "factory": ("file_path", "path", "notebook_path"),
    "opencode": ("file_path", "path", "filePath"),
}
_CURSOR_TOOLS = {
    "beforeShellExecution": "Bash",
    "beforeFileEdit": "Edit",
    "afterFileEdit": "Edit",
    "beforeFileWrite": "Write",
    "afterFileWrite": "Write",
}
_OPENCODE_TOOLS = {
    "bash": "Bash",
    "edit": "Edit",
    "write": "Write",
    "read": "Read",
    "grep": "Grep",
    "glob": "Glob",
    "list": "List",
    "patch": "Patch",
    "todowrite": "TodoWrite",
    "todoread": "TodoRead",
    "webfetch": "WebFetch",
    "task": "Task",
}
_EVENT_NAME = (("hook_event_name", "hookEventName"),)
_ALL_SPELLINGS = (
    *_EVENT_NAME,
    ("session_id", "sessionId"),
    ("transcript_path", "transcriptPath"),
    ("permission_mode", "permissionMode"),
)


def clean_event(harness: str, event: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A shallow copy without reserved keys and with both spellings of the event's name, plus warnings.

    OpenCode's `tool`, `args` and `result` are given their common names here, because routing needs them.
    """
    warnings: list[str] = []
    if _RESERVED.isdisjoint(event):
        cleaned = dict(event)
    else:
        cleaned = {key: value for key, value in event.items() if key not in _RESERVED}
        taken = ", ".join(key for key in event if key in _RESERVED)
        warnings.append(f"the event set reserved keys ({taken}); they were removed")
    # Old policies read the event's name in camelCase; Factory's own events have nothing else.
    for snake, camel in _ALL_SPELLINGS if harness == "factory" else _EVENT_NAME:
        # null is no name: routing passes over it, so policies must not be left with it.
        if cleaned.get(snake) is None and cleaned.get(camel) is not None:
            cleaned[snake] = cleaned[camel]
        elif cleaned.get(camel) is None and snake in cleaned:
            cleaned[camel] = cleaned[snake]
    if harness == "opencode":
        _map_opencode(cleaned)
    return cleaned, warnings


def enrich_event(harness: str, cleaned: dict[str, Any], root: str) -> dict[str, Any]:
    """Add what policies may rely on: normalised command, canonical paths, unified content. Returns `cleaned`.

    Relative paths are taken from the event's `cwd`, else from the project's root. Raises BadEvent for more
    paths than can be looked at.
    """
    cwd = cleaned.get("cwd")
    base = (
        cwd
        if isinstance(cwd, str) and cwd.startswith("/")
        else (f"{root}/{cwd}" if isinstance(cwd, str) and cwd else root)
    )
    if harness == "cursor":
        _enrich_cursor(cleaned, base)
        return cleaned
    arguments = cleaned.get("tool_input")
    if not isinstance(arguments, dict):
        return cleaned
    tool = cleaned.get("tool_name")
    if tool == "Bash":
        command = arguments.get("command")
        if isinstance(command, str):
            normalised = normalise_whitespace(command)
            if normalised != command:
                arguments = {**arguments, "command": normalised}
                cleaned["tool_input"] = arguments
            folders = affected_folders(normalised, base)
            if folders:
                cleaned["affected_parent_directories"] = folders
    elif tool == "Write" and harness == "claude" and "content" in arguments:
        arguments = {**arguments, "new_string": arguments["content"]}
        cleaned["tool_input"] = arguments
    for name in _PATH_FIELDS.get(harness, _PATH_FIELDS["claude"]):
        path = arguments.get(name)
        if isinstance(path, str):
            _add_path(cleaned, path, base)
            break
    edits = arguments.get("edits")
    if isinstance(edits, list) and harness == "claude":
        if len(edits) > MAX_PATHS:
            raise BadEvent(f"the tool input holds more than {MAX_PATHS} edits")
        named = (edit.get("file_path") for edit in edits if isinstance(edit, dict))
        if sum(path.count("/") for path in named if isinstance(path, str)) > MAX_STEPS:
            raise BadEvent(f"the paths of the edits have more than {MAX_STEPS} steps")
        cleaned["tool_input"] = {**arguments, "edits": [_edit(edit, base) for edit in edits]}
    return cleaned


def _add_path(into: dict[str, Any], path: str, base: str) -> None:
    into["resolved_file_path"] = canonical(path, base)
    into["original_file_path"] = path
    into["is_symlink"] = is_link(path, base)


def _edit(edit: Any, base: str) -> Any:
    if not isinstance(edit, dict):
        return edit
    own = {key: value for key, value in edit.items() if key not in _PATH_KEYS}
    path = own.get("file_path")
    if isinstance(path, str):
        _add_path(own, path, base)
    return own


def _enrich_cursor(cleaned: dict[str, Any], base: str) -> None:
    tool = _CURSOR_TOOLS.get(str(cleaned.get("hook_event_name")))
    command = cleaned.get("command")
    if tool == "Bash" and isinstance(command, str):
        cleaned["command"] = normalised = normalise_whitespace(command)
        folders = affected_folders(normalised, base)
        if folders:
            cleaned["affected_parent_directories"] = folders
    for name in ("file_path", "path"):
        path = cleaned.get(name)
        if isinstance(path, str):
            _add_path(cleaned, path, base)
            return


def _map_opencode(cleaned: dict[str, Any]) -> None:
    tool = cleaned.get("tool")
    cleaned["tool_name"] = _OPENCODE_TOOLS.get(tool, tool) if isinstance(tool, str) else "unknown"
    if "args" in cleaned:
        cleaned["tool_input"] = cleaned["args"]
    if "result" in cleaned:
        cleaned["tool_response"] = cleaned["result"]

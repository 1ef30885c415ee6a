"""Read the head of a policy file: its package and its `# METADATA` block, without parsing Rego.

Pure. A block that upstream would skip silently is an error with a row here; what to do with a file that has no
routing at all is decided in `assemble`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from cupcake.engine.policy.routing import Routing
from cupcake.engine.policy.yaml_text import YamlProblem, YamlText, parse_yaml

_PACKAGE = re.compile(r"^package[ \t]+([a-zA-Z0-9._]+)", re.MULTILINE)

#: Event names that some supported harness sends. Any other name in `required_events` earns a warning, no more.
KNOWN_EVENTS = frozenset(
    {
        "PreToolUse",
        "PermissionRequest",
        "PermissionDenied",
        "PostToolUse",
        "PostToolUseFailure",
        "PostToolBatch",
        "UserPromptSubmit",
        "UserPromptExpansion",
        "SessionStart",
        "Setup",
        "SessionEnd",
        "Stop",
        "SubagentStart",
        "SubagentStop",
        "StopFailure",
        "Notification",
        "PreCompact",
        "PostCompact",
        "PreModelSwitch",
        "PostModelSwitch",
        "ConfigChange",
        "InstructionsLoaded",
        "CwdChanged",
        "FileChanged",
        "DirectoryAdded",
        "WorktreeCreate",
        "WorktreeRemove",
        "TaskCreated",
        "TaskCompleted",
        "TeammateIdle",
        "Elicitation",
        "ElicitationResult",
        "MessageDisplay",
        "beforeShellExecution",
        "beforeMCPExecution",
        "beforeReadFile",
        "beforeSubmitPrompt",
        "beforeTabFileRead",
        "stop",
        "subagentStart",
        "subagentStop",
        "preToolUse",
        "postToolUse",
        "postToolUseFailure",
        "sessionStart",
        "sessionEnd",
        "preCompact",
        "afterFileEdit",
        "afterShellExecution",
        "afterMCPExecution",
        "afterAgentResponse",
        "afterAgentThought",
        "afterTabFileEdit",
        "beforeFileEdit",
        "beforeFileWrite",
        "afterFileWrite",
        "NeverFires",
    }
)


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a file says. `routing` is None when the block has no `custom.routing` (or there is no block)."""

    package: str
    package_row: int
    has_metadata: bool
    routing: Routing | None
    metadata_row: int = 0


class BadMetadata(ValueError):
    """The head is unusable. `row` counts from 1."""

    def __init__(self, message: str, row: int, hint: str = "") -> None:
        self.row = row
        self.hint = hint
        super().__init__(message)


# A builder that starts from the build before reads the same texts again.
@functools.lru_cache(maxsize=1024)
def read_head(text: str) -> Head:
    """Package and routing of one policy file; raises BadMetadata."""
    found = _PACKAGE.search(text)
    if found is None:
        raise BadMetadata(
            "no package declaration", 1, "begin the file with `package cupcake.policies.<name>`"
        )
    package = found.group(1).rstrip(".")
    package_row = text.count("\n", 0, found.start()) + 1
    block, row = _block(text)
    if block is None:
        return Head(package, package_row, False, None)
    document = _load(block, row)
    if document.value is None:
        return Head(package, package_row, False, None, row)
    return Head(package, package_row, True, _routing(document, row), row)


def _block(text: str) -> tuple[str | None, int]:
    """The YAML text of the first `# METADATA` block and the row of its first line."""
    lines: list[str] = []
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not start:
            if bare == "# METADATA":
                start = number + 1
            continue
        if bare == "# METADATA":
            lines.append("")  # keeps rows in step
            continue
        if not bare.startswith("#"):
            break
        content = bare[1:]
        lines.append(content.removeprefix(" "))
    if not start or not any(line.strip() for line in lines):
        return None, start
    return "\n".join(lines), start


def _load(block: str, row: int) -> YamlText:
    try:
        document = parse_yaml(block)
    except YamlProblem as error:
        raise BadMetadata(f"the METADATA block: {error}", row + error.row - 1) from None
    if document.value is not None and not isinstance(document.value, dict):
        raise BadMetadata("the METADATA block must be a YAML mapping", row)
    return document


def _routing(document: YamlText, row: int) -> Routing | None:
    """`custom.routing`, None when absent; raises BadMetadata for any field of a wrong type."""

    def read(kind: type, what: str, *path: str) -> Any:
        value = document.value
        for step in path:
            value = None if value is None else value.get(step)
        if value is not None and not isinstance(value, kind):
            raise fault(f"must be {what}", *path)
        return value

    def strings(*path: str) -> tuple[str, ...]:
        value = read(list, "a list of strings", *path) or ()
        if not all(isinstance(item, str) for item in value):
            raise fault("must be a list of strings", *path)
        return tuple(dict.fromkeys(value))

    def fault(text: str, *path: str) -> BadMetadata:
        place = row + document.row_of(*path) - 1
        return BadMetadata(f"{'.'.join(path)} in the METADATA block {text}", place)

    for name in ("scope", "title"):
        read(str, "a string", name)
    for name in ("authors", "organizations"):
        read(list, "a list", name)
    read(dict, "a mapping", "custom")
    for name in ("severity", "id"):
        read(str, "a string", "custom", name)
    if read(dict, "a mapping", "custom", "routing") is None:
        return None
    return Routing(
        events=strings("custom", "routing", "required_events"),
        tools=strings("custom", "routing", "required_tools"),
        signals=strings("custom", "routing", "required_signals"),
    )

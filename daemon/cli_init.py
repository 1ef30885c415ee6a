"""`cupcake init --harness claude`: make `.cupcake/`, connect the agent's hooks. Twice is harmless, nothing is lost.

Exit codes: 0 done, 1 something could not be written or understood (nothing was overwritten), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from cupcake.engine.library.scaffold import project_files

# Every event of Claude Code that a policy can decide on, and whether it takes a matcher.
CLAUDE_EVENTS = {
    "PreToolUse": True,
    "PermissionRequest": True,
    "PostToolUse": True,
    "UserPromptSubmit": False,
    "SessionStart": False,
    "Stop": False,
    "SubagentStop": False,
    "PreCompact": False,
    "ConfigChange": False,
}
HOOK_TIMEOUT_S = 30


class InitError(Exception):
    """Something is in the way; the message names the file and the remedy."""


def main(argv: list[str]) -> int:
    """`argv` starts with the word `init`."""
    parser = argparse.ArgumentParser(
        prog="cupcake init", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "--harness", required=True, choices=["claude"], help="whose hooks to connect"
    )
    parser.add_argument("--project-dir", default=".", help="the project root (default: here)")
    options = parser.parse_args(argv[1:])
    root = Path(options.project_dir).absolute()
    if root.name == ".cupcake":
        root = root.parent
    try:
        notes = init_project(root, options.harness)
    except (InitError, OSError) as error:
        print(f"cupcake init: {error}", file=sys.stderr)
        return 1
    print("\n".join(notes))
    return 0


def init_project(root: Path, harness: str) -> list[str]:
    """Writes what is missing; returns what was done, a line each. Raises InitError or OSError."""
    if not root.is_dir():
        raise InitError(f"{root} is not a folder")
    settings = root / ".claude" / "settings.json"
    disabled = bool(read_settings(settings).get("disableAllHooks"))
    merged = merged_settings(
        settings
    )  # before anything is written: a file in the way must stop everything
    folder = root / ".cupcake"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InitError(
            f"{folder} is not a folder of this project. Move it away and run this again."
        )
    notes: list[str] = []
    if not folder.exists():
        folder.mkdir(mode=0o700)
    for name, text in project_files(harness).items():
        path = folder / name
        if path.exists() or (
            name.startswith("policies/")
            and (folder / "policies" / harness).exists()
            and not _fresh(notes)
        ):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        notes.append(f"wrote {path.relative_to(root)}")
    if merged is not None:
        settings = Path(os.path.realpath(settings))  # a link to the real file stays a link
        settings.parent.mkdir(exist_ok=True)
        temporary = settings.with_name(f".settings.{os.getpid()}.tmp")
        try:
            temporary.write_text(merged, encoding="utf-8")
            if settings.exists():
                shutil.copymode(settings, temporary)
            os.replace(temporary, settings)
        finally:
            temporary.unlink(missing_ok=True)
        notes.append("connected Claude Code's hooks in .claude/settings.json")
    if disabled:
        notes.append(
            f"ATTENTION: {root / '.claude/settings.json'} has `disableAllHooks`: Claude Code asks nobody until it is gone."
        )
    if not notes:
        notes.append("Nothing to do: this project is initialised already.")
    else:
        notes.append(
            "Edit the policies in .cupcake/policies/claude; they are in force as soon as you save."
        )
    return notes


def _fresh(notes: list[str]) -> bool:
    """True while the policy folder that exists was made by this very run."""
    return any(note.startswith("wrote .cupcake/policies/") for note in notes)


def hook_command() -> str:
    """The command line for the agent's settings: absolute, so that no PATH of the agent's can redirect it."""
    scripts = Path(sysconfig.get_path("scripts")) / "cupcake"
    program = str(scripts) if scripts.exists() else (shutil.which("cupcake") or "cupcake")
    return (
        f'{shlex.quote(program)} eval --harness claude --policy-dir "$CLAUDE_PROJECT_DIR"/.cupcake'
    )


def read_settings(path: Path) -> dict[str, Any]:
    """The settings file as an object, empty when there is none. Raises InitError."""
    settings: Any = {}
    try:
        if path.exists() and not path.is_file():
            raise InitError(f"{path} is not a regular file. Move it away and run this again.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise InitError(f"{path} cannot be read: {error}") from None
    if text.strip():
        try:
            settings = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise InitError(
                f"{path} is not JSON ({error}). Mend it and run this again; nothing was changed."
            ) from None
    if not isinstance(settings, dict):
        raise InitError(
            f"{path} is not an object. Mend it and run this again; nothing was changed."
        )
    return settings


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Writing the file anew would lose what stands under a key's first mention."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def merged_settings(path: Path) -> str | None:
    """The new text of the settings file; None when our hooks are all there. Raises InitError."""
    settings = read_settings(path)
    if not isinstance(settings.setdefault("hooks", {}), dict):
        raise InitError(
            f"{path} is not an object with an object `hooks`. Mend it and run this again; nothing was changed."
        )
    command = hook_command()
    changed = False
    for event, takes_matcher in CLAUDE_EVENTS.items():
        groups = settings["hooks"].setdefault(event, [])
        if not isinstance(groups, list):
            raise InitError(
                f"{path}: hooks.{event} is not a list. Mend it and run this again; nothing was changed."
            )
        if any(is_ours(group) for group in groups):
            for group in groups:
                changed |= mend(group, command)
            continue
        hook = {
            "type": "command",
            "command": command,
            "timeout": HOOK_TIMEOUT_S,
            "onFailure": "block",
        }
        groups.append({"matcher": "*", "hooks": [hook]} if takes_matcher else {"hooks": [hook]})
        changed = True
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n" if changed else None


def mend(group: Any, command: str) -> bool:
    """Puts `command` in the place of hooks of ours whose program is gone (a removed venv): those would fail open."""
    changed = False
    if is_ours(group):
        for hook in group["hooks"]:
            if not (isinstance(hook, dict) and is_ours({"hooks": [hook]})):
                continue
            try:
                program = shlex.split(hook["command"])[0]
            except (ValueError, IndexError):
                continue
            if program.startswith("/") and not os.path.exists(program):
                hook["command"] = command
                changed = True
    return changed


def is_ours(group: Any) -> bool:
    """True when a matcher group runs `cupcake eval` already, in whatever spelling."""
    if not isinstance(group, dict) or not isinstance(group.get("hooks"), list):
        return False
    return any(
        isinstance(hook, dict)
        and isinstance(hook.get("command"), str)
        and "cupcake" in hook["command"]
        and " eval " in f"{hook['command']} "
        for hook in group["hooks"]
    )

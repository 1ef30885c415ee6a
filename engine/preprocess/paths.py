"""Canonical paths for policies: where a path really leads, and which folders a command touches.

Reads link targets from disk (nothing else), never caches them between events. A link may still change between this
look and the tool's own use of the path.
"""

from __future__ import annotations

import os
import re

from cupcake.engine.errors import BadEvent

#: Each path costs a look at the disk; a command that names more is refused.
MAX_PATHS = 4096
#: The same for their steps (each link of a path is looked at), and for mentions of the same path.
MAX_STEPS = 65_536
#: No system call takes a longer path, so none leads anywhere.
MAX_PATH_BYTES = 4096

_WORTH_A_LOOK = re.compile(r"[/\\*?\[.$~]")
_GLOB = re.compile(r"[*?\[]")
_QUOTING = re.compile(r"['\"\\]")
# One piece of a shell word; `bad` is a quote or a backslash that nothing closes.
_WORD_PIECE = re.compile(
    r"(?P<blank>[ \t\r\n]+)|(?P<plain>[^\s'\"\\]+)|'(?P<single>[^']*)'|\"(?P<double>[^\"\\]*+(?:\\.[^\"\\]*+)*+)\"|\\(?P<escape>.)|(?P<bad>['\"\\])|(?P<rest>.)",
    re.DOTALL,
)
_DOUBLE_ESCAPE = re.compile(r"\\([$`\"\\\n])")


def canonical(path: str, base: str) -> str:
    """`path` made absolute against `base`, links followed as far as the path exists, `..` folded.

    Never raises: what cannot be looked at (a NUL byte, too long a name) comes back absolute and unresolved.
    """
    absolute = os.path.join(base, path)
    try:
        if len(os.fsencode(absolute)) > MAX_PATH_BYTES:
            return os.path.normpath(absolute)
        return os.path.realpath(absolute)
    except (OSError, ValueError):
        return absolute


def is_link(path: str, base: str) -> bool:
    """Is the path itself, not what it leads to, a symbolic link?"""
    try:
        return os.path.islink(os.path.join(base, path))
    except (OSError, ValueError):
        return False


def split_words(command: str) -> list[str]:
    """Words of a command as a POSIX shell quotes them; by blanks alone where a quote is not closed."""
    if _QUOTING.search(command) is None:
        return command.split()
    words: list[str] = []
    current: list[str] | None = None
    for piece in _WORD_PIECE.finditer(command):
        kind = piece.lastgroup
        if kind == "bad":
            return command.split()
        if kind == "blank":
            if current is not None:
                words.append("".join(current))
                current = None
            continue
        text = piece.group(kind or 0)
        if kind == "double" and "\\" in text:
            text = _DOUBLE_ESCAPE.sub(lambda m: "" if m.group(1) == "\n" else m.group(1), text)
        if current is None:
            current = []
        current.append(text)
    if current is not None:
        words.append("".join(current))
    return words


def affected_folders(command: str, base: str) -> list[str]:
    """Canonical paths that the words of a command name; for a glob the folder that it ranges over.

    Raises BadEvent for more than MAX_PATHS different ones."""
    if _WORTH_A_LOOK.search(command) is None:
        return []
    known: dict[str, str] = {}
    steps = 0
    found: list[str] = []
    for word in split_words(command)[1:]:
        if word.startswith("-") or word.isdecimal() or not _names_path(word):
            continue
        glob = _GLOB.search(word)
        if glob is not None:
            cut = max(word.rfind("/", 0, glob.start()), word.rfind("\\", 0, glob.start()))
            word = word[: cut + 1] if cut >= 0 else "."
        resolved = known.get(word)
        if resolved is None:
            if len(known) >= MAX_PATHS:
                raise BadEvent(f"the command names more than {MAX_PATHS} paths")
            steps += word.count("/")
            resolved = "" if steps > MAX_STEPS else canonical(word, base)
            known[word] = resolved
        found.append(resolved)
        if steps + len(found) > MAX_STEPS:
            raise BadEvent(f"the paths of the command have more than {MAX_STEPS} steps")
    return found


def _names_path(word: str) -> bool:
    return word[:1] in (".", "$", "~") or any(mark in word for mark in "/\\*?[")

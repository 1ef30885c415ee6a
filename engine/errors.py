"""Every error that the engine raises, in one file. Foreign errors are translated where a library is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Characters of a source line that a message shows.
_WIDEST = 200


class EngineError(Exception):
    """Base of all engine errors; the message is one clear sentence for a person."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One compile error. `code` is OPA's (`rego_parse_error` ...); row and col count from 1, 0 = no place."""

    code: str
    message: str
    file: str = ""
    row: int = 0
    col: int = 0
    source_line: str = ""
    hint: str = ""

    def render(self) -> str:
        """`file:row:col: code: message`, then the source line with a caret, then the hint."""
        place = (
            f"{self.file}:{self.row}:{self.col}: "
            if self.row
            else (f"{self.file}: " if self.file else "")
        )
        lines = [f"{place}{self.code}: {self.message}"]
        if self.source_line:
            text, before = _around(self.source_line.rstrip("\r\n"), max(self.col - 1, 0))
            pad = "".join("\t" if c == "\t" else " " for c in text[:before])
            lines += [f"    {text}", f"    {pad}^"]
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        return "\n".join(lines)


def _around(line: str, at: int) -> tuple[str, int]:
    """The line and the place in it, of a very long line what is around the place."""
    if len(line) <= _WIDEST:
        return line, at
    start = max(min(at - _WIDEST // 2, len(line) - _WIDEST), 0)
    left, right = "..." if start else "", "..." if start + _WIDEST < len(line) else ""
    return f"{left}{line[start : start + _WIDEST]}{right}", at - start + len(left)


class CompileErrors(EngineError):
    """All errors of one compile, in source order."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(d.render() for d in diagnostics))


class UnknownEntrypoints(EngineError):
    """Entrypoints that name nothing that has a value; `names` are all of them."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.names = tuple(reasons)
        super().__init__("\n".join(f'entrypoint "{n}" {why}' for n, why in reasons.items()))


class EvaluationError(EngineError):
    """An evaluation failed. `code`: OPA's `eval_conflict_error`, `eval_type_error`, `eval_builtin_error`,
    or ours: `eval_limit_memory`, `eval_limit_time`, `eval_limit_depth`, `eval_limit_input`,
    `eval_internal_error`, `eval_input_error`. `place`: "file:row" of what failed, "" = unknown;
    `col`: the column there."""

    def __init__(self, code: str, message: str, place: str = "") -> None:
        self.code = code
        self.message = message
        self.place = place
        self.col = 0
        super().__init__(f"{code}: {message}")

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{self.place}: {text}" if self.place else text


class LoadError(EngineError):
    """A module or bundle cannot be loaded (not OPA's ABI, a builtin that we do not serve, damaged)."""


class ProjectError(EngineError):
    """A project cannot be read. `place`: the path; `remedy`: what the user can do about it."""

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        self.place = place
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{place}: {problem}; {remedy}")


class BuildFailed(EngineError):
    """A project does not compile: nothing of it takes effect. `diagnostics` are sorted by file and row."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(d.render() for d in diagnostics))


class OpaError(EngineError):
    """The OPA executable cannot be had or used. The message says why and what to do about it."""


class BadEvent(EngineError):
    """An event that cannot be judged: not one JSON object, too large, ambiguous. The message says why."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` for a name that is not among those that there are, or nothing."""
    import difflib  # only after a mistake

    close = difflib.get_close_matches(word, sorted(set(known)), 1)
    return f"; did you mean {close[0]}?" if close else ""

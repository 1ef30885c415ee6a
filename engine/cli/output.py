"""JSON and tables as `opa` prints them. Pure; it must not know what the values mean."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from cupcake.engine.errors import Diagnostic, EvaluationError


class NumberText(str):
    """A number that is printed as it was written: `1.50` stays `1.50`."""

    __slots__ = ()


def read_exact(text: bytes | str) -> Any:
    """JSON whose fractions keep their text, as do integers too long for Python."""
    return json.loads(text, parse_float=NumberText, parse_int=_whole if len(text) > 4300 else None)


def _whole(text: str) -> int | NumberText:
    return int(text) if len(text) <= 4300 else NumberText(text)


def dump(value: Any, indent: int | None = None) -> str:
    """JSON text, compact or indented. Keys stay in their order; `<`, `>` and `&` are escaped, other characters are not."""
    return _dump(value, indent, "\n")


def _dump(value: Any, indent: int | None, line: str) -> str:
    match value:
        case NumberText():
            return str(value)
        case Decimal():
            return str(value)
        case str():
            return _string(value)
        case Mapping() if value:
            inner = line + " " * (indent or 0)
            colon = ":" if indent is None else ": "
            items = [f"{_string(str(k))}{colon}{_dump(v, indent, inner)}" for k, v in value.items()]
            return _bracket("{", items, "}", indent, line)
        case list() | tuple() if value:
            inner = line + " " * (indent or 0)
            return _bracket("[", [_dump(v, indent, inner) for v in value], "]", indent, line)
        case _:
            return json.dumps(value)


def _bracket(opening: str, items: list[str], closing: str, indent: int | None, line: str) -> str:
    if indent is None:
        return opening + ",".join(items) + closing
    inner = line + " " * indent
    return opening + inner + ("," + inner).join(items) + line + closing


def _string(text: str) -> str:
    shown = json.dumps(text, ensure_ascii=False)
    for char, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        shown = shown.replace(char, escape)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text as newer versions of `opa` draw it: headings in the middle, cells to the left."""
    cells = [list(row) for row in rows]
    widths = [max(_width(t) for t in column) for column in zip(header, *cells, strict=True)]
    lines = [
        _rule("┌┬┐", widths),
        _row([_centred(t, w) for t, w in zip(header, widths, strict=True)]),
    ]
    if cells:
        lines.append(_rule("├┼┤", widths))
    for row in cells:
        lines.append(_row([t + " " * (w - _width(t)) for t, w in zip(row, widths, strict=True)]))
    return "\n".join([*lines, _rule("└┴┘", widths)])


def _width(text: str) -> int:
    """Columns on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _centred(text: str, width: int) -> str:
    left = (width - _width(text)) // 2
    return " " * left + text + " " * (width - _width(text) - left)


def _rule(joints: str, widths: Sequence[int]) -> str:
    return joints[0] + joints[1].join("─" * (w + 2) for w in widths) + joints[2]


def _row(cells: Iterable[str]) -> str:
    return "│ " + " │ ".join(cells) + " │"


def diagnostic_json(found: Diagnostic) -> dict[str, Any]:
    """A diagnostic in the shape of `opa check --format json`; `hint` is ours."""
    shape: dict[str, Any] = {"message": found.message, "code": found.code}
    if found.row:
        shape["location"] = {
            "file": "" if found.file == "<query>" else found.file,
            "row": found.row,
            "col": found.col,
        }
    if found.source_line and found.code == "rego_parse_error":
        shape["details"] = {"line": found.source_line, "idx": max(found.col - 1, 0)}
    if found.hint:
        shape["hint"] = found.hint
    return shape


def evaluation_error_json(error: EvaluationError) -> dict[str, Any]:
    """An evaluation error in the same shape."""
    shape: dict[str, Any] = {"message": error.message, "code": error.code}
    if error.place:
        file, _, row = error.place.rpartition(":")
        shape["location"] = {
            "file": "" if file == "<query>" else file,
            "row": int(row),
            "col": error.col,
        }
    return shape


def errors_json(errors: Iterable[Mapping[str, Any]]) -> str:
    """`{"errors": [...]}` for stdout."""
    return dump({"errors": list(errors)}, 2)

"""`# METADATA` comment blocks to `ast.Annotations`, each attached to the statement after it.

Reads the comments that the lexer has kept. The one importer of YAML in the compiler, and only when
there is a block to read: most of its time would be spent in that import.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from cupcake.engine.errors import Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.annotation_fields import faults, misfit
from cupcake.engine.rego.lexer import Tokens

_SCOPES: Final = ("rule", "document", "package", "subpackages")
# Where a truth value is wanted, the words of YAML 1.1 are ones.
_TRUE: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_TRUTHS: Final = _TRUE | {"n", "N", "no", "No", "NO", "off", "Off", "OFF"}
_MAX_NODES: Final = 10_000
_MAX_DEPTH: Final = 50
_MAX_BLOCK: Final = 64 * 1024  # characters


@dataclass(frozen=True, slots=True)
class Attachment:
    """A statement that annotations can belong to: `package`, `import` or `rule`, its first row, and
    the index of the rule (-1 for the others)."""

    what: str
    row: int
    index: int


@dataclass(slots=True)
class Attached:
    """Annotations by rule index, those of the module itself, and what was wrong."""

    rules: dict[int, list[ast.Annotations]] = field(default_factory=dict)
    module: list[ast.Annotations] = field(default_factory=list)
    errors: list[Diagnostic] = field(default_factory=list)


class _BadBlock(Exception):
    def __init__(self, message: str, line: int = -1) -> None:
        self.line = line  # within the block, from 0; -1 is the word METADATA
        super().__init__(message)


def read_annotations(
    tokens: Tokens, file: str, attachments: Sequence[Attachment], max_errors: int
) -> Attached:
    """All annotations of a module whose statements are `attachments`, in source order.

    Stops at `max_errors` errors.
    """
    result = Attached()
    comments = tokens.comments
    rows = [attachment.row for attachment in attachments]
    at = 0
    while at < len(comments) and len(result.errors) < max_errors:
        row, col, offset, text = comments[at]
        at += 1
        if not _begins(col, text):
            continue
        lines: list[str] = []
        end = offset + len(text) + 1
        while at < len(comments):
            next_row, next_col, next_offset, next_text = comments[at]
            if next_row != row + len(lines) + 1 or next_col != 1 or _begins(next_col, next_text):
                break
            lines.append(next_text.removeprefix(" "))
            end = next_offset + len(next_text) + 1
            at += 1
        last_row = row + len(lines)
        follower = bisect_right(rows, last_row)
        target = attachments[follower] if follower < len(rows) else None
        try:
            values = _read_block(lines)
            scope = _scope(values, target)
        except _BadBlock as bad:
            # The line that YAML blames can lie behind the end of the block.
            wrong = min(bad.line, max(len(lines), 1) - 1)
            wrong = wrong if lines else -1
            error = Diagnostic(
                "rego_parse_error",
                str(bad),
                file,
                row + 1 + wrong,
                1,
                tokens.line_at(comments[at - len(lines) + wrong][2]),
                "a METADATA block is YAML in comments; leave the word out if it is none",
            )
            result.errors.append(error)
            continue
        found = ast.Annotations(scope, values, ast.Location(file, row, col, offset, end))
        if target is not None and target.index >= 0:
            result.rules.setdefault(target.index, []).append(found)
        else:
            result.module.append(found)
    return result


def _begins(col: int, text: str) -> bool:
    """Whether a comment begins a block."""
    return col == 1 and text.strip().startswith("METADATA")


def _scope(values: dict[str, object], target: Attachment | None) -> str:
    scope = values.get("scope")
    what = target.what if target else ""
    if scope is None:
        if what == "package":
            return "package"
        if what == "import":
            raise _BadBlock("annotations cannot be applied to an import")
        if target is None:
            raise _BadBlock(f"invalid annotation scope '', use one of {', '.join(_SCOPES)}")
        return "document" if values.get("entrypoint") is True else "rule"
    if not isinstance(scope, str) or scope not in _SCOPES:
        raise _BadBlock(f"invalid annotation scope '{scope}', use one of {', '.join(_SCOPES)}")
    wanted = "package" if scope in ("package", "subpackages") else "rule"
    if what != wanted:
        have = f" (have {what})" if what else ""
        raise _BadBlock(f"annotation scope '{scope}' must be applied to {wanted}{have}")
    if values.get("entrypoint") is True and scope not in ("document", "package"):
        raise _BadBlock(f"annotation entrypoint applied to non-document or package scope '{scope}'")
    return scope


def _read_block(lines: list[str]) -> dict[str, object]:
    import yaml

    text = "\n".join(lines) + "\n"
    if not text.strip():
        raise _BadBlock("expected METADATA block, found whitespace", 0)
    if len(text) > _MAX_BLOCK:
        raise _BadBlock("METADATA block is too large", 0)
    if _depth(text) > _MAX_DEPTH:
        raise _BadBlock("METADATA block is nested too deeply", 0)
    # The C loader recurses on the C stack, which nothing guards; a block with enough marks to nest
    # that deep is read by the Python one.
    marks = sum(text.count(mark) for mark in "[{-?:")
    base: Any = yaml.SafeLoader if marks > 1000 else getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    from cupcake.engine.builtins.host.yamls import PLAIN_RESOLVERS, PLAIN_TAG, moment, scalar

    def plain(self: Any, node: Any) -> object:
        """Numbers are what JSON makes of them, dates are moments."""
        found = scalar(moment(node.value))
        if isinstance(found, Decimal):
            number = float(found)
            if not isfinite(number):
                return node.value
            return int(number) if number.is_integer() and abs(number) < 2**63 else number
        if isinstance(found, float):
            raise _BadBlock("unsupported value: a number without end")
        return found

    def mapping(self: Any, node: Any, deep: bool = False) -> Any:
        """A key that stands twice is a mistake."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != "<<":
                    problem = f'mapping key "{key.value}" is defined already'
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return base.construct_mapping(self, node, deep)

    loader: Any = type(
        "Loader",
        (base,),
        {"yaml_implicit_resolvers": PLAIN_RESOLVERS, "construct_mapping": mapping},
    )
    loader.add_constructor(PLAIN_TAG, plain)
    loader.add_multi_constructor("!", lambda self, suffix, node: node.value)
    reader = loader(text)
    texts: dict[str, object] = {}
    try:
        # What stands behind the first document is no part of the block.
        root = reader.get_node() if reader.check_node() else None
        loaded = reader.construct_document(root) if root is not None else None
        if isinstance(root, yaml.MappingNode):
            texts = {key.value: _text(value) for key, value in root.value}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "invalid"
        raise _BadBlock(f"yaml: {problem}", mark.line if mark else 0) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _BadBlock(f"yaml: {reason}", 0) from None
    finally:
        reader.dispose()
    if not isinstance(loaded, dict):
        raise _BadBlock("METADATA block must be a YAML mapping", 0)
    loaded = {_key(key): value for key, value in loaded.items()}
    custom = loaded.get("custom")
    if isinstance(custom, dict):
        loaded["custom"] = {_key(key): value for key, value in custom.items()}
    budget = [_MAX_NODES]
    values = _plain(loaded, budget, 0)
    assert isinstance(values, dict)
    if isinstance(values.get("entrypoint"), str) and texts["entrypoint"] in _TRUTHS:
        values["entrypoint"] = texts["entrypoint"] in _TRUE
    wrong = misfit(values)
    if wrong is not None:
        name, message = wrong
        row = next((i for i, line in enumerate(lines) if line.lstrip().startswith(name)), 0)
        raise _BadBlock(f"yaml: {message}", row)
    for fault in faults(values):
        raise _BadBlock(fault)
    for name in ("title", "description", "organizations"):
        if values.get(name) is not None:
            values[name] = texts[name]
    return values


def _text(node: Any) -> object:
    """A scalar as it is written, of a list those that are not null: fields of text take numbers and dates as such."""
    if node.id == "sequence":
        return [n.value for n in node.value if n.value not in ("~", "null")]
    return node.value


def _depth(text: str) -> int:
    """How deep brackets nest, at most; those in strings count too."""
    deepest = depth = 0
    for bracket in re.findall(r"[][{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _key(value: object) -> str:
    """A scalar as the text that stands for it where only text can."""
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def _plain(value: object, budget: list[int], depth: int) -> object:
    """`value` in JSON's types alone; aliases are written out, within a budget."""
    budget[0] -= 1
    if budget[0] < 0 or depth > 50:
        raise _BadBlock("METADATA block is too large", 0)
    if isinstance(value, dict):
        result: dict[str, object] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _BadBlock(f"invalid map key type(s): {key!r} is no string")
            result[key] = _plain(item, budget, depth + 1)
        return result
    if isinstance(value, list):
        return [_plain(item, budget, depth + 1) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise _BadBlock(f"unexpected {type(value).__name__} in a METADATA block", 0)

"""Read YAML that users write: values with the row of every key, no surprises from hostile documents. Pure.

The only importer of PyYAML in `engine.policy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Aliases may blow a small file up to billions of values ("billion laughs"); more values than this are refused.
MAX_VALUES = 100_000
MAX_DEPTH = 64


class YamlProblem(ValueError):
    """The text cannot be used; `row` counts from 1 within the text."""

    def __init__(self, message: str, row: int) -> None:
        self.row = row
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class YamlText:
    """A parsed document. `row_of` is for diagnostics only."""

    value: Any
    node: yaml.Node | None

    def row_of(self, *path: str | int) -> int:
        """Row (from 1) of the value at `path`, or of the deepest part of the path that exists."""
        node = self.node
        row = 1 if node is None else node.start_mark.line + 1
        for step in path:
            found = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(step):
                        row, found = key.start_mark.line + 1, value
            elif (
                isinstance(node, yaml.SequenceNode)
                and isinstance(step, int)
                and step < len(node.value)
            ):
                found = node.value[step]
                row = found.start_mark.line + 1
            if found is None:
                return row
            node = found
        return row


def parse_yaml(text: str, *, first: bool = False) -> YamlText:
    """Parse one document, or with `first` the first of several; raises YamlProblem for what is no YAML, has a key twice, is too
    deep or, expanded, too large."""
    try:
        loader = _Loader(text)
        try:
            if not first:
                node = loader.get_single_node()
            else:
                node = loader.get_node() if loader.check_node() else None
                while loader.check_node():  # the others must be YAML all the same
                    loader.get_node()
            if node is not None:
                _measure(node)
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "syntax error"
        raise YamlProblem(f"not valid YAML: {what}", mark.line + 1 if mark else 1) from None
    except YamlProblem:
        raise
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise YamlProblem(f"not valid YAML: {error}", 1) from None
    return YamlText(value, node)


def _measure(root: yaml.Node) -> None:
    left = MAX_VALUES
    stack: list[tuple[yaml.Node, int]] = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        left -= 1
        row = node.start_mark.line + 1
        if left < 0:
            raise YamlProblem(f"more than {MAX_VALUES} values when aliases are expanded", row)
        if depth > MAX_DEPTH:
            raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels", row)
        if isinstance(node, yaml.MappingNode):
            seen: set[tuple[str, str]] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    # The later would replace the earlier in silence: a guard that stands there would be off.
                    if (key.tag, key.value) in seen:
                        raise YamlProblem(
                            f"the key `{key.value}` stands twice", key.start_mark.line + 1
                        )
                    seen.add((key.tag, key.value))
                stack.append((key, depth + 1))
                stack.append((value, depth + 1))
        elif isinstance(node, yaml.SequenceNode):
            stack.extend((value, depth + 1) for value in node.value)

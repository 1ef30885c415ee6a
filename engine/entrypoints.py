"""Names of entrypoints: their paths, and what of a policy they may stand for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from cupcake.engine.errors import UnknownEntrypoints, did_you_mean
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, Path


def entrypoint_path(name: str) -> str:
    """ "data.a.b" and "a/b" name the same entrypoint; the second form is the module's."""
    if name.startswith("data."):
        return name[len("data.") :].replace(".", "/")
    return name.strip("/")


def known_entrypoints(checked: Checked, names: Sequence[str], data: object = None) -> list[str]:
    """The paths of entrypoints. UnknownEntrypoints for those that are functions, or no package, no rule, nothing inside of a
    rule and nothing in the base document `data`."""
    above: set[tuple[str, ...]] = {()}
    functions: dict[tuple[str, ...], bool] = {}
    for path, group in checked.rules.items():
        texts = _texts(path)
        above.update(texts[:size] for size in range(1, len(texts)))
        functions[texts] = functions.get(texts, True) and group.kind == "function"
    for module in checked.modules:
        package = tuple([t.value for t in module.package.terms[1:] if isinstance(t, ast.String)])
        above.update(package[:size] for size in range(1, len(package) + 1))
    found = [entrypoint_path(name) for name in names]
    unknown: dict[str, str] = {}
    for name in found:
        parts = tuple([part for part in name.split("/") if part])
        rule = next((s for n in range(len(parts)) if (s := parts[: n + 1]) in functions), None)
        if parts in above or (rule is None and _holds(data, parts)):
            continue
        if rule is None:
            known = ["/".join(texts) for texts in functions]
            why = "does not refer to a rule: the policies define no such name"
            unknown[name] = why + did_you_mean(name, known)
        elif functions[rule]:
            unknown[name] = (
                "is a function, which has no value of its own: name a rule that calls it"
            )
    if unknown:
        raise UnknownEntrypoints(unknown)
    return found


def _holds(data: object, parts: Sequence[str]) -> bool:
    """Whether the base document has something there."""
    for part in parts:
        if not isinstance(data, Mapping) or part not in data:
            return False
        data = data[part]
    return True


def _texts(path: Path) -> tuple[str, ...]:
    """The path up to a key that is no text."""
    return tuple([str(part) for part in takewhile(lambda part: isinstance(part, str), path)])

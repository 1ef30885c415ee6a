"""Names of entrypoints: their paths, and what of a policy they may stand for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from cupcake.engine.errors import EngineError, did_you_mean
from cupcake.engine.rego.checked import Checked, Path


def entrypoint_path(name: str) -> str:
    """ "data.a.b" and "a/b" name the same entrypoint; the second form is the module's."""
    if name.startswith("data."):
        return name[len("data.") :].replace(".", "/")
    return name.strip("/")


def known_entrypoints(checked: Checked, names: Sequence[str]) -> list[str]:
    """The paths of entrypoints. EngineError for one that is no package, no rule and nothing inside of a rule, or a function."""
    above: set[tuple[str, ...]] = {()}
    functions: dict[tuple[str, ...], bool] = {}
    for path, group in checked.rules.items():
        texts = _texts(path)
        above.update(texts[:size] for size in range(1, len(texts)))
        functions[texts] = functions.get(texts, True) and group.kind == "function"
    found = [entrypoint_path(name) for name in names]
    for name in found:
        parts = tuple([part for part in name.split("/") if part])
        rule = next((s for n in range(len(parts)) if (s := parts[: n + 1]) in functions), None)
        if parts in above:
            continue
        if rule is None:
            known = ["/".join(texts) for texts in functions]
            raise EngineError(
                f'entrypoint "{name}" does not refer to a rule: the policies define no such name'
                + did_you_mean(name, known)
            )
        if functions[rule]:
            raise EngineError(
                f'entrypoint "{name}" is a function, which has no value of its own: name a rule that calls it'
            )
    return found


def _texts(path: Path) -> tuple[str, ...]:
    """The path up to a key that is no text."""
    return tuple([str(part) for part in takewhile(lambda part: isinstance(part, str), path)])

"""The cases of `cases/*.case`: a text, and what `opa fmt` 1.22 makes of it.

A block is `[case TITLE]`, `[MODE]` with the text below it, `[formatted]` with the result. `differences.case` holds
texts of which OPA would make something else, each with the reason in its title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

_CASES: Final = Path(__file__).parent / "cases"
_BLOCK: Final = re.compile(
    r"^\[case ([^\n]+)\]\n\[([^\n]+)\]\n(.*?)^\[formatted\]\n(.*?)(?=\n\[case |\Z)",
    re.DOTALL | re.MULTILINE,
)
#: Mode -> the flags of the command, and the arguments of `format_text`.
MODES: Final = MappingProxyType(
    {
        "v1": ((), {}),
        "v0": (("--v0-compatible",), {"rego_version": "v0", "target": "v0"}),
        "both": (("--v0-v1",), {"rego_version": "v0", "target": "both"}),
        "v1 to both": (("--v0-v1", "--v1-compatible"), {"target": "both"}),
        "dropped": (("--drop-v0-imports",), {"drop_imports": True}),
    }
)


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    mode: str
    text: str
    formatted: str

    @property
    def flags(self) -> tuple[str, ...]:
        return MODES[self.mode][0]

    @property
    def arguments(self) -> dict[str, Any]:
        return MODES[self.mode][1]


def cases(*, differences: bool = False) -> list[Case]:
    """The cases that OPA agrees with, or those that it does not."""
    return list(_cases(differences))


def _cases(differences: bool) -> Iterator[Case]:
    for path in sorted(_CASES.glob("*.case")):
        if (path.stem == "differences") == differences:
            for match in _BLOCK.finditer(path.read_text(encoding="utf-8")):
                yield Case(*match.groups())

"""Writes `capabilities.json`, the capability file of this version: `python -m cupcake.engine.builtins.capabilities`.

It is made from the registry and committed, so that other tools can read it; a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path

from cupcake.engine.builtins.registry import capabilities

FILE = Path(__file__).with_name("capabilities.json")


def text() -> str:
    """The file's content: equal registries give equal texts."""
    return json.dumps(capabilities(), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "ascii")

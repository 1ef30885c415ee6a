"""Reads what `--schema` names: one JSON Schema for the input, or a folder of schemas by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cupcake.engine.cli.files import LoadProblem, read_document

if TYPE_CHECKING:
    from cupcake.engine.rego.schemas import Schemas


def load_schemas(given: str | None) -> Schemas | None:
    """A file is the schema of `input`, and `schema` by name; a folder's file a/b.json is `schema.a.b`."""
    from cupcake.engine.rego.schemas import Schemas

    if given is None:
        return None
    path = Path(given.removeprefix("file://"))
    if path.is_file():
        return Schemas(input=read_document(path))
    if not path.is_dir():
        raise LoadProblem(f"--schema {path}: no such file or folder")
    named = {
        found.relative_to(path).with_suffix("").parts: read_document(found)
        for found in sorted(path.rglob("*"))
        if found.is_file()
    }
    return Schemas(named=named)

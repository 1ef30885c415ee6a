"""What the fields of a `# METADATA` block may hold. Pure over the plain values that YAML gave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

FIELDS: Final = {
    "scope": "string",
    "title": "string",
    "description": "string",
    "entrypoint": "boolean",
    "organizations": "list of strings",
    "authors": "list",
    "related_resources": "list",
    "schemas": "list of mappings",
    "compile": "mapping",
    "custom": "mapping",
    "labels": "mapping",
}
_REF: Final = re.compile(r"""[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\["[^"\\]*"\]|\[[0-9]+\])*""", re.ASCII)
# As above, also with variables as operands.
_PATH: Final = re.compile(r"""[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\["[^"\\]*"\]|\[\w+\])*""", re.ASCII)
_DOCUMENTS: Final = ("input", "data")
_PART: Final = re.compile(r"""\.?[A-Za-z_]\w*|\["[^"\\]*"\]|\[[0-9]+\]""", re.ASCII)


def ref_parts(text: str) -> list[str]:
    """The operands of a ref that `_REF` matches: `input.x["y z"][0]` gives input, x, `y z`, `0`."""
    return [
        str(json.loads(part[1:-1])) if part.startswith("[") else part.lstrip(".")
        for part in _PART.findall(text)
    ]


def misfit(values: Mapping[str, object]) -> tuple[str, str] | None:
    """The first field whose value is of the wrong kind, and what is wrong."""
    for name, wanted in FIELDS.items():
        value = values.get(name)
        if value is not None and not _is(value, wanted):
            return name, f"{name} must be a {wanted}"
    return None


def _is(value: object, wanted: str) -> bool:
    match wanted:
        case "string":
            return not isinstance(value, list | dict)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "list of strings":
            return isinstance(value, list) and not any(isinstance(v, list | dict) for v in value)
        case "list of mappings":
            return isinstance(value, list) and all(isinstance(v, dict) for v in value)
        case _:
            return isinstance(value, dict)


def faults(values: Mapping[str, object]) -> Iterator[str]:
    """What is wrong inside of fields that are of the right kind."""
    for author in _items(values, "authors"):
        problem = _author_fault(author)
        if problem:
            yield f"invalid author definition {author}: {problem}"
    for resource in _items(values, "related_resources"):
        problem = _resource_fault(resource)
        if problem:
            yield f"invalid related-resource definition {resource}: {problem}"
    for schema in _items(values, "schemas"):
        assert isinstance(schema, dict)
        for path, what in schema.items():
            alone = not {".", "["} & set(str(path))  # a name that is no document
            if not _REF.fullmatch(str(path)) or (alone and path not in _DOCUMENTS):
                yield f"invalid document reference: {path}"
            elif isinstance(what, str):
                if not _REF.fullmatch(what) or what.split(".")[0].split("[")[0] != "schema":
                    yield f"invalid schema reference: {what}"
            elif not isinstance(what, dict):
                yield f'invalid schema declaration for path "{path}"'
    compiled = values.get("compile")
    if isinstance(compiled, dict):
        for unknown in _items(compiled, "unknowns"):
            if isinstance(unknown, str) and not _is_path(unknown):
                yield f'invalid unknowns element "{unknown}"'
        mask = compiled.get("mask_rule")
        if isinstance(mask, str) and not _PATH.fullmatch(mask):
            yield f'invalid mask_rule annotation "{mask}"'


def _is_path(text: str) -> bool:
    """Whether it is a reference: a name alone is a variable, unless it is one of the two documents."""
    return bool(_PATH.fullmatch(text)) and (bool({".", "["} & set(text)) or text in _DOCUMENTS)


def _items(values: Mapping[str, object], name: str) -> list[object]:
    found = values.get(name)
    return found if isinstance(found, list) else []


def _author_fault(author: object) -> str:
    if isinstance(author, str):
        return "" if author.strip() else "author is an empty string"
    if isinstance(author, dict):
        given = author.get("name"), author.get("email")
        return (
            ""
            if any(isinstance(text, str) and text for text in given)
            else "'name' and/or 'email' values required in object"
        )
    return "invalid value type, must be string or map"


def _resource_fault(resource: object) -> str:
    if isinstance(resource, str):
        address = resource
    elif isinstance(resource, dict):
        address = str(resource.get("ref") or "").strip()
        if not address:
            return "'ref' value required in object"
    else:
        return "invalid value type, must be string or map"
    if not address:
        return "ref URL may not be empty string"
    # Only where there is a resource to read: most of the time of a compile would go into the import.
    from cupcake.engine.builtins.host.uris import UrlError, parse_url

    try:
        parse_url(address)
    except UrlError as error:
        return f"parse {json.dumps(address)}: {error}"
    return ""

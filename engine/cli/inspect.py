"""`cupcake rego inspect`: what a bundle, a folder or a policy file holds, as `opa inspect` shows it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.files import Loaded, LoadProblem, load_bundles, load_paths
from cupcake.engine.cli.options import DONE, Parser, common, parse_all, switch, version_of
from cupcake.engine.cli.output import dump, table

if TYPE_CHECKING:
    from cupcake.engine.rego import ast

_CUT = 50
_WIDTH = 80


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "inspect",
        parents=[common()],
        help=help,
        description="Print the packages, documents, manifest, signatures and annotations of a bundle (a .tar.gz or a "
        "folder) or of one policy file. Nothing is compiled, no signature is verified.",
        epilog="Exit codes: 0 done, 1 it cannot be read or parsed, 2 wrong usage.",
    )
    parser.add_argument("path", metavar="PATH", help="bundle, folder or policy file")
    switch(parser, "-a", "--annotations", help="list the annotations (METADATA) too")
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")
    return parser


@dataclass(frozen=True, slots=True)
class _Note:
    """One annotation, and the statement that it belongs to. `rule` is "" for a package's."""

    values: Mapping[str, Any]
    path: tuple[str, ...]
    rule: str
    place: ast.Location


def run(options: argparse.Namespace) -> int:
    """Prints the summary."""
    path = Path(options.path)
    loaded = load_paths([options.path]) if path.suffix == ".rego" else load_bundles([options.path])
    if not loaded.modules and not loaded.documents:
        raise LoadProblem(f"{path}: neither a policy nor a data.json or data.yaml is in it")
    modules = parse_all(loaded, version_of(options))
    archive = "" if path.is_dir() or path.suffix == ".rego" else f"{path}:"
    spaces = _namespaces(loaded, modules, archive)
    notes = list(_notes(modules)) if options.annotations else []
    manifest = loaded.manifests[0] if loaded.manifests else {}
    if options.format == "json":
        alone = path.suffix == ".rego"
        print(dump(_shape(loaded, manifest, spaces, notes, modules, alone=alone), 2))
        return DONE
    _print_manifest(manifest)
    _print_namespaces(spaces)
    if notes:
        print("ANNOTATIONS:")
    for note in notes:
        print("\n".join(_lines(note)))
    return DONE


def _namespaces(
    loaded: Loaded, modules: Sequence[ast.Module], archive: str
) -> dict[str, list[str]]:
    """Namespace -> files; those in an archive (its name with a colon) by their path in it."""
    from cupcake.engine.rego.render import render_term

    found: dict[str, list[str]] = {}
    for name, below in loaded.documents:
        found.setdefault(".".join(("data", *below)), []).append(name)
    for module in modules:
        found.setdefault(render_term(module.package), []).append(module.file)
    if archive:
        for names in found.values():
            names[:] = ["/" + name.removeprefix(archive).lstrip("/") for name in names]
    return {space: sorted(found[space]) for space in sorted(found)}


def _notes(modules: Iterable[ast.Module]) -> Iterator[_Note]:
    from cupcake.engine.rego.metadata import rule_path, shown_annotations
    from cupcake.engine.rego.render import render_term

    found: list[_Note] = []
    for module in modules:
        package = tuple(getattr(t, "value", "") for t in module.package.terms[1:])
        for one in module.annotations:
            found.append(_Note(shown_annotations(one), package, "", module.loc))
        for rule in module.rules:
            name = render_term(rule.head.ref)
            for one in rule.annotations:
                found.append(_Note(shown_annotations(one), rule_path(module, rule), name, rule.loc))
    return iter(sorted(found, key=lambda n: (n.path, n.place.file, n.place.row)))


def _shape(
    loaded: Loaded,
    manifest: Mapping[str, Any],
    spaces: Mapping[str, Sequence[str]],
    notes: Sequence[_Note],
    modules: Sequence[ast.Module],
    *,
    alone: bool,
) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    if not alone:
        shape["manifest"] = {"revision": "", "roots": [""], **manifest}
    shape["signatures_config"] = loaded.signatures
    shape["namespaces"] = spaces
    if notes:
        shape["annotations"] = [_note_json(note) for note in notes]
    shape["capabilities"] = _needed(modules) if modules else {}
    return shape


def _note_json(note: _Note) -> dict[str, Any]:
    path = [{"type": "string", "value": part} for part in note.path]
    return {
        "annotations": json.loads(json.dumps(note.values, sort_keys=True)),
        "location": {"file": note.place.file, "row": note.place.row, "col": 1},
        "path": [{"type": "var", "value": "data"}, *path],
    }


def _needed(modules: Sequence[ast.Module]) -> dict[str, Any]:
    """The capabilities that the policies need: the builtins that they call."""
    from cupcake.engine.builtins.registry import capabilities
    from cupcake.engine.cli.calls import called

    names = called(modules) | {"eq"}
    listed = json.loads(json.dumps(capabilities()["builtins"], sort_keys=True))
    versions = {module.rego_version for module in modules}
    return {
        "builtins": [
            {"name": b["name"], **{k: v for k, v in b.items() if k != "name"}}
            for b in listed
            if b["name"] in names
        ],
        "features": [f"rego_{version}" for version in ("v1", "v2") if version in versions],
    }


# -- for people ------------------------------------------------------------------------------------


def _print_manifest(manifest: Mapping[str, Any]) -> None:
    rows: list[tuple[str, str]] = []
    if "rego_version" in manifest:
        rows.append(("Rego Version", str(manifest["rego_version"])))
    if manifest.get("revision"):
        rows.append(("Revision", _cut(manifest["revision"], _CUT)))
    rows += [("Roots", _cut(root, _CUT)) for root in sorted(manifest.get("roots", [])) if root]
    if manifest.get("metadata"):
        text = json.dumps(manifest["metadata"], separators=(",", ":"), sort_keys=True)
        rows.append(("Metadata", _cut(text, _CUT)))
    if rows:
        print("MANIFEST:")
        print(table(["FIELD", "VALUE"], rows))


def _print_namespaces(spaces: Mapping[str, Sequence[str]]) -> None:
    rows = [
        ("" if number else space, name)
        for space, names in spaces.items()
        for number, name in enumerate(names)
    ]
    if rows:
        print("NAMESPACES:")
        print(table(["NAMESPACE", "FILE"], rows))


def _lines(note: _Note) -> Iterator[str]:
    values = note.values
    title = str(values.get("title", "")).strip() or ".".join(note.path)
    yield from (title, "=" * min(len(title), _WIDTH), "")
    if values.get("description"):
        yield from (str(values["description"]), "")
    package = note.path if not note.rule else note.path[: -1 - note.rule.count(".")]
    yield f"Package:  {'.'.join(package)}"
    if note.rule:
        yield f"Rule:     {note.rule}"
    yield f"Location: {note.place.file}:{note.place.row}"
    yield f"Scope: {values['scope']}"
    if values.get("entrypoint"):
        yield "Entrypoint: true"
    yield ""
    for heading, entries in _lists(values):
        yield f"{heading}:"
        width = max(len(key) for key, _ in entries)
        for key, value in entries:
            yield _cut(f" {key.ljust(width) if value else key}{value}", _WIDTH)
        yield ""


def _lists(values: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Headings with (key with its separator, value) each."""
    if values.get("organizations"):
        yield "Organizations", [("", _flat(o)) for o in values["organizations"]]
    if values.get("authors"):
        yield "Authors", [("", _flat(_author(a))) for a in values["authors"]]
    if values.get("related_resources"):
        found = values["related_resources"]
        yield (
            "Related Resources",
            [(f"{_flat(r.get('ref', ''))} ", r.get("description", "")) for r in found],
        )
    if values.get("custom"):
        custom = sorted(values["custom"].items())
        yield "Custom", [(f"{k}: ", json.dumps(v, separators=(",", ":"))) for k, v in custom]


def _author(author: Mapping[str, str]) -> str:
    mail = f"<{author['email']}>" if author.get("email") else ""
    return " ".join(part for part in (author.get("name", ""), mail) if part)


def _flat(text: object) -> str:
    return str(text).replace("\n", " ")


def _cut(text: str, width: int) -> str:
    return text if len(text) < width else text[: width - 3] + "..."

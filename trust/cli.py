"""`cupcake trust init|update|verify`. Exit codes: 0 ok, 1 changed or refused, 2 not initialised or wrong usage."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from cupcake.trust import manifest as m
from cupcake.trust import store
from cupcake.trust.errors import ManifestInvalid, NotInitialised, TrustError
from cupcake.trust.trusted_state import check_files


def main(argv: list[str]) -> int:
    """`argv` starts with the word `trust`."""
    parser = argparse.ArgumentParser(
        prog="cupcake trust", description="Trust only files that you signed."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="init|update|verify")
    for name, text in (
        ("init", "sign every file below .cupcake and switch trust on"),
        ("update", "show what changed since the signing, ask, and sign again"),
        ("verify", "compare every file with the signed state"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--project-dir", default=".", help="the project root (default: here)")
        if name == "update":
            command.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv[1:])
    root = store.canonical_root(options.project_dir)
    if os.path.basename(root) == ".cupcake":
        root = os.path.dirname(root)
    try:
        return {"init": _init, "update": _update, "verify": _verify}[options.command](root, options)
    except NotInitialised as error:
        print(f"cupcake trust: {_printable(str(error))}", file=sys.stderr)
        return 2
    except (TrustError, OSError) as error:
        print(f"cupcake trust: {_printable(str(error))}", file=sys.stderr)
        return 1


def _init(root: str, options: argparse.Namespace) -> int:
    folder = store.state_dir()
    if store.last_generation(folder, root) is not None:
        print(f"Trust is on for {root} already. After a change run: cupcake trust update")
        return 0
    manifest = store.sign(root, folder, now=int(time.time()))
    print(f"Signed {len(manifest.files)} files of {root} (generation {manifest.generation}).")
    print(
        f"The key is {folder / 'trust.key'}. From now on nothing below .cupcake counts unless it is signed."
    )
    return 0


def _update(root: str, options: argparse.Namespace) -> int:
    folder = store.state_dir()
    with suppress(ManifestInvalid):  # a garbled history means that it is on; signing mends it
        if store.last_generation(folder, root) is None:
            raise NotInitialised(f"trust is not on for {root}. Run: cupcake trust init")
    found = store.read_entries(root)
    changes = _changes(root, found)
    if not changes:
        print("Nothing changed since the signing.")
        return 0
    print("\n".join(_printable(change) for change in changes))
    if not options.yes:
        if not sys.stdin.isatty():
            print(
                "cupcake trust: not a terminal: look at the changes, then pass --yes",
                file=sys.stderr,
            )
            return 1
        answer = ""
        with suppress(EOFError):
            answer = input("Sign this state? [y/N]: ")
        if answer.strip().lower() not in ("y", "yes"):
            print("Not signed.")
            return 1
    # What was shown, not what lies there by now.
    manifest = store.sign(root, folder, now=int(time.time()), files=found)
    print(f"Signed {len(manifest.files)} files (generation {manifest.generation}).")
    return 0


def _printable(text: str) -> str:
    """A file's name may hold what a terminal acts on, or bytes that are no text."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def _changes(root: str, found: Mapping[str, m.Entry]) -> list[str]:
    """`+ added`, `~ changed old -> new`, `- removed`; everything is added when the manifest does not hold."""
    notes: list[str] = []
    try:
        manifest = store.accepted_manifest(root, store.state_dir(), now=time.time())
        signed = dict(manifest.files) if manifest else {}
    except TrustError as error:
        notes.append(f"! {error}")
        signed = {}
    for path in sorted(found.keys() | signed.keys()):
        if path not in signed:
            notes.append(f"+ {path}")
        elif path not in found:
            notes.append(f"- {path}")
        elif signed[path] != found[path]:
            notes.append(f"~ {path}  {signed[path].sha256[:16]} -> {found[path].sha256[:16]}")
    return notes


def _verify(root: str, options: argparse.Namespace) -> int:
    manifest = store.accepted_manifest(root, store.state_dir(), now=time.time())
    if manifest is None:
        raise NotInitialised(f"trust is not on for {root}. Run: cupcake trust init")
    check_files(manifest, store.read_project_files(root))
    print(f"All {len(manifest.files)} files are as signed (generation {manifest.generation}).")
    return 0

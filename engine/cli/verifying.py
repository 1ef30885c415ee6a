"""Flags about the signatures that bundles must have, named as `opa build`'s, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cupcake.engine.bundle_signature import Verification


def verifying() -> argparse.ArgumentParser:
    """For what reads bundles."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("signatures of bundles")
    group.add_argument(
        "--verification-key",
        metavar="KEY",
        help="refuse a bundle that is not signed with this key: a secret for HS256, HS384 or HS512, else a PEM file with "
        "a public key or certificate",
    )
    group.add_argument(
        "--verification-key-id",
        default="default",
        metavar="ID",
        help="name of the key (default default)",
    )
    group.add_argument(
        "--signing-alg", default="RS256", metavar="ALG", help="of the signature (default RS256)"
    )
    group.add_argument("--scope", default="", help="what the signature must state as its scope")
    group.add_argument(
        "--exclude-files-verify",
        action="extend",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME,...",
        help="files that need not be signed",
    )
    return parser


def verification_of(options: argparse.Namespace) -> Verification | None:
    """What bundles must stand up to; None without `--verification-key`."""
    if not getattr(options, "verification_key", None):
        return None
    from cupcake.engine.bundle_signature import Verification, VerificationKey

    key = VerificationKey(_key_text(options.verification_key), options.signing_alg)
    name = options.verification_key_id
    return Verification({name: key}, name, options.scope, options.exclude_files_verify)


def _key_text(given: str) -> str:
    """A PEM text or a secret, or the content of the file that is named."""
    path = Path(given)
    try:
        if not given.startswith("-----BEGIN") and path.is_file():
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        pass  # no name of a file
    return given

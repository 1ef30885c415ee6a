"""`cupcake opa install|path|verify`: the OPA executable, pinned by digest. Nothing in Cupcake needs it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Mapping

from cupcake.engine import opa
from cupcake.engine.errors import OpaError


def main(argv: list[str], assets: Mapping[str, opa.Asset] = opa.ASSETS) -> int:
    """`argv` starts with the word `opa`. Exit codes: 0 done, 1 it failed or the answer is no, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="cupcake opa",
        description=f"The OPA executable, v{opa.VERSION}. Cupcake compiles Rego itself; OPA is there to compare with.",
        epilog=f"Environment: {opa.PATH_VARIABLE} an executable to use instead; {opa.MIRROR_VARIABLE} base URL of a "
        f"mirror of {opa.RELEASES}; XDG_CACHE_HOME where cupcake/bin lies. "
        "Exit codes: 0 done, 1 it failed or the answer is no, 2 wrong usage.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="install|path|verify", title="commands"
    )
    commands.add_parser(
        "install", help="download it to the cache, verify its SHA-256; harmless when it is there"
    )
    commands.add_parser("path", help="print the executable that would be used")
    commands.add_parser("verify", help="compare that executable with the pinned SHA-256")
    options = parser.parse_args(argv[1:])
    try:
        asset = opa.platform_asset(platform.system(), platform.machine(), assets)
        match options.command:
            case "install":
                return _install(asset)
            case "path":
                print(opa.find(os.environ, asset).path)
                return 0
            case _:
                return _verify(asset)
    except OpaError as error:
        print(f"cupcake opa: {error}", file=sys.stderr)
        return 1


def _install(asset: opa.Asset) -> int:
    base = os.environ.get(opa.MIRROR_VARIABLE) or opa.RELEASES
    path, fresh = opa.install(opa.cache_folder(os.environ), asset, base)
    print(f"{path}: OPA v{opa.VERSION}, {'verified' if fresh else 'installed already, verified'}")
    return 0


def _verify(asset: opa.Asset) -> int:
    found = opa.find(os.environ, asset)
    if found.verified:
        print(f"{found.path}: OPA v{opa.VERSION}, SHA-256 {asset.sha256}")
        return 0
    where = {"environment": f"of {opa.PATH_VARIABLE}", "system": "on PATH", "cache": "in the cache"}
    print(
        f"{found.path} ({where[found.source]}) is not the published OPA v{opa.VERSION}: its SHA-256 differs. "
        "That may be fine if you put it there; `cupcake opa install` gets the published one.",
        file=sys.stderr,
    )
    return 1

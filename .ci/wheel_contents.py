"""Compares a wheel's file list with the folders on disk. Usage: wheel_contents.py WHEEL"""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def expected() -> set[str]:
    """Files that the wheel must hold, as wheel paths."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]
    mapping = tools["package-dir"]
    wanted: set[str] = set()
    for package in tools["packages"]:
        parts = package.split(".")
        size = next(n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in mapping)
        folder = ROOT.joinpath(mapping[".".join(parts[:size])], *parts[size:])
        patterns = ["*.py", *tools["package-data"].get(package, [])]
        wanted |= {
            "/".join([*parts, file.name]) for pattern in patterns for file in folder.glob(pattern)
        }
    return wanted


def main() -> int:
    names = zipfile.ZipFile(sys.argv[1]).namelist()
    found = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    wanted = expected()
    for name in sorted(wanted - found):
        print(f"missing from the wheel: {name}")
    for name in sorted(found - wanted):
        print(f"unexpected in the wheel: {name}")
    if not any(name.endswith(".data/scripts/cupcake") for name in names):
        print("missing from the wheel: the cupcake command")
        return 1
    return 0 if wanted == found else 1


if __name__ == "__main__":
    sys.exit(main())

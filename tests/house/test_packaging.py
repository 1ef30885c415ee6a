"""What is written by hand in pyproject.toml agrees with the folders on disk."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = CONFIG["tool"]["setuptools"]


def folder_of(package: str) -> Path:
    """The folder of a package by the longest matching entry of package-dir."""
    mapping: dict[str, str] = SETUPTOOLS["package-dir"]
    parts = package.split(".")
    for size in range(len(parts), 0, -1):
        head = ".".join(parts[:size])
        if head in mapping:
            return ROOT.joinpath(mapping[head], *parts[size:])
    raise AssertionError(package)


def test_every_folder_with_python_in_it_is_a_listed_package() -> None:
    listed = {folder_of(name) for name in SETUPTOOLS["packages"]}
    on_disk = {
        p.parent
        for name in ("client", "daemon", "engine", "trust", "systemd")
        for p in (ROOT / name).rglob("*.py")
    }
    assert listed == on_disk


def test_every_package_has_its_init() -> None:
    assert [n for n in SETUPTOOLS["packages"] if not (folder_of(n) / "__init__.py").exists()] == []


def test_package_data_patterns_all_match_something() -> None:
    empty = [
        (package, pattern)
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        if not list(folder_of(package).glob(pattern))
    ]
    assert empty == []


def test_no_folder_in_the_root_shadows_the_package() -> None:
    assert not (ROOT / "cupcake").exists()


def test_the_version_stands_in_one_place_only_twice() -> None:
    facade = (ROOT / "client/facade/__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', facade, re.M)
    assert match is not None
    assert match.group(1) == CONFIG["project"]["version"]


def test_readme_holds_the_two_commands() -> None:
    blocks = re.findall(
        r"```sh\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    assert blocks[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/cupcake demo",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]


def test_no_file_of_the_project_holds_a_path_of_some_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    words = re.compile(rb"/ro" rb"ot/|/wo" rb"rk/|/ho" rb"me/[a-z]+/\.pyenv")
    guilty = [
        name
        for name in listing.stdout.splitlines()
        if (ROOT / name).is_file() and words.search((ROOT / name).read_bytes())
    ]
    assert guilty == []

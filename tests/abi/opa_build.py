"""Builds with the OPA executable. It must not know our engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference import Opa


class BuildError(Exception):
    """OPA's words."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a bundle is built of."""

    texts: Mapping[str, str]
    data: Any
    entrypoints: Sequence[str]


def build(opa: Opa, target: str, folder: Path, sources: Sources) -> Path:
    """The bundle that OPA builds of these modules."""
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    for name, text in sources.texts.items():
        (source / name).write_text(text, "utf-8")
    (source / "data.json").write_text(json.dumps(sources.data), "utf-8")
    entrypoints = [f"-e={e}" for e in sources.entrypoints]
    command = [opa.path, "build", "-t", target, *entrypoints, "-o", "b.tar.gz", "source"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise BuildError((done.stdout + done.stderr)[:1000])
    return folder / "b.tar.gz"


def plan_of(bundle: Path) -> str:
    with tarfile.open(bundle) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("plan.json"))
        handle = archive.extractfile(member)
        assert handle is not None
        return handle.read().decode()

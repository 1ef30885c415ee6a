"""Find a project and read every file that takes part in a decision. The only disk reader of `engine.policy`.

It reads bytes and judges nothing: what the bytes mean is for `metadata`, `rulebook` and `assemble`. The bytes read
here are the bytes that are compiled, so a trust check over `ProjectSources.files` covers what runs.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from cupcake.engine.errors import ProjectError

Layer: TypeAlias = Literal["project", "global"]

HARNESSES = ("claude", "cursor", "factory", "opencode")
GLOBAL_PREFIX = "global:"
CONFIG_DIR = ".cupcake"

MAX_FILE_BYTES = 2 * 1024 * 1024
MAX_TOTAL_BYTES = 128 * 1024 * 1024
MAX_FILES = 20_000
MAX_FOLDER_DEPTH = 32


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file. `path`: relative POSIX path as shown to users (`.cupcake/...`, or `global:...`)."""

    path: str
    data: bytes
    layer: Layer = "project"


@dataclass(frozen=True, slots=True)
class ProjectSources:
    """Everything that a build reads. `files` is sorted by path; `root` is the project's folder.

    `policy_folders` names the policy folders that exist (`.cupcake/policies/claude`, `global:policies/cursor`,
    ...), so that an empty folder can be told from a missing one. `global_root` is None without a global layer.
    `trusted`: the project's files were found to be what was signed, so that nothing but them may run.
    """

    root: str
    files: tuple[SourceFile, ...]
    global_root: str | None = None
    policy_folders: tuple[str, ...] = ()
    trusted: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 hex over names, bytes and trust: equal digests mean equal builds."""
        state = hashlib.sha256(b"trusted" if self.trusted else b"")
        for name in self.policy_folders:
            state.update(b"d%d:%s" % (len(name), name.encode("utf-8", "surrogateescape")))
        for file in self.files:
            name_bytes = file.path.encode("utf-8", "surrogateescape")
            state.update(b"f%d:%s%d:" % (len(name_bytes), name_bytes, len(file.data)))
            state.update(file.data)
        return state.hexdigest()


def resolve_project(path: str | os.PathLike[str]) -> Path:
    """The project's root folder for the argument of `--policy-dir` (behaviour of the original, three cases):
    the `.cupcake` folder itself, a folder that holds one, or a folder beside one (`./policies`)."""
    given = Path(os.path.abspath(os.path.expanduser(path)))
    if given.name == CONFIG_DIR:
        return given.parent
    if (given / CONFIG_DIR).exists():
        return given
    return given.parent


def read_sources(root: str | os.PathLike[str], *, global_dir: Path | None = None) -> ProjectSources:
    """Read the project at `root` and, when `global_dir` exists, the global layer.

    Raises ProjectError(place, remedy) when the project has no `.cupcake` folder, when a file that takes
    part cannot be read, or when a size cap is passed. A half-read project is never returned.
    """
    base = Path(root)
    config = base / CONFIG_DIR
    if not config.is_dir():
        raise ProjectError(
            str(config),
            "no Cupcake project here",
            "run `cupcake init --harness claude` in the project's folder",
        )
    reader = _Reader()
    reader.layer(config, f"{CONFIG_DIR}/", "project")
    global_root: str | None = None
    if global_dir is not None and global_dir.is_dir():
        global_root = str(global_dir)
        reader.layer(global_dir, GLOBAL_PREFIX, "global")
    return ProjectSources(
        root=str(base),
        files=tuple(sorted(reader.files)),
        global_root=global_root,
        policy_folders=tuple(sorted(reader.folders)),
    )


class _Reader:
    """Collects files under the caps. Symlinks are followed; a folder that contains itself is entered once."""

    def __init__(self) -> None:
        self.files: list[SourceFile] = []
        self.folders: list[str] = []
        self._total = 0

    def layer(self, config: Path, prefix: str, layer: Layer) -> None:
        for name in ("rulebook.yml", "guidebook.yml"):
            file = config / name
            if os.path.lexists(file):
                self._file(file, prefix + name, layer)
        self._policies(config, prefix, layer)
        for folder, suffix in (("system", ".rego"), ("helpers", ".rego"), ("signals", "")):
            # The global layer has its system files inside policies/<harness>; a root-level one is not read.
            if folder == "system" and layer == "global":
                continue
            if (config / folder).is_dir():
                self._tree(config / folder, f"{prefix}{folder}", layer, suffix, ())

    def _policies(self, config: Path, prefix: str, layer: Layer) -> None:
        policies = config / "policies"
        if not policies.is_dir():
            return
        self.folders.append(f"{prefix}policies")
        for harness in HARNESSES:
            if (policies / harness).is_dir():
                self.folders.append(f"{prefix}policies/{harness}")
        self._tree(policies, f"{prefix}policies", layer, ".rego", ())

    def _tree(
        self,
        folder: Path,
        shown: str,
        layer: Layer,
        suffix: str,
        above: tuple[tuple[int, int], ...],
    ) -> None:
        try:
            status = os.stat(folder)
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise _unreadable(folder, error) from None
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return  # a symlink back to a folder that we are inside of
        if len(above) >= MAX_FOLDER_DEPTH:
            raise ProjectError(
                str(folder), f"folders nest deeper than {MAX_FOLDER_DEPTH}", "flatten the folder"
            )
        inside = (*above, identity)
        for name in names:
            if name.startswith(".") and not suffix:
                continue  # hidden entries of signals/ are no signals
            path = folder / name
            if path.is_dir():
                self._tree(path, f"{shown}/{name}", layer, suffix, inside)
            elif name.endswith(suffix):
                self._file(path, f"{shown}/{name}", layer)

    def _file(self, path: Path, shown: str, layer: Layer) -> None:
        data = _read_regular(path)
        self._total += len(data)
        if self._total > MAX_TOTAL_BYTES or len(self.files) >= MAX_FILES:
            raise ProjectError(
                str(path),
                f"the project has more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes of policies and signals",
                "move data that is no policy out of .cupcake",
            )
        self.files.append(SourceFile(shown, data, layer))


def _read_regular(path: Path) -> bytes:
    # O_NONBLOCK: a FIFO called x.rego must not hang the build.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ProjectError(
                str(path), "not a regular file", "remove it, or put a regular file in its place"
            )
        if status.st_size > MAX_FILE_BYTES:
            raise ProjectError(str(path), f"larger than {MAX_FILE_BYTES} bytes", "split the file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise ProjectError(str(path), f"larger than {MAX_FILE_BYTES} bytes", "split the file")
    return data


def _unreadable(path: Path, error: OSError) -> ProjectError:
    return ProjectError(
        str(path),
        f"cannot be read ({error.strerror or error})",
        "restore the file and make it readable",
    )

"""The cache of compiled modules: used when it is ours and whole, ignored otherwise."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cupcake.engine.artifact import Artifact
from cupcake.engine.errors import LoadError
from cupcake.engine.vm import load, precompile
from cupcake.engine.vm.cache import ModuleCache, default_folder

Compile = Callable[..., Artifact]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    cache = ModuleCache(tmp_path / "c")
    path = cache.write("key", b"native code")
    assert path is not None and path.parent == tmp_path / "c"
    assert cache.read("key") == b"native code"
    assert cache.read("other key") is None


def test_folder_and_files_are_private(tmp_path: Path) -> None:
    cache = ModuleCache(tmp_path / "deep" / "c")
    path = cache.write("key", b"x")
    assert path is not None
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def spoil_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def replace_by_link(path: Path) -> None:
    target = path.with_suffix(".elsewhere")
    path.rename(target)
    path.symlink_to(target)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a changed byte": spoil_a_byte,
    "a cut file": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "an empty file": lambda path: path.write_bytes(b""),
    "a file that others may write": lambda path: path.chmod(0o666),
    "a symbolic link": replace_by_link,
    "a folder that others may enter": lambda path: path.parent.chmod(0o755),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_not_ours_or_not_whole_is_ignored(tmp_path: Path, name: str) -> None:
    cache = ModuleCache(tmp_path / "c")
    path = cache.write("key", b"native code" * 10)
    assert path is not None
    DAMAGE[name](path)
    assert cache.read("key") is None


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
def test_a_file_of_another_user_is_ignored(tmp_path: Path) -> None:
    cache = ModuleCache(tmp_path / "c")
    path = cache.write("key", b"native code")
    assert path is not None
    os.chown(path, 12345, 12345)
    assert cache.read("key") is None


def test_the_cache_stays_within_its_size(tmp_path: Path) -> None:
    cache = ModuleCache(tmp_path / "c", max_bytes=3000)
    for i in range(10):
        path = cache.write(f"key {i}", bytes(900))
        assert path is not None
        os.utime(path, (i, i))
    assert sum(f.stat().st_size for f in (tmp_path / "c").iterdir()) <= 4000
    assert cache.read("key 9") is not None
    assert cache.read("key 0") is None


def test_a_policy_loads_from_the_cache_and_serves_the_same(
    tmp_path: Path, compiled: Compile
) -> None:
    artifact = compiled("p := input + 1")
    folder = tmp_path / "c"
    path = precompile(artifact, folder)
    before = {f.name: f.stat().st_ino for f in folder.iterdir()}
    assert path.name in before
    assert load(artifact, cache_dir=folder).evaluate("a/p", 1) == 2
    # A hit writes nothing: the entries are the same files.
    assert {f.name: f.stat().st_ino for f in folder.iterdir()} == before


def test_a_damaged_entry_is_made_again(tmp_path: Path, compiled: Compile) -> None:
    artifact = compiled("p := input + 1")
    path = precompile(artifact, tmp_path / "c")
    spoil_a_byte(path)
    assert load(artifact, cache_dir=tmp_path / "c").evaluate("a/p", 1) == 2
    assert ModuleCache(tmp_path / "c").folder.is_dir()
    spoiled = path.read_bytes()
    assert load(artifact, cache_dir=tmp_path / "c").evaluate("a/p", 1) == 2
    assert path.read_bytes() == spoiled


def test_native_code_of_another_engine_is_compiled_again(tmp_path: Path, compiled: Compile) -> None:
    artifact = compiled("p := input + 1")
    folder = tmp_path / "c"
    path = precompile(artifact, folder)
    # Whole by its digest, but nothing that wasmtime has made.
    from cupcake.engine.vm import native
    from cupcake.engine.vm.policy import _key

    ModuleCache(folder).write(_key(native.machine(), artifact.wasm_owned), b"\x7fELF" + bytes(100))
    assert load(artifact, cache_dir=folder).evaluate("a/p", 1) == 2
    assert path.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, compiled: Compile) -> None:
    (tmp_path / "file").write_text("in the way")
    assert load(compiled("p := input + 1"), cache_dir=tmp_path / "file").evaluate("a/p", 1) == 2


def test_precompile_says_when_it_cannot_keep_the_code(tmp_path: Path, compiled: Compile) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(LoadError, match="0700"):
        precompile(compiled("p := input + 1"), tmp_path / "open")


def test_the_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    assert default_folder() == Path("/some/cache/cupcake/modules")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/x")
    assert default_folder() == Path("/home/x/.cache/cupcake/modules")

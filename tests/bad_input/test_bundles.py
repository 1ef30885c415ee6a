"""Bundles that are damaged, hostile or contradict themselves: a LoadError that names the file, the entry and what is wrong."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cupcake.engine import LoadError, compile_policy, load
from cupcake.engine.bundle_files import Caps, read_archive, read_files
from cupcake.engine.cli.files import LoadProblem, load_bundles

Entry = tuple[str, bytes] | tarfile.TarInfo


def tar(*entries: Entry, mode: str = "w:gz", form: int = tarfile.PAX_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                archive.addfile(info, io.BytesIO(entry[1]))
    return raw.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def sparse(name: str, size: int) -> bytes:
    """An archive of a sparse file, 512 bytes that stand for many."""
    info = tarfile.TarInfo(name)
    info.size = 512
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": str(size),
    }
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
    return raw.getvalue()


def renamed(path: str) -> tarfile.TarInfo:
    """An entry whose name stands in an extended header, where it may hold anything."""
    info = tarfile.TarInfo("plain")
    info.pax_headers = {"path": path}
    return info


WASM = compile_policy({"a.rego": "package a\np := data.k\nq := 2"}, entrypoints=["a/p", "a/q"]).wasm
OTHER = compile_policy({"b.rego": "package b\nr := input.x"}, entrypoints=["b/r"]).wasm
POLICY = ("policy.wasm", WASM)
DATA = ("data.json", b'{"k": 1}')
GOOD = tar(POLICY, DATA)


def manifest(**fields: object) -> tuple[str, bytes]:
    return (".manifest", json.dumps(fields).encode())


BAD = {
    "nothing": (b"", "no .tar.gz archive"),
    "text": (b"package a", "no .tar.gz archive"),
    "an archive of nothing": (tar(), "empty"),
    "half an archive": (GOOD[: len(GOOD) // 2], "damaged or cut off"),
    "a wrong checksum": (GOOD[:-8] + b"\0" * 8, "damaged"),
    "half a tar": (gzip.compress(gzip.decompress(GOOD)[:5000]), "cut off"),
    "a path upwards": (tar(POLICY, ("../../etc/data.json", b"{}")), "leads out of the bundle"),
    "a path upwards in the middle": (tar(POLICY, ("a/../../x.rego", b"")), "leads out of the bundle"),
    "a symbolic link": (tar(POLICY, special("data.json", tarfile.SYMTYPE, "/etc/passwd")), "data.json is a link"),
    "a hard link": (tar(POLICY, special("a/data.json", tarfile.LNKTYPE, "policy.wasm")), "is a link"),
    "a device": (tar(POLICY, special("data.json", tarfile.CHRTYPE)), "no regular file"),
    "a pipe": (tar(POLICY, special("x.rego", tarfile.FIFOTYPE)), "no regular file"),
    "a sparse file": (sparse("data.json", 1 << 40), "no regular file|damaged|cut off"),
    "the same file twice": (tar(POLICY, DATA, DATA), "twice"),
    "the same file by other names": (tar(POLICY, DATA, ("./data.json", b"{}")), "twice"),
    "a name with a NUL": (tar(POLICY, renamed("a\0/data.json")), "NUL"),
    "a name with a backslash": (tar(POLICY, ("..\\data.json", b"{}")), "backslash"),
    "no policy": (tar(DATA), "no policy.wasm.*opa build"),
    "data that is no JSON": (tar(POLICY, ("data.json", b'{"a":\n 1,}')), r"data\.json:2:4: not JSON"),
    "data that is no UTF-8": (tar(POLICY, ("data.json", b'{"a": "\xff"}')), r"data\.json: byte 7 is not UTF-8"),
    "data that is not a number": (tar(POLICY, ("data.json", b'{"a": NaN}')), "NaN is no number"),
    "data that nests without end": (tar(POLICY, ("data.json", b"[" * 100_000)), "nested too deeply"),
    "data that is no object": (tar(POLICY, ("data.json", b"[1]")), "must be an object"),
    "data in two places": (tar(POLICY, DATA, ("data.yaml", b"k: 2")), "in another data file"),
    "YAML that is none": (tar(POLICY, ("a/data.yaml", b"a: [")), r"a/data\.yaml: not YAML"),
    "a manifest that is no JSON": (tar(POLICY, (".manifest", b"{")), r"\.manifest:1:2: not JSON"),
    "a manifest that is no object": (tar(POLICY, (".manifest", b"[]")), "must be an object"),
    "roots that overlap": (tar(POLICY, manifest(roots=["a/b", "a"])), "overlap"),
    "roots that are no list": (tar(POLICY, manifest(roots="a")), "roots must be a list"),
    "data outside of the roots": (tar(POLICY, DATA, manifest(roots=["a"])), "do not permit data at /k"),
    "a module that is missing": (
        tar(POLICY, manifest(wasm=[{"entrypoint": "a/p", "module": "/other.wasm"}])),
        "other.wasm is not in the bundle",
    ),
    "an entrypoint outside of the roots": (
        tar(POLICY, manifest(roots=["b"], wasm=[{"entrypoint": "a/p", "module": "/policy.wasm"}])),
        "do not permit the entrypoint a/p",
    ),
    "an entrypoint of two modules": (
        tar(
            POLICY,
            ("other.wasm", OTHER),
            manifest(wasm=[{"entrypoint": "a/p", "module": m} for m in ("policy.wasm", "other.wasm")]),
        ),
        "given to two modules",
    ),
    "an entrypoint that the module lacks": (
        tar(POLICY, manifest(wasm=[{"entrypoint": "a/z", "module": "/policy.wasm"}])),
        "has not: a/z",
    ),
    "changes of data only": (tar(("patch.json", b'{"data": []}')), "delta bundle"),
    "a Rego version of the future": (tar(POLICY, manifest(rego_version=7)), "7, not 0, 1 or 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_is_refused_by_name(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    path = tmp_path / "b.tar.gz"
    path.write_bytes(data)
    with pytest.raises(LoadError, match=message) as caught:
        load(path)
    assert "b.tar.gz" in str(caught.value)


def test_nothing_is_ever_written(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(tar(POLICY, DATA, ("sub/x.rego", b"package x")))
    load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["b.tar.gz"]


def bomb() -> bytes:
    return tar(POLICY, ("data.json", b'{"k":"' + b"x" * (3 << 20) + b'"}'))


CAPS: dict[str, tuple[Callable[[], bytes], Caps, str]] = {
    "a file that is too large": (bomb, Caps(file_bytes=1 << 20), "has 3145736 bytes, the limit is 1048576"),
    "an archive that unpacks to too much": (bomb, Caps(total_bytes=2 << 20), "unpacks to more than 2097152"),
    "too many entries": (lambda: tar(*((f"f{i}", b"") for i in range(300))), Caps(entries=200), "more than 200 entries"),
    "a header that is too large": (
        lambda: tar((f"{'a' * 3_000_000}/data.json", b"{}")), Caps(total_bytes=1 << 20), "unpacks to more than 1048576"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CAPS)
def test_a_bomb_meets_a_cap(name: str) -> None:
    make, caps, message = CAPS[name]
    with pytest.raises(LoadError, match=message):
        read_archive(io.BytesIO(make()), "b.tar.gz", caps)


def test_links_that_nobody_would_read_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(tar(POLICY, DATA, special("README", tarfile.SYMTYPE, "/etc/passwd")))
    assert load(path).evaluate("a/p") == 1


def test_names_that_differ_in_case_are_two(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(tar(POLICY, ("K/data.json", b'{"x": 1}'), ("k/data.json", b'{"x": 2}')))
    assert load(path).evaluate("a/p") == {"x": 2}


def test_data_of_several_folders_and_yaml_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(
        tar(POLICY, ("data.json", b'{"k":{"a":1}}'), ("/k/b/data.yaml", b"c: [1, x]\n"))
    )
    assert load(path).evaluate("a/p") == {"a": 1, "b": {"c": [1, "x"]}}


def test_several_modules_serve_their_entrypoints(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    resolvers = [
        {"entrypoint": "a/p", "module": "/policy.wasm"},
        {"entrypoint": "b/r", "module": "/x/other.wasm"},
    ]
    path.write_bytes(tar(POLICY, DATA, ("/x/other.wasm", OTHER), manifest(wasm=resolvers)))
    policy = load(path)
    assert policy.entrypoints == ("a/p", "b/r")
    assert policy.evaluate("a/p") == 1
    assert policy.evaluate("data.b.r", {"x": 3}) == 3


def test_a_folder_may_not_link_to_what_it_is_read_for(tmp_path: Path) -> None:
    (tmp_path / "policy.wasm").write_bytes(WASM)
    (tmp_path / "data.json").symlink_to("/etc/hostname")
    with pytest.raises(LoadError, match=r"data\.json: is no regular file"):
        load(tmp_path)


def test_a_folder_that_loops_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "a" / "data.json").write_bytes(b"{}")
    assert list(read_files(tmp_path)) == ["a/data.json"]


FOR_COMMANDS = [
    name
    for name in BAD
    if name not in ("no policy", "data that is no object", "an entrypoint that the module lacks", "data in two places")
]  # fmt: skip


@pytest.mark.parametrize("name", FOR_COMMANDS)
def test_commands_refuse_it_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(BAD[name][0])
    with pytest.raises((LoadProblem, LoadError)):
        load_bundles([str(path)])

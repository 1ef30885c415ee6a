"""Bundles: any bytes are files within their caps, or a LoadError; signatures never verify by accident."""

from __future__ import annotations

import functools
import gzip
import io
import random
import tarfile
from collections.abc import Sequence

from driver import Finding, Target, mutate_bytes

from cupcake.engine.bundle import archive
from cupcake.engine.bundle_files import Caps, manifest_of, read_archive, refuse_delta
from cupcake.engine.bundle_signature import Verification, VerificationKey, verify_files
from cupcake.engine.cli.signing import Signing, sign
from cupcake.engine.errors import LoadError

CAPS = Caps(1 << 20, 4 << 20, 100)
CHECK = Verification({"default": VerificationKey("secret", "HS256")}, "default")
FILES = {
    "policy.wasm": b"\0asm\1\0\0\0",
    "data.json": b'{"a":[1,2.5],"b":{"c":null}}',
    "x/data.yaml": b"k: [1, {y: z}]\n",
    ".manifest": b'{"revision":"r","roots":[""],"wasm":[{"entrypoint":"a/p","module":"/policy.wasm"}]}',
}


@functools.cache
def seeds() -> Sequence[bytes]:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind in (
            ("a" * 200, tarfile.REGTYPE),
            ("l", tarfile.SYMTYPE),
            ("d", tarfile.DIRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "b" * 150
            tar.addfile(info, io.BytesIO())
    signed = archive(sign(FILES, Signing("secret", "HS256")))
    pax = archive({"é" * 90 + "/data.json": b"{}"})
    return [gzip.decompress(signed), raw.getvalue(), gzip.decompress(pax)]


def mutate(rng: random.Random, given: Sequence[bytes]) -> bytes:
    """Of the tar mostly, with its checksums put right, else nothing behind them is ever reached; packed now and then."""
    data = bytearray(mutate_bytes(rng, given))
    if rng.random() < 0.9:
        for at in range(0, len(data) - 511, 512):
            if data[at + 257 : at + 262] == b"ustar":
                data[at + 148 : at + 156] = b" " * 8
                data[at + 148 : at + 156] = b"%06o\0 " % (sum(data[at : at + 512]) & 0o777777)
    if rng.random() < 0.1:
        return mutate_bytes(rng, [gzip.compress(bytes(data), 1)])
    return bytes(data)


def check(data: bytes) -> None:
    try:
        files = read_archive(io.BytesIO(data), "b.tar.gz", CAPS)
        for name in files:
            if name.startswith("/") or ".." in name.split("/") or "\0" in name:
                raise Finding(f"a name that leads out: {name!r}")
        refuse_delta(files, "b.tar.gz")
        manifest_of(files, "b.tar.gz")
        verify_files(files, CHECK, "b.tar.gz")
    except LoadError as error:
        if "b.tar.gz" not in str(error):
            raise Finding(f"the error does not name the bundle: {error}") from error
        return
    for name, wanted in FILES.items():
        # Documents count by their values; what is not one must be the very bytes that were signed.
        if name.endswith(".wasm") and files[name] != wanted:
            raise Finding("a changed file passed verification")


TARGETS = (Target("bundle", check, mutate, seeds, 1 << 16),)

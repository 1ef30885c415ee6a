"""`cupcake rego build --signing-key`: OPA verifies the bundle; the hashes are of what the files mean."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Run = Callable[..., tuple[int, str, str]]

MAKERS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS384": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def write_keys(algorithm: str, folder: Path) -> tuple[Path, Path]:
    """PEM files of a private key and its public one."""
    key = MAKERS[algorithm]()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def payload(bundle: Path) -> dict[str, Any]:
    with tarfile.open(bundle) as archive:
        content = archive.extractfile("/.signatures.json")
        assert content is not None
        (token,) = json.loads(content.read())["signatures"]
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize("algorithm", MAKERS)
def test_opa_verifies_what_a_private_key_signed(
    rego: Run, opa: Run, tmp_path: Path, algorithm: str
) -> None:
    if algorithm == "EdDSA" and "Version: 1.7" in opa("version")[1]:
        pytest.skip("this `opa` has no EdDSA")
    private, public = write_keys(algorithm, tmp_path)
    signed = f"--signing-alg {algorithm} --signing-key {private}"
    assert rego(f"build -b notes {signed} -o {tmp_path}/b.tar.gz")[0] == 0
    line = f"build -b {tmp_path}/b.tar.gz {signed} -o {tmp_path}/again.tar.gz --verification-key"
    assert opa(f"{line} {public}")[0] == 0
    other = write_keys(algorithm, tmp_path)[1]
    assert opa(f"{line} {other}")[0] == 1


@pytest.mark.parametrize("target", ["rego", "wasm", "plan"])
def test_opa_verifies_every_kind_of_bundle(
    rego: Run, opa: Run, tmp_path: Path, target: str
) -> None:
    signed = "--signing-alg HS256 --signing-key secret"
    line = (
        f"build -b notes -e p/q/allow -t {target} -r 'a<b\u2028é' {signed} -o {tmp_path}/b.tar.gz"
    )
    assert rego(line)[0] == 0
    again = f"build -b {tmp_path}/b.tar.gz {signed} -o {tmp_path}/c.tar.gz"
    assert opa(f"{again} --verification-key secret")[0] == 0
    assert opa(f"{again} --verification-key other")[0] == 1


def test_the_hashes_are_those_of_opa(rego: Run, opa: Run, tmp_path: Path) -> None:
    for name, run in (("ours", rego), ("theirs", opa)):
        line = f"build -b notes --signing-alg HS256 --signing-key s -o {tmp_path}/{name}.tar.gz"
        assert run(line)[0] == 0
    ours, theirs = (payload(tmp_path / f"{name}.tar.gz") for name in ("ours", "theirs"))
    assert ours["keyid"] == theirs["keyid"] == "default"
    # OPA puts policies into a bundle as `opa fmt` writes them.
    by_name = [
        {f["name"]: f["hash"] for f in p["files"] if f["name"] != "notes/p.rego"}
        for p in (ours, theirs)
    ]
    assert by_name[0] == by_name[1]
    assert len(by_name[0]) == 2


def test_claims_go_into_the_signature(rego: Run, tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_text('{"scope": "read", "keyid": "mine"}', encoding="utf-8")
    line = (
        f"build -b notes --signing-alg HS256 --signing-key s --claims-file {tmp_path}/claims.json"
    )
    assert rego(f"{line} -o {tmp_path}/b.tar.gz")[0] == 0
    found = payload(tmp_path / "b.tar.gz")
    assert (found["scope"], found["keyid"]) == ("read", "mine")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("build notes --signing-key s", 2, "only bundles are signed: give -b"),
        ("build -b notes -e p/q/allow -o x.wasm --signing-key s", 2, "only bundles are signed"),
        ("build -b notes --claims-file c.json", 2, "give --signing-key too"),
        ("build -b notes --signing-key nowhere.pem", 1, "nowhere.pem: no such file"),
        ("build -b notes --signing-key v0.rego", 1, "no private key"),
        ("build -b notes --signing-key v0.rego --signing-alg XY1", 1, "no private key for XY1"),
        ("build -b notes --signing-alg HS256 --signing-key s --claims-file null.json", 1, "must be an object"),
        ("build -b notes --verification-key s", 1, "is not signed"),
        ("build notes --verification-key s", 2, "add --bundle"),
    ],
)  # fmt: skip
def test_mistakes_are_named(rego: Run, tmp_path: Path, line: str, code: int, says: str) -> None:
    found, _, err = rego(line if " -o " in line else f"{line} -o {tmp_path}/b.tar.gz")
    assert (found, says in err) == (code, True), err
    assert not list(tmp_path.iterdir())

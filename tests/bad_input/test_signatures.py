"""Signed bundles: OPA's and ours verify in each other; everything that was touched, added, left out or signed otherwise is refused."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cupcake.engine import LoadError, VerificationKey, compile_policy, load
from cupcake.engine.bundle import archive, module_files
from cupcake.engine.bundle_files import read_files
from cupcake.engine.bundle_signature import Verification, file_hash, verify_files
from cupcake.engine.cli import main
from cupcake.engine.cli.signing import Signing, sign

SECRET = "a secret that is long enough for anybody"
ARTIFACT = compile_policy({"a.rego": "package a\np := data.k"}, {"k": [1.50, "é<&\u2028"]}, ["a/p"])
FILES = {name.lstrip("/"): data for name, data in module_files(ARTIFACT).items()}


def pair(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> tuple[str, str]:
    """(private, public) as PEM."""
    own = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return own.decode(), public.decode()


@pytest.fixture(scope="session")
def keys() -> dict[str, tuple[str, str]]:
    """Algorithm -> (signing key, verification key)."""
    plain = rsa.generate_private_key(65537, 2048)
    return {
        "HS256": (SECRET, SECRET),
        "HS512": (SECRET, SECRET),
        "RS256": pair(plain),
        "PS384": pair(plain),
        "ES256": pair(ec.generate_private_key(ec.SECP256R1())),
        "ES512": pair(ec.generate_private_key(ec.SECP521R1())),
        "EdDSA": pair(ed25519.Ed25519PrivateKey.generate()),
    }


NAMES = ("HS256", "HS512", "RS256", "PS384", "ES256", "ES512", "EdDSA")
Keys = dict[str, tuple[str, str]]


def write(path: Path, files: dict[str, bytes], signatures: bytes | None) -> Path:
    path.write_bytes(
        archive(files if signatures is None else {**files, ".signatures.json": signatures})
    )
    return path


@pytest.mark.parametrize("algorithm", NAMES)
def test_what_we_sign_verifies_with_its_key_and_no_other(
    algorithm: str, keys: Keys, tmp_path: Path
) -> None:
    own, public = keys[algorithm]
    if not algorithm.startswith("HS"):
        (tmp_path / "key.pem").write_text(own)
        own = str(tmp_path / "key.pem")
    path = write(tmp_path / "b.tar.gz", sign(FILES, Signing(own, algorithm)), None)
    key = VerificationKey(public, algorithm)
    assert load(path, verification_key=key).evaluate("a/p") == [1.5, "é<&\u2028"]
    other = VerificationKey(
        "another secret" if algorithm.startswith("HS") else _other(algorithm), algorithm
    )
    with pytest.raises(LoadError, match="not one of the verification key 'default'"):
        load(path, verification_key=other)


def _other(algorithm: str) -> str:
    match algorithm[:2]:
        case "ES":
            return pair(
                ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP521R1())
            )[1]
        case "Ed":
            return pair(ed25519.Ed25519PrivateKey.generate())[1]
        case _:
            return pair(rsa.generate_private_key(65537, 2048))[1]


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_of(header: object, payload: object, secret: str = "") -> bytes:
    """`.signatures.json` with a token; its signature is empty without a secret."""
    signing = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
    signature = hmac.digest(secret.encode(), signing.encode(), "sha256") if secret else b""
    return json.dumps({"signatures": [f"{signing}.{base64url(signature)}"]}).encode()


def hashed(**changes: object) -> list[dict[str, object]]:
    return [
        {
            "name": n,
            "hash": file_hash(n, d, "SHA-256", "x").hex(),
            "algorithm": "SHA-256",
            **changes,
        }
        for n, d in FILES.items()
    ]


def signed(**claims: object) -> bytes:
    return token_of({"alg": "HS256"}, {"files": hashed(), **claims}, SECRET)


Bad = tuple[dict[str, bytes], bytes | None]
BAD: dict[str, tuple[Callable[[], Bad], str]] = {
    "no signature": (lambda: (FILES, None), "the bundle is not signed"),
    "a changed document": (lambda: ({**FILES, "data.json": b'{"k":[1.51]}'}, signed()), "data.json is not the file that was signed"),
    "a changed module": (lambda: ({**FILES, "policy.wasm": FILES["policy.wasm"] + b"\0\1a"}, signed()), "policy.wasm is not the file"),
    "a changed manifest": (lambda: ({**FILES, ".manifest": b"{}"}, signed()), r"\.manifest is not the file"),
    "a file more": (lambda: ({**FILES, "x/data.json": b"{}"}, signed()), "x/data.json is not in the bundle's signature"),
    "a file less": (lambda: ({k: v for k, v in FILES.items() if k != "data.json"}, signed()), "not in the bundle: data.json"),
    "two signatures": (lambda: ({**FILES, "x/.signatures.json": signed()}, signed()), "several signature files"),
    "signatures that are no JSON": (lambda: (FILES, b"{"), "not JSON"),
    "signatures that are a list": (lambda: (FILES, b"[]"), "must be an object"),
    "no token": (lambda: (FILES, b'{"signatures": []}'), "exactly one token"),
    "two tokens": (lambda: (FILES, b'{"signatures": ["a.b.c", "a.b.c"]}'), "exactly one token"),
    "a token that is none": (lambda: (FILES, b'{"signatures": ["abc"]}'), "no JSON Web Token"),
    "a token that is no base64": (lambda: (FILES, b'{"signatures": ["!.!.!"]}'), "no base64url"),
    "a token without signature": (lambda: (FILES, token_of({"alg": "HS256"}, {"files": hashed()})), "not one of the verification key"),
    "a token that chooses no algorithm": (lambda: (FILES, token_of({"alg": "none"}, {"files": hashed()})), "not one of the verification key"),
    "another plugin": (lambda: (FILES, signed()[:-1] + b', "plugin": "mine"}'), "plugin 'mine' is not served"),
    "a hash that is none": (lambda: (FILES, signed(files=hashed(hash="zz"))), "no hexadecimal"),
    "a hash algorithm that is none": (lambda: (FILES, signed(files=hashed(algorithm="CRC"))), "unsupported hash algorithm 'CRC'"),
    "a file without hash": (lambda: (FILES, signed(files=[{"name": "x"}])), "lacks its name, hash"),
    "a scope that nobody wants": (lambda: (FILES, signed(scope="write")), "the scope is 'write', not ''"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bundle_that_is_not_what_was_signed_is_refused(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    path = write(tmp_path / "b.tar.gz", *make())
    with pytest.raises(LoadError, match=message) as caught:
        load(path, verification_key=VerificationKey(SECRET, "HS256"))
    assert "b.tar.gz" in str(caught.value)


def test_a_public_key_is_no_secret(keys: Keys, tmp_path: Path) -> None:
    """A token signed with the public key as a secret must not pass for one of the private key."""
    public = keys["RS256"][1]
    path = write(
        tmp_path / "b.tar.gz", FILES, token_of({"alg": "HS256"}, {"files": hashed()}, public)
    )
    with pytest.raises(LoadError, match="not one of the verification key"):
        load(path, verification_key=public)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (VerificationKey("no PEM"), "PEM text is wanted"),
        (VerificationKey(SECRET, "XX256"), "unknown signature algorithm: XX256"),
        (VerificationKey("", "HS256"), "not one of the verification key"),
    ],
)
def test_a_key_that_is_none_is_refused(key: VerificationKey, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "b.tar.gz", FILES, signed())
    with pytest.raises(LoadError, match=message):
        load(path, verification_key=key)


def test_scopes_and_left_out_files(tmp_path: Path) -> None:
    key = VerificationKey(SECRET, "HS256")
    claims = {"files": hashed(), "scope": "read"}
    path = write(tmp_path / "b.tar.gz", FILES, signed(**claims))
    assert load(path, verification_key=key, scope="read").entrypoints == ("a/p",)
    more = write(tmp_path / "c.tar.gz", {**FILES, "docs/x.md": b"new"}, signed())
    with pytest.raises(LoadError, match=r"docs/x\.md is not in"):
        load(more, verification_key=key, exclude_files_verify=["*.md"])
    assert load(more, verification_key=key, exclude_files_verify=["docs/*.md"]).entrypoints


def test_the_token_may_name_the_key(tmp_path: Path) -> None:
    files = {**FILES, ".signatures.json": signed(keyid="mine")}
    verify_files(files, Verification({"mine": VerificationKey(SECRET, "HS256")}), "b")
    with pytest.raises(LoadError, match="no verification key with the id 'mine'"):
        verify_files(files, Verification({"other": VerificationKey(SECRET, "HS256")}), "b")


def test_only_bundles_are_signed(tmp_path: Path) -> None:
    (tmp_path / "p.wasm").write_bytes(FILES["policy.wasm"])
    key = VerificationKey(SECRET, "HS256")
    with pytest.raises(LoadError, match="carries no signature"):
        load(tmp_path / "p.wasm", verification_key=key)
    with pytest.raises(LoadError, match="only bundles are signed"):
        load(FILES["policy.wasm"], verification_key=key)


def test_documents_are_hashed_by_value() -> None:
    one = file_hash("data.json", b'{"b": 1.50, "a": ["\\u00e9", null]}', "SHA-256", "x")
    assert one == file_hash("a/data.json", '{"a":["é",null],"b":1.50}'.encode(), "SHA-256", "x")
    assert one != file_hash("data.json", b'{"b": 1.5, "a": ["\\u00e9", null]}', "SHA-256", "x")


# -- the command line, and OPA --------------------------------------------------------------------

OPA = os.environ.get("CUPCAKE_OPA_PATH") or shutil.which("opa")
needs_opa = pytest.mark.skipif(OPA is None, reason="needs the opa executable")


@pytest.fixture
def project(tmp_path: Path, keys: Keys) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.rego").write_text("package a\n\np := data.k\n\nq := 1.5\n")
    (tmp_path / "in" / "data.json").write_text(
        '{"k": {"z": [1.50, 1e3, "é<&>\\u2028\\u0007"], "a": null}}'
    )
    for name in ("RS256", "ES256"):
        for number, part in enumerate(("private", "public")):
            (tmp_path / f"{name}.{part}").write_text(keys[name][number])
    return tmp_path


@pytest.mark.parametrize(
    "flags",
    [
        "--signing-key RS256.private",
        "--signing-key ES256.private --signing-alg ES256",
        "--signing-key s3cret --signing-alg HS256",
    ],
)
@pytest.mark.parametrize("target", ["wasm", "plan"])
def test_commands_sign_and_verify(
    flags: str,
    target: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    words = f"rego build -b in -t {target} -e a/p -o b.tar.gz {flags}".split()
    assert main(words) == 0
    right = flags.replace("--signing-key", "--verification-key").replace("private", "public")
    assert main(f"rego build -b b.tar.gz -t plan -e a/p -o c.json {right}".split()) == (
        0 if target == "plan" else 1
    )
    assert main(f"rego eval -b b.tar.gz -f raw data.k.a {right}".split()) == 0
    capsys.readouterr()
    assert (
        main(
            [
                "rego",
                "eval",
                "-b",
                "b.tar.gz",
                "data.k",
                "--verification-key",
                "wrong",
                "--signing-alg",
                "HS256",
            ]
        )
        == 2
    )
    assert "verification key" in capsys.readouterr().out
    if OPA:
        done = subprocess.run(
            [OPA, "build", "-b", "b.tar.gz", "-o", "d.tar.gz", *right.split()],
            cwd=project, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout


def test_a_key_without_bundle_is_wrong_usage(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert main(["rego", "build", "in", "-e", "a/p", "--verification-key", "x"]) == 2


@needs_opa
@pytest.mark.parametrize(
    ("flags", "algorithm"),
    [
        ("--signing-key RS256.private", "RS256"),
        ("--signing-key ES256.private --signing-alg ES256", "ES256"),
        ("--signing-key s3cret --signing-alg HS256", "HS256"),
    ],
)
def test_what_opa_signs_verifies_here(
    flags: str, algorithm: str, project: Path, keys: Keys
) -> None:
    assert OPA is not None
    subprocess.run(
        [OPA, "build", "-b", "in", "-t", "wasm", "-e", "a/p", "-o", "b.tar.gz", "-r", "r<1>", *flags.split()],
        cwd=project, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    public = "s3cret" if algorithm == "HS256" else keys[algorithm][1]
    key = VerificationKey(public, algorithm)
    path = project / "b.tar.gz"
    assert load(path, verification_key=key).evaluate("a/p") == {
        "z": [1.5, 1000, "é<&>\u2028\u0007"],
        "a": None,
    }
    files = read_files(path)
    signatures = files.pop(".signatures.json")
    write(path, {**files, "data.json": files["data.json"].replace(b"1.5", b"1.6")}, signatures)
    with pytest.raises(LoadError, match=r"data\.json is not the file"):
        load(path, verification_key=key)


@needs_opa
def test_a_folder_that_opa_signed_verifies_here(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert OPA is not None
    subprocess.run(
        [OPA, "sign", "--signing-key", "s3cret", "--signing-alg", "HS256", "--bundle", "in", "-o", "in"],
        cwd=project, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    flags = "--verification-key s3cret --signing-alg HS256"
    monkeypatch.chdir(project)
    assert main(f"rego eval -b in -f raw data.a.q {flags}".split()) == 0
    (project / "in" / "a.rego").write_text("package a")
    assert main(f"rego eval -b in -f raw data.a.q {flags}".split()) == 2

"""The OPA executable as a tool beside the own compiler: where it is, and how to get it.

One version is pinned, by the SHA-256 of its published files. A download goes to a temporary file, is compared, and
only then gets its name; what lies in the cache is compared again whenever it is asked for. It must not run OPA, and
nothing in the engine needs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final, Literal, TypeAlias

from cupcake.engine.errors import OpaError

VERSION: Final = "1.7.1"
RELEASES: Final = "https://github.com/open-policy-agent/opa/releases/download"

#: Environment: an executable to use; the base URL of a mirror, which holds `v1.7.1/<file>`.
PATH_VARIABLE: Final = "CUPCAKE_OPA_PATH"
MIRROR_VARIABLE: Final = "CUPCAKE_OPA_MIRROR"

MAX_BYTES: Final = 256 << 20
_TIMEOUT = 30.0
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Asset:
    """A published file and its SHA-256 in hex."""

    name: str
    sha256: str


#: By `system-machine`.
ASSETS: Final[Mapping[str, Asset]] = MappingProxyType(
    {
        "darwin-amd64": Asset(
            "opa_darwin_amd64",
            "51da8fa6ce4ac9b963d4babbd78714e98880b20e74f30a3f45a96334e12830bd",
        ),
        "darwin-arm64": Asset(
            "opa_darwin_arm64_static",
            "fe2a14b6ba7f587caeb62ef93ef62d1e713776a6e470f4e87326468a8ecfbfbd",
        ),
        "linux-amd64": Asset(
            "opa_linux_amd64",
            "7426bf5504049d7444f9ee9a1d47a64261842f38f5308903ef6b76ba90250b5a",
        ),
        "linux-arm64": Asset(
            "opa_linux_arm64_static",
            "a81af8cd767f1870e9e23b8ed0ad8f40b24e5c0a64c5768c75d5c292aaa81e54",
        ),
        "windows-amd64": Asset(
            "opa_windows_amd64.exe",
            "205f87d0fd1e2673c3a6f9caf9d9655290e478a93eeb3ef9f211acdaa214a9ca",
        ),
    }
)

_MACHINES: Final[Mapping[str, str]] = MappingProxyType(
    {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
)

Source: TypeAlias = Literal["environment", "cache", "system"]


@dataclass(frozen=True, slots=True)
class Found:
    """An executable. `verified`: its bytes are those of the pinned version."""

    path: Path
    source: Source
    verified: bool


def platform_asset(system: str, machine: str, assets: Mapping[str, Asset] = ASSETS) -> Asset:
    """The file for a platform as the module `platform` names it. OpaError where there is none."""
    key = f"{system.lower()}-{_MACHINES.get(machine.lower(), machine.lower())}"
    asset = assets.get(key)
    if asset is None:
        raise OpaError(
            f"there is no OPA v{VERSION} for {key}, only for {', '.join(sorted(assets))}; "
            f"set {PATH_VARIABLE} to an executable of yours"
        )
    return asset


def cache_folder(environment: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/cupcake/bin`; a relative XDG_CACHE_HOME counts as none, as its specification says."""
    base = environment.get("XDG_CACHE_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "cupcake" / "bin"


def cached_path(folder: Path, asset: Asset) -> Path:
    """Where the pinned executable lies when it is installed."""
    return folder / f"opa-{VERSION}{Path(asset.name).suffix if asset.name.endswith('.exe') else ''}"


def sha256_of(path: Path) -> str:
    """Hex digest of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(environment: Mapping[str, str], asset: Asset) -> Found:
    """The executable to use: CUPCAKE_OPA_PATH, else the cached one (compared with its digest), else `opa` on PATH.

    Raises OpaError when there is none, or when the one that the environment names cannot be used."""
    named = environment.get(PATH_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file() or not os.access(path, os.X_OK):
            raise OpaError(
                f"{PATH_VARIABLE} is {named}, which is no executable file; correct or unset it"
            )
        return Found(path.absolute(), "environment", _is(path, asset))
    cached = cached_path(cache_folder(environment), asset)
    damaged = ""
    if cached.is_file():
        if _is(cached, asset):
            return Found(cached, "cache", True)
        damaged = f"{cached} is not OPA v{VERSION} (its SHA-256 differs) and is not used; "
    system = shutil.which("opa", path=environment.get("PATH", ""))
    if system is not None and Path(system).is_absolute():
        return Found(Path(system), "system", _is(Path(system), asset))
    raise OpaError(
        f"{damaged}there is no OPA executable: run `cupcake opa install`, put `opa` on PATH, or set {PATH_VARIABLE}"
    )


def _is(path: Path, asset: Asset) -> bool:
    try:
        return sha256_of(path) == asset.sha256
    except OSError:
        return False


def install(folder: Path, asset: Asset, base_url: str = RELEASES) -> tuple[Path, bool]:
    """Have the pinned executable in `folder`: its path, and whether it was downloaded (else it was there, intact).

    Safe to run several times at once: each has a temporary file of its own, and the last rename wins with equal bytes.
    Raises OpaError; whatever goes wrong, nothing incomplete gets the name."""
    target = cached_path(folder, asset)
    if target.is_file() and _is(target, asset):
        return target, False
    url = f"{base_url.rstrip('/')}/v{VERSION}/{asset.name}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=".opa-", dir=folder)
    except OSError as error:
        raise OpaError(
            f"cannot write to {folder}: {error.strerror}; make it writable, or set XDG_CACHE_HOME to another folder"
        ) from None
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            digest = _download(url, file)
            file.flush()
            os.fsync(file.fileno())
        if digest != asset.sha256:
            raise OpaError(
                f"{url} is not OPA v{VERSION}: its SHA-256 is {digest}, expected {asset.sha256}; "
                "nothing was installed. The download is damaged or not the published file: try again, or another mirror"
            )
        temporary.chmod(0o755)
        temporary.replace(target)
    except OSError as error:
        raise OpaError(
            f"cannot write {target}: {error.strerror}; free some space, or set XDG_CACHE_HOME to another folder"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target, True


def _download(url: str, into: IO[bytes]) -> str:
    """Copies the body of `url`; returns its SHA-256. OpaError for everything that the network does."""
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("https://", "http://")):
        raise OpaError(f"{url}: the mirror must be an http or https URL; correct {MIRROR_VARIABLE}")
    otherwise = (
        f"set {MIRROR_VARIABLE} to a mirror, or {PATH_VARIABLE} to an executable that you have"
    )
    digest = hashlib.sha256()
    size = 0
    try:
        # The scheme was looked at above, and the content is compared with a pinned digest.
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            announced = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise OpaError(f"{url} has more than {MAX_BYTES} bytes: that is not OPA")
                digest.update(chunk)
                _write(into, chunk)
    except urllib.error.HTTPError as error:
        error.close()
        raise OpaError(
            f"{url}: the server answers {error.code} {error.reason}; {otherwise}"
        ) from None
    except urllib.error.URLError as error:
        raise OpaError(f"cannot reach {url}: {_reason(error.reason)}; {otherwise}") from None
    except (http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise OpaError(
            f"the download of {url} broke off after {size} bytes: {_reason(error)}; try again, or {otherwise}"
        ) from None
    if announced is not None and announced.isdigit() and int(announced) != size:
        raise OpaError(
            f"the download of {url} broke off after {size} of {announced} bytes; try again, or {otherwise}"
        )
    return digest.hexdigest()


def _write(into: IO[bytes], chunk: bytes) -> None:
    try:
        into.write(chunk)
    except OSError as error:
        # Not the network: the caller names the folder.
        raise OSError(error.errno, error.strerror) from None


def _reason(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__

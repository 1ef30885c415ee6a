"""Getting the OPA executable, against a server of our own on the loopback interface."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cupcake.engine import opa
from cupcake.engine.cli.opa import main
from cupcake.engine.errors import OpaError
from cupcake.engine.opa import Asset

CONTENT = b"#!/bin/sh\necho not really opa\n" * 1000
ASSET = Asset("opa_test", hashlib.sha256(CONTENT).hexdigest())
TABLE = {f"{s}-{m}": ASSET for s in ("linux", "darwin", "windows") for m in ("amd64", "arm64")}


class Server(ThreadingHTTPServer):
    """Answers by the first part of the path; `asked` are the paths."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{behaviour}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        match self.path.split("/")[1]:
            case "right":
                self.answer(200, CONTENT)
            case "wrong":
                self.answer(200, CONTENT[:-1] + b"!")
            case "truncated":
                self.answer(200, CONTENT[:1000], length=len(CONTENT))
            case "moved":
                self.send_response(302)
                self.send_header("Location", self.path.replace("/moved/", "/right/"))
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "broken":
                self.answer(500, b"")
            case _:
                self.answer(404, b"nothing here")

    def answer(self, code: int, body: bytes, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(opa.PATH_VARIABLE, raising=False)
    monkeypatch.delenv(opa.MIRROR_VARIABLE, raising=False)


def executable(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_a_right_file_is_installed_executable_under_its_version(
    server: Server, tmp_path: Path
) -> None:
    path, fresh = opa.install(tmp_path / "bin", ASSET, server.url("right"))
    assert (path, fresh) == (tmp_path / "bin" / "opa-1.7.1", True)
    assert path.read_bytes() == CONTENT
    assert os.access(path, os.X_OK)
    assert server.asked == ["/right/v1.7.1/opa_test"]


def test_the_folder_is_made_for_its_user_alone(server: Server, tmp_path: Path) -> None:
    path, _ = opa.install(tmp_path / "bin", ASSET, server.url("right"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_intact_file_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    opa.install(tmp_path, ASSET, server.url("right"))
    assert opa.install(tmp_path, ASSET, server.url("right"))[1] is False
    assert len(server.asked) == 1


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    executable(opa.cached_path(tmp_path, ASSET), b"damaged")
    path, fresh = opa.install(tmp_path, ASSET, server.url("right"))
    assert (fresh, path.read_bytes()) == (True, CONTENT)


def test_a_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    path, _ = opa.install(tmp_path, ASSET, server.url("moved"))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ("wrong", "expected " + ASSET.sha256),
        ("truncated", "broke off after 1000"),
        ("missing", "404"),
        ("broken", "500"),
    ],
)
def test_a_bad_answer_installs_nothing_and_says_why(
    server: Server, tmp_path: Path, behaviour: str, says: str
) -> None:
    with pytest.raises(OpaError) as caught:
        opa.install(tmp_path, ASSET, server.url(behaviour))
    assert says in str(caught.value)
    assert server.url(behaviour) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_answer_leaves_a_file_that_was_there(server: Server, tmp_path: Path) -> None:
    before = executable(opa.cached_path(tmp_path, ASSET), b"older")
    with pytest.raises(OpaError):
        opa.install(tmp_path, ASSET, server.url("wrong"))
    assert before.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [before]


def test_without_a_network_the_remedies_are_named(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound, but not listening: refused
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OpaError, match=r"cannot reach .*refused") as caught:
            opa.install(tmp_path, ASSET, f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert opa.MIRROR_VARIABLE in str(caught.value)
    assert opa.PATH_VARIABLE in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_must_be_a_web_address(tmp_path: Path) -> None:
    with pytest.raises(OpaError, match=r"http or https"):
        opa.install(tmp_path, ASSET, f"file://{tmp_path}")


def test_a_cache_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OpaError, match=r"cannot write to .*XDG_CACHE_HOME"):
        opa.install(tmp_path / "file" / "bin", ASSET, server.url("right"))
    assert server.asked == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions bind no root")
def test_a_folder_without_permission_is_named(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OpaError, match=r"cannot write to"):
        opa.install(tmp_path, ASSET, server.url("right"))


def test_racing_installs_all_succeed_with_one_intact_file(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: opa.install(tmp_path, ASSET, server.url("right")), range(8)))
    assert {path for path, _ in done} == {opa.cached_path(tmp_path, ASSET)}
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [CONTENT]


# -- finding it ----------------------------------------------------------------------------------


def test_the_environment_goes_before_the_cache_and_the_cache_before_the_path(
    tmp_path: Path,
) -> None:
    system = executable(tmp_path / "bin" / "opa", b"system")
    named = executable(tmp_path / "mine", b"named")
    environment = {"PATH": str(system.parent), "XDG_CACHE_HOME": str(tmp_path)}
    assert opa.find(environment, ASSET) == opa.Found(system, "system", False)
    cached = executable(opa.cached_path(opa.cache_folder(environment), ASSET))
    assert opa.find(environment, ASSET) == opa.Found(cached, "cache", True)
    environment[opa.PATH_VARIABLE] = str(named)
    assert opa.find(environment, ASSET) == opa.Found(named, "environment", False)


def test_a_cached_file_with_another_digest_is_never_used(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    executable(opa.cached_path(opa.cache_folder(environment), ASSET), CONTENT + b"more")
    with pytest.raises(OpaError, match=r"its SHA-256 differs.*cupcake opa install"):
        opa.find(environment, ASSET)


def test_a_named_file_that_cannot_be_run_is_an_error_and_no_fallback(tmp_path: Path) -> None:
    system = executable(tmp_path / "bin" / "opa")
    environment = {"PATH": str(system.parent), opa.PATH_VARIABLE: str(tmp_path / "absent")}
    with pytest.raises(OpaError, match=r"no executable file"):
        opa.find(environment, ASSET)


def test_a_relative_cache_home_is_ignored() -> None:
    assert opa.cache_folder({"XDG_CACHE_HOME": "here"}).is_absolute()


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "opa_linux_amd64"),
        ("Linux", "aarch64", "opa_linux_arm64_static"),
        ("Darwin", "x86_64", "opa_darwin_amd64"),
        ("Darwin", "arm64", "opa_darwin_arm64_static"),
        ("Windows", "AMD64", "opa_windows_amd64.exe"),
    ],
)
def test_each_platform_has_its_file(system: str, machine: str, name: str) -> None:
    asset = opa.platform_asset(system, machine)
    assert asset.name == name
    assert len(bytes.fromhex(asset.sha256)) == 32


def test_an_unknown_platform_is_told_what_there_is() -> None:
    with pytest.raises(OpaError, match=r"no OPA v1.7.1 for plan9-mips.*linux-amd64"):
        opa.platform_asset("Plan9", "mips")


# -- the command ---------------------------------------------------------------------------------


def test_install_path_and_verify(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(opa.MIRROR_VARIABLE, server.url("right"))
    assert main(["opa", "install"], TABLE) == 0
    assert "OPA v1.7.1, verified" in capsys.readouterr().out
    assert main(["opa", "install"], TABLE) == 0
    assert "installed already" in capsys.readouterr().out
    assert main(["opa", "path"], TABLE) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.read_bytes() == CONTENT
    assert main(["opa", "verify"], TABLE) == 0
    assert ASSET.sha256 in capsys.readouterr().out


def test_verify_says_no_to_another_executable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(opa.PATH_VARIABLE, str(executable(tmp_path / "mine", b"other")))
    assert main(["opa", "verify"], TABLE) == 1
    assert "SHA-256 differs" in capsys.readouterr().err


def test_a_failed_install_is_one_line_and_exit_1(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(opa.MIRROR_VARIABLE, server.url("right"))
    assert main(["opa", "install"]) == 1  # the pinned digests are those of the real files
    error = capsys.readouterr().err
    assert error.startswith("cupcake opa: ")
    assert error.count("\n") == 1

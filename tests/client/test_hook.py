"""The hook process as an agent starts it: whatever is wrong, it blocks, with a reason; it never exits 1."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from cupcake.client import codec, hook
from cupcake.client import messages as m
from cupcake.client.discovery import check_socket
from cupcake.client.errors import UnsafeSocket

HOOK = Path(hook.__file__).parent
PRE_TOOL_USE = {
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private runtime folder; short, because a Unix socket's path may have 107 bytes at most."""
    short = Path("/tmp") / f"ck-{os.getpid()}-{abs(hash(tmp_path)) % 100000}"
    short.mkdir(mode=0o700)
    yield short
    for entry in short.iterdir():
        entry.unlink()
    short.rmdir()


def run_hook(
    folder: Path, stdin: bytes, *arguments: str, fast: bool = True, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs the hook by its fast start (`-I -S`, its own folder on the path) or as a module of the package."""
    start = (
        [
            "-I",
            "-S",
            "-c",
            "import sys; sys.path.insert(0, sys.argv[1]); import hook; hook.run(sys.argv[2:])",
            str(HOOK),
        ]
        if fast
        else ["-m", "cupcake", "eval"]
    )
    return subprocess.run(
        [sys.executable, *start, "--socket", str(folder / "d.sock"), *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CUPCAKE_NO_AUTOSTART": "1",
            **environment,
        },
    )


@contextmanager
def peer(
    folder: Path, answer: Callable[[list[bytes]], list[bytes] | None]
) -> Iterator[list[list[bytes]]]:
    """A real ROUTER that answers with what `answer` makes of the frames; yields what it got."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.bind(f"ipc://{folder}/d.sock")
    seen: list[list[bytes]] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if router.poll(20):
                frames = router.recv_multipart()
                seen.append(frames[1:])
                reply = answer(frames[1:])
                if reply is not None:
                    router.send_multipart([frames[0], *reply])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        router.close(0)
        context.term()


def answering(body: bytes, flags: int = 0) -> Callable[[list[bytes]], list[bytes]]:
    def answer(frames: list[bytes]) -> list[bytes]:
        header = codec.decode_header(frames[1])
        return [
            b"",
            codec.encode_header(m.Header(header.kind + m.REPLY, header.request_id, 0, flags)),
            body,
        ]

    return answer


ALLOW = codec.encode_answer(m.Answer("allow", b"{}"))
HOOK_ARGUMENTS = ("--harness", "claude")


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("size", [0, 300, 100_000, 4_000_000])
def test_the_daemons_answer_is_printed_and_the_event_arrives_untouched(
    folder: Path, size: int, fast: bool
) -> None:
    response = json.dumps({"x": "y" * size}).encode()
    event = b' {"hook_event_name": "PreToolUse", "z": "' + b"z" * size + b'"}\n'
    with peer(folder, answering(codec.encode_answer(m.Answer("deny", response)))) as seen:
        result = run_hook(
            folder, event, *HOOK_ARGUMENTS, "--policy-dir", "/some/where/.cupcake", fast=fast
        )
    assert (result.returncode, result.stdout, result.stderr) == (0, response + b"\n", b"")
    header, body = codec.split_request(seen[0])
    assert header.kind == m.Kind.EVALUATE
    assert codec.decode_evaluate(body) == m.Evaluate("/some/where", "claude", event)


def test_exit_code_and_stderr_are_the_daemons(folder: Path) -> None:
    with peer(folder, answering(codec.encode_answer(m.Answer("block", b"{}", 2, "because")))):
        result = run_hook(folder, b'{"hook_event_name":"Stop"}', *HOOK_ARGUMENTS)
    assert (result.returncode, result.stderr) == (2, b"because\n")


BAD_STDIN = {
    "empty": b"",
    "blank": b" \n\t ",
    "too large": b'{"a":"' + b"x" * (20 * 1024 * 1024) + b'"}',
}


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", BAD_STDIN)
def test_stdin_that_is_no_event_blocks_with_exit_2(folder: Path, name: str, fast: bool) -> None:
    with peer(folder, answering(ALLOW)):
        result = run_hook(folder, BAD_STDIN[name], *HOOK_ARGUMENTS, fast=fast)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"blocked" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_closed_stdin_blocks(folder: Path) -> None:
    script = f"exec 0<&-; exec {sys.executable} -I -S -c \"import sys; sys.path.insert(0, '{HOOK}'); import hook; hook.run(['--harness', 'claude'])\""
    result = subprocess.run(["/bin/sh", "-c", script], capture_output=True, timeout=60, check=False)
    assert result.returncode == 2
    assert b"cannot be read" in result.stderr


def denied(result: subprocess.CompletedProcess[bytes]) -> str:
    """The reason of a deny in Claude Code's JSON; fails when it is none."""
    specific = json.loads(result.stdout)["hookSpecificOutput"]
    assert result.returncode == 0
    assert (specific["hookEventName"], specific["permissionDecision"]) == ("PreToolUse", "deny")
    return str(specific["permissionDecisionReason"])


def test_no_daemon_and_none_to_be_started_denies_with_the_remedy(folder: Path) -> None:
    reason = denied(run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS))
    assert "no daemon" in reason
    assert "cupcake daemon start" in reason


def test_a_stale_socket_file_counts_as_no_daemon(folder: Path) -> None:
    leftover = socket.socket(socket.AF_UNIX)
    leftover.bind(str(folder / "d.sock"))
    leftover.close()
    assert "no daemon" in denied(
        run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS)
    )


@pytest.mark.parametrize(
    ("event", "stdout", "code"),
    [
        ({"hook_event_name": "PermissionRequest"}, '"behavior":"deny"', 0),
        ({"hook_event_name": "UserPromptSubmit"}, "", 2),
        ({"hook_event_name": "Stop"}, "", 2),
        ({"hook_event_name": "BrandNewEvent"}, "", 2),
        ({"no": "name"}, "", 2),
    ],
)
def test_without_a_daemon_every_event_is_blocked_in_its_own_terms(
    folder: Path, event: dict[str, str], stdout: str, code: int
) -> None:
    result = run_hook(folder, json.dumps(event).encode(), *HOOK_ARGUMENTS)
    assert result.returncode == code
    assert stdout in result.stdout.decode()
    assert code == 0 or b"blocked" in result.stderr


@pytest.mark.parametrize(
    "event", [b"not json", b"[1]", b"[" * 100_000, b'{"hook_event_name": 7}', b"\xff\xfe"]
)
def test_garbage_on_stdin_and_no_daemon_blocks_with_exit_2(folder: Path, event: bytes) -> None:
    result = run_hook(folder, event, *HOOK_ARGUMENTS)
    assert (result.returncode, result.stdout) == (2, b"")


@pytest.mark.parametrize("code", list(m.ErrorCode))
def test_an_error_reply_denies(folder: Path, code: m.ErrorCode) -> None:
    with peer(folder, answering(codec.encode_error(code, "some reason"), m.FLAG_ERROR)):
        reason = denied(run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS))
    assert code in reason
    assert "some reason" in reason


def test_a_silent_daemon_denies_before_the_agents_own_timeout(folder: Path) -> None:
    with peer(folder, lambda frames: None):
        reason = denied(
            run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS, "--timeout", "0.2")
        )
    assert "in time" in reason


@pytest.mark.parametrize(
    "body",
    [
        b"\x80",
        b"\xc1\xc1\xc1\xc1",
        b"\x83\xa4exit\x00\xa6stderr",
        b"\x83\xa4exit\xa1x\xa6stderr\xa0\xa8response\xc4\x00",
    ],
)
def test_a_garbled_reply_blocks(folder: Path, body: bytes) -> None:
    with peer(folder, answering(body)):
        result = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS)
    assert result.returncode in (0, 2)
    assert b'"deny"' in result.stdout or result.returncode == 2


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4, b"\xff" * 64 + b"\x02" + b"\xff" * 8]
)
def test_something_else_listening_on_the_socket_blocks(folder: Path, greeting: bytes) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "d.sock"))
    server.listen(1)

    def serve() -> None:
        connection, _ = server.accept()
        connection.sendall(greeting)
        time.sleep(0.05)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    result = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS, "--timeout", "2")
    thread.join()
    server.close()
    assert denied(result)


def test_a_folder_that_others_can_write_is_refused(folder: Path) -> None:
    with peer(folder, answering(ALLOW)):
        folder.chmod(0o777)
        reason = denied(run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS))
        folder.chmod(0o700)
    assert "chmod 700" in reason


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket to somebody else")
def test_a_socket_of_somebody_else_is_refused(folder: Path) -> None:
    with peer(folder, answering(ALLOW)):
        os.chown(folder / "d.sock", 12345, 12345)
        reason = denied(run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS))
    assert "belongs to somebody else" in reason


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--harness",),
        ("--harness", "nobody"),
        ("--harness", "claude", "--bogus"),
        ("--harness", "claude", "--timeout", "soon"),
    ],
)
def test_a_wrong_command_line_blocks_and_says_what_is_wrong(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    result = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *arguments)
    assert result.returncode == 2
    assert b"usage" in result.stderr or b"invalid" in result.stderr


@pytest.mark.parametrize(
    ("policy_dir", "wanted"),
    [
        ("/a/b/.cupcake", "/a/b"),
        ("/a/b/.cupcake/", "/a/b"),
        (".cupcake", "{cwd}"),
        ("./.cupcake", "{cwd}"),
        ("./policies", "{cwd}"),
        ("sub", "{cwd}/sub"),
        ("/.cupcake", "/"),
    ],
)
def test_policy_dir_resolves_as_in_rust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy_dir: str, wanted: str
) -> None:
    (tmp_path / "sub" / ".cupcake").mkdir(parents=True)
    (tmp_path / ".cupcake").mkdir()
    monkeypatch.chdir(tmp_path)
    assert hook.project_root(policy_dir) == wanted.format(cwd=tmp_path)


def test_the_installed_command_is_executable() -> None:
    command = Path(sys.executable).parent / "cupcake"
    if not command.exists():
        pytest.skip("the command is not installed beside this interpreter")
    assert command.stat().st_mode & stat.S_IXUSR
    result = subprocess.run(
        [command, "version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.startswith("cupcake ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--harn", "claude"),
        ("--harness", "claude", "--time", "1"),
        ("--harness", "claude", "--timeout", "nan"),
        ("--harness", "claude", "--timeout", "inf"),
        ("--harness", "claude", "--timeout=-1"),
        ("--harness", "claude", "--timeout", "0"),
        ("--harness", "claude", "--timeout", "1e12"),
        ("--harness", "claude", "--timeout", "soon"),
        ("--harness", "claude", "--strict=yes"),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_arguments_that_only_one_of_the_two_parsers_takes_end_at_once(
    folder: Path, arguments: tuple[str, ...], fast: bool
) -> None:
    """Each parser hands what it does not know to the other: that must not go round for ever."""
    done = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *arguments, fast=fast)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"usage: cupcake eval" in done.stderr


@pytest.mark.parametrize(
    ("code", "response"),
    [(1, b"{}"), (256, b"{}"), (3, b"{}"), (0, b""), (0, b"allow"), (0, b'{"hookSpecific')],
)
def test_an_answer_that_an_agent_would_take_for_go_on_blocks(
    folder: Path, code: int, response: bytes
) -> None:
    body = codec.encode_answer(m.Answer("deny", response, code))
    with peer(folder, answering(body)):
        done = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS)
    assert done.returncode == 0
    assert b'"permissionDecision":"deny"' in done.stdout
    assert b"is none for an agent" in done.stdout


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (b'{"decision":"block","reason":"no"}', 2),
        (b'{"continue":false,"stopReason":"no"}', 2),
        (b'{"hookSpecificOutput":{"permissionDecision":"deny"}}', 2),
        (b'{"hookSpecificOutput":{"additionalContext":"say \\"deny\\" or \\"decision\\":\\"block\\""}}', 0),
        (b"{}", 0),
    ],
)  # fmt: skip
def test_strict_exits_2_for_every_refusal(folder: Path, response: bytes, code: int) -> None:
    with peer(folder, answering(codec.encode_answer(m.Answer("x", response)))):
        done = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS, "--strict")
    assert (done.returncode, done.stdout) == (code, response + b"\n")


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_standard_files_block(folder: Path, fast: bool, closed: int) -> None:
    """A socket that takes the number of a closed stdout would swallow the answer."""
    start = (
        f"{sys.executable} -I -S -c 'import sys; sys.path.insert(0, sys.argv[1]); import hook; "
        f"hook.run(sys.argv[2:])' {HOOK}"
        if fast
        else f"{sys.executable} -m cupcake eval"
    )
    deny = codec.encode_answer(m.Answer("deny", b'{"decision":"block"}', 0, "why"))
    with peer(folder, answering(deny)):
        done = subprocess.run(
            ["sh", "-c", f"{start} --harness claude --socket {folder}/d.sock {closed}>&-"],
            input=json.dumps(PRE_TOOL_USE).encode(),
            capture_output=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "CUPCAKE_NO_AUTOSTART": "1"},
        )
    assert done.returncode == 2 or b'"block"' in done.stdout, done


def test_a_reader_that_went_away_is_no_exit_1(folder: Path) -> None:
    for fast in (True, False):
        read, write = os.pipe()
        os.close(read)
        start = ["-m", "cupcake", "eval"]
        if fast:
            code = (
                "import sys; sys.path.insert(0, sys.argv[1]); import hook; hook.run(sys.argv[2:])"
            )
            start = ["-I", "-S", "-c", code, str(HOOK)]
        with peer(folder, answering(ALLOW)):
            done = subprocess.run(
                [sys.executable, *start, "--socket", f"{folder}/d.sock", *HOOK_ARGUMENTS],
                input=json.dumps(PRE_TOOL_USE).encode(),
                stdout=write,
                stderr=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
        os.close(write)
        (folder / "d.sock").unlink(missing_ok=True)
        assert done.returncode == 2


def test_a_relative_socket_is_taken_from_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with peer(folder, answering(ALLOW)):
        done = run_hook(
            folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS, "--socket", "d.sock"
        )
    assert (done.returncode, done.stdout) == (0, b"{}\n")
    assert hook.find_socket("d.sock") == f"{folder}/d.sock"


def test_no_daemon_is_started_in_a_folder_that_others_may_write_to(folder: Path) -> None:
    folder.chmod(0o777)
    try:
        done = run_hook(
            folder,
            json.dumps(PRE_TOOL_USE).encode(),
            *HOOK_ARGUMENTS,
            CUPCAKE_NO_AUTOSTART="",
            XDG_STATE_HOME=str(folder),
        )
    finally:
        folder.chmod(0o700)
    assert b"writable by others" in done.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("mode", "remedy"), [(0o1777, b"of your own"), (0o777, b"chmod 700")])
def test_nobody_is_told_to_lock_a_folder_that_all_share(
    folder: Path, fast: bool, mode: int, remedy: bytes
) -> None:
    folder.chmod(mode)
    try:
        done = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS, fast=fast)
        (folder / "d.sock").touch()
        with pytest.raises(UnsafeSocket, match=remedy.decode()):
            check_socket(str(folder / "d.sock"))
    finally:
        folder.chmod(0o700)
    assert remedy in done.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("A", "A"), ("./A", "A"), ("A/", "A"), ("A/.cupcake", "A"), ("A/policies", "A"), ("L", "L"),
        ("B/../A", "A"), ("../r/A", "A"), ("A/./", "A"), ("A//.cupcake//", "A"), ("L/../B/.cupcake", "B"),
        ("A/../.", "."), ("far/../A", "elsewhere/A"),
    ],
)  # fmt: skip
def test_every_spelling_names_the_project_that_the_kernel_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    root = tmp_path.resolve() / "r"
    for name in ("A", "B", ".", "elsewhere/A", "elsewhere/deep"):
        (root / name / ".cupcake").mkdir(parents=True)
    (root / "L").symlink_to("A")
    (root / "far").symlink_to("elsewhere/deep")
    monkeypatch.chdir(root)
    assert hook.project_root(given) == str(root / expected)
    assert hook.project_root(f"{root}/{given}") == str(root / expected)


def test_an_empty_policy_dir_blocks(folder: Path) -> None:
    done = run_hook(folder, json.dumps(PRE_TOOL_USE).encode(), *HOOK_ARGUMENTS, "--policy-dir", "")
    assert b'"permissionDecision":"deny"' in done.stdout

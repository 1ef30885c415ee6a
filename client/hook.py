"""The hook: one agent event from stdin to a daemon and its answer to stdout, in about the time an interpreter starts.

The agent starts this for *every* action, so the file imports nothing that costs: no argparse, json, zmq, os, and
nothing of its own package (it runs under `python -I -S` with only its own folder on the path). It speaks the
few bytes of ZMTP 3.1 (NULL mechanism, see rfc.zeromq.org/spec/37) and of our protocol (PROTOCOL.md) itself and
passes the event through unread. Everything out of the ordinary - no daemon, an error, an unknown flag - goes
to `hook_fallback`, which may import what it likes.

It must fail closed: whatever goes wrong ends in a blocking answer or in exit code 2 with the reason on stderr,
never in silence, never in exit code 1 (which agents read as "go on").
"""

from __future__ import annotations

import posix
import sys
from time import monotonic

MAX_EVENT = 8 * 1024 * 1024 - 4096
SYSTEM_SOCKET = "/run/cupcake/daemon.sock"
# ZMTP greeting: signature, version 3.1, mechanism NULL padded to 20 bytes, as-server 0, filler.
GREETING = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL" + bytes(48)
# READY command with Socket-Type=DEALER.
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
EVALUATE = 1
MAX_TIMEOUT = 3600
# How a refusal looks in an answer. Text inside of JSON strings has its quotes escaped, so it matches none of these.
REFUSALS = (b'"deny"', b'"decision":"block"', b'"action":"decline"', b'"continue":false')


class Trouble(Exception):
    """The fast path cannot answer; `kind` says why: "usage", "absent", "unsafe", "timeout", "broken", "error"."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        self.message = message
        super().__init__(message)


def parse_arguments(argv: list[str]) -> dict[str, str]:
    """`--name value`, `--name=value` and bare flags; raises Trouble("usage") for what the fast path does not know."""
    options: dict[str, str] = {}
    index = 0
    while index < len(argv):
        name, equals, value = argv[index].partition("=")
        index += 1
        if name in ("--strict", "--debug") and not equals:
            options[name] = "1"
        elif name in ("--harness", "--policy-dir", "--socket", "--timeout"):
            if not equals:
                if index == len(argv):
                    raise Trouble("usage", f"{name} needs a value")
                value = argv[index]
                index += 1
            options[name] = value
        else:
            raise Trouble("usage", f"unknown argument {name}")
    return options


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def project_root(policy_dir: str | None) -> str:
    """The folder that holds `.cupcake`, absolute: as Cupcake in Rust resolves --policy-dir; without
    the flag the working directory, or $CLAUDE_PROJECT_DIR when the former has no `.cupcake`."""
    cwd = posix.getcwd()
    if policy_dir is None:
        if not exists(cwd + "/.cupcake"):
            return (
                posix.environ.get(b"CLAUDE_PROJECT_DIR", b"").decode("utf-8", "surrogateescape")
                or cwd
            )
        return cwd
    if not policy_dir:
        raise Trouble("input", "--policy-dir is empty")
    path = policy_dir.rstrip("/") or "/"
    if not path.startswith("/"):
        while path.startswith("./"):
            path = path[2:].lstrip("/")
        path = cwd if path in ("", ".") else f"{cwd}/{path}"
    if (
        path.startswith("/proc/")
        or "//" in path
        or "/./" in path
        or "/../" in path
        or path.endswith(("/.", "/.."))
    ):
        # Seldom, so it may cost an import: the daemon takes one spelling only, and has a /proc/self of its own.
        from os.path import realpath

        path = realpath(path)
    head, _, tail = path.rpartition("/")
    if tail == ".cupcake":
        return head or "/"
    if exists(path + "/.cupcake"):
        return path
    return head or "/"


def find_socket(explicit: str | None) -> str:
    """As `discovery.find_socket`."""
    environ = posix.environ
    named = explicit or environ.get(b"CUPCAKE_SOCKET", b"").decode("utf-8", "surrogateescape")
    if named:
        return named if named.startswith("/") else f"{posix.getcwd()}/{named}"
    runtime = environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    own = (
        f"{runtime}/cupcake/daemon.sock"
        if runtime
        else f"/tmp/cupcake-{posix.getuid()}/daemon.sock"
    )
    if not exists(own) and exists(SYSTEM_SOCKET):
        return SYSTEM_SOCKET
    return own


def check_socket(path: str) -> None:
    """As `discovery.check_socket`: only we or root may have been able to put the socket there."""
    uid = posix.getuid()
    system = path == SYSTEM_SOCKET
    folder = path.rpartition("/")[0] or "."
    try:
        info = posix.stat(folder)
    except OSError:
        raise Trouble("absent", f"no daemon at {path}") from None
    if (info.st_uid not in (uid, 0) and not system) or info.st_mode & 0o022:
        raise Trouble(
            "unsafe",
            f"{folder} belongs to somebody else or is writable by others: not used. "
            + (
                "Give a socket in a folder of your own (--socket or CUPCAKE_SOCKET)"
                if info.st_mode & 0o1000 or info.st_uid != uid
                else f"Run: chmod 700 {folder}"
            ),
        )
    # Only now: a daemon must not be started in a folder of somebody else's either.
    try:
        entry = posix.lstat(path)
    except OSError:
        raise Trouble("absent", f"no daemon at {path}") from None
    if entry.st_uid not in (uid, 0) and not (system and entry.st_uid == info.st_uid):
        raise Trouble("unsafe", f"{path} belongs to somebody else: not used. Remove it.")


def read_event() -> bytes:
    chunks = []
    size = 0
    while True:
        try:
            chunk = posix.read(0, 1 << 16)
        except OSError as error:
            raise Trouble("input", f"stdin cannot be read: {error}") from None
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_EVENT:
            raise Trouble("input", f"the event is larger than {MAX_EVENT} bytes")
    event = b"".join(chunks)
    if not event.strip():
        raise Trouble("input", "stdin is empty: no event was given")
    return event


def pack_text(text: bytes) -> bytes:
    size = len(text)
    return (b"\xd9" + bytes((size,)) if size < 256 else b"\xdb" + size.to_bytes(4, "big")) + text


def request_bytes(
    root: str, harness: str, event: bytes, request_id: bytes, deadline_ms: int
) -> bytes:
    """The three ZMTP frames of an EVALUATE request."""
    header = (
        b"\x95\x01\x01\xc4\x10" + request_id + b"\xce" + deadline_ms.to_bytes(4, "big") + b"\x00"
    )
    body = (
        b"\x83\xa4root" + pack_text(root.encode("utf-8", "surrogateescape"))
        + b"\xa7harness" + pack_text(harness.encode("utf-8", "surrogateescape"))
        + b"\xa5event\xc6" + len(event).to_bytes(4, "big") + event
    )  # fmt: skip
    size = len(body)
    last = b"\x00" + bytes((size,)) if size < 256 else b"\x02" + size.to_bytes(8, "big")
    return b"\x01\x00\x01" + bytes((len(header),)) + header + last + body


def read_value(data: bytes, at: int) -> tuple[object, int]:
    """The msgpack value at `at` and the offset behind it; only the kinds that a reply starts with."""
    tag = data[at]
    at += 1
    if tag <= 0x7F:
        return tag, at
    if 0xA0 <= tag <= 0xBF:
        size = tag & 0x1F
    elif tag in (0xC4, 0xD9):
        size = data[at]
        at += 1
    elif tag in (0xC5, 0xDA):
        size = int.from_bytes(data[at : at + 2], "big")
        at += 2
    elif tag in (0xC6, 0xDB):
        size = int.from_bytes(data[at : at + 4], "big")
        at += 4
    elif tag in (0xCC, 0xCD, 0xCE, 0xCF):
        size = 1 << (tag - 0xCC)
        return int.from_bytes(data[at : at + size], "big"), at + size
    elif 0x90 <= tag <= 0x9F:
        items = []
        for _ in range(tag & 0x0F):
            item, at = read_value(data, at)
            items.append(item)
        return items, at
    else:
        raise Trouble("broken", f"reply holds an unexpected msgpack tag {tag:#x}")
    if at + size > len(data):
        raise Trouble("broken", "reply is cut short")
    raw = data[at : at + size]
    return (raw if 0xC4 <= tag <= 0xC6 else raw.decode()), at + size


def read_answer(flags: int, body: bytes) -> tuple[int, str, bytes]:
    """(exit code, stderr text, response) from a reply body; raises Trouble("error") for an error reply."""
    at = 1 if body[0] & 0xF0 == 0x80 else 3
    key, at = read_value(body, at)
    first, at = read_value(body, at)
    if flags & 1 or key == "error":
        if isinstance(first, list) and len(first) == 2:
            raise Trouble("error", f"{first[1]} ({first[0]})")
        raise Trouble("broken", "garbled error reply")
    key2, at = read_value(body, at)
    second, at = read_value(body, at)
    key3, at = read_value(body, at)
    third, at = read_value(body, at)
    if (
        (key, key2, key3) == ("exit", "stderr", "response")
        and isinstance(first, int)
        and isinstance(second, str)
        and isinstance(third, bytes)
    ):
        # Agents go on at any other exit code, and at an answer that is none.
        if first not in (0, 2) or third[:1] != b"{" or third[-1:] != b"}":
            raise Trouble("broken", f"the daemon's answer (exit {first}) is none for an agent")
        return first, second, third
    raise Trouble("broken", "reply lacks exit, stderr and response")


class Connection:
    """A DEALER peer over one Unix socket, for one request."""

    def __init__(self, path: str, deadline: float) -> None:
        import _socket

        self.deadline = deadline
        self.buffer = b""
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        if self.socket.fileno() < 3:
            # It took the place of a closed stdout: the answer would go to the daemon, and the agent see none.
            raise OSError("standard input, output or error is closed")
        try:
            self.socket.settimeout(max(deadline - monotonic(), 0.001))
            self.socket.connect(path)
        except OSError as error:
            raise Trouble("absent", f"no daemon answers at {path}: {error}") from None

    def send(self, data: bytes) -> None:
        left = self.deadline - monotonic()
        if left <= 0:
            raise Trouble("timeout", "the daemon did not take the event in time")
        try:
            self.socket.settimeout(left)
            self.socket.sendall(data)
        except TimeoutError:
            raise Trouble("timeout", "the daemon did not take the event in time") from None
        except OSError as error:
            raise Trouble("broken", f"the daemon closed the connection: {error}") from None

    def read(self, size: int) -> bytes:
        while len(self.buffer) < size:
            left = self.deadline - monotonic()
            if left <= 0:
                raise Trouble("timeout", "the daemon did not answer in time")
            try:
                self.socket.settimeout(left)
                chunk = self.socket.recv(1 << 16)
            except TimeoutError:
                raise Trouble("timeout", "the daemon did not answer in time") from None
            except OSError as error:
                raise Trouble("broken", f"the connection to the daemon broke: {error}") from None
            if not chunk:
                raise Trouble("broken", "the daemon closed the connection without an answer")
            self.buffer += chunk
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def frame(self) -> tuple[int, bytes]:
        flags = self.read(1)[0]
        size = int.from_bytes(self.read(8), "big") if flags & 2 else self.read(1)[0]
        if size > MAX_EVENT + 4096:
            raise Trouble("broken", f"the daemon sent a frame of {size} bytes")
        return flags, self.read(size)

    def exchange(self, request: bytes, request_id: bytes) -> tuple[int, bytes]:
        """Greets, sends the request, skips commands; (reply flags, reply body)."""
        self.send(GREETING + READY)
        if self.read(64)[:1] != b"\xff":
            raise Trouble("broken", "what listens there is no ZeroMQ socket")
        # Not earlier: libzmq drops a peer whose first message arrives in one read with the greeting.
        self.send(request)
        while True:
            flags, data = self.frame()
            if flags & 4:
                if data[:5] == b"\x04PING":
                    self.send(b"\x04" + bytes((5 + len(data) - 7,)) + b"\x04PONG" + data[7:])
                continue
            parts = [data]
            while flags & 1:
                flags, data = self.frame()
                parts.append(data)
            if len(parts) != 3 or len(parts[1]) < 21 or parts[1][5:21] != request_id:
                continue
            return parts[1][-1], parts[2]


def ask(options: dict[str, str], event: bytes, timeout: float) -> tuple[int, str, bytes]:
    """One request to the daemon: (exit code, stderr text, response). Raises Trouble."""
    path = find_socket(options.get("--socket"))
    check_socket(path)
    connection = Connection(path, monotonic() + timeout)
    request_id = posix.urandom(16)
    root = project_root(options.get("--policy-dir"))
    request = request_bytes(root, options["--harness"], event, request_id, int(timeout * 1000))
    flags, body = connection.exchange(request, request_id)
    return read_answer(flags, body)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[posix.write(descriptor, data) :]


def give(options: dict[str, str], code: int, stderr: str, response: bytes) -> int:
    """Writes the answer; the exit code, which --strict makes 2 for every refusal."""
    if "--strict" in options and any(mark in response for mark in REFUSALS):
        code = 2
    if stderr:
        write_all(2, stderr.encode("utf-8", "replace") + b"\n")
    write_all(1, response + b"\n")
    return code


def main(argv: list[str]) -> int:
    """Runs the hook; the exit code: 0 answered, 2 blocked. `argv` without the word `eval`."""
    event: bytes | None = None
    options: dict[str, str] = {}
    try:
        options = parse_arguments(argv)
        if options.get("--harness") != "claude":
            raise Trouble("usage", "the fast path serves --harness claude")
        try:
            timeout = float(options.get("--timeout", "5"))
        except ValueError:
            timeout = 0
        if not 0 < timeout <= MAX_TIMEOUT:
            raise Trouble("usage", f"--timeout takes seconds, more than 0, at most {MAX_TIMEOUT}")
        event = read_event()
        code, stderr, response = ask(options, event, timeout)
        return give(options, code, stderr, response)
    except Trouble as trouble:
        return fall_back(trouble, argv, options, event)


def fall_back(
    trouble: Trouble, argv: list[str], options: dict[str, str], event: bytes | None
) -> int:
    """The slow path pays for its imports only when it is needed."""
    if __package__:
        from cupcake.client import hook_fallback
    else:  # the fast start: only this folder is on the path, and `site` has not run
        import site

        site.main()
        sys.path.append(__file__.rpartition("/cupcake/client/")[0])
        from cupcake.client import hook_fallback
    return hook_fallback.handle(trouble.kind, trouble.message, argv, options, event)


def run(argv: list[str]) -> None:
    """`main`, then leave at once: interpreter shutdown costs a millisecond and has nothing to do here."""
    try:
        code = main(argv)
    except BaseException as error:
        try:
            write_all(
                2,
                f"cupcake: the hook failed ({type(error).__name__}: {error}); action blocked.\n".encode(),
            )
        finally:
            posix._exit(2)
    posix._exit(code)


if __name__ == "__main__":
    run(sys.argv[1:])

"""The parts that need no process: queue, quarantine, frames, configuration, heartbeats, snapshots."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError
from cupcake.daemon import snapshot, wire
from cupcake.daemon.admission import FairQueue, Quarantine
from cupcake.daemon.broker import Engine, Request
from cupcake.daemon.config import default_socket, load
from cupcake.daemon.endpoint import Lock
from cupcake.daemon.errors import AlreadyRunning, ConfigError, SnapshotError
from cupcake.daemon.heartbeat import Heartbeat
from cupcake.daemon.lifecycle import EngineState
from cupcake.daemon.logs import Log, Throttle


@dataclass(eq=False)
class Item:
    identity: bytes
    number: int
    deadline: float = 0.0


def test_clients_are_served_in_turn_however_many_each_has_waiting() -> None:
    queue: FairQueue[Item] = FairQueue(100)
    for number in range(5):
        queue.push(Item(b"a", number))
    queue.push(Item(b"b", 0))
    queue.push(Item(b"b", 1))
    order = [queue.pop() for _ in range(len(queue))]
    assert [(i.identity, i.number) for i in order] == [
        (b"a", 0), (b"b", 0), (b"a", 1), (b"b", 1), (b"a", 2), (b"a", 3), (b"a", 4),
    ]  # fmt: skip


def test_a_full_queue_takes_from_the_greediest_and_refuses_only_it() -> None:
    queue: FairQueue[Item] = FairQueue(4)
    greedy = [Item(b"g", n) for n in range(5)]
    assert [queue.push(i) for i in greedy] == [None] * 4 + [greedy[4]]
    assert queue.push(Item(b"m", 0)) is greedy[3]
    assert queue.push(Item(b"m", 1)) is greedy[2]
    late = Item(b"m", 2)
    assert queue.push(late) is late
    assert len(queue) == 4


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(["push", "pop", "late"]))
    )
)
def test_the_queue_neither_loses_nor_doubles(steps: list[tuple[bytes, str]]) -> None:
    queue: FairQueue[Item] = FairQueue(5)
    inside: set[Item] = set()
    for number, (identity, what) in enumerate(steps):
        if what == "push":
            item = Item(identity, number, deadline=number)
            refused = queue.push(item)
            inside.add(item)
            inside.discard(refused) if refused is not None else None
        elif what == "pop" and len(queue):
            inside.remove(queue.pop())
        elif what == "late":
            gone = queue.remove_if(lambda i, number=number: i.deadline < number - 3)
            assert all(i in inside for i in gone)
            inside.difference_update(gone)
        assert set(queue) == inside and len(queue) == len(inside) <= 5


def test_the_quarantine_forgets_by_time_and_by_number() -> None:
    quarantine = Quarantine(lasts=10.0, bound=2)
    for body in (b"one", b"two", b"three"):
        quarantine.add(body, 0.0)
    assert [quarantine.holds(b, 9.0) for b in (b"one", b"two", b"three")] == [False, True, True]
    assert not quarantine.holds(b"two", 10.0) and quarantine.holds(b"three", 9.9)
    quarantine.clear()
    assert not quarantine


@given(
    st.integers(0, 200),
    st.integers(0, 2**32 - 1),
    st.integers(0, 200),
    st.binary(min_size=16, max_size=16),
)
def test_the_hand_written_header_reader_agrees_with_the_codec(
    kind: int, deadline: int, flags: int, id_: bytes
) -> None:
    frame = codec.encode_header(m.Header(kind, id_, deadline, flags))
    assert wire.read_header(frame) == (m.VERSION, kind, id_, deadline)


@given(st.binary(max_size=70))
def test_any_bytes_are_a_header_or_a_protocol_error(frame: bytes) -> None:
    try:
        expected = codec.decode_header(frame)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            wire.read_header(frame)
    else:
        assert wire.read_header(frame)[1:3] == (expected.kind, expected.request_id)


@pytest.mark.parametrize("position", range(25))
@pytest.mark.parametrize("byte", [0, 0x7F, 0x80, 0xC4, 0xCC, 0xCD, 0xFF])
def test_a_header_with_one_byte_changed_is_read_as_the_codec_reads_it(
    position: int, byte: int
) -> None:
    changed = bytearray(codec.encode_header(m.Header(1, b"0123456789abcdef", 1000)))
    changed[position] = byte
    test_any_bytes_are_a_header_or_a_protocol_error.hypothesis.inner_test(bytes(changed))  # type: ignore[attr-defined]


def test_reply_headers_are_the_codecs() -> None:
    for kind in m.Kind:
        for flags in (0, m.FLAG_ERROR):
            header = m.Header(kind | m.REPLY, b"x" * 16, 0, flags)
            assert wire.reply_header(kind, b"x" * 16, flags) == codec.encode_header(header)


def test_a_generation_message_survives_the_way_to_the_engine() -> None:
    take = wire.Take("/höhe/\udcff", 3, "/cache/3", "", ("one", "two"))
    assert wire.Take.decode(take.encode()) == take


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CUPCAKE_SOCKET": "/a/b.sock", "XDG_RUNTIME_DIR": "/run/user/7"}, "/a/b.sock"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/cupcake/daemon.sock"),
        ({}, "/tmp/cupcake-7/daemon.sock"),
    ],
)
def test_the_socket_is_where_clients_look(environment: dict[str, str], expected: str) -> None:
    assert default_socket(environment, 7) == Path(expected)


def test_options_go_before_the_environment() -> None:
    environment = {
        "CUPCAKE_ENGINES": "3",
        "XDG_STATE_HOME": "/s",
        "HOME": "/h",
        "CUPCAKE_SOCKET": "/x/e.sock",
    }
    config = load([], environment)
    assert (config.engines, str(config.state_dir), str(config.cache_dir)) == (
        3,
        "/s/cupcake",
        "/h/.cache/cupcake",
    )
    config = load(["--engines", "5", "--socket", "/x/o.sock", "--idle-exit", "2"], environment)
    assert (config.engines, str(config.socket), config.idle_exit) == (5, "/x/o.sock", 120.0)


def test_the_service_managers_directories_are_used() -> None:
    config = load(
        [], {"STATE_DIRECTORY": "/var/lib/cupcake", "CACHE_DIRECTORY": "/var/cache/cupcake"}
    )
    assert (str(config.state_dir), str(config.cache_dir)) == (
        "/var/lib/cupcake",
        "/var/cache/cupcake",
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([], {"CUPCAKE_ENGINES": "many"}, "CUPCAKE_ENGINES is 'many'"),
        (["--engines", "0"], {}, "from 1 to 256"),
        (["--queue", "0"], {}, "--queue 0"),
        (["--socket", "/" + "x" * 100], {}, "too long"),
    ],
)
def test_options_that_make_no_sense_are_named(
    arguments: list[str], environment: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load(arguments, environment)


def engine(heard: float) -> Engine:
    made = Engine(b"E", 1, heard)
    made.state = EngineState.READY
    return made


def test_only_an_engine_that_owes_a_sign_can_hang() -> None:
    beat = Heartbeat(period=1.0, hung_after=3.0)
    idle, asked, patient = engine(0.0), engine(0.0), engine(0.0)
    asked.pinged = patient.pinged = True
    patient.patience = 5.0
    found = []
    for now in (1.0, 2.0, 3.0, 4.0, 5.0):
        found.append(beat.beat([idle, asked, patient], now)[1])
    assert found == [[], [], [], [asked], [asked]]


def test_work_that_was_just_given_to_a_long_silent_engine_starts_its_time() -> None:
    beat = Heartbeat(period=1.0, hung_after=3.0)
    quiet = engine(0.0)
    beat.beat([quiet], 99.0)
    quiet.inflight[1] = Request(b"c", b"i" * 16, b"", 200.0)
    quiet.owes_since = 99.5
    assert beat.beat([quiet], 100.0)[1] == []
    assert beat.beat([quiet], 101.0)[1] == []
    assert [beat.beat([quiet], now)[1] for now in (102.0, 103.0)] == [[], [quiet]]


def test_a_supervisor_that_was_stopped_itself_forgives_first() -> None:
    beat = Heartbeat(period=1.0, hung_after=3.0)
    asked = engine(0.0)
    asked.pinged = True
    beat.beat([asked], 1.0)
    assert beat.beat([asked], 60.0) == ([], [])
    assert beat.beat([asked], 61.0)[1] == []


def test_the_content_digest_depends_on_names_and_bytes_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a.rego").write_text("x")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert snapshot.content_digest(one) == snapshot.content_digest(two) is not None
    assert snapshot.stat_digest(one) != snapshot.stat_digest(two)
    before = snapshot.content_digest(one)
    os.rename(tmp_path / "one" / "sub" / "a.rego", tmp_path / "one" / "sub" / "b.rego")
    assert snapshot.content_digest(one) != before
    os.symlink(tmp_path / "two", tmp_path / "one" / "link")
    os.symlink(tmp_path / "one", tmp_path / "one" / "loop")
    linked = snapshot.content_digest(one)
    (tmp_path / "two" / "sub" / "a.rego").write_text("y")
    assert snapshot.content_digest(one) not in (linked, None)


def test_an_empty_or_absent_folder_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    for name in ("empty", "absent"):
        assert snapshot.content_digest(str(tmp_path / name)) is None
        assert snapshot.stat_digest(str(tmp_path / name)) is None


def test_a_generation_is_published_whole_or_not_at_all(tmp_path: Path) -> None:
    def good(folder: Path) -> None:
        (folder / "artifact").write_bytes(b"wasm")

    def full(folder: Path) -> None:
        (folder / "artifact").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    first = snapshot.publish(tmp_path, "/p", 1, "d1", good)
    assert snapshot.read_generation(first.directory) == first
    with pytest.raises(SnapshotError, match=r"No space left.*--cache-dir"):
        snapshot.publish(tmp_path, "/p", 2, "d2", full)
    assert os.listdir(snapshot.project_folder(tmp_path, "/p")) == ["1"]
    assert snapshot.highest_number(tmp_path, "/p") == 1
    second = snapshot.publish(tmp_path, "/p", 2, "d2", good)
    snapshot.sweep(tmp_path, "/p", frozenset({str(second.directory)}))
    assert os.listdir(snapshot.project_folder(tmp_path, "/p")) == ["2"]
    (second.directory / "generation.json").write_text("{")
    with pytest.raises(SnapshotError, match="no published generation"):
        snapshot.read_generation(second.directory)


def test_a_log_that_cannot_be_written_costs_its_lines_only(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", verbose=False)
    log("first", n=1)
    os.rename(tmp_path / "log", tmp_path / "rotated")
    log("second", odd=b"\xff", what=object())
    log("quiet", level="debug")
    log.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["event"] == "second"
    full = Log(Path("/dev/full"), verbose=True)
    full("lost")
    full.close()


def test_a_throttle_lets_one_through_a_period_and_counts_the_others() -> None:
    throttle = Throttle(1.0)
    assert [throttle.pass_(t) for t in (5.0, 5.1, 5.9, 6.0, 6.5, 9.0)] == [
        0,
        None,
        None,
        2,
        None,
        1,
    ]


def test_the_supervisor_reaches_neither_engine_nor_worker() -> None:
    code = (
        "import sys, cupcake.daemon.supervisor, cupcake.daemon.__main__\n"
        "heavy = ('cupcake.engine', 'cupcake.trust', 'cupcake.daemon.worker', 'cupcake.daemon.builder', 'wasmtime')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_who_finds_the_lock_taken_waits_for_the_holders_number(tmp_path: Path) -> None:
    path = tmp_path / "daemon.lock"
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        late = threading.Timer(0.1, lambda: (holder.write("4711\n"), holder.flush()))
        late.start()
        with pytest.raises(AlreadyRunning, match="4711"):
            Lock(path)
        late.join()

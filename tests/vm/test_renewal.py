"""A Store that served an evaluation serves the next one as if it were new: its memory is that of one in which nothing ran."""

from __future__ import annotations

import ctypes
import mmap
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine import Artifact, Policy, compile_policy
from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import Limits, load, native, pool, renewal
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.decode import decode
from cupcake.engine.wasm.encode import encode
from cupcake.engine.wasm.leb128 import sleb
from cupcake.engine.wasm.module import Code

MODULE = """package a
import rego.v1
lookup := data.staff[input.x].name
words := {upper(w) | some w in split(input.x, " "); regex.match(`^[a-z]+$`, w)}
many := count(numbers.range(1, input.n))
nested := {x: m | some x in ["a", "b", input.x]; m := memo with input.x as x}
memo := sprintf("%s!", [input.x])
clash := input.n
clash := 3
clock := time.clock(input.n)
"""
RULES = ("lookup", "words", "many", "nested", "clash", "clock")
PAGE = mmap.PAGESIZE

needs_renewal = pytest.mark.skipif(
    not renewal.is_possible(), reason="Stores are renewed on Linux only"
)


def compiled(entries: int) -> Artifact:
    data = {"staff": {f"id{i}": {"name": f"name {i}"} for i in range(entries)}}
    return compile_policy({"a.rego": MODULE}, data, [f"a/{rule}" for rule in RULES])


SMALL, LARGE = compiled(3), compiled(2000)
assert SMALL.constants[1] - SMALL.constants[0] < LARGE.constants[1] - LARGE.constants[0]


def memory_of_the_next_store(policy: Policy) -> bytes:
    """All bytes of the memory that the next evaluation gets; no more is done with it."""
    program = policy._program
    assert isinstance(program, native.Program)
    frame = program._take(None)
    try:
        return frame.read(0, frame.room)
    finally:
        frame.is_sound = True
        program._give_back(frame)


def outcome(policy: Policy, rule: str, document: object) -> object:
    try:
        return policy.evaluate(f"a/{rule}", document)
    except EvaluationError as error:
        return error.code


events = st.fixed_dictionaries(
    {"x": st.text(max_size=40) | st.just("id1") | st.just("ab " * 3000), "n": st.integers(1, 40)}
).flatmap(lambda e: st.sampled_from([e, {**e, "n": 20_000}, {**e, "n": 60_000}, {}]))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code") / "modules"


@needs_renewal
@pytest.mark.parametrize("size", ["small", "large"])
@settings(max_examples=60, deadline=None)
@given(history=st.lists(st.tuples(st.sampled_from(RULES), events, st.booleans()), max_size=8))
def test_whatever_ran_the_next_evaluation_finds_the_memory_of_a_new_store(
    size: str, cache: Path, history: list[tuple[str, object, bool]]
) -> None:
    artifact = {"small": SMALL, "large": LARGE}[size]
    new = memory_of_the_next_store(load(artifact, cache_dir=cache))
    always_new = load(replace(artifact, constants=(0, 0)), cache_dir=cache)
    policy = load(artifact, cache_dir=cache)
    for rule, document, prepared in history:
        assert outcome(policy, rule, document) == outcome(always_new, rule, document)
        if prepared:
            policy.prepare()
        found = memory_of_the_next_store(policy)
        assert found[: len(new)] == new
        assert not found[len(new) :].strip(b"\0")  # it may have grown


@needs_renewal
def test_evaluations_one_after_the_other_use_one_store() -> None:
    policy = load(LARGE, quick=True)
    program = policy._program
    assert isinstance(program, native.Program)
    stores = set()
    for number in range(5):
        policy.evaluate("a/lookup", {"x": f"id{number}"})
        frame = program._take(None)
        stores.add(frame.store)
        frame.is_sound = True
        program._give_back(frame)
    assert len(stores) == 1


@needs_renewal
def test_after_an_evaluation_that_failed_the_store_is_given_back() -> None:
    policy = load(LARGE, quick=True)
    program = policy._program
    assert isinstance(program, native.Program)
    policy.evaluate("a/lookup", {"x": "id1"})
    assert len(program._spare) == 1
    with pytest.raises(EvaluationError):
        policy.evaluate("a/clash", {"n": 4})
    assert not program._spare
    assert policy.evaluate("a/lookup", {"x": "id1"}) == "name 1"


def writing_to_a_constant(artifact: Artifact) -> Artifact:
    """The policy, but `opa_eval` writes to the middle of the constants and gives that as its answer."""
    module = decode(artifact.wasm_owned)
    at = sleb((sum(artifact.constants) // 2) & ~7)
    const = bytes((op.I32_CONST,))
    body = b"\0" + const + at + const + sleb(65) + bytes((op.I32_STORE, 2, 0)) + const + at
    index = next(e.index for e in module.exports if e.name == "opa_eval") - len(
        [i for i in module.imports if i.kind == "func"]
    )
    codes = list(module.codes)
    codes[index] = Code(codes[index].type, body + bytes((op.END,)))
    return replace(artifact, wasm_owned=encode(replace(module, codes=tuple(codes))))


@needs_renewal
@pytest.mark.parametrize("quick", [False, True], ids=["pooled", "quick"])
def test_a_module_that_writes_to_its_constants_is_stopped(quick: bool) -> None:
    policy = load(writing_to_a_constant(LARGE), quick=quick)
    for _ in range(2):
        with pytest.raises(EvaluationError) as caught:
            policy.evaluate_json("a/lookup", b"{}")
        assert caught.value.code == "eval_internal_error"


def test_where_the_constants_are_not_known_every_store_is_new() -> None:
    policy = load(replace(writing_to_a_constant(LARGE), constants=(0, 0)), quick=True)
    program = policy._program
    assert isinstance(program, native.Program)
    assert policy.evaluate_json("a/lookup", b"{}").startswith(b"A")
    assert not program._spare


@needs_renewal
def test_programs_at_rest_make_room_for_others() -> None:
    if not pool.is_possible():
        pytest.skip("no address space for a pool")
    at_rest = [load(SMALL) for _ in range(pool.SLOTS + 4)]
    for policy in at_rest:
        assert policy.evaluate("a/lookup", {"x": "id2"}) == "name 2"
    assert all(policy._program._twin is None for policy in at_rest)  # type: ignore[union-attr]


@needs_renewal
def test_a_memory_that_grew_keeps_its_limit() -> None:
    policy = load(SMALL, limits=Limits(memory_bytes=8 << 20, seconds=20))
    for _ in range(3):
        assert policy.evaluate("a/many", {"n": 100_000}) == 100_000
        with pytest.raises(EvaluationError) as caught:
            policy.evaluate("a/many", {"n": 2_000_000})
        assert caught.value.code == "eval_limit_memory"


@needs_renewal
def test_threads_that_share_a_policy() -> None:
    policy = load(LARGE)
    wrong: list[object] = []

    def work(mark: int) -> None:
        for number in range(300):
            found = policy.evaluate("a/nested", {"x": f"{mark}-{number}"})
            if found[f"{mark}-{number}"] != f"{mark}-{number}!" or len(found) != 3:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@needs_renewal
@pytest.mark.parametrize(
    ("start", "end"),
    [(100, 200), (100, 3 * PAGE), (PAGE, 3 * PAGE), (PAGE + 8, 5 * PAGE - 8), (PAGE, PAGE + 8)],
)
@pytest.mark.parametrize("room", [0, PAGE, renewal.RESIDENT_BYTES + 5 * PAGE])
def test_everything_but_the_constants_is_restored(start: int, end: int, room: int) -> None:
    size = 6 * PAGE + room
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    view = (ctypes.c_char * size).from_buffer(memory)
    base = ctypes.addressof(view)
    first = bytes(64) + bytes(i % 251 for i in range(end - 64)) + bytes(size - end)
    memory[:] = first
    baseline = renewal.Baseline(base, (start, end))
    assert baseline.seal(base)
    kept = (-(-start // PAGE) * PAGE, end // PAGE * PAGE)
    for at in range(0, size, PAGE):
        if not kept[0] <= at < kept[1]:
            memory[at : at + PAGE] = b"\xff" * PAGE
    baseline.restore(base, size)
    assert memory[:] == first
    assert baseline.unseal(base)
    memory[:] = b"\xff" * size
    del view
    memory.close()

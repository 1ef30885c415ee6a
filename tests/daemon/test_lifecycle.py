"""The state tables and the rules of restarting, without a process."""

from __future__ import annotations

import pytest

from cupcake.daemon.errors import TransitionError
from cupcake.daemon.lifecycle import (
    ENGINE_TABLE,
    PROJECT_TABLE,
    SERVING,
    EngineEvent,
    EngineState,
    ProjectEvent,
    ProjectState,
    Restarts,
    step,
)

E, V = EngineState, EngineEvent
P, W = ProjectState, ProjectEvent


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ([V.HELLO], E.READY),
        ([V.HELLO, V.LOAD, V.LOADED], E.READY),
        ([V.HELLO, V.LOAD, V.LOAD, V.LOADED], E.READY),
        ([V.HELLO, V.DRAIN, V.LOADED, V.DRAINED, V.EXIT], E.DEAD),
        ([V.DRAIN, V.HELLO, V.EXIT], E.DEAD),
        ([V.HELLO, V.LOAD, V.KILL, V.LOADED, V.KILL, V.EXIT], E.DEAD),
    ],
)
def test_an_engine_goes_through_its_states(events: list[EngineEvent], ends: EngineState) -> None:
    state = E.STARTING
    for event in events:
        state = step(ENGINE_TABLE, state, event)
    assert state is ends


def test_an_engine_can_end_in_every_state_but_dead_and_never_comes_back() -> None:
    for state in E:
        if state is E.DEAD:
            assert not any((state, event) in ENGINE_TABLE for event in V)
        else:
            assert step(ENGINE_TABLE, state, V.EXIT) is E.DEAD
            assert step(ENGINE_TABLE, state, V.KILL) is E.STOPPING


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ([W.BUILD, W.BUILT], P.ACTIVE),
        ([W.BUILD, W.BUILD_FAILED], P.FAILED),
        ([W.BUILD, W.BUILD_FAILED, W.BUILD, W.BUILT], P.ACTIVE),
        ([W.BUILD, W.BUILT, W.BUILD, W.BUILD_FAILED], P.BROKEN),
        ([W.BUILD, W.BUILT, W.BUILD, W.BUILD_FAILED, W.BUILD, W.BUILT], P.ACTIVE),
        ([W.BUILD, W.BUILT, W.VANISHED, W.BUILD, W.BUILD_FAILED], P.BROKEN),
        ([W.BUILD, W.BUILT, W.BUILD, W.VANISHED, W.VANISHED], P.REMOVED),
    ],
)
def test_a_project_goes_through_its_states(events: list[ProjectEvent], ends: ProjectState) -> None:
    state = P.NEW
    for event in events:
        state = step(PROJECT_TABLE, state, event)
    assert state is ends


def test_once_a_project_is_served_no_event_ends_that() -> None:
    for (state, _), following in PROJECT_TABLE.items():
        if state in SERVING:
            assert following in SERVING


def test_an_event_that_a_state_does_not_know_is_an_error() -> None:
    with pytest.raises(TransitionError, match="dead"):
        step(ENGINE_TABLE, E.DEAD, V.HELLO)


def test_back_off_doubles_up_to_its_bound_and_is_shaken() -> None:
    waits = []
    for chance in (0.0, 1.0):
        restarts = Restarts(0.1, 1.0, lambda chance=chance: chance, give_up=100)
        for _ in range(6):
            restarts.failed_start(50.0, "why")
            waits.append(round(restarts.not_before - 50.0, 3))
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_five_starts_that_fail_the_same_way_end_it_until_somebody_repaired_it() -> None:
    restarts = Restarts(0.1, 1.0, lambda: 0.5)
    for reason in ("a", "a", "a", "a", "b", "a", "a", "a", "a"):
        restarts.failed_start(0.0, reason)
    assert not restarts.stopped
    restarts.failed_start(0.0, "a")
    assert "5 engine starts" in restarts.stopped and restarts.stopped.endswith("a")
    restarts.reset()
    assert not restarts.stopped and restarts.not_before == 0.0


def test_an_engine_that_served_is_replaced_at_once_however_short_it_lived() -> None:
    restarts = Restarts(0.1, 1.0, lambda: 0.5)
    for _ in range(50):
        restarts.died(7.0, lived=0.01, served=1)
        assert restarts.not_before == 7.0
    restarts.died(7.0, lived=0.01, served=0)
    assert 7.0 < restarts.not_before <= 7.5
    restarts.died(9.0, lived=30.0, served=0)
    assert restarts.not_before == 9.0 and not restarts.stopped

"""The end of an announced daemon: routes, then clients, then nobody waits any more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.announce import Departure, Patience, proceed

PATIENCE = Patience(soft=10.0, floor=5.0, longest=60.0, routers=15.0)
BEGAN = Departure(100.0)


def gate(announced: str, *, alive: bool = True) -> dict[str, Any]:
    """What a gate tells of one prefix, or told before it was gone."""
    return {"alive": alive, "prefixes": [{"prefix": "198.51.100.0/24", "announced": announced}]}


@pytest.mark.parametrize(
    ("told", "rate", "now", "over", "sentence"),
    [
        (None, 900.0, 100.0, False, "no gate is at work: does one begin anew?"),
        (gate("announced"), 900.0, 101.0, False, "198.51.100.0/24: clients are asked to leave, withdrawn in 9 s"),
        (gate("drained"), 0.0, 109.5, False, "198.51.100.0/24: clients are asked to leave, withdrawn in 0 s"),
        (gate("drained"), 0.0, 111.0, False, "198.51.100.0/24: being withdrawn"),
        (
            gate("drained", alive=False),
            0.0,
            109.0,
            False,
            "198.51.100.0/24: may be announced, and no gate is at work to withdraw it",
        ),
        (gate("unknown"), 0.0, 111.0, False, "198.51.100.0/24: being withdrawn"),
        (gate("withdrawn"), 900.0, 111.0, False, "withdrawn; 900.0 queries/s, waiting for less than 5 (60 s at most)"),
        (gate("withdrawn"), 4.9, 111.0, True, "withdrawn; clients have left: 4.9 queries/s"),
        (gate("drained"), 4.9, 126.0, True, "the router does not withdraw; clients have left: 4.9 queries/s"),
    ],
)
def test_each_step_has_its_sentence(told: dict[str, Any] | None, rate: float, now: float, over: bool, sentence: str) -> None:
    """What is waited for, and how long still."""
    step = proceed(BEGAN, told, rate, now, PATIENCE)

    assert (over, sentence) == (step.over, step.sentence)


WORLDS = st.lists(
    st.tuples(st.sampled_from([None, "announced", "drained", "withdrawn", "unknown"]), st.floats(0, 1000)), max_size=30
)


@given(WORLDS, st.sampled_from(["drained", "withdrawn"]))
def test_it_ends_whatever_router_and_clients_do(first: list[tuple[str | None, float]], then: str) -> None:
    """Looked at each second it takes no longer than its bound, even if nothing goes away and everybody asks on."""
    step = BEGAN
    for second in range(int(PATIENCE.bound) + 1):
        announced, rate = first[second] if second < len(first) else (then, 1000.0)
        step = proceed(step, gate(announced) if announced else None, rate, BEGAN.began + second, PATIENCE)
        if step.over:
            return

    raise AssertionError(step)


@given(st.floats(0, 9.9), st.sampled_from(["announced", "drained", "unknown"]), st.floats(0, 1000))
def test_it_does_not_end_while_a_route_may_still_go(seconds: float, announced: str, rate: float) -> None:
    """As long as routers choose other ways this instance answers, whoever asks."""
    assert not proceed(BEGAN, gate(announced), rate, BEGAN.began + seconds, PATIENCE).over


@given(st.lists(st.tuples(st.sampled_from(["announced", "drained", "unknown"]), st.floats(0, 1000)), min_size=30, max_size=200))
def test_an_operators_drain_does_not_end_while_a_route_stands(first: list[tuple[str, float]]) -> None:
    """Nobody would answer those whom it brings; only whoever must end does so all the same, and it says what is stuck."""
    step = BEGAN
    for second, (announced, rate) in enumerate(first):
        step = proceed(step, gate(announced, alive=False), rate, BEGAN.began + second, PATIENCE, must_end=False)
        assert not step.over

    assert step.stuck
    assert "198.51.100.0/24: may still be announced, so the daemon goes on" == step.sentence
    assert not proceed(step, gate("withdrawn"), 900.0, 400.0, PATIENCE, must_end=False).stuck


def test_a_gate_that_begins_anew_is_waited_for() -> None:
    """It has three seconds; then there is none, and nothing to wait for."""
    steps = [proceed(BEGAN, None, 900.0, 100.0, PATIENCE)]
    steps.append(proceed(steps[0], gate("drained"), 900.0, 101.0, PATIENCE))
    steps += [proceed(steps[0], None, 900.0, now, PATIENCE) for now in (102.9, 103.0)]

    assert [False, False, False, True] == [step.over for step in steps]


def test_clients_are_waited_for_though_the_gate_has_gone() -> None:
    """Daemon and gate end together: once routes were there, they are still on their way out when the gate has gone."""
    step = proceed(BEGAN, gate("announced"), 900.0, 101.0, PATIENCE)
    steps = [step := proceed(step, None, rate, now, PATIENCE) for rate, now in ((900.0, 102.0), (900.0, 130.0), (1.0, 140.0))]

    assert [False, False, True] == [step.over for step in steps]


def test_the_longest_time_begins_with_the_withdrawal() -> None:
    """However long the routes took: clients have all of it."""
    step = proceed(BEGAN, gate("drained"), 900.0, 124.0, PATIENCE)
    steps = [step := proceed(step, gate("withdrawn"), 900.0, now, PATIENCE) for now in (124.9, 184.8, 185.0)]

    assert [False, False, True] == [step.over for step in steps]
    assert "withdrawn; still 900.0 queries/s after 60 s" == steps[-1].sentence


def test_a_floor_of_nothing_waits_for_silence() -> None:
    """With drain_floor = 0 clients are gone when none asks."""
    patience = Patience(0.0, 0.0, 60.0, 15.0)

    assert not proceed(BEGAN, gate("withdrawn"), 0.1, 101.0, patience).over
    assert proceed(BEGAN, gate("withdrawn"), 0.0, 101.0, patience).over

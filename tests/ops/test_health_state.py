"""What results make of health: rise, fall, the first result, expiry, and the way into a state file and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.health import BadState, Health, NoState, Result, State, advance

GOOD = Result(ok=True, error="", seconds=0.01, certificate_expires=None, detail="connected")
BAD = Result(ok=False, error="connection refused", seconds=0.01, certificate_expires=None, detail="")
GONE = NoState("the last state is older than 60 s")
OUTCOMES: dict[str, Result | NoState] = {"+": GOOD, "-": BAD, "?": GONE}

# results since the start, rise, fall → health after each result: u(nknown), U(p), D(own)
HISTORIES = [
    ("+", 2, 3, "U"),
    ("-", 2, 3, "D"),
    ("+--", 2, 3, "UUU"),
    ("+---", 2, 3, "UUUD"),
    ("+--+---", 2, 3, "UUUUUUD"),
    ("-+", 2, 3, "DD"),
    ("-++", 2, 3, "DDU"),
    ("-+-++", 2, 3, "DDDDU"),
    ("+-+-", 1, 1, "UDUD"),
    ("+?", 2, 3, "Uu"),
    ("+--?-", 2, 3, "UUUuD"),
    ("?+", 2, 3, "uU"),
]

results = st.builds(
    Result,
    ok=st.booleans(),
    error=st.text(max_size=20),
    seconds=st.floats(0, 60),
    certificate_expires=st.none() | st.floats(0, 4e9),
    detail=st.text(max_size=20),
)
outcomes = st.lists(results | st.builds(NoState, st.text(max_size=20)), max_size=60)


@pytest.mark.parametrize(("history", "rise", "fall", "healths"), HISTORIES)
def test_health_follows_rise_and_fall(history: str, rise: int, fall: int, healths: str) -> None:
    """The first result decides, then `fall` failures or `rise` successes in a row; an expired state is forgotten at once."""
    letters = {Health.UNKNOWN: "u", Health.UP: "U", Health.DOWN: "D"}
    state, seen = State(), ""
    for now, letter in enumerate(history):
        state = advance(state, OUTCOMES[letter], float(now), rise, fall)
        seen += letters[state.health]

    assert healths == seen


def test_a_state_remembers_since_when_and_what_was_last() -> None:
    """`since` is the time of the change, `checked` and `last` are the latest result, `pending` counts towards the next change."""
    state = State()
    for now, outcome in enumerate((GOOD, BAD, BAD, BAD, GOOD), start=10):
        state = advance(state, outcome, float(now), rise=2, fall=3)

    assert State(Health.DOWN, pending=1, since=13.0, transitions=1, last=GOOD, checked=14.0) == state


def test_forgetting_says_why_and_what_is_unknown_stays_unknown_since_then() -> None:
    """An expired state leaves its reason as the last error, and is no transition."""
    once = advance(advance(State(), GOOD, 5.0, 1, 1), GONE, 66.0, 1, 1)
    twice = advance(once, GONE, 99.0, 1, 1)

    assert (Health.UNKNOWN, 66.0, 0, GONE.reason) == (once.health, once.since, once.transitions, once.last and once.last.error)
    assert (66.0, 99.0) == (twice.since, twice.checked)


@given(outcomes, st.integers(1, 5), st.integers(1, 5))
def test_no_change_without_enough_results_in_a_row(history: list[Result | NoState], rise: int, fall: int) -> None:
    """Health turns only after `fall` failures or `rise` successes without a break, and one against it less never turns it."""
    state, streak = State(), 0
    for now, outcome in enumerate(history, start=1):
        before, state = state, advance(state, outcome, float(now), rise, fall)
        streak = streak + 1 if isinstance(outcome, Result) and outcome.ok is (before.health is Health.DOWN) else 0
        turned = {before.health, state.health} == {Health.UP, Health.DOWN}

        assert turned == (state.transitions == before.transitions + 1)
        if turned:
            assert streak == (fall if before.health is Health.UP else rise)
            streak = 0
        if before.health is Health.UNKNOWN and isinstance(outcome, Result):
            assert outcome.ok is (state.health is Health.UP)
            streak = 0
        assert state.pending == streak
        assert (state.since == now) == (state.health is not before.health)
        assert state.checked == now


@given(outcomes, st.integers(1, 3), st.integers(1, 3))
def test_a_state_comes_back_from_its_json(history: list[Result | NoState], rise: int, fall: int) -> None:
    """What is written to a state file is what is read from it."""
    state = State()
    for now, outcome in enumerate(history):
        state = advance(state, outcome, now / 3, rise, fall)

    assert state == State.from_json(json.loads(json.dumps(state.to_json())))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "up",
        {"health": "well"},
        {"health": True},
        {"pending": -1},
        {"pending": "1"},
        {"pending": True},
        {"since": "now"},
        {"since": float("nan")},
        {"checked": float("inf")},
        {"last": {"ok": True}},
        {"last": "good"},
        {"transitions": 1.5},
        {"since": object()},
    ],
    ids=repr,
)
def test_what_is_no_state_is_refused(value: Any) -> None:
    """Anything but a state is refused by one kind of error, which says where it is wrong."""
    with pytest.raises(BadState) as refused:
        State.from_json(value)

    assert str(refused.value)

"""The course of a prefix over time, for any sequence of judgements: what it never does, and when it does what."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.announce._course import Course, Rules, State, adopted, advance, decayed
from geodns.ops.announce._judgement import Verdict, Wish

RULES = Rules(rise=3, fall=2, hold_down=10.0, hold_down_max=100.0, flap_half_life=60.0, adopt=5.0, drain_soft=4.0)
LAST = "last instance, for none of 1 siblings answers"
STEPS = st.lists(st.tuples(st.sampled_from(Verdict), st.floats(0.1, 20.0), st.sampled_from(["", "", LAST])), max_size=80)
ANY_RULES = st.builds(
    Rules,
    rise=st.integers(1, 4),
    fall=st.integers(1, 4),
    hold_down=st.floats(0, 30),
    hold_down_max=st.floats(30, 300),
    flap_half_life=st.floats(1, 300),
    adopt=st.floats(0, 30),
    drain_soft=st.floats(0, 30),
)

Step = tuple[Verdict, float, str]


def walk(steps: list[Step], rules: Rules = RULES, course: Course | None = None) -> list[tuple[float, Verdict, str, Course, str]]:
    """Every judgement, when it was, and the course after it."""
    course, now, seen = course or Course(), 0.0, []
    for verdict, seconds, last in steps:
        now += seconds
        course, sentence = advance(course, Wish(verdict, "why"), now, rules, last=last)
        seen.append((now, verdict, last, course, sentence))
    return seen


def states(verdicts: str, rules: Rules = RULES, course: Course | None = None, last: str = "") -> str:
    """The states after judgements a second apart, a letter each: announced, drained or withdrawn."""
    kinds = {"G": Verdict.GOOD, "B": Verdict.BAD, "X": Verdict.GONE, "D": Verdict.DRAIN, "U": Verdict.UNKNOWN}
    return "".join(after.state.value[0] for *_, after, _ in walk([(kinds[each], 1.0, last) for each in verdicts], rules, course))


def announced(**changed: object) -> Course:
    """A prefix that is announced."""
    return replace(Course(State.ANNOUNCED), **changed)  # type: ignore[arg-type]


CASES = {
    "it takes three good ones to begin": ("GGGG", "wwaa", None),
    "a bad one begins the count anew": ("GGBGGG", "wwwwwa", None),
    "it takes two bad ones to end": ("BGBB", "aaaw", State.ANNOUNCED),
    "without a lease it ends at once": ("X", "w", State.ANNOUNCED),
    "held down for ten seconds": ("BB" + "G" * 12, "aw" + "w" * 9 + "aaa", State.ANNOUNCED),
    "a drain is soft for four seconds": ("DDDDDD", "ddddww", State.ANNOUNCED),
    "whoever changes his mind goes back at once": ("DDG", "dda", State.ANNOUNCED),
    "what is withdrawn is not announced by a drain": ("DDDD", "wwww", None),
    "a drain that fails ends at once": ("DDBB", "dddw", State.ANNOUNCED),
    "unknown is not announced": ("UUUUUUUU", "wwwwwwww", None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_course_of(case: str) -> None:
    """A table of judgements and states, a second each."""
    verdicts, expected, begin = CASES[case]

    assert expected == states(verdicts, course=announced() if begin else None)


@given(STEPS, ANY_RULES)
def test_without_a_lease_nothing_is_announced_but_the_last(steps: list[Step], rules: Rules) -> None:
    """After a judgement that the lease has ended a prefix is withdrawn, or held because no sibling answers."""
    for _, verdict, last, course, _ in walk(steps, rules):
        if verdict is Verdict.GONE:
            assert course.state is State.WITHDRAWN or (last and course.held)


@given(STEPS, ANY_RULES)
def test_it_never_comes_back_sooner_than_the_hold_down(steps: list[Step], rules: Rules) -> None:
    """Between a withdrawal and the next announcement there is the hold-down at least."""
    gone: float | None = None
    before = State.WITHDRAWN
    for now, _, _, course, _ in walk(steps, rules):
        if before is not State.WITHDRAWN and course.state is State.WITHDRAWN:
            gone = now
        elif before is State.WITHDRAWN and course.state is not State.WITHDRAWN:
            assert gone is None or now - gone >= rules.hold_down - 1e-6
        before = course.state


@given(STEPS, ANY_RULES)
def test_what_is_drained_is_never_plainly_announced(steps: list[Step], rules: Rules) -> None:
    """While clients are asked to leave no router hears that this is a way like any other, and soon that there is none."""
    began: float | None = None
    for now, verdict, _, course, _ in walk(steps, rules):
        began = (now if began is None else began) if verdict is Verdict.DRAIN else None
        if began is not None:
            assert course.state is not State.ANNOUNCED
            assert now - began < rules.drain_soft or course.state is State.WITHDRAWN


@given(STEPS, ANY_RULES)
def test_only_good_judgements_announce(steps: list[Step], rules: Rules) -> None:
    """What was withdrawn is announced after so many good judgements in a row, and by nothing else."""
    row, before = 0, State.WITHDRAWN
    for _, verdict, _, course, _ in walk(steps, rules):
        row = row + 1 if verdict is Verdict.GOOD else 0
        if before is State.WITHDRAWN is not course.state:
            assert row >= rules.rise
        before = course.state


@given(STEPS, ANY_RULES)
def test_the_last_instance_is_not_taken_away_by_a_failure(steps: list[Step], rules: Rules) -> None:
    """With no sibling that answers only a drain withdraws."""
    before = State.ANNOUNCED
    for _, verdict, _, course, _ in walk([(each, seconds, LAST) for each, seconds, _ in steps], rules, announced()):
        if before is not State.WITHDRAWN and course.state is State.WITHDRAWN:
            assert verdict is Verdict.DRAIN
        before = course.state


@given(STEPS, ANY_RULES)
def test_every_change_is_told_and_counted_once(steps: list[Step], rules: Rules) -> None:
    """A sentence comes with each change of state, and the count of changes grows by one."""
    before = Course()
    for _, _, _, course, sentence in walk(steps, rules):
        changed = course.state is not before.state

        assert course.transitions == before.transitions + changed
        assert sentence if changed else (not sentence or sentence.startswith("held"))
        assert course.why
        before = course


@given(st.integers(1, 12))
def test_each_flap_doubles_the_hold_down_up_to_its_limit(flaps: int) -> None:
    """Failures that follow one another at once make it twice as long each time."""
    course = Course()
    for _ in range(flaps):
        course, _ = advance(replace(course, state=State.ANNOUNCED), Wish(Verdict.GONE, "gone"), 1000.0, RULES)

    assert min(10.0 * 2 ** (flaps - 1), 100.0) == pytest.approx(course.until - 1000.0)


def test_half_of_the_flaps_are_forgotten_in_time() -> None:
    """The half-life is one."""
    course = Course(flaps=4.0, flapped=100.0)

    assert [4.0, 2.0, 1.0] == [decayed(course, 100.0 + seconds, RULES) for seconds in (0, 60, 120)]


def test_a_drain_is_no_flap() -> None:
    """A withdrawal on purpose does not lengthen the next hold-down."""
    assert 0.0 == walk([(Verdict.DRAIN, 10.0, ""), (Verdict.DRAIN, 10.0, "")], course=announced())[-1][3].flaps


def test_a_new_gate_keeps_what_it_finds_until_it_knows_better() -> None:
    """Unknown keeps what was announced, for five seconds; a judgement ends that, either way."""
    taken_over = adopted(announced(good=7, bad=1), 0.0)

    assert "aaaaww" == states("UUUUUU", course=taken_over)
    assert "aaaa" == states("UUGG", course=taken_over)
    assert "aaaw" == states("UUBB", course=taken_over)
    assert "aaaaaaa" == states("UUUUUUU", course=taken_over, last=LAST)


def test_a_new_gate_does_not_announce_what_it_finds_withdrawn() -> None:
    """Good judgements of the gate before do not count."""
    assert "wwa" == states("GGG", course=adopted(Course(good=2), 0.0))


def test_held_is_told_once_and_ends_with_a_good_judgement() -> None:
    """The sentence says why it would be withdrawn."""
    steps = walk([(Verdict.BAD, 1.0, LAST)] * 4 + [(Verdict.GOOD, 1.0, "")], course=announced())

    assert ["", f"held: {LAST}; it would be withdrawn: why", "", "", ""] == [sentence for *_, sentence in steps]
    assert ["", LAST, LAST, LAST, ""] == [course.held for *_, course, _ in steps]


@given(STEPS)
def test_a_course_survives_json(steps: list[Step]) -> None:
    """What is written for a successor is read as it was."""
    for *_, course, _ in walk(steps):
        assert course == Course.from_json(json.loads(json.dumps(course.to_json())))


WHOLE = Course().to_json()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"state": "announced"},
        WHOLE | {"state": "odd"},
        WHOLE | {"good": "3"},
        WHOLE | {"until": None},
        WHOLE | {"until": float("nan")},
        WHOLE | {"held": None},
        WHOLE | {"more": 1},
    ],
)
def test_what_is_no_course_is_refused(value: object) -> None:
    """Whatever a file holds, it is either a course or a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        Course.from_json(value)

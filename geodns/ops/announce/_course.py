"""Owns the course of one prefix: rise and fall, drain, hold-down, flaps, the last instance; pure, time is an argument.

All times are seconds of one clock that never goes back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from math import isfinite
from typing import assert_never

from geodns.ops.announce._judgement import Verdict, Wish


class State(StrEnum):
    """What the routers are to be told about a prefix."""

    WITHDRAWN = "withdrawn"
    ANNOUNCED = "announced"
    DRAINED = "drained"
    """Announced as a way that is better not taken."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds in judgements, times in seconds, as the configuration has them."""

    rise: int = 3
    fall: int = 3
    hold_down: float = 10.0
    hold_down_max: float = 600.0
    flap_half_life: float = 300.0
    adopt: float = 30.0
    drain_soft: float = 30.0


@dataclass(frozen=True, slots=True)
class Course:
    """Where a prefix stands.

    `since` is when its state began, `good` and `bad` count judgements in a row, `flaps` is how many withdrawals by failure are
    remembered at `flapped`, `until` is when the hold-down ends. `adopted` is when a gate that knew nothing yet took over what its
    predecessor had announced, and `held` why it stays announced although it should not be; `drained` is when the drain began.
    """

    state: State = State.WITHDRAWN
    since: float = 0.0
    good: int = 0
    bad: int = 0
    flaps: float = 0.0
    flapped: float = 0.0
    until: float = 0.0
    adopted: float | None = None
    held: str = ""
    drained: float | None = None
    transitions: int = 0
    why: str = "it begins withdrawn"

    def to_json(self) -> dict[str, object]:
        """As values of JSON."""
        return asdict(self) | {"state": self.state.value}

    @staticmethod
    def from_json(value: object) -> Course:
        """What `to_json` has written; raises ValueError where it is something else."""
        known = {field.name for field in fields(Course)}
        if not isinstance(value, dict) or value.keys() != known:
            raise ValueError("it holds no course of a prefix")
        texts, maybe = {"state", "held", "why"}, {"adopted", "drained"}
        numbers = [value[name] for name in known - texts if not (name in maybe and value[name] is None)]
        if not all(isinstance(each, int | float) and isfinite(each) for each in numbers):
            raise ValueError("it holds something else than numbers")
        if not all(isinstance(value[name], str) for name in texts):
            raise ValueError("it holds something else than texts")
        return Course(**(value | {"state": State(value["state"])}))


def adopted(known: Course, now: float) -> Course:
    """What a new gate makes of its predecessor's course: it stays, counted anew, until the gate has judged for itself."""
    fresh = replace(known, good=0, bad=0, held="")
    if known.state is State.WITHDRAWN:
        return fresh
    return replace(fresh, adopted=now, why="taken over from the gate before")


def advance(course: Course, wish: Wish, now: float, rules: Rules, *, last: str = "") -> tuple[Course, str]:
    """The course after one judgement, and what to say of it; "" where nothing has happened that anybody need read.

    `last` is why this may be the last instance that answers: then a failure does not withdraw.
    """
    match wish.verdict:
        case Verdict.GOOD:
            return _good(replace(course, bad=0, held="", adopted=None, drained=None), wish, now, rules)
        case Verdict.BAD | Verdict.GONE:
            return _bad(replace(course, good=0, adopted=None), wish, now, rules, last)
        case Verdict.DRAIN:
            return _drain(replace(course, bad=0, good=0, held="", adopted=None), wish, now, rules)
        case Verdict.UNKNOWN:
            return _unknown(course, wish, now, rules, last)
        case _:
            assert_never(wish.verdict)


def _good(course: Course, wish: Wish, now: float, rules: Rules) -> tuple[Course, str]:
    course = replace(course, good=course.good + 1)
    match course.state:
        case State.ANNOUNCED:
            return replace(course, why=wish.why), ""
        case State.DRAINED:
            return _turn(course, State.ANNOUNCED, now, "announced: no longer draining")
        case State.WITHDRAWN:
            if now < course.until:
                return replace(course, why=f"held down for {course.until - now:.0f} s more"), ""
            if course.good < rules.rise:
                return replace(course, why=f"good {course.good} of {rules.rise} times"), ""
            times = "once" if rules.rise == 1 else f"{rules.rise} times in a row"
            return _turn(course, State.ANNOUNCED, now, f"announced: {wish.why}, {times}")
        case _:
            assert_never(course.state)


def _bad(course: Course, wish: Wish, now: float, rules: Rules, last: str) -> tuple[Course, str]:
    course = replace(course, bad=course.bad + 1)
    if course.state is State.WITHDRAWN:
        return replace(course, why=wish.why, held="", drained=None), ""
    if course.bad < rules.fall and wish.verdict is not Verdict.GONE:
        return replace(course, why=f"failed {course.bad} of {rules.fall} times: {wish.why}"), ""
    if last:
        said = "" if course.held else f"held: {last}; it would be withdrawn: {wish.why}"
        return replace(course, held=last, why=f"held: {last}; it would be withdrawn: {wish.why}"), said
    return _withdraw(course, now, rules, f"withdrawn: {wish.why}")


def _withdraw(course: Course, now: float, rules: Rules, sentence: str) -> tuple[Course, str]:
    """Withdraw by failure. Each one makes the next hold-down twice as long, and half of them are forgotten with time."""
    flaps = decayed(course, now, rules) + 1
    hold_down = min(rules.hold_down * 2 ** min(flaps - 1, 64), max(rules.hold_down_max, rules.hold_down))
    course = replace(course, flaps=flaps, flapped=now, until=now + hold_down, held="", drained=None)
    return _turn(course, State.WITHDRAWN, now, sentence)


def decayed(course: Course, now: float, rules: Rules) -> float:
    """The flaps that are still remembered."""
    return float(course.flaps * 0.5 ** (max(now - course.flapped, 0.0) / rules.flap_half_life))


def _drain(course: Course, wish: Wish, now: float, rules: Rules) -> tuple[Course, str]:
    began = now if course.drained is None else course.drained
    course = replace(course, drained=began)
    if course.state is State.WITHDRAWN:
        return replace(course, why=wish.why), ""
    if now - began >= rules.drain_soft:
        return _turn(replace(course, until=now + rules.hold_down), State.WITHDRAWN, now, f"withdrawn: {wish.why}")
    if course.state is State.ANNOUNCED:
        return _turn(course, State.DRAINED, now, f"announced as a way to leave, for {rules.drain_soft:g} s: {wish.why}")
    return course, ""


def _unknown(course: Course, wish: Wish, now: float, rules: Rules, last: str) -> tuple[Course, str]:
    """What is unknown is not announced anew, and what was announced stays for a while."""
    course = replace(course, good=0)
    if course.state is State.WITHDRAWN:
        return replace(course, why=wish.why), ""
    since = now if course.adopted is None else course.adopted
    if now - since < rules.adopt:
        return replace(course, adopted=since), ""
    bad = Wish(Verdict.GONE, f"unknown for {rules.adopt:g} s: {wish.why}")
    return _bad(course, bad, now, rules, last)


def _turn(course: Course, state: State, now: float, sentence: str) -> tuple[Course, str]:
    turned = replace(course, state=state, since=now, good=0, bad=0, why=sentence, transitions=course.transitions + 1)
    return turned, sentence

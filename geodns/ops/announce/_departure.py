"""Owns the end of a daemon that is announced: when its clients have left; pure, time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geodns.ops.announce._course import State

_RESTART = 3.0  # seconds in which a gate begins anew
_SLACK = 15.0  # seconds beyond what the routes should take


@dataclass(frozen=True, slots=True)
class Patience:
    """As the configuration has it: seconds of the soft announcement and for the rest, queries a second that are nobody."""

    soft: float
    floor: float
    longest: float

    @property
    def bound(self) -> float:
        """Seconds that a departure takes at most."""
        return self.soft + self.longest + _SLACK


@dataclass(frozen=True, slots=True)
class Departure:
    """How far a departure is: the sentence that tells, and whether it is over.

    `withdrawn` is when all routes were gone, `alone` since when there has been no gate.
    """

    began: float
    withdrawn: float | None = None
    alone: float | None = None
    over: bool = False
    sentence: str = "draining"


def proceed(departure: Departure, gate: dict[str, Any] | None, rate: float, now: float, patience: Patience) -> Departure:
    """The departure a moment later. `gate` is what the gate tells, or the last one did, None where there is nothing to withdraw.

    `rate` is what clients ask a second.
    """
    began = departure.began
    if gate is None:
        alone = now if departure.alone is None else departure.alone
        over = departure.over or now - alone >= _RESTART
        sentence = "no gate is at work, so there is no route to wait for" if over else "no gate is at work: does one begin anew?"
        return Departure(began, departure.withdrawn, alone, over=over, sentence=sentence)
    announced = [told for told in gate["prefixes"] if told["announced"] != State.WITHDRAWN.value]
    if announced and departure.withdrawn is None and now - began < patience.soft + _SLACK:
        left = max(patience.soft - (now - began), 0.0)
        names = ", ".join(told["prefix"] for told in announced)
        if not gate["alive"]:
            return Departure(began, sentence=f"{names}: may be announced, and no gate is at work to withdraw it")
        if left:
            return Departure(began, sentence=f"{names}: clients are asked to leave, withdrawn in {left:.0f} s")
        return Departure(began, sentence=f"{names}: being withdrawn")
    withdrawn = now if departure.withdrawn is None else departure.withdrawn
    stuck = "the router does not withdraw" if announced else "withdrawn"
    if rate < patience.floor or patience.floor == 0 == rate:
        return Departure(began, withdrawn, over=True, sentence=f"{stuck}; clients have left: {rate:,.1f} queries/s")
    if now - withdrawn >= patience.longest:
        return Departure(
            began, withdrawn, over=True, sentence=f"{stuck}; still {rate:,.1f} queries/s after {patience.longest:g} s"
        )
    left = patience.longest - (now - withdrawn)
    return Departure(
        began,
        withdrawn,
        sentence=f"{stuck}; {rate:,.1f} queries/s, waiting for less than {patience.floor:g} ({left:.0f} s at most)",
    )

"""Owns the end of a daemon that is announced: when its clients have left; pure, time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from geodns.ops.announce._course import State

_RESTART = 3.0  # seconds in which a gate begins anew


@dataclass(frozen=True, slots=True)
class Patience:
    """As the configuration has it: seconds of the soft announcement and for the rest, queries a second that are nobody.

    `routers` is in how many seconds after the soft announcement routes are gone, if they go at all.
    """

    soft: float
    floor: float
    longest: float
    routers: float

    @property
    def bound(self) -> float:
        """Seconds that a departure takes at most."""
        return self.soft + self.longest + self.routers


@dataclass(frozen=True, slots=True)
class Departure:
    """How far a departure is: the sentence that tells, and whether it is over.

    `withdrawn` is when all routes were gone, `alone` since when there has been no gate. `led` tells that routes were announced,
    `stuck` that they still are although they should not be.
    """

    began: float
    withdrawn: float | None = None
    alone: float | None = None
    over: bool = False
    sentence: str = "draining"
    led: bool = False
    stuck: bool = False


def proceed(
    departure: Departure, gate: dict[str, Any] | None, rate: float, now: float, patience: Patience, *, must_end: bool = True
) -> Departure:
    """The departure a moment later. `gate` is what the gate tells, or the last one did, None where there is nothing to withdraw.

    `rate` is what clients ask a second. Unless it `must_end`, it is never over while a route is still announced: nobody would
    answer those whom that route brings.
    """
    if gate is None and not departure.led:
        alone = now if departure.alone is None else departure.alone
        over = departure.over or now - alone >= _RESTART
        sentence = "no gate is at work, so there is no route to wait for" if over else "no gate is at work: does one begin anew?"
        return replace(departure, alone=alone, over=over, sentence=sentence)
    announced = [told for told in gate["prefixes"] if told["announced"] != State.WITHDRAWN.value] if gate else []
    departure = replace(departure, led=departure.led or bool(announced), stuck=False)
    if gate and announced and departure.withdrawn is None and now - departure.began < patience.soft + patience.routers:
        left = max(patience.soft - (now - departure.began), 0.0)
        names = ", ".join(told["prefix"] for told in announced)
        if not gate["alive"]:
            return replace(departure, sentence=f"{names}: may be announced, and no gate is at work to withdraw it")
        if left:
            return replace(departure, sentence=f"{names}: clients are asked to leave, withdrawn in {left:.0f} s")
        return replace(departure, sentence=f"{names}: being withdrawn")
    if announced and not must_end:
        names = ", ".join(told["prefix"] for told in announced)
        return replace(departure, stuck=True, sentence=f"{names}: may still be announced, so the daemon goes on")
    withdrawn = now if departure.withdrawn is None else departure.withdrawn
    departure = replace(departure, withdrawn=withdrawn, stuck=bool(announced))
    stuck = "the router does not withdraw" if announced else "withdrawn"
    if rate < patience.floor or patience.floor == 0 == rate:
        return replace(departure, over=True, sentence=f"{stuck}; clients have left: {rate:,.1f} queries/s")
    if now - withdrawn >= patience.longest:
        return replace(departure, over=True, sentence=f"{stuck}; still {rate:,.1f} queries/s after {patience.longest:g} s")
    left = patience.longest - (now - withdrawn)
    waiting = f"waiting for less than {patience.floor:g} ({left:.0f} s at most)"
    return replace(departure, sentence=f"{stuck}; {rate:,.1f} queries/s, {waiting}")

"""Owns what should be announced, and the sentence why: a pure function of what is known; refuses to ask and to remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What one judgement says of a prefix."""

    GOOD = "good"
    """Its addresses answer right."""
    BAD = "bad"
    """They do not, or nobody can say that they do."""
    GONE = "gone"
    """Nobody holds the lease: there is nothing to wait for."""
    DRAIN = "drain"
    """Its clients are asked to leave, by the operator or because the daemon stops."""
    UNKNOWN = "unknown"
    """Nothing was asked yet."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The verdict about one prefix, and why."""

    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a judgement is made of.

    `lease` is why the daemon's lease is not held, "" if it is. `ready` are the daemon's own reasons why no queries should come,
    `self_checks` what was wrong with the answers at the addresses of each prefix, `pools` those that are wholly down and must
    not be, `drained` why clients are asked to leave. A prefix that `self_checks` lacks was not asked yet.
    """

    lease: str
    ready: Sequence[str] = ()
    self_checks: Mapping[str, Sequence[str]] | None = None
    pools: Sequence[str] = ()
    drained: str = ""


def desired(prefixes: Sequence[str], known: Evidence) -> dict[str, Wish]:
    """What is wished for each prefix. What hinders more comes first: a lease that nobody holds makes all else hearsay."""
    return {prefix: _wish(prefix, known) for prefix in prefixes}


def _wish(prefix: str, known: Evidence) -> Wish:
    if known.lease:
        return Wish(Verdict.GONE, known.lease)
    faults = None if known.self_checks is None else known.self_checks.get(prefix)
    reasons = [
        *known.ready,
        *(faults or ()),
        *(f"pool {pool} is wholly down" for pool in known.pools),
    ]
    if reasons:
        return Wish(Verdict.BAD, _joined(reasons))
    if known.drained:
        return Wish(Verdict.DRAIN, f"draining: {known.drained}")
    if faults is None:
        return Wish(Verdict.UNKNOWN, "not asked yet")
    return Wish(Verdict.GOOD, "its addresses answer right")


def _joined(reasons: Sequence[str]) -> str:
    """The first reasons; a hundred failing questions are one line."""
    shown, more = reasons[:3], len(reasons) - 3
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")

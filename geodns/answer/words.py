"""Owns what is told of a choice out of a pool, as sentences and as JSON; refuses to choose."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from geodns.answer.pools import Pool, Steering, Verdict
from geodns.answer.steering import PoolSelection
from geodns.geo import Location, Spot, distance

_SHOWN = 12  # endpoints of an order in a sentence


def pool_json(selection: PoolSelection) -> dict[str, Any]:
    """A choice as a plain object: who may be answered, with which share of such clients, and who was passed over, and why."""
    pool, candidates = selection.steered.pool, selection.candidates
    return {
        "name": pool.name,
        "steering": pool.steering.value,
        "verdict": candidates.verdict.value,
        "degraded": candidates.ttl != pool.ttl,
        "order": [[pool.label(number) for number in band] for band in _bands(selection)],
        "candidates": [
            {"endpoint": pool.label(number), "share": round(share.portion * part, 4), "addresses": _addresses(selection, number)}
            for share in candidates.shares
            for number, part in pool.chances(share.endpoints)
        ],
        "passed": [{"endpoint": pool.label(number), "why": why} for number, why in candidates.passed],
    }


def pool_reason(selection: PoolSelection) -> str:
    """A choice in one sentence."""
    pool, candidates = selection.steered.pool, selection.candidates
    chosen = _chosen(selection) or f"nobody ({pool.when_all_down.value})"
    passed = [f"{pool.label(number)} {_is(why)}" for number, why in candidates.passed]
    told = f"pool {pool.name}, steering {pool.steering.value}: {chosen}, for {candidates.verdict.value}"
    return f"{told}; passed over: {', '.join(passed)}" if passed else told


def pool_steps(selection: PoolSelection, location: Location | None) -> list[str]:
    """A choice step by step; distances are told where the client's place is known."""
    pool, candidates = selection.steered.pool, selection.candidates
    steps = [f"order: {_order(selection, location)}"]
    steps += [f"{pool.label(number)} is passed over: {why}" for number, why in candidates.passed]
    steps.append(candidates.verdict.value)
    if candidates.verdict is Verdict.SPREAD:
        steps.append("the client's network decides among these, always in the same way")
    steps += [
        f"{pool.label(number)} takes {share.portion * part:.1%} of such clients (weight {pool.endpoints[number].weight})"
        for share in candidates.shares
        for number, part in pool.chances(share.endpoints)
        if len(candidates.shares) > 1 or len(share.endpoints) > 1
    ]
    if selection.rdatas:
        addresses = ", ".join(str(ip_address(rdata)) for rdata in selection.rdatas)
        degraded = f", no longer than ttl_degraded, for not all is well on the way (else {pool.ttl} s)"
        steps.append(f"the client gets {addresses}, TTL {candidates.ttl}{degraded if candidates.ttl != pool.ttl else ''}")
    return steps


def _order(selection: PoolSelection, location: Location | None) -> str:
    """Who comes first: bands of equally good endpoints, with distances where they decide."""
    pool = selection.steered.pool
    here = None
    if location is not None and location.latitude is not None and location.longitude is not None:
        here = Spot(location.latitude, location.longitude)
    by_distance = pool.steering in {Steering.NEAREST, Steering.REGION}
    told = []
    for band in _bands(selection)[:_SHOWN]:
        names = " = ".join(_placed(pool, number, here if by_distance else None) for number in band)
        told.append(names)
    more = len(_bands(selection)) - _SHOWN
    return ", then ".join(told) + (f", and {more} more" if more > 0 else "")


def _placed(pool: Pool, number: int, here: Spot | None) -> str:
    spot = pool.spots[pool.endpoints[number].site]
    return f"{pool.label(number)} ({distance(here, spot):,.0f} km)" if here and spot else pool.label(number)


def _bands(selection: PoolSelection) -> tuple[tuple[int, ...], ...]:
    return selection.steered.bands(selection.climb.outcome)


def _addresses(selection: PoolSelection, number: int) -> list[str]:
    """What may be answered of an endpoint: an address that is down beside one that is up is not."""
    return [str(ip_address(rdata)) for rdata in selection.roll.addresses(selection.candidates, number)]


def _chosen(selection: PoolSelection) -> str:
    pool = selection.steered.pool
    return " or ".join(dict.fromkeys(pool.label(number) for share in selection.candidates.shares for number in share.endpoints))


def _is(why: str) -> str:
    return why if why.startswith(("is ", "has ", "stands ")) else f"is {why}"

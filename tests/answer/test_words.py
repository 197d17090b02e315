"""What is told of a choice out of a pool: who, how likely, and of everybody passed over why."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import Client, Health, Moment, Pool, PoolSelection, Standing, Steering, Verdict, WhenAllDown
from geodns.answer.steering import EVERYONE, Steered, listed, select
from geodns.answer.words import pool_json, pool_reason, pool_steps
from geodns.geo import Location
from geodns.wire import Type
from tests.support.pools import DOWN, DRAINED, FORCED_DOWN, FORCED_UP, Server, moments, pool_of, pools, standings
from tests.support.world import place

SERVERS = [
    Server("fra/fra-1", ("192.0.2.1", "2001:db8::1"), weight=3),
    Server("fra/fra-2", ("192.0.2.2",), weight=1),
    Server("nyc/nyc-1", ("192.0.2.3",)),
]


def selection(pool: Pool, octets: bytes, rdtype: int = Type.A) -> PoolSelection:
    return select(Steered(pool, (listed(pool),), None), rdtype, Client(place("81.0.1.2")), EVERYONE, Moment(octets))


def chosen(
    told: Mapping[str, Standing], steering: Steering = Steering.FAILOVER, when: WhenAllDown = WhenAllDown.ALL
) -> PoolSelection:
    pool = pool_of("app", SERVERS, steering=steering, when_all_down=when)
    return selection(pool, standings([pool], told))


def test_an_address_that_is_down_is_no_candidate() -> None:
    """Of an endpoint that is up by one of its addresses only what may be answered is told; where nothing is up, all may be."""
    pool = pool_of("app", [Server("fra/fra-1", ("192.0.2.1", "192.0.2.2"))], steering=Steering.FAILOVER, answers=2)
    half, none = (selection(pool, bytes((standing.octet, DOWN.octet))) for standing in (Standing(Health.UP), DOWN))
    told = [candidate["addresses"] for each in (half, none) for candidate in pool_json(each)["candidates"]]

    assert [["192.0.2.1"], ["192.0.2.1", "192.0.2.2"]] == told


ALL_DOWN = dict.fromkeys(("fra/fra-1", "fra/fra-2", "nyc/nyc-1"), DOWN)
FRA_DOWN = dict.fromkeys(("fra/fra-1", "fra/fra-2"), DOWN)
REASONS: list[tuple[dict[str, Standing], WhenAllDown, str]] = [
    ({}, WhenAllDown.ALL, "pool app, steering failover: fra/fra-1 or fra/fra-2, for the first choice is up"),
    (
        FRA_DOWN,
        WhenAllDown.ALL,
        "pool app, steering failover: nyc/nyc-1, for the first choice is not up: the next takes its users; "
        "passed over: fra/fra-1 is down, fra/fra-2 is down",
    ),
    (
        {"fra/fra-1": FORCED_DOWN, "fra/fra-2": DRAINED},
        WhenAllDown.ALL,
        "pool app, steering failover: nyc/nyc-1, for the first choice is not up: the next takes its users; "
        "passed over: fra/fra-1 is forced down by the operator, fra/fra-2 is drained by the operator",
    ),
    (
        ALL_DOWN,
        WhenAllDown.NODATA,
        "pool app, steering failover: nobody (nodata), for nothing is up; "
        "passed over: fra/fra-1 is down, fra/fra-2 is down, nyc/nyc-1 is down",
    ),
    (
        ALL_DOWN,
        WhenAllDown.ALL,
        "pool app, steering failover: fra/fra-1 or fra/fra-2, for nothing is up: answering with the first choice anyway; "
        "passed over: nyc/nyc-1 is down",
    ),
]


@pytest.mark.parametrize(("told", "when", "reason"), REASONS)
def test_the_reason_is_one_sentence(told: dict[str, Standing], when: WhenAllDown, reason: str) -> None:
    """Who, how that came about, and who was passed over for what."""
    assert reason == pool_reason(chosen(told, when=when))


def test_the_json_form_has_shares_and_reasons() -> None:
    """A plain object, its shares those of the first address."""
    found = pool_json(chosen({"nyc/nyc-1": DOWN}, Steering.WEIGHTED))

    assert {
        "name": "app",
        "steering": "weighted",
        "verdict": "the first choice is up",
        "degraded": True,
        "order": [["fra/fra-1", "fra/fra-2", "nyc/nyc-1"]],
        "candidates": [
            {"endpoint": "fra/fra-1", "share": 0.75, "addresses": ["192.0.2.1"]},
            {"endpoint": "fra/fra-2", "share": 0.25, "addresses": ["192.0.2.2"]},
        ],
        "passed": [{"endpoint": "nyc/nyc-1", "why": "down"}],
    } == found


def test_the_steps_tell_distance_share_and_ttl() -> None:
    """Distances where they decide and the place is known; what a short TTL is for."""
    here = Location(latitude=52.52, longitude=13.4)
    told = chosen({"fra/fra-2": DOWN}, Steering.NEAREST)

    assert [
        "order: fra/fra-1 (423 km) = fra/fra-2 (423 km), then nyc/nyc-1 (6,385 km)",
        "fra/fra-2 is passed over: down",
        "the first choice is up",
        "the client gets 192.0.2.1, TTL 10, no longer than ttl_degraded, for not all is well on the way (else 30 s)",
    ] == pool_steps(told, here)
    assert "order: fra/fra-1 = fra/fra-2, then nyc/nyc-1" == pool_steps(told, None)[0] == pool_steps(told, Location())[0]
    assert "fra/fra-1 takes 75.0% of such clients (weight 3)" in pool_steps(chosen({}), None)


def test_a_spread_tells_each_sites_part() -> None:
    """And that the network decides."""
    capable = [Server("fra/a", ("192.0.2.1",), capacity=60, load=60), Server("ams/b", ("192.0.2.2",), capacity=50, load=20),
               Server("nyc/c", ("192.0.2.3",), capacity=100, load=10)]  # fmt: skip
    pool = pool_of("app", capable, steering=Steering.FAILOVER)
    steps = pool_steps(selection(pool, standings([pool], {"fra/a": DOWN})), None)

    assert [
        "the client's network decides among these, always in the same way",
        "ams/b takes 25.0% of such clients (weight 1)",
        "nyc/c takes 75.0% of such clients (weight 1)",
    ] == steps[3:6]


def test_a_long_order_is_cut_short() -> None:
    """A sentence names twelve, and says how many more there are."""
    pool = pool_of("app", [Server(f"s{n}/e", (f"192.0.2.{n}",)) for n in range(1, 21)], steering=Steering.FAILOVER)

    assert pool_steps(selection(pool, b""), None)[0].endswith("s12/e, and 8 more")


STANDINGS = [
    (Standing(), "unknown"),
    (Standing(Health.UP), "up"),
    (Standing(Health.DOWN, pending=True), "down, about to change"),
    (FORCED_UP, "forced up by the operator, checks say down"),
    (FORCED_DOWN, "forced down by the operator"),
    (DRAINED, "drained by the operator"),
]


@pytest.mark.parametrize(("standing", "words"), STANDINGS)
def test_a_standing_says_who_says_what(standing: Standing, words: str) -> None:
    """Checks or the operator, and what checks say against the operator."""
    assert words == str(standing)


@given(pools([Steering.FAILOVER, Steering.WEIGHTED]).flatmap(lambda pool: st.tuples(st.just(pool), moments(pool))))
@settings(max_examples=60, deadline=None)
def test_everything_chosen_and_everybody_passed_is_told(case: tuple[Pool, bytes]) -> None:
    """In each of the three forms; shares sum up to one; the JSON form is JSON."""
    pool, octets = case
    for rdtype in (Type.A, Type.AAAA):
        found = selection(pool, octets, rdtype)
        told, reason, steps = pool_json(found), pool_reason(found), "\n".join(pool_steps(found, None))
        labels = [pool.label(number) for share in found.candidates.shares for number in share.endpoints]

        assert told == json.loads(json.dumps(told))
        assert labels == [candidate["endpoint"] for candidate in told["candidates"]]
        assert not labels or sum(candidate["share"] for candidate in told["candidates"]) == pytest.approx(1, abs=1e-3)
        for number, why in found.candidates.passed:
            assert pool.label(number) in reason
            assert f"{pool.label(number)} is passed over: {why}" in steps
        assert bool(labels) == (found.candidates.verdict not in {Verdict.NOTHING, Verdict.NO_ADDRESS})

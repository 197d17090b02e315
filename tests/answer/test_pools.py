"""The laws of a choice: geography orders, health filters, weight draws, and the operator has the last word."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import ALL_UNKNOWN, QUIET, Draw, Health, Pool, Standing, Steering, Verdict, WhenAllDown, Word
from geodns.answer.pools import Bands, Candidates, Roll, share_of, standing_of, weighted
from geodns.wire import Type
from tests.support.pools import (
    DOWN,
    DRAINED,
    EVERY_STANDING,
    FORCED_DOWN,
    FORCED_UP,
    UP,
    Server,
    every_luck,
    moments,
    orders,
    pool_of,
    pools,
    standings,
)

FAMILIES = st.sampled_from([Type.A, Type.AAAA])
IN_ORDER = [Steering.NEAREST, Steering.REGION, Steering.FAILOVER]
CAPACITIES = st.sampled_from([0.0, 1.0, 4.0, 10.0])
PENDING = Standing(Health.UP, pending=True)


def roll_of(pool: Pool, told: dict[str, Standing], otherwise: Standing = UP) -> Roll:
    return Roll(pool, Type.A, standings([pool], told, otherwise))


def chosen(pool: Pool, candidates: Candidates) -> list[list[str]]:
    return [[pool.label(number) for number in share.endpoints] for share in candidates.shares]


def flat(candidates: Candidates) -> set[int]:
    return {number for share in candidates.shares for number in share.endpoints}


def of_type(pool: Pool, rdtype: int, octets: bytes) -> dict[int, list[Standing]]:
    """The standings of each endpoint's addresses of a type; only of those that have one."""
    found = {
        number: [standing_of(octets, address.slot) for address in endpoint.addresses if address.rdtype == rdtype]
        for number, endpoint in enumerate(pool.endpoints)
    }
    return {number: own for number, own in found.items() if own}


def eligible(pool: Pool, rdtype: int, octets: bytes) -> set[int]:
    """By definition: some address is not down, or forced up, and so many of its site are that the site counts as up."""
    up = {
        number
        for number, own in of_type(pool, rdtype, octets).items()
        if any(one.word is Word.UP or (one.word is Word.AUTO and one.health is not Health.DOWN) for one in own)
    }
    at_site = Counter(pool.endpoints[number].site for number in up)
    return {number for number in up if at_site[pool.endpoints[number].site] >= pool.min_up}


def heaviest(pool: Pool, numbers: set[int]) -> set[int]:
    return {number for number in numbers if pool.endpoints[number].weight} or numbers


CASES = pools().flatmap(lambda pool: st.tuples(st.just(pool), moments(pool), orders(pool)))
SPREADING = pools(IN_ORDER, capacities=CAPACITIES).flatmap(lambda pool: st.tuples(st.just(pool), moments(pool), orders(pool)))


@settings(max_examples=50)
@given(CASES, FAMILIES)
def test_the_first_band_in_which_anything_is_up_decides_alone(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """Its eligible endpoints, those of weight 0 only where nothing heavier is; preferred if no band before has the type."""
    pool, octets, bands = case
    up, able = eligible(pool, rdtype, octets), of_type(pool, rdtype, octets)
    candidates = Roll(pool, rdtype, octets).candidates(bands)
    first = next((set(band) & up for band in bands if set(band) & up), set[int]())
    home = next((set(band) for band in bands if set(band) & able.keys()), set[int]())

    if first:
        assert ([1.0], heaviest(pool, first)) == ([share.portion for share in candidates.shares], flat(candidates))
        assert (Verdict.PREFERRED if home >= first else Verdict.NEXT) == candidates.verdict
    elif not able:
        assert (Verdict.NO_ADDRESS, ()) == (candidates.verdict, candidates.shares)
    elif pool.when_all_down is WhenAllDown.ALL:
        assert Verdict.LAST_RESORT == candidates.verdict
    else:
        assert (Verdict.NOTHING, ()) == (candidates.verdict, candidates.shares)


@settings(max_examples=50)
@given(CASES | SPREADING, FAMILIES)
def test_nobody_who_is_not_up_is_answered_while_anybody_is(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """Candidates are eligible, or the last resort."""
    pool, octets, bands = case
    candidates = Roll(pool, rdtype, octets).candidates(bands)
    up = eligible(pool, rdtype, octets)

    assert flat(candidates) <= up or (not up and candidates.verdict is Verdict.LAST_RESORT)
    assert bool(up) == (candidates.verdict in {Verdict.PREFERRED, Verdict.NEXT, Verdict.SPREAD})


@settings(max_examples=50)
@given(CASES | SPREADING, FAMILIES)
def test_everybody_on_the_way_is_chosen_or_passed_with_a_reason(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """All endpoints of the bands up to the last chosen one's, each once and with a reason; nobody behind."""
    pool, octets, bands = case
    candidates = Roll(pool, rdtype, octets).candidates(bands)
    passed = [number for number, _ in candidates.passed]
    if candidates.verdict is Verdict.NO_ADDRESS:
        assert [] == passed
        return
    last = max((at for at, band in enumerate(bands) if flat(candidates) & set(band)), default=len(bands) - 1)
    if candidates.verdict is Verdict.LAST_RESORT:
        last = len(bands) - 1

    assert sorted(number for band in bands[: last + 1] for number in band) == sorted([*passed, *flat(candidates)])
    assert all(why for _, why in candidates.passed)


@settings(max_examples=50)
@given(CASES | SPREADING, FAMILIES)
def test_the_ttl_is_short_exactly_while_somebody_on_the_way_is_in_trouble(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """An address of this type that is down or about to change, by checks alone: the operator's word is no trouble."""
    pool, octets, bands = case
    candidates = Roll(pool, rdtype, octets).candidates(bands)
    able = of_type(pool, rdtype, octets)
    way = [*flat(candidates), *(number for number, _ in candidates.passed)]
    troubled = any(
        one.word is Word.AUTO and (one.pending or one.health is Health.DOWN) for number in way for one in able.get(number, ())
    )

    assert (pool.ttl_degraded if troubled else pool.ttl) == candidates.ttl


@settings(max_examples=50)
@given(CASES | SPREADING, FAMILIES)
def test_a_degraded_ttl_is_never_longer_than_the_pools_own(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """Whatever ttl_degraded is."""
    pool, octets, bands = case
    pool = replace(pool, ttl=5, ttl_degraded=60)

    assert 5 == Roll(pool, rdtype, octets).candidates(bands).ttl


@settings(max_examples=50)
@given(CASES | SPREADING, FAMILIES, st.data())
def test_health_says_nothing_against_the_operators_word(
    case: tuple[Pool, bytes, Bands], rdtype: int, data: st.DataObject
) -> None:
    """Where somebody is up, checks of endpoints under the operator's word change neither who is answered nor the TTL."""
    pool, octets, bands = case
    other = bytes(
        octet if standing_of(octets, slot).word is Word.AUTO else data.draw(st.integers(0, 2)) | octet & 0b11000 | 4
        for slot, octet in enumerate(octets)
    )
    before, after = (Roll(pool, rdtype, each).candidates(bands) for each in (octets, other))

    if before.verdict is not Verdict.LAST_RESORT:
        assert (before.verdict, before.shares, before.ttl) == (after.verdict, after.shares, after.ttl)


@settings(max_examples=50)
@given(CASES, FAMILIES)
def test_the_last_resort_is_nobody_forced_down_while_there_is_another(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """Rather one that checks call dead, for checks may be wrong and the operator is not."""
    pool, octets, bands = case
    candidates = Roll(pool, rdtype, octets).candidates(bands)
    forced = {number: all(one.word is Word.DOWN for one in own) for number, own in of_type(pool, rdtype, octets).items()}

    if candidates.verdict is Verdict.LAST_RESORT:
        assert flat(candidates)
        assert all(forced.values()) or not any(forced[number] for number in flat(candidates))


@settings(max_examples=50)
@given(CASES | SPREADING, FAMILIES)
def test_one_roll_gives_every_order_what_a_new_one_gives(case: tuple[Pool, bytes, Bands], rdtype: int) -> None:
    """What a roll remembers of one order is never wrong for the next."""
    pool, octets, bands = case
    shared = Roll(pool, rdtype, octets)
    for order in (bands, bands[::-1], tuple(sorted(bands)), bands):
        assert Roll(pool, rdtype, octets).candidates(order) == shared.candidates(order)


ABC = [Server(f"{site}/{site}-1", (f"192.0.2.{number}",)) for number, site in enumerate(("fra", "nyc", "tyo"), start=1)]
A_B_C: Bands = ((0,), (1,), (2,))
HEALTH: list[tuple[str, dict[str, Standing], list[list[str]], Verdict, int]] = [
    ("all well", {}, [["fra/fra-1"]], Verdict.PREFERRED, 30),
    ("not checked yet", {"fra/fra-1": Standing()}, [["fra/fra-1"]], Verdict.PREFERRED, 30),
    ("about to change", {"fra/fra-1": PENDING}, [["fra/fra-1"]], Verdict.PREFERRED, 10),
    ("first down", {"fra/fra-1": DOWN}, [["nyc/nyc-1"]], Verdict.NEXT, 10),
    ("next down", {"nyc/nyc-1": DOWN}, [["fra/fra-1"]], Verdict.PREFERRED, 30),
    ("two down", {"fra/fra-1": DOWN, "nyc/nyc-1": DOWN}, [["tyo/tyo-1"]], Verdict.NEXT, 10),
    ("forced up though down", {"fra/fra-1": FORCED_UP}, [["fra/fra-1"]], Verdict.PREFERRED, 30),
    ("forced down though up", {"fra/fra-1": FORCED_DOWN}, [["nyc/nyc-1"]], Verdict.NEXT, 30),
    ("drained", {"fra/fra-1": DRAINED}, [["nyc/nyc-1"]], Verdict.NEXT, 30),
    ("all down", dict.fromkeys(("fra/fra-1", "nyc/nyc-1", "tyo/tyo-1"), DOWN), [["fra/fra-1"]], Verdict.LAST_RESORT, 10),
    (
        "the dead rather than the forbidden",
        {"fra/fra-1": FORCED_DOWN, "nyc/nyc-1": DOWN, "tyo/tyo-1": DOWN},
        [["nyc/nyc-1"]],
        Verdict.LAST_RESORT,
        10,
    ),
    (
        "the drained rather than the dead",
        {"fra/fra-1": DOWN, "nyc/nyc-1": DRAINED, "tyo/tyo-1": DOWN},
        [["nyc/nyc-1"]],
        Verdict.LAST_RESORT,
        10,
    ),
    (
        "all forbidden",
        dict.fromkeys(("fra/fra-1", "nyc/nyc-1", "tyo/tyo-1"), FORCED_DOWN),
        [["fra/fra-1"]],
        Verdict.LAST_RESORT,
        30,
    ),
]


@pytest.mark.parametrize(("told", "expected", "verdict", "ttl"), [case[1:] for case in HEALTH], ids=[case[0] for case in HEALTH])
def test_three_sites_in_a_row(told: dict[str, Standing], expected: list[list[str]], verdict: Verdict, ttl: int) -> None:
    """Who answers, why and for how long, at each kind of trouble."""
    pool = pool_of("app", ABC, steering=Steering.FAILOVER)
    candidates = roll_of(pool, told).candidates(A_B_C)

    assert (expected, verdict, ttl) == (chosen(pool, candidates), candidates.verdict, candidates.ttl)


@pytest.mark.parametrize(("when", "verdict"), [("all", Verdict.LAST_RESORT), ("fallback", Verdict.NOTHING),
                                               ("nodata", Verdict.NOTHING), ("servfail", Verdict.NOTHING)])  # fmt: skip
def test_when_all_is_down_the_pool_says_what_comes(when: str, verdict: Verdict) -> None:
    """Only "all" answers with dead addresses; the others leave the answer to who asked."""
    pool = pool_of("app", ABC, steering=Steering.FAILOVER, when_all_down=WhenAllDown(when))
    candidates = roll_of(pool, {}, DOWN).candidates(A_B_C)

    assert (verdict, bool(candidates.shares)) == (candidates.verdict, when == "all")


TWO_AT_FRA = [Server(f"fra/fra-{n}", (f"192.0.2.{n}",)) for n in (1, 2)] + [Server("nyc/nyc-1", ("192.0.2.9",))]


@pytest.mark.parametrize(("min_up", "expected"), [(1, [["fra/fra-2"]]), (2, [["nyc/nyc-1"]])])
def test_a_site_with_fewer_than_min_up_counts_as_failed(min_up: int, expected: list[list[str]]) -> None:
    """One of two is down: enough for min_up 1; with 2 the next site takes over, if it has enough itself."""
    pool = pool_of(
        "app", [*TWO_AT_FRA, Server("nyc/nyc-2", ("192.0.2.10",), weight=0)], steering=Steering.FAILOVER, min_up=min_up
    )
    candidates = roll_of(pool, {"fra/fra-1": DOWN}).candidates(((0, 1), (2, 3)))

    assert expected == chosen(pool, candidates)


def test_the_reasons_name_what_everybody_passed_over_lacks() -> None:
    """Health, the operator's word, weight, min_up, family: each is said as it is."""
    servers = [
        Server("fra/dead", ("192.0.2.1",)), Server("fra/forbidden", ("192.0.2.2",)), Server("fra/drained", ("192.0.2.3",)),
        Server("fra/six", ("2001:db8::1",)), Server("nyc/alone", ("192.0.2.4",)), Server("nyc/gone", ("192.0.2.5",)),
        Server("tyo/main", ("192.0.2.6",)), Server("tyo/second", ("192.0.2.7",)), Server("tyo/standby", ("192.0.2.8",), weight=0),
    ]  # fmt: skip
    pool = pool_of("app", servers, steering=Steering.FAILOVER, min_up=2)
    told = {"fra/dead": DOWN, "fra/forbidden": FORCED_DOWN, "fra/drained": DRAINED, "nyc/gone": replace(DOWN, pending=True)}
    candidates = roll_of(pool, told).candidates(((0, 1, 2, 3), (4, 5), (6, 7, 8)))

    assert [["tyo/main", "tyo/second"]] == chosen(pool, candidates)
    assert {
        "fra/dead": "down",
        "fra/forbidden": "forced down by the operator",
        "fra/drained": "drained by the operator",
        "fra/six": "has no address of this type",
        "nyc/alone": "is up, but its site has fewer than 2 up",
        "nyc/gone": "down, about to change",
        "tyo/standby": "stands by (weight 0)",
    } == {pool.label(number): why for number, why in candidates.passed}


def test_weight_0_answers_only_where_nothing_heavier_is_up() -> None:
    """And several of weight 0 are equals then."""
    servers = [Server(f"fra/fra-{n}", (f"192.0.2.{n}",), weight=int(n == 1)) for n in (1, 2, 3)]
    pool = pool_of("app", servers, steering=Steering.WEIGHTED)
    well, ill = (roll_of(pool, told).candidates(((0, 1, 2),)) for told in ({}, {"fra/fra-1": DOWN}))

    assert [["fra/fra-1"]] == chosen(pool, well)
    assert [["fra/fra-2", "fra/fra-3"]] == chosen(pool, ill)
    assert {1: Fraction(1, 2), 2: Fraction(1, 2)} == every_luck(lambda draw: next(weighted((1, 2), (0, 0), draw)))


def test_addresses_of_an_endpoint_are_judged_one_by_one() -> None:
    """One of two addresses is down: the endpoint is up, and only its other address is answered."""
    pool = pool_of("app", [Server("fra/fra-1", ("192.0.2.1", "192.0.2.2"))], steering=Steering.FAILOVER, answers=4)
    roll = Roll(pool, Type.A, bytes((DOWN.octet, UP.octet)))
    candidates = roll.candidates(((0,),))

    assert (Verdict.PREFERRED, 10) == (candidates.verdict, candidates.ttl)
    assert (b"\xc0\0\x02\x02",) == roll.rdatas(candidates, [0])


WEIGHTS = st.lists(st.integers(0, 6), min_size=1, max_size=5)


@given(WEIGHTS)
def test_over_every_ticket_each_endpoint_is_first_exactly_weight_times(weights: list[int]) -> None:
    """The draw is exact: no ticket is lost; weights that are all 0 are equal."""
    numbers = range(len(weights))
    true = weights if any(weights) else [1] * len(weights)
    if len(weights) == 1:
        assert [0] == list(weighted(numbers, weights, lambda _total: 0))
        return
    firsts = Counter(next(weighted(numbers, weights, lambda _total, n=n: n)) for n in range(sum(true)))  # type: ignore[misc]

    assert {number: weight for number, weight in enumerate(true) if weight} == firsts


@given(st.integers(1, 6), st.integers(1, 5))
def test_equal_weights_are_drawn_equally(count: int, weight: int) -> None:
    """Over every possible draw, each of n equal endpoints comes first equally often, and last too."""
    luck = every_luck(lambda draw: tuple(weighted(range(count), [weight] * count, draw)) if count < 4 else ())
    if count < 4:
        for place in (0, -1):
            found: Counter[int] = Counter()
            for sequence, chance in luck.items():
                found[sequence[place]] += chance  # type: ignore[assignment]
            assert dict.fromkeys(range(count), Fraction(1, count)) == found


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_each_next_is_drawn_by_weight_among_those_left(weights: list[int]) -> None:
    """Without replacement: nobody twice, and the second's chance is its share of the weight that is left."""
    luck = every_luck(lambda draw: tuple(weighted(range(len(weights)), weights, draw))[:2])
    total = sum(weights)

    assert {
        (one, other): Fraction(weights[one], total) * Fraction(weights[other], total - weights[one])
        for one in range(len(weights))
        for other in range(len(weights))
        if one != other
    } == luck


@settings(max_examples=50)
@given(CASES, FAMILIES, st.integers(0, 2**40))
def test_an_answer_has_as_many_addresses_as_it_may_and_none_twice(
    case: tuple[Pool, bytes, Bands], rdtype: int, ticket: int
) -> None:
    """Up to `answers`, as long as the candidates have so many; all of the family asked."""
    pool, octets, bands = case
    roll = Roll(pool, rdtype, octets)
    candidates = roll.candidates(bands)
    if not candidates.shares:
        return
    rdatas = roll.rdatas(candidates, roll.drawn(candidates, lambda total: ticket % total, 7))
    there = [rdata for number in flat(candidates) for rdata in roll.addresses(candidates, number)]

    assert min(pool.answers, len(there)) == len(rdatas)
    assert len(rdatas) == len(set(rdatas) & set(there))
    assert {4 if rdtype == Type.A else 16} == {len(rdata) for rdata in rdatas}


def plain_spread(pool: Pool, up: set[int], bands: Bands, home: int) -> list[tuple[float, set[int]]]:
    """By definition: site after site in the order, each with its spare capacity, until the failed ones' load is covered."""
    need = sum(pool.endpoints[number].load or pool.endpoints[number].capacity for number in bands[home])
    found: list[tuple[float, set[int]]] = []
    for band in bands[home + 1 :]:
        for site in dict.fromkeys(pool.endpoints[number].site for number in band):
            alive = heaviest(pool, {number for number in band if number in up and pool.endpoints[number].site == site})
            room = sum(max(pool.endpoints[number].capacity - pool.endpoints[number].load, 0) for number in sorted(alive))
            if room and sum(one for one, _ in found) < need:
                found.append((room, alive))
    return found


FAILED_AT_HOME = pools(IN_ORDER, capacities=st.sampled_from([0.0, 1.0, 4.0, 10.0, 10.0])).flatmap(
    lambda pool: st.tuples(st.just(replace(pool, min_up=1)), orders(pool), st.lists(st.sampled_from([UP, UP, DOWN]), min_size=6))
)


@settings(max_examples=100)
@given(FAILED_AT_HOME, FAMILIES)
def test_users_of_a_failed_site_are_spread_by_spare_capacity(case: tuple[Pool, Bands, list[Standing]], rdtype: int) -> None:
    """Over as many of the next sites as together can bear them, each in proportion to what it can spare."""
    pool, bands, luck = case
    home = next((at for at, band in enumerate(bands) if any(number in of_type(pool, rdtype, b"") for number in band)), 0)
    told = {pool.label(number): DOWN if number in bands[home] else luck[number] for number in range(len(pool.endpoints))}
    octets = standings([pool], told)
    candidates = Roll(pool, rdtype, octets).candidates(bands)
    if not pool.spreads or candidates.verdict not in {Verdict.NEXT, Verdict.SPREAD}:
        return
    expected = plain_spread(pool, eligible(pool, rdtype, octets), bands, home)
    total = sum(room for room, _ in expected)
    if expected:
        assert [alive for _, alive in expected] == [set(share.endpoints) for share in candidates.shares]
        assert [room / total for room, _ in expected] == pytest.approx([share.portion for share in candidates.shares])
    else:  # nobody has anything to spare: the next band bears it, for it is up
        assert [1.0] == [share.portion for share in candidates.shares]
    assert (Verdict.SPREAD if len(expected) > 1 else Verdict.NEXT) == candidates.verdict


@settings(max_examples=50)
@given(SPREADING, FAMILIES, st.data())
def test_clients_whose_first_band_is_up_do_not_feel_a_failure_elsewhere(
    case: tuple[Pool, bytes, Bands], rdtype: int, data: st.DataObject
) -> None:
    """What becomes of endpoints behind the band that answers changes nothing for its clients."""
    pool, octets, bands = case
    before = Roll(pool, rdtype, octets).candidates(bands)
    if before.verdict is not Verdict.PREFERRED:
        return
    last = max(at for at, band in enumerate(bands) if flat(before) & set(band))
    sites = {pool.endpoints[number].site for band in bands[: last + 1] for number in band}
    behind = [number for band in bands[last + 1 :] for number in band if pool.endpoints[number].site not in sites]
    changed = bytearray(octets)
    for number in behind:
        for address in pool.endpoints[number].addresses:
            changed[address.slot] = data.draw(st.sampled_from(EVERY_STANDING)).octet

    assert before == Roll(pool, rdtype, bytes(changed)).candidates(bands)


CAPABLE = [
    Server("fra/a", ("192.0.2.1",), capacity=100, load=60),
    Server("ams/b", ("192.0.2.2",), capacity=50, load=20),
    Server("nyc/c", ("192.0.2.3",), capacity=100, load=10),
    Server("tyo/d", ("192.0.2.4",), capacity=100, load=0),
]


def test_spare_capacity_of_as_many_next_sites_as_are_needed() -> None:
    """Frankfurt bears 60: Amsterdam can spare 30, New York 90, so they take 1 : 3; Tokyo is not needed."""
    pool = pool_of("app", CAPABLE, steering=Steering.NEAREST)
    candidates = roll_of(pool, {"fra/a": DOWN}).candidates(((0,), (1,), (2,), (3,)))

    assert (Verdict.SPREAD, [["ams/b"], ["nyc/c"]]) == (candidates.verdict, chosen(pool, candidates))
    assert [0.25, 0.75] == [share.portion for share in candidates.shares]


def test_a_next_site_without_anything_to_spare_is_left_out() -> None:
    """The neighbour is full: the one behind it has room for all, and gets all; why is said."""
    full = [replace(server, load=50.0) if server.label == "ams/b" else server for server in CAPABLE]
    pool = pool_of("app", full, steering=Steering.NEAREST)
    candidates = roll_of(pool, {"fra/a": DOWN}).candidates(((0,), (1,), (2,), (3,)))

    assert (Verdict.NEXT, [["nyc/c"]]) == (candidates.verdict, chosen(pool, candidates))
    assert ((0, "down"), (1, "has no capacity to spare")) == candidates.passed


def test_an_equally_near_site_that_is_not_needed_is_not_called_full() -> None:
    """Two next sites equally near, and the first has room for all: the other is passed over for that, not for want of room."""
    pool = pool_of("app", [CAPABLE[0], *CAPABLE[2:]], steering=Steering.NEAREST)
    candidates = roll_of(pool, {"fra/a": DOWN}).candidates(((0,), (1, 2)))

    assert [["nyc/c"]] == chosen(pool, candidates)
    assert "has no capacity to spare" not in dict(candidates.passed).values()


SHARES = SPREADING.map(lambda case: (case[0], Roll(case[0], Type.A, case[1]).candidates(case[2])))


@given(SHARES, st.integers(0, 2**33))
def test_a_network_always_goes_to_the_same_share(case: tuple[Pool, Candidates], network: int) -> None:
    """Deterministic by network and pool, and where there is one share it takes all."""
    pool, candidates = case
    if not candidates.shares:
        return
    share = share_of(candidates, pool.name, network)

    assert share == share_of(replace(candidates, verdict=Verdict.NEXT, ttl=1, passed=()), pool.name, network)
    assert 0 <= share < len(candidates.shares)


def test_networks_fall_to_shares_by_their_portions() -> None:
    """Of 20000 networks in a row each share gets its portion, within 1.5 points (over four standard deviations)."""
    pool = pool_of("app", CAPABLE, steering=Steering.NEAREST)
    candidates = roll_of(pool, {"fra/a": DOWN}).candidates(((0,), (1,), (2,), (3,)))
    taken = Counter(share_of(candidates, pool.name, number << 8 | 24) for number in range(20_000))

    assert [0.25, 0.75] == pytest.approx([taken[0] / 20_000, taken[1] / 20_000], abs=0.015)


@pytest.mark.parametrize("standing", EVERY_STANDING, ids=str)
def test_an_octet_holds_a_standing(standing: Standing) -> None:
    """What one process writes another reads; a slot beyond the end is unknown."""
    assert standing == standing_of(bytes((0, standing.octet)), 1)
    assert Standing() == standing_of(bytes((standing.octet,)), 1) == standing_of(ALL_UNKNOWN, 0)


@given(st.integers(0, 255))
def test_any_octet_is_some_standing(octet: int) -> None:
    """Bits that nobody writes do no harm."""
    assert standing_of(bytes((octet,)), 0) in EVERY_STANDING


def test_a_quiet_moment_knows_nothing_and_draws_the_first() -> None:
    """Whoever passes no moment gets the same answer every time."""
    draw: Draw = QUIET.draw

    assert (0, 0) == (len(QUIET.standings), draw(7))


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_shares_make_a_whole(rooms: list[float]) -> None:
    """Portions of any spare capacities sum up to one, so that no network is left over."""
    servers = [Server("fra/a", ("192.0.2.1",), capacity=1000.0)]
    servers += [Server(f"x{n}/b", (f"192.0.2.{n + 2}",), capacity=room) for n, room in enumerate(rooms)]
    pool = pool_of("app", servers, steering=Steering.FAILOVER)
    candidates = roll_of(pool, {"fra/a": DOWN}).candidates(tuple((number,) for number in range(len(servers))))

    assert len(rooms) == len(candidates.shares)
    assert 1.0 == pytest.approx([*accumulate(share.portion for share in candidates.shares)][-1])

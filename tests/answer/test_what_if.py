"""What is foretold against what is answered: every address asks by itself, with every luck of the draw."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import Client, Draw, Moment, Pool, Standing, Steering, WhenAllDown
from geodns.answer.pools import Roll
from geodns.answer.steering import Steered, rendezvous, select
from geodns.answer.what_if import NoUsers, WhatIf, what_if
from geodns.geo import BUCKETS, Place, Version, parse_place, place_of
from geodns.wire import Type
from tests.support.pools import DRAINED, FORCED_DOWN, Server, every_luck, moments, pool_of, pools, standings
from tests.support.world import Places, atlas_of, snapshot_of

DATABASE: Places = {
    "77.1.0.0/30": {"continent": "EU", "country": "DE", "latitude": 50.1, "longitude": 8.7},
    "77.1.0.4/31": {"continent": "EU", "country": "DE", "latitude": 53.6, "longitude": 10.0},
    "77.1.1.0/29": {"continent": "NA", "country": "US", "latitude": 40.7, "longitude": -74.0},
    "77.1.1.8/30": {"continent": "NA", "country": "US", "latitude": 37.8, "longitude": -122.4},
    "77.1.1.9/32": {"anycast": True},
    "77.1.2.0/30": {"continent": "AS", "country": "SG"},
    "77.1.3.0/31": {"continent": "AF"},
    "77.1.4.0/31": {"asn": 64500},
}
REGIONS = {"eu": ("continent:EU",), "rest": ("continent:NA", "continent:AS")}
COUNTRY = {0: "country:DE", 1: "country:US", 2: "country:SG", 3: "continent:AF"}
IN_ORDER = [Steering.NEAREST, Steering.REGION, Steering.FAILOVER]


def foretold(pool: Pool, before: bytes, after: bytes, version: Version = 4, users: dict[str, float] | None = None) -> WhatIf:
    """What would be in the small world."""
    regions = {name: tuple(map(parse_place, texts)) for name, texts in REGIONS.items()}
    return what_if(pool, atlas_of(databases=[DATABASE]), regions, (before, after), version, users)


def down(pool: Pool, *labels: str, word: Standing = FORCED_DOWN) -> tuple[bytes, bytes]:
    """Everything up, and then these down."""
    return standings([pool], {}), standings([pool], dict.fromkeys(labels, word))


def askers() -> list[tuple[str, Place]]:
    """Every address that has a usable place, and its area."""
    addresses = [int(address) for network in DATABASE for address in ip_network(network)]
    return [
        (COUNTRY[address >> 8 & 255], place_of(4, address))
        for address in sorted(set(addresses))
        if address >> 8 & 255 in COUNTRY and address & 0xFFFF != 0x0109
    ]


def plainly(steered: Steered, octets: bytes) -> dict[str, dict[str, Fraction]]:
    """Where each area's addresses go, as they are answered one by one; "" is nowhere."""
    found: dict[str, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    sizes = Counter(area for area, _ in askers())
    for area, place in askers():
        client = Client(place)

        def first(draw: Draw, client: Client = client) -> str:
            return select(steered, Type.A, client, steered.climb(client), Moment(octets, draw)).first

        for label, chance in every_luck(first).items():
            found[area][label] += chance / sizes[area]
    return found


def by_label(pool: Pool, parts: Sequence[float]) -> dict[str, float]:
    labels = [*map(pool.label, range(len(pool.endpoints))), ""]
    return {label: part for label, part in zip(labels, parts, strict=True) if part}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_foretold_is_what_is_answered(data: st.DataObject) -> None:
    """For any pool and any two moments each area's parts are the chances with which its addresses are answered."""
    pool = data.draw(pools([*IN_ORDER, Steering.WEIGHTED]))
    before, after = data.draw(moments(pool)), data.draw(moments(pool))
    told = foretold(pool, before, after)
    steered = snapshot_of({}, databases=[DATABASE], regions=REGIONS, pools=[pool]).pools["app"]

    for octets, parts in ((before, [a.flow.before for a in told.areas]), (after, [a.flow.after for a in told.areas])):
        expected = {area: pytest.approx(dict(chances)) for area, chances in plainly(steered, octets).items()}
        assert expected == {area.name: by_label(pool, part) for area, part in zip(told.areas, parts, strict=True)}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_only_users_of_what_fails_move(data: st.DataObject) -> None:
    """However a pool is steered and spread, those who move are those whom the failed sites bore."""
    pool = data.draw(pools(capacities=st.sampled_from([4.0, 10.0])) | pools())
    failed = data.draw(st.sets(st.sampled_from(pool.sites), min_size=1))
    before, after = down(pool, *(label for label in labels(pool) if label.partition("/")[0] in failed))
    if not Roll(pool, Type.A, after).eligible:
        return
    told = foretold(pool, before, after)

    assert pytest.approx(sum(site.before for site in told.sites if site.name in failed)) == told.whole.moved
    assert all(site.after == 0 for site in told.sites if site.name in failed)
    assert all(site.after >= site.before - 1e-9 for site in told.sites if site.name not in failed)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_users_are_neither_lost_nor_made(data: st.DataObject) -> None:
    """All parts add up to 1, of each area and of all; nothing moves where nothing happens."""
    pool = data.draw(pools([*IN_ORDER, Steering.WEIGHTED], capacities=st.sampled_from([4.0, 10.0])))
    now = data.draw(moments(pool))
    told = foretold(pool, now, data.draw(moments(pool)))
    flows = [told.whole, *(area.flow for area in told.areas)]

    assert pytest.approx(1) == sum(area.users for area in told.areas)
    assert all(pytest.approx(1) == sum(parts) for flow in flows for parts in (flow.before, flow.after))
    assert [] == [area for area in foretold(pool, now, now).areas if area.moves]


def labels(pool: Pool) -> list[str]:
    return [pool.label(number) for number in range(len(pool.endpoints))]


VIDEO = pool_of(
    "video",
    [
        Server("fra/fra", ("198.51.100.10",), capacity=4000, load=2500),
        Server("ams/ams", ("198.51.100.30",), capacity=2000, load=1000),
        Server("nyc/nyc", ("198.51.100.20", "2001:db8::20"), capacity=6000, load=2000),
    ],
    steering=Steering.NEAREST,
)


def test_spare_capacity_shares_what_fails() -> None:
    """In the documentation's example one in five of the users of fra goes to ams, four to nyc."""
    told = foretold(VIDEO, *down(VIDEO, "fra/fra"))
    germany = next(area for area in told.areas if area.name == "country:DE")

    assert pytest.approx({"fra": 4 / 6, "ams": 2 / 6}) == told.by_site(germany.flow.before)
    assert pytest.approx({"nyc": 0.8 * 4 / 6, "ams": 2 / 6 + 0.2 * 4 / 6}) == told.by_site(germany.flow.after)
    assert pytest.approx(4 / 6) == germany.flow.moved
    assert germany is told.areas[0]


def test_loads_give_users_their_unit() -> None:
    """All users together are the sum of loads; what would bear more than its capacity is warned of."""
    told = foretold(VIDEO, *down(VIDEO, "fra/fra"), users={"DE": 3, "US": 1})
    fra, ams, nyc = told.sites

    assert (5500, False) == (told.demand, told.relative)
    assert pytest.approx(0.5 * 5500 / 4000) == fra.used_before
    assert (None, 0) == (fra.used_after, fra.capacity_after)
    assert pytest.approx(0.35 * 5500 / 2000) == ams.used_after
    assert pytest.approx(0.65 * 5500 / 6000) == nyc.used_after
    assert () == told.warnings
    assert ("ams would bear 275% of its capacity (before: 0%)",) == foretold(
        FAILOVER, *down(FAILOVER, "fra/fra"), users={"DE": 1}
    ).warnings


FAILOVER = pool_of(
    "video",
    [Server("fra/fra", ("198.51.100.10",), capacity=8000, load=5500), Server("ams/ams", ("198.51.100.30",), capacity=2000)],
    steering=Steering.FAILOVER,
)


def test_an_endpoint_may_be_overloaded_while_its_site_is_not() -> None:
    """Weights that do not fit capacities are told of the endpoint alone."""
    pool = pool_of(
        "app",
        [
            Server("fra/a", ("198.51.100.1",), capacity=100, load=60),
            Server("fra/b", ("198.51.100.2",), capacity=300, load=60, weight=1),
            Server("nyc/c", ("198.51.100.3",), capacity=100, load=90),
        ],
        steering=Steering.WEIGHTED,
    )
    told = foretold(pool, *down(pool, "nyc/c"))

    assert [False, False] == [site.is_overloaded for site in told.sites]
    assert ("fra/a would bear 105% of its capacity (before: 70%)",) == told.warnings


def test_without_loads_percentages_only_compare() -> None:
    """Users are taken for as many as all sites can bear; who is full first is told, and when."""
    pool = pool_of(
        "app",
        [Server("fra/a", ("198.51.100.1",), capacity=300), Server("nyc/c", ("198.51.100.3",), capacity=100)],
        steering=Steering.WEIGHTED,
    )
    told = foretold(pool, *down(pool))

    assert (400, True) == (told.demand, told.relative)
    assert [pytest.approx(2 / 3), 2.0] == [site.used_after for site in told.sites]
    assert ("nyc", 0.5) == told.first_full
    assert () == told.warnings


def test_hashed_users_move_by_their_buckets() -> None:
    """Every country's networks are in all buckets alike, and only the buckets of what fails move."""
    servers = [Server(f"s{number}/{number}", (f"198.51.100.{number}",), weight=number) for number in (1, 2, 3)]
    pool = pool_of("app", servers, steering=Steering.HASHED)
    told = foretold(pool, *down(pool, "s3/3"))
    firsts = Counter(bands[0][0] for bands in rendezvous(pool))
    seconds = Counter(bands[1][0] for bands in rendezvous(pool) if bands[0][0] == 2)

    for area in told.areas:
        assert pytest.approx([firsts[number] / BUCKETS for number in range(3)] + [0]) == area.flow.before
        assert pytest.approx([(firsts[number] + seconds[number]) / BUCKETS for number in range(2)] + [0, 0]) == area.flow.after


@pytest.mark.parametrize(
    ("when", "warned", "after"),
    [
        (WhenAllDown.ALL, "they are answered with the first choice anyway", {"fra": 1.0}),
        (WhenAllDown.FALLBACK, "they get the plain records", {"": 1.0}),
        (WhenAllDown.NODATA, "they get NODATA", {"": 1.0}),
        (WhenAllDown.SERVFAIL, "they get SERVFAIL", {"": 1.0}),
    ],
)
def test_who_is_left_with_nothing_is_told(when: WhenAllDown, warned: str, after: dict[str, float]) -> None:
    """Where nothing is up, what comes instead is warned of; what is drained serves as a last resort before what is down."""
    servers = [Server("nyc/b", ("198.51.100.2",)), Server("fra/a", ("198.51.100.1",))]
    pool = pool_of("app", servers, steering=Steering.FAILOVER, when_all_down=when)
    told = foretold(pool, standings([pool], {}), standings([pool], {"nyc/b": FORCED_DOWN, "fra/a": DRAINED}))

    assert after == told.by_site(told.whole.after)
    assert (f"nothing is up for 100.0% of the users: {warned}",) == told.warnings


def test_users_of_countries_without_addresses_are_left_out() -> None:
    """They are named; where nobody else is left, that is told instead."""
    told = foretold(VIDEO, *down(VIDEO, "fra/fra"), users={"US": 1, "FR": 5, "JP": 0})

    assert (("FR",), ["country:US"]) == (told.unplaced, [area.name for area in told.areas])
    with pytest.raises(NoUsers):
        foretold(VIDEO, *down(VIDEO, "fra/fra"), users={"FR": 5})
    with pytest.raises(NoUsers):
        foretold(VIDEO, *down(VIDEO, "fra/fra"), version=6)


def test_users_of_ipv6_get_what_has_an_ipv6_address() -> None:
    """The family of users is that of the addresses; capacity without such an address is not there for them."""
    atlas = atlas_of(databases=[{"2a00:1::/32": {"country": "DE"}}])
    told = what_if(VIDEO, atlas, {}, down(VIDEO, "fra/fra"), 6)

    assert {"nyc": 1.0} == told.by_site(told.whole.before) == told.by_site(told.whole.after)
    assert (2000, [0, 0, 6000]) == (told.demand, [site.capacity_before for site in told.sites])


def test_json_has_what_the_text_has() -> None:
    """One plain object: areas, sites, endpoints, and what is warned of."""
    told = foretold(FAILOVER, *down(FAILOVER, "fra/fra"), users={"DE": 1}).as_json()

    assert [{"area": "country:DE", "users": 1.0, "moved": 1.0, "before": {"fra": 1.0}, "after": {"ams": 1.0}}] == told["areas"]
    assert ["fra", "ams"] == [site["name"] for site in told["sites"]]
    assert ["fra/fra", "ams/ams"] == [endpoint["name"] for endpoint in told["endpoints"]]
    assert (1.0, 0.0, None, 1) == (told["moved"], told["unserved"], told["first_full"], len(told["warnings"]))

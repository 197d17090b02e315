"""From a client to a pool's addresses: order by place, region, list, weight or hash; scopes that health never changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import (
    QUIET,
    Client,
    Moment,
    Pool,
    PoolSelection,
    Rung,
    Snapshot,
    Standing,
    Steered,
    Steering,
    Subnet,
    Verdict,
    climb,
)
from geodns.answer.pools import Roll
from geodns.answer.steering import EVERYONE, network_of, policies, rendezvous, select
from geodns.geo import BUCKETS, Nearness, Spot, by_distance, network_number, parse_place
from geodns.wire import Type
from tests.support.pools import DOWN, DRAINED, SPOTS, UP, Server, ask_at, moments, pool_of, pools, standings
from tests.support.world import place, question, snapshot_of

HEAD = "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\napp POOL app\napp A 192.0.2.99\n"
PLACES: dict[str, dict[str, object]] = {
    "81.0.0.0/16": {"continent": "EU", "country": "DE", "latitude": 50.1, "longitude": 8.7},
    "82.0.0.0/16": {"continent": "NA", "country": "US", "latitude": 40.7, "longitude": -74.0},
    "83.0.0.0/16": {"continent": "AS", "country": "JP", "latitude": 35.7, "longitude": 139.7},
    "84.0.0.0/16": {"continent": "AS"},
    "85.0.0.0/16": {"anycast": True, "continent": "AS", "country": "JP"},
    "2a02::/32": {"continent": "EU", "country": "DE", "latitude": 50.1, "longitude": 8.7},
}
REGIONS = {"eu": ("continent:EU", "continent:AF"), "rest": ("continent:NA", "continent:AS")}
CLIENTS = [
    "81.0.1.2",
    "82.0.1.2",
    "83.0.1.2",
    "84.0.1.2",
    "85.0.1.2",
    "10.1.2.3",
    "9.9.9.9",
    "2a02::7",
    "2a03::7",
    "::ffff:81.0.1.2",
]

WORLDWIDE = [
    Server("fra/fra-1", ("192.0.2.1", "2001:db8::1"), region="eu", capacity=100, load=60),
    Server("ams/ams-1", ("192.0.2.2",), region="eu", capacity=50, load=20),
    Server("nyc/nyc-1", ("192.0.2.3", "2001:db8::3"), region="rest", capacity=100, load=10),
    Server("tyo/tyo-1", ("192.0.2.4",), region="rest", capacity=100),
]


def world(pool: Pool) -> Snapshot:
    return snapshot_of({"example.": HEAD}, databases=[PLACES], regions=REGIONS, pools=[pool])


def steered(servers: list[Server], steering: Steering) -> Steered:
    return world(pool_of("app", servers, steering=steering)).pools["app"]


def chosen(given: Steered, address: str, told: dict[str, Standing] | None = None, rdtype: int = Type.A) -> PoolSelection:
    """What a client gets who asks without a client subnet."""
    client = Client(place(address))
    moment = Moment(standings([given.pool], told or {}))
    return select(given, rdtype, client, given.climb(client), moment)


NEAREST: list[tuple[str, dict[str, Standing], str, Rung]] = [
    ("81.0.1.2", {}, "fra/fra-1", Rung.RESOLVER),
    ("82.0.1.2", {}, "nyc/nyc-1", Rung.RESOLVER),
    ("83.0.1.2", {}, "tyo/tyo-1", Rung.RESOLVER),
    ("::ffff:83.0.1.2", {}, "tyo/tyo-1", Rung.RESOLVER),
    ("2a02::7", {}, "fra/fra-1", Rung.RESOLVER),
    ("84.0.1.2", {}, "fra/fra-1", Rung.RESOLVER),
    ("85.0.1.2", {}, "fra/fra-1", Rung.FALLBACK),
    ("10.1.2.3", {}, "fra/fra-1", Rung.FALLBACK),
    ("9.9.9.9", {}, "fra/fra-1", Rung.FALLBACK),
    ("82.0.1.2", {"nyc/nyc-1": DRAINED}, "ams/ams-1", Rung.RESOLVER),
    ("83.0.1.2", {"nyc/nyc-1": DOWN}, "tyo/tyo-1", Rung.RESOLVER),
]


@pytest.mark.parametrize(("address", "told", "first", "rung"), NEAREST)
def test_nearest_answers_with_the_nearest_that_is_up(address: str, told: dict[str, Standing], first: str, rung: Rung) -> None:
    """Located clients by distance; those without coordinates, special and anycast ones by the order as written."""
    uncapped = [replace(server, capacity=0.0) for server in WORLDWIDE]
    selection = chosen(steered(uncapped, Steering.NEAREST), address, told)

    assert (first, rung) == (selection.first, selection.climb.rung)


REGION: list[tuple[str, dict[str, Standing], str]] = [
    ("81.0.1.2", {}, "fra/fra-1"),
    ("81.0.1.2", {"fra/fra-1": DOWN}, "ams/ams-1"),
    ("82.0.1.2", {}, "nyc/nyc-1"),
    ("82.0.1.2", {"nyc/nyc-1": DOWN}, "tyo/tyo-1"),
    ("82.0.1.2", {"nyc/nyc-1": DOWN, "tyo/tyo-1": DOWN}, "ams/ams-1"),
    ("84.0.1.2", {}, "nyc/nyc-1"),
    ("9.9.9.9", {}, "fra/fra-1"),
]


@pytest.mark.parametrize(("address", "told", "first"), REGION)
def test_region_answers_with_its_own_sites_first(address: str, told: dict[str, Standing], first: str) -> None:
    """By distance within the region, then the others; New York is nearer to Amsterdam than to Tokyo, but not in its region."""
    uncapped = [replace(server, capacity=0.0) for server in WORLDWIDE]
    selection = chosen(steered(uncapped, Steering.REGION), address, told)

    assert first == selection.first


@given(pools([Steering.REGION]), st.sampled_from(CLIENTS))
@settings(max_examples=40, deadline=None)
def test_a_regions_sites_come_before_all_others(pool: Pool, address: str) -> None:
    """Whatever the pool: where a region of the pool holds the client, all of its endpoints precede all others, by distance."""
    given = world(pool).pools["app"]
    continent = next(
        (known["continent"] for net, known in PLACES.items() if _inside(address, net) and "anycast" not in known), ""
    )
    home = next((name for name in REGIONS if f"continent:{continent}" in REGIONS[name]), "")
    regions = [
        pool.endpoints[number].region for band in given.bands(given.climb(Client(place(address))).outcome) for number in band
    ]

    assert regions == (sorted(regions, key=lambda region: region != home) if home in regions else regions)


def _inside(address: str, network: str) -> bool:
    found = ip_address(address.removeprefix("::ffff:"))
    return found in ip_network(network)


@given(pools([Steering.NEAREST]), st.sampled_from([net for net in PLACES if "latitude" in PLACES[net]]))
@settings(max_examples=40, deadline=None)
def test_endpoints_stand_in_the_order_of_their_sites(pool: Pool, network: str) -> None:
    """Sites by distance, all endpoints of a site together, equally near sites in one band."""
    given, known = world(pool).pools["app"], PLACES[network]
    here = Spot(float(str(known["latitude"])), float(str(known["longitude"])))
    sites = by_distance(here, [SPOTS[site] for site in pool.sites])
    bands = given.bands(given.climb(Client(place(network.partition("/")[0]))).outcome)

    assert [set(band) for band in sites] == [{pool.endpoints[number].site for number in band} for band in bands]
    assert list(range(len(pool.endpoints))) == sorted(number for band in bands for number in band)


@pytest.mark.parametrize(
    ("steering", "expected"),
    [(Steering.FAILOVER, ((0,), (1, 3), (2,))), (Steering.WEIGHTED, ((0, 1, 2, 3),))],
)
def test_lists_and_weights_do_not_look_at_the_client(steering: Steering, expected: tuple[tuple[int, ...], ...]) -> None:
    """Sites as they are written, or all at once; the same for everybody, and so scope 0."""
    servers = [Server(f"{site}/{n}", (f"192.0.2.{n}",)) for n, site in enumerate(("fra", "ams", "nyc", "ams"), start=1)]
    given = steered(servers, steering)

    assert (None, (expected,)) == (given.partition, given.orders)
    assert {EVERYONE} == {given.climb(Client(place(address))) for address in CLIENTS}


HASHED = pools([Steering.HASHED])
CACHES = [Server(f"fra/cache-{n}", (f"192.0.2.{n}",), weight=weight) for n, weight in enumerate((1, 2, 3, 4, 0), start=1)]


@given(HASHED, st.data())
@settings(max_examples=10, deadline=None)
def test_an_endpoint_that_leaves_moves_only_its_own_buckets(pool: Pool, data: st.DataObject) -> None:
    """In every bucket the order of the others stays, so who was not served by it stays where he is."""
    if len(pool.endpoints) == 1:
        return
    gone = data.draw(st.integers(0, len(pool.endpoints) - 1))
    rest = replace(pool, endpoints=pool.endpoints[:gone] + pool.endpoints[gone + 1 :])
    names = [[rest.endpoints[band[0]].name for band in bands] for bands in rendezvous(rest)]
    before = [[pool.endpoints[band[0]].name for band in bands if band[0] != gone] for bands in rendezvous(pool)]

    assert before == names


@given(HASHED, st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_writing_moves_nothing(pool: Pool, random: Random) -> None:
    """What decides is an endpoint's name."""
    mixed = replace(pool, endpoints=tuple(random.sample(pool.endpoints, len(pool.endpoints))))
    one, other = ([[each.endpoints[band[0]].name for band in bands] for bands in rendezvous(each)] for each in (pool, mixed))

    assert one == other


def test_buckets_are_shared_by_weight() -> None:
    """Weights 1 to 4 take a tenth to four tenths of all buckets, within four standard deviations; weight 0 is last in each."""
    pool = pool_of("app", CACHES, steering=Steering.HASHED)
    found = rendezvous(pool)
    firsts = Counter(bands[0][0] for bands in found)

    for number in range(4):
        share = (number + 1) / 10
        assert abs(firsts[number] - BUCKETS * share) < 4 * (BUCKETS * share * (1 - share)) ** 0.5
    assert {(4,)} == {bands[-1] for bands in found}


def test_a_failed_cache_moves_only_its_own_networks() -> None:
    """Networks of the failed one go elsewhere, to several others; all others stay, and in the end all return."""
    given = steered(CACHES, Steering.HASHED)
    networks = [f"81.{number >> 8}.{number & 255}.9" for number in range(1000)]
    before = {network: chosen(given, network).first for network in networks}
    after = {network: chosen(given, network, {"fra/cache-4": DOWN}).first for network in networks}
    moved = {network for network in networks if before[network] != after[network]}

    assert {network for network in networks if before[network] == "fra/cache-4"} == moved
    assert {"fra/cache-1", "fra/cache-2", "fra/cache-3"} == {after[network] for network in moved}
    assert before == {network: chosen(given, network).first for network in networks}


SAME_NETWORK = [
    ("81.0.1.2", "81.0.1.250"), ("81.0.1.2", "::ffff:81.0.1.77"), ("81.0.1.2", "64:ff9b::81.0.1.3"), ("10.1.2.3", "10.1.2.4"),
    ("2a02:0:0:1100::1", "2a02:0:0:11ff::2"), ("85.0.1.2", "85.0.1.9"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME_NETWORK)
def test_one_network_has_one_answer(one: str, other: str) -> None:
    """/24 and /56, IPv4 inside IPv6 as IPv4, private and anycast networks too."""
    given = steered([*CACHES, Server("fra/more", ("192.0.2.77",), weight=7)], Steering.HASHED)

    assert chosen(given, one).first == chosen(given, other).first
    assert chosen(given, one).climb.outcome == chosen(given, other).climb.outcome


def test_users_of_a_failed_site_stay_where_their_network_was_put() -> None:
    """Frankfurt's networks go to Amsterdam and New York 1 : 3, each always to the same; nobody else moves."""
    far = [f"82.0.{number}.9" for number in range(50)]
    given = steered(WORLDWIDE, Steering.NEAREST)
    failed = {"fra/fra-1": DOWN}
    subnets = [Client(place("9.9.9.9"), place(f"81.0.{number}.0"), Subnet.USED) for number in range(256)]
    moment = Moment(standings([given.pool], failed))
    selections = [select(given, Type.A, client, given.climb(client), moment) for client in subnets]

    assert {Verdict.SPREAD} == {selection.candidates.verdict for selection in selections}
    assert 1 == len({selection.first for selection in selections}), (
        "one cell of the partition has one answer: it is cached as one"
    )
    assert selections == [select(given, Type.A, client, given.climb(client), moment) for client in subnets]
    assert [chosen(given, address).first for address in far] == [chosen(given, address, failed).first for address in far]


def test_networks_of_many_cells_are_spread_by_spare_capacity() -> None:
    """Cells that the partition keeps apart are dealt out in proportion to what the next sites can spare."""
    turns = [PLACES["81.0.0.0/16"], PLACES["83.0.0.0/16"]]
    cells = {f"81.{n >> 8}.{n & 255}.0/24": turns[n % 2] for n in range(4096)}
    pool = pool_of("app", WORLDWIDE, steering=Steering.NEAREST)
    given = snapshot_of({"example.": HEAD}, databases=[cells], pools=[pool]).pools["app"]
    first = Counter(chosen(given, f"81.{n >> 8}.{n & 255}.1", {"fra/fra-1": DOWN}).first for n in range(0, 4096, 2))

    assert {"ams/ams-1", "nyc/nyc-1"} == first.keys()
    assert abs(first["ams/ams-1"] - 2048 / 4) < 4 * (2048 * 3 / 16) ** 0.5


WHOSE = [
    (Client(place("81.0.1.2")), network_number(place("81.0.0.0"), 16)),
    (Client(place("9.9.9.9"), place("81.0.1.2"), Subnet.USED), network_number(place("81.0.0.0"), 16)),
    (Client(place("9.9.9.9"), place("85.0.1.2"), Subnet.USED), network_number(place("9.9.9.9"), 24)),
    (Client(place("::ffff:9.9.9.9")), network_number(place("9.9.9.9"), 24)),
    (Client(place("::ffff:81.0.3.4")), network_number(place("81.0.0.0"), 16)),
    (Client(None, place("85.0.1.2"), Subnet.USED), network_number(place("85.0.1.2"), 24)),
    (Client(None), 0),
]


@pytest.mark.parametrize(("client", "number"), WHOSE)
def test_what_is_dealt_out_by_network_fits_what_resolvers_cache(client: Client, number: int) -> None:
    """The cell that decided, whole; where none did, the sender's network."""
    partition = steered(WORLDWIDE, Steering.NEAREST).partition
    assert partition is not None

    assert number == network_of(climb(partition, client), client)


def test_policies_are_for_pools_that_look_at_the_place() -> None:
    """Nearest and region need address space cut; a region's members are its sites."""
    given = [pool_of("app", WORLDWIDE, steering=steering) for steering in Steering]
    regions = {name: tuple(map(parse_place, texts)) for name, texts in REGIONS.items()}
    spots = tuple(SPOTS[site] for site in ("fra", "ams", "nyc", "tyo"))
    near, ruled = policies(given, regions)

    assert Nearness(spots) == near
    assert (spots, ("eu", "rest"), ((0, 1), (2, 3))) == (ruled.spots, tuple(rule.name for rule in ruled.rules), ruled.members)


SUBNETS = [
    "81.0.1.0/24",
    "82.0.0.0/12",
    "84.0.1.0/24",
    "85.0.0.0/24",
    "10.0.0.0/24",
    "9.9.9.0/24",
    "2a02::/48",
    "0.0.0.0/0",
    "::/0",
]


@given(pools().flatmap(lambda pool: st.tuples(st.just(pool), st.lists(moments(pool), min_size=2, max_size=4))), st.data())
@settings(max_examples=40, deadline=None)
def test_health_never_changes_a_scope(case: tuple[Pool, list[bytes]], data: st.DataObject) -> None:
    """Whoever is up: resolvers keep asking for the same networks, whatever they are answered."""
    pool, octets = case
    snapshot, subnet = world(pool), data.draw(st.sampled_from(SUBNETS))
    asked = question("app.example. A", client_subnet=subnet)
    replies = [ask_at(snapshot, asked, Moment(each)) for each in octets]

    assert 1 >= len({reply.scope for reply in replies if reply.answer})
    assert {0} >= {reply.scope for reply in replies if not reply.answer}  # negative: the same for all, RFC 7871 §7.4


@given(pools([Steering.WEIGHTED, Steering.FAILOVER]), st.sampled_from(SUBNETS))
@settings(max_examples=20, deadline=None)
def test_a_choice_without_location_has_scope_0(pool: Pool, subnet: str) -> None:
    """The same for every client of the sender (RFC 7871 §7.2.1)."""
    assert 0 == ask_at(world(pool), question("app.example. A", client_subnet=subnet), QUIET).scope


@given(pools().flatmap(lambda pool: st.tuples(st.just(pool), moments(pool))), st.sampled_from(CLIENTS))
@settings(max_examples=40, deadline=None)
def test_a_selection_is_its_own_proof(case: tuple[Pool, bytes], address: str) -> None:
    """The addresses are the first endpoint's first, and those of candidates; none where the pool cannot answer."""
    pool, octets = case
    given, client = world(pool).pools["app"], Client(place(address))
    for rdtype in (Type.A, Type.AAAA):
        selection = select(given, rdtype, client, given.climb(client), Moment(octets))
        candidates = Roll(pool, rdtype, octets).candidates(given.bands(selection.climb.outcome))

        assert candidates == selection.candidates
        assert bool(candidates.shares) == bool(selection.rdatas) == bool(selection.first)
        if selection.first:
            owner = next(each for number, each in enumerate(pool.endpoints) if pool.label(number) == selection.first)
            assert selection.rdatas[0] in {each.rdata for each in owner.addresses}


def test_a_client_nobody_knows_gets_the_operators_order() -> None:
    """No address at all: the order as written, for every steering."""
    for steering in Steering:
        given = steered(WORLDWIDE, steering)
        selection = select(given, Type.A, Client(None), given.climb(Client(None)), Moment(standings([given.pool], {}, UP)))
        assert "fra/fra-1" == selection.first

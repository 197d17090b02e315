"""Owns the laws of catchments: a pool would send a network where it does send it, and no verdict says more than physics does."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import Moment, Steering
from geodns.answer.catchment import (
    EXACT,
    GAIN,
    ROUGH,
    Chooser,
    Finding,
    Verdict,
    Whereabouts,
    find,
    plausible,
    whereabouts,
    within,
)
from geodns.geo import Spot, distance
from geodns.geo.atlas import COUNTRY_TABLE
from geodns.geo.round_trips import RoundTrips
from tests.support.pools import DOWN, DRAINED, SPOTS, UP, Server, ask_at, pool_of, standings
from tests.support.world import atlas_of, place, question, snapshot_of

ZONE = """
@ 60 IN SOA ns h 1 1 1 1 1
@ 60 IN NS ns
ns 60 IN A 192.0.2.53
app 60 IN POOL edge
app 60 IN A 192.0.2.9
"""
SERVERS = [
    Server("fra/a", ("198.51.100.1", "2001:db8::1")),
    Server("tyo/b", ("198.51.100.2", "2001:db8::2")),
    Server("syd/c", ("198.51.100.3", "2001:db8::3")),
]
EDGE = pool_of("edge", SERVERS, steering=Steering.NEAREST)
PLACES: dict[str, dict[str, object]] = {
    "81.0.0.0/8": {"country": "DE", "continent": "EU", "latitude": 50.0, "longitude": 9.0},
    "126.0.0.0/8": {"country": "JP", "continent": "AS", "latitude": 35.0, "longitude": 139.0},
    "1.0.0.0/8": {"country": "AU", "continent": "OC", "latitude": -34.0, "longitude": 150.0},
    "24.0.0.0/8": {"country": "US", "continent": "NA"},
    "9.9.9.0/24": {"country": "US", "continent": "NA", "latitude": 37.0, "longitude": -122.0},
}
WORLD = snapshot_of({"example.com.": ZONE}, databases=[PLACES], anycast=["9.9.9.0/24"], pools=[EDGE])
CLIENTS = ["81.0.0.0", "126.0.0.0", "1.0.0.0", "24.0.0.0", "9.9.9.0", "10.0.0.0", "2001:db8:1::"]
GERMANY = Whereabouts(Spot(50.0, 9.0), EXACT)


def trips(*milliseconds: float) -> RoundTrips:
    found = RoundTrips()
    for each in milliseconds:
        found.note(round(each * 1000))
    return found


def at(text: str) -> Whereabouts | None:
    return whereabouts(WORLD.atlas.locate(place(text)), COUNTRY_TABLE)


@given(st.sampled_from(CLIENTS), st.fixed_dictionaries({each.label: st.sampled_from([UP, DOWN, DRAINED]) for each in SERVERS}))
def test_a_network_is_sent_where_its_queries_are(client: str, told: dict[str, object]) -> None:
    """Whoever is up, the site foretold for a network is that of the address which a client in it is answered."""
    moment = Moment(standings([EDGE], told))  # type: ignore[arg-type]
    answered = ask_at(WORLD, question("app.example.com A"), moment, client).answer
    foretold = Chooser(WORLD.pools["edge"], moment).instead(place(client), at(client), trips(30.0), None)
    [address] = [
        text for server in SERVERS if server.label == f"{foretold.site}/{foretold.endpoint}" for text in server.addresses[:1]
    ]

    assert any(address in line.split() for line in answered), answered


def test_a_pool_of_ipv6_alone_is_asked_for_that() -> None:
    """Where no endpoint has an IPv4 address, the one that AAAA is answered with is meant."""
    pool = pool_of("edge", [Server("fra/a", ("2001:db8::1",)), Server("syd/c", ("2001:db8::3",))], steering=Steering.NEAREST)
    world = snapshot_of({"example.com.": ZONE}, databases=[PLACES], pools=[pool])
    found = Chooser(world.pools["edge"], Moment(standings([pool], {}))).instead(
        place("1.0.0.0"), at("1.0.0.0"), trips(30.0), None
    )

    assert ("syd", "c") == (found.site, found.endpoint)
    assert found.kilometres == pytest.approx(distance(Spot(-34.0, 150.0), SPOTS["syd"]))


def test_what_has_no_place_has_no_distance() -> None:
    """Anycast, private and unknown networks are judged by nothing, and are still sent somewhere."""
    for client in ("9.9.9.0", "10.0.0.0", "2001:db8:1::"):
        found = Chooser(WORLD.pools["edge"], Moment()).instead(place(client), at(client), trips(300.0), SPOTS["syd"])
        assert (None, None, None, Verdict.UNKNOWN) == (at(client), found.kilometres, found.milliseconds, found.finding.verdict)
        assert "fra" == found.site


def test_a_mere_country_is_a_rough_place() -> None:
    """Coordinates that stand for a country may be wrong by far more than those of a database."""
    assert [EXACT, ROUGH] == [found.doubt for client in ("81.0.0.0", "24.0.0.0") if (found := at(client))]


@pytest.mark.parametrize(
    ("fastest", "here", "site", "verdict", "sentence"),
    [
        (290.0, "syd", "fra", Verdict.POLARISED, "at best 290 ms, fra would be about 10.5 ms"),
        (290.0, None, "fra", Verdict.SLOW, "at best 290 ms, fra would be about 10.5 ms"),
        (290.0, "fra", "fra", Verdict.DETOUR, "at best 290 ms for 26 km"),
        (290.0, "ams", "fra", Verdict.DETOUR, "at best 290 ms for 389 km"),
        (160.0, "nyc", "fra", Verdict.POLARISED, "at best 160 ms, fra would be about 10.5 ms"),
        (900.0, "nyc", "fra", Verdict.POLARISED, "at best 900 ms, fra would be about 10.5 ms"),
        (100.0, "syd", "fra", Verdict.MISPLACED, "at best 100 ms, so within 10,000 km of here, and not 16,465"),
        (12.0, "fra", "fra", Verdict.WELL, "at best 12 ms"),
        (25.0, "ams", "fra", Verdict.WELL, "at best 25 ms"),
        (170.0, "syd", "syd", Verdict.WELL, "at best 170 ms"),
        (12.0, None, "fra", Verdict.WELL, "at best 12 ms"),
        (500.0, "fra", "", Verdict.DETOUR, "at best 500 ms for 26 km"),
        (500.0, None, "", Verdict.UNKNOWN, "at best 500 ms"),
    ],
)
def test_a_german_network_is_judged(fastest: float, here: str | None, site: str, verdict: Verdict, sentence: str) -> None:
    """Measured here, and sent to a site by a pool: what is to be thought of it, with the numbers."""
    kilometres = GERMANY.to(SPOTS.get(site))
    found = find(trips(fastest, fastest + 50), GERMANY, SPOTS[here] if here else None, site, kilometres)

    assert Finding(verdict, sentence) == found


STUDIED = {
    "Google to .nl: 100 ms, repaired 10": (100.0, 10.0, Verdict.POLARISED),
    "Microsoft to .nl: 90 ms, repaired 20": (90.0, 20.0, Verdict.POLARISED),
    "200 ms more than need be at the site next door": (210.0, 10.0, Verdict.DETOUR),
    "100 ms more than need be at the site next door": (110.0, 10.0, Verdict.DETOUR),
}
"""What Moura et al. (PAM 2022) found: the round trip, the one after the repair, and what it was. Who is polarised is drawn across
an ocean, from New York to Frankfurt."""


@pytest.mark.parametrize("case", STUDIED)
def test_the_cases_of_the_study_are_found(case: str) -> None:
    """Before the repair each is a problem of its kind; after it none is one."""
    before, after, verdict = STUDIED[case]
    client = Whereabouts(SPOTS["nyc"], EXACT)
    here = SPOTS["fra"] if verdict is Verdict.POLARISED else SPOTS["nyc"]

    assert verdict is find(trips(before), client, here, "nyc", client.to(SPOTS["nyc"])).verdict
    assert Verdict.WELL is find(trips(after), client, SPOTS["nyc"], "nyc", client.to(SPOTS["nyc"])).verdict


SPOT = st.builds(Spot, st.floats(-90, 90), st.floats(-180, 180))
MILLISECONDS = st.floats(0.01, 600)


@given(SPOT, st.sampled_from([EXACT, ROUGH]), st.none() | SPOT, st.none() | SPOT, MILLISECONDS)
def test_no_verdict_says_more_than_its_numbers(
    spot: Spot, doubt: float, here: Spot | None, there: Spot | None, fastest: float
) -> None:
    """Polarised is only who could be much faster at a site that is nearer; misplaced only whom light could not have reached."""
    client, measured = Whereabouts(spot, doubt), trips(fastest)
    own, other = client.to(here), client.to(there)
    verdict = find(measured, client, here, "there", other).verdict
    best = measured.fastest / 1000

    assert (own is None and other is None) == (verdict is Verdict.UNKNOWN)
    assert (own is not None and own > within(measured) + doubt) == (verdict is Verdict.MISPLACED)
    if verdict is Verdict.POLARISED:
        assert own is not None
        assert other is not None
        assert other + doubt < own
        assert best >= plausible(other + doubt) + GAIN
    if verdict is Verdict.SLOW:
        assert own is None
    if verdict is Verdict.DETOUR:
        assert own is not None
        assert best >= plausible(own + doubt) + GAIN or other is None or other + doubt >= own


@given(SPOT, st.none() | SPOT, SPOT, MILLISECONDS, MILLISECONDS)
def test_faster_is_never_judged_worse(spot: Spot, here: Spot | None, there: Spot, one: float, other: float) -> None:
    """Who is well would be well if it were faster, unless it is then too fast for its place."""
    client = Whereabouts(spot, EXACT)
    fast, slow = (find(trips(each), client, here, "there", client.to(there)).verdict for each in sorted((one, other)))

    if slow is Verdict.WELL:
        assert fast in {Verdict.WELL, Verdict.MISPLACED}


def test_slow_clients_do_not_make_a_way_look_long() -> None:
    """The fastest round trip is judged, however many take long."""
    assert Verdict.WELL is find(trips(12.0, *[900.0] * 50), GERMANY, SPOTS["fra"], "fra", GERMANY.to(SPOTS["fra"])).verdict


@pytest.mark.parametrize(
    ("fastest", "here", "doubt", "verdict"),
    [
        (35.0, SPOTS["ams"], EXACT, Verdict.POLARISED),  # 389 km explain it, but the site at 26 km would be faster
        (61.0, SPOTS["ams"], ROUGH, Verdict.DETOUR),  # if the place is as wrong as it may be, this is the nearer site
        (80.0, Spot(31.3, 9.0), EXACT, Verdict.DETOUR),  # 2,079 km: light would gain less than 20 ms, if the place is that wrong
        (80.0, Spot(30.2, 9.0), EXACT, Verdict.POLARISED),  # 2,202 km: it would gain more in any case
    ],
)
def test_who_is_doubtful_is_not_blamed_on_routing(fastest: float, here: Spot, doubt: float, verdict: Verdict) -> None:
    """A site must be nearer by more than the place may be wrong, and gain enough by that."""
    assert verdict is find(trips(fastest), Whereabouts(GERMANY.spot, doubt), here, "fra", GERMANY.to(SPOTS["fra"])).verdict


def test_every_verdict_is_explained() -> None:
    """Each says what it means."""
    assert len(Verdict) == len({verdict.meaning for verdict in Verdict})


def test_the_table_of_countries_vouches_for_rough_places() -> None:
    """The atlas names it where it has put a country's coordinates in the place of missing ones."""
    located = atlas_of(databases=[PLACES]).locate(place(str(ip_address("24.0.0.0"))))

    assert COUNTRY_TABLE == located.sources["latitude"]

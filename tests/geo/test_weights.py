"""Weights against the plain definition: every address counted by itself, and users as an operator writes them down."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo import FALLBACK, FIRST_RULE, Atlas, Location, Nearness, Spot, State, place_of
from geodns.geo.partition import Partition
from geodns.geo.weights import AREAS, Weights, read_users, weights
from tests.support.world import Places, atlas_of

KNOWN: tuple[dict[str, object], ...] = (
    {"continent": "EU", "country": "DE", "latitude": 50.1, "longitude": 8.7},
    {"continent": "EU", "country": "DE", "latitude": 53.6, "longitude": 10.0},
    {"continent": "NA", "country": "US"},
    {"continent": "AF"},
    {"country": "AF"},
    {"country": "ZZ"},
    {"asn": 64500},
    {"anycast": True},
)
SITES = Nearness((Spot(50.11, 8.68), Spot(40.71, -74.01), Spot(1.35, 103.82)))
BLOCK = ip_network("77.1.2.0/23")
NETWORKS = st.builds(
    lambda tail, length: str(ip_network((int(BLOCK.network_address) + tail, length), strict=False)),
    st.integers(0, 511),
    st.integers(23, 32),
)
PLACES = st.dictionaries(NETWORKS, st.sampled_from(KNOWN), max_size=8)
STATED = st.dictionaries(NETWORKS, st.sampled_from([{"country": "JP"}, {"region": "here"}, {"asn": 64501}]), max_size=2)


def area_of(located: Location) -> str:
    """What an address with a usable place is counted for, by definition."""
    if located.country and located.country != "ZZ":
        return f"country:{located.country}"
    return f"continent:{located.continent}" if located.continent else ""


def plainly(atlas: Atlas, outcomes: Partition) -> dict[str, dict[int, float]]:
    """Every address of the block counted by itself."""
    found: dict[str, Counter[int]] = {}
    for address in range(int(BLOCK.network_address), int(BLOCK.broadcast_address) + 1):
        place = place_of(4, address)
        located = atlas.locate(place)
        if located.state is State.LOCATED:
            found.setdefault(area_of(located.location), Counter())[outcomes.find(place).outcome] += 1
    return {area: {outcome: float(count) for outcome, count in counts.items()} for area, counts in found.items()}


def counted(atlas: Atlas, version: int = 4) -> tuple[Weights, Partition]:
    """Weights under the policy of the sites, and its partition."""
    areas, outcomes = atlas.partitions([AREAS, SITES])
    return weights(areas, outcomes, 4 if version == 4 else 6), outcomes


@given(st.lists(PLACES, min_size=1, max_size=2), STATED, st.lists(NETWORKS, max_size=2))
@settings(max_examples=30, deadline=None)
def test_every_address_counts_once(databases: list[Places], networks: Places, anycast: list[str]) -> None:
    """Each address with a usable place is one of its country's, with its own outcome; all others are nobody's."""
    atlas = atlas_of(databases=databases, networks=networks, anycast=anycast)
    found, outcomes = counted(atlas)

    assert plainly(atlas, outcomes) == found


def test_continents_are_no_countries() -> None:
    """AF is Africa and Afghanistan: an area is called by its selector."""
    found, _ = counted(atlas_of(databases=[{"77.1.2.0/24": {"continent": "AF"}, "77.1.3.0/25": {"country": "AF"}}]))

    assert {"continent:AF": 256.0, "country:AF": 128.0} == {area: sum(outcomes.values()) for area, outcomes in found.items()}


def test_who_has_no_coordinates_has_the_outcome_of_nobody() -> None:
    """A continent is no place to measure from; a country is, by its representative point."""
    atlas = atlas_of(databases=[{"77.1.2.0/24": {"continent": "EU"}, "77.1.3.0/24": {"country": "DE"}}])
    found, outcomes = counted(atlas)

    assert {FALLBACK: 256.0} == found["continent:EU"]
    assert ((0,), (1,), (2,)) == outcomes.orders[next(iter(found["country:DE"])) - FIRST_RULE]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({"2a00:1::/32": "DE"}, {"DE": 65536.0}),
        ({"2a00:1::/48": "DE", "2a00:1:0:8000::/49": "FR"}, {"DE": 0.5, "FR": 0.5}),
        ({"2a00:1:2:3::/64": "DE"}, {"DE": 2.0**-16}),
        ({"2a00:1:2:3::/65": "DE", "2a00:1:2:3:8000::/66": "FR"}, {"DE": 2.0**-17, "FR": 2.0**-18}),
        ({"2a00:1:2::/47": "DE", "2a00:1:2:3:8000::/65": "FR"}, {"DE": 2 - 2.0**-17, "FR": 2.0**-17}),
        ({"2002::/16": "DE", "::ffff:0:0/96": "DE", "fc00::/7": "DE"}, {}),
    ],
    ids=str,
)
def test_ipv6_is_counted_by_networks_of_48_bits(places: dict[str, str], expected: dict[str, float]) -> None:
    """Parts of a /48 count as parts, down to those of a cut /64; what is looked up as IPv4, or is special, does not count."""
    found, _ = counted(atlas_of(databases=[{network: {"country": country} for network, country in places.items()}]), 6)

    assert {f"country:{country}": size for country, size in expected.items()} == {
        area: sum(outcomes.values()) for area, outcomes in found.items()
    }


def test_partitions_must_be_compiled_together() -> None:
    """Else their prefixes do not fit each other, which is told rather than counted."""
    atlas = atlas_of(databases=[{"77.1.2.0/24": {"country": "DE"}}])

    with pytest.raises(ValueError, match="compiled together"):
        weights(atlas.partitions([AREAS])[0], atlas.partitions([SITES])[0], 4)


@pytest.mark.parametrize(
    "text",
    [
        "DE,12000\nUS,1.5e3\n",
        "country,users\nde,12000\nus,1500\n",
        "# ours\n\n users , name , country\n12000,Germany,DE\n1500, United States,US",
        'country,users\r\n"DE","12000"\r\n"US",1500\r\n',
    ],
)
def test_users_are_read(text: str) -> None:
    """With or without header, in any case, quoted or not, with comments and other columns."""
    assert ({"DE": 12000.0, "US": 1500.0}, []) == read_users(text, "users.csv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DE,1\nUK,2", "users.csv:2: 'UK' is no country (the United Kingdom is GB)"),
        ("Germany,1", "users.csv:1: 'Germany' is no country (write the ISO 3166-1 code of two letters, as in DE,12000)"),
        ("DE,1\n\nDE,2", "users.csv:3: DE is there already (give each country one line)"),
        ("DE,many", "users.csv:1: 'many' is no number of users (write a number from 0, as in DE,12000)"),
        ("DE,-1", "users.csv:1: '-1' is no number of users (write a number from 0, as in DE,12000)"),
        ("DE,nan", "users.csv:1: 'nan' is no number of users (write a number from 0, as in DE,12000)"),
        ("DE;12000", "users.csv:1: has 1 columns instead of 2 (write country,users)"),
        ("", "users.csv: has no users (write lines such as DE,12000)"),
        ("DE,0", "users.csv: has no users (write lines such as DE,12000)"),
    ],
)
def test_bad_users_are_told_with_their_line(text: str, expected: str) -> None:
    """Each bad line is a problem with its remedy."""
    assert [expected] == [str(problem) for problem in read_users(text, "users.csv")[1]]


def test_every_bad_line_is_told_up_to_a_hundred() -> None:
    """All at once, and what is no table of users at all does not fill the screen."""
    problems = read_users("DE,x\n" * 250, "users.csv")[1]

    assert list(range(1, 101)) == [problem.line for problem in problems[:-1]]
    assert "users.csv: 150 more lines are bad (is this a table of users at all?)" == str(problems[-1])

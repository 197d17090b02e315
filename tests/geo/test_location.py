"""Locations: what counts as known."""

from __future__ import annotations

import pytest

from geodns.geo import Atlas, Location, Place, State, parse, prefix_around, rule_of
from geodns.geo.location import PLACE_ATTRIBUTES, Located

KNOWN = [
    (Location(), {}),
    (Location(continent="EU", country="DE"), {"continent": "EU", "country": "DE"}),
    (Location(asn=64500), {"asn": 64500}),
    (Location(anycast=True), {"anycast": True}),
    (Location(region="apac"), {"region": "apac"}),
    (Location(latitude=0.0, longitude=0.0), {"latitude": 0.0, "longitude": 0.0}),
    (Location(latitude=51.5, longitude=0.0), {"latitude": 51.5, "longitude": 0.0}),
    (Location(latitude=-0.0, longitude=109.3), {"latitude": 0.0, "longitude": 109.3}),
]


@pytest.mark.parametrize(("location", "known"), KNOWN)
def test_known_attributes_are_those_with_a_value(location: Location, known: dict[str, object]) -> None:
    """Empty text, None and "not anycast" are unknown; the equator and the meridian of Greenwich are places."""
    assert known == location.known()


def test_greenwich_is_not_replaced_by_the_countrys_point() -> None:
    """A network with a coordinate of 0 keeps it when it is located."""
    place = Place(4, 0xC0000201)
    atlas = Atlas([], {prefix_around(place, 24): Location(country="GB", latitude=51.48, longitude=0.0)}, [])
    located = atlas.locate(place)

    assert (51.48, 0.0) == (located.location.latitude, located.location.longitude)
    assert {"config (geo.networks)"} == {located.sources[name] for name in ("latitude", "longitude")}


def test_the_attributes_of_a_place_are_attributes_of_a_location() -> None:
    """What names a place is a part of what can be known; the network's owner and its region are no place."""
    assert {"asn", "anycast", "region"} == set(Location.__slots__) - set(PLACE_ATTRIBUTES)


def test_a_location_may_be_used_in_one_state_only() -> None:
    """Every state but the last is a reason not to use a location, so that outcomes of rules can follow after it."""
    assert max(State) is State.LOCATED
    assert list(range(len(State))) == sorted(State)


def test_locations_are_values() -> None:
    """Equal places are one key, so that a database's records can be numbered by what they say."""
    rule = rule_of("eu", parse("continent:EU"), {})
    one, other = Location(continent="EU", latitude=1.0), Location(continent="EU", latitude=1.0)

    assert {one: rule} == {other: rule}
    assert {} == Located(one, prefix_around(Place(4, 0), 8), State.LOCATED, "located").sources

"""What databases say: records of every known layout, garbage, and the embedded table of registries."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.geo.address import BITS, VERSIONS, Place, Version, place_of
from geodns.geo.countries import CONTINENTS, continent_of, countries
from geodns.geo.database import CONTINENT_OF_REGISTRY, RegistryTable, embedded, read_record
from geodns.geo.location import Location

NAMES = {"de": "Deutschland", "en": "Germany"}
GERMANY = {"geoname_id": 2921044, "is_in_european_union": True, "iso_code": "DE", "names": NAMES}
EUROPE = {"code": "EU", "geoname_id": 6255148, "names": {"en": "Europe"}}
BERLIN = {"geoname_id": 2950159, "names": {"de": "Berlin", "en": "Berlin"}}

RECORDS: list[tuple[str, dict[str, object], Location]] = [
    (
        "GeoLite2-Country",
        {"continent": EUROPE, "country": GERMANY, "registered_country": {**GERMANY, "iso_code": "US"}},
        Location(continent="EU", country="DE"),
    ),
    (
        "GeoLite2-City",
        {
            "city": BERLIN,
            "continent": EUROPE,
            "country": GERMANY,
            "location": {"accuracy_radius": 20, "latitude": 52.5196, "longitude": 13.4069, "time_zone": "Europe/Berlin"},
            "postal": {"code": "10178"},
            "registered_country": GERMANY,
            "subdivisions": [{"geoname_id": 2950157, "iso_code": "BE", "names": {"en": "Land Berlin"}}],
        },
        Location("EU", "DE", "DE-BE", "Berlin", None, 52.5196, 13.4069),
    ),
    (
        "GeoIP2-City, the larger of two subdivisions",
        {"country": {"iso_code": "GB"}, "subdivisions": [{"iso_code": "ENG"}, {"iso_code": "OXF"}]},
        Location(continent="EU", country="GB", subdivision="GB-ENG"),
    ),
    (
        "GeoLite2-ASN",
        {"autonomous_system_number": 15169, "autonomous_system_organization": "GOOGLE"},
        Location(asn=15169),
    ),
    (
        "GeoIP2-Enterprise",
        {"country": {"confidence": 99, **GERMANY}, "traits": {"autonomous_system_number": 3320, "is_anycast": False}},
        Location(continent="EU", country="DE", asn=3320),
    ),
    (
        "GeoIP2-City, anycast",
        {"continent": EUROPE, "country": GERMANY, "traits": {"is_anycast": True}},
        Location(continent="EU", country="DE", anycast=True),
    ),
    ("GeoLite2-City, anycast without a country", {"traits": {"is_anycast": True}}, Location(anycast=True)),
    ("GeoIP2-Country, continent only", {"continent": {"code": "AS"}}, Location(continent="AS")),
    ("GeoLite2-Country, registered only", {"registered_country": GERMANY}, Location()),
    (
        "DBIP-Country-Lite",
        {"continent": EUROPE, "country": GERMANY},
        Location(continent="EU", country="DE"),
    ),
    (
        "DBIP-City-Lite",
        {
            "city": {"names": {"en": "Kyoto"}},
            "continent": {"code": "AS", "geoname_id": 6255147, "names": {"en": "Asia"}},
            "country": {"iso_code": "JP", "is_in_european_union": False, "names": {"en": "Japan"}},
            "location": {"latitude": 35.0116, "longitude": 135.768},
            "subdivisions": [{"names": {"en": "Kyoto"}}],
        },
        Location("AS", "JP", "", "Kyoto", None, 35.0116, 135.768),
    ),
    (
        "DBIP-ASN-Lite",
        {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"},
        Location(asn=64500),
    ),
    (
        "ipinfo country_asn",
        {
            "as_domain": "google.com", "as_name": "Google LLC", "asn": "AS15169", "continent": "NA",
            "continent_name": "North America", "country": "US", "country_name": "United States",
        },
        Location(continent="NA", country="US", asn=15169),
    ),
    ("ipinfo asn", {"asn": "AS3320", "domain": "telekom.de", "name": "Deutsche Telekom AG"}, Location(asn=3320)),
    (
        "ipinfo country",
        {"continent": "OC", "continent_name": "Oceania", "country": "NZ", "country_name": "New Zealand"},
        Location(continent="OC", country="NZ"),
    ),
    (
        "ipinfo lite",
        {
            "as_domain": "orange.com", "as_name": "Orange S.A.", "asn": "AS3215", "continent": "Europe",
            "continent_code": "EU", "country": "France", "country_code": "FR",
        },
        Location(continent="EU", country="FR", asn=3215),
    ),
    (
        "ipinfo lite, Chad: a name of four letters is no code",
        {"continent": "Africa", "country": "Chad"},
        Location(),
    ),
    (
        "ipinfo core",
        {
            "as_name": "Cloudflare, Inc.", "as_type": "hosting", "asn": "AS13335", "city": "Brisbane", "continent": "Oceania",
            "continent_code": "OC", "country": "Australia", "country_code": "AU", "is_anycast": True, "is_mobile": False,
            "latitude": -27.48159, "longitude": 153.0175, "region": "Queensland", "region_code": "QLD",
            "timezone": "Australia/Brisbane",
        },
        Location("OC", "AU", "AU-QLD", "Brisbane", 13335, -27.48159, 153.0175, anycast=True),
    ),
    (
        "ipinfo location: numbers are text",
        {"city": "Accra", "country": "GH", "lat": "5.55602", "lng": "-0.1969", "region": "Greater Accra"},
        Location("AF", "GH", "", "Accra", None, 5.55602, -0.1969),
    ),
    ("ipinfo core, anycast as text and no country", {"asn": "", "is_anycast": "true"}, Location(anycast=True)),
    ("ipinfo core, not anycast", {"country_code": "DE", "is_anycast": "false"}, Location(continent="EU", country="DE")),
    ("ip-location-db country", {"country_code": "BR"}, Location(continent="SA", country="BR")),
    (
        "ip-location-db city",
        {
            "city": "Portland", "country_code": "US", "latitude": 45.5234, "longitude": -122.676, "postcode": "97201",
            "state1": "Oregon", "state2": "Multnomah", "timezone": "America/Los_Angeles",
        },
        Location("NA", "US", "", "Portland", None, 45.5234, -122.676),
    ),
    (
        "ip-location-db asn",
        {"autonomous_system_number": 64501, "autonomous_system_organization": "Example"},
        Location(asn=64501),
    ),
    ("a full ISO 3166-2 code", {"country_code": "US", "region_code": "us-ca"}, Location("NA", "US", "US-CA")),
    ("lower case", {"country": {"iso_code": "de"}, "continent": {"code": "eu"}}, Location("EU", "DE")),
    ("Greenwich on the equator", {"country_code": "GH", "latitude": 0, "longitude": 0.0},
     Location("AF", "GH", latitude=0.0, longitude=0.0)),
    ("GeoIP2-Domain", {"domain": "example.com"}, Location()),
    ("GeoIP2-Anonymous-IP", {"is_anonymous": True, "is_tor_exit_node": True}, Location()),
]  # fmt: skip

GARBAGE: list[object] = [
    None, [], "DE", b"DE", 5, True, 1.5, {},
    {"country": "Germany"}, {"country": 276}, {"country": b"DE"}, {"country": ["DE"]}, {"country_code": True},
    {"country": {"iso_code": 276}}, {"country": {"iso_code": "DEU"}}, {"country": {"iso_code": "D1"}},
    {"country": {"iso_code": "ÄÖ"}},
    {"country_code": "--"}, {"country_code": "ÄÖ"}, {"country_code": "ßa"}, {"continent": {"code": "Europe"}},
    {"country": {"iso_code": {"iso_code": "DE"}}}, {"continent": {"code": ["EU"]}}, {"continent": {}},
    {"subdivisions": []}, {"subdivisions": {"iso_code": "CA"}}, {"subdivisions": ["CA"]}, {"subdivisions": [{"iso_code": "CA"}]},
    {"city": {"names": ["Berlin"]}}, {"city": {"names": {"en": 5}}}, {"city": 5}, {"region_code": "CA"},
    {"asn": True}, {"asn": 0}, {"asn": -1}, {"asn": 2**32}, {"asn": 1.5}, {"asn": "AS"}, {"asn": "AS0"}, {"asn": "15169 Google"},
    {"asn": "9" * 5000}, {"asn": "²"}, {"autonomous_system_number": True}, {"traits": {"autonomous_system_number": True}},
    {"traits": {"is_anycast": "true"}}, {"traits": [True]}, {"is_anycast": "yes"}, {"is_anycast": b"true"},
    {"is_anycast": ["true"]},
    {"latitude": float("nan"), "longitude": 1.0}, {"latitude": 1.0, "longitude": float("nan")},
    {"latitude": float("inf"), "longitude": 1.0}, {"latitude": "nan", "longitude": "1"}, {"latitude": "1e999", "longitude": "1"},
    {"latitude": 90.1, "longitude": 1.0}, {"latitude": 1.0, "longitude": -180.1}, {"latitude": 1.0}, {"longitude": 1.0},
    {"latitude": True, "longitude": False}, {"latitude": "", "longitude": ""}, {"latitude": [1.0], "longitude": [1.0]},
    {"location": {"latitude": "north", "longitude": 1.0}}, {"location": {"latitude": 2**100, "longitude": 1}}, {"location": 5},
]  # fmt: skip

KEYS = [
    "country", "continent", "country_code", "continent_code", "iso_code", "code", "subdivisions", "region_code", "city", "names",
    "en", "location", "latitude", "longitude", "lat", "lng", "traits", "is_anycast", "anycast", "asn", "autonomous_system_number",
]  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**31), 2**128 - 1) | st.floats() | st.text(max_size=4)
    | st.binary(max_size=3) | st.sampled_from(["DE", "EU", "AS64500", "12.5", "nan"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4), max_leaves=8
)


@pytest.mark.parametrize(("record", "location"), [row[1:] for row in RECORDS], ids=[row[0] for row in RECORDS])
def test_every_layout_is_read(record: dict[str, object], location: Location) -> None:
    """A record as its publisher writes it becomes a location, and what it does not say stays unknown."""
    assert location == read_record(record)


@pytest.mark.parametrize("record", GARBAGE, ids=lambda record: repr(record)[:50])
def test_garbage_says_nothing(record: object) -> None:
    """Wrong types and numbers off the globe are unknown attributes, and never an exception."""
    assert Location() == read_record(record)


def test_garbage_beside_good_is_lost_alone() -> None:
    """One unusable attribute does not take the others along."""
    record = {"country_code": "DE", "asn": "none", "latitude": "north", "longitude": 8.7, "city": ["Berlin"], "is_anycast": 7}

    assert Location(continent="EU", country="DE") == read_record(record)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the reader
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_any_record_is_a_location_of_the_right_types(record: dict[str, object]) -> None:
    """Whatever a file holds, codes are two letters, numbers are in their range, and nothing is raised."""
    location = read_record(record)

    assert all(code == "" or (len(code) == 2 and code.isupper()) for code in (location.continent, location.country))
    assert location.asn is None or (type(location.asn) is int and 0 < location.asn < 2**32)
    assert (location.latitude is None) == (location.longitude is None)
    assert (
        location.latitude is None
        or location.longitude is None
        or (abs(location.latitude) <= 90 and abs(location.longitude) <= 180)
    )
    assert isinstance(location.subdivision, str)
    assert isinstance(location.city, str)
    assert type(location.anycast) is bool


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_a_country_knows_its_continent(layout: str) -> None:
    """Every country of the table gets its continent where a record has none; a record's own continent stays."""
    read = {
        code: read_record({"country": {"iso_code": code}} if layout == "nested" else {"country_code": code}).continent
        for code in countries()
    }

    assert {code: continent_of(code) for code in countries()} == read
    assert "AS" == read_record({"country_code": "RU", "continent_code": "AS"}).continent


# --- the embedded table -----------------------------------------------------------------------------------------------


def place(text: str) -> Place:
    address = ip_address(text)
    return place_of(address.version, int(address))


@pytest.mark.parametrize(
    ("text", "continent", "network"),
    [
        ("81.2.69.5", "EU", "81.0.0.0/8"),
        ("133.11.0.1", "AS", "133.0.0.0/8"),
        ("2a02:8100::1", "EU", "2a00::/12"),
        ("8.8.8.8", "NA", "8.0.0.0/8"),
        ("200.160.2.3", "SA", "200.0.0.0/8"),
        ("196.216.2.6", "AF", "196.0.0.0/8"),
        ("2c0f:fb50::1", "AF", "2c00::/12"),
        ("10.1.2.3", "", "10.0.0.0/8"),
        ("240.0.0.1", "", "240.0.0.0/8"),
        ("::ffff:81.2.69.5", "EU", "81.0.0.0/8"),
    ],
)
def test_a_registry_is_read_as_a_continent(text: str, continent: str, network: str) -> None:
    """An address has the continent of the registry that holds its block, and of nothing outside all blocks."""
    assert (Location(continent=continent), ip_network(network)) == embedded().look_up(place(text))


@pytest.mark.parametrize("text", ["2d00::1", "fc00::1", "::", "ffff::1"])
def test_unknown_space_is_empty(text: str) -> None:
    """Outside all blocks nothing is known, and the prefix said holds no block that is."""
    location, network = embedded().look_up(place(text))
    table = RegistryTable()

    assert Location() == location
    assert (Location(), Location()) == tuple(table.look_up(Place(6, int(edge)))[0] for edge in (network[0], network[-1]))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_layer_says_what_a_look_up_says(version: Version) -> None:
    """At every edge of every cell and beside it, the compiled index and the single look-up agree."""
    table = RegistryTable()
    layer = table.layer(version)
    shift = 64 if version == 6 else 0
    starts = [start << shift for start in layer.starts.high.tolist()]
    ends = [*(start - 1 for start in starts[1:]), (1 << BITS[version]) - 1]

    assert layer.starts.low is None
    for start, end, index in zip(starts, ends, layer.indexes.tolist(), strict=True):
        assert {table.locations[index]} == {table.look_up(Place(version, address))[0] for address in (start, end)}


def test_every_registry_has_a_continent_and_a_location() -> None:
    """The five registries stand for five continents; releasing forgets nothing, for the table is small."""
    table = RegistryTable()
    before = table.locations
    table.release()

    assert set(CONTINENT_OF_REGISTRY.values()) <= set(CONTINENTS)
    assert before == table.locations
    assert (Location(), *(Location(continent=code) for code in CONTINENT_OF_REGISTRY.values())) == table.locations
    assert embedded() is embedded()

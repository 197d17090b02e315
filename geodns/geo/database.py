"""Owns what a geographic database says: records of any known layout as locations, cells and single look-ups."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from ipaddress import ip_network
from typing import Protocol

from geodns.geo.address import Network, Place, Version, prefix_around
from geodns.geo.countries import continent_of
from geodns.geo.layer import Layer, flatten
from geodns.geo.location import Location

CONTINENT_OF_REGISTRY = {"AFRINIC": "AF", "APNIC": "AS", "ARIN": "NA", "LACNIC": "SA", "RIPE NCC": "EU"}
"""What the embedded table takes a registry's whole service region for."""


class Database(Protocol):
    """A source of locations: `locations[index]` for each index of a layer, 0 being "nothing known"."""

    @property
    def name(self) -> str:
        """What to call it in front of users."""

    @property
    def built(self) -> int | None:
        """When it was built, seconds since 1970; None if it does not say."""

    @property
    def locations(self) -> Sequence[Location]:
        """Every distinct location, the first one empty; complete once all layers were asked for."""

    def layer(self, version: Version) -> Layer:
        """The database's cells for one address family."""

    def release(self) -> None:
        """Forget what only compiling needs; look-ups go on."""

    def look_up(self, place: Place) -> tuple[Location, Network]:
        """What is said of one address, and the prefix it is said of."""


class RegistryTable:
    """The embedded default: which regional registry holds which block, read as a continent.

    Source: IANA's "IPv4 Address Space Registry" and "IPv6 Global Unicast Address Assignments". A registry serves more than one
    continent's worth of countries, so the table agrees with a country database for 87 % of the IPv4 space, no more.
    """

    name = "embedded IANA registry table"
    built: int | None = None

    def __init__(self) -> None:
        self.locations: tuple[Location, ...] = (
            Location(),
            *(Location(continent=code) for code in CONTINENT_OF_REGISTRY.values()),
        )
        order = {registry: index for index, registry in enumerate(CONTINENT_OF_REGISTRY, start=1)}
        text = (files("geodns.geo") / "data" / "iana-registry-blocks.csv").read_text("ascii")
        rows = csv.DictReader(text.splitlines())
        self._blocks: dict[Network, int] = {ip_network(row["prefix"]): order[row["registry"]] for row in rows}
        self._lengths: dict[Version, list[int]] = {
            4: sorted({block.prefixlen for block in self._blocks if block.version == 4}, reverse=True),
            6: sorted({block.prefixlen for block in self._blocks if block.version == 6}, reverse=True),
        }

    def layer(self, version: Version) -> Layer:
        """The blocks of one family."""
        return flatten(version, self._blocks.items())

    def release(self) -> None:
        """Keep everything: it is small."""

    def look_up(self, place: Place) -> tuple[Location, Network]:
        """The continent of the block that holds an address."""
        lengths = self._lengths[place.version]
        for length in lengths:
            network = prefix_around(place, length)
            if network in self._blocks:
                return self.locations[self._blocks[network]], network
        return self.locations[0], prefix_around(place, lengths[0])


@cache
def embedded() -> RegistryTable:
    """The table that the package carries, read once."""
    return RegistryTable()


def read_record(record: object) -> Location:
    """A record of a GeoIP2, GeoLite2, DB-IP, IPinfo or ip-location-db file as a location; what it does not know stays empty."""
    if not isinstance(record, dict):
        return Location()
    location = _nested(record) if any(isinstance(value, dict) for value in record.values()) else _flat(record)
    if location.country and not location.continent:
        return replace(location, continent=continent_of(location.country))
    return location


Record = Mapping[str, object]


def _nested(record: Record) -> Location:
    """MaxMind's layout, which DB-IP follows."""
    country = _code(_part(record, "country"), "iso_code")
    subdivisions = record.get("subdivisions")
    first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    part = _text(first.get("iso_code")).upper() if isinstance(first, dict) else ""
    traits, location = _part(record, "traits"), _part(record, "location")
    latitude, longitude = _coordinates(location.get("latitude"), location.get("longitude"))
    return Location(
        continent=_code(_part(record, "continent"), "code"),
        country=country,
        subdivision=f"{country}-{part}" if country and part else "",
        city=_text(_part(_part(record, "city"), "names").get("en")),
        asn=_asn(record.get("autonomous_system_number") or traits.get("autonomous_system_number")),
        latitude=latitude,
        longitude=longitude,
        anycast=traits.get("is_anycast") is True or record.get("is_anycast") is True,
    )


def _flat(record: Record) -> Location:
    """IPinfo's and ip-location-db's layouts, and MaxMind's ASN files."""
    country = _code(record, "country_code", "country")
    region = _text(record.get("region_code")).upper()
    latitude, longitude = _coordinates(record.get("latitude", record.get("lat")), record.get("longitude", record.get("lng")))
    return Location(
        continent=_code(record, "continent_code", "continent"),
        country=country,
        subdivision=region if "-" in region else f"{country}-{region}" if country and region else "",
        city=_text(record.get("city")),
        asn=_asn(record.get("autonomous_system_number") or record.get("asn")),
        latitude=latitude,
        longitude=longitude,
        anycast=any(record.get(key) in (True, "true", "True") for key in ("is_anycast", "anycast")),
    )


_NOTHING: Record = {}


def _part(record: Record, key: str) -> Record:
    """A map inside a map, empty if it is none; maxminddb makes plain dicts, and this runs for every record of a file."""
    found = record.get(key)
    return found if isinstance(found, dict) else _NOTHING


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _code(record: Record, *keys: str) -> str:
    """The first of several keys that holds two letters."""
    return next(
        (text.upper() for key in keys if len(text := _text(record.get(key))) == 2 and text.isascii() and text.isalpha()), ""
    )


def _number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _coordinates(latitude: object, longitude: object) -> tuple[float | None, float | None]:
    """Both or neither, and never off the globe."""
    north, east = _number(latitude), _number(longitude)
    if north is None or east is None or not (abs(north) <= 90 and abs(east) <= 180):
        return None, None
    return north, east


def _asn(value: object) -> int | None:
    if isinstance(value, str):
        digits = value.upper().removeprefix("AS")
        value = int(digits) if digits.isdecimal() and len(digits) <= 10 else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**32 else None

"""Owns what a geographic database says: records of any known layout as locations, cells and single look-ups."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    if not isinstance(record, Mapping):
        return Location()
    location = _nested(record) if any(isinstance(value, Mapping) for value in record.values()) else _flat(record)
    if not location.continent and location.country:
        return replace(location, continent=continent_of(location.country))
    return location


@dataclass(frozen=True, slots=True)
class _Fields:
    """Typed access to a record that may hold anything."""

    record: Mapping[str, object]

    def at(self, *path: str) -> object:
        found: object = self.record
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def text(self, *path: str) -> str:
        found = self.at(*path)
        return found if isinstance(found, str) else ""

    def code(self, *names: str) -> str:
        """The first of several keys that holds two letters."""
        return next((text.upper() for name in names if len(text := self.text(name)) == 2 and text.isalpha()), "")

    def number(self, *path: str) -> float | None:
        found = self.at(*path)
        if isinstance(found, str):
            try:
                return float(found)
            except ValueError:
                return None
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    def coordinates(self, latitude: tuple[str, ...], longitude: tuple[str, ...]) -> tuple[float | None, float | None]:
        """Both or neither, and never off the globe."""
        north, east = self.number(*latitude), self.number(*longitude)
        if north is None or east is None or abs(north) > 90 or abs(east) > 180:
            return None, None
        return north, east


def _nested(record: Mapping[str, object]) -> Location:
    """MaxMind's layout, which DB-IP follows."""
    fields = _Fields(record)
    country = fields.text("country", "iso_code").upper()
    subdivisions = fields.at("subdivisions")
    first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    part = _Fields(first).text("iso_code").upper() if isinstance(first, Mapping) else ""
    latitude, longitude = fields.coordinates(("location", "latitude"), ("location", "longitude"))
    return Location(
        continent=fields.text("continent", "code").upper(),
        country=country,
        subdivision=f"{country}-{part}" if country and part else "",
        city=fields.text("city", "names", "en"),
        asn=_asn(fields.at("autonomous_system_number") or fields.at("traits", "autonomous_system_number")),
        latitude=latitude,
        longitude=longitude,
        anycast=fields.at("traits", "is_anycast") is True or fields.at("is_anycast") is True,
    )


def _flat(record: Mapping[str, object]) -> Location:
    """IPinfo's and ip-location-db's layouts, and MaxMind's ASN files."""
    fields = _Fields(record)
    country = fields.code("country_code", "country")
    region = fields.text("region_code").upper()
    latitude, longitude = fields.coordinates(("latitude",), ("longitude",))
    if latitude is None:
        latitude, longitude = fields.coordinates(("lat",), ("lng",))
    return Location(
        continent=fields.code("continent_code", "continent"),
        country=country,
        subdivision=region if "-" in region else f"{country}-{region}" if country and region else "",
        city=fields.text("city"),
        asn=_asn(record.get("autonomous_system_number") or record.get("asn")),
        latitude=latitude,
        longitude=longitude,
        anycast=any(record.get(key) in {True, "true", "True"} for key in ("is_anycast", "anycast")),
    )


def _asn(value: object) -> int | None:
    if isinstance(value, str):
        digits = value.upper().removeprefix("AS")
        value = int(digits) if digits.isdecimal() else None
    return value if isinstance(value, int) and 0 < value < 2**32 else None

"""Owns the shipped table of countries and continents: codes, names, a point to measure from; refuses to know any network."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

CONTINENTS: dict[str, str] = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
"""Continent code, as geographic databases write it, to English name. Central America and the Caribbean are in NA."""


@dataclass(frozen=True, slots=True)
class Country:
    """One country or territory.

    `code` is ISO 3166-1 alpha-2 (or XK, user-assigned, for Kosovo), `continent` a key of `CONTINENTS`; latitude and longitude are
    decimal degrees, north and east positive, of one representative point: good for an order by distance, not for a place.
    """

    code: str
    continent: str
    latitude: float
    longitude: float
    name: str


@cache
def countries() -> Mapping[str, Country]:
    """Every country by its code in upper case, in the order of the codes; sources in `data/README.md`."""
    with files("geodns.geo").joinpath("data", "countries.csv").open(encoding="utf-8") as rows:
        table = {
            row["country"]: Country(
                row["country"], row["continent"], float(row["latitude"]), float(row["longitude"]), row["name"]
            )
            for row in csv.DictReader(rows)
        }
    return MappingProxyType(table)


def continent_of(code: str) -> str:
    """The continent of a country code in upper case; "" if no country has that code."""
    country = countries().get(code)
    return country.continent if country else ""

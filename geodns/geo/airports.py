"""Owns the shipped table of airports: the codes by which operators of resolvers name their sites; refuses to know any network."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from geodns.geo.location import Location


@cache
def airports() -> Mapping[str, Location]:
    """The place of every airport by its IATA code in upper case; sources in `data/README.md`."""
    with files("geodns.geo").joinpath("data", "airports.csv").open(encoding="utf-8") as rows:
        table = {
            row["code"]: Location(
                country=row["country"], city=row["city"], latitude=float(row["latitude"]), longitude=float(row["longitude"])
            )
            for row in csv.DictReader(rows)
        }
    return MappingProxyType(table)

"""Owns how many users are where: addresses by country and outcome, or an operator's own table; knows no servers."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from geodns.geo.address import Version
from geodns.geo.countries import CONTINENTS, countries
from geodns.geo.partition import FALLBACK, FIRST_RULE, FamilyCells, Ipv4Prefixes, Ipv6Prefixes, Partition
from geodns.geo.rules import Rule
from geodns.geo.selector import ContinentSelector, CountrySelector, PlaceSelector
from geodns.problem import Problem

_SELECTORS: tuple[PlaceSelector, ...] = (*map(ContinentSelector, CONTINENTS), *map(CountrySelector, countries()))

AREAS: tuple[Rule, ...] = tuple(Rule(str(selector), (selector,)) for selector in _SELECTORS)
"""A policy that tells every country from every other, and where no country is known every continent."""

Weights = Mapping[str, Mapping[int, float]]
"""How much of each area has each outcome. An area is called by its selector, such as `country:DE`; "" has neither country nor
continent, as a network that the operator placed by region alone."""

_Sizes = npt.NDArray[np.float64]
_SHOWN_BAD_LINES = 100
_IN_ONE_OF_48 = 2.0**16  # so many networks of 64 bits


def weights(areas: Partition, outcomes: Partition, version: Version) -> Weights:
    """How many IPv4 addresses, or IPv6 networks of 48 bits, of each area have each outcome.

    `areas` is the partition of the policy AREAS. Addresses without a usable place (special, anycast, in no database) are in no
    area. Raises ValueError for partitions that were not compiled together, for only those are cut at the same addresses.
    """
    one: FamilyCells = areas.ipv4 if version == 4 else areas.ipv6
    other: FamilyCells = outcomes.ipv4 if version == 4 else outcomes.ipv6
    if one.prefixes is not other.prefixes:
        raise ValueError("these partitions were not compiled together")
    found: dict[str, dict[int, float]] = {}
    for area, outcome, size in zip(one.outcomes, other.outcomes, _class_sizes(one.prefixes, len(one.outcomes)), strict=True):
        if area >= FALLBACK and size:
            within = found.setdefault(AREAS[area - FIRST_RULE].name if area >= FIRST_RULE else "", {})
            within[outcome] = within.get(outcome, 0.0) + float(size)
    return found


def _class_sizes(prefixes: Ipv4Prefixes | Ipv6Prefixes, classes: int) -> _Sizes:
    """How much address space each class of prefixes has."""
    starts, of = np.asarray(prefixes.starts), np.asarray(prefixes.classes)
    if isinstance(prefixes, Ipv4Prefixes):
        return _by_class(of, np.diff(np.append(starts.astype(np.uint64), np.uint64(1 << 32))), classes)
    sizes = (np.append(starts[1:], np.uint64(0)) - starts).astype(np.float64)  # 0 stands for 2^64, so the difference is right
    sizes[np.isin(starts, np.fromiter(prefixes.longer, dtype=np.uint64))] = 0  # the class of a cut /64 means nothing
    found = _by_class(of[: len(starts)], sizes, classes)
    for lows, first in prefixes.longer.values():
        pieces = np.diff(np.append(np.asarray(lows).astype(np.float64), 2.0**64)) / 2.0**64
        found += _by_class(of[first : first + len(lows)], pieces, classes)
    return found / _IN_ONE_OF_48


def _by_class(classes: npt.NDArray[Any], sizes: npt.NDArray[Any], count: int) -> _Sizes:
    return np.bincount(classes, weights=sizes, minlength=count).astype(np.float64)


def read_users(text: str, name: str) -> tuple[dict[str, float], list[Problem]]:
    """Read an operator's table of users: lines of `country,users`, by ISO 3166-1 code; and every problem with its line.

    A header that names these columns permits others, in any order; empty lines and comments (#) are passed over. The unit of
    users is free. Bad lines are all told, up to a hundred. Where there are problems, what was read is not to be used.
    """
    users: dict[str, float] = {}
    problems: list[Problem] = []
    for number, cells in _rows(text, name, problems):
        country, count = (cell.strip() for cell in cells)
        code = country.upper()
        if code not in countries():
            remedy = "the United Kingdom is GB" if code == "UK" else "write the ISO 3166-1 code of two letters, as in DE,12000"
            problems.append(Problem(name, number, f"'{country}' is no country", remedy))
        elif code in users:
            problems.append(Problem(name, number, f"{code} is there already", "give each country one line"))
        elif (amount := _amount(count)) is None:
            problems.append(Problem(name, number, f"'{count}' is no number of users", "write a number from 0, as in DE,12000"))
        else:
            users[code] = amount
    if (more := len(problems) - _SHOWN_BAD_LINES) > 0:
        problems[_SHOWN_BAD_LINES:] = [Problem(name, 0, f"{more} more lines are bad", "is this a table of users at all?")]
    if not problems and not any(users.values()):
        problems.append(Problem(name, 0, "has no users", "write lines such as DE,12000"))
    return users, problems


def _rows(text: str, name: str, problems: list[Problem]) -> Iterator[tuple[int, tuple[str, str]]]:
    """The lines with something in them: number, country and users as they are written; what is no such line is a problem."""
    at = (0, 1)
    width, first = 2, True
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            cells = next(csv.reader([line], skipinitialspace=True))
        except csv.Error as error:
            problems.append(Problem(name, number, f"is no line of a CSV file: {error}", "write country,users"))
            continue
        titles = [cell.strip().lower() for cell in cells]
        if first and {"country", "users"} <= set(titles):
            at, width = (titles.index("country"), titles.index("users")), len(titles)
        elif len(cells) != width:
            problems.append(Problem(name, number, f"has {len(cells)} columns instead of {width}", "write country,users"))
        else:
            yield number, (cells[at[0]], cells[at[1]])
        first = False


def _amount(text: str) -> float | None:
    """A number from 0; None for anything else."""
    try:
        amount = float(text)
    except ValueError:
        return None
    return amount if isfinite(amount) and amount >= 0 else None

"""Owns the maps of resolvers' egress: from which prefix a resolver at which place asks; refuses to know who uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from geodns.geo.airports import airports
from geodns.geo.countries import CONTINENTS, continent_of, countries
from geodns.geo.lists import SHOWN_BAD_LINES, BadLine, cells_of, date_in_name, date_of, lines_of, network_of, shown
from geodns.geo.location import Location
from geodns.problem import Problem, Severity, errors

_COLUMNS = {
    "prefix": "prefix",
    "ip_prefix": "prefix",
    "network": "prefix",
    "continent": "continent",
    "country": "country",
    "alpha2code": "country",
    "region": "subdivision",
    "subdivision": "subdivision",
    "city": "city",
    "asn": "asn",
    "latitude": "latitude",
    "longitude": "longitude",
    "airport": "airport",
    "iata": "airport",
}
_GEOFEED = ("prefix", "country", "subdivision", "city", "postal")  # RFC 8805 §2.1.1
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True)
class EgressPrefix:
    """One prefix from which a resolver asks, and where that resolver is.

    `location` is empty where the map says that a prefix has no place; `source` is the path of the map, `line` counts from 1,
    `as_of` is an ISO date, "" if unknown.
    """

    network: IPv4Network | IPv6Network
    location: Location
    source: str
    line: int
    as_of: str


def read_all(paths: Sequence[Path], *, keep_rest: bool = False) -> tuple[list[EgressPrefix], list[Problem]]:
    """Read several maps as one: as `read`; a prefix that two of them place differently is an error too."""
    kept: dict[IPv4Network | IPv6Network, EgressPrefix] = {}
    problems: list[Problem] = []
    for path in paths:
        prefixes, found = read(path, keep_rest=keep_rest)
        problems += found
        for entry in prefixes:
            first = kept.setdefault(entry.network, entry)
            if first.location != entry.location:
                message = f"{entry.network} is elsewhere in {first.source}:{first.line}"
                problems.append(Problem(entry.source, entry.line, message, "keep one of the two"))
    return list(kept.values()), problems


def read(path: Path, *, keep_rest: bool = False) -> tuple[list[EgressPrefix], list[Problem]]:
    """Read a map: its prefixes in the order of the file, and every problem.

    A line is `prefix,country,region,city,postal` (a geofeed, RFC 8805), or what a header line with a column `prefix` names; or
    `prefix airport`, with as many pairs on a line, in quotes or not, as `dig` prints of what Google publishes as the TXT records
    of locations.publicdns.goog. With a bad line nothing of the map is kept, unless `keep_rest`: then bad lines are warnings. Of
    those, a hundred are told and the others counted. Its date is named by the path, else by a comment, else it is the file's own.
    Nothing is raised.
    """
    name = str(path)
    lines = lines_of(path)
    if isinstance(lines, Problem):
        return [], [lines]
    as_of = date_in_name(path) or date_of(lines) or datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    kept: dict[IPv4Network | IPv6Network, EgressPrefix] = {}
    bad: list[Problem] = []
    severity = Severity.WARNING if keep_rest else Severity.ERROR
    for number, entries in _entries(lines):
        try:
            for network, location in entries:
                entry = kept.setdefault(network, EgressPrefix(network, location, name, number, as_of))
                if entry.location != location:
                    raise BadLine(f"{network} is elsewhere in line {entry.line}", "keep one of the two")
        except BadLine as fault:
            bad.append(Problem(name, number, str(fault), fault.remedy, severity))
    problems = bad[:SHOWN_BAD_LINES]
    if more := len(bad) - len(problems):
        problems.append(Problem(name, 0, f"{more} more lines are bad", "is this a map of prefixes at all?", severity))
    if not kept and not errors(problems):
        problems.append(Problem(name, 0, "no prefix in this map", "fetch it again, or remove it from geo.egress"))
    elif kept and not any(entry.location.known() for entry in kept.values()):
        remedy = "name the columns in a header line, such as prefix,country"
        problems.append(Problem(name, 0, "no prefix of this map has a place", remedy))
    return ([] if errors(problems) else list(kept.values())), problems


_Entries = Iterator[tuple[IPv4Network | IPv6Network, Location]]


def _entries(lines: list[str]) -> Iterator[tuple[int, _Entries]]:
    """Number from 1 and entries of each line that says something; taking these raises BadLine."""
    columns: Sequence[str] = _GEOFEED
    first = True
    for number, line in enumerate(lines, start=1):
        text = re.split("[#;]", line, maxsplit=1)[0].strip()  # dig writes its comments with ;
        if not text:
            continue
        titles = [cell.lower() for cell in cells_of(text)]
        if first and _COLUMNS.keys() & set(titles) and "prefix" in map(_COLUMNS.get, titles):
            columns = [_COLUMNS.get(title, "") for title in titles]
        elif "," in text:
            yield number, _tabled(cells_of(text), columns)
        else:
            yield number, _paired(text)
        first = False


def _tabled(cells: list[str], columns: Sequence[str]) -> _Entries:
    """The entry of one line of CSV."""
    if len(cells) > len(columns):
        raise BadLine(f"{len(cells)} columns, where {len(columns)} are known", "name all columns in a header line")
    known = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
    if "prefix" not in known:
        raise BadLine("no prefix", "write one like 192.0.2.0/24 or 2001:db8::/32")
    network = network_of(known["prefix"])
    if "airport" in known:
        yield network, _airport(known["airport"])
        return
    latitude, longitude = _coordinates(known)
    location = Location(
        continent=_continent(known),
        country=_country(known),
        subdivision=_subdivision(known),
        city=known.get("city", ""),
        asn=_asn(known),
        latitude=latitude,
        longitude=longitude,
    )
    if location.known() and not set(location.known()) - {"asn", "city"}:
        raise BadLine(f"says of {network} no place that could be used", "give country, continent, or latitude and longitude")
    yield network, location


def _paired(text: str) -> _Entries:
    """The entries of one line of Google's form; what stands before the first quote, as owner and type, is no entry."""
    quoted = _QUOTED.findall(text)
    words = (" ".join(quoted) if quoted else text).split()
    for at in range(0, len(words), 2):
        network = network_of(words[at])
        if at + 1 == len(words):
            raise BadLine(f"{network} has no place", "write prefix,country or prefix airport")
        yield network, _airport(words[at + 1])


def _airport(code: str) -> Location:
    place = airports().get(code.upper())
    if place is None:
        raise BadLine(f"{shown(code)} is no airport code that is known here", "write the line as prefix,country instead")
    return place


def _continent(known: dict[str, str]) -> str:
    code = known.get("continent", "").upper()
    if code and code not in CONTINENTS:
        raise BadLine(f"{shown(code)} is no continent", f"write one of {', '.join(CONTINENTS)}")
    country = known.get("country", "").upper()
    if code and country in countries() and continent_of(country) != code:
        raise BadLine(f"country {country} is not in continent {code}", "make them agree")
    return code


def _country(known: dict[str, str]) -> str:
    code = known.get("country", "").upper()
    if code and code not in countries():
        raise BadLine(f"{shown(code)} is no country", "write its ISO 3166-1 code of two letters, such as DE")
    return code


def _subdivision(known: dict[str, str]) -> str:
    code = known.get("subdivision", "").upper()
    if code and not _SUBDIVISION.fullmatch(code):
        raise BadLine(f"{shown(code)} is no subdivision", "write its ISO 3166-2 code, such as US-CA")
    if code and known.get("country", code[:2]).upper() != code[:2]:
        raise BadLine(f"subdivision {code} is not in country {known['country'].upper()}", "make them agree")
    return code


def _asn(known: dict[str, str]) -> int | None:
    text = known.get("asn", "").upper().removeprefix("AS")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 0 < int(text) < 1 << 32):
        raise BadLine(f"{shown(text)} is no AS number", "write one such as 64500")
    return int(text)


def _coordinates(known: dict[str, str]) -> tuple[float | None, float | None]:
    if ("latitude" in known) != ("longitude" in known):
        raise BadLine("has one of latitude and longitude", "give both, or neither")
    if "latitude" not in known:
        return None, None
    return _degrees(known["latitude"], "latitude", 90), _degrees(known["longitude"], "longitude", 180)


def _degrees(text: str, what: str, most: int) -> float:
    try:
        degrees = float(text)
    except ValueError:
        degrees = float("nan")
    if not abs(degrees) <= most:  # what is not a number is not within either
        raise BadLine(f"{shown(text)} is no {what}", f"write decimal degrees from -{most} to {most}, such as 50.11")
    return degrees

"""Owns the lists of anycast prefixes, shipped and the operator's: which, by whom, why; refuses to say what is unicast."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from geodns.problem import Problem, Severity, errors

# A list names routes, and no route is this short: a mistyped length would distrust the location of much of the planet.
_SHORTEST = {4: 8, 6: 16}

# The authors of the LACeS census are confident of an entry with more sites than these; with fewer, anycast probing reports
# unicast as anycast (README of github.com/ut-dacs/anycast-census, "Recommendations"). A count that does not name its method,
# as in the census's three-column CSV, is held to the stricter bound.
_NOT_ENOUGH_BY_PROBING = 3
_NOT_ENOUGH_BY_LATENCY = 1

_ISO_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_COUNT = re.compile(r"(\d{1,9})(\.0+)?")


@dataclass(frozen=True, slots=True)
class AnycastPrefix:
    """One prefix said to be anycast, and on whose word.

    `operator` is "" where the list does not name one; `signal` is "designated" (IANA) or "listed"; `evidence` says in a phrase
    why; `source` is "shipped" or the path of the operator's list; `as_of` is an ISO date, "" where the list has none.
    """

    network: IPv4Network | IPv6Network
    operator: str
    signal: str
    evidence: str
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a line has its prefix and its counts (index, column name, number not enough); the probed address is cell 1."""

    prefix: int
    counts: tuple[tuple[int, str, int], ...] = ()
    has_probed_address: bool = False

    def width(self) -> int:
        """How many cells a line needs at least."""
        return 1 + max([self.prefix, *(index for index, _, _ in self.counts)])


# Without a header the number of cells tells the form: plain, bgp.tools with the probed address, LACeS.
_HEADERLESS = {
    1: _Columns(0),
    2: _Columns(0, has_probed_address=True),
    3: _Columns(0, counts=((1, "number_of_sites", _NOT_ENOUGH_BY_PROBING),)),
}


class _BadLine(ValueError):
    """A line that is no entry, with its remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class _TooFewSites(Exception):
    """A sound entry whose counts are too small to be believed."""


@cache
def shipped() -> tuple[AnycastPrefix, ...]:
    """The prefixes that come with the program: IANA's designations, root servers, public resolvers; see `data/README.md`."""
    with files("geodns.geo").joinpath("data", "anycast.csv").open(encoding="utf-8") as rows:
        return tuple(
            AnycastPrefix(ip_network(row["prefix"]), row["operator"], row["signal"], row["evidence"], "shipped", row["as_of"])
            for row in csv.DictReader(rows)
        )


def read_list(path: Path) -> tuple[list[AnycastPrefix], list[Problem]]:
    """Read an operator's list of anycast prefixes: those kept, in the order of the file, and every problem.

    A line is a prefix or an address (bgp.tools `anycatch-v4-prefixes.txt`), `prefix,probed address` (its CSV), or
    `prefix,number_of_sites,backing_prefix` (LACeS census); a header line that names a column `prefix` permits any other
    columns and orders. Entries of too few sites are left out and counted in a warning. Nothing is raised.
    """
    name = str(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as fault:
        return [], [Problem(name, 0, f"cannot be read: {fault.strerror}", "correct the path or its permissions")]
    except UnicodeDecodeError:
        return [], [Problem(name, 0, "is not a text file", "give a text file with one prefix on each line")]
    kept: dict[IPv4Network | IPv6Network, AnycastPrefix] = {}
    problems: list[Problem] = []
    skipped = 0
    as_of = _date_of(lines)
    for number, cells, columns in _rows(lines):
        try:
            network, evidence = _entry(cells, columns)
        except _TooFewSites:
            skipped += 1
        except _BadLine as fault:
            problems.append(Problem(name, number, str(fault), fault.remedy))
        else:
            kept.setdefault(network, AnycastPrefix(network, "", "listed", evidence, name, as_of))
    if skipped:
        problems.append(_left_out(name, skipped))
    if not kept and not errors(problems):
        problems.append(Problem(name, 0, "no anycast prefix in this list", "fetch it again, or remove it"))
    return list(kept.values()), problems


def _left_out(name: str, skipped: int) -> Problem:
    entries = "1 entry" if skipped == 1 else f"{skipped} entries"
    return Problem(
        name,
        0,
        f"{entries} left out: too few sites to be sure",
        f"trusted are more than {_NOT_ENOUGH_BY_PROBING} sites by anycast probing, more than {_NOT_ENOUGH_BY_LATENCY} by latency",
        Severity.WARNING,
    )


def _date_of(lines: list[str]) -> str:
    """The first date that a comment of the list names; "" if none does."""
    for line in lines:
        for text in _ISO_DATE.findall(line.partition("#")[2]):
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                continue
    return ""


def _rows(lines: list[str]) -> Iterator[tuple[int, list[str], _Columns | None]]:
    """Number from 1, cells and columns of each line that says something; no columns where their number tells the form."""
    header: _Columns | None = None
    first = True
    for number, line in enumerate(lines, start=1):
        if text := line.partition("#")[0].strip():
            cells = _cells(text)
            names = [cell.lower() for cell in cells]
            if first and "prefix" in names:
                header = _named(names)
            else:
                yield number, cells, header
            first = False


def _cells(text: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error:  # a field past the reader's size limit: no list has one, so the line as a whole is shown as bad
        return [text]


def _named(names: list[str]) -> _Columns:
    """The columns of a header line; a count by latency says so in its name (LACeS: `GCD_ICMPv4`), others are by probing."""
    counts = []
    for index, name in enumerate(names):
        if "gcd" in name or "latency" in name:
            counts.append((index, name, _NOT_ENOUGH_BY_LATENCY))
        elif name.startswith("ab_") or name == "ab" or "sites" in name:
            counts.append((index, name, _NOT_ENOUGH_BY_PROBING))
    return _Columns(names.index("prefix"), counts=tuple(counts))


def _entry(cells: list[str], header: _Columns | None) -> tuple[IPv4Network | IPv6Network, str]:
    """The prefix of one line and its evidence; raises `_BadLine` or `_TooFewSites`."""
    columns = header or _HEADERLESS.get(len(cells))
    if columns is None:
        raise _BadLine(f"{len(cells)} columns and no header line to name them", "start the list with its header line")
    if len(cells) < columns.width():
        raise _BadLine(f"{len(cells)} columns, the header line names more", "fetch the list again, or complete the line")
    network = _network(cells[columns.prefix])
    if columns.counts:
        return network, _sites(cells, columns)
    if columns.has_probed_address:
        return network, f"probed at {_probed(cells[1])}"
    return network, "named in the list"


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        if "%" in text:
            raise ValueError
        network = ip_network(text, strict=False)
    except ValueError:
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise _BadLine(f"'{shown}' is no prefix", "write one like 192.0.2.0/24 or 2001:db8::/32") from None
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise _BadLine(f"{text} has bits set beyond its prefix length", f"write {network}")
    if network.prefixlen < (shortest := _SHORTEST[network.version]):
        raise _BadLine(f"{network} is shorter than /{shortest}", "list the prefixes that are anycast, each by itself")
    return network


def _probed(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise _BadLine(f"'{text}' is no probed address", "write prefix,address, or name the columns in a header line") from None


def _sites(cells: list[str], columns: _Columns) -> str:
    """Which counts make the entry believed, as its evidence."""
    enough = []
    for index, name, not_enough in columns.counts:
        # An empty cell is a method that did not probe this prefix.
        count = _COUNT.fullmatch(cells[index] or "0")
        if not count:
            raise _BadLine(f"'{cells[index]}' in column {name} is no number of sites", "write a whole number")
        if int(count[1]) > not_enough:
            enough.append(f"{name} {count[1]}")
    if not enough:
        raise _TooFewSites
    return ", ".join(enough)

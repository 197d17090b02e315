"""Owns the lists of anycast prefixes, shipped and the operator's: which, by whom, why; refuses to say what is unicast."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from geodns.geo.lists import SHOWN_BAD_LINES, BadLine, cells_of, date_in_name, date_of, lines_of, network_of
from geodns.problem import Problem, Severity, errors

# The authors of the LACeS census are confident of an entry with more sites than these; with fewer, anycast probing reports
# unicast as anycast (README of github.com/ut-dacs/anycast-census, "Recommendations"). The same README says of the three-column
# CSV that its `number_of_sites` was found by latency. A count that does not name its method is held to the stricter bound.
_NOT_ENOUGH_BY_PROBING = 3
_NOT_ENOUGH_BY_LATENCY = 1

_COUNT = re.compile(r"(\d{1,9})(\.0+)?")


SHIPPED = "shipped"
"""The source of the prefixes that come with the program."""


@dataclass(frozen=True, slots=True)
class AnycastPrefix:
    """One prefix said to be anycast, and on whose word.

    `operator` is "" where the list does not name one; `signal` is "designated" (IANA) or "listed"; `evidence` says in a phrase
    why; `source` is "shipped" or the path of the operator's list, with its `*` for snapshots; `as_of` is an ISO date, "" where
    the list has none.
    """

    network: IPv4Network | IPv6Network
    operator: str
    signal: str
    evidence: str
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a line has its prefix, its counts (index, column name, number not enough) and its operators' AS numbers.

    The probed address is cell 1.
    """

    prefix: int
    counts: tuple[tuple[int, str, int], ...] = ()
    has_probed_address: bool = False
    asn: tuple[int, ...] = ()

    def width(self) -> int:
        """How many cells a line needs at least."""
        return 1 + max([self.prefix, *self.asn, *(index for index, _, _ in self.counts)])


# Without a header the number of cells tells the form: plain, bgp.tools with the probed address, LACeS (by latency).
_HEADERLESS = {
    1: _Columns(0),
    2: _Columns(0, has_probed_address=True),
    3: _Columns(0, counts=((1, "number_of_sites", _NOT_ENOUGH_BY_LATENCY),)),
}


class _TooFewSites(Exception):
    """A sound entry whose counts are too small to be believed."""


@cache
def shipped() -> tuple[AnycastPrefix, ...]:
    """The prefixes that come with the program: IANA's designations, root servers, public resolvers; see `data/README.md`."""
    with files("geodns.geo").joinpath("data", "anycast.csv").open(encoding="utf-8") as rows:
        return tuple(
            AnycastPrefix(ip_network(row["prefix"]), row["operator"], row["signal"], row["evidence"], SHIPPED, row["as_of"])
            for row in csv.DictReader(rows)
        )


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One of several states of a list: its date ("" if unknown) and what it had."""

    path: Path
    as_of: str
    prefixes: tuple[AnycastPrefix, ...]


def read(path: Path, *, keep_rest: bool = False) -> tuple[list[AnycastPrefix], list[Problem]]:
    """Read what one entry of `geo.anycast` names: a list, or snapshots of one list.

    Snapshots are named by a path with `*` in it, as `Path.glob` takes it, or by a directory, all of whose files are meant.
    A list flaps from scan to scan, so a prefix counts when at least half of those snapshots have it that have any prefix of
    its family; lists of IPv4 and IPv6 may lie side by side. A snapshot's date is in its name (2026-11-01 or 20261101, also as
    2026/11/01/file), else in a comment. Parameters and result are those of `read_list`.
    """
    if "*" in str(path):
        return _read_snapshots(path, matched(path), keep_rest=keep_rest)
    if path.is_dir():
        return _read_snapshots(path, matched(path / "*"), keep_rest=keep_rest)
    return read_list(path, keep_rest=keep_rest)


def matched(pattern: Path) -> list[Path]:
    """The files that a path with `*` in it names, no hidden ones, in order; raises OSError where one cannot look."""
    parts = pattern.parts
    first = next(number for number, part in enumerate(parts) if "*" in part)
    start = Path(*parts[:first])
    return sorted(path for path in start.glob("/".join(parts[first:])) if path.is_file() and not path.name.startswith("."))


def _read_snapshots(named: Path, paths: Sequence[Path], *, keep_rest: bool) -> tuple[list[AnycastPrefix], list[Problem]]:
    problems: list[Problem] = []
    snapshots = []
    for path in paths:
        prefixes, found = read_list(path, keep_rest=keep_rest)
        problems += found
        as_of = next((prefix.as_of for prefix in prefixes), "") or date_in_name(path)
        snapshots.append(_Snapshot(path, as_of, tuple(prefixes)))
        if not as_of and not errors(found):
            remedy = "put one into it, such as anycatch-v4-2026-11-01.txt: what is told of a prefix comes from the newest"
            problems.append(Problem(str(path), 0, "this snapshot has no date in its name", remedy, Severity.WARNING))
    if not paths:
        problems.append(
            Problem(str(named), 0, "no file is meant by this", "put a snapshot of the list there, or remove the entry")
        )
    if errors(problems):
        return [], problems
    return _in_half(str(named), sorted(snapshots, key=lambda snapshot: (snapshot.as_of, str(snapshot.path)))), problems


def _in_half(source: str, snapshots: Sequence[_Snapshot]) -> list[AnycastPrefix]:
    """The prefixes that at least half of the snapshots of their family have, as the newest that has each describes it."""
    total = {
        version: sum(any(prefix.network.version == version for prefix in snapshot.prefixes) for snapshot in snapshots)
        for version in (4, 6)
    }
    times: dict[IPv4Network | IPv6Network, int] = {}
    newest: dict[IPv4Network | IPv6Network, AnycastPrefix] = {}
    for snapshot in snapshots:
        for prefix in snapshot.prefixes:
            times[prefix.network] = times.get(prefix.network, 0) + 1
            newest[prefix.network] = replace(prefix, as_of=snapshot.as_of)
    return [
        replace(prefix, source=source, evidence=f"in {times[network]} of {of} snapshots: {prefix.evidence}")
        for network, prefix in newest.items()
        if 2 * times[network] >= (of := total[network.version])
    ]


def read_list(path: Path, *, keep_rest: bool = False) -> tuple[list[AnycastPrefix], list[Problem]]:
    """Read an operator's list of anycast prefixes: those kept, in the order of the file, and every problem.

    A line is a prefix or an address (bgp.tools `anycatch-v4-prefixes.txt`), `prefix,probed address` (its CSV), or
    `prefix,number_of_sites,backing_prefix` (LACeS census); a header line that names a column `prefix` permits any other
    columns and orders. Entries of too few sites are left out and counted in a warning. With a bad line nothing of the list is
    kept, unless `keep_rest`: then bad lines are warnings. Of those, a hundred are told and the others counted. Nothing is raised.
    """
    name = str(path)
    lines = lines_of(path)
    if isinstance(lines, Problem):
        return [], [lines]
    kept, bad, skipped = _sorted_out(name, lines, Severity.WARNING if keep_rest else Severity.ERROR)
    problems = bad[:SHOWN_BAD_LINES]
    if more := len(bad) - len(problems):
        remedy = "is this a list of prefixes at all?"
        problems.append(Problem(name, 0, f"{more} more lines are bad", remedy, bad[0].severity))
    if skipped:
        problems.append(_left_out(name, skipped))
    if not kept and not errors(problems):
        problems.append(Problem(name, 0, "no anycast prefix in this list", "fetch it again, or remove it"))
    return ([] if errors(problems) else kept), problems


def _sorted_out(name: str, lines: list[str], severity: Severity) -> tuple[list[AnycastPrefix], list[Problem], int]:
    """The entries of a list, its bad lines, and how many entries have too few sites."""
    kept: dict[IPv4Network | IPv6Network, AnycastPrefix] = {}
    bad: list[Problem] = []
    skipped = 0
    as_of = date_in_name(Path(name)) or date_of(lines)
    for number, cells, columns in _rows(lines):
        try:
            network, operator, evidence = _entry(cells, columns)
        except _TooFewSites:
            skipped += 1
        except BadLine as fault:
            bad.append(Problem(name, number, str(fault), fault.remedy, severity))
        else:
            kept.setdefault(network, AnycastPrefix(network, operator, "listed", evidence, name, as_of))
    return list(kept.values()), bad, skipped


def _left_out(name: str, skipped: int) -> Problem:
    entries = "1 entry" if skipped == 1 else f"{skipped} entries"
    return Problem(
        name,
        0,
        f"{entries} left out: too few sites to be sure",
        f"trusted are more than {_NOT_ENOUGH_BY_PROBING} sites by anycast probing, more than {_NOT_ENOUGH_BY_LATENCY} by latency",
        Severity.WARNING,
    )


def _rows(lines: list[str]) -> Iterator[tuple[int, list[str], _Columns | None]]:
    """Number from 1, cells and columns of each line that says something; no columns where their number tells the form."""
    header: _Columns | None = None
    first = True
    for number, line in enumerate(lines, start=1):
        if text := line.partition("#")[0].strip():
            cells = cells_of(text)
            names = [cell.lower() for cell in cells]
            if first and "prefix" in names:
                header = _named(names)
            else:
                yield number, cells, header
            first = False


def _named(names: list[str]) -> _Columns:
    """The columns of a header line; a count by latency says so in its name (LACeS: `GCD_ICMPv4`), others are by probing.

    The census's short CSV is known by its three names: what it counts is by latency.
    """
    if names == ["prefix", "number_of_sites", "backing_prefix"]:
        return _HEADERLESS[3]
    counts = []
    for index, name in enumerate(names):
        if "gcd" in name or "latency" in name:
            counts.append((index, name, _NOT_ENOUGH_BY_LATENCY))
        elif name.startswith("ab_") or name == "ab" or "sites" in name:
            counts.append((index, name, _NOT_ENOUGH_BY_PROBING))
    asn = tuple(index for index, name in enumerate(names) if name == "asn")
    return _Columns(names.index("prefix"), counts=tuple(counts), asn=asn)


def _entry(cells: list[str], header: _Columns | None) -> tuple[IPv4Network | IPv6Network, str, str]:
    """The prefix of one line, its operator and its evidence; raises `BadLine` or `_TooFewSites`."""
    columns = header or _HEADERLESS.get(len(cells))
    if columns is None:
        raise BadLine(f"{len(cells)} columns and no header line to name them", "start the list with its header line")
    if len(cells) < columns.width():
        raise BadLine(f"{len(cells)} columns, the header line names more", "fetch the list again, or complete the line")
    network = network_of(cells[columns.prefix])
    if columns.counts:
        return network, _operator(cells, columns), _sites(cells, columns)
    if columns.has_probed_address:
        return network, "", f"probed at {_probed(cells[1])}"
    return network, _operator(cells, columns), "named in the list"


def _operator(cells: list[str], columns: _Columns) -> str:
    """The AS numbers that announce the prefix; several are joined by `_` in the LACeS census."""
    numbers = [number.upper().removeprefix("AS") for index in columns.asn for number in cells[index].split("_")]
    return " ".join(f"AS{number}" for number in numbers if number.isdecimal())


def _probed(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadLine(f"'{text}' is no probed address", "write prefix,address, or name the columns in a header line") from None


def _sites(cells: list[str], columns: _Columns) -> str:
    """Which counts make the entry believed, as its evidence."""
    enough = []
    for index, name, not_enough in columns.counts:
        # An empty cell is a method that did not probe this prefix.
        count = _COUNT.fullmatch(cells[index] or "0")
        if not count:
            raise BadLine(f"'{cells[index]}' in column {name} is no number of sites", "write a whole number")
        if int(count[1]) > not_enough:
            enough.append(f"{name} {count[1]}")
    if not enough:
        raise _TooFewSites
    return ", ".join(enough)

"""Owns what all lists of prefixes have in common: their lines, prefixes, dates and bad lines; refuses to know what is listed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from geodns.problem import Problem

SHOWN_BAD_LINES = 100
"""Bad lines told of one file: one of another kind has a million of them, and they say the same."""

# A list names routes, and no route is this short: a mistyped length would distrust the location of much of the planet.
_SHORTEST = {4: 8, 6: 16}

_ISO_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_DATE_IN_NAME = re.compile(r"(?<!\d)(\d{4})([-_./]?)(\d{2})\2(\d{2})(?!\d)")


class BadLine(ValueError):
    """A line that is no entry, with its remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def lines_of(path: Path) -> list[str] | Problem:
    """The lines of a file, or why it cannot be read; nothing is raised."""
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as fault:
        return Problem(str(path), 0, f"cannot be read: {fault.strerror}", "correct the path or its permissions")
    except UnicodeDecodeError:
        return Problem(str(path), 0, "is not a text file", "give a text file with one prefix on each line")


def cells_of(text: str) -> list[str]:
    """The cells of one line of CSV."""
    try:
        return [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error:  # a field past the reader's size limit: no list has one, so the line as a whole is shown as bad
        return [text]


def network_of(text: str) -> IPv4Network | IPv6Network:
    """A prefix, or an address by itself; raises BadLine for what is none, or shorter than any route."""
    try:
        if "%" in text:
            raise ValueError
        network = ip_network(text, strict=False)
    except ValueError:
        raise BadLine(f"{shown(text)} is no prefix", "write one like 192.0.2.0/24 or 2001:db8::/32") from None
    if network.prefixlen < (shortest := _SHORTEST[network.version]):
        raise BadLine(f"{network} is shorter than /{shortest}", "list the prefixes that are meant, each by itself")
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise BadLine(f"{text} has bits set beyond its prefix length", f"write {network}")
    return network


def shown(text: str) -> str:
    """A text in a message, and not so long that it hides the rest."""
    return f"'{text}'" if len(text) <= 60 else f"'{text[:60]}…'"


def date_of(lines: Iterable[str]) -> str:
    """The first date that a comment of a list names, in ISO form; "" if none does."""
    for line in lines:
        for text in _ISO_DATE.findall(line.partition("#")[2]):
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                continue
    return ""


def date_in_name(path: Path) -> str:
    """The last date in a path, so that a directory's date gives way to the file's own; "" if there is none."""
    found = ""
    for year, _, month, day in _DATE_IN_NAME.findall(str(path)):
        try:
            found = date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            continue
    return found

"""Owns one zone from master file to namespace, this floor's door; refuses to know clients, regions and sockets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from geodns.problem import Problem, errors
from geodns.wire.names import Name
from geodns.zone.doubts import UNDOUBTED, Anycast, Doubts, border, doubts_of
from geodns.zone.master import Record, ZoneFile, origin_of, parse_text, read
from geodns.zone.records import GEO, POOL, geo_fields, pool_name, type_text
from geodns.zone.semantics import Fault, check
from geodns.zone.tree import (
    Cut,
    Exact,
    Match,
    Missing,
    Node,
    Outside,
    PoolReference,
    Redirection,
    Variant,
    Wildcard,
    ZoneContents,
    build,
)

__all__ = [
    "GEO",
    "POOL",
    "UNDOUBTED",
    "Anycast",
    "Cut",
    "Doubts",
    "Exact",
    "Fault",
    "Match",
    "Missing",
    "Node",
    "Outside",
    "PoolReference",
    "Record",
    "Redirection",
    "Variant",
    "Wildcard",
    "ZoneContents",
    "ZoneFile",
    "build",
    "check",
    "geo_fields",
    "load",
    "origin_of",
    "parse_text",
    "pool_name",
    "read",
    "type_text",
]


def load(
    path: Path, origin: Name, selector_fault: Fault, pool_fault: Fault, doubts: Doubts = UNDOUBTED
) -> tuple[ZoneContents | None, list[Problem]]:
    """Read, check and build a zone; None when a problem of severity error refuses it. Problems are sorted by file and line.

    `selector_fault` and `pool_fault` judge a selector and a pool's name: a sentence with a remedy, or None. Of a zone without
    errors, `doubts` tells what to warn of.
    """
    zone_file = read(path, origin)
    problems = list(zone_file.problems)
    if zone_file.records or not problems:  # of a file that cannot be read at all, nothing more is known
        problems += check(origin, zone_file.records, str(path), selector_fault, pool_fault)
    if errors(problems):
        return None, sorted(problems)
    problems += doubts_of(zone_file.records, doubts)
    meeting = border(origin, zone_file.records, doubts.served)
    return replace(build(origin, zone_file.records, str(path)), border=meeting), sorted(problems)

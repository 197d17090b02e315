"""Owns what is legal in a zone but surely not meant, with its lines; refuses to know the planet: what it must know is handed in.

Nothing here refuses a load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from geodns.problem import Problem, Severity, bounded
from geodns.wire import names
from geodns.wire.names import Name
from geodns.wire.records import Type
from geodns.zone.master import Record
from geodns.zone.records import geo_fields, type_text

_ADDRESSES = frozenset({Type.A, Type.AAAA})

Anycast = Callable[[bytes], str | None]
"""Says of the RDATA of an A or AAAA record who holds the address to be anycast; None where nobody does."""


class Doubts(NamedTuple):
    """What is known beyond a zone: `selector` says why a selector is surely not meant, `served` has all origins."""

    selector: Callable[[str], str | None]
    anycast: Anycast
    served: frozenset[Name]


UNDOUBTED = Doubts(lambda _selector: None, lambda _rdata: None, frozenset())
"""Nothing is known beyond the zone."""


def doubts_of(records: Sequence[Record], doubts: Doubts) -> list[Problem]:
    """Warnings of one zone, of each kind a bounded number."""
    geo: dict[tuple[Name, int], list[Record]] = {}
    for record in records:
        if record.rdtype == Type.GEO:
            geo.setdefault((record.owner, geo_fields(record.rdata)[1]), []).append(record)
    return [*bounded(_without_effect(records, geo, doubts.anycast)), *bounded(_doubtful_selectors(geo, doubts))]


def _without_effect(records: Sequence[Record], geo: dict[tuple[Name, int], list[Record]], anycast: Anycast) -> Iterator[Problem]:
    """Rules among anycast addresses: whichever is answered, routing chooses the site."""
    plain: dict[tuple[Name, int], list[bytes]] = {key: [] for key in geo if key[1] in _ADDRESSES}
    for record in records if plain else ():
        if record.rdtype in _ADDRESSES and (record.owner, record.rdtype) in plain:
            plain[record.owner, record.rdtype].append(record.rdata)
    for key, fallback in plain.items():
        rdatas = [*fallback, *(geo_fields(record.rdata)[2] for record in geo[key])]
        if fallback and all(map(anycast, rdatas)):
            what = f"GEO {type_text(key[1])} of {names.to_text(key[0])}"
            message = f"{what} has no effect: all addresses are anycast ({anycast(rdatas[0])}), so routing chooses the site"
            remedy = "answer with the sites' own addresses, or take the rules out; addresses with sites of their own may stay"
            yield _warning(geo[key][0], message, remedy)


def _doubtful_selectors(geo: dict[tuple[Name, int], list[Record]], doubts: Doubts) -> Iterator[Problem]:
    seen: set[str] = set()
    for rrset in geo.values():
        for record in rrset:
            selector = geo_fields(record.rdata)[0]
            if selector in seen:
                continue
            seen.add(selector)
            if why := doubts.selector(selector):
                yield _warning(record, why, "")


def border(origin: Name, records: Sequence[Record], served: frozenset[Name]) -> tuple[Record, ...]:
    """The records in which zones that are served here meet: a zone's own NS records, delegations to others, and their glue."""
    below = {other for other in served if other != origin and names.is_subdomain(other, origin)}
    return tuple(
        record
        for record in records
        if (record.rdtype == Type.NS and (record.owner == origin or record.owner in below))
        or (below and record.rdtype in _ADDRESSES and not below.isdisjoint(names.suffixes(record.owner)))
    )


def _warning(record: Record, message: str, remedy: str) -> Problem:
    return Problem(record.file, record.line, message, remedy, Severity.WARNING)

"""Owns the forms of prepared replies, and how one is put together out of a response; refuses to decide what is answered."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from geodns.answer.pools import Draw
from geodns.geo import FALLBACK, Buckets, Cell, Partition, Place, mix
from geodns.wire import MAX_MESSAGE, Name, Query, Response, RRset, question_of, render
from geodns.wire.query import AA, HEADER, HEADER_SIZE, QR
from geodns.wire.response import RECORD_HEAD

LARGEST = 512 - 11 - 4 - 4 - 16 - 6
"""Octets of a prepared reply without OPT, so that it fits every sender: OPT, the longest client subnet, an extended error."""

Heads = tuple[bytes, bytes, bytes, bytes]
"""The ten header octets behind the id, by `recursion desired | has OPT << 1`."""

Prepared = tuple[Heads, bytes, int]
"""A reply: its headers, everything behind the question, and the number of its counters, one for each `How`."""


class Choice:
    """Replies of which one is picked for each query: by the client's network among shares, by draw within a share."""

    __slots__ = ("_bounds", "_key", "_shares")

    def __init__(self, pool: str, portions: Sequence[float], shares: Sequence[tuple[list[int], list[Prepared]]]) -> None:
        """Each share has a portion of the clients, and replies with the tickets, summed up, by which they are drawn."""
        self._key = int.from_bytes(pool.encode(), "big") << 64
        self._shares = shares
        total = 0.0
        self._bounds = [total := total + portion for portion in portions]

    def pick(self, draw: Draw, network: int) -> Prepared:
        """The reply for a client in this network."""
        shares = self._shares
        at = 0
        if len(shares) > 1:
            at = min(bisect_right(self._bounds, mix(network ^ self._key) / 2**64), len(shares) - 1)
        tickets, replies = shares[at]
        return replies[bisect_right(tickets, draw(tickets[-1]))] if len(replies) > 1 else replies[0]


Variant = Prepared | Choice | None
"""The reply of an outcome; None where the address asked has no usable location, so the next rung decides."""


@dataclass(frozen=True, slots=True)
class Everyone:
    """The partition that cuts nothing: one outcome for all, whoever asks."""

    def find(self, _place: Place) -> Cell:
        """The outcome, and a scope that says that it is the same for all."""
        return Cell(FALLBACK, 0)

    def is_named(self, _place: Place) -> bool:
        """No network of the operator decides here."""
        return False


Divided = Partition | Buckets | Everyone
"""Address space, cut by who gets what."""

_Numbers: TypeAlias = "array[int]"
Steering = tuple[_Numbers, _Numbers, int, _Numbers, _Numbers, _Numbers, bytes, Sequence[Variant], Divided, bool]
"""How a client's variant is found: `starts`, `top`, `shift` and `classes` of the partition's IPv4 prefixes, `outcomes`, `pages`
and `scopes` of its IPv4 cells, the variants, the partition, and whether that is all: no choice among variants, no network of
the operator to be counted.

The same is in the partition; taken apart here, a look-up touches fewer objects. Only a true partition has arrays.
"""

Entry = tuple[Heads, bytes, int, Steering | None]
"""What a question gets: one reply for everyone, or that of the fallback and the way to the others."""

_OWNER = b"\xc0\x0c"  # a compression pointer to the name asked
_NONE: array[int] = array("I")


@lru_cache(4096)
def heads_of(octets: bytes) -> Heads:
    """All four headers made from one; equal ones are shared."""
    recursion = bytes((octets[0] | 1,))
    with_opt = octets[1:8] + (int.from_bytes(octets[8:10], "big") + 1).to_bytes(2, "big")
    return octets, recursion + octets[1:], octets[:1] + with_opt, recursion + with_opt


def plain_query(name: Name, rdtype: int) -> Query:
    """A question without EDNS: what is prepared for it fits every sender, and only OPT is added for others."""
    question = question_of(name, rdtype)
    return Query(0, 0, recursion_desired=False, question=question, name=name, rdtype=rdtype, rdclass=1, edns=None)


def prepare(query: Query, response: Response, counter: int) -> Prepared | None:
    """Render a response once, without limit; None if it could be too long for some sender."""
    octets = render(query, response, MAX_MESSAGE)
    if len(octets) > LARGEST:
        return None
    return heads_of(octets[2:HEADER_SIZE]), octets[HEADER_SIZE + len(query.question) :], counter


def owned(rrset: RRset, counter: int) -> Prepared:
    """The answer that is just these records, their owner being the name asked, whatever that is."""
    head = _OWNER + RECORD_HEAD.pack(rrset.rdtype, rrset.rdclass, rrset.ttl, 0)[:-2]
    tail = b"".join([head + len(rdata).to_bytes(2, "big") + rdata for rdata in rrset.rdatas])
    return heads_of(HEADER.pack(0, QR | AA, 1, len(rrset.rdatas), 0, 0)[2:]), tail, counter


def fits(name_octets: int, reply: Prepared) -> bool:
    """Whether a reply to a question for a name of so many octets fits every sender."""
    return HEADER_SIZE + name_octets + 4 + len(reply[1]) <= LARGEST


def steering(partition: Divided, variants: Sequence[Variant]) -> Steering:
    """The way to variants."""
    if not isinstance(partition, Partition):
        return _NONE, _NONE, 0, _NONE, _NONE, _NONE, b"", variants, partition, False
    cells, prefixes = partition.ipv4, partition.ipv4.prefixes
    plain = partition.named is None and not any(isinstance(variant, Choice) for variant in variants)
    where = prefixes.starts, prefixes.top, prefixes.shift, prefixes.classes
    return *where, cells.outcomes, cells.pages, cells.scopes, variants, partition, plain


def replies_of(variant: Variant) -> list[Prepared]:
    """All replies that a variant may turn into."""
    match variant:
        case None:
            return []
        case Choice():
            return [reply for _, replies in variant._shares for reply in replies]
        case _:
            return [variant]

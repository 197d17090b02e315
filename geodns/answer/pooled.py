"""Owns prepared replies out of pools, and their renewal when a standing changes; refuses to know other kinds of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, permutations
from math import lcm

from geodns.answer.pools import Bands, Candidates, Pool, Roll, Share, Standings
from geodns.answer.prepared import Choice, Entry, Everyone, Prepared, Variant, fits, owned, replies_of, steering
from geodns.answer.steering import Steered
from geodns.geo import FALLBACK
from geodns.wire import Name, RRset, Type

MOST_REPLIES = 128
"""Different replies of one share; a pool that draws several of many endpoints takes the general path."""

_MOST_TICKETS = 2**52  # what a draw can tell apart

Counted = Callable[[int, str], int]
"""The counters of replies of a type out of an endpoint."""


@dataclass(slots=True)
class Seat:
    """Where an entry is kept: the table and its key, how long the names are, and what is to be done when there is none."""

    table: dict[bytes, Entry]
    key: bytes
    name_octets: int
    absent: Callable[[bool], None]


@dataclass(slots=True)
class PooledReplies:
    """The entries of all names of one pool for one type: the same replies, put anew into each seat when standings change."""

    steered: Steered
    rdtype: int
    counted: Counted
    seats: list[Seat] = field(default_factory=list)
    _last: list[int] = field(default_factory=list)

    def renew(self, standings: Standings, *, anyway: bool = False) -> None:
        """Prepare the replies for these standings, if any of the pool's has changed."""
        slots = [address.slot for endpoint in self.steered.pool.endpoints for address in endpoint.addresses]
        current = [standings[slot] if slot < len(standings) else 0 for slot in slots]
        if current == self._last and not anyway:
            return
        self._last = current
        made = self._entry(standings)
        longest = max((reply for reply in made[1]), key=lambda reply: len(reply[1])) if made else None
        for seat in self.seats:
            entry = made[0] if made and longest and fits(seat.name_octets, longest) else None
            seat.absent(entry is None)
            if entry is None:
                seat.table.pop(seat.key, None)
            else:
                seat.table[seat.key] = entry

    def _entry(self, standings: Standings) -> tuple[Entry, list[Prepared]] | None:
        """What every seat gets, and all replies in it; None if some client must take the general path."""
        roll = Roll(self.steered.pool, self.rdtype, standings)
        writer = _Writer(roll, self.rdtype, self.counted)
        variants: list[Variant] = []
        for bands in self.steered.orders:
            variant = writer.variant(bands)
            if variant is None:
                return None
            variants.append(variant)
        first = variants[0]
        replies = writer.replies()
        heads, tail, counter = replies_of(first)[0]
        if self.steered.partition is None and not isinstance(first, Choice):
            return (heads, tail, counter, None), replies
        table: list[Variant] = [None] * FALLBACK + variants
        return (heads, tail, counter, steering(self.steered.partition or Everyone(), table)), replies


class _Writer:
    """Writes replies for orders, each different one once."""

    def __init__(self, roll: Roll, rdtype: int, counted: Counted) -> None:
        self.roll = roll
        self.pool: Pool = roll.pool
        self.rdtype = rdtype
        self.counters = {number: counted(rdtype, self.pool.label(number)) for number in roll.able}  # whoever is up: all are known
        self._written: dict[tuple[object, ...], Variant] = {}
        self._prepared: dict[tuple[tuple[int, ...], int], Prepared] = {}

    def replies(self) -> list[Prepared]:
        """All that were written."""
        return [reply for variant in self._written.values() for reply in replies_of(variant)]

    def variant(self, bands: Bands) -> Variant:
        """The reply, or the choice among replies, for an order; None if that takes the general path."""
        candidates = self.roll.candidates(bands)
        key = (candidates.shares, candidates.ttl, candidates.verdict)
        if key not in self._written:
            self._written[key] = self._write(candidates)
        return self._written[key]

    def _write(self, candidates: Candidates) -> Variant:
        if not candidates.shares:
            return None
        shares = [self._share(candidates, share) for share in candidates.shares]
        if any(not replies for _, replies in shares):
            return None
        if len(shares) == 1 and len(shares[0][1]) == 1:
            return shares[0][1][0]
        return Choice(self.pool.name, [share.portion for share in candidates.shares], shares)

    def _share(self, candidates: Candidates, share: Share) -> tuple[list[int], list[Prepared]]:
        """The replies of a share and the tickets, summed up, by which they are drawn; no replies if there would be too many."""
        chances = _chances(self._drawn_sequences(candidates, share.endpoints), self.pool)
        whole = lcm(*(chance.denominator for _, chance in chances)) if chances else 0
        if not chances or whole > _MOST_TICKETS:
            return [], []
        tickets = list(accumulate(int(chance * whole) for _, chance in chances))
        return tickets, [self._reply(candidates, sequence) for sequence, _ in chances]

    def _drawn_sequences(self, candidates: Candidates, endpoints: Sequence[int]) -> list[tuple[tuple[int, ...], Sequence[int]]]:
        """Every sequence of endpoints that may be drawn until an answer is full; none if there are too many."""
        needed = next(
            (
                count
                for count in range(1, len(endpoints) + 1)
                if count * min(len(self.roll.addresses(candidates, number)) for number in endpoints) >= self.pool.answers
            ),
            len(endpoints),
        )
        count = 1
        for left in range(len(endpoints), len(endpoints) - needed, -1):
            count *= left
        return [] if count > MOST_REPLIES else [(drawn, endpoints) for drawn in permutations(endpoints, needed)]

    def _reply(self, candidates: Candidates, sequence: Sequence[int]) -> Prepared:
        key = (tuple(sequence), candidates.ttl)
        if key not in self._prepared:
            rdatas = self.roll.rdatas(candidates, sequence)
            rrset = RRset(Name(b"\0"), self.rdtype, candidates.ttl, rdatas)
            self._prepared[key] = owned(rrset, self.counters[sequence[0]])
        return self._prepared[key]


def _chances(sequences: Sequence[tuple[tuple[int, ...], Sequence[int]]], pool: Pool) -> list[tuple[tuple[int, ...], Fraction]]:
    """How likely each sequence is, exactly: each next endpoint is drawn among those left by weight."""
    found = []
    for sequence, endpoints in sequences:
        weights = {number: pool.endpoints[number].weight for number in endpoints}
        if not any(weights.values()):
            weights = dict.fromkeys(weights, 1)
        chance, left = Fraction(1), sum(weights.values())
        for number in sequence:
            chance *= Fraction(weights[number], left) if left else Fraction(1)
            left -= weights[number]
        if chance:
            found.append((sequence, chance))
    return found


FAMILIES = (Type.A, Type.AAAA)
"""The types that a pool answers."""

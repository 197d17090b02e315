"""Owns the trust ladder: whose location decides for a client, and with which scope; refuses to know what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from geodns.geo import FALLBACK, Atlas, Buckets, Cell, Located, Location, Partition, Place, State


class Rung(StrEnum):
    """Who decided for a client."""

    NET = "net"
    ECS = "ecs"
    EGRESS = "egress"
    RESOLVER = "resolver"
    INSTANCE = "instance"
    FALLBACK = "fallback"


LADDER = (Rung.ECS, Rung.EGRESS, Rung.RESOLVER, Rung.INSTANCE)
"""The rungs that are asked one after the other, most trusted first.

A network of the operator is no rung by itself but speaks for whichever address is asked; the fallback is what is left.
"""

_BY_NETWORK = (Rung.ECS, Rung.RESOLVER)
"""The ladder where what counts is not where a client is but that its network stays the same."""


class Subnet(StrEnum):
    """What became of the client subnet of a query."""

    ABSENT = "the query has no client subnet"
    USED = "the client subnet is believed"
    DISABLED = "client subnets are switched off (ecs.enabled)"
    UNASKED = "client subnets are not asked: the ladder has no rung ecs (geo.ladder)"
    UNTRUSTED = "the sender is not in ecs.trust, so its client subnet is not believed"
    WITHHELD = "SOURCE PREFIX-LENGTH is 0: the client wants no location used (RFC 7871 §7.1.2)"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: `source` is the sender's address, None if it is unknown; `subnet` the client subnet where it may be believed.

    `port` and `transport` are what the query came from and by, 0 and "" if that is unknown: told, never decided by.
    """

    source: Place | None
    subnet: Place | None = None
    subnet_verdict: Subnet = Subnet.ABSENT
    port: int = 0
    transport: str = ""


NOBODY = Client(None)
"""A client of whom nothing is known."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rung tried: whose address, None for this instance's own place, and the cell that it is in."""

    rung: Rung
    place: Place | None
    cell: Cell

    @property
    def decided(self) -> bool:
        """Whether the address has a usable location, or a rule names it."""
        return self.cell.outcome >= FALLBACK

    @property
    def state(self) -> State:
        """What is known of the address's location."""
        return State(min(self.cell.outcome, FALLBACK))

    def located(self, atlas: Atlas) -> Located:
        """What the rung knows of the place, and from whom."""
        if self.place is None:
            return atlas.locate_instance() or NOWHERE
        if self.rung is Rung.EGRESS:
            return atlas.locate_egress(self.place) or NOWHERE
        return atlas.locate(self.place)


NOWHERE = Located(Location(), ip_network("0.0.0.0/0"), State.NOT_LOCATED, "is in no egress map")


@dataclass(frozen=True, slots=True)
class Climb:
    """The way up the ladder.

    `scope_prefix_length` is what a reply to a query with a client subnet says: 0 where the subnet was not looked at, else
    that of its own cell, even when it was discarded, for its neighbours' answer may differ (RFC 7871 §7.2.1).
    """

    outcome: int
    rung: Rung
    scope_prefix_length: int
    attempts: tuple[Attempt, ...]


def climb(partition: Partition | Buckets, client: Client, ladder: Sequence[Rung] = LADDER) -> Climb:
    """Ask one rung after the other until one decides; those that there is nothing to ask of are left out.

    A network of the operator decides for whichever address is asked first: it replaces what databases and maps say of it.
    """
    attempts: tuple[Attempt, ...] = ()
    scope = 0
    for rung in ladder if isinstance(partition, Partition) else _BY_NETWORK:
        attempt = _attempt(partition, client, rung)
        if attempt is None:
            continue
        if rung is Rung.ECS:
            scope = attempt.cell.scope_prefix_length
        attempts = (*attempts, attempt)
        if attempt.decided:
            return Climb(attempt.cell.outcome, attempt.rung, scope, attempts)
    return Climb(FALLBACK, Rung.FALLBACK, scope, attempts)


def _attempt(partition: Partition | Buckets, client: Client, rung: Rung) -> Attempt | None:
    """Ask one rung; None if it has nothing to say of anybody."""
    if rung is Rung.INSTANCE:
        decided = partition.instance if isinstance(partition, Partition) else None
        return None if decided is None else Attempt(rung, None, Cell(decided, 0))
    place = client.subnet if rung is Rung.ECS else client.source
    asked = partition.egress if rung is Rung.EGRESS and isinstance(partition, Partition) else partition
    if place is None or asked is None:
        return None
    if partition.is_named(place):
        return Attempt(Rung.NET, place, partition.find(place))
    return Attempt(rung, place, asked.find(place))


def rungs_of(ladder: Sequence[Rung], atlas: Atlas) -> tuple[Rung, ...]:
    """The rungs of a ladder that have something to say on this planet."""
    idle = {Rung.EGRESS: not atlas.egress, Rung.INSTANCE: atlas.instance is None}
    return tuple(rung for rung in ladder if not idle.get(rung))

"""Owns the trust ladder: whose location decides for a client, and with which scope; refuses to know what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geodns.geo import FALLBACK, Buckets, Cell, Partition, Place, State


class Rung(StrEnum):
    """Who decided for a client, most trusted first."""

    NET = "net"
    ECS = "ecs"
    RESOLVER = "resolver"
    FALLBACK = "fallback"


class Subnet(StrEnum):
    """What became of the client subnet of a query."""

    ABSENT = "the query has no client subnet"
    USED = "the client subnet is believed"
    DISABLED = "client subnets are switched off (ecs.enabled)"
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
    """One rung tried: whose address, and the cell that it is in."""

    rung: Rung
    place: Place
    cell: Cell

    @property
    def decided(self) -> bool:
        """Whether the address has a usable location, or a rule names it."""
        return self.cell.outcome >= FALLBACK

    @property
    def state(self) -> State:
        """What is known of the address's location."""
        return State(min(self.cell.outcome, FALLBACK))


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


def climb(partition: Partition | Buckets, client: Client) -> Climb:
    """Ask the client subnet, then the sender's address, until one decides.

    A network of the operator is the first rung for whichever address is asked: it replaces what databases say of it.
    """
    attempts: tuple[Attempt, ...] = ()
    scope = 0
    for rung, place in ((Rung.ECS, client.subnet), (Rung.RESOLVER, client.source)):
        if place is None:
            continue
        cell = partition.find(place)
        if rung is Rung.ECS:
            scope = cell.scope_prefix_length
        attempt = Attempt(Rung.NET if partition.is_named(place) else rung, place, cell)
        attempts = (*attempts, attempt)
        if attempt.decided:
            return Climb(cell.outcome, attempt.rung, scope, attempts)
    return Climb(FALLBACK, Rung.FALLBACK, scope, attempts)

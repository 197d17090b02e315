"""Owns what a WHOAMI owner tells whoever asks about itself; refuses to know zones and octets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from geodns.answer.identity import Identity
from geodns.answer.ladder import Client, Climb, Subnet, climb
from geodns.geo import FALLBACK, Atlas, Cell, Located, Place
from geodns.geo.location import words
from geodns.wire import ClientSubnet, Name, RRset, Type

_LONGEST = 255  # octets of a character-string, RFC 1035 §3.3
_BELIEF = {
    Subnet.USED: "believed",
    Subnet.UNTRUSTED: "not believed",
    Subnet.WITHHELD: "withholds the place",
    Subnet.DISABLED: "switched off here",
}


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a client was told about itself, and its way up the ladder."""

    rrset: RRset
    climb: Climb


class _Apart:
    """Address space as if every address had an outcome of its own: what decides is whether its place is known."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._located: dict[Place, Located] = {}

    def locate(self, place: Place) -> Located:
        """Everything known of an address, looked up once."""
        if place not in self._located:
            self._located[place] = self._atlas.locate(place)
        return self._located[place]

    def find(self, place: Place) -> Cell:
        """Whether the place of an address may be used, and the prefix for which all that is known of it is true."""
        located = self.locate(place)
        return Cell(min(int(located.state), FALLBACK), located.network.prefixlen + place.embedded_bits)

    def is_named(self, place: Place) -> bool:
        """Whether a network of the operator decides."""
        return self.locate(place).named is not None


def introduce(
    atlas: Atlas, identity: Identity, client: Client, subnet: ClientSubnet | None, owner: Name, ttl: int
) -> Introduction:
    """One TXT record with everything that is known of a client; `subnet` is the option as it came, `ttl` in seconds.

    The answer shows the client subnet itself, so it is true for that subnet only: its scope is its own length. An answer that
    does not hang on a subnet that came along says 0 (RFC 7871 §7.2.1).
    """
    apart = _Apart(atlas)
    way = climb(apart, client)
    scope = subnet.source_prefix_length if subnet and client.subnet_verdict is Subnet.USED else 0
    strings = [_cut(text) for text in _texts(apart, identity, client, subnet, way)]
    rdata = b"".join(bytes((len(octets),)) + octets for octets in strings)
    return Introduction(RRset(owner, Type.TXT, ttl, (rdata,)), replace(way, scope_prefix_length=scope))


def _texts(apart: _Apart, identity: Identity, client: Client, subnet: ClientSubnet | None, way: Climb) -> Iterator[str]:
    port = f" port {client.port}" if client.port else ""
    transport = f" by {client.transport}" if client.transport else ""
    yield f"source {client.source or 'unknown'}{port}{transport}"
    yield f"ecs {subnet} {_BELIEF[client.subnet_verdict]}" if subnet else "ecs none"
    yield f"instance {identity.name or 'unnamed'}"
    for attempt in way.attempts:
        if not attempt.decided:
            yield f"passed over {attempt.rung} {attempt.place}: {apart.locate(attempt.place).why}"
    yield f"rung {way.rung}"
    if not way.attempts or not way.attempts[-1].decided:
        yield "location unknown"
        return
    located = apart.locate(way.attempts[-1].place)
    yield f"location {words(located.location)}"
    yield f"says {', '.join(dict.fromkeys(located.sources.values())) or 'nobody'}"


def _cut(text: str) -> bytes:
    """At most one character-string of UTF-8."""
    octets = text.encode()
    return octets if len(octets) <= _LONGEST else octets[: _LONGEST - 3].decode(errors="ignore").encode() + "…".encode()

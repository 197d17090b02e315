"""Owns what a WHOAMI owner tells whoever asks about itself; refuses to know zones and octets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from geodns.answer.identity import Identity
from geodns.answer.ladder import Client, Climb, Subnet
from geodns.geo import Atlas
from geodns.geo.location import words
from geodns.wire import ClientSubnet, Name, RRset, Type

_LONGEST = 255  # octets of a character-string, RFC 1035 §3.3
_BELIEF = {
    Subnet.USED: "believed",
    Subnet.UNTRUSTED: "not believed",
    Subnet.WITHHELD: "withholds the place",
    Subnet.DISABLED: "switched off here",
    Subnet.UNASKED: "not asked here",
}


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a client was told about itself, and its way up the ladder."""

    rrset: RRset
    climb: Climb


def introduce(
    way: Climb, atlas: Atlas, identity: Identity, client: Client, subnet: ClientSubnet | None, rrset: tuple[Name, int]
) -> Introduction:
    """One TXT record with everything that is known of a client; `subnet` is the option as it came, `rrset` its owner and TTL.

    `way` is its way up the ladder in the partition of no rules at all, in which decides whose place is known.

    The answer shows the client subnet itself, so it is true for that subnet only: its scope is its own length. An answer that
    does not hang on a subnet that came along says 0 (RFC 7871 §7.2.1).
    """
    scope = subnet.source_prefix_length if subnet and client.subnet_verdict is Subnet.USED else 0
    strings = [_cut(text) for text in _texts(atlas, identity, client, subnet, way)]
    owner, ttl = rrset
    rdata = b"".join(bytes((len(octets),)) + octets for octets in strings)
    return Introduction(RRset(owner, Type.TXT, ttl, (rdata,)), replace(way, scope_prefix_length=scope))


def _texts(atlas: Atlas, identity: Identity, client: Client, subnet: ClientSubnet | None, way: Climb) -> Iterator[str]:
    port = f" port {client.port}" if client.port else ""
    transport = f" by {client.transport}" if client.transport else ""
    yield f"source {client.source or 'unknown'}{port}{transport}"
    yield f"ecs {subnet} {_BELIEF[client.subnet_verdict]}" if subnet else "ecs none"
    yield f"instance {identity.name or 'unnamed'}"
    for attempt in way.attempts:
        if not attempt.decided:
            yield f"passed over {attempt.rung} {attempt.place}: {attempt.located(atlas).why}"
    yield f"rung {way.rung}"
    if not way.attempts or not way.attempts[-1].decided:
        yield "location unknown"
        return
    located = way.attempts[-1].located(atlas)
    yield f"location {words(located.location)}"
    yield f"says {', '.join(dict.fromkeys(located.sources.values())) or 'nobody'}"


def _cut(text: str) -> bytes:
    """At most one character-string of UTF-8."""
    octets = text.encode()
    return octets if len(octets) <= _LONGEST else octets[: _LONGEST - 3].decode(errors="ignore").encode() + "…".encode()

"""Owns the messages that loads and floods are made of, and the files that hold them; refuses to know who is asked.

A file is a series of messages, each after its length in two octets (as TCP frames them, RFC 1035 §4.2.2). The id of a message
is replaced when it is sent; in the file it holds the RCODE that its reply must have, or `ANY`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

A, AAAA, OPT = 1, 28, 41
NOERROR, NXDOMAIN, REFUSED = 0, 3, 5
ANY = 0xFFFF
"""Expected RCODE where any will do, and silence too."""
PAYLOAD_SIZE = 1232
CLIENT_SUBNET, COOKIE = 8, 10
NAMES = tuple(f"www{number}.example.com" for number in range(1000))
"""What all servers of a comparison serve."""
_NEVER_CLIENTS = frozenset((0, 10, 127))  # first octets

Draw = random.Random


def wire_name(text: str) -> bytes:
    """A name of labels without escapes, in wire form (RFC 1035 §3.1)."""
    return b"".join(bytes((len(label),)) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


def message(name: bytes, rdtype: int, options: bytes | None = None, expected: int = NOERROR) -> bytes:
    """A query in class IN; `options` None means no OPT record (RFC 6891)."""
    additional = b"" if options is None else b"\0" + struct.pack("!HHIH", OPT, PAYLOAD_SIZE, 0, len(options)) + options
    return struct.pack("!6H", expected, 0, 1, 0, 0, options is not None) + name + struct.pack("!HH", rdtype, 1) + additional


def option(code: int, data: bytes) -> bytes:
    """One EDNS option (RFC 6891 §6.1.2)."""
    return struct.pack("!HH", code, len(data)) + data


def client_subnet(draw: Draw) -> bytes:
    """A client subnet option (RFC 7871 §6) with a random IPv4 /24."""
    first = draw.choice([number for number in range(1, 224) if number not in _NEVER_CLIENTS])
    return option(CLIENT_SUBNET, struct.pack("!HBB", 1, 24, 0) + bytes((first,)) + draw.randbytes(2))


def client_subnet_v6(draw: Draw) -> bytes:
    """A client subnet option with a random IPv6 /56 of 2000::/3."""
    return option(CLIENT_SUBNET, struct.pack("!HBB", 2, 56, 0) + bytes((0x20 | draw.getrandbits(5),)) + draw.randbytes(6))


def plain(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """A queries without EDNS, for the names in turn."""
    return (message(wire_name(names[number % len(names)]), A) for number in range(count))


def ecs(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """A queries for the names in turn, each with a random client subnet."""
    return (message(wire_name(names[number % len(names)]), A, client_subnet(draw)) for number in range(count))


def mixed(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """What resolvers send: half with a client subnet, a quarter with a cookie, some AAAA, mixed case, one name in ten missing."""
    for number in range(count):
        name, expected = names[number % len(names)], NOERROR
        kind = draw.random()
        options = client_subnet(draw) if kind < 0.5 else option(COOKIE, draw.randbytes(8)) if kind < 0.75 else b""
        rdtype = AAAA if draw.random() < 0.3 else A
        if draw.random() < 0.1:
            name, expected = f"missing{number}.{name.partition('.')[2]}", NXDOMAIN
        name = "".join(letter.upper() if draw.random() < 0.3 else letter for letter in name)
        yield message(wire_name(name), rdtype, options, expected)


def garbage(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """Random octets, and every second time a query with some octets changed: both may get any reply or none."""
    for number in range(count):
        octets = bytearray(draw.randbytes(draw.randrange(3, 120)))
        if number % 2:
            octets = bytearray(message(wire_name(draw.choice(names)), A, client_subnet(draw)))
            for _ in range(draw.randrange(1, 6)):
                octets[draw.randrange(2, len(octets))] = draw.randrange(256)
        octets[:2] = ANY.to_bytes(2, "big")
        yield bytes(octets)


def foreign(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """Names of zones that are not served: REFUSED."""
    return (message(wire_name(f"www.{draw.randbytes(4).hex()}.example"), A, b"", REFUSED) for _ in range(count))


def missing(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """Random names inside a zone that is served, none of which exists: NXDOMAIN."""
    return (
        message(wire_name(f"{draw.randbytes(6).hex()}.{draw.choice(names).partition('.')[2]}"), A, b"", NXDOMAIN)
        for _ in range(count)
    )


def subnets(names: Sequence[str], count: int, draw: Draw) -> Iterator[bytes]:
    """Names that exist, with random client subnets of both families."""
    return (
        message(wire_name(draw.choice(names)), A, (client_subnet if number % 2 else client_subnet_v6)(draw))
        for number in range(count)
    )


Recipe = Callable[[Sequence[str], int, Draw], Iterator[bytes]]
LOADS: dict[str, Recipe] = {"plain": plain, "ecs": ecs, "mixed": mixed}
FLOODS: dict[str, Recipe] = {
    "garbage": garbage,
    "zones not served": foreign,
    "random names": missing,
    "spoofed sources and subnets": subnets,
}
SPOOFED = frozenset({"spoofed sources and subnets"})
"""Floods whose every datagram comes from an address of its own."""


def write(path: Path, recipe: Recipe, names: Sequence[str] = NAMES, count: int = 50_000, seed: int = 1) -> Path:
    """Write so many messages of a recipe to a file, the same ones for the same seed; gives the path back."""
    return write_messages(path, recipe(names, count, Draw(seed)))


def write_messages(path: Path, messages: Iterable[bytes]) -> Path:
    """Write messages to a file as the load generator and dnsperf -B read them; gives the path back."""
    path.write_bytes(b"".join(len(octets).to_bytes(2, "big") + octets for octets in messages))
    return path

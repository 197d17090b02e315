"""Owns the writing of small MaxMind DB files for tests; refuses to know what the records mean and how the product reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import assert_never

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR_SIZE = 16
IPV4_DEPTH = 96
ALIASES = tuple(map(IPv6Network, ("::ffff:0:0/96", "2001::/32", "2002::/16")))
"""Where MaxMind's own files repeat the IPv4 tree: mapped, Teredo and 6to4 addresses."""

EMPTY = -1
FIRST_DATA = -2  # record n of the data is held as -2 - n, so that every node number stays itself


class Kind(IntEnum):
    """The types of the data section, by their numbers on disk."""

    POINTER = 1
    UTF8 = 2
    DOUBLE = 3
    BYTES = 4
    UINT16 = 5
    UINT32 = 6
    MAP = 7
    INT32 = 8
    UINT64 = 9
    UINT128 = 10
    ARRAY = 11
    BOOLEAN = 14
    FLOAT = 15


@dataclass(frozen=True, slots=True)
class Typed:
    """A number written as exactly this type.

    A bare int takes the narrowest unsigned type that holds it (a negative one int32), a bare float is a double.
    """

    kind: Kind
    value: float


def write(
    path: Path,
    networks: Mapping[str, object] | Iterable[tuple[str, object]],
    *,
    ip_version: int = 6,
    record_size: int = 28,
    database_type: str = "Test",
    build_epoch: int = 1_700_000_000,
    aliases: bool = True,
    description: str = "made for a test",
) -> Path:
    """Write a MaxMind DB 2.0 file that maps networks to records, and give its path back.

    Of nested networks the more specific one wins; of equal ones the later. IPv4 networks go to ::/96 of an IPv6
    file; `aliases` makes the nodes of `ALIASES` point at them. ValueError: a network that cannot be in such a file,
    a record size other than 24, 28 or 32 bits, or one too narrow for the data. TypeError: a value no type of the
    format holds.
    Source: MaxMind DB File Format Specification 2.0.
    """
    if ip_version not in (4, 6) or record_size not in (24, 28, 32):
        raise ValueError(f"no such file: IP version {ip_version}, record size {record_size}")
    pairs = networks.items() if isinstance(networks, Mapping) else networks
    aliased = aliases and ip_version == 6
    data = DataSection()
    leaves = [(*_place(text, ip_version, aliased), FIRST_DATA - data.add(record)) for text, record in pairs]
    tree = Tree(32 if ip_version == 4 else 128)
    for bits, length, leaf in sorted(leaves, key=lambda leaf: leaf[1]):
        tree.insert(bits, length, leaf)
    if aliased:
        tree.alias()
    about = metadata(len(tree.nodes), ip_version, record_size, database_type, build_epoch, description)
    path.write_bytes(tree.octets(record_size) + bytes(SEPARATOR_SIZE) + data.octets + about)
    return path


def metadata(node_count: int, ip_version: int, record_size: int, database_type: str, build_epoch: int, description: str) -> bytes:
    """The marker and the metadata section that end a file."""
    return MARKER + encode(
        {
            "node_count": Typed(Kind.UINT32, node_count),
            "record_size": Typed(Kind.UINT16, record_size),
            "ip_version": Typed(Kind.UINT16, ip_version),
            "database_type": database_type,
            "languages": ["en"],
            "binary_format_major_version": Typed(Kind.UINT16, 2),
            "binary_format_minor_version": Typed(Kind.UINT16, 0),
            "build_epoch": Typed(Kind.UINT64, build_epoch),
            "description": {"en": description},
        }
    )


def encode(value: object) -> bytes:
    """The octets of one value by itself, without pointers."""
    match value:
        case Typed(kind, number):
            return _encode_number(kind, number)
        case bool():
            return control(Kind.BOOLEAN, int(value))
        case int():
            return _encode_number(_narrowest(value), value)
        case float():
            return _encode_number(Kind.DOUBLE, value)
        case str():
            octets = value.encode()
            return control(Kind.UTF8, len(octets)) + octets
        case bytes():
            return control(Kind.BYTES, len(value)) + value
        case Mapping():
            return control(Kind.MAP, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
        case Sequence():
            return control(Kind.ARRAY, len(value)) + b"".join(map(encode, value))
        case _:
            raise TypeError(f"no MaxMind DB type holds {value!r}")


class DataSection:
    """The octets of a data section in which every value occurs once: the second time it is a pointer to the first."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self._seen: dict[bytes, int] = {}

    def add(self, record: object) -> int:
        """Put one record, and give its offset in the section."""
        known = self._seen.get(encode(record))
        return self._put(record) if known is None else known

    def _put(self, value: object) -> int:
        offset = len(self.octets)
        match value:
            case Mapping():
                self.octets += control(Kind.MAP, len(value))
                for key, item in value.items():
                    self._put_or_point(key)
                    self._put_or_point(item)
            case Sequence() if not isinstance(value, str | bytes):
                self.octets += control(Kind.ARRAY, len(value))
                for item in value:
                    self._put_or_point(item)
            case _:
                self.octets += encode(value)
        self._seen.setdefault(encode(value), offset)
        return offset

    def _put_or_point(self, value: object) -> None:
        alone = encode(value)
        known = self._seen.get(alone)
        pointer = b"" if known is None else pointer_to(known)
        if pointer and len(pointer) < len(alone):
            self.octets += pointer
        else:
            self._put(value)


class Tree:
    """A binary search tree of addresses of `depth` bits; a record is a node's number, empty, or a leaf."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.nodes: list[list[int]] = [[EMPTY, EMPTY]]

    def insert(self, bits: int, length: int, value: int) -> None:
        """Put `value` at a prefix, pushing a shorter prefix's value down beside it. Come with the shortest prefixes first."""
        if length == 0:
            self.nodes[0] = [value, value]
            return
        node = 0
        for position in range(self.depth - 1, self.depth - length, -1):
            side = bits >> position & 1
            below = self.nodes[node][side]
            if below < 0:
                self.nodes.append([below, below])
                below = self.nodes[node][side] = len(self.nodes) - 1
            node = below
        self.nodes[node][bits >> (self.depth - length) & 1] = value

    def alias(self) -> None:
        """Make the prefixes of `ALIASES` the same as ::/96."""
        ipv4 = 0
        for _ in range(IPV4_DEPTH):
            ipv4 = self.nodes[ipv4][0] if ipv4 >= 0 else ipv4
        for network in ALIASES:
            self.insert(int(network.network_address), network.prefixlen, ipv4)

    def octets(self, record_size: int) -> bytes:
        """The search tree section. ValueError: a record does not fit into `record_size` bits."""
        count = len(self.nodes)
        pairs = [tuple(_record(value, count) for value in node) for node in self.nodes]
        if max(map(max, pairs)) >= 1 << record_size:
            raise ValueError(f"{count} nodes and their data do not fit records of {record_size} bits")
        if record_size == 28:  # the high four bits of both records share the middle octet, left first
            return b"".join(
                (left & 0xFFFFFF).to_bytes(3) + bytes((left >> 24 << 4 | right >> 24,)) + (right & 0xFFFFFF).to_bytes(3)
                for left, right in pairs
            )
        return b"".join(value.to_bytes(record_size // 8) for pair in pairs for value in pair)


def _record(value: int, node_count: int) -> int:
    if value >= 0:
        return value
    return node_count if value == EMPTY else node_count + SEPARATOR_SIZE + FIRST_DATA - value


def _place(text: str, ip_version: int, aliased: bool) -> tuple[int, int]:
    """A network's first address as an integer and its prefix length, in the bits of the file's tree."""
    network = ip_network(text)
    match network:
        case IPv4Network():
            return int(network.network_address), network.prefixlen + (IPV4_DEPTH if ip_version == 6 else 0)
        case IPv6Network():
            if ip_version == 4:
                raise ValueError(f"{text} cannot be in a file for IPv4 only")
            if aliased and any(network.subnet_of(alias) for alias in ALIASES):
                raise ValueError(f"{text} lies where this file repeats its IPv4 networks")
            return int(network.network_address), network.prefixlen
        case _:
            assert_never(network)


def control(kind: Kind, size: int) -> bytes:
    """A value's head: type (an extended one in an octet of its own) and size."""
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, (size - 29).to_bytes(1)
    elif size < 65_821:
        low, more = 30, (size - 285).to_bytes(2)
    else:
        low, more = 31, (size - 65_821).to_bytes(3)
    return (bytes((kind << 5 | low,)) if kind < Kind.INT32 else bytes((low, kind - 7))) + more


def pointer_to(offset: int) -> bytes:
    """A pointer to an offset of the data section."""
    for size, (bias, bits) in enumerate(((0, 11), (2_048, 19), (526_336, 27))):
        if offset - bias < 1 << bits:
            rest = offset - bias
            return bytes((Kind.POINTER << 5 | size << 3 | rest >> 8 * (size + 1),)) + (rest & (1 << 8 * (size + 1)) - 1).to_bytes(
                size + 1
            )
    return bytes((Kind.POINTER << 5 | 3 << 3,)) + offset.to_bytes(4)


def _narrowest(value: int) -> Kind:
    if value < 0:
        return Kind.INT32
    for kind, bits in ((Kind.UINT16, 16), (Kind.UINT32, 32), (Kind.UINT64, 64)):
        if value < 1 << bits:
            return kind
    return Kind.UINT128


def _encode_number(kind: Kind, number: float) -> bytes:
    match kind:
        case Kind.DOUBLE:
            return control(kind, 8) + struct.pack(">d", number)
        case Kind.FLOAT:
            return control(kind, 4) + struct.pack(">f", number)
        case Kind.BOOLEAN:
            return control(kind, int(bool(number)))
        case Kind.INT32 if number < 0:
            return control(kind, 4) + int(number).to_bytes(4, signed=True)
        case Kind.UINT16 | Kind.UINT32 | Kind.INT32 | Kind.UINT64 | Kind.UINT128:
            widest = {Kind.UINT16: 2, Kind.UINT64: 8, Kind.UINT128: 16}.get(kind, 4)
            octets = int(number).to_bytes(widest).lstrip(b"\0")
            return control(kind, len(octets)) + octets
        case Kind.POINTER | Kind.UTF8 | Kind.BYTES | Kind.MAP | Kind.ARRAY:
            raise TypeError(f"{kind.name} is no number")
        case _:
            assert_never(kind)

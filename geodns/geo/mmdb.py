"""Owns mmdb files: opening them with clear faults, and walking their search tree with numpy; refuses to judge what they say."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import maxminddb
import numpy as np
import numpy.typing as npt

from geodns.geo.address import BITS, Address, Network, Place, Version, prefix_around
from geodns.geo.database import read_record
from geodns.geo.layer import Layer, Starts, Words, empty, merged
from geodns.geo.location import Location
from geodns.problem import Problem, Severity

_REMEDY = "fetch it again, for example with `geodns geo update`"
Nodes = npt.NDArray[np.uint32]

_CORRUPT = (maxminddb.InvalidDatabaseError, ValueError, TypeError)
"""What maxminddb's two readers raise for octets that make no sense: wrong text is ValueError, wrong metadata TypeError."""

_SILENT = "holds no continent, country or AS number: it tells nothing of places"
_CIRCLE = "has a search tree with a circle in it, or deeper than an address: it is corrupt"
_SEPARATOR = 16  # octets between tree and data; data pointers count them
_SHARED = 1 << 16  # nodes that a level may have beyond those of the whole tree, for writers that share equal branches
_SAMPLE = 4096  # nodes: some hundred networks, in some milliseconds


class BadDatabase(Exception):
    """A file that cannot be used: `name` is its path, the message says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


class MmdbDatabase:
    """One mmdb file, opened and checked; raises BadDatabase."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        with path.open("rb"):  # maxminddb does not tell a directory, or what may not be read, from what is no database
            pass
        try:
            self._reader = maxminddb.open_database(path)
            self._metadata = self._reader.metadata()
        except _CORRUPT as error:
            raise BadDatabase(str(path), "is no MaxMind DB file, or a truncated one") from error
        self._octets: npt.NDArray[np.uint8] = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        self._count = self._metadata.node_count
        self._tree_size = self._count * self._metadata.record_size // 4
        if self._tree_size + _SEPARATOR > len(self._octets):
            raise BadDatabase(str(path), "ends inside its search tree: it is truncated")
        if self._metadata.ip_version not in {4, 6}:
            raise BadDatabase(str(path), f"is for IP version {self._metadata.ip_version}; 4 and 6 are known")
        self.built: int | None = self._metadata.build_epoch
        self.locations: list[Location] = [Location()]
        self._index_of: dict[Location, int] = {Location(): 0}
        self._index_of_pointer: dict[int, int] = {}
        self._tree: tuple[Nodes, Nodes] | None = None

    @property
    def kind(self) -> str:
        """The database type that the file states, such as GeoLite2-Country."""
        return self._metadata.database_type

    @property
    def versions(self) -> tuple[Version, ...]:
        """The address families it covers: a file of IP version 6 holds both."""
        return (4, 6) if self._metadata.ip_version == 6 else (4,)

    def look_up(self, place: Place) -> tuple[Location, Network]:
        """One address, through the file's own reader; compiled cells must agree with it. Raises BadDatabase."""
        if place.version not in self.versions:
            return self.locations[0], prefix_around(place, 0)
        if place.version == 6 and (hidden := self._bits_to_ipv4(place.address)):
            return self.locations[0], prefix_around(place, hidden)
        location, length = self._read(_address(place.version, place.address))
        return location, prefix_around(place, length)

    def tells_places(self) -> bool:
        """Whether any of the first records says something of a place or a network's owner. Raises BadDatabase."""
        version = self.versions[-1]
        ahead, seen = [(0, 0, BITS[version])], {self._count}
        for _ in range(_SAMPLE):
            if not ahead:
                break
            node, address, rest = ahead.pop()
            if node < self._count:
                if not rest:
                    raise BadDatabase(str(self._path), _CIRCLE)
                ahead += [(self._child(node, side), address | side << (rest - 1), rest - 1) for side in (1, 0)]
            elif node not in seen:
                seen.add(node)
                if self._read(_address(version, address))[0] != Location():
                    return True
        return False

    def layer(self, version: Version) -> Layer:
        """All cells of one family; every distinct record is decoded once. Raises BadDatabase where the tree is corrupt."""
        if version not in self.versions:
            return empty()
        starts, pointers = self._walk(version)
        indexes = self._locate(version, starts, pointers)
        return merged(Layer(starts, indexes))

    def release(self) -> None:
        """Give back what only compiling needs: the search tree and the decoded records; `look_up` reads the file."""
        self._tree = None
        self.locations, self._index_of, self._index_of_pointer = [Location()], {Location(): 0}, {}

    def _nodes(self) -> tuple[Nodes, Nodes]:
        """Left and right record of every node, as two arrays."""
        if self._tree is not None:
            return self._tree
        size, octets = self._metadata.record_size, self._octets[: self._tree_size]
        column = [octets[number :: size // 4] for number in range(size // 4)]
        match size:
            case 24:
                left, right = _join(column[0:3]), _join(column[3:6])
            case 28:
                left, right = _join([column[3] >> np.uint8(4), *column[0:3]]), _join([column[3] & np.uint8(15), *column[4:7]])
            case 32:
                left, right = _join(column[0:4]), _join(column[4:8])
            case _:
                raise BadDatabase(str(self._path), f"has records of {size} bits; 24, 28 and 32 are known")
        self._tree = left, right
        return self._tree

    def _child(self, node: int, side: int) -> int:
        """The left (0) or right (1) record of one node, from the file itself: look-ups keep no arrays."""
        octets_each = self._metadata.record_size // 4
        octets = bytes(self._octets[node * octets_each : (node + 1) * octets_each])
        if octets_each == 7:  # the octet in the middle has the upper four bits of both
            return (octets[3] & 15 if side else octets[3] >> 4) << 24 | int.from_bytes(octets[4:7] if side else octets[0:3])
        half = octets_each // 2
        return int.from_bytes(octets[half:] if side else octets[:half])

    def _ipv4_root(self) -> int:
        """The node where IPv4 starts in a tree of IPv6: 96 zeros down."""
        node = 0
        for _ in range(96):
            if node >= self._count:
                break
            node = self._child(node, 0)
        return node

    def _bits_to_ipv4(self, address: int) -> int:
        """How many leading bits of an IPv6 address lead to the IPv4 tree, which a file may repeat anywhere; 0 if none do."""
        node, root = 0, self._ipv4_root()
        for depth in range(128):
            if node == root or node >= self._count:
                return depth if node < self._count else 0
            node = self._child(node, address >> (127 - depth) & 1)
        return 0

    def _walk(self, version: Version) -> tuple[Starts, Nodes]:
        """Starts and data pointers of all networks, ascending; pointer 0 means that nothing is known."""
        left, right = self._nodes()
        count = self._count
        embedded = self._metadata.ip_version == 6
        root = self._ipv4_root() if version == 4 and embedded else 0
        hidden = self._ipv4_root() if version == 6 else -1  # reached as IPv4, by the root itself or an alias
        bits = BITS[version]
        nodes = np.array([root], dtype=np.uint32)
        high, low = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
        ends: list[tuple[Words, Words, Nodes]] = []
        for depth in range(bits + 1):
            leaf = nodes >= count
            if version == 6:
                leaf |= nodes == hidden
            if leaf.any():
                pointers = nodes[leaf] - np.uint32(count)
                pointers[nodes[leaf] < count] = 0
                ends.append((high[leaf], low[leaf], pointers))
                inner = ~leaf
                nodes, high, low = nodes[inner], high[inner], low[inner]
            if not len(nodes):
                break
            if depth == bits or len(nodes) > count + _SHARED:  # a level has more nodes than the tree: they are walked in circles
                raise BadDatabase(str(self._path), _CIRCLE)
            nodes, high, low = _descend(nodes, high, low, left, right, bits - 1 - depth)
        return _in_order(ends, version)

    def _locate(self, version: Version, starts: Starts, pointers: Nodes) -> npt.NDArray[np.int32]:
        """Replace data pointers by indexes into `locations`, decoding each distinct pointer once, through one address of it."""
        known, low = self._index_of_pointer, starts.low
        if ((pointers > 0) & (pointers < _SEPARATOR) | (pointers >= len(self._octets) - self._tree_size)).any():
            raise BadDatabase(str(self._path), "has a search tree that points outside its data: it is corrupt")
        one_of = np.full(int(pointers.max()) + 1, -1, dtype=np.int32)  # pointers are small: a table beats sorting five million
        one_of[pointers] = np.arange(len(pointers), dtype=np.int32)
        index_of = np.zeros(len(one_of), dtype=np.int32)
        for pointer in np.flatnonzero(one_of >= 0).tolist():
            if pointer and pointer not in known:
                at = one_of[pointer]
                high = int(starts.high[at])
                address = high if version == 4 else high << 64 | (0 if low is None else int(low[at]))
                known[pointer] = self._index(_address(version, address))
            index_of[pointer] = known[pointer] if pointer else 0
        found: npt.NDArray[np.int32] = index_of[pointers]
        return found

    def _index(self, address: Address) -> int:
        location, _ = self._read(address)
        index = self._index_of.get(location)
        if index is None:
            index = self._index_of[location] = len(self.locations)
            self.locations.append(location)
        return index

    def _read(self, address: Address) -> tuple[Location, int]:
        """What the file's reader says of an address, and the prefix length for which it does."""
        try:
            record, length = self._reader.get_with_prefix_len(address)
        except _CORRUPT as error:
            raise BadDatabase(str(self._path), f"has a broken record for {address}: {error}") from error
        return read_record(record), length


def _address(version: Version, address: int) -> Address:
    return IPv4Address(address) if version == 4 else IPv6Address(address)


def _join(columns: Sequence[npt.NDArray[np.uint8]]) -> Nodes:
    """Big-endian columns of octets as numbers."""
    joined = columns[0].astype(np.uint32)
    for column in columns[1:]:
        joined <<= np.uint32(8)
        joined |= column
    return joined


def _descend(nodes: Nodes, high: Words, low: Words, left: Nodes, right: Nodes, bit: int) -> tuple[Nodes, Words, Words]:
    """All children of a level; right ones have `bit` (counted from the lowest of the address) set."""
    children = np.concatenate([left[nodes], right[nodes]])
    if bit >= 64:
        return children, np.concatenate([high, high | np.uint64(1 << (bit - 64))]), np.concatenate([low, low])
    return children, np.concatenate([high, high]), np.concatenate([low, low | np.uint64(1 << bit)])


def _in_order(ends: list[tuple[Words, Words, Nodes]], version: Version) -> tuple[Starts, Nodes]:
    high, low, pointers = (np.concatenate([end[part] for end in ends]) for part in range(3))
    if version == 4:  # the 32 bits were all set in the low word
        order = np.argsort(low, kind="stable")
        return Starts(low[order]), pointers[order]
    if low.any():
        order = np.lexsort((low, high))
        return Starts(high[order], low[order]), pointers[order]
    order = np.argsort(high, kind="stable")
    return Starts(high[order]), pointers[order]


def open_all(paths: Sequence[tuple[str, Path]]) -> tuple[list[MmdbDatabase], list[Problem]]:
    """Open every file (shown name, path), with one problem for each that cannot be used."""
    databases, problems = [], []
    for shown, path in paths:
        try:
            database = MmdbDatabase(path)
            telling = database.tells_places()
        except BadDatabase as error:
            problems.append(Problem(shown, 0, str(error), _REMEDY))
        except FileNotFoundError:
            problems.append(
                Problem(shown, 0, "there is no such database", "correct geo.databases, or fetch it with `geodns geo update`")
            )
        except IsADirectoryError:
            problems.append(Problem(shown, 0, "is a directory, not a database", "name the .mmdb file itself"))
        except PermissionError:
            problems.append(Problem(shown, 0, "may not be read", "let the user that runs geodns read it"))
        except OSError as error:
            problems.append(Problem(shown, 0, f"cannot be read: {error.strerror}", _REMEDY))
        else:
            databases.append(database)
            if 6 not in database.versions:
                problems.append(Problem(shown, 0, "covers IPv4 only", "add a database that covers IPv6", Severity.WARNING))
            if not telling:
                problems.append(Problem(shown, 0, _SILENT, "name a database of countries, cities or AS numbers"))
    return databases, problems

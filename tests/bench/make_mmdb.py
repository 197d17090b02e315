"""Owns the making of large, realistic MaxMind DB files to measure with; refuses to know what is measured.

    python -m tests.bench.make_mmdb OUT --networks 5000000 --records 200000 --kind city

The tree is made from the top, all nodes of a level at once: how many nodes a level needs follows from the networks below it;
which children are nodes, networks or nothing is drawn. IPv6 networks lie in 2800::/5, no two networks overlap.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never, get_args

import numpy as np
import numpy.typing as npt

from tests.support.mmdb import (
    EMPTY,
    FIRST_DATA,
    IPV4_DEPTH,
    SEPARATOR_SIZE,
    DataSection,
    Kind,
    Tree,
    Typed,
    control,
    encode,
    metadata,
    pointer_to,
)

Kinds = Literal["city", "country", "asn"]
Numbers = npt.NDArray[np.int64]

IPV6_ROOT = (0x28 << 120, 5)
# shares of prefix lengths, after the shape of published city files; so few short ones that millions of networks have room
IPV4_SHARES: dict[int, float] = {12: 0.01, 13: 0.01, 14: 0.05, 15: 0.1, 16: 1, 17: 1, 18: 3, 19: 8, 20: 20, 21: 40, 22: 80}
IPV4_SHARES |= {23: 90, 24: 350, 25: 60, 26: 70, 27: 60, 28: 90, 29: 8, 30: 4, 31: 2, 32: 3}
IPV6_SHARES = dict.fromkeys(range(28, 65), 15.0) | {29: 40, 32: 200, 36: 60, 40: 80, 48: 250}
IPV6_SHARES |= {56: 90, 64: 60, 80: 0.5, 96: 0.5, 112: 0.5, 128: 0.5}
# which share of a level's children is in use, from this depth on: deep down the space is sparse
IPV4_USE = {0: 0.98, 24: 0.8}
IPV6_USE = {0: 0.9, 48: 0.7, 64: 0.5}
_COARSE_LEVELS = 10  # so many levels below the root every child has a home of its own; below, few move away
_MOVING = 0.06
COUNTRIES = (
    ("US", "NA", 39.8, -98.6), ("CA", "NA", 56.1, -106.3), ("MX", "NA", 23.6, -102.6), ("BR", "SA", -14.2, -51.9),
    ("AR", "SA", -38.4, -63.6), ("CL", "SA", -35.7, -71.5), ("GB", "EU", 55.4, -3.4), ("DE", "EU", 51.2, 10.5),
    ("FR", "EU", 46.2, 2.2), ("NL", "EU", 52.1, 5.3), ("IT", "EU", 41.9, 12.6), ("ES", "EU", 40.5, -3.7),
    ("PL", "EU", 51.9, 19.1), ("SE", "EU", 60.1, 18.6), ("RU", "EU", 61.5, 105.3), ("UA", "EU", 48.4, 31.2),
    ("TR", "AS", 39.0, 35.2), ("CN", "AS", 35.9, 104.2), ("JP", "AS", 36.2, 138.3), ("KR", "AS", 35.9, 127.8),
    ("IN", "AS", 20.6, 79.0), ("ID", "AS", -0.8, 113.9), ("TH", "AS", 15.9, 101.0), ("VN", "AS", 14.1, 108.3),
    ("SG", "AS", 1.35, 103.8), ("AU", "OC", -25.3, 133.8), ("NZ", "OC", -40.9, 174.9), ("ZA", "AF", -30.6, 22.9),
    ("NG", "AF", 9.1, 8.7), ("EG", "AF", 26.8, 30.8), ("KE", "AF", 0.0, 37.9), ("MA", "AF", 31.8, -7.1),
)  # fmt: skip
CONTINENTS = {"AF": "Africa", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania", "SA": "South America"}


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: networks, nodes of the tree, octets of the file."""

    networks: int
    nodes: int
    octets: int


@dataclass(frozen=True, slots=True)
class Level:
    """How many nodes one depth of the tree has, and how many of their children are networks."""

    nodes: int
    leaves: int


def make(
    path: Path, *, networks: int, records: int, kind: Kinds, ipv6_share: float = 0.3, seed: int = 1, record_size: int = 28
) -> Made:
    """Write a database of so many disjoint networks, whose neighbours mostly have records of one country.

    ValueError: more networks than there is room for, or a `record_size` (bits) too narrow for tree and data.
    """
    draw = np.random.default_rng(seed)
    data, offsets = _data_section(kind, records, draw)
    ipv6_networks = round(networks * ipv6_share)
    forests = (
        _levels(_spread(networks - ipv6_networks, IPV4_SHARES), 0, 32, IPV4_USE),
        _levels(_spread(ipv6_networks, IPV6_SHARES), IPV6_ROOT[1], 128, IPV6_USE),
    )
    skeleton = _skeleton()
    ipv4_root = len(skeleton.nodes)
    ipv6_root = ipv4_root + sum(level.nodes for level in forests[0])
    node_count = ipv6_root + sum(level.nodes for level in forests[1])
    leaves = offsets + (node_count + SEPARATOR_SIZE)
    if int(leaves[-1]) >= 1 << record_size:
        raise ValueError(f"{node_count} nodes and {len(data)} octets of data do not fit records of {record_size} bits")
    numbers = {EMPTY: node_count, FIRST_DATA: ipv4_root, FIRST_DATA - 1: ipv6_root}
    top = [[numbers.get(value, value) for value in node] for node in skeleton.nodes]
    with path.open("wb") as file:
        file.write(_pack(np.array(top, np.int64), record_size))
        for root, levels in zip((ipv4_root, ipv6_root), forests, strict=True):
            for nodes in _fill(levels, root, leaves, node_count, draw):
                file.write(_pack(nodes, record_size))
        file.write(bytes(SEPARATOR_SIZE) + data)
        name = "Bench-ASN" if kind == "asn" else f"Bench-{kind.title()}"
        file.write(metadata(node_count, 6, record_size, name, 1_700_000_000, "made to measure"))
        size = file.tell()
    return Made(networks, node_count, size)


def _skeleton() -> Tree:
    """The few nodes above the two roots, IPv4's (the first data) and IPv6's (the second), and those of the aliases."""
    skeleton = Tree(128)
    skeleton.insert(*IPV6_ROOT, FIRST_DATA - 1)
    skeleton.insert(0, IPV4_DEPTH, FIRST_DATA)
    skeleton.alias()
    return skeleton


def _spread(count: int, shares: Mapping[int, float]) -> dict[int, int]:
    """Networks for each prefix length, `count` in all."""
    whole = sum(shares.values())
    spread = {length: int(count * share / whole) for length, share in shares.items()}
    spread[max(shares, key=lambda length: shares[length])] += count - sum(spread.values())
    return spread


def _levels(lengths: Mapping[int, int], root: int, bits: int, use: Mapping[int, float]) -> list[Level]:
    """The levels from a root's depth down to the last address bit, as many nodes in each as the networks below need."""
    levels: list[Level] = []
    below = 0
    for depth in range(bits - 1, root - 1, -1):
        leaves = lengths.get(depth + 1, 0)
        used = use[max(start for start in use if start <= depth)]
        nodes = min(math.ceil((below + leaves) / (2 * used)), 1 << (depth - root))
        if below + leaves > 2 * nodes:
            raise ValueError(f"too many networks: {below + leaves} at /{depth + 1} where {2 * nodes} have room")
        levels.append(Level(nodes, leaves))
        below = nodes
    return levels[::-1]


def _fill(levels: list[Level], root: int, leaves: Numbers, empty: int, draw: np.random.Generator) -> Iterator[Numbers]:
    """The nodes of each level, as pairs of records: a number of a node, `empty`, or one of `leaves`."""
    homes = draw.integers(0, len(leaves), levels[0].nodes)
    noise = max(2.0, len(leaves) / 2000)
    following = root
    for depth, level in enumerate(levels):
        following += level.nodes
        inner = levels[depth + 1].nodes if depth + 1 < len(levels) else 0
        order = draw.permutation(2 * level.nodes)
        inner_at, leaves_at = np.sort(order[:inner]), order[inner : inner + level.leaves]
        homes = np.repeat(homes, 2)
        moving = draw.random(len(homes)) < (1.0 if depth < _COARSE_LEVELS else _MOVING)
        homes[moving] = draw.integers(0, len(leaves), int(moving.sum()))
        children = np.full(2 * level.nodes, empty, np.int64)
        children[inner_at] = following + np.arange(inner)
        near = homes[leaves_at] + draw.normal(0.0, noise, level.leaves).astype(np.int64)
        children[leaves_at] = leaves[np.clip(near, 0, len(leaves) - 1)]
        homes = homes[inner_at]
        yield children.reshape(-1, 2)


def _pack(nodes: Numbers, record_size: int) -> bytes:
    """The octets of nodes whose records have 24, 28 or 32 bits."""
    octets = nodes.astype(">u4").view(np.uint8).reshape(-1, 8)
    match record_size:
        case 24:
            return octets[:, (1, 2, 3, 5, 6, 7)].tobytes()
        case 28:
            packed = octets[:, (1, 2, 3, 0, 5, 6, 7)]
            packed[:, 3] = packed[:, 3] << 4 | octets[:, 4]
            return packed.tobytes()
        case 32:
            return octets.tobytes()
        case _:
            raise ValueError(f"no record has {record_size} bits")


class _Writer(DataSection):
    """A data section whose many records are put together from pointers to few shared values."""

    def __init__(self) -> None:
        super().__init__()
        self._shared: dict[str, bytes] = {}

    def point(self, value: object) -> bytes:
        """A pointer to a shared value."""
        name = value if isinstance(value, str) else repr(value)
        if name not in self._shared:
            self._shared[name] = pointer_to(self.add(value))
        return self._shared[name]

    def map(self, **entries: bytes) -> bytes:
        """A map whose keys are shared and whose values are octets already."""
        return control(Kind.MAP, len(entries)) + b"".join(self.point(key) + value for key, value in entries.items())


def _data_section(kind: Kinds, records: int, draw: np.random.Generator) -> tuple[bytes, Numbers]:
    """The octets of so many distinct records, and the offset of each; records of one country are neighbours."""
    section = _Writer()
    shifts = draw.normal(0.0, 3.0, (records, 2)).tolist()
    offsets = []
    for index, (north, east) in enumerate(shifts):
        code, continent, latitude, longitude = COUNTRIES[index * len(COUNTRIES) // records]
        number = encode(Typed(Kind.UINT32, 2_000_000 + index))
        match kind:
            case "asn":
                name = encode(f"Network {index} of {code}")
                octets = section.map(autonomous_system_number=number, autonomous_system_organization=name)
            case "country":
                registered = section.map(geoname_id=number, iso_code=section.point(code))
                octets = section.map(**_country(section, code, continent), registered_country=registered)
            case "city":
                point = (round(latitude + north, 4), round(longitude + east, 4))
                octets = section.map(**_country(section, code, continent), **_city(section, code, index, number, point))
            case _:
                assert_never(kind)
        offsets.append(len(section.octets))  # after the record's octets are made: making them may add shared values
        section.octets += octets
    return bytes(section.octets), np.array(offsets, np.int64)


def _country(section: _Writer, code: str, continent: str) -> dict[str, bytes]:
    return {
        "continent": section.point({"code": continent, "names": {"en": CONTINENTS[continent]}}),
        "country": section.point({"iso_code": code, "names": {"en": f"Country {code}"}}),
    }


def _city(section: _Writer, code: str, index: int, number: bytes, point: tuple[float, float]) -> dict[str, bytes]:
    location = section.map(
        accuracy_radius=encode(20),
        latitude=encode(point[0]),
        longitude=encode(point[1]),
        time_zone=section.point(f"Zone/{code}"),
    )
    region = {"iso_code": f"R{index % 16}", "names": {"en": f"Region {index % 16} of {code}"}}
    return {
        "city": section.map(geoname_id=number, names=section.map(en=encode(f"City {index}"))),
        "location": location,
        "subdivisions": section.point([region]),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="write a large MaxMind DB file to measure with")
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", type=int, default=5_000_000)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--kind", choices=get_args(Kinds), default="city")
    parser.add_argument("--ipv6-share", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record-size", type=int, choices=(24, 28, 32), default=28)
    asked = vars(parser.parse_args())
    start = time.perf_counter()
    made = make(asked.pop("out"), **asked)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{made.networks:,} networks, {made.nodes:,} nodes, {made.octets / 1e6:.1f} MB, {seconds:.1f} s, {memory:.0f} MiB")


if __name__ == "__main__":
    main()

"""Layers against brute force over small networks in the corners of both address spaces."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo.address import BITS, Network, Place, Version, prefix_around
from geodns.geo.layer import Indexes, Layer, Starts, distinct, empty, flatten, merged, overlay, starts_of

OUTSIDE = 99
Prefixes = list[tuple[Network, int]]


@st.composite
def networks(draw: st.DrawFn, version: Version) -> Network:
    """A network whose few set bits are at the top, around the middle or at the bottom, so that nesting is frequent."""
    bits = BITS[version]
    length = draw(st.sampled_from([0, 1, 2, 3, bits // 2 - 1, bits // 2, bits // 2 + 1, bits // 2 + 2, bits - 2, bits - 1, bits]))
    top, middle, bottom = (draw(st.integers(0, 3)) for _ in range(3))
    address = top << (bits - 2) | middle << (bits // 2 - 1) | bottom
    return prefix_around(Place(version, address), length)


def prefixes(version: Version) -> st.SearchStrategy[Prefixes]:
    return st.lists(st.tuples(networks(version), st.integers(1, 4)), max_size=8)


VERSIONS: st.SearchStrategy[Version] = st.sampled_from([4, 6])
FAMILIES = VERSIONS.flatmap(lambda version: st.tuples(st.just(version), prefixes(version)))
STACKS = VERSIONS.flatmap(lambda version: st.tuples(st.just(version), st.lists(prefixes(version), min_size=1, max_size=4)))


def addresses_of(starts: Starts, version: Version) -> list[int]:
    """The starts as integers."""
    high: list[int] = starts.high.tolist()
    if version == 4:
        assert starts.low is None
        return high
    low = [0] * len(high) if starts.low is None else starts.low.tolist()
    return [upper << 64 | lower for upper, lower in zip(high, low, strict=True)]


def edges(version: Version, several: Iterable[Prefixes]) -> list[int]:
    """All addresses at which anything can change, and their neighbours."""
    bounds = {0} | {
        edge
        for one in several
        for network, _ in one
        for edge in (int(network.network_address), int(network.broadcast_address) + 1)
    }
    return sorted({near for edge in bounds for near in (edge - 1, edge, edge + 1) if 0 <= near < 1 << BITS[version]})


def covering(found: Prefixes, address: int, outside: int = 0) -> int:
    """By definition: the index of the longest prefix that covers an address, of equal ones the later."""
    index, longest = outside, -1
    for network, number in found:
        first, last = int(network.network_address), int(network.broadcast_address)
        if first <= address <= last and network.prefixlen >= longest:
            index, longest = number, network.prefixlen
    return index


def at(starts: Sequence[int], indexes: Indexes, address: int) -> int:
    return int(indexes[bisect_right(starts, address) - 1])


@given(FAMILIES)
def test_flatten_gives_each_address_its_longest_prefix(family: tuple[Version, Prefixes]) -> None:
    """Cells ascend from 0, neighbours differ, and each has the index of the longest prefix, or what is outside."""
    version, found = family
    layer = flatten(version, found, OUTSIDE)
    starts = addresses_of(layer.starts, version)

    assert 0 == starts[0]
    assert sorted(set(starts)) == starts
    assert not (layer.indexes[1:] == layer.indexes[:-1]).any()
    for address in edges(version, [found]):
        assert covering(found, address, OUTSIDE) == at(starts, layer.indexes, address)


def test_flatten_leaves_the_other_family_out() -> None:
    """Networks of both families may be given; each layer takes its own."""
    both: Prefixes = [(prefix_around(Place(4, 1 << 24), 8), 1), (prefix_around(Place(6, 0x2000 << 112), 16), 2)]

    assert [0, 1, 0] == flatten(4, both).indexes.tolist()
    assert [0, 2, 0] == flatten(6, both).indexes.tolist()


@given(STACKS)
@settings(max_examples=60)
def test_overlay_asks_every_layer_at_every_common_start(stack: tuple[Version, list[Prefixes]]) -> None:
    """The common starts are those of all layers, once each, and every layer keeps its own index at each of them."""
    version, several = stack
    layers = [flatten(version, one) for one in several]
    starts, found = overlay(layers)
    common = addresses_of(starts, version)

    assert sorted({start for layer in layers for start in addresses_of(layer.starts, version)}) == common
    assert [len(common)] * len(layers) == [len(indexes) for indexes in found]
    for address in edges(version, several):
        assert [covering(one, address) for one in several] == [at(common, indexes, address) for indexes in found]


def test_overlay_mixes_layers_with_and_without_lower_words() -> None:
    """A layer cut inside a /64 and one that is not meet at the same starts."""
    long, short = (prefix_around(Place(6, 0x2000 << 112 | 1 << 63), length) for length in (65, 64))
    starts, (first, second) = overlay([flatten(6, [(long, 1)]), flatten(6, [(short, 2)])])

    assert [0, 0x2000 << 112, 0x2000 << 112 | 1 << 63, (0x2000 << 112) + (1 << 64)] == addresses_of(starts, 6)
    assert ([0, 0, 1, 0], [0, 2, 2, 0]) == (first.tolist(), second.tolist())


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_merged_keeps_the_first_of_equal_neighbours(indexes: list[int]) -> None:
    """What is left ascends, has no equal neighbours, and says the same of every cell."""
    layer = Layer(starts_of(4, range(len(indexes))), np.array(indexes, dtype=np.int32))
    found = merged(layer)

    assert indexes == [at(found.starts.high.tolist(), found.indexes, address) for address in range(len(indexes))]
    assert not (found.indexes[1:] == found.indexes[:-1]).any()


def test_merged_forgets_lower_words_that_are_all_zero() -> None:
    """When no cell begins inside a /64 any more, the lower words need no memory."""
    layer = Layer(starts_of(6, [0, 1, 1 << 64]), np.array([0, 0, 1], dtype=np.int32))

    assert layer.starts.low is not None
    assert merged(layer).starts.low is None


@pytest.mark.parametrize("index", [0, 7])
def test_empty_is_one_cell(index: int) -> None:
    """The whole address space, with one index."""
    layer = empty(index)

    assert ([0], [index]) == (layer.starts.high.tolist(), layer.indexes.tolist())


def test_starts_of_the_last_address() -> None:
    """The highest addresses of both families survive the packing."""
    assert [2**32 - 1] == addresses_of(starts_of(4, [2**32 - 1]), 4)
    assert [0, 2**128 - 1] == addresses_of(starts_of(6, [0, 2**128 - 1]), 6)


@given(st.lists(st.tuples(*[st.sampled_from([0, 1, 2, 1 << 30])] * 3), min_size=1, max_size=12))
def test_distinct_numbers_combinations(rows: list[tuple[int, int, int]]) -> None:
    """Rows have one number exactly if they are equal, numbers leave no gap, each number's row is one of its own."""
    one_of, number = distinct([np.array(column, dtype=np.int32) for column in zip(*rows, strict=True)], len(rows))

    assert len(set(rows)) == len(one_of)
    assert rows == [rows[one_of[found]] for found in number]
    assert sorted(set(range(len(one_of)))) == sorted(set(number.tolist()))

"""Cells against brute force over intervals: outcomes, scopes, and the memory they take."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo.address import BITS, Place, Version, prefix_around
from geodns.geo.layer import Layer, empty, merged, starts_of
from geodns.geo.partition import FALLBACK, FIRST_RULE, Cell, Ipv4Cells, Ipv6Cells, Partition, cells_of, scope

IPV4_STARTS = st.one_of(
    st.integers(1, 2**32 - 1),
    st.integers(1, 40),
    st.integers(2**32 - 40, 2**32 - 1),
    st.builds(lambda high, low: high << 24 | low, st.integers(1, 3), st.integers(0, 4)),
)
IPV6_STARTS = st.one_of(
    st.integers(1, 2**128 - 1),
    st.builds(lambda high: high << 64, st.integers(1, 6)),
    st.builds(lambda high, low: high << 64 | low, st.integers(0, 5), st.sampled_from([1, 2, 3, 2**63, 2**63 + 1, 2**64 - 1])),
    st.integers(2**128 - 4, 2**128 - 1),
    st.builds(lambda high: high << 64, st.integers(2**64 - 3, 2**64 - 1)),
    st.integers(1, 4).map(lambda low: 1 << 127 | low),
)
OUTCOMES = st.integers(0, 3) | st.sampled_from([255, 256, 65_535, 65_536, 1_000_000])


@st.composite
def layers(draw: st.DrawFn, version: Version) -> tuple[list[int], list[int], Layer]:
    """Starts, their outcomes, no two neighbours equal, and the layer they make."""
    starts = [0, *sorted(draw(st.sets(IPV4_STARTS if version == 4 else IPV6_STARTS, max_size=12)))]
    outcomes = draw(st.lists(OUTCOMES, min_size=len(starts), max_size=len(starts)))
    keep = [number for number in range(len(starts)) if number == 0 or outcomes[number] != outcomes[number - 1]]
    starts, outcomes = [starts[number] for number in keep], [outcomes[number] for number in keep]
    return starts, outcomes, Layer(starts_of(version, starts), np.array(outcomes, dtype=np.int32))


def interval(starts: list[int], bits: int, address: int) -> tuple[int, int, int]:
    """Number, first and last address of the interval that holds an address."""
    number = bisect_right(starts, address) - 1
    return number, starts[number], (starts[number + 1] if number + 1 < len(starts) else 1 << bits) - 1


def shortest(bits: int, first: int, last: int, address: int) -> int:
    """By definition: the shortest prefix around an address that lies in [first, last]."""
    for length in range(bits + 1):
        lower = address >> (bits - length) << (bits - length)
        if first <= lower and lower | (1 << (bits - length)) - 1 <= last:
            return length
    raise AssertionError("an address is a prefix of its own")


def near(starts: list[int], bits: int) -> list[int]:
    """Both sides of every start, the middles between them, and the end of address space."""
    bounds = [*starts, 1 << bits]
    edges = {edge + step for edge in bounds for step in (-1, 0, 1)} | {(one + other) // 2 for one, other in pairwise(bounds)}
    return sorted(address for address in edges if 0 <= address < 1 << bits)


@pytest.mark.parametrize("version", [4, 6])
@given(st.data())
@settings(max_examples=80)
def test_find_is_the_interval_and_its_shortest_prefix(version: Version, data: st.DataObject) -> None:
    """At every edge the outcome is that of the interval, the scope the shortest prefix that stays within it."""
    starts, outcomes, layer = data.draw(layers(version))
    cells, bits = cells_of(version, layer), BITS[version]

    for address in near(starts, bits):
        number, first, last = interval(starts, bits, address)
        assert Cell(outcomes[number], shortest(bits, first, last, address)) == cells.find(address), hex(address)


VERSIONS: st.SearchStrategy[Version] = st.sampled_from([4, 6])


@given(VERSIONS.flatmap(lambda version: st.tuples(st.just(BITS[version]), *[st.integers(0, (1 << BITS[version]) - 1)] * 3)))
def test_scope_is_the_shortest_prefix_within_bounds(drawn: tuple[int, int, int, int]) -> None:
    """For any address between two others, up to the end of the space."""
    bits, *bounds = drawn
    first, address, last = sorted(bounds)

    assert shortest(bits, first, last, address) == scope(address, first, (last + 1) % (1 << bits), bits + 1)


@pytest.mark.parametrize(
    ("address", "first", "after", "length"),
    [
        (0, 0, 0, 0),
        (0, 0, 1, 128),
        (2**128 - 1, 2**128 - 1, 0, 128),
        (1 << 127, 1 << 127, 0, 1),
        (0, 0, 1 << 127, 1),
        (5, 4, 8, 126),
        (5, 3, 9, 126),
        (5, 5, 6, 128),
        (0x20010DB8 << 96, 0x20010DB8 << 96, 0x20010DB9 << 96, 32),
    ],
)
def test_scope_at_the_ends(address: int, first: int, after: int, length: int) -> None:
    """A whole space is /0, a single address /128, halves /1."""
    assert length == scope(address, first, after, 129)


@pytest.mark.parametrize(("cells", "shift"), [(1, 24), (3, 24), (256, 24), (1_000, 23), (5_000, 20), (200_000, 16)])
def test_the_index_of_ipv4_grows_with_the_table(cells: int, shift: int) -> None:
    """Few cells need 256 blocks, many up to 65536; in each size every address finds its cell."""
    step = (1 << 32) // cells
    starts = [number * step >> 4 << 4 for number in range(cells)]
    table = Ipv4Cells(Layer(starts_of(4, starts), np.arange(cells, dtype=np.int32)))
    asked = {0, 2**32 - 1, *starts[:: max(1, cells // 50)], *(start - 1 for start in starts[1 :: max(1, cells // 50)])}

    assert (1 << 32 - table.shift) + 1 == len(table.top)
    assert shift >= table.shift >= 16
    assert cells == len(table) == table.top[-1]
    assert {address: bisect_right(starts, address) - 1 for address in asked} == {
        address: table.find(address).outcome for address in asked
    }


@pytest.mark.parametrize(("highest", "width"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4), (1 << 20, 4)])
@pytest.mark.parametrize("version", [4, 6])
def test_outcomes_take_no_more_octets_than_they_need(version: Version, highest: int, width: int) -> None:
    """The largest outcome decides how wide all are; one beyond 65535 is kept whole."""
    bits = BITS[version]
    starts = starts_of(version, [0, 1 << (bits - 3), 1 << (bits - 2)])
    cells = cells_of(version, Layer(starts, np.array([0, highest, 1], dtype=np.int32)))

    assert width == cells.outcomes.itemsize
    assert Cell(highest, 3) == cells.find(1 << (bits - 3))


@pytest.mark.parametrize("version", [4, 6])
def test_one_cell_is_the_whole_space(version: Version) -> None:
    """Where nothing differs, the scope is 0 for everybody."""
    cells = cells_of(version, empty(7))

    assert 1 == len(cells)
    assert {Cell(7, 0)} == {cells.find(address) for address in (0, 1, (1 << BITS[version]) - 1)}


def test_cells_inside_a_64_are_counted() -> None:
    """The size of a table counts the cells that hang below a /64 too."""
    starts = [0, 1 << 64, (1 << 64) + 1, (1 << 64) + 2, 2 << 64]
    cells = Ipv6Cells(Layer(starts_of(6, starts), np.array([0, 1, 2, 3, 4], dtype=np.int32)))

    assert len(starts) == len(cells)
    assert [0, 1, 2, 3, 4] == [cells.find(start).outcome for start in starts]


def test_the_state_of_a_place_comes_before_every_rule() -> None:
    """The fallback is the last outcome that is no rule, the first rule the next."""
    assert FALLBACK + 1 == FIRST_RULE


def test_named_tells_the_operators_networks() -> None:
    """Without networks of the operator nothing is named; with some, exactly what they cover, in both families."""
    place4, place6 = Place(4, 0xC0000201), Place(6, 0x20010DB8 << 96)
    plain = Ipv4Cells(empty()), Ipv6Cells(empty())
    covered = tuple(
        cells_of(
            place.version,
            merged(Layer(starts_of(place.version, [0, int(net[0]), int(net[-1]) + 1]), np.array([0, 1, 0], np.int32))),
        )
        for place, net in ((place4, prefix_around(place4, 24)), (place6, prefix_around(place6, 32)))
    )

    assert not any(Partition(*plain, None).is_named(place) for place in (place4, place6))
    named = Partition(*plain, (covered[0], covered[1]))
    assert [True, True, False, False] == [
        named.is_named(place) for place in (place4, place6, Place(4, 0xC0000301), Place(6, 0x20010DB9 << 96))
    ]


@pytest.mark.parametrize("embedded_bits", [0, 16, 96])
def test_ipv4_inside_ipv6_has_a_scope_of_the_whole_prefix(embedded_bits: int) -> None:
    """The bits before an embedded address are added to the scope of the address (RFC 7871 §6)."""
    ipv4 = Ipv4Cells(Layer(starts_of(4, [0, 1 << 31]), np.array([0, 1], dtype=np.int32)))
    found = Partition(ipv4, Ipv6Cells(empty()), None).find(Place(4, 1 << 31, embedded_bits))

    assert Cell(1, 1 + embedded_bits) == found

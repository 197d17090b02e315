"""Cells against brute force over intervals: outcomes, scopes, what sets of rules share, and the memory they take."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo.address import BITS, Place, Version, prefix_around
from geodns.geo.layer import Layer, empty, merged, starts_of
from geodns.geo.partition import (
    FALLBACK,
    FIRST_RULE,
    PAGE,
    Cell,
    FamilyCells,
    Ipv4Prefixes,
    Partition,
    cells_of,
    compile_ipv4,
    compile_ipv6,
)

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
ONE = np.zeros(1, dtype=np.int32)
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


def compiled(version: Version, layer: Layer, outcomes: list[list[int]]) -> list[FamilyCells]:
    """Compile sets of rules, each given by the outcomes of the layer's classes."""
    columns = [np.array(column, dtype=np.int32) for column in outcomes]
    return [*compile_ipv4(layer, columns)] if version == 4 else [*compile_ipv6(layer, columns)]


@pytest.mark.parametrize("version", [4, 6])
@given(st.data())
@settings(max_examples=80)
def test_every_set_finds_its_own_cells_in_the_prefixes_of_all(version: Version, data: st.DataObject) -> None:
    """Of sets that are compiled together each has the outcomes and scopes that it would have alone, at every edge of any."""
    starts = [0, *sorted(data.draw(st.sets(IPV4_STARTS if version == 4 else IPV6_STARTS, max_size=12)))]
    classes = data.draw(st.lists(st.integers(0, 4), min_size=len(starts), max_size=len(starts)))
    outcomes = data.draw(st.lists(st.lists(OUTCOMES, min_size=5, max_size=5), min_size=1, max_size=4))
    layer, bits = Layer(starts_of(version, starts), np.array(classes, dtype=np.int32)), BITS[version]

    for cells, column in zip(compiled(version, layer, outcomes), outcomes, strict=True):
        found = [column[one] for one in classes]
        own = [number for number in range(len(starts)) if number == 0 or found[number] != found[number - 1]]
        for address in near(starts, bits):
            number, first, last = interval([starts[n] for n in own], bits, address)
            assert Cell(found[own[number]], shortest(bits, first, last, address)) == cells.find(address), hex(address)


ENDS: list[tuple[Version, dict[int, int], int, int]] = [
    (6, {0: 0, 1: 1}, 0, 128),
    (6, {0: 0, 2**128 - 1: 1}, 2**128 - 1, 128),
    (6, {0: 0, 1 << 127: 1}, 1 << 127, 1),
    (6, {0: 0, 1 << 127: 1}, 0, 1),
    (6, {0: 0, 4: 1, 8: 0}, 5, 126),
    (6, {0: 0, 3: 1, 9: 0}, 5, 126),
    (6, {0: 0, 5: 1, 6: 0}, 5, 128),
    (6, {0: 0, (1 << 64) - 1: 1, 3 << 64: 0}, 2 << 64, 64),
    (6, {0: 0, (1 << 64) - 1: 1, 4 << 64: 0}, 2 << 64, 63),
    (6, {0: 0, (2**64 - 1) << 64: 1}, 2**128 - 1, 64),
    (6, {0: 0, 0x20010DB8 << 96: 1, 0x20010DB9 << 96: 0}, 0x20010DB8 << 96, 32),
    (4, {0: 0, 1: 1}, 0, 32),
    (4, {0: 0, 2**32 - 1: 1}, 2**32 - 1, 32),
    (4, {0: 0, 1 << 31: 1}, 2**32 - 1, 1),
    (4, {0: 0, 3: 1, 9: 0}, 5, 30),
]


@pytest.mark.parametrize(("version", "outcomes", "address", "length"), ENDS)
def test_scope_at_the_ends(version: Version, outcomes: dict[int, int], address: int, length: int) -> None:
    """A half of the space is /1, a single address as long as addresses are, and a cell may span both sides of a /64's end."""
    layer = Layer(starts_of(version, list(outcomes)), np.array(list(outcomes.values()), dtype=np.int32))

    assert length == cells_of(version, layer).find(address).scope_prefix_length


@pytest.mark.parametrize("version", [4, 6])
@given(st.data())
@settings(max_examples=40)
def test_prefixes_are_the_fewest(version: Version, data: st.DataObject) -> None:
    """With one set every prefix is its own scope: none could be larger, and they cover all addresses once."""
    _, _, layer = data.draw(layers(version))
    cells, bits = cells_of(version, layer), BITS[version]
    address, count = 0, 0
    while address < 1 << bits:
        count += 1
        address += 1 << bits - cells.find(address).scope_prefix_length

    assert (1 << bits, count) == (address, len(cells.prefixes))


STRIPES = Layer(starts_of(4, range(0, 1 << 20, 256)), np.arange(1 << 12, dtype=np.int32) % 8)
"""Eight classes in turn, in prefixes of /24, and what lies behind."""


def test_sets_share_what_they_have_in_common() -> None:
    """All share prefixes and scopes; equal sets are one; sets that only number the same outcomes differently share pages."""
    several = [[0, 1, 2, 2, 0, 0, 0, 0], [0, 2, 1, 1, 0, 0, 0, 0], [0, 1, 2, 2, 0, 0, 0, 0], [3, 3, 3, 3, 0, 0, 0, 0]]
    first, renumbered, again, other = compiled(4, STRIPES, several)

    assert first is again
    assert {id(first.prefixes)} == {id(cells.prefixes) for cells in (renumbered, other)}
    assert {id(first.scopes)} == {id(cells.scopes) for cells in (renumbered, other)}
    assert first.pages is renumbered.pages
    assert [1, 2, 3] == [cells.find(256).outcome for cells in (first, renumbered, other)]


def test_a_page_of_scopes_is_kept_once() -> None:
    """However many sets there are, pages that are equal take memory once."""
    sets = compiled(4, STRIPES, [[int(bool(1 << place & number)) for place in range(8)] for number in range(1, 128)])
    scopes = sets[0].scopes
    pages = {scopes[at : at + PAGE] for at in range(0, len(scopes), PAGE)}

    assert len(scopes) == len(pages) * PAGE
    assert {at for cells in sets for at in cells.pages} == set(range(0, len(scopes), PAGE))
    assert len(sets) * len(sets[0].prefixes) > 10 * len(scopes)


@pytest.mark.parametrize(("cells", "shift"), [(1, 24), (3, 24), (256, 24), (1_000, 23), (5_000, 20), (200_000, 16)])
def test_the_index_of_ipv4_grows_with_the_table(cells: int, shift: int) -> None:
    """Few cells need 256 blocks, many up to 65536; in each size every address finds its cell."""
    step = (1 << 32) // cells
    starts = [number * step >> 4 << 4 for number in range(cells)]
    found = cells_of(4, Layer(starts_of(4, starts), np.arange(cells, dtype=np.int32)))
    table = found.prefixes
    asked = {0, 2**32 - 1, *starts[:: max(1, cells // 50)], *(start - 1 for start in starts[1 :: max(1, cells // 50)])}

    assert isinstance(table, Ipv4Prefixes)
    assert (1 << 32 - table.shift) + 1 == len(table.top)
    assert shift >= table.shift >= 16
    assert cells <= len(table) == table.top[-1]
    assert {address: bisect_right(starts, address) - 1 for address in asked} == {
        address: found.find(address).outcome for address in asked
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

    assert 1 == len(cells.prefixes)
    assert {Cell(7, 0)} == {cells.find(address) for address in (0, 1, (1 << BITS[version]) - 1)}


def test_prefixes_inside_a_64_are_counted() -> None:
    """The size of a table counts the pieces of a /64 instead of it."""
    starts = [0, 1 << 64, (1 << 64) + 1, (1 << 64) + 2, 2 << 64]
    cells = cells_of(6, Layer(starts_of(6, starts), np.array([0, 1, 2, 3, 4], dtype=np.int32)))
    before, pieces, behind = 1, 1 + 1 + 63, 63

    assert before + pieces + behind == len(cells.prefixes)
    assert [0, 1, 2, 3, 4] == [cells.find(start).outcome for start in starts]


def test_a_64_that_is_cut_for_others_only_is_whole() -> None:
    """Where a set makes the same of all pieces of a /64, its scope may be shorter than 64, within it and around it."""
    starts = [0, 6 << 64, (7 << 64) + 5, 8 << 64]
    apart, alike = compiled(6, Layer(starts_of(6, starts), np.array([0, 1, 2, 0], dtype=np.int32)), [[0, 1, 2], [0, 1, 1]])

    assert [64, 126, 128] == [apart.find(address).scope_prefix_length for address in (6 << 64, 7 << 64, (7 << 64) + 5)]
    assert {Cell(1, 63)} == {alike.find(address) for address in (6 << 64, 7 << 64, (7 << 64) + 5, (8 << 64) - 1)}


def test_the_state_of_a_place_comes_before_every_rule() -> None:
    """The fallback is the last outcome that is no rule, the first rule the next."""
    assert FALLBACK + 1 == FIRST_RULE


def test_named_tells_the_operators_networks() -> None:
    """Without networks of the operator nothing is named; with some, exactly what they cover, in both families."""
    place4, place6 = Place(4, 0xC0000201), Place(6, 0x20010DB8 << 96)
    plain = compile_ipv4(empty(), [ONE])[0], compile_ipv6(empty(), [ONE])[0]
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
    halves = Layer(starts_of(4, [0, 1 << 31]), np.array([0, 1], dtype=np.int32))
    cells = compile_ipv4(halves, [np.array([0, 1], dtype=np.int32)])[0], compile_ipv6(empty(), [ONE])[0]
    found = Partition(*cells, None).find(Place(4, 1 << 31, embedded_bits))

    assert Cell(1, 1 + embedded_bits) == found

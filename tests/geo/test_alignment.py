"""Cuts laid over each other, against looking every address up in each."""

from __future__ import annotations

from array import array
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo import Network, Version
from geodns.geo.alignment import UNCUT, Alignment, alike
from geodns.geo.layer import flatten
from geodns.geo.partition import FamilyCells, cells_of

BLOCK = {4: ip_network("192.0.2.0/26"), 6: ip_network("2001:db8:0:1:ffff:ffff:ffff:ffe0/122", strict=False)}
WHOLE: dict[Version, Network] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


def networks(version: Version) -> st.SearchStrategy[Network]:
    """Networks in or around the block."""
    first, bits = int(BLOCK[version].network_address), BLOCK[version].max_prefixlen
    made = IPv4Address if version == 4 else IPv6Address
    return st.builds(
        lambda tail, length: ip_network(f"{made(first + tail)}/{bits - length}", strict=False),
        st.integers(0, 63),
        st.integers(0, 6) | st.sampled_from([0, 6, 20]),
    )


def cuts(version: Version) -> st.SearchStrategy[FamilyCells]:
    """Random cuts into four kinds of cells."""
    named = st.dictionaries(networks(version), st.integers(0, 3), max_size=6)
    return named.map(lambda prefixes: cells_of(version, flatten(version, list(prefixes.items()))))


@pytest.mark.parametrize("version", [4, 6])
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_it_is_as_looking_up_every_address(version: Version, data: st.DataObject) -> None:
    """Parts add up to all of address space, and `where` gives exactly the addresses that have the outcomes."""
    one, other = data.draw(cuts(version)), data.draw(cuts(version))
    alignment = Alignment(version, [one.prefixes, None, other.prefixes])
    outcomes = [one.outcomes, None, other.outcomes]
    joint = alignment.joint(outcomes)
    first = int(BLOCK[version].network_address)
    found: dict[int, tuple[int, ...]] = {}
    left = Counter[int]()
    where = alignment.where(outcomes, {row: number for number, row in enumerate(joint)}, 10_000)
    for row, (prefixes, more) in zip(joint, where, strict=True):
        left[more] += 1
        for prefix in prefixes:
            low, high = int(prefix.network_address), int(prefix.broadcast_address)
            found |= dict.fromkeys(range(max(low, first), min(high, first + 63) + 1), row)

    assert 1.0 == pytest.approx(sum(joint.values()))
    assert {0: len(joint)} == left
    assert {
        address: (one.find(address).outcome, UNCUT, other.find(address).outcome) for address in range(first, first + 64)
    } == found


def test_sizes_are_parts_of_address_space() -> None:
    """Down to a single address of IPv4, and in IPv6 to a part of a /64."""
    for version, text, expected in (
        (4, "192.0.2.1/32", 2.0**-32),
        (6, "2001:db8::/32", 2.0**-32),
        (6, "2001:db8::/66", 2.0**-66),
    ):
        cells = cells_of(4 if version == 4 else 6, flatten(4 if version == 4 else 6, [(ip_network(text), 7)]))
        joint = Alignment(4 if version == 4 else 6, [cells.prefixes]).joint([cells.outcomes])

        assert {(0,): pytest.approx(1 - expected), (7,): pytest.approx(expected)} == joint


def test_few_prefixes_are_those_of_the_largest_ranges() -> None:
    """What does not fit the limit is counted by ranges; what fits is in ascending order."""
    named = ("10.0.0.0/24", "10.0.2.0/23", "10.0.5.0/25", "10.0.6.0/24")
    cells = cells_of(4, flatten(4, [(ip_network(text), 1) for text in named]))
    alignment = Alignment(4, [cells.prefixes])

    def shown(limit: int) -> tuple[list[str], int]:
        [(prefixes, left)] = alignment.where([cells.outcomes], {(1,): 0}, limit)
        return list(map(str, prefixes)), left

    assert (["10.0.0.0/24", "10.0.2.0/23"], 2) == shown(2)
    assert (list(named), 0) == shown(4)
    assert (["10.0.0.0/24", "10.0.2.0/23", "10.0.6.0/24"], 1) == shown(3)


@pytest.mark.parametrize("version", [4, 6])
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_cuts_are_alike_that_look_so(version: Version, data: st.DataObject) -> None:
    """The same made twice is alike; what is alike has the same classes everywhere."""
    named = st.dictionaries(networks(version), st.integers(0, 3), max_size=4)
    layers = [flatten(version, list(prefixes.items())) for prefixes in data.draw(st.tuples(named, named))]
    one, again, other = (cells_of(version, layer).prefixes for layer in (layers[0], layers[0], layers[1]))

    classes = range(max(*one.classes, *other.classes) + 1)
    rows = Alignment(version, [one, other]).joint([array("I", classes), array("I", classes)])

    assert alike(one, again)
    assert not alike(one, other) or all(left == right for left, right in rows)

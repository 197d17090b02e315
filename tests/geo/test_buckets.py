"""Sticky cells: networks of one size in buckets, evenly and for good."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo import BUCKETS, FIRST_RULE, STICKY_LENGTH, Buckets, Cell, Place, mix, network_number, place_of
from geodns.geo.address import BITS, Version

PLACES = st.builds(Place, st.just(4), st.integers(0, 2**32 - 1)) | st.builds(Place, st.just(6), st.integers(0, 2**128 - 1))


@given(PLACES, st.integers(0, 2**128 - 1))
def test_all_addresses_of_a_network_are_in_its_bucket(place: Place, other: int) -> None:
    """What lies behind the sticky length makes no difference, and the scope is that length."""
    behind = BITS[place.version] - STICKY_LENGTH[place.version]
    neighbour = Place(place.version, place.address >> behind << behind | other % (1 << behind))
    cell = Buckets().find(place)

    assert cell == Buckets().find(neighbour)
    assert STICKY_LENGTH[place.version] == cell.scope_prefix_length
    assert FIRST_RULE <= cell.outcome < FIRST_RULE + BUCKETS


@pytest.mark.parametrize(("text", "before"), [("::ffff:192.0.2.77", 96), ("64:ff9b::192.0.2.77", 96), ("2002:c000:24d::1", 16)])
def test_ipv4_inside_ipv6_has_the_bucket_of_the_ipv4_network(text: str, before: int) -> None:
    """A mapped, translated or 6to4 address is its IPv4 network's, with a scope that covers the bits before it."""
    plain = Buckets().find(Place(4, int(ip_address("192.0.2.1"))))

    assert Cell(plain.outcome, plain.scope_prefix_length + before) == Buckets().find(place_of(6, int(ip_address(text))))


def test_private_addresses_are_dealt_out_like_any_other() -> None:
    """Stickiness needs no location: nothing is named, and 10.0.0.0/8 is spread over buckets."""
    private = [Place(4, 10 << 24 | number << 8) for number in range(1000)]

    assert not any(Buckets().is_named(place) for place in private)
    assert 800 < len({Buckets().find(place).outcome for place in private})


@pytest.mark.parametrize("version", [4, 6])
def test_neighbouring_networks_fill_buckets_evenly(version: Version) -> None:
    """Of 65536 networks in a row each bucket gets about 16: the spread is that of chance (χ² within five deviations)."""
    behind = BITS[version] - STICKY_LENGTH[version]
    first = int(ip_address("81.0.0.0" if version == 4 else "2a02:8100::")) >> behind
    found = Counter(Buckets().find(Place(version, first + number << behind)).outcome for number in range(1 << 16))
    mean = (1 << 16) / BUCKETS
    chi_squared = sum((found[FIRST_RULE + bucket] - mean) ** 2 / mean for bucket in range(BUCKETS))

    assert abs(chi_squared - BUCKETS) < 5 * (2 * BUCKETS) ** 0.5


FROZEN = [(0, 0xE220A8397B1DCDAF), (1, 0x910A2DEC89025CC1), (2**64 - 1, 0xE4D971771B652C20)]


@pytest.mark.parametrize(("number", "mixed"), FROZEN)
def test_mix_is_splitmix64(number: int, mixed: int) -> None:
    """The published finaliser, so that every process and every release deals out alike (first output for seed 0, 1, -1)."""
    assert mixed == mix(number)


@given(st.integers(0, 2**300))
def test_mix_gives_64_bits_of_numbers_of_any_size(number: int) -> None:
    """However large the number is."""
    assert 0 <= mix(number) < 2**64


@given(st.sets(st.integers(0, 2**200), min_size=2, max_size=50))
def test_different_numbers_stay_different(numbers: set[int]) -> None:
    """No two of a handful meet: every word of a large number counts."""
    assert len(numbers) == len({mix(number) for number in numbers})


@given(st.lists(st.tuples(PLACES, st.integers(0, 32)), min_size=2, max_size=10))
def test_networks_have_numbers_of_their_own(networks: list[tuple[Place, int]]) -> None:
    """Equal numbers mean the same family, length and prefix: families do not share numbers, nor do a network and its half."""
    numbers = {(place.version, length, place.address >> BITS[place.version] - length) for place, length in networks}

    assert len(numbers) == len({network_number(place, length) for place, length in networks})

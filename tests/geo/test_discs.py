"""Discs of round trips: what cannot meet proves two places, what has one place is never proved to have two."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.discs import KILOMETRES_PER_MILLISECOND, Disc, sites
from geodns.geo.nearness import Spot, distance

LONDON, TOKYO, NEW_YORK, SYDNEY, PARIS = (
    Spot(51.5, -0.1),
    Spot(35.7, 139.7),
    Spot(40.7, -74.0),
    Spot(-33.9, 151.2),
    Spot(48.9, 2.3),
)

spots = st.builds(Spot, st.floats(-90, 90), st.floats(-180, 180))
discs = st.lists(st.tuples(spots, st.floats(0, 20_000)), min_size=1, max_size=12).map(
    lambda drawn: [Disc(str(number), spot, radius) for number, (spot, radius) in enumerate(drawn)]
)


def measured(sites_at: list[Spot], vantage_points: list[Spot], detour: float = 1.0) -> list[Disc]:
    """The discs of probes that each reach the nearest site, over a way so much longer than the great circle."""
    return [
        Disc(str(number), spot, min(distance(spot, site) for site in sites_at) * detour)
        for number, spot in enumerate(vantage_points)
    ]


@given(spots, st.lists(spots, min_size=1, max_size=15), st.floats(1, 5))
def test_one_place_is_never_proved_to_be_two(site: Spot, vantage_points: list[Spot], detour: float) -> None:
    """Wherever the probes of one site are and however long their ways, all discs hold it, so all of them meet."""
    found = sites(measured([site], vantage_points, detour))

    assert not found.is_proof
    assert 1 == len(found.disjoint)


@given(st.lists(spots, min_size=1, max_size=6), st.lists(spots, min_size=1, max_size=25), st.floats(1, 2))
def test_there_are_never_fewer_sites_than_found(at: list[Spot], vantage_points: list[Spot], detour: float) -> None:
    """The number of discs found is a lower bound of the sites."""
    assert len(at) >= len(sites(measured(at, vantage_points, detour)).disjoint)


@given(discs)
def test_the_discs_found_do_not_meet_and_no_other_can_join(given_discs: list[Disc]) -> None:
    """They are pairwise disjoint, and maximal; where any two discs do not meet, that is a proof."""
    found = sites(given_discs)

    assert not any(one.meets(other) for one, other in itertools.combinations(found.disjoint, 2))
    assert all(any(disc.meets(chosen) for chosen in found.disjoint) for disc in given_discs)
    assert found.is_proof == any(not one.meets(other) for one, other in itertools.combinations(given_discs, 2))


@given(discs)
def test_a_proof_rests_on_a_probe_without_which_there_is_none(given_discs: list[Disc]) -> None:
    """Exactly those probes are named without which no two discs are disjoint."""
    found = sites(given_discs)
    needed = {
        disc.name
        for disc in given_discs
        if found.is_proof
        and not any(
            not one.meets(other)
            for one, other in itertools.combinations([left for left in given_discs if left.name != disc.name], 2)
        )
    }

    assert needed == set(found.resting_on)


@given(discs, st.randoms(use_true_random=False))
def test_order_does_not_matter(given_discs: list[Disc], chance: object) -> None:
    """The same discs in another order give the same sites."""
    shuffled = list(given_discs)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as object

    assert sites(given_discs) == sites(shuffled)


def test_five_cities_with_a_site_each_are_five_sites() -> None:
    """Probes of 5 ms beside each of their own sites, all but London and Paris far apart, show as many sites."""
    cities = {"London": LONDON, "Tokyo": TOKYO, "New York": NEW_YORK, "Sydney": SYDNEY, "Paris": PARIS}
    near = [Disc(name, spot, 1 * KILOMETRES_PER_MILLISECOND) for name, spot in cities.items()]
    wide = [Disc(name, spot, 5 * KILOMETRES_PER_MILLISECOND) for name, spot in cities.items()]

    assert set(cities) == {disc.name for disc in sites(near).disjoint}
    assert 4 == len(sites(wide).disjoint)


def test_a_pair_is_found_where_the_smallest_disc_meets_all() -> None:
    """Greedy alone would stop at the small disc in the middle: two large ones on either side of it are a proof."""
    found = sites([Disc("middle", Spot(0, 0), 900), Disc("west", Spot(0, -15), 1000), Disc("east", Spot(0, 15), 1000)])

    assert ("east", "west") == tuple(sorted(disc.name for disc in found.disjoint))
    assert ("east", "west") == tuple(sorted(found.resting_on))


@pytest.mark.parametrize(("radius", "expected"), [(5000, 1), (4900, 2)])
def test_the_earth_is_no_sphere(radius: float, expected: int) -> None:
    """Two points 9,954 km apart by the sphere may be 0.6 % nearer: discs that only then meet prove nothing."""
    assert expected == len(sites([Disc("a", LONDON, radius), Disc("b", Spot(-38, -0.1), radius)]).disjoint)


def test_no_disc_is_no_site() -> None:
    """Nothing measured, nothing found."""
    assert () == sites([]).disjoint

"""The map of the lab: addresses that do not collide, ways that are as long as the planet makes them."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.lab import netns, topology
from tests.lab.topology import INSTANCES, LINKS, NODES, REGIONS, Kind


def test_no_address_is_used_twice() -> None:
    """Each address belongs to one place, but the anycast address, which belongs to all instances."""
    found = [address for node in NODES.values() for address in netns.own_addresses(node)]
    found += [str(link.address(end)) for link in LINKS.values() for end in (link.one, link.other)]
    shared = [address for address in found if address == str(topology.ANYCAST)]

    assert len(INSTANCES) == len(shared)
    assert len(found) - len(shared) == len(set(found) - set(shared))


def test_the_ends_of_a_link_are_one_pair() -> None:
    """The addresses of a link are those of one /31 (RFC 3021)."""
    for link in LINKS.values():
        assert int(link.address(link.one)) ^ 1 == int(link.address(link.other))


def test_no_way_is_shorter_than_the_great_circle() -> None:
    """A way over a third place is at least as long as the direct one."""
    for one, other, third in combinations(NODES.values(), 3):
        detour = topology.kilometres(one, third) + topology.kilometres(third, other)

        assert topology.kilometres(one, other) <= detour + 1e-6


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [("arc-lon", "arc-ash", 5920), ("fra", "bay-ams", 364), ("tokyo", "bay-sin", 5320), ("saopaulo", "arc-ash", 7660)],
)
def test_distances_are_those_of_the_planet(one: str, other: str, kilometres: float) -> None:
    """Great circles agree with those that atlases give, to one in a hundred."""
    assert kilometres == pytest.approx(topology.kilometres(NODES[one], NODES[other]), rel=0.01)


@pytest.mark.parametrize(
    ("region", "all_alive", "target_gone"),
    [("paris", "fra", "fra"), ("chicago", "nyc", "fra"), ("saopaulo", "nyc", "fra"), ("tokyo", "sin", "sin")],
)
def test_the_nearest_instance_of_each_region(region: str, all_alive: str, target_gone: str) -> None:
    """Two regions are the target's, and without it another instance is theirs."""
    others = tuple(node for node in INSTANCES if node != topology.TARGET)

    assert all_alive == topology.nearest(NODES[region]).name
    assert target_gone == topology.nearest(NODES[region], others).name


def test_the_public_resolver_is_far_from_most_clients() -> None:
    """It is nearer to the target than most regions are: what it hides is where they are."""
    far = [region for region in REGIONS if topology.kilometres(region, topology.PUBLIC) > 5000]

    assert len(REGIONS) - 1 == len(far)
    assert topology.TARGET == topology.nearest(topology.PUBLIC)


def test_there_are_two_transit_networks_in_which_all_places_are_linked() -> None:
    """Their places form a full mesh each, for inner routes are static."""
    transit = [node for node in NODES.values() if node.kind is Kind.TRANSIT]
    linked = {frozenset((link.one, link.other)) for link in LINKS.values()}

    assert {topology.ARC, topology.BAY} == {node.asn for node in transit}
    for one, other in combinations(transit, 2):
        assert one.asn != other.asn or frozenset((one.name, other.name)) in linked

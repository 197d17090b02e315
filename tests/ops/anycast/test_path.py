"""The way of a packet, on loopback: one hop, or a reason."""

from __future__ import annotations

import sys

import pytest

from geodns.ops.anycast import Hop, NoWay, Way, trace
from tests.support.daemons import has_ipv6

ADDRESSES = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells such errors to everybody")
@pytest.mark.parametrize("address", ADDRESSES)
async def test_loopback_is_one_hop_away(address: str) -> None:
    """The host refuses the packet itself, and that is the end, found without privilege and without waiting."""
    way = await trace(address, 10)

    assert isinstance(way, Way)
    assert way.reached
    assert [(1, address)] == [(hop.number, hop.address) for hop in way.hops]
    assert str(way).startswith(f"1 hop: 1 is {address} in ")


@pytest.mark.parametrize("address", ["255.255.255.255", "no address"])
async def test_no_way_is_told_with_its_reason(address: str) -> None:
    """Where the system refuses to send, that is the result."""
    way = await trace(address, 0.1)

    assert isinstance(way, NoWay)
    assert str(way).startswith("not possible here: ")


def test_a_way_is_told_by_its_last_hops() -> None:
    """Three hops are shown of many, and whether the address was reached."""
    hops = tuple(Hop(number, f"192.0.2.{number}", number / 2, number == 5) for number in range(1, 6))

    assert "5 hops: 3 is 192.0.2.3 in 1.5 ms, 4 is 192.0.2.4 in 2.0 ms, 5 is 192.0.2.5 in 2.5 ms" == str(Way(hops))
    assert str(Way(hops[:2])).startswith("not reached in 2 hops: ")
    assert "no router told itself" == str(Way(()))
    assert not Way(()).reached

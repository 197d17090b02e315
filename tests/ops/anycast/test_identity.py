"""Which instance answers: real sockets on loopback share a port as instances share an address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from dnslib import DNSRecord

from geodns.ops.anycast import Server, find, identify
from geodns.problem import ProblemsFound
from tests.support.daemons import free_port, has_ipv6
from tests.support.instances import Respond, identity, instances


def instance(name: str) -> Respond:
    """An instance that tells everything."""
    return partial(
        identity, nsid=name.encode(), names={"id.server": name, "hostname.bind": f"{name}.example", "version.server": "7"}
    )


async def test_one_instance_is_one_on_every_port() -> None:
    """A single server has all the share, and all its names are told."""
    with instances(instance("ams1")) as port:
        found = await identify(Server("127.0.0.1", port), 8)

    (one,) = found.instances
    assert ("ams1", "ams1", "ams1", "ams1.example", "7") == (
        one.identity, one.nsid, one.id_server, one.hostname_bind, one.version,
    )  # fmt: skip
    assert (8, 1.0, 1, 0, 0) == (one.ports, one.share, found.rounds, found.ports_changed, found.unanswered)
    assert "one instance on all 8 source ports" == found.finding
    assert one.milliseconds == found.milliseconds
    assert 0 < one.milliseconds < 2000


async def test_instances_behind_one_port_are_told_apart() -> None:
    """Over many source ports each of three is met, shares add up to 1, the most frequent is first."""
    with instances(instance("ams1"), instance("fra1"), instance("sin1")) as port:
        found = await identify(Server("127.0.0.1", port), 64)

    assert {"ams1", "fra1", "sin1"} == set(found.identities)
    assert 1 == pytest.approx(sum(one.share for one in found.instances))
    assert 64 == sum(one.ports for one in found.instances)
    assert sorted((one.share for one in found.instances), reverse=True) == [one.share for one in found.instances]
    assert "3 instances, by source port" == found.finding


async def test_a_port_keeps_its_instance_over_time() -> None:
    """Asked again later, every flow is where it was: the kernel hashes it, as routers do."""
    with instances(instance("ams1"), instance("fra1")) as port:
        found = await identify(Server("127.0.0.1", port), 32, seconds=0.05)

    assert (2, 0) == (found.rounds, found.ports_changed)
    assert "2 instances; each source port keeps its own" == found.finding


async def test_a_port_that_changes_its_instance_is_counted() -> None:
    """Where routes flap between two rounds, it is seen and told."""
    asked: dict[str, int] = {}

    def flapping(query: DNSRecord) -> DNSRecord:
        name = str(query.q.qname)
        asked[name] = asked.get(name, 0) + 1
        return identity(query, nsid=b"first" if asked[name] <= 4 else b"second", names={})

    with instances(flapping) as port:
        found = await identify(Server("127.0.0.1", port), 4, seconds=0.05)

    assert (4, 2) == (found.ports_changed, len(found.instances))
    assert "2 instances; 4 of 4 source ports changed theirs" == found.finding


async def test_ports_without_a_reply_are_not_said_to_have_one() -> None:
    """What answered on some source ports alone is no instance on all of them; and one port is not many."""
    asked: list[int] = []

    def forgetful(query: DNSRecord) -> DNSRecord | None:
        asked.append(1)
        return None if len(asked) == 1 else identity(query, nsid=b"ams1", names={})

    with instances(forgetful) as port:
        some = await identify(Server("127.0.0.1", port), 4, timeout=0.3)
        single = await identify(Server("127.0.0.1", port), 1)

    assert (3, 1, "one instance on 3 of 4 source ports") == (some.ports_answered, some.unanswered, some.finding)
    assert "one instance on one source port" == single.finding


@pytest.mark.parametrize(
    ("respond", "expected"),
    [
        (partial(identity, nsid=b"", names={"id.server": "ams1", "hostname.bind": "host"}), "ams1"),
        (partial(identity, nsid=b"", names={"hostname.bind": "host"}), "host"),
        (partial(identity, nsid=b"\x00\xff", names={"id.server": "ams1"}), "00ff"),
        (partial(identity, nsid=b"a\x1b[2J\n", names={}), "a\\027[2J\\010"),
        (partial(identity, nsid=b"", names={"version.server": "7"}), ""),
    ],
)
async def test_an_instance_is_called_by_the_first_name_it_tells(respond: Respond, expected: str) -> None:
    """NSID, else id.server, else hostname.bind; octets that a terminal would obey are written out."""
    with instances(respond) as port:
        found = await identify(Server("127.0.0.1", port), 1)

    assert [expected] == [one.identity for one in found.instances]


async def test_a_nameless_server_is_said_to_be_one() -> None:
    """A server that answers and tells no name has no identity, and no instance is made up."""
    with instances(partial(identity, nsid=b"", names={})) as port:
        found = await identify(Server("127.0.0.1", port), 4)

    assert ((), 1) == (found.identities, len(found.instances))
    assert "what answers does not tell its name" == found.finding


def noise(query: DNSRecord, make: Callable[[DNSRecord], bytes]) -> bytes:
    return make(query)


@pytest.mark.parametrize(
    "make",
    [
        lambda query: b"",
        lambda query: b"\x00" * 11,
        lambda query: query.pack(),
        lambda query: bytes([query.pack()[0] ^ 1]) + query.reply().pack()[1:],
        lambda query: DNSRecord.question("other.example", "TXT").reply().pack(),
        lambda query: query.reply().pack()[:12] + b"\xc0\x0c" * 9,
        lambda query: query.reply().pack()[:-7],
    ],
)
async def test_what_is_no_reply_is_no_answer(make: Callable[[DNSRecord], bytes]) -> None:
    """Empty, short, echoed, misnumbered, foreign, circular and cut datagrams are waited past, to the end of the time."""
    with instances(partial(noise, make=make)) as port:
        found = await identify(Server("127.0.0.1", port), 2, timeout=0.1)

    assert ((), 2, ("no reply in 0.1 s",)) == (found.instances, found.unanswered, found.silences)
    assert ("nothing answered", None) == (found.finding, found.milliseconds)


async def test_a_closed_port_is_told_at_once() -> None:
    """A refusal is reported as such long before the time is over."""
    found = await identify(Server("127.0.0.1", free_port()), 2, timeout=30)

    assert ("Connection refused",) == found.silences


async def test_ipv6_is_asked_too() -> None:
    """Address families do not matter."""
    if not has_ipv6():
        pytest.skip("no IPv6 loopback")
    with instances(instance("ams1"), host="::1") as port:
        found = await identify(Server("::1", port), 2)

    assert ("ams1",) == found.identities
    assert f"[::1]:{port}" == str(found.server)


async def test_a_server_is_found_by_name_or_address() -> None:
    """What the system resolves is asked; what nobody knows is a problem."""
    assert Server("127.0.0.1", 53) == await find("127.0.0.1", 53)
    assert Server("fe80::1%lo", 5300) == await find("[FE80::1%lo]:5300", 53)
    assert (await find("localhost", 53)).address in {"127.0.0.1", "::1"}
    for name in ("no-such-host.invalid", "no-such-host.invalid:53", "a..b", "x" * 300):
        with pytest.raises(ProblemsFound, match=r"no host of the name .* is known"):
            await find(name, 53)

"""The sweep of client subnets against real servers on loopback: dnslib's, and this program's own."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
from dnslib import CNAME, QTYPE, RR, DNSRecord

from geodns.ops.anycast import Server, sweep
from tests.support.daemons import LISTEN, geodns
from tests.support.instances import asked_subnet, instances, tailored

NEAR, FAR = ip_network("128.32.0.0/16"), ip_network("133.11.0.0/16")


def by_subnet(asked: DNSRecord) -> DNSRecord:
    """128.32/16 gets one address, everyone else another."""
    near = asked_subnet(asked)[4:6] == bytes([128, 32])
    return tailored(asked, ["192.0.2.1"] if near else ["192.0.2.2", "192.0.2.3"], 16 if near else 8)


async def test_each_client_gets_its_row() -> None:
    """Answers and scopes come in the order of the networks, data sorted, subnets cut to /24."""
    with instances(by_subnet) as port:
        near, far = await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [NEAR, FAR])

    assert ("128.32.0.0/24", ("192.0.2.1",), 16, False, "") == (near.subnet, near.data, near.scope, near.varies, near.failure)
    assert ("133.11.0.0/24", ("192.0.2.2", "192.0.2.3"), 8) == (far.subnet, far.data, far.scope)


async def test_the_client_subnet_is_well_formed() -> None:
    """FAMILY, SOURCE, SCOPE 0 and no more octets of the address than SOURCE needs (RFC 7871 §6), also of IPv6."""
    seen = []

    def listening(asked: DNSRecord) -> DNSRecord:
        seen.append(asked_subnet(asked))
        return tailored(asked, [], None)

    with instances(listening) as port:
        await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [NEAR])
        await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [ip_network("2001:db8::1/128")])

    assert {bytes([0, 1, 24, 0, 128, 32, 0]), bytes([0, 2, 56, 0, 0x20, 1, 0x0D, 0xB8, 0, 0, 0])} == set(seen)


async def test_what_varies_by_itself_is_marked() -> None:
    """Two equal questions with different answers: both are in the row, and it says so."""
    count = iter(range(10))

    def rotating(asked: DNSRecord) -> DNSRecord:
        return tailored(asked, [f"192.0.2.{next(count)}"], 0)

    with instances(rotating) as port:
        (row,) = await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [NEAR])

    assert (("192.0.2.0", "192.0.2.1"), True, 0) == (row.data, row.varies, row.scope)


def refused(asked: DNSRecord) -> DNSRecord:
    reply = asked.reply()
    reply.header.rcode = 5
    return reply


async def test_an_alias_without_addresses_is_the_answer() -> None:
    """Where the server tells only where a name leads, the last name it tells is compared."""

    def aliased(asked: DNSRecord) -> DNSRecord:
        reply = asked.reply()
        reply.add_answer(RR("www.example.com", QTYPE.CNAME, ttl=60, rdata=CNAME("a.example.net")))
        reply.add_answer(RR("a.example.net", QTYPE.CNAME, ttl=60, rdata=CNAME("b.example.net")))
        return reply

    with instances(aliased) as port:
        (row,) = await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [NEAR])

    assert (("b.example.net.",), None) == (row.data, row.scope)


@pytest.mark.parametrize(
    ("respond", "failure"),
    [(refused, "REFUSED"), (lambda asked: None, "no reply in 0.1 s"), (lambda asked: tailored(asked, [], 0), "")],
)
async def test_no_answer_has_its_reason(respond: object, failure: str) -> None:
    """A response code, or silence; an empty answer is no failure."""
    with instances(respond) as port:  # type: ignore[arg-type]  # a table of functions is a table of objects
        (row,) = await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [NEAR], timeout=0.1)

    assert ((), failure) == (row.data, row.failure)


async def test_a_truncated_reply_is_asked_by_tcp() -> None:
    """TC leads to the same question over TCP, at the same port."""

    def truncated(asked: DNSRecord) -> DNSRecord:
        reply = tailored(asked, [], 0)
        reply.header.tc = 1
        return reply

    with instances(truncated) as port, socket.create_server(("127.0.0.1", port)) as listening:

        def serve_tcp() -> None:
            for _ in range(2):
                with listening.accept()[0] as connection:
                    octets = connection.recv(4096)[2:]
                    reply = tailored(DNSRecord.parse(octets), ["192.0.2.9"], 0).pack()
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

        thread = threading.Thread(target=serve_tcp)
        thread.start()
        (row,) = await sweep(Server("127.0.0.1", port), "www.example.com.", "A", [NEAR])
        thread.join()

    assert (("192.0.2.9",), "") == (row.data, row.failure)


ZONE = """\
$ORIGIN example.com.
@ 60 IN SOA ns hostmaster 1 3600 900 604800 300
@ 60 IN NS ns
ns 60 IN A 192.0.2.53
www 60 IN A 192.0.2.1
www 60 IN GEO continent:AS A 192.0.2.2
"""


@pytest.mark.slow
async def test_this_programs_own_answers_are_swept(tmp_path: Path) -> None:
    """A real server's tailored answers come with the scope that it says."""
    config = LISTEN + '[[zones]]\nname = "example.com"\nfile = "a.zone"\n'
    with geodns(tmp_path / "site", config, {"a.zone": ZONE}) as server:
        near, far = await sweep(Server("127.0.0.1", server.endpoint.port), "www.example.com.", "A", [NEAR, FAR])

    assert (("192.0.2.1",), ("192.0.2.2",)) == (near.data, far.data)
    assert near.scope
    assert far.scope

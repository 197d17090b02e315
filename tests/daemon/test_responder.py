"""Owns the laws of the seam between listeners and a snapshot: what has changed is seen, whichever way a question comes."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import dns.edns
import dns.message
import pytest

from geodns import answer, server
from geodns.answer.prepared import plain_query
from geodns.daemon import Responder, load, pooling
from geodns.daemon.responder import LEAVE, STAY
from geodns.wire import Type, from_text, render_query

ZONE = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns.example.net.\napp POOL app\n"
CONFIG = """\
[[zones]]
name = "example.com"
file = "example.com.zone"
[pools.app]
steering = "failover"
check = { type = "tcp", port = 1 }
endpoints = [
    { name = "one", site = "one", addresses = ["192.0.2.1"] },
    { name = "two", site = "two", addresses = ["192.0.2.2"] },
]
"""
QUERY = render_query(plain_query(from_text("app.example.com"), Type.A))
SENDER = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 5300, b"\x7f\0\0\x01")
UP, DOWN = (answer.Standing(health).octet for health in (answer.Health.UP, answer.Health.DOWN))


@pytest.mark.parametrize("transport", ["datagram", "stream"])
def test_a_change_is_seen_by_the_next_question(transport: str, tmp_path: Path) -> None:
    """A process that gets nothing but messages of connections answers with the standings of now, like any other."""
    (tmp_path / "example.com.zone").write_text(ZONE, "utf-8")
    (tmp_path / "geodns.toml").write_text(CONFIG, "utf-8")
    loaded = load(tmp_path / "geodns.toml")
    board = server.Board(len(pooling.seats(loaded.config)))
    board.write(bytes((UP, UP)))
    responder = Responder(loaded.snapshot, board, answer.Ledger())
    answers = []
    for standings in ((UP, UP), (DOWN, UP), (UP, UP)):
        board.write(bytes(standings))
        reply = getattr(responder, transport)(QUERY, SENDER)
        answers.append(reply[reply.index(b"\0\x04\xc0\0\x02") + 2 :][:4])

    assert [b"\xc0\0\x02\x01", b"\xc0\0\x02\x02", b"\xc0\0\x02\x01"] == answers


def test_clients_of_connections_are_asked_to_leave_with_the_tide(tmp_path: Path) -> None:
    """Whoever knows edns-tcp-keepalive is told ten seconds, or 0 while this instance drains; datagrams never tell it."""
    (tmp_path / "example.com.zone").write_text(ZONE, "utf-8")
    (tmp_path / "geodns.toml").write_text(CONFIG, "utf-8")
    loaded = load(tmp_path / "geodns.toml")
    tide = server.Board(1)
    responder = Responder(loaded.snapshot, server.Board(len(pooling.seats(loaded.config))), answer.Ledger(), tide)
    asked = dns.message.make_query(
        "app.example.com", "A", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.make(11), b"")]
    ).to_wire()
    told = []
    for state in (STAY, LEAVE, STAY):
        tide.write(state)
        reply = responder.stream(asked, SENDER)
        assert reply
        told += [option.to_wire() for option in dns.message.from_wire(reply).options if option.otype == 11]
        datagram = responder.datagram(asked, SENDER)
        assert datagram
        assert () == dns.message.from_wire(datagram).options

    assert [b"\x00\x64", b"\x00\x00", b"\x00\x64"] == told

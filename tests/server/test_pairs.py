"""Owns the laws of pairs of sockets: one address, one port, and nobody else on it."""

from __future__ import annotations

import errno
import socket

import pytest

from geodns.server.pairs import bind_pairs


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_pairs_have_one_port(count: int) -> None:
    """Whether one or many, UDP and TCP sockets of an address share one port, which port 0 leaves to the kernel."""
    pairs = bind_pairs("127.0.0.1", 0, count, receive_buffer=65_536)
    ports = {sock.getsockname()[1] for pair in pairs for sock in (pair.udp, pair.tcp)}
    for pair in pairs:
        pair.close()

    assert count == len(pairs)
    assert {pairs_port for pairs_port in ports if pairs_port} == ports
    assert 1 == len(ports)


@pytest.mark.parametrize("ours", [1, 2])
@pytest.mark.parametrize("theirs", [1, 2])
def test_nobody_shares_a_port_with_a_stranger(ours: int, theirs: int) -> None:
    """A second server of the same user is refused the address, though both would allow their own processes to share it."""
    first = bind_pairs("127.0.0.1", 0, ours, receive_buffer=65_536)
    with pytest.raises(OSError, match="in use") as refused:
        bind_pairs("127.0.0.1", first[0].port, theirs, receive_buffer=65_536)
    for pair in first:
        pair.close()

    assert errno.EADDRINUSE == refused.value.errno


def test_datagrams_are_dealt_out_to_all_pairs() -> None:
    """Of many sources some reach each pair, and each datagram reaches exactly one."""
    pairs = bind_pairs("127.0.0.1", 0, 2, receive_buffer=65_536)
    for number in range(64):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(bytes((number,)), ("127.0.0.1", pairs[0].port))
    received = [_all_of(pair.udp) for pair in pairs]
    for pair in pairs:
        pair.close()

    assert all(received)
    assert list(range(64)) == sorted(received[0] + received[1])


def _all_of(sock: socket.socket) -> list[int]:
    found = []
    while True:
        try:
            found.append(sock.recv(16)[0])
        except BlockingIOError:
            return found

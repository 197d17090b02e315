"""Owns clients that are far away: TCP handshakes over a TUN device, completed as late as light would; refuses to know DNS.

Run by itself, as root, in a network namespace of its own: `python distant.py ADDRESS PORT`. It makes the device, on whose near
side the server's ADDRESS is, and says "ready". For each line "CLIENT MILLISECONDS" it then has a client open a connection, whose
ACK comes so late, and says "done".
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from random import randrange
from time import monotonic

import pytest

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_SYN, _ACK = 0x02, 0x10
_DEVICE = "distant"


# --- in the namespace -------------------------------------------------------------------------------------------------


def main(server: str, port: int) -> None:
    """Serve the lines of standard input."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    for command in (
        "link set lo up",
        f"link set {_DEVICE} up",
        f"addr add {server}/32 dev {_DEVICE}",
        f"route add default dev {_DEVICE}",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    print("ready", flush=True)
    for line in sys.stdin:
        client, milliseconds = line.split()
        _connect(device, (client, randrange(20_000, 60_000)), (server, port), float(milliseconds) / 1000)
        print("done", flush=True)


def _connect(device: int, client: tuple[str, int], server: tuple[str, int], seconds: float) -> None:
    """One handshake, whose last packet comes so late after the one before it."""
    os.write(device, _packet(client, server, 1000, 0, _SYN))
    deadline = monotonic() + 10
    while select.select([device], [], [], max(0.0, deadline - monotonic()))[0]:
        packet = os.read(device, 2048)
        came = monotonic()
        if packet[0] >> 4 != 4 or packet[9] != 6 or packet[16:20] != IPv4Address(client[0]).packed:
            continue
        _, port, number, _, _, flags = struct.unpack_from("!HHIIBB", packet, (packet[0] & 15) * 4)
        if port == client[1] and flags & (_SYN | _ACK) == _SYN | _ACK:
            select.select([], [], [], max(0.0, came + seconds - monotonic()))
            os.write(device, _packet(client, server, 1001, number + 1 & 0xFFFF_FFFF, _ACK))
            return
    raise SystemExit("no SYN-ACK within 10 s")


def _packet(source: tuple[str, int], target: tuple[str, int], number: int, acknowledged: int, flags: int) -> bytes:
    """An IPv4 packet (RFC 791 §3.1) with a TCP segment (RFC 9293 §3.1) without options and data."""
    addresses = IPv4Address(source[0]).packed + IPv4Address(target[0]).packed
    segment = struct.pack("!HHIIBBHHH", source[1], target[1], number, acknowledged, 5 << 4, flags, 65_535, 0, 0)
    pseudo = addresses + struct.pack("!BBH", 0, 6, len(segment))
    segment = segment[:16] + _checksum(pseudo + segment) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + addresses
    return header[:10] + _checksum(header) + header[12:] + segment


def _checksum(octets: bytes) -> bytes:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    folded: int = total + (total >> 16)
    return (~folded & 0xFFFF).to_bytes(2, "big")


# --- in the test ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Distance:
    """A namespace with far-away clients: what is run with `prefix` runs in it."""

    namespace: str
    process: subprocess.Popen[str]

    @property
    def prefix(self) -> tuple[str, ...]:
        """The beginning of a command that runs there."""
        return ("ip", "netns", "exec", self.namespace)

    def connect(self, client: str, milliseconds: float) -> None:
        """Have a client complete a handshake so late."""
        assert self.process.stdin
        self.process.stdin.write(f"{client} {milliseconds}\n")
        self.process.stdin.flush()
        self.hear("done")

    def hear(self, word: str) -> None:
        """Wait until it says so; it waits for nothing for longer than 10 s."""
        assert self.process.stdout
        assert f"{word}\n" == self.process.stdout.readline()


@contextmanager
def distance(server: str, port: int) -> Iterator[Distance]:
    """A namespace in which a server has this address, and clients are behind a device; gone in the end, come what may."""
    if os.geteuid() or not Path("/dev/net/tun").exists():
        pytest.skip("network namespaces and TUN devices take root and /dev/net/tun")
    name = f"geodns-{os.getpid()}-{randrange(10_000)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace can be made: {made.stderr.strip()}")
    try:
        command = ("ip", "netns", "exec", name, sys.executable, __file__, server, str(port))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            found = Distance(name, process)
            found.hear("ready")
            yield found
            assert process.stdin
            process.stdin.close()
            assert 0 == process.wait(20)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

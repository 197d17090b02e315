"""Owns the wires: a process that joins two namespaces by a pair of TAP devices and holds each frame as long as the way is.

The kernel's own netem would do, but is not in every kernel; a TAP device is. One process holds the frames of all links: its rates
are some thousand frames a second. Told on standard input, `cut LINK` loses every frame and `mend LINK` ends that; `unplug LINK`
and `plug LINK` take the carrier away and give it back, which both ends see at once.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from time import monotonic

from tests.lab import netns, topology
from tests.lab.topology import Link

TUNSETIFF, TUNSETCARRIER = 0x400454CA, 0x400454E2  # linux/if_tun.h
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
_FRAME = 2048  # octets: more than an Ethernet frame has
_AT_ONCE = 16  # frames of one device before the next has its turn


@dataclass(slots=True)
class _Wire:
    """A link's two ends and its state."""

    ends: tuple[int, int]
    delay: float
    whole: bool = True


class DelayLine:
    """The process of the wires, seen from the lab."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-m", "tests.lab.delay_line"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)
        self._answer("the delay line has opened its devices")

    def tell(self, verb: str, link: Link) -> None:
        """`cut`, `mend`, `unplug` or `plug` a link; done when this returns."""
        assert self.process.stdin
        self.process.stdin.write(f"{verb} {link.name}\n".encode())
        self.process.stdin.flush()
        self._answer(f"{verb} {link.name}")

    def _answer(self, what: str) -> None:
        assert self.process.stdout
        if self.process.stdout.readline() != b"done\n":
            raise netns.Refused(f"the delay line has ended: {what}")


def _tap(node: str, name: str) -> int:
    """A TAP device in a namespace, named for whom it leads to."""
    with netns.entered(node):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def _open() -> dict[str, _Wire]:
    return {
        link.name: _Wire((_tap(link.one, link.other), _tap(link.other, link.one)), topology.delay(link))
        for link in topology.LINKS.values()
    }


def _obey(words: list[str], wires: dict[str, _Wire]) -> None:
    verb, name = words
    wire = wires[name]
    match verb:
        case "cut" | "mend":
            wire.whole = verb == "mend"
        case "unplug" | "plug":
            for end in wire.ends:
                fcntl.ioctl(end, TUNSETCARRIER, struct.pack("i", verb == "plug"))
        case _:
            raise ValueError(f"no such verb: {verb}")


def _relay(wires: dict[str, _Wire]) -> None:
    """Hold and hand on frames until standard input ends."""
    across = {wire.ends[end]: (wire.ends[1 - end], wire) for wire in wires.values() for end in (0, 1)}
    watched = [sys.stdin.fileno(), *across]
    held: list[tuple[float, int, int, bytes]] = []
    order = count()
    while True:
        readable, _, _ = select.select(watched, (), (), max(0.0, held[0][0] - monotonic()) if held else None)
        now = monotonic()
        for device in readable:
            if device not in across:
                words = os.read(device, 200).decode().split()
                if not words:
                    return
                _obey(words, wires)
                os.write(1, b"done\n")
                continue
            there, wire = across[device]
            with suppress(OSError):  # BlockingIOError: no more; EIO: the device is down
                for _ in range(_AT_ONCE):
                    frame = os.read(device, _FRAME)
                    if wire.whole:
                        heappush(held, (now + wire.delay, next(order), there, frame))
        now = monotonic()
        while held and held[0][0] <= now:
            _, _, there, frame = heappop(held)
            with suppress(OSError):  # as a wire does: what cannot be delivered is lost
                os.write(there, frame)


def main() -> None:
    """Open all devices, say so, relay."""
    with suppress(OSError):
        os.nice(-10)
    wires = _open()
    os.write(1, b"done\n")
    _relay(wires)


if __name__ == "__main__":
    main()

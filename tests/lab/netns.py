"""Owns network namespaces: makes them, enters them, gives addresses; refuses to know who lives in them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab import topology
from tests.lab.topology import Node

NAMES = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # linux/sched.h
libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A command of the system failed; the message holds what it said."""


def command(*words: str, text: str | None = None) -> str:
    """Run a program of the system to its end; what it printed."""
    ran = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=30)
    if ran.returncode:
        raise Refused(f"{' '.join(words)}: {ran.stderr.strip() or ran.stdout.strip()}")
    return ran.stdout


def within(name: str, *words: str) -> tuple[str, ...]:
    """A command line that runs in a namespace; the process becomes the program, so its id is the program's."""
    return ("nsenter", f"--net={NAMES / name}", "--", *words)


@contextmanager
def entered(name: str) -> Iterator[None]:
    """This thread in a namespace: a socket or TAP device that is opened here stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(NAMES / name, os.O_RDONLY)
    try:
        _set(there)
        yield
    finally:
        _set(home)
        os.close(there)
        os.close(home)


def _set(descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def build() -> None:
    """Every namespace of the map, with its own addresses; the links come with the delay line."""
    for node in topology.NODES.values():
        command("ip", "netns", "add", node.name)
        with entered(node.name):
            _set_kernel("net.ipv4.ip_forward", 1)
            _set_kernel("net.ipv4.conf.all.rp_filter", 0)
            _set_kernel("net.ipv4.conf.default.rp_filter", 0)
        batch(node.name, ["link set lo up", *(f"address add {address}/32 dev lo" for address in own_addresses(node))])


def own_addresses(node: Node) -> list[str]:
    """The addresses of a node that are not those of its links."""
    found = [str(node.router)]
    if node.kind is not topology.Kind.TRANSIT:
        found.append(str(node.host))
    if node.kind is topology.Kind.INSTANCE:
        found.append(str(topology.ANYCAST))
    if node in (topology.PUBLIC, topology.PROVIDER):
        found.append(str(node.resolver))
    return found


def connect() -> None:
    """The addresses of all links, whose devices exist, and all of them up."""
    for node in topology.NODES.values():
        lines = []
        for link in topology.links_of(node):
            peer = link.peer(node.name)
            lines += [f"address add {link.address(node.name)}/31 dev {peer}", f"link set {peer} up"]
        batch(node.name, lines)


def batch(name: str, lines: Sequence[str]) -> None:
    """Several commands of ip in a namespace."""
    command("ip", "-n", name, "-batch", "-", text="\n".join(lines) + "\n")


def processes(name: str) -> list[int]:
    """The ids of all processes that live in a namespace."""
    return [int(word) for word in command("ip", "netns", "pids", name).split()]


def _set_kernel(key: str, value: int) -> None:
    Path("/proc/sys", *key.split(".")).write_text(f"{value}\n")

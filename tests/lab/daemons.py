"""Owns the DNS servers of the lab: an instance's geodns and the resolvers' Unbound; refuses to know what events are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from geodns.ops.control import Control, Unreachable
from tests.lab import netns, topology
from tests.lab.topology import Node

PROBED = "probe.example.com"
GOOD, POOR = "192.0.2.80", "192.0.2.1"
"""Its address as long as all is well, and what an instance says whose own backend is down."""
SERVICE = "service.example.com"
"""The name that GeoDNS steers: its addresses are the instances' unicast addresses."""
START = 30.0  # s


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast this lab notices and forgets; seconds."""

    ttl: int = 5
    ttl_degraded: int = 2
    check_interval: float = 1.0
    check_fall: int = 2
    gate_interval: float = 0.5
    gate_fall: int = 2
    lease_max_age: float = 2.0
    drain_soft: float = 2.0
    drain_max: float = 3.0


class NotReached(Exception):
    """Something did not come to be in time."""


def until(what: str, reached: Callable[[], bool], seconds: float = START) -> None:
    """Poll until it is so."""
    deadline = monotonic() + seconds
    while not reached():
        if monotonic() > deadline:
            raise NotReached(f"not within {seconds:g} s: {what}")
        sleep(0.02)


def launch(node: Node, log: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process in a namespace, in a process group of its own; what it says goes to a file."""
    with log.open("ab") as file:
        return subprocess.Popen(
            netns.within(node.name, *words), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def zone(serial: int = 1) -> str:
    """The zone that every instance serves."""
    servers = "".join(f"@ IN NS {node.name}.ns\n{node.name}.ns IN A {node.host}\n" for node in topology.INSTANCES)
    return (
        f"$TTL 60\n@ IN SOA fra.ns hostmaster {serial} 1h 15m 2w 60\n{servers}"
        f"probe IN POOL backend\nprobe IN A {POOR}\nservice IN POOL service\nservice IN A {topology.TARGET.host}\n"
    )


def configuration(node: Node, directory: Path, pace: Pace) -> str:
    """An instance's geodns.toml."""
    places = "".join(
        f'[geo.networks."{place.prefix}"]\ncity = "{place.city}"\nlatitude = {place.latitude}\nlongitude = {place.longitude}\n'
        for place in (*topology.REGIONS, topology.PUBLIC)
    )
    endpoints = "".join(
        f'[[pools.service.endpoints]]\nname = "{site.name}"\naddresses = ["{site.host}"]\n'
        f"latitude = {site.latitude}\nlongitude = {site.longitude}\n"
        for site in topology.INSTANCES
    )
    return (
        f'[server]\nlisten = ["{topology.ANYCAST}:53", "{node.host}:53"]\nidentity = "{node.name}"\n'
        f'state = "{directory}/state"\n'
        f'[admin]\nlisten = "unix:{directory}/admin.sock"\n{places}'
        f'[pools.service]\nsteering = "nearest"\nttl = {pace.ttl}\nttl_degraded = {pace.ttl_degraded}\n'
        f'[pools.service.check]\ntype = "dns"\nquery = "{PROBED}"\nquery_type = "A"\nexpect_answer = ["{GOOD}"]\n'
        f"interval = {pace.check_interval}\ntimeout = {min(0.8, pace.check_interval)}\nrise = 2\nfall = {pace.check_fall}\n"
        f"{endpoints}"
        '[pools.backend]\nsteering = "failover"\nwhen_all_down = "fallback"\n'
        '[pools.backend.check]\ntype = "external"\nfile = "backend"\nmax_age = 86400.0\n'
        f'[[pools.backend.endpoints]]\nname = "backend"\naddresses = ["{GOOD}"]\n'
        f'[[expect]]\nname = "{PROBED}"\nclient = "{topology.REGIONS[0].host}"\nanswer = ["{GOOD}"]\n'
        '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
    )


@dataclass(slots=True)
class Instance:
    """One instance of this server, at its anycast address and at its own."""

    node: Node
    directory: Path
    pace: Pace
    gate: str = ""
    """The part of its configuration that is about announcing."""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write zone and configuration, and serve."""
        self.write_zone(zone())
        self.say_of_backend("up")
        (self.directory / "state").mkdir()
        self.file.write_text(configuration(self.node, self.directory, self.pace) + self.gate)
        self.run()

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.directory / "geodns.toml"

    def run(self) -> None:
        """Serve what is written."""
        self.process = launch(self.node, self.directory / "geodns.log", (sys.executable, "-m", "geodns", "serve", str(self.file)))

    def write_zone(self, text: str) -> None:
        """Replace its zone file."""
        (self.directory / "example.com.zone").write_text(text)

    def say_of_backend(self, word: str) -> None:
        """Let its backend be up or down."""
        beside = self.directory / "backend.new"
        beside.write_text(f"{word}\n")
        beside.replace(self.directory / "backend")

    def control(self) -> Control:
        """Its administrative door, as the commands of an operator use it."""
        return Control(f"unix:{self.directory}/admin.sock")

    def is_up(self) -> bool:
        """Whether somebody is at that door."""
        with self.control() as control:
            try:
                return bool(control.status())
            except Unreachable:
                return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        assert self.process
        os.killpg(self.process.pid, number)

    def end(self) -> None:
        """Make sure that it is gone."""
        assert self.process
        self.signal(signal.SIGKILL)
        self.process.wait(START)


def unbound(directory: Path, address: str, clients_told: bool) -> str:
    """A resolver's unbound.conf: it knows where the zone is served, and sends client subnets there or not (RFC 7871)."""
    servers = [str(node.host) for node in topology.INSTANCES]
    told = "".join(f"  send-client-subnet: {server}\n" for server in servers) if clients_told else ""
    modules = "subnetcache iterator" if clients_told else "iterator"
    return (
        f"server:\n  interface: {address}\n  outgoing-interface: {address}\n  access-control: 0.0.0.0/0 allow\n  do-ip6: no\n"
        f'  chroot: ""\n  username: ""\n  pidfile: "{directory}/unbound.pid"\n  use-syslog: no\n  do-daemonize: no\n'
        f'  module-config: "{modules}"\n{told}'
        "remote-control:\n  control-enable: no\n"
        'stub-zone:\n  name: "example.com"\n' + "".join(f"  stub-addr: {server}\n" for server in servers)
    )


def resolve_for(node: Node, directory: Path, address: str, clients_told: bool) -> subprocess.Popen[bytes]:
    """Run a resolver at an address of a node."""
    directory.mkdir(parents=True)
    file = directory / "unbound.conf"
    file.write_text(unbound(directory, address, clients_told))
    return launch(node, directory / "unbound.log", ("unbound", "-d", "-c", str(file)))

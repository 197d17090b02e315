"""Owns real routers for tests: a network namespace of its own in which BIRD, FRR and ExaBGP speak BGP; knows no geodns."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.daemons import REPOSITORY, STOP, need, poll

NEAR, FAR = "127.0.0.1", "127.0.0.2"
NEAR_PORT, FAR_PORT = 1790, 1791  # of BGP, in a namespace where nobody else has them


@dataclass(slots=True)
class Process:
    """A process in a session of its own, with what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """Its outputs so far."""
        return self.log.read_text(errors="replace")

    def until_said(self, text: str) -> None:
        """Poll until it has said this."""
        poll(f"“{text}” in\n{self.said}", lambda: text in self.said)

    def signal(self, number: int) -> None:
        """To it alone."""
        self.process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """To it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self, seconds: float = STOP) -> int:
        """Its exit code."""
        return self.process.wait(seconds)


@dataclass(slots=True)
class Yard:
    """A network namespace, and a directory for all that runs in it; with short paths, for sockets have no room for long ones."""

    name: str
    directory: Path
    processes: list[Process] = field(default_factory=list)

    def start(self, what: str, command: Sequence[str], **environment: str) -> Process:
        """Start a program in the namespace."""
        log = self.directory / f"{what}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ("ip", "netns", "exec", self.name, *command),
                cwd=REPOSITORY,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = Process(process, log)
        self.processes.append(started)
        return started

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the namespace to its end."""
        return subprocess.run(
            ("ip", "netns", "exec", self.name, *command), cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
        )

    def address(self, verb: str, address: str) -> None:
        """Add a service address to the loopback, or delete it."""
        done = self.run("ip", "address", verb, address, "dev", "lo")
        assert 0 == done.returncode, done.stderr


@contextmanager
def yard() -> Iterator[Yard]:
    """A namespace with a loopback, and its end, come what may. Without root the test is skipped."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    need("ip", "iproute2")
    directory = Path(mkdtemp(prefix="geodns-"))
    directory.chmod(0o755)  # routers are other users
    made = Yard(directory.name, directory)
    done = subprocess.run(("ip", "netns", "add", made.name), capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(directory)
        pytest.skip(f"no network namespace can be made: {done.stderr.strip()}")
    try:
        assert 0 == made.run("ip", "link", "set", "lo", "up").returncode
        yield made
    finally:
        for process in made.processes:
            process.signal_all(signal.SIGCONT)
            process.signal_all(signal.SIGKILL)
            process.process.wait()
        subprocess.run(("ip", "netns", "delete", made.name), check=False)
        shutil.rmtree(directory)


_PEER = """\
router id 192.0.2.2;
protocol device {{}}
protocol bgp near {{
  local {far} port {far_port} as 64501; neighbor {near} port {near_port} as 64500; multihop;
  connect retry time 1; connect delay time 1; error wait time 1, 2;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""
_ROUTER = """\
router id 192.0.2.1;
protocol device {{}}
{more}
protocol bgp far {{
  local {near} port {near_port} as 64500; neighbor {far} port {far_port} as 64501; multihop;
  connect retry time 1; connect delay time 1; error wait time 1, 2;
  ipv4 {{ import none; export where source = RTS_STATIC; next hop self; }};
  ipv6 {{ import none; export where source = RTS_STATIC; next hop address 2001:db8::1; }};
}}
"""
_PORTS = {"near": NEAR, "far": FAR, "near_port": NEAR_PORT, "far_port": FAR_PORT}


@dataclass(slots=True)
class Bird:
    """A BIRD, by its control socket."""

    process: Process
    control: Path

    def ask(self, command: str) -> str:
        """What birdc prints."""
        done = subprocess.run(
            (need("birdc", "bird2"), "-s", str(self.control), command), capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def route(self, prefix: str) -> str:
        """A route with its attributes; "" if there is none."""
        shown = self.ask(f"show route {prefix} all")
        return shown if prefix in shown else ""

    def until(self, prefix: str, *, has: str = "", lacks: str = "", seconds: float = 20.0) -> str:
        """Poll until there is a route that has the one and lacks the other text; what it is."""
        found = ""

        def is_there() -> bool:
            nonlocal found
            found = self.route(prefix)
            return bool(found) and has in found and not (lacks and lacks in found)

        poll(f"{prefix} with “{has}”, without “{lacks}”", is_there, seconds)
        return found

    def until_gone(self, prefix: str, seconds: float = 20.0) -> None:
        """Poll until there is no route."""
        poll(f"{prefix} is gone", lambda: not self.route(prefix), seconds)


def _bird(place: Yard, what: str, text: str) -> Bird:
    file, control = place.directory / f"{what}.conf", place.directory / f"{what}.ctl"
    file.write_text(text)
    process = place.start(what, (need("bird", "bird2"), "-f", "-c", str(file), "-s", str(control), "-P", f"{file}.pid"))
    poll(f"{what} has a control socket: {process.said}", control.is_socket)
    return Bird(process, control)


def peer(place: Yard) -> Bird:
    """The router on the other side: what it has learnt is what is announced."""
    return _bird(place, "peer", _PEER.format(**_PORTS))


def bird(place: Yard, more: str = "") -> Bird:
    """Our own router, which announces its static routes."""
    return _bird(place, "bird", _ROUTER.format(more=more, **_PORTS))


_FRR = """\
router bgp 64500
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor {far} remote-as 64501
 neighbor {far} port {far_port}
 neighbor {far} disable-connected-check
 neighbor {far} update-source {near}
!
route-map drain permit 10
 set community graceful-shutdown additive
!
"""


def frr(place: Yard) -> Path:
    """Our own router is FRR's bgpd, without kernel and zebra; the vtysh that speaks with it."""
    bgpd = Path(need("bgpd", "frr") if shutil.which("bgpd") else "/usr/lib/frr/bgpd")
    if not bgpd.exists():
        pytest.skip("bgpd is not installed (Debian package frr)")
    vtysh, file, sockets = need("vtysh", "frr"), place.directory / "bgpd.conf", place.directory / "vty"
    sockets.mkdir()
    file.write_text(_FRR.format(**_PORTS))
    for path in (file, sockets):
        shutil.chown(path, "frr", "frrvty")
    pid = str(sockets / "bgpd.pid")
    command = (
        str(bgpd),
        "-Z",
        "-n",
        "-S",
        "--vty_socket",
        str(sockets),
        "-p",
        str(NEAR_PORT),
        "-P",
        "0",
        "-f",
        str(file),
        "-i",
        pid,
    )
    process = place.start("bgpd", command)
    wrapper = place.directory / "vtysh"
    wrapper.write_text(f'#!/bin/sh\nexec {vtysh} --vty_socket {sockets} "$@"\n')
    wrapper.chmod(0o755)
    poll(f"bgpd answers: {process.said}", lambda: "64500" in place.run(str(wrapper), "-c", "show running-config bgpd").stdout)
    return wrapper


_EXABGP = """\
process gate {{
    run {command};
    encoder text;
}}
neighbor {far} {{
    router-id 192.0.2.1;
    local-address {near};
    local-as 64500;
    peer-as 64501;
    family {{ ipv4 unicast; }}
    api {{ processes [ gate ]; }}
}}
"""


def exabgp(place: Yard, command: str) -> Process:
    """Our own router is ExaBGP, which runs a command as its process."""
    file = place.directory / "exabgp.conf"
    file.write_text(_EXABGP.format(command=command, **_PORTS))
    settings = {
        "exabgp.tcp.port": str(FAR_PORT),
        "exabgp.daemon.user": "root",
        "exabgp.log.all": "true",
        "exabgp.log.level": "DEBUG",
    }
    return place.start(
        "exabgp", ("env", *(f"{key}={value}" for key, value in settings.items()), need("exabgp", "exabgp"), str(file))
    )


def since(route: str) -> str:
    """When a route of `Bird.route` was learnt."""
    found = re.search(r"\d\d:\d\d:\d\d\.\d+", route)
    return found[0] if found else ""

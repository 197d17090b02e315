"""Owns real processes for tests: starts and stops NSD, Knot and geodns on loopback; refuses to know what they should answer."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

REPOSITORY = Path(__file__).parents[2]
PORTS = range(10_240, 32_768)
"""Below what kernels give to outgoing sockets (ip_local_port_range), so that no client takes a port that was just chosen."""
START = 20.0  # s: a busy machine with two cores
STOP = 10.0
POLL = 0.01
_ANSWERS = " worker"  # "generation 1: 1 worker answers"
WINDOW = 32  # queries in flight: no receive buffer is that small
_HEARTBEAT = struct.pack("!HHHHHH", 0xBEA7, 0, 1, 0, 0, 0) + b"\x00\x00\x02\x00\x01"  # . NS: any server answers something


class Unreached(AssertionError):
    """A deadline has passed; the message says what was waited for."""


def poll(what: str, reached: Callable[[], bool], seconds: float = START) -> None:
    """Ask again and again until it is so; raises Unreached after the deadline."""
    deadline = monotonic() + seconds
    while not reached():
        if monotonic() > deadline:
            raise Unreached(f"not within {seconds} s: {what}")
        sleep(POLL)


def free_port(*hosts: str) -> int:
    """A port that is free by UDP and TCP on these addresses, by default on the IPv4 loopback."""
    for _ in range(200):
        port = random.choice(PORTS)
        try:
            with ExitStack() as stack:
                for host in hosts or ("127.0.0.1",):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        stack.enter_context(socket.socket(_family(host), kind)).bind((host, port))
        except OSError:
            continue
        return port
    raise Unreached("no port is free")


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def need(binary: str, package: str) -> str:
    """The path of a program, also from the sbin directories; the test is skipped where it is not installed."""
    path = shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{binary} is not installed (Debian package {package})")
    return path


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a DNS server listens."""

    host: str
    port: int

    def udp(self, octets: bytes, seconds: float = 5.0) -> bytes | None:
        """One datagram and its reply; None if there is none in time or nobody listens."""
        with socket.socket(_family(self.host), socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            sock.connect((self.host, self.port))
            try:
                sock.send(octets)
                return sock.recv(65_535)
            except OSError:
                return None

    def tcp(self, octets: bytes, seconds: float = 5.0) -> bytes | None:
        """One message through a connection of its own and its reply; None if there is none in time or nobody listens."""
        try:
            with socket.create_connection((self.host, self.port), seconds) as sock:
                sock.sendall(len(octets).to_bytes(2, "big") + octets)
                return read_frame(sock)
        except OSError:
            return None

    def is_alive(self) -> bool:
        """Whether UDP and TCP are answered."""
        return self.udp(_HEARTBEAT, 0.5) is not None and self.tcp(_HEARTBEAT, 0.5) is not None

    def udp_all(self, queries: Sequence[bytes]) -> list[bytes]:
        """The replies to queries that all get one, in their order, a window of them in flight; ids are replaced on the way."""
        replies: list[bytes] = []
        with socket.socket(_family(self.host), socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect((self.host, self.port))
            for start in range(0, len(queries), WINDOW):
                window = queries[start : start + WINDOW]
                for number, octets in enumerate(window):
                    sock.send(number.to_bytes(2, "big") + octets[2:])
                found: dict[int, bytes] = {}
                while len(found) < len(window):
                    reply = sock.recv(65_535)
                    found[int.from_bytes(reply[:2], "big")] = reply
                replies += [octets[:2] + found[number][2:] for number, octets in enumerate(window)]
        return replies

    def tcp_all(self, queries: Sequence[bytes]) -> list[bytes]:
        """The replies to queries that all get one, in their order, pipelined through one connection."""
        replies: dict[int, bytes] = {}
        with socket.create_connection((self.host, self.port), 5) as sock:
            for start in range(0, len(queries), WINDOW):
                window = queries[start : start + WINDOW]
                frames = (
                    (len(octets)).to_bytes(2, "big") + (start + number).to_bytes(2, "big") + octets[2:]
                    for number, octets in enumerate(window)
                )
                sock.sendall(b"".join(frames))
                for _ in window:
                    reply = read_frame(sock)
                    assert reply is not None
                    replies[int.from_bytes(reply[:2], "big")] = reply
        return [octets[:2] + replies[number][2:] for number, octets in enumerate(queries)]


def read_frame(sock: socket.socket) -> bytes | None:
    """One message of a connection, and not an octet more; None if the peer ends before."""
    head = _read(sock, 2)
    return None if head is None else _read(sock, int.from_bytes(head, "big"))


def _read(sock: socket.socket, count: int) -> bytes | None:
    octets = b""
    while len(octets) < count:
        more = sock.recv(count - len(octets))
        if not more:
            return None
        octets += more
    return octets


@dataclass(slots=True)
class Server:
    """A running process that answers at `endpoint`; its outputs go to files in `directory`."""

    endpoint: Endpoint
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return (self.directory / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """What it has complained of so far."""
        return (self.directory / "stderr").read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, by its pid."""
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def until_said(self, text: str, since: int = 0, seconds: float = START) -> str:
        """Poll until it has said `text` beyond the first `since` characters of stderr; returns everything said beyond them."""
        poll(f"“{text}” in stderr:\n{self.stderr[since:]}", lambda: text in self.stderr[since:], seconds)
        return self.stderr[since:]

    def resident_kilobytes(self) -> int:
        """VmRSS of the process, Linux only."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


@contextmanager
def running(directory: Path, endpoint: Endpoint, command: Sequence[str]) -> Iterator[Server]:
    """Run a server, wait until it answers by UDP and TCP, and stop it in the end, come what may."""
    with (directory / "stdout").open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
        # Its own process group: a server that forks is stopped as a whole, and nothing else is.
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
    server = Server(endpoint, directory, process)
    try:
        poll(f"{command[0]} answers", lambda: process.poll() is not None or endpoint.is_alive())
        assert process.poll() is None, f"{command} exited with {process.returncode}:\n{server.stdout}\n{server.stderr}"
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _write_zones(directory: Path, zones: Mapping[str, str]) -> dict[str, Path]:
    """Zone name → file."""
    paths = {}
    for number, (name, text) in enumerate(zones.items()):
        paths[name] = directory / f"{number}.zone"
        paths[name].write_text(text)
    return paths


def _until_served(server: Server, zones: Mapping[str, str]) -> None:
    """Wait until every zone is answered for with authority, for peers load them after they listen."""

    def loaded(name: str) -> bool:
        labels = [label.encode() for label in name.rstrip(".").split(".") if label]
        wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"
        query = _HEARTBEAT[:12] + wire + b"\x00\x06\x00\x01"
        reply = server.endpoint.udp(query, 0.5)
        return reply is not None and reply[2] & 4 != 0 and reply[3] & 0xF == 0

    for name in zones:
        poll(f"zone {name} is served:\n{server.stdout}\n{server.stderr}", lambda name=name: loaded(name))  # type: ignore[misc]


_NSD = """\
server:
  server-count: 1
  ip-address: 127.0.0.1
  port: $port
  username: ""
  zonesdir: $directory
  pidfile: $directory/nsd.pid
  xfrdfile: $directory/xfrd.state
  zonelistfile: $directory/zone.list
  database: ""
  rrl-ratelimit: 0
$options
remote-control:
  control-enable: no
"""


@contextmanager
def nsd(directory: Path, zones: Mapping[str, str], options: str = "") -> Iterator[Server]:
    """NSD as primary of zones (name → text of the master file); `options` are lines of the section `server`."""
    binary = need("nsd", "nsd")
    directory.mkdir(parents=True)
    endpoint = Endpoint("127.0.0.1", free_port())
    text = Template(_NSD).substitute(port=endpoint.port, directory=directory, options=options)
    for name, path in _write_zones(directory, zones).items():
        text += f"zone:\n  name: {name}\n  zonefile: {path}\n"
    configuration = directory / "nsd.conf"
    configuration.write_text(text)
    with running(directory, endpoint, (binary, "-d", "-c", str(configuration))) as server:
        _until_served(server, zones)
        yield server


_KNOT = """\
server:
  listen: 127.0.0.1@$port
  rundir: $directory
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: $directory
log:
  - target: stderr
    any: warning
$sections
zone:
"""


@contextmanager
def knot(directory: Path, zones: Mapping[str, str], sections: str = "") -> Iterator[Server]:
    """Knot DNS as primary of zones (name → text of the master file); `sections` are more of its configuration."""
    binary = need("knotd", "knot")
    directory.mkdir(parents=True)
    endpoint = Endpoint("127.0.0.1", free_port())
    text = Template(_KNOT).substitute(port=endpoint.port, directory=directory, sections=sections)
    for name, path in _write_zones(directory, zones).items():
        text += f"  - domain: {name}\n    file: {path}\n    zonefile-sync: -1\n    journal-content: none\n"
    configuration = directory / "knot.conf"
    configuration.write_text(text)
    with running(directory, endpoint, (binary, "-c", str(configuration))) as server:
        _until_served(server, zones)
        yield server


_BIND = """\
options {
  directory "$directory";
  pid-file none;
  session-keyfile none;
  listen-on port $port { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
  dnssec-validation no;
  $options
};
controls { };
"""


@contextmanager
def bind(directory: Path, zones: Mapping[str, str], options: str = "") -> Iterator[Server]:
    """BIND as primary of zones (name → text of the master file); `options` are statements of the block `options`."""
    binary = need("named", "bind9")
    directory.mkdir(parents=True)
    endpoint = Endpoint("127.0.0.1", free_port())
    text = Template(_BIND).substitute(port=endpoint.port, directory=directory, options=options)
    for name, path in _write_zones(directory, zones).items():
        text += f'zone "{name}" {{ type primary; file "{path}"; }};\n'
    configuration = directory / "named.conf"
    configuration.write_text(text)
    with running(directory, endpoint, (binary, "-g", "-c", str(configuration))) as server:
        _until_served(server, zones)
        yield server


@dataclass(slots=True)
class Site:
    """A directory with a configuration and its files, before and while geodns runs on them.

    In the configuration `$port` stands for its port and `$admin` for that of its administrative door. One that does not speak of
    the door gets none, or all servers on this machine would want the same port.
    """

    directory: Path
    port: int = field(default_factory=lambda: free_port("127.0.0.1", "::1") if has_ipv6() else free_port())
    admin: int = field(default_factory=free_port)

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.directory / "geodns.toml"

    @property
    def command(self) -> tuple[str, ...]:
        """The command that serves it."""
        return (sys.executable, "-m", "geodns", "serve", "--config", str(self.configuration))

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files, the configuration with its ports."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if name == self.configuration.name and isinstance(content, str):
                door = "" if "[admin]" in content else WITHOUT_DOOR  # at its end: the lines before keep their numbers
                content = content.replace("$port", str(self.port)).replace("$admin", str(self.admin)) + door
            (self.directory / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def fail(self, seconds: float = START) -> subprocess.CompletedProcess[str]:
        """Run `serve` where it is expected to give up by itself."""
        return subprocess.run(self.command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds, check=False)


Sample = tuple[str, frozenset[tuple[str, str]]]
"""The name of a metric and its labels."""


def sample(name: str, **labels: str) -> Sample:
    """One of the keys of `Geodns.metrics`."""
    return name, frozenset(labels.items())


@dataclass(slots=True)
class Geodns(Server):
    """A running geodns and the site it serves."""

    site: Site

    def reload(self, files: Mapping[str, str | bytes], says: str = _ANSWERS) -> str:
        """Change files, send SIGHUP, and wait for the word; returns all that was said meanwhile.

        Without another word it is the one that the new generation alone answers: "generation 2: 1 worker answers". The generation
        before it may answer before it has said so: its word is awaited first.
        """
        if says == _ANSWERS:
            self.until_said(says)
        self.site.write(files)
        said = len(self.stderr)
        self.signal(signal.SIGHUP)
        return self.until_said(says, said)

    def ask(self, method: str, path: str, body: object = None, **query: str) -> httpx.Response:
        """One request at the administrative door; raises httpx.TransportError if nobody opens."""
        url = f"http://127.0.0.1:{self.site.admin}{path}"
        return httpx.request(method, url, params=query or None, json=body, trust_env=False, timeout=STOP)

    def told(self, path: str, **query: str) -> Any:
        """What the API answers; asks again while the keeper is between two lives."""
        found: list[httpx.Response] = []

        def is_told() -> bool:
            try:
                found.append(self.ask("GET", path, **query))
            except httpx.TransportError:
                return False
            return True

        poll(f"{path} is answered", is_told)
        assert found[0].is_success, found[0].text
        return found[0].json()

    def metrics(self) -> dict[Sample, float]:
        """Every sample of /metrics, which must be in the form that Prometheus reads."""
        text = self.ask("GET", "/metrics").raise_for_status().text
        families = text_string_to_metric_families(text)
        return {sample(each.name, **each.labels): each.value for family in families for each in family.samples}

    def children(self) -> set[int]:
        """The processes that it has made and that live. Linux only."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def workers(self) -> set[int]:
        """Those of them that answer, as the API says."""
        return {worker["pid"] for worker in self.told("/api/v1/status")["workers"]}

    def keeper(self) -> int:
        """The one that keeps."""
        (pid,) = self.children() - self.workers()
        return pid


LISTEN = '[server]\nlisten = ["127.0.0.1:$port"]\n'
WITHOUT_DOOR = '\n[admin]\nlisten = ""\n'


@contextmanager
def geodns(
    directory: Path, config: str, files: Mapping[str, str | bytes], *, exit_code: int = 0, host: str = "127.0.0.1"
) -> Iterator[Geodns]:
    """geodns serving a configuration, its ports replaced by free ones; asserts that it ends with `exit_code` on SIGTERM.

    A process that the test has ended itself is held to the same exit code.
    """
    with serving(Site(directory), config, files, exit_code=exit_code, host=host) as server:
        yield server


@contextmanager
def serving(
    site: Site, config: str, files: Mapping[str, str | bytes], *, exit_code: int = 0, host: str = "127.0.0.1"
) -> Iterator[Geodns]:
    """As `geodns`, on a site that may have been served before, and has the same ports then."""
    directory = site.directory
    site.write({"geodns.toml": config, **files})
    with running(directory, Endpoint(host, site.port), site.command) as server:
        running_server = Geodns(server.endpoint, directory, server.process, site)
        yield running_server
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        code = server.wait()
    assert exit_code == code, f"exit code {code}:\n{running_server.stdout}\n{running_server.stderr}"
    assert "Traceback" not in running_server.stderr, running_server.stderr

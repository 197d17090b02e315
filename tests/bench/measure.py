"""Owns one measurement: a server started, loaded, weighed and stopped; refuses to know how results are compared or shown."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic, sleep

from tests.bench import peers, processes, queries
from tests.bench.load import Counts, Latency, NotMeasured, Programs, Shape, dnsperf_latency
from tests.support.daemons import Endpoint, free_port, read_frame

START = 600.0  # s: five million networks take their time
_POLL = 0.005  # s, the resolution of start-up and reload times
_WARM_UP = 0.5  # s at most
_HALF_LOAD = 3.0  # s at most
_PROBES_PER_SECOND = 10
_KEPT_PACE = 0.9  # share of the wanted rate that dnsperf must reach to be believed
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Subject:
    """A server with so many workers."""

    peer: peers.Peer
    workers: int

    @property
    def label(self) -> str:
        """How it is called in results."""
        return self.peer.name if self.workers == 1 else f"{self.peer.name} ×{self.workers}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One load on one server in one round; `cpu` is seconds of server CPU time a reply."""

    counts: Counts
    cpu: float
    half_load: Latency | None


@dataclass(frozen=True, slots=True)
class Visit:
    """Everything measured between one start of a server and its end."""

    start_up: float
    memory: processes.Memory
    samples: Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class Flood:
    """Good queries beside a flood of others; the probe is a slow series of queries through one TCP connection.

    `probe`: its latency, which the kernel's UDP queue does not lengthen, so it shows how late the server's loop is.
    """

    name: str
    offered_flood: float
    offered_good: float
    good: Counts
    probe: Latency
    before: processes.Memory
    after: processes.Memory


@dataclass(frozen=True, slots=True)
class Options:
    """How long and with what a server is measured."""

    seconds: float
    database: Path
    half_load_latency: bool = False
    window: int = 256


def query(name: str, rdtype: int = queries.A) -> bytes:
    """A query for a name, whose id is 0."""
    return queries.message(queries.wire_name(name), rdtype)


def until_answered(running: processes.Running, endpoint: Endpoint, octets: bytes, seconds: float = START) -> float:
    """Wait until a query is answered with NOERROR and data; the time since the process began. Raises NotMeasured."""
    deadline = monotonic() + seconds
    while True:
        reply = endpoint.udp(octets, 0.1)
        if reply and not reply[3] & 0xF and reply[6:8] != b"\0\0":
            return monotonic() - running.began
        if running.process.poll() is not None:
            raise NotMeasured(f"it ended with exit code {running.process.returncode}: {running.last_words()}")
        if monotonic() > deadline:
            raise NotMeasured(f"no answer in {seconds:.0f} s: {running.last_words()}")
        sleep(_POLL)


@contextmanager
def served(subject: Subject, programs: Programs, database: Path) -> Iterator[tuple[processes.Running, Endpoint, float]]:
    """A server set up for the common job and running, where it listens, and its start-up time in seconds."""
    with TemporaryDirectory(prefix="geodns-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # some servers become another user once they have begun
        port = free_port()
        command = subject.peer.prepare(peers.Setup(directory, port, subject.workers, database.resolve(), programs))
        with processes.running(command, directory, processes.cores(subject.workers).server) as running:
            endpoint = Endpoint(HOST, port)
            began = until_answered(running, endpoint, query(queries.NAMES[0]))
            yield running, endpoint, began


def cost(
    running: processes.Running, endpoint: Endpoint, programs: Programs, file: Path, shape: Shape, on: frozenset[int]
) -> Sample:
    """Throughput and server CPU time of one load; raises NotMeasured where nothing was answered."""
    before = running.cpu_seconds()
    counts = programs.run(file, endpoint.port, shape, on)
    spent = running.cpu_seconds() - before
    if not counts.answered:
        raise NotMeasured(f"none of {counts.sent} queries was answered: {running.last_words()}")
    return Sample(counts, spent / (counts.answered + counts.stray), None)


def visit(subject: Subject, programs: Programs, files: Mapping[str, Path], options: Options) -> Visit:
    """Start a server, put each load on it, weigh it, stop it; raises NotMeasured."""
    cores = processes.cores(subject.workers)
    shape = Shape(options.seconds, options.window, sockets=4 if subject.workers == 1 else 16 * subject.workers)
    samples: dict[str, Sample] = {}
    with served(subject, programs, options.database) as (running, endpoint, began):
        if subject.peer.name == "geodns" and subject.workers > 1 and len(running.pids()) < subject.workers:
            raise NotMeasured("it runs one process, whatever server.workers says")
        for load, file in files.items():
            programs.run(file, endpoint.port, replace(shape, seconds=min(_WARM_UP, options.seconds / 5)), cores.load)
            sample = cost(running, endpoint, programs, file, shape, cores.load)
            if options.half_load_latency:
                sample = replace(sample, half_load=_half_load(endpoint, programs, file, sample, options, cores.load))
            samples[load] = sample
        return Visit(began, running.memory(), samples)


def _half_load(endpoint: Endpoint, programs: Programs, file: Path, full: Sample, options: Options, on: frozenset[int]) -> Latency:
    """Latency at half of the throughput: by dnsperf where it is installed and keeps the pace, else by our own generator."""
    shape = Shape(min(options.seconds, _HALF_LOAD), window=0, rate=full.counts.qps / 2)
    with TemporaryDirectory(prefix="geodns-bench-") as directory:
        found = dnsperf_latency(file, endpoint.port, shape, on, Path(directory))
    if found and found.qps >= _KEPT_PACE * shape.rate:
        return found
    return programs.run(file, endpoint.port, shape, on).latency


def floods(
    subject: Subject, programs: Programs, files: Mapping[str, Path], good: Path, options: Options, names: Sequence[str]
) -> Iterator[Flood]:
    """Good queries alone and beside each flood, all on one running server.

    The flood comes as fast as the server answers good queries when it has nothing else to do; the good queries at a quarter of
    that: together more than it can take.
    """
    cores = processes.cores(subject.workers)
    with served(subject, programs, options.database) as (running, endpoint, _began):
        capacity = programs.run(good, endpoint.port, Shape(min(options.seconds, 2.0)), cores.load).qps
        steady = Shape(options.seconds, window=0, rate=capacity / 4)
        for name in ("none", *names):
            before = running.memory()
            with _probing(endpoint, cores.load) as latencies:
                offered = 0.0 if name == "none" else capacity
                flood = None
                if offered:
                    shape = replace(steady, rate=offered, spoofed=name in queries.SPOOFED)
                    flood = programs.start(files[name], endpoint.port, shape, cores.load)
                try:
                    counts = programs.run(good, endpoint.port, steady, cores.load)
                finally:
                    if flood:
                        flood.counts()
            if not latencies:
                raise NotMeasured(f"no probe was answered beside the flood of {name}")
            ordered = sorted(latencies)
            probe = Latency(
                ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1], _PROBES_PER_SECOND, "probe"
            )
            yield Flood(name, offered, capacity / 4, counts, probe, before, running.memory())


@contextmanager
def _probing(endpoint: Endpoint, on: frozenset[int]) -> Iterator[list[float]]:
    """Ask through one TCP connection ten times a second while in here; gives the list that the latencies go to."""
    latencies: list[float] = []
    enough = Event()

    def ask() -> None:
        with processes.pinned(on), socket.create_connection((endpoint.host, endpoint.port), 10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            octets = query(queries.NAMES[0])
            while not enough.is_set():
                began = monotonic()
                sock.sendall(struct.pack("!H", len(octets)) + octets)
                if read_frame(sock) is None:
                    return
                latencies.append(monotonic() - began)
                enough.wait(max(0.0, 1 / _PROBES_PER_SECOND - latencies[-1]))

    thread = Thread(target=ask)
    thread.start()
    try:
        yield latencies
    finally:
        enough.set()
        thread.join()

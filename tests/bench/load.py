"""Owns the C programs of the benchmark and what they report: compiles them once, runs the load generator, reads its counts."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import processes

SOURCES = Path(__file__).parent
GRACE = 30.0  # s that the generator may take beyond what it was told


class NotMeasured(Exception):
    """Something that cannot be measured here, and why."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from sending a query to having its reply, at so many replies a second, as a program has measured them."""

    p50: float
    p99: float
    largest: float
    qps: float
    measured_by: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What the load generator saw.

    `qps`: replies a second. `wrong`: replies with another RCODE than expected. `stray`: replies to nothing that was asked, or
    too late. `empty`: NOERROR without an answer. `rcodes`: RCODE → replies.
    """

    qps: float
    sent: int
    answered: int
    lost: int
    wrong: int
    stray: int
    empty: int
    mean_octets: float
    rcodes: Mapping[int, int]
    latency: Latency


@dataclass(frozen=True, slots=True)
class Shape:
    """How a load is put on: closed loop with a window, open loop with a rate (queries a second), or both; 0 is no limit."""

    seconds: float
    window: int = 256
    sockets: int = 4
    rate: float = 0.0
    spoofed: bool = False


@dataclass(frozen=True, slots=True)
class Programs:
    """The compiled programs."""

    load: Path
    echo: Path

    def command(self, queries: Path, port: int, shape: Shape) -> tuple[str, ...]:
        """The command that puts a load on a port of the loopback."""
        options = {"-q": queries, "-p": port, "-s": shape.seconds, "-w": shape.window, "-n": shape.sockets, "-r": shape.rate}
        words = [str(word) for pair in options.items() for word in pair]
        return (str(self.load), *words, *(["-S"] if shape.spoofed else []))

    def run(self, queries: Path, port: int, shape: Shape, on: frozenset[int]) -> Counts:
        """Put a load on a server from these cores, and wait for the counts."""
        return self.start(queries, port, shape, on).counts()

    def start(self, queries: Path, port: int, shape: Shape, on: frozenset[int]) -> Flight:
        """Begin to put a load on a server from these cores."""
        with processes.pinned(on):
            process = subprocess.Popen(
                self.command(queries, port, shape), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        return Flight(process, shape.seconds)


@dataclass(frozen=True, slots=True)
class Flight:
    """A load that is being put on a server."""

    process: subprocess.Popen[str]
    seconds: float

    def counts(self) -> Counts:
        """Wait for the end; raises NotMeasured where the generator failed."""
        try:
            output, complaint = self.process.communicate(timeout=self.seconds + GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise NotMeasured("the load generator did not end") from None
        if self.process.returncode:
            raise NotMeasured(f"the load generator failed: {complaint.strip()}")
        return _counts(json.loads(output))


def _counts(found: dict[str, Any]) -> Counts:
    quantiles = found["latency"]
    return Counts(
        **{key: found[key] for key in ("qps", "sent", "answered", "lost", "wrong", "stray", "empty", "mean_octets")},
        rcodes={int(rcode): count for rcode, count in found["rcodes"].items()},
        latency=Latency(quantiles["p50"], quantiles["p99"], quantiles["max"], found["qps"], "load"),
    )


def compile_programs(directory: Path) -> Programs:
    """Compile the C programs into a directory; raises NotMeasured where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NotMeasured("no C compiler is installed (Debian package gcc), so there is no load generator")
    for name in ("load", "echo"):
        command = (compiler, "-O2", "-o", str(directory / name), str(SOURCES / f"{name}.c"), "-lm")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotMeasured(f"{name}.c does not compile here: {done.stderr.strip()}")
    return Programs(directory / "load", directory / "echo")


def dnsperf_latency(queries: Path, port: int, shape: Shape, on: frozenset[int], directory: Path) -> Latency | None:
    """Latency at a rate as dnsperf sees it; None where dnsperf is not installed or says nothing usable."""
    program = shutil.which("dnsperf")
    if program is None:
        return None
    seconds, output = max(1, round(shape.seconds)), directory / "dnsperf"
    options = ("-B", "-v", "-s", "127.0.0.1", "-p", str(port), "-l", str(seconds), "-c", str(shape.sockets), "-t", "2")
    command = (program, *options, "-d", str(queries), "-Q", str(max(1, round(shape.rate))), "-q", "1000")
    with processes.pinned(on), output.open("wb") as file:  # a file, so that reading along costs nothing meanwhile
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=False, timeout=seconds + GRACE)
    latencies = sorted(map(float, _last_words(output.read_text(errors="replace"))))
    if not latencies:
        return None
    return Latency(_quantile(latencies, 0.5), _quantile(latencies, 0.99), latencies[-1], len(latencies) / seconds, "dnsperf")


def _last_words(text: str) -> list[str]:
    """The last word of each line about a reply: dnsperf -v writes "> RCODE what seconds"."""
    return [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("> ") and line[-1].isdigit()]


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

"""Owns the processes of a measurement: starts them on chosen cores, reads what they cost from /proc, stops them; knows no DNS."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

REPOSITORY = Path(__file__).parents[2]
STOP = 10.0  # s
_HERTZ = os.sysconf("SC_CLK_TCK")
_USER_TIME, _SYSTEM_TIME, _PARENT = 11, 12, 1  # fields of /proc/PID/stat behind the command (proc_pid_stat(5))


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the server has and which the load: disjoint where the machine has enough of them."""

    server: frozenset[int]
    load: frozenset[int]

    @property
    def is_shared(self) -> bool:
        """Whether server and load take time from each other."""
        return bool(self.server & self.load)


def cores(servers: int) -> Cores:
    """The first cores for so many serving processes, the last for the load; all for both where that does not go."""
    available = sorted(os.sched_getaffinity(0))
    if servers < len(available):
        return Cores(frozenset(available[:servers]), frozenset(available[servers:][-1:]))
    return Cores(frozenset(available), frozenset(available))


@contextmanager
def pinned(wanted: frozenset[int]) -> Iterator[None]:
    """Processes started in here run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Memory:
    """Octets of a process and its descendants: shared pages in proportion (Pss), and counted in each (Rss)."""

    pss: int
    rss: int


@dataclass(slots=True)
class Running:
    """A process with a session of its own, and the monotonic time of its start in seconds."""

    process: subprocess.Popen[bytes]
    began: float
    log: Path

    def pids(self) -> list[int]:
        """The process and its living descendants."""
        children: dict[int, list[int]] = {}
        for pid, fields in _all_stats():
            children.setdefault(int(fields[_PARENT]), []).append(pid)
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """Time on a core so far, of the process and its living descendants; steps of 1/SC_CLK_TCK s."""
        stats = filter(None, map(_stat, self.pids()))
        return sum(int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME]) for fields in stats) / _HERTZ

    def memory(self) -> Memory:
        """What it holds now; 0 for processes that the kernel does not let us look into."""
        total = dict.fromkeys(("Pss:", "Rss:"), 0)
        for pid in self.pids():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            for line in lines[1:]:
                key, kilobytes = line.split()[:2]
                if key in total:
                    total[key] += int(kilobytes) * 1024
        return Memory(total["Pss:"], total["Rss:"])

    def last_words(self) -> str:
        """The last line of what it has printed."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it has said nothing")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for its session after a deadline."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what it has forked and left behind; its session is its own
        self.process.wait()


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            yield int(entry), fields


def start(command: Sequence[str], directory: Path, on: frozenset[int]) -> Running:
    """Start a command on these cores; its output goes to the file `log` in the directory."""
    log = directory / "log"
    with pinned(on), log.open("wb") as output:
        began = monotonic()
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Running(process, began, log)


@contextmanager
def running(command: Sequence[str], directory: Path, on: frozenset[int]) -> Iterator[Running]:
    """Start a command, and stop it in the end, come what may."""
    started = start(command, directory, on)
    try:
        yield started
    finally:
        started.stop()

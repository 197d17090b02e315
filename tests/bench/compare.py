"""Owns the comparison: servers measured in turn, round after round, and what the rounds say together; prints nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench import peers
from tests.bench.load import NotMeasured, Programs
from tests.bench.measure import Flood, Options, Sample, Subject, Visit, visit

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and the smallest and largest of them."""

    median: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Half of the range as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of the values there are, None for none."""
    return Spread(median(values), min(values), max(values)) if values else None


@dataclass(slots=True)
class Results:
    """What the rounds have given: label → visits, in the order of the rounds, and label → why there are none."""

    subjects: list[Subject]
    loads: list[str]
    visits: dict[str, list[Visit]] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    floods: list[Flood] = field(default_factory=list)

    def samples(self, label: str, load: str) -> list[Sample]:
        """One sample for each round."""
        return [found.samples[load] for found in self.visits.get(label, [])]

    def spread(self, label: str, load: str, value: Callable[[Sample], float]) -> Spread | None:
        """What the rounds say together of one value."""
        return spread([value(sample) for sample in self.samples(label, load)])

    def ratio(self, label: str, other: str, load: str, value: Callable[[Sample], float]) -> Spread | None:
        """A value of one server over that of another, taken within each round, where the machine was the same for both."""
        pairs = zip(self.samples(label, load), self.samples(other, load), strict=False)
        return spread([value(sample) / value(base) for sample, base in pairs if value(base)])


def throughput(sample: Sample) -> float:
    """Replies a second."""
    return sample.counts.qps


def cpu(sample: Sample) -> float:
    """Seconds of server CPU time a reply."""
    return sample.cpu


def subjects(names: Sequence[str], workers: Sequence[int]) -> list[Subject]:
    """Every server with each number of workers that it can have; ValueError: no such server."""
    unknown = [name for name in names if name not in peers.PEERS]
    if unknown:
        raise ValueError(f"no such server: {', '.join(unknown)}; there are {', '.join(peers.PEERS)}")
    return [
        Subject(peers.PEERS[name], count) for count in workers for name in names if count == 1 or peers.PEERS[name].has_workers
    ]


def rounds(found: Results, programs: Programs, files: Mapping[str, Path], options: Options, count: int, say: Say) -> None:
    """Measure every server once in each round, so that what else the machine does meets all of them."""
    for number in range(count):
        for subject in found.subjects:
            if subject.label in found.not_measured:
                continue
            say(f"round {number + 1} of {count}: {subject.label}")
            try:
                found.visits.setdefault(subject.label, []).append(visit(subject, programs, files, options))
            except NotMeasured as reason:
                found.visits.pop(subject.label)  # rounds must stay parallel
                found.not_measured[subject.label] = str(reason)


def machine() -> dict[str, object]:
    """What was measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": os.getloadavg()[0],
    }


def as_json(found: Results, about: Mapping[str, object]) -> dict[str, object]:
    """Everything measured, as values of JSON; times in seconds, memory in octets."""
    return {
        **about,
        "servers": {
            label: {"rounds": [asdict(one) for one in visits]}
            | {"summary": {load: _summary(found, label, load) for load in found.loads}}
            for label, visits in found.visits.items()
        },
        "floods": [asdict(flood) for flood in found.floods],
        "not_measured": found.not_measured,
    }


def _summary(found: Results, label: str, load: str) -> dict[str, object]:
    values = {"throughput": found.spread(label, load, throughput), "cpu": found.spread(label, load, cpu)}
    for other in ("gdnsd", "pdns", "echo"):
        if base := base_of(found, label, other):
            values[f"throughput_to_{other}"] = found.ratio(label, base, load, throughput)
            values[f"cpu_to_{other}"] = found.ratio(label, base, load, cpu)
    return {name: asdict(value) for name, value in values.items() if value}


def base_of(found: Results, label: str, other: str) -> str | None:
    """The label of another server with as many workers, else with one; None where it was not measured."""
    workers = next((subject.workers for subject in found.subjects if subject.label == label), 1)
    wanted = [subject.label for subject in found.subjects if subject.peer.name == other and subject.workers in (workers, 1)]
    measured = [one for one in wanted if found.visits.get(one)]
    return measured[-1] if measured else None

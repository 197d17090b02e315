"""Owns what probes mean: which instance a region reached, what was lost, how long until all was well; touches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from statistics import median

from tests.lab import topology
from tests.lab.topology import Node


class Way(Enum):
    """How a client gets to the service."""

    ANYCAST = "anycast"
    PROVIDER = "geodns-provider"
    """GeoDNS through the resolver of the client's provider."""
    SUBNET = "geodns-subnet"
    """GeoDNS through a far resolver that sends client subnets."""
    PLAIN = "geodns-plain"
    """GeoDNS through a far resolver that does not."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The probes of one region, one way."""

    region: Node
    way: Way

    @property
    def name(self) -> str:
        return f"{self.region.name}/{self.way.value}"

    @property
    def resolver(self) -> IPv4Address:
        """Whom a GeoDNS client asks."""
        match self.way:
            case Way.PROVIDER:
                return self.region.resolver
            case Way.SUBNET:
                return topology.PUBLIC.host
            case Way.PLAIN | Way.ANYCAST:
                return topology.PUBLIC.resolver


STREAMS = tuple(
    Stream(region, way) for region in topology.REGIONS for way in Way if way is not Way.PROVIDER or region is topology.PROVIDER
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One line of the log; times in seconds of the monotonic clock."""

    kind: str
    stream: str
    sent: float
    done: float
    verdict: str
    instance: str

    @property
    def good(self) -> bool:
        return self.verdict == "good"


def read(lines: Iterable[str]) -> list[Probe]:
    """The log's lines; a last one that is not finished is left out."""
    found = []
    for line in lines:
        words = line.split()
        if line.endswith("\n") and len(words) == 6:
            found.append(Probe(words[0], words[1], float(words[2]), float(words[3]), words[4], words[5]))
    return found


def settled(probes: Sequence[Probe], now: float, seconds: float) -> str | None:
    """The one instance that has given good answers to all probes of the last seconds; None if there is no such."""
    return _one([probe for probe in probes if probe.kind == "udp" and probe.done > now - seconds], "good", seconds)


def connected(probes: Sequence[Probe], now: float, seconds: float) -> str | None:
    """The one instance that has answered through the open connection all the last seconds; None if there is no such."""
    return _one([probe for probe in probes if probe.kind == "tcp" and probe.done > now - seconds], "answered", seconds)


def _one(late: Sequence[Probe], verdict: str, seconds: float) -> str | None:
    instances = {probe.instance for probe in late}
    well = len(late) > 1 and all(probe.verdict == verdict for probe in late)
    lasts = well and max(probe.done for probe in late) - late[0].done > seconds / 2
    return instances.pop() if lasts and len(instances) == 1 else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an event did to one stream; times in milliseconds from the event."""

    region: str
    way: str
    before: str
    """The instance that answered before."""
    after: str | None
    """The instance that answered last before the event was undone; None if nobody did."""
    sent: int
    """Probes between the event and its end, but for those that were under way when it ended."""
    lost: int
    """Those of them that got no good answer."""
    bad: int
    """Those of them that got an answer, but not the good one."""
    well_after: float | None
    """When the first good answer came of a probe after which none was lost; None if that never happened."""
    moved_after: float | None
    """When the first answer of another instance came; None if none did."""
    wrong_region: int
    """Good answers by an instance that is not the nearest, neither of all nor of those that the event left."""
    round_trip_before: float | None
    round_trip_after: float | None
    connection: str
    """What became of the open TCP connection: alive, reset, closed, broken, silent, none."""
    connection_after: float | None
    """When it ended."""
    lost_on_return: int
    """Probes that got no good answer after the event was undone."""


def outcome(stream: Stream, probes: Sequence[Probe], struck: float, undone: float, *, takes_out: bool) -> Outcome:
    """Judge the probes of one stream. `takes_out`: whether the event leaves the target's clients to the others."""
    udp = [probe for probe in probes if probe.kind == "udp"]
    before = [probe for probe in udp if probe.done <= struck]
    window = [probe for probe in udp if struck < probe.sent and probe.done <= undone]
    usual = _most(before)
    failed = [probe for probe in window if not probe.good]
    last_failure = max((probe.sent for probe in failed), default=struck)
    well = [probe for probe in window if probe.good and probe.sent > last_failure]
    moved = [probe for probe in window if probe.good and probe.instance != usual]
    last = [probe for probe in well if probe.sent > undone - 1]
    right = {topology.nearest(stream.region).name}
    if takes_out:
        right.add(topology.nearest(stream.region, tuple(node for node in topology.INSTANCES if node != topology.TARGET)).name)
    state, ended = _connection([probe for probe in probes if probe.kind == "tcp"], struck, undone)
    return Outcome(
        stream.region.name,
        stream.way.value,
        usual,
        _most(last) if last else None,
        len(window),
        len(failed),
        sum(probe.verdict == "bad" for probe in failed),
        _milliseconds(min((probe.done for probe in well), default=None), struck),
        _milliseconds(min((probe.done for probe in moved), default=None), struck),
        sum(probe.good and probe.instance not in right for probe in window),
        _round_trip(before),
        _round_trip(last),
        state,
        _milliseconds(ended, struck),
        sum(not probe.good for probe in udp if probe.sent > undone),
    )


def _most(probes: Iterable[Probe]) -> str:
    found = Counter(probe.instance for probe in probes if probe.good)
    return found.most_common(1)[0][0] if found else "-"


def _milliseconds(when: float | None, since: float) -> float | None:
    return None if when is None else round(1000 * (when - since), 1)


def _round_trip(probes: Iterable[Probe]) -> float | None:
    times = [probe.done - probe.sent for probe in probes if probe.good]
    return round(1000 * median(times), 1) if times else None


def _connection(lines: Sequence[Probe], struck: float, undone: float) -> tuple[str, float | None]:
    """What became of the open connection between the event and its end."""
    if not any(line.verdict == "answered" and line.done <= struck for line in lines):
        return "none", None
    for line in lines:
        if struck < line.done <= undone and line.verdict in ("reset", "closed", "broken"):
            return line.verdict, line.done
    lively = any(line.verdict == "answered" and line.done > undone - 1 for line in lines if line.done <= undone)
    return ("alive" if lively else "silent"), None

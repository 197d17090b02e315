"""Owns the way from numbered counters of all processes to metrics with names; refuses to know what is counted where."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from geodns import answer, geo, server
from geodns.daemon import gates, sampling
from geodns.daemon.observing import Observer
from geodns.geo.countries import CONTINENTS
from geodns.ops.metrics import Histogram, Sample

_BATCH_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_SCOPE_BOUNDS = {"ipv4": (0.0, 8.0, 12.0, 16.0, 20.0, 24.0, 32.0), "ipv6": (0.0, 16.0, 24.0, 32.0, 40.0, 48.0, 56.0, 64.0, 128.0)}
_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the classes in which the lag of an event loop is counted, in seconds."""

_ROUND_TRIPS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Upper bounds of the classes in which the handshakes of clients are counted, in seconds."""

_RUNGS = {
    answer.How.BY_SUBNET: "ecs",
    answer.How.BY_NETWORK: "net",
    answer.How.BY_NETWORK_WITH_SUBNET: "net",
    answer.How.BY_SENDER: "resolver",
    answer.How.BY_SENDER_WITH_SUBNET: "resolver",
    answer.How.NOBODY: "fallback",
    answer.How.NOBODY_WITH_SUBNET: "fallback",
    answer.How.BY_EGRESS: "egress",
    answer.How.BY_EGRESS_WITH_SUBNET: "egress",
    answer.How.BY_INSTANCE: "instance",
    answer.How.BY_INSTANCE_WITH_SUBNET: "instance",
}
_SUBNETS = {
    answer.How.SAME_FOR_ALL_WITH_SUBNET: "not_needed",
    answer.How.BY_SUBNET: "used",
    answer.How.BY_NETWORK_WITH_SUBNET: "used",
    answer.How.BY_SENDER_WITH_SUBNET: "passed_over",
    answer.How.NOBODY_WITH_SUBNET: "passed_over",
    answer.How.BY_EGRESS_WITH_SUBNET: "passed_over",
    answer.How.BY_INSTANCE_WITH_SUBNET: "passed_over",
}


OBSERVED = {
    "logged": "geodns_query_log_written_total",
    "log_dropped": "geodns_query_log_dropped_total",
    "tapped": "geodns_dnstap_sent_total",
    "tap_dropped": "geodns_dnstap_dropped_total",
}
"""What an observer counts, and the metrics that tell it."""


class Counts:
    """The counters of a server, and what they are called."""

    def __init__(self, ledger: answer.Ledger, tally: server.Tally) -> None:
        self.ledger = ledger
        self.tally = tally
        self._gates = [ledger.number("gate", name) for name in gates.COUNTERS]
        self._batches = ledger.run(gates.BATCH + 1, "batch")
        self._observed = {name: ledger.number("observed", name) for name in OBSERVED}
        self._lag = ledger.run(len(_LAGS) + 1, "lag")
        self._lag_microseconds = ledger.number("lag_microseconds")
        self.round_trips = {code: ledger.run(len(_ROUND_TRIPS) + 1, "round_trip", code) for code in ("", *CONTINENTS)}
        self.round_trip_microseconds = {code: ledger.number("round_trip_microseconds", code) for code in self.round_trips}
        self.networks_forgotten = ledger.number("networks_forgotten")
        self.fixed_count = len(ledger)

    def note_lag(self, tally: list[int], seconds: float) -> None:
        """Count by how much an event loop woke up too late."""
        late = max(seconds, 0.0)
        tally[self._lag + bisect_left(_LAGS, late)] += 1
        tally[self._lag_microseconds] += round(late * 1e6)

    def of_worker(self, tally: list[int], opened: Sequence[gates.Gate], observer: Observer | None) -> list[int]:
        """A worker's counters, with those that its listeners and its observer keep themselves."""
        for name, value in observer.counts().items() if observer else ():
            tally[self._observed[name]] = value
        for number, value in zip(self._gates, gates.counts(opened), strict=True):
            tally[number] = value
        for size, count in enumerate(gates.batch_sizes(opened)):
            tally[self._batches + size] = count
        return tally

    def fixed(self) -> dict[str, int]:
        """What the listeners of all processes have counted, by name."""
        totals = self.tally.totals(len(self.ledger))
        return {name: totals[number] for name, number in zip(gates.COUNTERS, self._gates, strict=True)}

    def samples(self) -> dict[str, list[Sample]]:
        """Everything that processes count, as samples of metrics."""
        return _Found(self.ledger.names, self.tally.totals(len(self.ledger))).samples()


class Arrivals:
    """What the keeper counts of the handshakes that it is told of: how long they took, by continent, and networks forgotten."""

    def __init__(self, counts: Counts, post: server.Post) -> None:
        self.forgotten = 0
        self._counts = counts
        self._post = post
        self._tally = [0] * counts.fixed_count

    def note(self, continent: str, microseconds: int) -> None:
        """Count one; "" for a client of whom no place is known."""
        self._tally[self._counts.round_trips[continent] + bisect_left(_ROUND_TRIPS, microseconds / 1e6)] += 1
        self._tally[self._counts.round_trip_microseconds[continent]] += microseconds

    def publish(self) -> None:
        """Show it."""
        self._tally[self._counts.networks_forgotten] = self.forgotten
        self._post.publish(self._tally)


class _Replies(NamedTuple):
    """How often one kind of reply was given."""

    transport: str
    rdtype: str
    rcode: str
    choice: str
    how: answer.How
    times: int


class _Found:
    """Totals by what they count, put into families."""

    def __init__(self, names: Sequence[answer.Labels], totals: Sequence[int]) -> None:
        self.runs: dict[answer.Labels, list[int]] = {}
        self.single: dict[answer.Labels, int] = {}
        self.replies: list[_Replies] = []
        for labels, value in zip(names, totals, strict=True):
            match labels:
                case ("batch" | "lag" | "latency" | "scope" | "country" | "round_trip", *_):
                    self.runs.setdefault(labels[:-1], []).append(value)
                case ("reply", transport, rdtype, rcode, choice, how):
                    if value:
                        self.replies.append(_Replies(transport, rdtype, rcode, choice, answer.How(int(how)), value))
                case _:
                    self.single[labels] = value

    def samples(self) -> dict[str, list[Sample]]:
        """The families that are counted by processes that answer."""
        choices = self._choices()
        return {
            **{f"geodns_{name}_total": [((), self.single["gate", name])] for name in gates.COUNTERS},
            **{metric: [((), self.single["observed", name])] for name, metric in OBSERVED.items()},
            "geodns_queries_total": self._queries(),
            "geodns_opcodes_total": self._opcodes(),
            "geodns_responses_total": _summed(((each.rcode,), each.times) for each in self.replies),
            "geodns_rung_total": _summed(((_RUNGS[each.how],), each.times) for each in self.replies if each.how in _RUNGS),
            "geodns_client_subnet_total": _summed(((_SUBNETS.get(each.how, "absent"),), each.times) for each in self.replies),
            "geodns_answers_total": [((name[5:],), count) for name, count in choices.items() if name.startswith("rule:")],
            "geodns_pool_answers_total": [
                (tuple(name[5:].split("/")), count) for name, count in choices.items() if name.startswith("pool:")
            ],
            "geodns_country_answers_total": [
                ((sampling.CODES[position], *labels[1:]), count)
                for labels, counts in self.runs.items()
                if labels[0] == "country"
                for position, count in enumerate(counts)
                if count
            ],
            "geodns_anycast_clients_total": [((), self.single["anycast",])],
            "geodns_cookies_total": [((labels[1],), count) for labels, count in self.single.items() if labels[0] == "cookie"],
            "geodns_reasons_told_total": [((), self.single["told_why",])],
            "geodns_anycast_hits_total": [
                ((labels[1],), count) for labels, count in self.single.items() if labels[0] == "anycast_source"
            ],
            "geodns_client_subnet_scope": [
                ((family,), _histogram(enumerate(self.runs["scope", family]), bounds)) for family, bounds in _SCOPE_BOUNDS.items()
            ],
            "geodns_udp_batch_size": [((), _histogram(enumerate(self.runs["batch",]), _BATCH_BOUNDS))],
            "geodns_general_path_seconds": [((), self._timed("latency", answer.LATENCIES))],
            "geodns_loop_lag_seconds": [((), self._timed("lag", _LAGS))],
            "geodns_tcp_handshake_rtt_seconds": self._round_trips(),
            "geodns_catchment_forgotten_total": [((), self.single["networks_forgotten",])],
        }

    def _round_trips(self) -> list[Sample]:
        """By continent, of those from where anybody came."""
        return [
            ((code or "unknown",), Histogram(_ROUND_TRIPS, tuple(counts), self.single["round_trip_microseconds", code] / 1e6))
            for (name, code), counts in ((labels, counts) for labels, counts in self.runs.items() if labels[0] == "round_trip")
            if any(counts)
        ]

    def _timed(self, name: str, bounds: tuple[float, ...]) -> Histogram:
        return Histogram(bounds, tuple(self.runs[name,]), self.single[f"{name}_microseconds",] / 1e6)

    def _choices(self) -> dict[str, int]:
        """By rule or endpoint: what was prepared, and what the general path has chosen."""
        counted: Counter[str] = Counter()
        for labels, count in self.single.items():
            if labels[0] == "choice":
                counted[labels[1]] += count  # also what was never chosen: a counter that is 0 can be looked at
        for each in self.replies:
            if each.choice:
                counted[each.choice] += each.times
        return counted

    def _queries(self) -> list[Sample]:
        return _summed(((each.transport, each.rdtype), each.times) for each in self.replies if each.rdtype)

    def _opcodes(self) -> list[Sample]:
        """What the fast path answers is all QUERY, and not counted by it."""
        notify = self.single["opcode", "NOTIFY"]
        unknown = sum(each.times for each in self.replies if each.rcode == "NOTIMP" and not each.rdtype)
        every = sum(each.times for each in self.replies)
        return [(("QUERY",), every - notify - unknown), (("NOTIFY",), notify), (("other",), unknown)]


def list_samples(atlas: geo.Atlas) -> dict[str, list[Sample]]:
    """How many prefixes each list of anycast and each map of egress has, and of when it is."""
    found: dict[str, list[Sample]] = {}
    for kind, lists in (("anycast", atlas.anycast_lists()), ("egress", atlas.egress_maps())):
        found[f"geodns_{kind}_prefixes"] = [((source,), count) for source, _, count in lists]
        found[f"geodns_{kind}_list_timestamp_seconds"] = [
            ((source,), datetime.fromisoformat(as_of).replace(tzinfo=UTC).timestamp()) for source, as_of, _ in lists if as_of
        ]
    return found


def _summed(counted: Iterable[tuple[tuple[str, ...], int]]) -> list[Sample]:
    """One sample for each set of labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    for labels, count in counted:
        sums[labels] += count
    return sorted(sums.items())


def _histogram(counted: Iterable[tuple[int, int]], bounds: tuple[float, ...]) -> Histogram:
    """Observations that are whole numbers, each with how often it was seen."""
    counts, total = [0] * (len(bounds) + 1), 0
    for value, count in counted:
        counts[bisect_left(bounds, value)] += count
        total += value * count
    return Histogram(bounds, tuple(counts), float(total))

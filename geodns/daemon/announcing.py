"""Owns the daemon's side of the announce gate: its lease, its departure, what the gate tells; refuses to speak with routers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import Any, Protocol

import dns.rdatatype

from geodns import answer, wire
from geodns.daemon.loading import Loaded, asker
from geodns.daemon.report import Report
from geodns.ops import announce
from geodns.ops import config as configuration
from geodns.ops.config import Config, Expect
from geodns.ops.metrics import Sample

log = logging.getLogger("geodns.keeper")

_RENEWED_EVERY = 1.0  # seconds, or as soon as something has happened to a pool
_RENEWALS = 4  # while a lease counts, at least: one that is late must not end it
_REST = 0.05  # seconds between two renewals, whatever happens
_HANGS = 15.0  # seconds, after which systemd ends a gate that says nothing
_STATES = ("announced", "drained", "withdrawn")
_LEAVING = "the daemon stops"

TRIES = 3
"""Times that a router is given to withdraw, by its gate and by the daemon that waits for that."""


class Daemon(Protocol):
    """What the rest of the keeper knows, and does when it is time to stop."""

    def hindrances(self) -> list[str]:
        """Reasons why queries are not answered, or not well."""

    def pools_down(self) -> list[str]:
        """Pools that are wholly down."""

    def told(self) -> Report:
        """What the supervisor has told last."""

    def client_rate(self) -> float:
        """Queries a second, those of the keeper itself apart."""

    def draining(self) -> str:
        """Why the operator wants no queries here; "" if he does."""

    def stop(self) -> None:
        """End the daemon."""


def patience(config: Config) -> announce.Patience:
    """How long clients are given to leave."""
    told = config.announce
    routers = TRIES * (told.router_timeout + told.interval)
    return announce.Patience(soft(config), told.drain_floor, told.drain_max, routers)


def soft(config: Config) -> float:
    """Seconds that a way to leave is announced: none where the router cannot be told of such a way."""
    told = config.announce
    mute = (told.method == "bird" and not told.bird.include) or (told.method == "frr" and not told.frr.drain_route_map)
    return 0.0 if told.drain == "withdraw" or mute else told.drain_soft


def told_by_gate(config: Config) -> dict[str, Any] | None:
    """What the gate of this state directory has told last; None where there is nothing that could be read."""
    try:
        return announce.status(config.path(config.server.state))
    except (OSError, ValueError):
        return None


def gate_status(config: Config) -> dict[str, Any] | None:
    """What the gate tells; None where none is at work, and the last one has left nothing announced.

    `alive` is false where the last one is gone, or hangs, and something may still be announced.
    """
    if not config.announce.is_on:
        return None
    told = told_by_gate(config)
    if told is None:
        return None
    told["alive"] = told["alive"] and told["age"] <= max(10 * config.announce.interval, _HANGS)
    return told if told["alive"] or any(each["announced"] != "withdrawn" for each in told["prefixes"]) else None


def questions(loaded: Loaded) -> tuple[announce.Question, ...]:
    """What this daemon must answer on the wire: the expectations that can be asked there, then the SOA of each zone."""
    config = loaded.config
    asked = (expect for expect, why in zip(config.expect, configuration.unaskable(config), strict=True) if not why)
    found = list(islice(filter(None, (_question(loaded, expect) for expect in asked)), configuration.MOST_QUESTIONS))
    for zone in loaded.snapshot.zones.values():
        if len(found) >= configuration.MOST_QUESTIONS:
            break
        found.append(announce.Question(wire.to_text(zone.contents.origin), "SOA", serial=zone.contents.serial))
    return tuple(found)


def _question(loaded: Loaded, expect: Expect) -> announce.Question | None:
    """An expectation as it is asked on the wire, where pools answer by health: any address of the pool is right then.

    None where something else than addresses comes from a pool, such as hints of HTTPS records.
    """
    rdtype = int(dns.rdatatype.from_text(expect.type))
    found = answer.explain(loaded.snapshot, wire.from_text(expect.name), rdtype, asker(expect.client, expect.resolver))
    if not found.pool:
        return announce.Question(expect.name, expect.type, _subnet(expect), expect.answer, expect.rcode)
    if expect.type not in {"A", "AAAA"}:
        return None
    name = str(found.pool["name"])
    endpoints = loaded.config.pools[name].endpoints
    able = tuple(text for each in endpoints for text in each.addresses if (":" in text) == (expect.type == "AAAA"))
    return announce.Question(expect.name, expect.type, _subnet(expect), able or expect.answer, expect.rcode, name)


def _subnet(expect: Expect) -> str:
    """The client subnet that stands for the client: its own address in full, or what its resolver would send."""
    if "/" in expect.client:
        return str(ip_network(expect.client, strict=False))
    address = ip_address(expect.client)
    length = address.max_prefixlen if not expect.resolver else 24 if address.version == 4 else 56
    return str(ip_network(f"{address}/{length}", strict=False))


class Announcing:
    """What the keeper does for the gate of one generation; `tide` is called with whether clients are asked to leave."""

    def __init__(self, loaded: Loaded, daemon: Daemon, tide: Callable[[bool], None]) -> None:
        self.config = loaded.config
        self._daemon = daemon
        self._tide = tide
        self._is_on = self.config.announce.is_on
        self._questions = questions(loaded) if self._is_on else ()
        told = self.config.announce
        self._by_siblings = len(told.siblings) / told.interval  # questions a second of their gates, if they are as ours
        self._trouble = ""
        self.departure: announce.Departure | None = None
        self._stop_wanted = False
        self.gate: dict[str, Any] | None = None

    async def run(self, moved: asyncio.Event) -> None:
        """Renew the lease until cancelled; where nothing is announced, only tell the tide.

        What has `moved` in pools changes answers at once, so the lease tells it at once: else the gate would take them for wrong.
        """
        holder = announce.Holder(self.config.path(self.config.server.state)) if self._is_on else None
        every = min(_RENEWED_EVERY, self.config.announce.lease_max_age / _RENEWALS)
        try:
            while True:
                moved.clear()
                self.tick(holder)
                await asyncio.sleep(_REST)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(every - _REST):
                        await moved.wait()
        finally:
            if holder:  # whatever comes next, a generation or the end: until then answers may be others than is known here
                self._note(holder.renew(replace(self._lease(), changing=True)))
                holder.release()

    def tick(self, holder: announce.Holder | None) -> None:
        """One round of it."""
        leaving = self._daemon.told().leaving
        self._tide(leaving or bool(self._daemon.draining()))
        if holder is None:
            return
        self.gate = gate_status(self.config)
        lease = self._lease()
        self._note(holder.renew(lease))
        self._depart(lease.draining, lease.rate, stopping=leaving or self._stop_wanted)

    def _lease(self) -> announce.Lease:
        told, daemon = self._daemon.told(), self._daemon
        return announce.Lease(
            told.pid,
            announce.now(),
            self.config.server.identity,
            told.generation,
            tuple(daemon.hindrances()),
            _LEAVING if told.leaving else daemon.draining(),
            tuple(daemon.pools_down()),
            max(daemon.client_rate() - (self.gate["asked"] if self.gate else 0.0) - self._by_siblings, 0.0),
            tuple(told.listening),
            self._questions,
            not told.answering,
        )

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.error("%s: the gate announces nothing for this daemon", trouble)
        elif self._trouble and not trouble:
            log.info("the lease is renewed again")
        self._trouble = trouble

    def _depart(self, drained: str, rate: float, *, stopping: bool) -> None:
        if not drained:
            self.departure = None
            self._stop_wanted = False
            return
        moment = announce.now()
        before = self.departure or announce.Departure(moment)
        if before.over and not stopping:
            return
        must_end = self._daemon.told().leaving
        self.departure = announce.proceed(before, self.gate, rate, moment, patience(self.config), must_end=must_end)
        if self.departure.over and not before.over:
            log.info("drained: %s", self.departure.sentence)
        if self.departure.over and stopping:
            self._daemon.stop()

    def refusal(self) -> str:
        """Why a drain would leave clients without any instance; "" if it would not, or if nobody can say."""
        siblings = self.gate["siblings"] if self.gate else []
        if not siblings or not all(each["fault"] for each in siblings):
            return ""
        return f"this may be the last instance: none of its {len(siblings)} siblings answers ({siblings[0]['fault']})"

    def begin_drain(self, *, stop: bool) -> None:
        """A drain begins anew, at whose end the daemon is to stop or not."""
        self.departure = None
        self._stop_wanted = stop and self._is_on

    def status(self) -> dict[str, Any] | None:
        """What the administrative API tells of it; None where nothing is announced."""
        if not self._is_on:
            return None
        return {
            "method": self.config.announce.method,
            "gate": self.gate,
            "lease": self._trouble,
            "departure": self.departure.sentence if self.departure else None,
            "departed": bool(self.departure and self.departure.over),
            "stuck": bool(self.departure and self.departure.stuck),
            "stopping": self._stop_wanted,
        }

    def samples(self) -> dict[str, list[Sample]]:
        """The metrics of it."""
        if not self._is_on:
            return {}
        gate = self.gate
        found: dict[str, list[Sample]] = {
            "geodns_announce_gate_up": [((), bool(gate and gate["alive"]))],
            "geodns_announce_lease_held": [((), not self._trouble)],
        }
        if gate is None:
            return found
        prefixes, peers = gate["prefixes"], gate["router"].get("peers") or {}  # a gate that is older tells of none
        return found | {
            "geodns_announce_state": [
                ((told["prefix"], state), told["announced"] == state) for told in prefixes for state in _STATES
            ],
            "geodns_announce_wanted": [
                ((told["prefix"], state), told["wanted"] == state) for told in prefixes for state in _STATES
            ],
            "geodns_announce_last_change_timestamp_seconds": [((told["prefix"],), told["since"]) for told in prefixes],
            "geodns_announce_transitions_total": [((told["prefix"],), told["transitions"]) for told in prefixes],
            "geodns_announce_held": [((told["prefix"],), bool(told["held"])) for told in prefixes],
            "geodns_announce_flaps": [((told["prefix"],), told["flaps"]) for told in prefixes],
            "geodns_announce_selfcheck_up": [((told["target"],), not told["faults"]) for told in gate["checks"]],
            "geodns_announce_sibling_up": [((told["address"],), not told["fault"]) for told in gate["siblings"]],
            "geodns_announce_lease_age_seconds": [((), gate["lease"]["age"])] if gate["lease"]["age"] is not None else [],
            "geodns_announce_drift_total": [((), gate["router"]["drifts"])],
            "geodns_announce_router_failures_total": [((), gate["router"]["failures"])],
            "geodns_announce_router_settled": [((), gate["router"]["settled"])],
            "geodns_announce_peers": [((state,), peers[state]) for state in ("established", "down") if peers],
        }

"""Owns the keeper's process: what it tells and is told through the administrative door; refuses to answer DNS queries."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import platform
import signal
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, time
from typing import Any

import dns.exception
import dns.rdatatype

import geodns
from geodns import answer, server, wire
from geodns.daemon import gates, loading, pooling, report
from geodns.daemon.announcing import Announcing
from geodns.daemon.catchment import Catchment
from geodns.daemon.counting import Arrivals, Counts, list_samples
from geodns.daemon.door import Door
from geodns.daemon.keeping import Keeping
from geodns.daemon.loading import Loaded
from geodns.daemon.responder import LEAVE, STAY
from geodns.daemon.watching import watched_files, written_since
from geodns.ops import admin, health, metrics, notify, overrides
from geodns.ops import config as configuration
from geodns.ops.metrics import Sample
from geodns.ops.watch import Watcher, signs
from geodns.problem import ProblemsFound

log = logging.getLogger("geodns.keeper")

Json = dict[str, Any]
_RELOAD_PATIENCE = 600.0  # seconds until a reload that says nothing is given up
FORCE = b"force"
"""The wish that a reload be done even if it takes away much."""

_RATE_OVER = 10  # seconds over which the rate of queries is taken
_OWN_QUESTION = 5.0  # seconds between our own questions, at most
_OWN_ANSWER = 2.0  # seconds in which we must answer our own question
_ROUNDS_OF_SILENCE = 3  # after which only a restart helps: a busy moment is none
_LOOKS_FOR_ANSWERS = 30  # until a new generation must answer; this process has ended by then, for it is of the old one
_LOOK = 0.05  # seconds between looks at what the supervisor has to say
_SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SHORTAGE_TOLD_EVERY = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Shared:
    """What the keeper shares with the other processes of its generation.

    `board` shows standings, `notebook` is what outlives the keeper, `slate` what the supervisor tells, `wish` what it is asked
    for with the next SIGHUP; `lost` is what the kernel dropped on sockets that are closed by now; `arrivals` is where handshakes
    are told, and what is known of them. `tide` tells workers whether clients are asked to leave.
    """

    board: server.Board
    notebook: server.Slate
    slate: server.Slate
    wish: server.Slate
    counts: Counts
    lost: int
    arrivals: tuple[server.Funnel, server.Slate]
    tide: server.Board = field(default_factory=lambda: server.Board(1))


def keep(loaded: Loaded, shared: Shared, door: Door, post: server.Post) -> None:
    """What the keeper's process does; raises what has ended one of its tasks, for a successor does better than half a keeper."""
    keeping = Keeping(loaded.config, shared.board, shared.notebook)
    asyncio.run(_keep(Doorkeeper(loaded, keeping, shared, post), door, post))


async def _keep(keeper: Doorkeeper, door: Door, post: server.Post) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_Shortages())
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(post.dismissal, ended.set)
    endless = (
        keeper.keeping.run(),
        keeper.watch_rate(),
        keeper.look_after_itself(asked=door.sock is not None),
        keeper.watch_files(),
        keeper.clients.run(),
        keeper.announcing.run(keeper.keeping.moved),
    )
    tasks = [asyncio.create_task(each) for each in endless]
    for task in tasks:
        task.add_done_callback(partial(_end_by_fault, ended))
    serving = asyncio.create_task(_serve(keeper, door, ended))
    post.ready()
    await ended.wait()
    loop.remove_reader(post.dismissal)
    await serving
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _end_by_fault(ended: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Some of the tasks have nothing to do and return at once; what they raise ends the whole process."""
    if not task.cancelled() and task.exception():
        ended.set()


class _Shortages:
    """Handles what nobody in the event loop has handled; that there is no descriptor left for a client is said once a minute.

    The loop itself reports each client that it could not let in, several hundred lines a second, and tries again by itself.
    """

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: Json) -> None:
        fault = context.get("exception")
        if not isinstance(fault, OSError) or fault.errno not in _SHORTAGE:
            loop.default_exception_handler(context)
        elif monotonic() >= self._due:
            self._due = monotonic() + _SHORTAGE_TOLD_EVERY
            log.error("nobody is let in at the administrative door for now: %s", os.strerror(fault.errno))


async def _serve(keeper: Doorkeeper, door: Door, ended: asyncio.Event) -> None:
    if door.sock is None:
        return
    access = admin.access(door.sock, hosts=keeper.loaded.config.admin.hosts, token=door.token)
    await admin.serve(admin.application(keeper, access), door.sock, ended)


_ERRORS = (
    ("refused", ("refused", "reset")),
    ("timeout", ("timed out",)),
    ("certificate", ("certificate", "TLS")),
    ("status", ("status 1", "status 2", "status 3", "status 4", "status 5")),
    ("body", ("body",)),
    ("answer", ("DNS", "rcode", "response code")),
    ("exit", ("exit",)),
    ("unreachable", ("unreachable", "no route", "resolved")),
)


def error_kind(sentence: str) -> str:
    """What a check's error is counted as, so that its words make no labels; an exit status is none of HTTP's."""
    if not sentence or sentence.startswith("exit"):
        return "exit" if sentence else "none"
    return next((kind for kind, words in _ERRORS if any(word in sentence for word in words)), "other")


class Doorkeeper:
    """What is asked at the door, and answered from what this process knows: see `admin.Keeper`."""

    def __init__(self, loaded: Loaded, keeping: Keeping, shared: Shared, post: server.Post) -> None:
        self.loaded = loaded
        self.keeping = keeping
        self._shared = shared
        self._slate = shared.slate
        self._counts = shared.counts
        self._post = post
        self.clients = Catchment(loaded, *shared.arrivals, Arrivals(shared.counts, post))
        self.rate = self._own_rate = 0.0
        self._faults: list[str] = []
        self._silent_rounds = 0
        self.announcing = Announcing(loaded, self, lambda leave: shared.tide.write(LEAVE if leave else STAY))
        self._data = self._data_samples()  # of one generation: they stay
        self._seats: dict[pooling.Path3, list[pooling.Seat]] = {}
        self._in_pool: dict[str, list[pooling.Seat]] = {}
        for seat in keeping.seats:
            self._seats.setdefault(seat.path, []).append(seat)
            self._in_pool.setdefault(seat.path[0], []).append(seat)

    def status(self) -> Json:
        """The whole instance at a glance."""
        told = report.read(self._slate)
        pools = {name: self._pool_state(name) for name in self.loaded.config.pools}
        last = told.last_reload
        return {
            "version": geodns.__version__,
            "identity": self.loaded.config.server.identity,
            "pid": told.pid,
            "uptime": time() - told.started,
            "ready": self.ready(),
            "draining": bool(self.keeping.draining),
            "generation": told.generation,
            "loaded_at": told.loaded_at,
            "last_reload": {"at": last.at, "accepted": last.accepted, "seconds": last.seconds, "problems": last.problems}
            if last
            else None,
            "configuration": str(self.loaded.path),
            "listening": told.listening,
            "workers": [{"slot": slot, "pid": pid} for slot, pid in told.workers.items() if slot != self._post.slot],
            "worker_deaths": told.deaths,
            "queries": self._queries(),
            "rates": {"queries": self.rate},
            "zones": len(self.loaded.snapshot.zones),
            "records": self.loaded.records,
            "pools": pools,
            "overrides": len(self.keeping.words),
            "catchment": {"measured": not self.clients.why_off, "why_not": self.clients.why_off, "networks": self.clients.size},
            "cookie_secrets": list(map(answer.fingerprint, self.loaded.snapshot.cookie_secrets)),
            "announce": self.announcing.status(),
        }

    def _queries(self) -> int:
        counted = self._counts.fixed()
        return counted["udp_datagrams"] + counted["tcp_messages"]

    async def watch_rate(self) -> None:
        """Work out, once a second, how many messages a second came in the last seconds; until cancelled."""
        seen: deque[tuple[float, int]] = deque(maxlen=_RATE_OVER + 1)
        while True:
            seen.append((monotonic(), self._queries()))
            (began, before), (now, after) = seen[0], seen[-1]
            self.rate = (after - before) / (now - began) if now > began else 0.0
            await asyncio.sleep(1.0)

    async def watch_files(self) -> None:
        """With `server.watch`: have everything loaded anew whenever a file of it has changed, and rests; until cancelled."""
        path, config = self.loaded.path, self.loaded.config
        if not config.server.watch:
            return
        files = await asyncio.to_thread(watched_files, path, config)
        known = await asyncio.to_thread(signs, files)
        looked = time()  # what is written from here on differs from what is known
        meanwhile = await asyncio.to_thread(written_since, files, self.loaded.began, looked)
        watcher = Watcher(files, known={**known, **dict.fromkeys(meanwhile, ())})
        while True:
            changed = await watcher.changed()
            log.info("changed: %s", ", ".join(map(str, changed[:10])))
            with contextlib.suppress(ProblemsFound):  # what a refused configuration names is waited for too
                watcher.watch(watched_files(path, configuration.load(path)))
            os.kill(report.read(self._slate).pid, signal.SIGHUP)

    async def look_after_itself(self, *, asked: bool) -> None:
        """Ask this server its own question again and again, and tell systemd when queries may come, and that we live.

        `asked` tells whether anybody but systemd can ask how it is; where nobody can, it asks itself nothing.
        """
        notifier = notify.Notifier()
        told, said, due = report.read(self._slate), False, 0.0
        interval = min(notify.watchdog_interval(told.pid) or _OWN_QUESTION, _OWN_QUESTION)
        self._own_rate = len(told.listening) / interval if asked or notifier.is_heard else 0.0
        while True:
            if monotonic() >= due and (asked or notifier.is_heard):
                due = monotonic() + interval
                self._note_faults(await notify.asked_and_answered(report.read(self._slate).listening, min(interval, _OWN_ANSWER)))
                if not self._faults:
                    notifier.watchdog()
            ready = self.ready()
            if not said and not self.hindrances():  # a drained one has started too, or systemd would kill it in the end
                notifier.ready(self._status_line(ready))
                said = True
            notifier.status(self._status_line(ready))
            await asyncio.sleep(1.0)

    def _note_faults(self, faults: list[str]) -> None:
        if faults and not self._faults:
            log.error("our own question is not answered: %s", "; ".join(faults))
        elif self._faults and not faults:
            log.info("our own question is answered again")
        self._silent_rounds = self._silent_rounds + 1 if faults else 0
        self._faults = faults

    def _status_line(self, reasons: list[str]) -> str:
        generation = report.read(self._slate).generation
        state = f"not ready: {'; '.join(reasons)}" if reasons else "ready"
        troubled = [f"pool {name} {told}" for name in self.loaded.config.pools if (told := self._pool_state(name)) != "up"]
        zones = loading.counted(len(self.loaded.snapshot.zones), "zone")
        return "; ".join([f"{state}: generation {generation}, {zones}, {self.rate:,.0f} queries/s", *troubled])

    def zones(self) -> list[Json]:
        """Every zone."""
        return [
            {
                "name": wire.to_text(zone.contents.origin),
                "serial": zone.contents.serial,
                "records": zone.contents.record_count,
                "tailored": len(zone.tailored),
                "file": zone.contents.file,
            }
            for zone in self.loaded.snapshot.zones.values()
        ]

    def pools(self) -> list[Json]:
        """Every pool, its sites, endpoints and addresses."""
        return [self.pool(name) for name in self.loaded.config.pools]

    def pool(self, name: str) -> Json:
        """One pool; raises KeyError."""
        pool = self.loaded.config.pools[name]
        return {
            "name": name,
            "steering": pool.steering,
            "answers": pool.answers,
            "ttl": pool.ttl,
            "ttl_degraded": pool.ttl_degraded,
            "when_all_down": pool.when_all_down,
            "min_up": pool.min_up,
            "check": {"type": pool.check.type, "interval": pool.check.interval, "rise": pool.check.rise, "fall": pool.check.fall},
            "state": self._pool_state(name),
            "degraded": self._pool_state(name) != "up",
            "sites": [self._site(name, site) for site in pool.sites],
            "history": [{"at": at, "what": what} for at, what in self.keeping.history[name]],
        }

    def _pool_state(self, name: str) -> str:
        """up, degraded (checks say that something is down or about to change) or down (nothing may be answered).

        What the operator has taken out is no reason to wake anybody.
        """
        standings = [self._standing(seat) for seat in self._in_pool.get(name, ())]
        if not any(standing.eligible for standing in standings):
            return "down"
        return "degraded" if any(standing.troubled for standing in standings) else "up"

    def _site(self, pool_name: str, site: str) -> Json:
        pool = self.loaded.config.pools[pool_name]
        endpoints = [self._endpoint(pool_name, endpoint) for endpoint in pool.sites[site]]
        eligible = sum(any(address["eligible"] for address in endpoint["addresses"]) for endpoint in endpoints)
        spot = pooling.spot(pool.sites[site])
        place = {"latitude": spot.latitude if spot else None, "longitude": spot.longitude if spot else None}
        return {"name": site, "up": eligible >= pool.min_up, **place, "endpoints": endpoints}

    def _endpoint(self, pool: str, endpoint: Any) -> Json:
        path = (pool, endpoint.site, endpoint.name)
        word = self.keeping.words.word_for(path, time())
        return {
            "name": endpoint.name,
            "weight": endpoint.weight,
            "capacity": endpoint.capacity,
            "load": endpoint.load,
            "override": {
                "path": "/".join(word.path),
                "word": word.word.value,
                "since": word.since,
                "until": word.until,
                "reason": word.reason,
                "who": word.who,
            }
            if word
            else None,
            "addresses": [self._address(seat) for seat in self._seats[path]],
        }

    def _address(self, seat: pooling.Seat) -> Json:
        state = self.keeping.states.get(seat.key) or health.State()
        last = state.last
        return {
            "address": seat.address,
            "family": 6 if seat.family == "ipv6" else 4,
            "eligible": self._standing(seat).eligible,
            "health": "unchecked" if seat.target is None else state.health.value,
            "pending": state.pending,
            "since": state.since,
            "transitions": state.transitions,
            "checked": state.checked,
            "error": last.error if last else "",
            "duration": last.seconds if last else None,
            "certificate_expires": last.certificate_expires if last else None,
        }

    def _standing(self, seat: pooling.Seat) -> answer.Standing:
        return pooling.standing(seat, self.keeping.states, self.keeping.words, time())

    def explain(self, name: str, rdtype: str, client: str, ecs: str, resolver: str) -> Json:
        """What a client gets now and why; raises ValueError."""
        try:
            number = int(dns.rdatatype.from_text(rdtype or "A"))
        except (dns.exception.DNSException, ValueError) as error:
            raise ValueError(f"'{rdtype}' is no record type") from error
        asker = loading.asker_of(client, ecs, resolver)
        return answer.explain(self.loaded.snapshot, wire.from_text(name), number, asker, self._moment()).as_json()

    def _moment(self) -> answer.Moment:
        return pooling.moment(self.keeping.seats, self.keeping.states, self.keeping.words, time())

    def catchment(self, pool: str, worst: int, min_samples: int) -> Json:
        """Which client networks come here, from how far, and where pools would send them; raises ValueError."""
        return self.clients.as_json(self._moment(), pool, worst, min_samples)

    def alive(self) -> list[str]:
        """Reasons why a restart is needed; none is well."""
        if self._silent_rounds < _ROUNDS_OF_SILENCE:
            return []
        return [f"our own question is not answered: {fault}" for fault in self._faults]

    def ready(self) -> list[str]:
        """Reasons why no queries should come here; none is well."""
        draining = ["this instance is draining: " + self.keeping.draining] if self.keeping.draining else []
        leaving = ["this instance stops"] if report.read(self._slate).leaving else []
        return [*draining, *leaving, *self.hindrances()]

    def hindrances(self) -> list[str]:
        """Reasons why queries are not answered, or not well; that somebody wants none here is not among them."""
        workers = [slot for slot in report.read(self._slate).workers if slot != self._post.slot]
        silent = [f"our own question is not answered: {fault}" for fault in self._faults]
        return [*self.keeping.unready(), *([] if workers else ["no process answers"]), *silent]

    async def reload(self, force: bool) -> Json:
        """Have the supervisor load everything anew, and wait until it says how that went."""
        before = report.read(self._slate)
        self._shared.wish.write(FORCE if force else b"")
        os.kill(before.pid, signal.SIGHUP)
        async with asyncio.timeout(_RELOAD_PATIENCE):
            while (told := report.read(self._slate)).attempts == before.attempts:
                await asyncio.sleep(_LOOK)
        last = told.last_reload
        for _ in range(_LOOKS_FOR_ANSWERS if last and last.accepted else 0):
            told = report.read(self._slate)
            if told.generation > before.generation and told.answering:
                break
            await asyncio.sleep(_LOOK)
        return {
            "accepted": last.accepted if last else False,
            "generation": before.generation + (last.accepted if last else 0),
            "seconds": last.seconds if last else 0.0,
            "problems": last.problems if last else (),
            "plan": last.plan if last else None,
        }

    async def drain(self, reason: str, *, stop: bool = False, last: bool = False) -> Json:
        """Say that this instance is not ready, while it goes on answering; kept until it is taken back.

        With `stop` it ends when its clients have left; unless `last`, not where nobody else would answer them.
        """
        if (why := self.announcing.refusal()) and not last:
            return {"draining": bool(self.keeping.draining), "error": why, "remedy": "repair a sibling, or drain with --last"}
        self.announcing.begin_drain(stop=stop)
        self.keeping.drain(reason or "on request")
        return {"draining": True}

    async def undrain(self, reason: str) -> Json:  # noqa: ARG002 (the door's form)
        """Take it back."""
        self.keeping.drain("")
        return {"draining": False}

    def draining(self) -> str:
        """Why the operator wants no queries here; "" if he does."""
        return self.keeping.draining

    def pools_down(self) -> list[str]:
        """Pools that are wholly down."""
        return [name for name in self.loaded.config.pools if self._pool_state(name) == "down"]

    def told(self) -> report.Report:
        """What the supervisor has told last."""
        return report.read(self._slate)

    def client_rate(self) -> float:
        """Queries a second, our own apart."""
        return max(self.rate - self._own_rate, 0.0)

    def stop(self) -> None:
        """End the server."""
        os.kill(report.read(self._slate).pid, signal.SIGTERM)

    def set_override(self, pattern: str, word: str, seconds: float | None, reason: str, who: str) -> Json:
        """The operator's word; raises BadPattern, a ValueError."""
        spoken: overrides.Word | overrides.Auto = "auto" if word == "auto" else overrides.Word(word)
        return {"touched": self.keeping.say_word(pattern, spoken, seconds=seconds, reason=reason, who=who)}

    def post_state(self, key: str, up: bool, who: str) -> Json:  # noqa: ARG002
        """The state of an external check; raises KeyError."""
        self.keeping.post_state(key, up=up)
        return {"endpoint": key, "up": up}

    def metrics(self, *, openmetrics: bool) -> bytes:
        """All metrics, in one of two forms."""
        identity = self.loaded.config.server.identity
        return metrics.exposition(metrics.filled(self._samples()), openmetrics=openmetrics, identity=identity)

    def _samples(self) -> dict[str, list[Sample]]:
        told = report.read(self._slate)
        last = told.last_reload
        pids = [told.pid, *told.workers.values()]
        drops = gates.drops(self._post.pairs) + self._shared.lost
        return {
            "geodns_build_info": [((geodns.__version__, platform.python_version()), 1)],
            "geodns_ready": [((), not self.ready())],
            "geodns_draining": [((), bool(self.keeping.draining))],
            **self._counts.samples(),
            "geodns_udp_kernel_drops_total": [((), drops)],
            "geodns_catchment_networks": [] if self.clients.why_off else [((), self.clients.size)],
            "geodns_workers": [((), len([slot for slot in told.workers if slot != self._post.slot]))],
            "geodns_worker_deaths_total": [((), told.deaths)],
            "geodns_snapshot_generation": [((), told.generation)],
            "geodns_snapshot_loaded_timestamp_seconds": [((), told.loaded_at)],
            "geodns_reloads_total": [
                (("accepted",), told.attempts - told.refused),
                (("refused",), told.refused),
            ],
            "geodns_reload_duration_seconds": [((), last.seconds if last else self.loaded.seconds)],
            "geodns_last_reload_success": [((), last is None or last.accepted)],
            **self._data,
            **self._pool_samples(),
            **self.announcing.samples(),
            **metrics.process_samples(pids),
        }

    def _data_samples(self) -> dict[str, list[Sample]]:
        """Zones, databases, lists, maps and cookie secrets."""
        atlas = self.loaded.snapshot.atlas
        zones = [(wire.to_text(zone.contents.origin), zone.contents) for zone in self.loaded.snapshot.zones.values()]
        marks = list(map(answer.fingerprint, self.loaded.snapshot.cookie_secrets))
        return {
            "geodns_cookie_secrets": [((), len(marks))],
            "geodns_cookie_secret_info": [((mark, "accepts" if number else "makes"), 1) for number, mark in enumerate(marks)],
            "geodns_zone_serial": [((name,), zone.serial) for name, zone in zones],
            "geodns_zone_records": [((name,), zone.record_count) for name, zone in zones],
            "geodns_database_build_timestamp_seconds": [
                ((database.name,), database.built) for database in atlas.databases if database.built is not None
            ],
            **list_samples(atlas),
        }

    def _pool_samples(self) -> dict[str, list[Sample]]:
        found: dict[str, list[Sample]] = {
            "geodns_state_unwritten": [((), self.keeping.is_unwritten)],
            "geodns_pool_degraded": [((name,), self._pool_state(name) != "up") for name in self.loaded.config.pools],
            "geodns_endpoint_eligible": [
                (path, any(self._standing(seat).eligible for seat in seats)) for path, seats in self._seats.items()
            ],
            "geodns_override": [((*(*word.path, "", "")[:3], word.word.value), 1) for word in self.keeping.words],
        }
        for seats in self._seats.values():
            numbers = {"ipv4": 0, "ipv6": 0}
            for seat in seats:
                numbers[seat.family] += 1
                for name, value in self._check_samples(seat):
                    labels = (*seat.path, seat.family, str(numbers[seat.family]))
                    state = (value,) if isinstance(value, str) else ()
                    found.setdefault(name, []).append(((*labels, *state), 1 if isinstance(value, str) else value))
        return found

    def _check_samples(self, seat: pooling.Seat) -> list[tuple[str, float | str]]:
        """What is known of one address; a text is the value of one label more."""
        state = self.keeping.states.get(seat.key)
        if seat.target is None or state is None or state.last is None:
            return [("geodns_check_state", "unchecked" if seat.target is None else "unknown")]
        expires = state.last.certificate_expires
        return [
            ("geodns_check_up", state.health == "up"),
            ("geodns_check_state", state.health.value),
            ("geodns_check_duration_seconds", state.last.seconds),
            ("geodns_check_last_change_timestamp_seconds", state.since),
            ("geodns_check_transitions_total", state.transitions),
            ("geodns_check_last_error", error_kind(state.last.error)),
            ("geodns_check_failures_total", self.keeping.failures.get(seat.key, 0)),
            *([("geodns_check_certificate_expiry_timestamp_seconds", expires)] if expires is not None else []),
        ]

"""Owns the server as processes that share one snapshot: what each does, and how a reload makes new ones of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from functools import partial
from time import monotonic, time

from geodns import answer, server
from geodns.daemon import catchment, gates, keeping, pooling
from geodns.daemon.announcing import gate_status, patience
from geodns.daemon.counting import Counts
from geodns.daemon.door import Door
from geodns.daemon.doorkeeper import FORCE, Shared, keep
from geodns.daemon.gates import Sockets
from geodns.daemon.loading import Loaded, load, log, say_loaded, say_refused
from geodns.daemon.observing import Observer, unwritable
from geodns.daemon.planning import plan
from geodns.daemon.report import CAPACITY, Report
from geodns.daemon.responder import Responder
from geodns.ops import logs, notify
from geodns.ops.config import Config
from geodns.problem import Problem, ProblemsFound, Severity

_PUBLISHED_EVERY = 1.0  # s
_STOP = 20.0  # seconds in which all processes end when they are told to


class Staff:
    """A running server: processes that answer, one that keeps, and this one, which holds the sockets and loads.

    It must be used where no other thread and no event loop runs.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._workers = gates.worker_count(loaded.config)
        self._sockets: Sockets = {}
        self._door = Door()
        self._ledger = answer.Ledger()
        self._counts = Counts(self._ledger, server.Tally(4 * self._workers + 4, answer.CAPACITY))
        self._notebook = server.Slate(keeping.NOTEBOOK)
        self._arrivals = server.Funnel(catchment.RECORD.size), server.Slate(catchment.NOTEBOOK)
        self._slate = server.Slate(CAPACITY)
        self._wish = server.Slate(len(FORCE))
        self._tide = server.Board(1)
        self._drops = 0  # of sockets that are closed
        self._notifier = notify.Notifier()
        self._report = Report(os.getpid(), time(), loaded_at=time())

    def listening(self) -> list[str]:
        """The addresses and ports in use, as text; a port that was given as 0 is the real one."""
        return gates.listening(self._sockets)

    def admin(self) -> str:
        """Where metrics and the administrative API are, as text; "" where there is no such door."""
        return self._door.text

    def receive_buffer(self) -> int:
        """Octets of kernel memory in which datagrams wait for each UDP socket: what was given, not what was asked for."""
        return gates.receive_buffer(self._sockets)

    def open(self) -> list[Problem]:
        """Bind every address of the configuration; raises ProblemsFound, with nothing left open, if one cannot be had.

        Warnings are returned: also that the administrative door is taken, for that must not keep queries unanswered.
        """
        config = self.loaded.config
        given = notify.listen_fds(os.getpid())
        self._sockets, problems = gates.bind(gates.wanted(config), config, self._workers, given=given)
        known, found = keeping.recall(config, time())
        try:
            keeping.hand_over(known.to_json(), self._notebook)
        except ValueError as fault:
            found.append(Problem("", 0, f"the remembered state is not used: {fault}", "", Severity.WARNING))
            keeping.hand_over(keeping.NOTHING.to_json(), self._notebook)
        return [*problems, *found, *unwritable(config), *self._door.open(config)]

    def serve(self, hung_up: Callable[[], bool] = lambda: False) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads. `hung_up` tells whether one came before this was called."""
        self._report.listening = tuple(self.listening())
        self._report.write(self._slate)
        crew = self._crew(self.loaded, *self._made(self.loaded))
        supervisor = server.Supervisor(crew, self._counts.tally)
        del crew  # or the first snapshot would stay in memory as long as this process lives
        renew, tended = (lambda: self._renewed(supervisor.generation)), (lambda: self._tell(supervisor))
        supervisor.run(renew, tended, hung_up, self._end, self._leave)
        gates.say_counters(
            self._counts.fixed()
            | {"worker_deaths": supervisor.deaths, gates.KERNEL_DROPS: gates.kernel_drops(self._sockets) + self._drops}
        )
        self._door.close()
        log.info("stopped")

    def _leave(self) -> float:
        """Seconds by which the end is put off at most, so that clients can leave: the keeper ends it sooner, when they have.

        0 where no gate announces this daemon, for nobody would be told.
        """
        if gate_status(self.loaded.config) is None:
            return 0.0
        seconds = patience(self.loaded.config).bound
        log.info("leaving: routes go first, then clients, within %.0f s; another signal stops at once", seconds)
        self._notifier.extend_timeout(seconds + _STOP)
        self._report.leaving = True
        self._report.write(self._slate)
        return seconds

    def _end(self) -> None:
        """Say that the end begins."""
        self._notifier.stopping()
        log.info("stopping: what is queued is still answered")

    def _tell(self, supervisor: server.Supervisor) -> None:
        """Let the keeper know which processes there are."""
        if self._report.note_workers(supervisor):
            self._report.write(self._slate)

    def _renewed(self, generation: int) -> server.Crew | None:
        """The next generation, loaded anew; None if that is refused."""
        self._notifier.reloading()
        try:
            return self._renew(generation)
        finally:
            self._notifier.ready("reloaded, or not: see the log")

    def _renew(self, generation: int) -> server.Crew | None:
        began, forced = monotonic(), self._wish.read() == FORCE
        self._wish.write(b"")
        try:
            loaded = load(self.loaded.path)
            planned = plan(self.loaded, loaded)
            if planned.problems and not forced:
                raise ProblemsFound([*loaded.warnings, *planned.problems])
            lines = planned.lines()
            told = {**planned.as_json(), "lines": lines}
            made = self._made(loaded)  # before anything is opened: what fails until here leaves nothing behind
            warnings = self._open_anew(loaded.config)
        except Exception as fault:
            say_refused(fault, generation)
            problems = fault.problems if isinstance(fault, ProblemsFound) else (Problem("", 0, f"a fault of our own: {fault}"),)
            self._report.note_reload(monotonic() - began, problems, accepted=False)
            self._report.write(self._slate)
            return None
        say_loaded(loaded, generation + 1, [*planned.problems, *warnings])
        for line in lines:
            log.info("plan: %s", line)
        gates.say_if_workers_change(loaded.config, self._workers)
        self.loaded = loaded
        self._report.listening = tuple(self.listening())
        self._report.note_reload(monotonic() - began, [*loaded.warnings, *warnings], accepted=True, planned=told)
        self._report.write(self._slate)
        return self._crew(loaded, *made)

    def _open_anew(self, config: Config) -> list[Problem]:
        """Listen where a configuration says from now on; raises ProblemsFound, with everything as it was, if that cannot be."""
        wanted = gates.wanted(config)
        added = [listen for listen in wanted if listen not in self._sockets]
        bound, warnings = gates.bind(added, config, self._workers, held=self._sockets)
        self._drops += gates.kernel_drops({listen: pairs for listen, pairs in self._sockets.items() if listen not in wanted})
        self._sockets = {listen: pairs for listen, pairs in (self._sockets | bound).items() if listen in wanted}
        warnings += [*unwritable(config), *self._door.open(config)]
        return [*warnings, *logs.configure(config.log.format, config.log.level, config.server.identity)]

    def _made(self, loaded: Loaded) -> tuple[Responder, server.Board]:
        """The compiled answers of a load, and the board on which they look for standings, as they are known now."""
        known = keeping.from_notebook(self._notebook, loaded.config)
        standings = pooling.standings(pooling.seats(loaded.config), known.states, known.overrides, time())
        board = server.Board(len(standings))
        board.write(standings)
        return Responder(loaded.snapshot, board, self._ledger, self._tide), board

    def _crew(self, loaded: Loaded, responder: Responder, board: server.Board) -> server.Crew:
        """What the processes of one generation do, and all that they share."""
        slots = tuple(zip(*self._sockets.values(), strict=True))
        shared = Shared(board, self._notebook, self._slate, self._wish, self._counts, self._drops, self._arrivals, self._tide)
        scribe = catchment.Scribe.wanted(self._arrivals[0], loaded.config)
        work = partial(_work, responder, loaded.config, self._workers, self._counts, scribe)
        return server.Crew(slots, work, partial(keep, loaded, shared, self._door))


def _work(
    responder: Responder, config: Config, workers: int, counts: Counts, scribe: catchment.Scribe | None, post: server.Post
) -> None:
    asyncio.run(_answer(responder, config, workers, counts, scribe, post))


async def _answer(
    responder: Responder, config: Config, workers: int, counts: Counts, scribe: catchment.Scribe | None, post: server.Post
) -> None:
    """What a worker does: answer until it is dismissed, or gets SIGTERM, then finish what it has begun."""
    loop = asyncio.get_running_loop()
    opened = [gates.gate(pair, responder, config, workers) for pair in post.pairs]
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(post.dismissal, ended.set)
    observer = responder.observer = Observer.wanted(config, workers)
    for gate in opened:
        gate.udp.observer = observer
        gate.tcp.handshakes = scribe
        gate.start(loop)
    post.ready()
    while not ended.is_set():
        due = loop.time() + _PUBLISHED_EVERY
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await ended.wait()
        counts.note_lag(responder.tally, loop.time() - due)
        post.publish(counts.of_worker(responder.tally, opened, observer))
    loop.remove_reader(post.dismissal)
    drain = post.drain_wanted()
    await asyncio.gather(*(gate.close(drain=drain) for gate in opened))
    if observer:
        await observer.close()
    post.publish(counts.of_worker(responder.tally, opened, observer))

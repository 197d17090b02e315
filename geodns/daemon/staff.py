"""Owns the server as several processes that share one snapshot: what a worker does, and how a reload makes new ones of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial

from geodns import server
from geodns.daemon import gates
from geodns.daemon.alone import Daemon
from geodns.daemon.gates import Sockets
from geodns.daemon.loading import Loaded, load, log, say_loaded, say_refused
from geodns.daemon.responder import Responder
from geodns.ops.config import Config
from geodns.problem import Problem

_PUBLISHED_EVERY = 1.0  # s


def staffed(loaded: Loaded) -> Daemon | Staff:
    """The server that a configuration asks for: one process, or several; nothing is open yet."""
    workers = gates.worker_count(loaded.config)
    return Staff(loaded, workers) if workers > 1 else Daemon(loaded)


class Staff:
    """A running server of `workers` processes and the one that keeps them: it holds the sockets and loads, but answers nothing.

    It must be used where no other thread and no event loop runs.
    """

    def __init__(self, loaded: Loaded, workers: int) -> None:
        self.loaded = loaded
        self._workers = workers
        self._sockets: Sockets = {}

    def listening(self) -> list[str]:
        """The addresses and ports in use, as text; a port that was given as 0 is the real one."""
        return gates.listening(self._sockets)

    def receive_buffer(self) -> int:
        """Octets of kernel memory in which datagrams wait for each UDP socket: what was given, not what was asked for."""
        return gates.receive_buffer(self._sockets)

    def open(self) -> list[Problem]:
        """Bind every address of the configuration; raises ProblemsFound, with nothing left open, if one cannot be had."""
        self._sockets, problems = gates.bind(gates.wanted(self.loaded.config), self.loaded.config, self._workers)
        return problems

    def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads."""
        crew = self._crew(self.loaded, Responder(self.loaded.snapshot), self._sockets)
        supervisor = server.Supervisor(crew, gates.COUNTERS)
        del crew  # or the first snapshot would stay in memory as long as this process lives
        supervisor.run(lambda: self._renewed(supervisor.generation))
        gates.say_counters(
            supervisor.counters() | {"worker_deaths": supervisor.deaths, gates.KERNEL_DROPS: gates.kernel_drops(self._sockets)}
        )
        log.info("stopped")

    def _renewed(self, generation: int) -> server.Crew | None:
        """The next generation, loaded anew; None if that is refused."""
        try:
            loaded = load(self.loaded.path)
            responder = Responder(loaded.snapshot)
            wanted = gates.wanted(loaded.config)
            added = [listen for listen in wanted if listen not in self._sockets]
            bound, warnings = gates.bind(added, loaded.config, self._workers, held=self._sockets)
        except Exception as fault:
            say_refused(fault, generation)
            return None
        say_loaded(loaded, generation + 1, warnings)
        gates.say_if_workers_change(loaded.config, self._workers)
        self.loaded = loaded
        self._sockets = {listen: pairs for listen, pairs in (self._sockets | bound).items() if listen in wanted}
        return self._crew(loaded, responder, self._sockets)

    def _crew(self, loaded: Loaded, responder: Responder, sockets: Sockets) -> server.Crew:
        slots = tuple(zip(*sockets.values(), strict=True))
        return server.Crew(slots, partial(_work, responder, loaded.config, self._workers))


def _work(responder: Responder, config: Config, workers: int, post: server.Post) -> None:
    asyncio.run(_answer(responder, config, workers, post))


async def _answer(responder: Responder, config: Config, workers: int, post: server.Post) -> None:
    """What a worker does: answer until it is dismissed, or gets SIGTERM, then finish what it has begun."""
    loop = asyncio.get_running_loop()
    opened = [gates.gate(pair, responder, config, workers) for pair in post.pairs]
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(post.dismissal, ended.set)
    for gate in opened:
        gate.start(loop)
    post.ready()
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PUBLISHED_EVERY):
                await ended.wait()
        post.publish(gates.counts(opened))
    loop.remove_reader(post.dismissal)
    drain = post.drain_wanted()
    await asyncio.gather(*(gate.close(drain=drain) for gate in opened))
    post.publish(gates.counts(opened))

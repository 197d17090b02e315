"""Owns the server as one process: its gates, its snapshot, and how both change while it runs; refuses to know other processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from geodns.daemon import gates
from geodns.daemon.gates import Gate, Sockets
from geodns.daemon.loading import Loaded, load, log, say_loaded, say_refused
from geodns.daemon.memory import settle
from geodns.daemon.responder import Responder
from geodns.ops.config import Config, Listen
from geodns.problem import Problem


class Daemon:
    """A running server: its gates, its snapshot, and how both change."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.responder = Responder(loaded.snapshot)
        self.generation = 1
        self._sockets: Sockets = {}
        self._gates: dict[Listen, Gate] = {}
        self._stop = asyncio.Event()
        self._reload_wanted = asyncio.Event()

    def listening(self) -> list[str]:
        """The addresses and ports in use, as text; a port that was given as 0 is the real one."""
        return gates.listening(self._sockets)

    def receive_buffer(self) -> int:
        """Octets of kernel memory in which datagrams wait for each UDP socket: what was given, not what was asked for."""
        return gates.receive_buffer(self._sockets)

    def open(self) -> list[Problem]:
        """Bind every address of the configuration; raises ProblemsFound, with nothing left open, if one cannot be had."""
        self._sockets, problems = gates.bind(gates.wanted(self.loaded.config), self.loaded.config)
        self._gates = self._build(self._sockets, self.loaded.config)
        return problems

    def serve(self) -> None:
        """Serve in an event loop of its own until SIGTERM or SIGINT; SIGHUP reloads."""
        settle()
        asyncio.run(self.run())

    async def run(self) -> None:
        """Serve in the running event loop until SIGTERM or SIGINT; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        for gate in self._gates.values():
            gate.start(loop)
        reloading = asyncio.create_task(self._reload_on_request())
        await self._stop.wait()
        log.info("stopping: what is queued is still answered")
        reloading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reloading
        drops = gates.kernel_drops(self._sockets)
        await asyncio.gather(*(gate.close() for gate in self._gates.values()))
        gates.say_counters(
            dict(zip(gates.COUNTERS, gates.counts(self._gates.values()), strict=True)) | {gates.KERNEL_DROPS: drops}
        )
        log.info("stopped")

    async def _reload_on_request(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()  # a signal that comes while loading asks for one more load
            await self.reload()

    async def reload(self) -> bool:
        """Load everything anew and swap it in, all or nothing; says whether that was done."""
        try:
            loaded = await asyncio.to_thread(load, self.loaded.path)
            datagram = await asyncio.to_thread(self.responder.compile, loaded.snapshot)
            wanted = gates.wanted(loaded.config)
            added = [listen for listen in wanted if listen not in self._gates]
            bound, warnings = gates.bind(added, loaded.config, held=self._gates)
            opened = self._build(bound, loaded.config)
        except Exception as fault:
            say_refused(fault, self.generation)
            return False
        self.loaded = loaded
        self.responder.install(loaded.snapshot, datagram)
        settle()
        self.generation += 1
        closing = {listen: gate for listen, gate in self._gates.items() if listen not in wanted}
        self._sockets = {listen: pairs for listen, pairs in (self._sockets | bound).items() if listen not in closing}
        self._gates = {listen: gate for listen, gate in (self._gates | opened).items() if listen not in closing}
        for gate in self._gates.values():
            gate.limit(loaded.config)
        for gate in opened.values():
            gate.start(asyncio.get_running_loop())
        await asyncio.gather(*(gate.close() for gate in closing.values()))
        say_loaded(loaded, self.generation, warnings)
        gates.say_if_workers_change(loaded.config, 1)
        return True

    def _build(self, bound: Sockets, config: Config) -> dict[Listen, Gate]:
        return {listen: gates.gate(pair, self.responder, config) for listen, (pair,) in bound.items()}

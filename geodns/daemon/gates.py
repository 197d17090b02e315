"""Owns the gates: an address's listeners on their sockets, what they count, and what a failed bind means; knows no snapshot."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from geodns import server
from geodns.ops import config as configuration
from geodns.ops.config import Config, Listen
from geodns.problem import Problem, ProblemsFound, Severity, errors

log = logging.getLogger("geodns")

_UDP_COUNTERS = ("datagrams", "batches", "replies", "silent", "faults", "oversized", "portless", "send_drops", "receive_errors")
_TCP_COUNTERS = tuple(field.name for field in fields(server.TcpCounters))
COUNTERS = (*(f"udp_{name}" for name in _UDP_COUNTERS), *(f"tcp_{name}" for name in _TCP_COUNTERS))
"""What all gates of a process together have done; each only grows."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One address and port, open by UDP and TCP."""

    pair: server.Pair
    udp: server.UdpListener
    tcp: server.TcpListener

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer whenever this loop runs."""
        self.udp.start(loop)
        self.tcp.start(loop)

    async def close(self, *, drain: bool = True) -> None:
        """Answer what is queued, or leave it to another holder of the sockets, then close."""
        self.udp.stop()
        if drain:
            self.udp.drain()
        await self.tcp.stop()
        self.pair.close()


def gate(pair: server.Pair, responder: server.Responder, config: Config, processes: int = 1) -> Gate:
    """Listeners, not started yet; each of so many processes gets its share of the TCP connections that may be open."""
    limits = config.server
    return Gate(
        pair,
        server.UdpListener(pair.udp, responder),
        server.TcpListener(
            pair.tcp,
            responder,
            connections=-(-limits.tcp_connections // processes),
            connections_per_client=-(-limits.tcp_connections_per_client // processes),
            idle_timeout=limits.tcp_idle_timeout,
        ),
    )


def counts(gates: Iterable[Gate]) -> list[int]:
    """The COUNTERS, summed over gates."""
    totals = [0] * len(COUNTERS)
    for each in gates:
        udp, tcp = each.udp.counters, each.tcp.counters
        values: list[int] = [getattr(udp, name) for name in _UDP_COUNTERS] + [getattr(tcp, name) for name in _TCP_COUNTERS]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
    return totals


def say_counters(counters: Mapping[str, int]) -> None:
    """Log those counters that are not 0."""
    told = ", ".join(f"{name} {value}" for name, value in counters.items() if value)
    log.info("counted: %s", told or "nothing")


def worker_count(config: Config) -> int:
    """How many processes are to answer; "auto" is one for each core that this process may run on.

    One wherever it is not known that the kernel deals datagrams out to all sockets of a port.
    """
    workers = config.server.workers
    if sys.platform != "linux":
        return 1
    return len(os.sched_getaffinity(0)) if workers == "auto" else workers


def say_if_workers_change(config: Config, processes: int) -> None:
    """Log that a reload cannot change the number of processes: to close a socket of a group loses what is queued in it."""
    if worker_count(config) != processes:
        log.warning("server.workers: %d until a restart, for a reload cannot change it", processes)


def wanted(config: Config) -> list[Listen]:
    """The addresses that a configuration wants to listen on."""
    return [configuration.parse_listen(text) for text in config.server.listen]


Sockets = dict[Listen, tuple[server.Pair, ...]]
"""For each address one pair of sockets a process."""


def bind(listens: Sequence[Listen], config: Config, processes: int = 1) -> tuple[Sockets, list[Problem]]:
    """Bind addresses; raises ProblemsFound, with nothing left open, if one cannot be had. Warnings are returned."""
    bound: Sockets = {}
    problems: list[Problem] = []
    for listen in listens:
        try:
            bound[listen] = server.bind_pairs(
                listen.host, listen.port, processes, receive_buffer=config.server.udp_receive_buffer
            )
        except OSError as error:
            problems.append(_bind_problem(listen, error, len(listens)))
    if errors(problems):
        for pairs in bound.values():
            for pair in pairs:
                pair.close()
        raise ProblemsFound(problems)
    return bound, problems


def listening(bound: Sockets) -> list[str]:
    """Addresses and ports in use, as text; a port that was given as 0 is the real one."""
    return [str(Listen(listen.host, pairs[0].port, listen.family)) for listen, pairs in bound.items()]


def _bind_problem(listen: Listen, error: OSError, wanted: int) -> Problem:
    """What a failed bind means to the operator."""
    match error.errno:
        case errno.EADDRINUSE:
            return Problem(
                "", 0, f"server.listen: {listen} is taken", "stop the other server (ss -lnup), or change server.listen"
            )
        case errno.EACCES | errno.EPERM:
            remedy = "ports below 1024 need CAP_NET_BIND_SERVICE: let systemd give it, or choose a higher port"
            return Problem("", 0, f"server.listen: no permission to listen on {listen}", remedy)
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT if listen.host == "::1" and wanted > 1:
            message = f"server.listen: {listen} is skipped, this machine has no IPv6 loopback"
            return Problem("", 0, message, "take it out of server.listen", Severity.WARNING)
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return Problem("", 0, f"server.listen: {listen} is no address of this machine", "see `ip address`, then correct it")
        case _:
            return Problem("", 0, f"server.listen: cannot listen on {listen}: {error.strerror}", "correct server.listen")

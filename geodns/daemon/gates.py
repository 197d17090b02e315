"""Owns the gates: an address's listeners on their sockets, what they count, and what a failed bind means; knows no snapshot."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from geodns import server
from geodns.ops import config as configuration
from geodns.ops.config import Config, Listen
from geodns.problem import Problem, ProblemsFound, Severity, errors

log = logging.getLogger("geodns")

_UDP_COUNTERS = ("datagrams", "batches", "replies", "silent", "faults", "oversized", "portless", "send_drops", "receive_errors")
_TCP_COUNTERS = tuple(field.name for field in fields(server.TcpCounters))
COUNTERS = (*(f"udp_{name}" for name in _UDP_COUNTERS), *(f"tcp_{name}" for name in _TCP_COUNTERS))
"""What all gates of a process together have done; each only grows."""

BATCH = 64
"""Datagrams taken at once, at most."""

KERNEL_DROPS = "udp_kernel_drops"
"""Counted by the kernel for each socket, whoever reads it."""


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

    def limit(self, config: Config) -> None:
        """Take over what a changed configuration says of connections; what it says of datagrams is the socket's for good."""
        self.tcp.limits = _limits(config, 1)

    async def close(self, *, drain: bool = True) -> None:
        """Answer what is queued, or leave it to another holder of the sockets, then close."""
        self.udp.stop()
        if drain:
            self.udp.drain()
        await self.tcp.stop()
        self.pair.close()


def gate(pair: server.Pair, responder: server.Responder, config: Config, processes: int = 1) -> Gate:
    """Listeners, not started yet; each of so many processes gets its share of the TCP connections that may be open."""
    udp = server.UdpListener(pair.udp, responder, batch=BATCH)
    return Gate(pair, udp, server.TcpListener(pair.tcp, responder, _limits(config, processes)))


def _limits(config: Config, processes: int) -> server.TcpLimits:
    told = config.server
    shares = (-(-told.tcp_connections // processes), -(-told.tcp_connections_per_client // processes))
    return server.TcpLimits(*shares, told.tcp_idle_timeout)


def counts(gates: Iterable[Gate]) -> list[int]:
    """The COUNTERS, summed over gates."""
    totals = [0] * len(COUNTERS)
    for each in gates:
        udp, tcp = each.udp.counters, each.tcp.counters
        values: list[int] = [getattr(udp, name) for name in _UDP_COUNTERS] + [getattr(tcp, name) for name in _TCP_COUNTERS]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
    return totals


def batch_sizes(gates: Iterable[Gate]) -> list[int]:
    """How many batches had 0, 1, … BATCH datagrams, summed over gates."""
    return [sum(sizes) for sizes in zip(*(each.udp.counters.batch_sizes for each in gates), strict=True)]


def kernel_drops(sockets: Sockets) -> int:
    """Datagrams lost before anybody could answer them, for a receive buffer was full."""
    return sum(map(drops, sockets.values()))


def drops(pairs: Iterable[server.Pair]) -> int:
    """As `kernel_drops`, of some sockets."""
    return sum(server.kernel_drops(pair.udp) for pair in pairs)


def receive_buffer(sockets: Sockets) -> int:
    """The smallest receive buffer that the kernel really gave, in octets."""
    return min((server.receive_buffer_size(pair.udp) for pairs in sockets.values() for pair in pairs), default=0)


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


def bind(
    listens: Sequence[Listen],
    config: Config,
    processes: int = 1,
    held: Iterable[Listen] = (),
    given: Sequence[socket.socket] = (),
) -> tuple[Sockets, list[Problem]]:
    """Bind addresses; raises ProblemsFound, with nothing left open, if one cannot be had. Warnings are returned.

    `held` are those that this server has open already, `given` sockets that somebody has opened for it.
    """
    own_ports = frozenset(listen.port for listen in held)
    bound, problems = _adopted(listens, processes, given)
    has_others = any(listen.host != "::1" for listen in wanted(config))
    for listen in listens:
        if listen in bound:
            continue
        try:
            bound[listen] = server.bind_pairs(
                listen.host, listen.port, processes, receive_buffer=config.server.udp_receive_buffer
            )
        except OSError as error:
            problems.append(_bind_problem(listen, error, own_ports, has_others=has_others))
    if errors(problems):
        for pairs in bound.values():
            for pair in pairs:
                pair.close()
        raise ProblemsFound(problems)
    return bound, problems


def _adopted(listens: Sequence[Listen], processes: int, given: Sequence[socket.socket]) -> tuple[Sockets, list[Problem]]:
    """The given sockets at the addresses that are wanted, one pair a process."""
    found: dict[tuple[Listen, int], list[socket.socket]] = {}
    for sock in given:
        host, port = sock.getsockname()[:2]
        where = configuration.parse_listen(f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}")
        found.setdefault((where, sock.type), []).append(sock)
    adopted: Sockets = {}
    problems = [_useless(where, socks) for (where, _), socks in found.items() if where not in listens]
    for listen in listens:
        udp, tcp = (found.get((listen, kind), []) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        if (len(udp), len(tcp)) == (processes, processes):
            adopted[listen] = tuple(server.Pair(*pair) for pair in zip(udp, tcp, strict=True))
        elif udp or tcp:
            message = f"socket activation: {listen} has {len(udp)} UDP and {len(tcp)} TCP sockets for {processes} workers"
            problems.append(Problem("", 0, message, "write ListenDatagram= and ListenStream= once for each worker"))
    return adopted, problems


def _useless(where: Listen, sockets: Iterable[socket.socket]) -> Problem:
    """Close sockets that nobody would read from, so that whoever sends there is refused instead of left waiting."""
    for sock in sockets:
        kind = "UDP" if sock.type == socket.SOCK_DGRAM else "TCP"
        sock.close()
    message = f"socket activation: {where} ({kind}) is not in server.listen, and is closed"
    return Problem("", 0, message, "add it there, or take it out of geodns.socket", Severity.WARNING)


def unbindable(path: Path) -> tuple[Problem, ...]:
    """What would stand in the way of listening as a configuration wants; nothing if the configuration itself is at fault.

    For a start that fails anyway: whoever mends the files shall not learn of a port that is taken only then.
    """
    try:
        config = configuration.load(path)
    except ProblemsFound:
        return ()
    try:
        bound, _ = bind(wanted(config), config)
    except ProblemsFound as found:
        return found.problems
    for pairs in bound.values():
        for pair in pairs:
            pair.close()
    return ()


def listening(bound: Sockets) -> list[str]:
    """Addresses and ports in use, as text; a port that was given as 0 is the real one."""
    return [str(Listen(listen.host, pairs[0].port, listen.family)) for listen, pairs in bound.items()]


def _bind_problem(listen: Listen, error: OSError, own_ports: frozenset[int], *, has_others: bool) -> Problem:
    """What a failed bind means to the operator; `has_others`: addresses are configured that are not the IPv6 loopback."""
    match error.errno:
        case errno.EADDRINUSE if listen.port in own_ports:
            message = f"server.listen: {listen} is taken: this server has that port open on another address"
            return Problem("", 0, message, "restart it: a reload cannot go from one address to every address, or back")
        case errno.EADDRINUSE:
            remedy = "stop the other server (ss -lntup), or change server.listen"
            return Problem("", 0, f"server.listen: {listen} is taken", remedy)
        case errno.EACCES | errno.EPERM:
            remedy = "ports below 1024 need CAP_NET_BIND_SERVICE: let systemd give it, or choose a higher port"
            return Problem("", 0, f"server.listen: no permission to listen on {listen}", remedy)
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT if listen.host == "::1" and has_others:
            message = f"server.listen: {listen} is skipped, this machine has no IPv6 loopback"
            return Problem("", 0, message, "take it out of server.listen", Severity.WARNING)
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return Problem("", 0, f"server.listen: {listen} is no address of this machine", "see `ip address`, then correct it")
        case _:
            return Problem("", 0, f"server.listen: cannot listen on {listen}: {error.strerror}", "correct server.listen")

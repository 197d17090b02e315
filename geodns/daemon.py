"""The stairwell: the only module that assembles every room, from files to a snapshot and from a snapshot to a running server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address, ip_network
from pathlib import Path
from time import monotonic

import dns.rdatatype

from geodns import answer, geo, server, wire, zone
from geodns.geo import anycast, database
from geodns.ops import config as configuration
from geodns.ops import toml_lines
from geodns.ops.config import Config, Listen
from geodns.problem import Problem, ProblemsFound, Severity, errors

log = logging.getLogger("geodns")

DEMONSTRATION = Path(str(files("geodns") / "demo" / "geodns.toml"))
"""The configuration that runs when no other is named."""

Progress = Callable[[str, int, int], None]
"""Told what is being loaded, how much is done, and out of how much."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything one load has made; `warnings` are problems that did not refuse it."""

    path: Path
    config: Config
    snapshot: answer.Snapshot
    warnings: tuple[Problem, ...]
    seconds: float

    @property
    def records(self) -> int:
        """Records in all zones."""
        return sum(served.contents.record_count for served in self.snapshot.zones.values())

    @property
    def is_embedded(self) -> bool:
        """Whether only the embedded continent table knows places."""
        return self.snapshot.atlas.databases == (geo.embedded(),)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def load(path: Path, progress: Progress = _silent) -> Loaded:
    """Read and compile everything that a configuration names; raises ProblemsFound with all problems of all files at once."""
    began = monotonic()
    config = configuration.load(path)
    problems: list[Problem] = []
    regions = {name: tuple(map(geo.parse_place, selectors)) for name, selectors in config.regions.items()}
    atlas = load_atlas(config, problems)
    contents = _load_zones(config, regions, problems, progress)
    if errors(problems):
        raise ProblemsFound(problems)
    problems += answer.lint(contents, regions)
    progress("compiling", 0, 1)
    try:
        zones, rule_sets = answer.compile_zones(contents, atlas, regions)
    except geo.BadDatabase as error:
        raise ProblemsFound([*problems, _unusable(error)]) from error
    trust = answer.Trust(config.ecs.enabled, tuple(map(ip_network, config.ecs.trust)))
    identity = answer.Identity(config.server.identity, config.server.version)
    limits = config.server
    snapshot = answer.Snapshot(zones, atlas, trust, identity, limits.udp_payload_size, limits.tcp_idle_timeout, rule_sets)
    problems += _unmet(config, snapshot, path)
    progress("compiling", 1, 1)
    if errors(problems):
        raise ProblemsFound(problems)
    return Loaded(path, config, snapshot, tuple(problems), monotonic() - began)


def _unusable(error: geo.BadDatabase) -> Problem:
    return Problem(error.name, 0, str(error), "fetch it again, for example with `geodns geo update`")


def load_atlas(config: Config, problems: list[Problem]) -> geo.Atlas:
    """Open the databases and anycast lists of a configuration; what is wrong with them is added to `problems`."""
    databases, found = geo.open_all([(str(config.path(text)), config.path(text)) for text in config.geo.databases])
    problems += found
    prefixes = list(anycast.shipped())
    for text in config.geo.anycast:
        listed, found = anycast.read_list(config.path(text))
        prefixes += listed
        problems += found
    networks = {ip_network(text): geo.Location(**place.model_dump()) for text, place in config.geo.networks.items()}
    sources: list[database.Database] = list(databases) or [geo.embedded()]
    return geo.Atlas(sources, networks, prefixes)


def _load_zones(
    config: Config, regions: dict[str, tuple[geo.PlaceSelector, ...]], problems: list[Problem], progress: Progress
) -> list[zone.ZoneContents]:
    def selector_fault(text: str) -> str | None:
        try:
            selector = geo.parse(text)
        except geo.BadSelector as error:
            return str(error)
        if isinstance(selector, geo.RegionSelector) and selector.region not in regions:
            known = f"the config has {', '.join(sorted(regions))}" if regions else "the config has none"
            return f"'{text}' is no region of the config: {known}; define it in [regions]"
        return None

    contents = []
    for number, served in enumerate(config.zones):
        progress("zones", number, len(config.zones))
        loaded, found = zone.load(config.path(served.file), wire.from_text(served.name), selector_fault, lambda _pool: None)
        problems += found
        if loaded:
            contents.append(loaded)
    progress("zones", len(config.zones), len(config.zones))
    return contents


def asker(client: str, resolver: str = "") -> answer.Asker:
    """Who is meant by a client and a resolver as users write them; raises ValueError for what is no address or prefix.

    A prefix is a client subnet; so is an address that a resolver asks for, cut to what resolvers send (/24, /56: RFC 7871
    §11.1). An address alone is the sender itself. "" for both is nobody known.
    """
    source = _place(resolver) if resolver else None
    if not client:
        return answer.Asker(source)
    if "/" in client:
        network = ip_network(client, strict=False)
        return answer.Asker(source, wire.subnet_of(network.network_address, network.prefixlen))
    if source is None:
        return answer.Asker(_place(client))
    address = ip_address(client)
    return answer.Asker(source, wire.subnet_of(address, 24 if address.version == 4 else 56))


def _place(text: str) -> geo.Place:
    address = ip_address(text)
    return geo.place_of(address.version, int(address))


def _unmet(config: Config, snapshot: answer.Snapshot, path: Path) -> Iterable[Problem]:
    """One problem for each expectation that does not come out, at its line."""
    lines: dict[toml_lines.KeyPath, int] | None = None
    for number, expect in enumerate(config.expect):
        rdtype = int(dns.rdatatype.from_text(expect.type))
        expectation = answer.Expectation(
            wire.from_text(expect.name), rdtype, asker(expect.client, expect.resolver), expect.answer, expect.rcode
        )
        if fault := answer.unmet(snapshot, expectation):
            lines = lines or toml_lines.locate(path.read_text("utf-8-sig"))
            line = toml_lines.nearest(lines, ("expect", number))
            yield Problem(str(path), line, f"expectation not met: {fault}", "correct the policy, or the expectation")


class Responder:
    """What the listeners call: decodes the sender and asks the current snapshot."""

    def __init__(self, snapshot: answer.Snapshot) -> None:
        self.snapshot = snapshot

    def datagram(self, octets: bytes, source: bytes) -> bytes | None:
        """The reply to one datagram."""
        return answer.respond(self.snapshot, octets, self._sender(source))

    def stream(self, octets: bytes, source: bytes) -> bytes | None:
        """The reply to one message of a connection."""
        return answer.respond(self.snapshot, octets, self._sender(source), stream=True)

    @staticmethod
    def _sender(source: bytes) -> geo.Place:
        if len(source) == 16:  # struct sockaddr_in
            return geo.Place(4, int.from_bytes(source[4:8], "big"))
        return geo.place_of(6, int.from_bytes(source[8:24], "big"))


@dataclass(slots=True)
class _Gate:
    """One address and port, open by UDP and TCP."""

    udp_socket: socket.socket
    tcp_socket: socket.socket
    udp: server.UdpListener
    tcp: server.TcpListener

    async def close(self) -> None:
        """Answer what is queued, then close."""
        self.udp.stop()
        self.udp.drain()
        await self.tcp.stop()
        self.udp_socket.close()
        self.tcp_socket.close()


class Daemon:
    """A running server: its gates, its snapshot, and how both change."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.responder = Responder(loaded.snapshot)
        self.generation = 1
        self._gates: dict[Listen, _Gate] = {}
        self._stop = asyncio.Event()
        self._reload_wanted = asyncio.Event()

    def listening(self) -> list[str]:
        """The addresses and ports in use, as text; a port that was given as 0 is the real one."""
        return [str(Listen(listen.host, gate.udp_socket.getsockname()[1], listen.family)) for listen, gate in self._gates.items()]

    def open(self) -> list[Problem]:
        """Bind every address of the configuration; raises ProblemsFound, with nothing left open, if one cannot be had."""
        opened, problems = self._bind(self._wanted(self.loaded.config))
        if errors(problems) or not opened:
            for gate in opened.values():
                gate.udp_socket.close()
                gate.tcp_socket.close()
            raise ProblemsFound(problems)
        self._gates |= opened
        return problems

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        for gate in self._gates.values():
            _start(gate, loop)
        reloading = asyncio.create_task(self._reload_on_request())
        await self._stop.wait()
        log.info("stopping: what is queued is still answered")
        reloading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reloading
        await asyncio.gather(*(gate.close() for gate in self._gates.values()))
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
            opened, closing = await self._changed_gates(loaded.config)
        except ProblemsFound as found:
            for problem in found.problems:
                log.log(logging.ERROR if problem.is_error else logging.WARNING, "%s", problem)
            log.error("reload refused: generation %d goes on", self.generation)
            return False
        except Exception:
            log.exception("reload failed by a fault of our own: generation %d goes on", self.generation)
            return False
        self.loaded, self.responder.snapshot = loaded, loaded.snapshot
        self.generation += 1
        self._gates = {listen: gate for listen, gate in self._gates.items() if listen not in closing} | opened
        for gate in opened.values():
            _start(gate, asyncio.get_running_loop())
        await asyncio.gather(*(gate.close() for gate in closing.values()))
        for problem in loaded.warnings:
            log.warning("%s", problem)
        warn_if_embedded(loaded)
        log.info("generation %d: %d zones, %d records, loaded in %.2f s", self.generation, *_size(loaded), loaded.seconds)
        return True

    async def _changed_gates(self, config: Config) -> tuple[dict[Listen, _Gate], dict[Listen, _Gate]]:
        """Gates that a new configuration opens (bound, not started) and those that it closes."""
        wanted = self._wanted(config)
        opened, problems = self._bind([listen for listen in wanted if listen not in self._gates])
        if errors(problems):
            for gate in opened.values():
                gate.udp_socket.close()
                gate.tcp_socket.close()
            raise ProblemsFound(problems)
        return opened, {listen: gate for listen, gate in self._gates.items() if listen not in wanted}

    @staticmethod
    def _wanted(config: Config) -> list[Listen]:
        return [configuration.parse_listen(text) for text in config.server.listen]

    def _bind(self, wanted: list[Listen]) -> tuple[dict[Listen, _Gate], list[Problem]]:
        limits = self.loaded.config.server
        opened: dict[Listen, _Gate] = {}
        problems: list[Problem] = []
        for listen in wanted:
            try:
                udp_socket, tcp_socket = bind(listen, limits.udp_receive_buffer)
            except OSError as error:
                problems.append(_bind_problem(listen, error, len(wanted)))
                continue
            opened[listen] = _Gate(
                udp_socket,
                tcp_socket,
                server.UdpListener(udp_socket, self.responder),
                server.TcpListener(
                    tcp_socket,
                    self.responder,
                    connections=limits.tcp_connections,
                    connections_per_client=limits.tcp_connections_per_client,
                    idle_timeout=limits.tcp_idle_timeout,
                ),
            )
        return opened, problems


def _start(gate: _Gate, loop: asyncio.AbstractEventLoop) -> None:
    gate.udp.start(loop)
    gate.tcp.start(loop)


def _size(loaded: Loaded) -> tuple[int, int]:
    return len(loaded.snapshot.zones), loaded.records


def bind(listen: Listen, receive_buffer: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on the same address and port; port 0 gets one that is free for both. Raises OSError."""
    for attempt in range(16):
        udp_socket = server.bind_udp(listen.host, listen.port, receive_buffer=receive_buffer)
        try:
            return udp_socket, server.bind_tcp(listen.host, udp_socket.getsockname()[1])
        except OSError:
            udp_socket.close()
            if listen.port or attempt == 15:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


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


def warn_if_embedded(loaded: Loaded) -> None:
    """Say loudly that places are guessed by continent, wherever that is in use."""
    if loaded.is_embedded and loaded.snapshot.rule_sets:
        log.warning("%s", EMBEDDED_WARNING)


EMBEDDED_WARNING = (
    "places come from the embedded IANA registry table: continents only, right for about 87 % of the IPv4 space; "
    "for production fetch a database with `geodns geo update` and name it in geo.databases"
)

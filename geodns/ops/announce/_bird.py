"""Owns telling BIRD 2 through its control socket: what it includes, or which protocols are on; refuses to know other routers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from geodns.ops.announce._course import State
from geodns.ops.announce._router import GSHUT, Attributes, Peers, RouterFault, States

log = logging.getLogger("geodns.announce")

_LINE = re.compile(r"(\d{4})([ -])(.*)")
_LIMIT = 1 << 20  # octets of a line
_TABLE_ENTRY = "1"  # first digit of such codes; 8 and 9 are errors (BIRD's doc/reply_codes)
_OF_PROTOCOL, _MORE_OF_IT = "1002", "1006"  # a protocol in one line; what `show protocols all` adds
_DONE = {"0003", "0004", "0005"}  # reconfigured; in progress; queued behind another: `configure` has accepted the file
_PROTOCOL = "geodns_announce"
_PROTOCOLS = {4: f"{_PROTOCOL}4", 6: f"{_PROTOCOL}6"}
_LOOKS, _LOOK = 20, 0.1  # at what BIRD has accepted, and seconds in between


@dataclass(frozen=True, slots=True)
class Reply:
    """What BIRD says to one command: lines with their codes, the last of which tells how it went."""

    lines: tuple[tuple[str, str], ...]

    @property
    def fault(self) -> str:
        """What it complains of; "" if it does not."""
        code, text = self.lines[-1]
        return text if code[0] in "89" else ""

    def text(self) -> str:
        """All of it."""
        return "\n".join(text for _, text in self.lines)


class Socket:
    """One connection to the control socket: a command, then its reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, command: str) -> Reply:
        """Send a command and read its reply; raises RouterFault."""
        self._writer.write(command.encode() + b"\n")
        await self._writer.drain()
        return await self.reply()

    async def reply(self) -> Reply:
        """A reply: lines "CODE-text" and, after such a line, " text" of the same code, until a line "CODE text"."""
        lines: list[tuple[str, str]] = []
        while True:
            try:
                line = (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip("\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                raise RouterFault("BIRD's control socket ends in the middle of a reply") from None
            found = _LINE.fullmatch(line)
            if found is None:
                lines.append((lines[-1][0] if lines else "0000", line[1:]))
                continue
            lines.append((found[1], found[3]))
            if found[2] == " ":
                return Reply(tuple(lines))


@contextlib.asynccontextmanager
async def connected(path: str) -> AsyncIterator[Socket]:
    """BIRD at its control socket; raises RouterFault."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_LIMIT)
    except OSError as error:
        raise RouterFault(f"BIRD cannot be reached at {path}: {error.strerror or error}") from None  # a long path has no strerror
    try:
        socket = Socket(reader, writer)
        await socket.reply()  # "0001 BIRD 2.0.12 ready."
        yield socket
    except OSError as error:
        raise RouterFault(f"BIRD at {path}: {error.strerror}") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Protocols:
    """Enables and disables one static protocol for each prefix."""

    def __init__(self, path: str, protocols: Mapping[str, str]) -> None:
        self._path = path
        self._protocols = protocols

    async def apply(self, states: States) -> None:
        """See `Router`."""
        async with connected(self._path) as bird:
            for prefix, state in states.items():
                command = "disable" if state is State.WITHDRAWN else "enable"
                reply = await bird.ask(f'{command} "{self._protocols[prefix]}"')
                if reply.fault:
                    raise RouterFault(f"BIRD refuses to {command} {self._protocols[prefix]}: {reply.fault}")
            await _until_like(bird, states, self._protocols)

    async def seen(self) -> dict[str, State] | None:
        """See `Router`."""
        async with connected(self._path) as bird:
            return {prefix: State.ANNOUNCED for prefix, name in self._protocols.items() if await _route(bird, prefix, name)}

    async def peers(self) -> Peers | None:
        """See `Router`."""
        return await _peers(self._path)


async def _peers(path: str) -> Peers:
    """The states of BIRD's BGP protocols, by their names."""
    async with connected(path) as bird:
        reply = await bird.ask("show protocols all")
    found: dict[str, str] = {}
    name = ""
    for code, text in reply.lines:
        words = text.split()
        if code == _OF_PROTOCOL and len(words) > 1:
            name = words[0] if words[1] == "BGP" else ""
        elif code == _MORE_OF_IT and name and words[:2] == ["BGP", "state:"]:
            found[name] = " ".join(words[2:]).lower()
    return found


async def _route(bird: Socket, prefix: str, protocol: str) -> str:
    """What BIRD shows of the route that a protocol has; "" where it has none, or there is no such protocol."""
    reply = await bird.ask(f"show route {prefix} primary protocol '{protocol}' all")
    found = any(code[0] == _TABLE_ENTRY and prefix in text for code, text in reply.lines)
    return reply.text() if found else ""


async def _until_like(bird: Socket, states: States, protocols: Mapping[str, str]) -> None:
    """Wait until BIRD has done what it has accepted; raises RouterFault where it does not."""
    for _ in range(_LOOKS):
        unlike = [
            prefix
            for prefix, state in states.items()
            if (state is State.WITHDRAWN) == bool(await _route(bird, prefix, protocols[prefix]))
        ]
        if not unlike:
            return
        await asyncio.sleep(_LOOK)
    raise RouterFault(f"BIRD has accepted it, and {', '.join(unlike)} is not so: is another route better, or the family missing?")


class Include:
    """Writes the file that BIRD includes, whole or not at all, and has BIRD read it. A file that BIRD refuses is put back."""

    def __init__(self, path: str, file: Path, attributes: Attributes) -> None:
        self._path = path
        self._file = file
        self._attributes = attributes

    async def apply(self, states: States) -> None:
        """See `Router`. A withdrawal waits neither for room on the disk nor for a configuration that BIRD accepts."""
        fault, before = self._prepared(states)
        try:
            async with connected(self._path) as bird:
                await self._configure_or_disable(bird, states, fault, before)
        except RouterFault as why:
            raise fault or why from None

    async def _configure_or_disable(self, bird: Socket, states: States, fault: RouterFault | None, before: str | None) -> None:
        try:
            if fault:
                raise fault
            await self._configure(bird, states, before)
        except RouterFault as why:
            if not await self._is_withdrawn(bird, states):
                raise
            log.warning("%s; all the same it is withdrawn, for its protocol is disabled", why)

    def _prepared(self, states: States) -> tuple[RouterFault | None, str | None]:
        """Write the file; what stood in the way of that, and what was in it before."""
        before, text = None, written(states, self._attributes)
        try:
            before = self._read()
            if text != before:
                self._write(text)
        except RouterFault as fault:
            return fault, before
        return None, before

    async def _configure(self, bird: Socket, states: States, before: str | None) -> None:
        reply = await bird.ask("configure")
        if reply.fault or not {code for code, _ in reply.lines} & _DONE:
            self._put_back(before, written(states, self._attributes))
            raise RouterFault(f"BIRD refuses its configuration: {reply.fault or reply.text()}")
        known = (await bird.ask(f'show protocols "{_PROTOCOL}*"')).text()
        if not all(name in known for name in _PROTOCOLS.values()):
            raise RouterFault(f'BIRD does not include {self._file}: add the line  include "{self._file}";  to bird.conf')
        await _until_like(bird, states, {prefix: _protocol(prefix) for prefix in states})

    def _put_back(self, before: str | None, text: str) -> None:
        """BIRD must not fail to start by what is new. What has only become less stays: it must not start to announce more."""
        if before is None:
            self._file.unlink(missing_ok=True)
        elif not set(text.splitlines()) <= set(before.splitlines()):
            self._write(before)

    async def _is_withdrawn(self, bird: Socket, states: States) -> bool:
        """Disable protocols of which nothing is wanted, until BIRD can read the file again; whether all is as wanted then."""
        families = {ip_network(prefix).version for prefix in states}
        wanted = {ip_network(prefix).version for prefix, state in states.items() if state is not State.WITHDRAWN}
        if not families - wanted:
            return False
        for family in families - wanted:
            await bird.ask(f'disable "{_PROTOCOLS[family]}"')
        with contextlib.suppress(RouterFault):  # what is not so is told with its cause
            await _until_like(bird, states, {prefix: _protocol(prefix) for prefix in states})
        found = {prefix: await _route(bird, prefix, _protocol(prefix)) for prefix in states}
        return all((self._state(shown) if shown else State.WITHDRAWN) is states[prefix] for prefix, shown in found.items())

    async def seen(self) -> dict[str, State] | None:
        """See `Router`."""
        async with connected(self._path) as bird:
            found = {}
            for prefix in _prefixes(self._read() or ""):
                if shown := await _route(bird, prefix, _protocol(prefix)):
                    found[prefix] = self._state(shown)
            return found

    async def peers(self) -> Peers | None:
        """See `Router`."""
        return await _peers(self._path)

    def _state(self, shown: str) -> State:
        if self._attributes.drain == "gshut":
            return State.DRAINED if f"({GSHUT.replace(':', ',')})" in shown else State.ANNOUNCED
        path = re.search(r"BGP\.as_path: *([\d ]*)", shown)
        count = len(path[1].split()) if path else 0
        return State.DRAINED if count == self._attributes.drain_prepend != self._attributes.prepend else State.ANNOUNCED

    def _read(self) -> str | None:
        try:
            return self._file.read_text("utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RouterFault(f"{self._file} cannot be read: {error.strerror}") from None

    def _write(self, text: str) -> None:
        beside = self._file.with_name(f".{self._file.name}.new")
        try:
            with beside.open("w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fchmod(out.fileno(), 0o644)  # BIRD is another user
                os.fsync(out.fileno())
            beside.replace(self._file)
        except OSError as error:
            raise RouterFault(f"{self._file} cannot be written: {error.strerror}") from None


def _protocol(prefix: str) -> str:
    return _PROTOCOLS[ip_network(prefix).version]


def _prefixes(text: str) -> list[str]:
    return re.findall(r"^\s*route (\S+) ", text, re.MULTILINE)


def written(states: States, attributes: Attributes) -> str:
    """The include file: a static protocol for each family, empty where nothing is announced, and its routes with attributes."""
    text = "# Written by `geodns announce`, which replaces it again and again: change geodns.toml instead.\n"
    for version, name in _PROTOCOLS.items():
        routes = [
            _statement(prefix, state, attributes)
            for prefix, state in states.items()
            if state is not State.WITHDRAWN and ip_network(prefix).version == version
        ]
        body = "".join(f"    {route}\n" for route in routes)
        text += f"protocol static {name} {{\n    ipv{version};\n{body}}}\n"
    return text


def _statement(prefix: str, state: State, attributes: Attributes) -> str:
    told = [_community(text) for text in attributes.communities_in(state)]
    told += [f"bgp_path.prepend({attributes.asn});"] * attributes.prepends_in(state)
    return f"route {prefix} blackhole" + (f" {{ {' '.join(told)} }};" if told else ";")


def _community(text: str) -> str:
    kind = "bgp_large_community" if text.count(":") == 2 else "bgp_community"
    return f"{kind}.add(({text.replace(':', ',')}));"

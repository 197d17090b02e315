"""Owns telling ExaBGP, whose process the gate is then: a line out, a line back; refuses to know other routers.

The gate must write nothing else to standard output. ExaBGP 4 and 5 speak one language; 6 puts "peer * " before each command.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from ipaddress import ip_network

from geodns.ops.announce._course import State
from geodns.ops.announce._router import ESTABLISHED, GSHUT, Attributes, Peers, RouterFault, States

_LIMIT = 1 << 20  # octets of a line
_VERSION = re.compile(r'(?:exabgp |"version": ?")(\d+)\.')
_PREFIX = re.compile(r"(?<![\w.:])([0-9a-fA-F.:]+/\d{1,3})(?![\w.:])")


class _Lines(asyncio.Queue[str]):
    """Lines that came since a command; while none is under way they are news, of which there is no end, and nobody reads them."""

    def __init__(self, *, wanted: bool) -> None:
        super().__init__()
        self._wanted = wanted

    def put_nowait(self, item: str) -> None:
        """Keep a line, if anybody waits for it."""
        if self._wanted:
            super().put_nowait(item)


class Exabgp:
    """One ExaBGP on the other end of two pipes, by default standard input and output. `gone` is called when it closes them."""

    def __init__(
        self, version: str, next_hop: str, attributes: Attributes, gone: Callable[[], None], pipes: tuple[int, int] = (0, 1)
    ) -> None:
        self._version = 0 if version == "auto" else int(version)
        self._next_hop = next_hop
        self._attributes = attributes
        self._gone = gone
        self._pipes = pipes
        self._lines = _Lines(wanted=False)
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.ReadTransport | None = None
        self._reading: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Give the pipes up; for who does not end with the process."""
        if self._writer is not None:
            self._writer.close()
        if self._reader is not None:
            self._reader.close()

    async def _open(self) -> asyncio.StreamWriter:
        if self._writer is None:
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(limit=_LIMIT)
            self._reader, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(self._pipes[0]), "rb", 0)
            )
            out = os.fdopen(os.dup(self._pipes[1]), "wb", 0)
            transport, protocol = await loop.connect_write_pipe(lambda: asyncio.streams.FlowControlMixin(loop=loop), out)
            self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
            self._reading = asyncio.create_task(self._read(reader))
        return self._writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                text = line.decode(errors="replace").strip()
                if text == "shutdown":
                    break
                self._lines.put_nowait(text)
        finally:  # also after a line without an end: a gate that is deaf must not seem to be at work
            self._gone()

    async def _ask(self, command: str) -> list[str]:
        """Say a line; the lines that come before "done". Raises RouterFault for "error". What came unasked is passed over."""
        writer = await self._open()
        self._lines = _Lines(wanted=True)
        try:
            writer.write(command.encode() + b"\n")
            await writer.drain()
            return await self._answer(command)
        except OSError as error:
            raise RouterFault(f"ExaBGP cannot be told: {error.strerror}") from None
        finally:
            self._lines = _Lines(wanted=False)

    async def _answer(self, command: str) -> list[str]:
        found: list[str] = []
        while True:
            line = await self._lines.get()
            if line in {"done", '{"answer": "done"}'} or _is(line, "done"):
                return found
            if _is(line, "error"):
                raise RouterFault(f"ExaBGP refuses “{command}”: its log tells why")
            found.append(line)

    async def _dialect(self) -> str:
        """What comes before each command."""
        if not self._version:
            try:  # version 6 holds a process to the language of its first command; version 4 looks at the last word only
                found = _VERSION.search(" ".join(await self._ask("system version")))
            except RouterFault:
                found = None
            self._version = int(found[1]) if found else 4
        return "peer * " if self._version >= 6 else ""

    async def apply(self, states: States) -> None:
        """See `Router`."""
        before = await self._dialect()
        for prefix, state in states.items():
            if state is State.WITHDRAWN:
                await self._ask(f"{before}withdraw route {prefix} next-hop {self._next_hop}")
            else:
                await self._ask(f"{before}announce route {prefix} next-hop {self._next_hop}{self._told(state)}")

    def _told(self, state: State) -> str:
        attributes = self._attributes
        communities = attributes.communities_in(state)
        text = f" med {attributes.med}" if attributes.med is not None else ""
        if prepends := attributes.prepends_in(state):
            text += f" as-path [ {' '.join([str(attributes.asn)] * prepends)} ]"
        if plain := [each for each in communities if each.count(":") == 1]:
            text += f" community [ {' '.join(plain)} ]"
        if large := [each for each in communities if each.count(":") == 2]:
            text += f" large-community [ {' '.join(large)} ]"
        return text

    async def seen(self) -> dict[str, State] | None:
        """See `Router`: what its table of outgoing routes holds for any neighbour."""
        if await self._dialect():
            return None  # version 6 shows routes in a form that is not settled yet
        found: dict[str, State] = {}
        for line in await self._ask("show adj-rib out extensive"):
            if prefix := _PREFIX.search(line):
                state = State.DRAINED if self._looks_drained(line) else State.ANNOUNCED
                found[str(ip_network(prefix[1], strict=False))] = state
        return found

    async def peers(self) -> Peers | None:
        """See `Router`: by the neighbour's address; its summary would tell of those only that are established."""
        if await self._dialect():
            return None
        found: dict[str, str] = {}
        name = ""
        for line in await self._ask("show neighbor extensive"):
            match line.split():
                case ["Neighbor", address]:
                    name = address
                case ["state", state] if name and found.get(name) != ESTABLISHED:
                    found[name] = state.lower()
        return found

    def _looks_drained(self, line: str) -> bool:
        if self._attributes.drain == "gshut":
            return GSHUT in line or "graceful-shutdown" in line
        path = re.search(r"as-path \[ ?([\d ]*)\]", line)
        count = len(path[1].split()) if path else 0
        return count >= self._attributes.drain_prepend > self._attributes.prepend


def _is(line: str, word: str) -> bool:
    """Whether a line is this acknowledgement, as text or in JSON."""
    return line == word or re.fullmatch(rf'\{{.*"answer": ?"{word}".*\}}', line) is not None

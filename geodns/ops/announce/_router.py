"""Owns what is said to routers: the form of an announcement, and the seam that every way to a router fits; knows none of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from geodns.ops.announce._course import State

_PIPE = asyncio.subprocess.PIPE
_MOST = 1 << 20  # octets that a program may print
_REAPING = 1.0  # seconds for the kernel to end what was killed

GSHUT = "65535:0"
"""GRACEFUL_SHUTDOWN, RFC 8326 §5."""

States = Mapping[str, State]
"""What is to be told of each prefix, or is announced."""

Peers = Mapping[str, str]
"""A router's BGP peers by name, with their states in its own words, in lower case."""

ESTABLISHED = "established"
"""The state of a peer to whom routes are told (RFC 4271 §8.2.2)."""


class RouterFault(Exception):
    """A router could not be told, or says no; the message says why. What was announced before is announced on."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """How announcements look: in general, and while draining, when `drain` is "gshut" or "prepend"."""

    communities: tuple[str, ...] = ()
    prepend: int = 0
    asn: int | None = None
    med: int | None = None
    drain: str = "gshut"
    drain_prepend: int = 3

    def communities_in(self, state: State) -> tuple[str, ...]:
        """The communities of an announcement."""
        return (*self.communities, GSHUT) if state is State.DRAINED and self.drain == "gshut" else self.communities

    def prepends_in(self, state: State) -> int:
        """How often this AS is prepended, besides the once that every router does."""
        return self.drain_prepend if state is State.DRAINED and self.drain == "prepend" else self.prepend


class Router(Protocol):
    """A way to tell routers. Its methods raise RouterFault, and may take longer than anybody waits: then they are cancelled."""

    async def apply(self, states: States) -> None:
        """Make it so, also where it is so already; on return it is."""

    async def seen(self) -> dict[str, State] | None:
        """What is announced of these prefixes in truth, those withdrawn left out; None where nobody can say."""

    async def peers(self) -> Peers | None:
        """To whom it announces, as far as that is BGP; None where nobody can say."""


async def run(command: Sequence[str], told: str = "") -> str:
    """A program's standard output; it gets `told` on standard input. Raises RouterFault.

    Cancelled, it is killed with all that it has started: a script is mostly stuck in another program, which holds its pipes.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=_PIPE, stdout=_PIPE, stderr=_PIPE, start_new_session=True)
    except (OSError, ValueError) as error:  # ValueError: a null octet in an argument
        raise RouterFault(f"{command[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from None
    try:
        out, err, _ = await asyncio.gather(
            _output(process.stdout, command[0]), _output(process.stderr, command[0]), _feed(process.stdin, told.encode())
        )
        await process.wait()
    except BaseException:
        await _end(process)
        raise
    if process.returncode:
        said = (err or out).decode(errors="replace").strip().splitlines()
        raise RouterFault(f"{command[0]} exits with {process.returncode}: {said[-1] if said else 'it says nothing'}")
    return out.decode(errors="replace")


async def _output(stream: asyncio.StreamReader | None, program: str) -> bytes:
    found = b""
    while stream and (chunk := await stream.read(_MOST)):
        found += chunk
        if len(found) > _MOST:
            raise RouterFault(f"{program} prints more than {_MOST:,} octets")
    return found


async def _feed(stream: asyncio.StreamWriter | None, octets: bytes) -> None:
    """Write and close, whether it is read or not: a program need not want to know."""
    if stream is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(octets)
        await stream.drain()
    stream.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of a program's process group; whoever has left that, and still holds its pipes, is not waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REAPING):
            await process.wait()
    process._transport.close()  # type: ignore[attr-defined]

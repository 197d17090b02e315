"""Owns what is said to routers: the form of an announcement, and the seam that every way to a router fits; knows none of them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from typing import Protocol

from geodns.ops.announce._course import State

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

    It has ended when it exits: what it leaves running, such as the shared connection of ssh, is not waited for. Cancelled, it is
    killed with all that it has started: a script is mostly stuck in another program.
    """
    with _scratch() as given, _scratch() as out, _scratch() as err:
        given.write(told.encode())
        given.seek(0)
        for bounded in (out, err):
            _bound(bounded)
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=given, stdout=out, stderr=err, start_new_session=True)
        except (OSError, ValueError) as error:  # ValueError: a null octet in an argument
            raise RouterFault(f"{command[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from None
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.shield(ended)
        except BaseException:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # gone already, or run as somebody else by now
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.wait([ended], timeout=_REAPING)
            ended.cancel()
            raise
        if max(out.tell(), err.tell()) >= _MOST:
            raise RouterFault(f"{command[0]} prints more than {_MOST:,} octets")
        if process.returncode:
            said = (_text(err) or _text(out)).strip().splitlines()
            raise RouterFault(f"{command[0]} exits with {process.returncode}: {said[-1] if said else 'it says nothing'}")
        return _text(out)


def _scratch() -> FileIO:
    """A file without a name. It has an end though others still hold it, as a pipe has not, and needs no room on a disk."""
    return open(os.memfd_create("geodns", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC), "w+b", buffering=0)


def _bound(file: FileIO) -> None:
    """Let nobody write more into it: such a write is an error of whoever tries."""
    file.truncate(_MOST)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)


def _text(file: FileIO) -> str:
    """What was written up to where writing has come, which is one place for all who hold the file."""
    return os.pread(file.fileno(), file.tell(), 0).decode(errors="replace")

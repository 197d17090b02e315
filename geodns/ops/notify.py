"""Owns the talk with systemd: readiness, signs of life, sockets that it hands over; refuses to know what makes the server ready.

Each word goes to the socket that NOTIFY_SOCKET names (sd_notify(3)); where there is none nobody listens, and nothing happens.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from time import monotonic_ns

import asyncio_dgram
import sdnotify  # type: ignore[import-untyped]
from dnslib import CLASS, QTYPE, DNSHeader, DNSQuestion, DNSRecord

from geodns.ops import config as configuration
from geodns.problem import Problem, ProblemsFound

_PATIENCE = 1.0  # seconds for systemd to take a word; the caller may be an event loop
_FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound)
_LOOK = 0.1  # seconds between looks at what the network says of a socket


class Notifier:
    """Tells systemd how this service is. To be made before processes are forked: all of them may speak (NotifyAccess=all).

    What cannot be delivered is lost without a word, for no query may go unanswered because systemd does not listen.
    """

    def __init__(self) -> None:
        self._systemd = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._systemd and self._systemd.socket:
            self._systemd.socket.settimeout(_PATIENCE)

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens."""
        return bool(self._systemd and self._systemd.socket)

    def ready(self, status: str) -> None:
        """The service has started, or has reloaded: queries are answered. `status` is what `systemctl status` shows."""
        self._tell("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """A reload begins, to be ended by `ready`, also where it is refused; systemd 253 wants to know since when."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service begins to end."""
        self._tell("STOPPING=1")

    def extend_timeout(self, seconds: float) -> None:
        """What is under way, start or stop, takes so long from now (EXTEND_TIMEOUT_USEC)."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={_one_line(text)}")

    def watchdog(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def close(self) -> None:
        """Give the socket up."""
        if self._systemd and self._systemd.socket:
            self._systemd.socket.close()
            self._systemd = None

    def _tell(self, *assignments: str) -> None:
        if self._systemd:
            # The library writes Latin-1 and drops what that cannot hold, systemd reads UTF-8: so it gets octets as characters.
            self._systemd.notify("\n".join(assignments).encode(errors="replace").decode("latin-1"))


def _one_line(text: str) -> str:
    """A line break would begin another assignment."""
    return " ".join(text.split())


def watchdog_interval(main_pid: int) -> float | None:
    """Seconds from one sign of life to the next: half of what systemd waits for one (sd_watchdog_enabled(3)); None: it does not.

    Any process of the service may send them, so WATCHDOG_PID is compared with that of the main process.
    """
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(main_pid)) != str(main_pid) or not microseconds.isdecimal():
        return None
    return int(microseconds) / 2e6 or None


def listen_fds(main_pid: int) -> list[socket.socket]:
    """The sockets that systemd has opened for this service (sd_listen_fds(3)), in its order; programs run later do not get them.

    They are handed out once, for the environment that tells of them is removed. Raises ProblemsFound for a descriptor that is no
    socket, with all sockets closed.
    """
    told = {name: os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if told["LISTEN_PID"] != str(main_pid) or not told["LISTEN_FDS"].isdecimal():
        return []
    found: list[socket.socket] = []
    problems: list[Problem] = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(told["LISTEN_FDS"])):
        try:
            sock = socket.socket(fileno=descriptor)
            sock.set_inheritable(inheritable=False)
            found.append(sock)
        except OSError as error:
            message = f"socket activation: descriptor {descriptor} is no socket: {error.strerror}"
            remedy = "have nothing but ListenDatagram= and ListenStream= in geodns.socket"
            problems.append(Problem("", 0, message, remedy))
    if problems:
        for sock in found:
            sock.close()
        raise ProblemsFound(problems)
    return found


async def asked_and_answered(listening: Sequence[str], timeout: float) -> list[str]:
    """Ask this very server a question over UDP at each address it listens on, all at once: what failed, [] if all answered.

    `listening` are addresses with port as text ("127.0.0.1:53", "[::]:53"); a wildcard is asked by its loopback. Within `timeout`
    seconds any well-formed reply with our id will do, REFUSED too: the question is whether anybody works there.
    """
    faults = await asyncio.gather(*(_fault(text, timeout) for text in listening))
    return [f"{text}: {fault}" for text, fault in zip(listening, faults, strict=True) if fault]


async def _fault(text: str, timeout: float) -> str:
    """Why one address does not answer; "" if it does."""
    listen = configuration.parse_listen(text)
    try:
        async with asyncio.timeout(timeout):
            await _ask(_LOOPBACKS.get(listen.host, listen.host), listen.port)
    except TimeoutError:
        return f"no reply in {timeout:g} s"
    except OSError as fault:
        return fault.strerror or str(fault)
    return ""


async def _ask(host: str, port: int) -> None:
    """Return when there is a reply. The question is who this instance is: no zone is needed, and caches do not have it."""
    query = DNSRecord(DNSHeader(id=secrets.randbelow(1 << 16), rd=0), q=DNSQuestion("id.server", QTYPE.TXT, CLASS.CH))
    stream = await asyncio_dgram.connect((host, port))
    try:
        await stream.send(query.pack())
        while not _is_reply(await _received(stream), query.header.id):
            pass
    finally:
        stream.close()


async def _received(stream: asyncio_dgram.DatagramClient) -> bytes:
    """One datagram, or none for a while; asyncio-dgram tells of an error ("port unreachable") only to the next call."""
    try:
        async with asyncio.timeout(_LOOK) as limit:
            octets, _peer = await stream.recv()
    except TimeoutError:
        if not limit.expired():  # the network's own
            raise
        return b""
    return bytes(octets)


def _is_reply(octets: bytes, query_id: int) -> bool:
    if octets[:2] != query_id.to_bytes(2, "big"):
        return False
    try:
        return bool(DNSRecord.parse(octets).header.qr)
    except Exception:  # dnslib lets through what its many parsers raise, and all of it means the same
        return False

"""Owns serving HTTP on a socket that is there already, with bounds on connections and time; refuses to know the application."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import LifespanState
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_CONNECTIONS = 64
IDLE_TIME = 5.0  # s without a request, or with one whose headers are not all there
WRITE_TIME = 10.0  # s for a client to read a part of its answer
LAST_WORD = 1.0  # s for the first request of those who have connected, when the end comes
GRACE = 2.0  # s for answers that are on their way when the end comes

_LOOK = 0.02  # s
_STEPS = 10  # rounds of the event loop, more than lie between accepting and serving

_log = logging.getLogger("geodns.admin.http")


@dataclass(slots=True, eq=False)
class _Guest:
    """A connection, and whether a request has come over it."""

    transport: asyncio.WriteTransport
    was_heard: bool = False


async def serve(app: ASGIApp, sock: socket.socket, shutdown: asyncio.Event) -> None:
    """Serve until `shutdown` is set and then at most GRACE seconds more; `sock`, bound and listening, stays open.

    No signal handler is installed, and no process started: it may run beside other tasks, in a process that was forked.
    """
    context = WorkerContext(None)
    connections: dict[asyncio.Task[None], _Guest] = {}
    listening = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
    server = await asyncio.start_server(partial(_connected, app, _settings(), context, connections), sock=listening)
    try:
        await shutdown.wait()
    finally:
        await _let_nobody_in(listening)
        server.close()
        await _all_heard(connections)
        await context.terminated.set()  # those that are idle end now
        if connections:
            await asyncio.wait(connections, timeout=GRACE)
        for guest in connections.values():
            guest.transport.abort()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _let_nobody_in(listening: socket.socket) -> None:
    """Accept no more, and wait until whoever was accepted last has a task: a server that is closed before drops such a one."""
    asyncio.get_running_loop().remove_reader(listening)
    for _ in range(_STEPS):
        await asyncio.sleep(0)


async def _all_heard(connections: Mapping[asyncio.Task[None], _Guest]) -> None:
    """Wait a moment for who was let in and has asked nothing yet: to close a connection unread would reset it."""
    for _ in range(round(LAST_WORD / _LOOK)):
        await asyncio.sleep(_LOOK)  # also for those whose task has not begun
        if all(guest.was_heard for guest in connections.values()):
            return


def _settings() -> Config:
    """How Hypercorn is to treat a connection. It has no limit for reading: an answer that takes long would run into it."""
    settings = Config()
    settings.accesslog = None
    settings.errorlog = _log
    settings.include_server_header = False
    settings.keep_alive_timeout = IDLE_TIME
    return settings


async def _connected(
    app: ASGIApp,
    settings: Config,
    context: WorkerContext,
    connections: dict[asyncio.Task[None], _Guest],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Serve one connection, or close it at once where it is one too many.

    Hypercorn's own loop for this knows no such bound, and installs what belongs to a process of its own.
    """
    task = asyncio.current_task()
    if task is None or len(connections) >= MOST_CONNECTIONS:
        writer.transport.abort()
        return
    connections[task] = guest = _Guest(writer.transport)
    try:
        wrapped = wrap_app(_timed(app, guest), 0, "asgi")  # type: ignore[arg-type]  # ASGI in other words
        await _Connection(wrapped, asyncio.get_running_loop(), settings, context, LifespanState({}), reader, writer)
    except Exception as error:  # nonsense of the peer over which Hypercorn stumbles
        _log.debug("admin: connection given up: %r", error)
    finally:
        writer.transport.abort()
        connections.pop(task)


class _Connection(TCPServer):
    """Hypercorn's, but one whose peer is gone does not stay until its idle time is over, and HTTP/1.1 only.

    HTTP/2 there has no bound of time for who says nothing more; the offer to go over to it is passed by (RFC 9110 §7.8).
    """

    async def _read_data(self) -> None:
        self.protocol.protocol._check_protocol = _stay  # type: ignore[union-attr, method-assign]
        await super()._read_data()
        await self.idle_task.stop()


async def _stay(_request: object) -> None:
    """Look for no other protocol in a request."""


def _timed(app: ASGIApp, guest: _Guest) -> ASGIApp:
    """The application, whose client must read: Hypercorn would wait for ever."""

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        guest.was_heard = True

        async def timed_send(message: Message) -> None:
            timer = asyncio.get_running_loop().call_later(WRITE_TIME, guest.transport.abort)
            try:
                await send(message)
            finally:
                timer.cancel()

        await app(scope, receive, timed_send)

    return timed

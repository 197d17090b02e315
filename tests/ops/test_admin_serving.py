"""Owns the laws of the door's bounds, on raw connections: size, time, number; and of its end."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from geodns.ops import admin
from geodns.ops.admin import _guard, _serving
from tests.support.admin import Door, Memory, opened
from tests.support.daemons import poll

HEAD = b"POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HUGE = 1 << 30


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of time are short, so that they can be waited for."""
    monkeypatch.setattr(_guard, "_BODY_TIME", 0.3)
    monkeypatch.setattr(_guard, "_LINGER", 0.3)
    monkeypatch.setattr(_serving, "IDLE_TIME", 0.3)
    monkeypatch.setattr(_serving, "WRITE_TIME", 0.3)


@pytest.fixture
def door(quick: None) -> Iterator[Door]:
    with opened() as door:
        yield door


def connect(door: Door) -> socket.socket:
    host, _, port = door.listen.rpartition(":")
    return socket.create_connection((host, int(port)), 10)


def everything(sock: socket.socket) -> bytes:
    """What comes until the end, be it a reset."""
    octets = b""
    try:
        while more := sock.recv(65_536):
            octets += more
    except ConnectionResetError:
        pass
    return octets


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_gigabyte_is_cut_with_413(door: Door, is_chunked: bool) -> None:
    """A client that sends 1 GB is told 413 after a little of it, whether its length is told before or not."""
    chunk = b"x" * 65_536
    framed = b"10000\r\n" + chunk + b"\r\n" if is_chunked else chunk
    length = b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else b"Content-Length: %d\r\n\r\n" % HUGE
    sent = 0
    with connect(door) as sock:
        sock.sendall(HEAD + length)
        answer: list[bytes] = []
        reader = threading.Thread(target=lambda: answer.append(everything(sock)))
        reader.start()
        try:
            while sent < HUGE:
                sock.sendall(framed)
                sent += len(framed)
        except OSError:
            pass
        reader.join(10)

    assert answer[0].startswith(b"HTTP/1.1 413 ")
    assert b'"remedy"' in answer[0]
    assert sent < HUGE
    assert [] == door.keeper.done
    with connect(door) as sock:
        sock.sendall(GET)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_a_client_that_sends_all_before_it_reads_learns_why_it_is_cut(door: Door) -> None:
    """httpx writes the whole body first, and still finds the 413."""
    with httpx.Client(trust_env=False, verify=False) as client:
        told = client.post(f"{door.url}/api/v1/drain", content=b"x" * 8_000_000, headers={"Content-Type": "application/json"})

    assert 413 == told.status_code


def test_a_body_of_the_largest_size_is_read(door: Door) -> None:
    """65,536 octets are taken, one more is not."""
    with httpx.Client(trust_env=False, verify=False, base_url=door.url, headers={"Content-Type": "application/json"}) as client:
        statuses = [client.post("/api/v1/drain", content=b'{"reason": "x"}'.ljust(size)).status_code for size in (65_536, 65_537)]

    assert [200, 413] == statuses


@pytest.mark.parametrize(
    ("begin", "answer"),
    [
        (b"", b""),
        (b"GET /livez HT", b""),
        (GET[:-2] + b"X-Slow: ", b""),
        (HEAD + b"Content-Length: 100\r\n\r\n", b"HTTP/1.1 408 "),
    ],
    ids=["nothing", "request line", "headers", "body"],
)
def test_who_drips_is_cut_off(door: Door, begin: bytes, answer: bytes) -> None:
    """A request that is not whole in time ends its connection, even while an octet comes now and then."""
    with connect(door) as sock:
        sock.sendall(begin)
        start, told = monotonic(), b""
        sock.settimeout(0.05)
        while monotonic() - start < 10:
            try:
                if not (more := sock.recv(65_536)):
                    break
                told += more
            except TimeoutError:
                with_drip = begin and not told
                if with_drip:
                    sock.send(b"a")
            except ConnectionResetError:
                break

    assert told.startswith(answer)
    assert 5 > monotonic() - start


def test_who_does_not_read_is_cut_off(door: Door) -> None:
    """An answer that nobody takes ends its connection, and with it the memory that it needs."""
    door.keeper.text = b"# " + b"x" * 30_000_000
    with connect(door) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(GET.replace(b"/livez", b"/metrics"))
        poll("the connection is there", lambda: door.connections == 1, 10)
        poll("the connection is cut off", lambda: door.connections == 0, 10)


def test_one_connection_too_many_is_closed_and_room_comes_back(door: Door) -> None:
    """As many connections as may be are served, one more is closed at once; after one has ended there is room again."""

    def answered() -> bool:
        with connect(door) as sock:
            try:
                sock.sendall(GET)
                return sock.recv(100).startswith(b"HTTP/1.1 200")
            except OSError:
                return False

    with ExitStack() as stack:
        _serving.IDLE_TIME = 30.0  # the fixture restores it
        for _ in range(_serving.MOST_CONNECTIONS):
            sock = stack.enter_context(connect(door))
            sock.sendall(GET)
            if not sock.recv(100).startswith(b"HTTP/1.1 200"):
                break
        with connect(door) as sock:
            assert b"" == everything(sock)
    poll("there is room again", answered, 10)


def test_a_connection_is_closed_with_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that have gone take no room, however long the idle time is: a hundred a second are no attack."""
    monkeypatch.setattr(_serving, "IDLE_TIME", 60.0)
    with opened() as door:
        for _ in range(2 * _serving.MOST_CONNECTIONS):
            with connect(door) as sock:
                sock.sendall(GET)
                assert sock.recv(100).startswith(b"HTTP/1.1 200")
        poll("all are closed", lambda: door.connections == 0, 10)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n\r\n",
        b"POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{}\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    ],
    ids=["zeros", "no host", "two hosts", "bad length", "long header", "http 1.0", "two lengths", "websocket", "h2"],
)
def test_what_is_no_sound_request_does_no_harm(door: Door, octets: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nonsense ends its connection, is never answered 200, leaves nothing in the log, and others are served."""
    with connect(door) as sock:
        sock.sendall(octets)
        told = everything(sock)
    poll("it is closed", lambda: door.connections == 0, 10)

    assert b" 200 " not in told.partition(b"\r\n")[0]
    assert [] == [record.getMessage() for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    with connect(door) as sock:
        sock.sendall(GET)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_an_offer_of_http_2_is_passed_by(door: Door) -> None:
    """Who would like to go over to HTTP/2, as some libraries do unasked, is answered in HTTP/1.1."""
    with connect(door) as sock:
        sock.sendall(GET[:-2] + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_a_unix_socket_serves_any_host_and_knows_the_peer_as_unix(tmp_path: Path) -> None:
    """Who may write to the socket is let in whatever the Host says; a write is by “unix”."""
    with opened(f"unix:{tmp_path}/admin.sock") as door:
        transport = httpx.HTTPTransport(uds=f"{tmp_path}/admin.sock")
        with httpx.Client(transport=transport, base_url="http://anything.example") as client:
            read = client.get("/api/v1/status")
            write = client.put("/api/v1/overrides", json={"pattern": "web", "word": "up"}, headers={"X-Geodns-Who": "ada"})
            crossed = client.get("/api/v1/status", headers={"Origin": "http://evil.example"})

    assert [200, 200, 403] == [read.status_code, write.status_code, crossed.status_code]
    assert [("override", "web", "up", None, "", "ada (unix)")] == door.keeper.done


# --- the end ----------------------------------------------------------------------------------------------------------


async def served(keeper: Memory, act: Callable[[int, asyncio.Event], Any]) -> float:
    """Serve while `act` is done with the port; how long the end took after it had set the event, in seconds."""
    with admin.bind("127.0.0.1:0") as sock:
        shutdown = asyncio.Event()
        app = admin.application(keeper, admin.access(sock, (), ""))
        serving = asyncio.create_task(admin.serve(app, sock, shutdown))
        await act(sock.getsockname()[1], shutdown)
        start = monotonic()
        await serving
        assert sock.fileno() >= 0
        return monotonic() - start


async def test_an_answer_on_its_way_is_still_given() -> None:
    """A request that is being answered when the end comes gets its answer, and idle connections do not hold the end up."""
    keeper = Memory(wait=0.3)
    told: list[bytes] = []

    async def act(port: int, shutdown: asyncio.Event) -> None:
        _idle_reader, idle = await asyncio.open_connection("127.0.0.1", port)
        idle.write(GET)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD.replace(b"drain", b"reload") + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
        while not keeper.done:
            await asyncio.sleep(0.01)
        shutdown.set()
        told.append(await reader.read())
        for each in (idle, writer):
            each.close()
            await each.wait_closed()

    assert 1.5 > await served(keeper, act)
    assert b'"accepted": true' in told[0]


async def test_an_answer_that_takes_too_long_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace connections are cut, whatever they wait for."""
    monkeypatch.setattr(_serving, "GRACE", 0.2)
    keeper = Memory(wait=60)

    async def act(port: int, shutdown: asyncio.Event) -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD.replace(b"drain", b"reload") + b"Content-Length: 2\r\n\r\n{}")
        while not keeper.done:
            await asyncio.sleep(0.01)
        shutdown.set()
        writer.close()

    assert 2 > await served(keeper, act)


async def test_a_cancelled_door_closes_what_is_open() -> None:
    """Whoever cancels the task finds connections closed and the socket as it was."""
    with admin.bind("127.0.0.1:0") as sock:
        app = admin.application(Memory(), admin.access(sock, (), ""))
        serving = asyncio.create_task(admin.serve(app, sock, asyncio.Event()))
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await reader.read()
        writer.close()
        assert sock.fileno() >= 0


def test_a_forked_process_serves_on_the_socket_it_was_given() -> None:
    """The socket is bound by one process and served by its child, which a signal handler of its own would make deaf."""
    with admin.bind("127.0.0.1:0") as sock:
        child = os.fork()
        if child == 0:
            try:
                app = admin.application(Memory(), admin.access(sock, (), ""))
                asyncio.run(asyncio.wait_for(admin.serve(app, sock, asyncio.Event()), 20))
            finally:
                os._exit(1)
        try:
            with socket.create_connection(sock.getsockname(), 10) as client:
                client.sendall(GET)
                assert client.recv(100).startswith(b"HTTP/1.1 200")
        finally:
            os.kill(child, 15)
            _pid, status = os.waitpid(child, 0)

    assert 15 == os.WTERMSIG(status)

"""dnstap as its readers see it: Debian's own, and one of ours that takes octet for octet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops import dnstap
from geodns.ops.config import UnixListen
from geodns.ops.dnstap import CONTENT_TYPE, BadFrame, Dnstap, control_frame, data_frame, take_control
from tests.support.daemons import need, poll

WHOLE = (32, 128)
CLIENT = ip_address("192.0.2.77")
AT = 1_700_000_000.25
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5


def question(subnet: str = "") -> bytes:
    """A query in wire form."""
    query = dns.message.make_query("www.example.com.", "A", id=7)
    if subnet:
        query.use_edns(0, 0, 1232, options=[dns.edns.ECSOption.from_text(subnet)])
    return query.to_wire()


def reply_to(octets: bytes, scope: int = 0) -> bytes:
    """An empty reply in wire form, with the scope where the query has a client subnet."""
    query = dns.message.from_wire(octets)
    reply = dns.message.make_response(query)
    if asked := [option for option in query.options if isinstance(option, dns.edns.ECSOption)]:
        reply.use_edns(0, 0, 1232, options=[dns.edns.ECSOption(asked[0].address, asked[0].srclen, scope)])
    return reply.to_wire()


QUERY = question()
REPLY = reply_to(QUERY)


# --- a reader of Protocol Buffers, by their specification ------------------------------------------------------------

IDENTITY, VERSION, MESSAGE, KIND = 1, 2, 14, 15
TYPE, FAMILY, PROTOCOL, QUERY_ADDRESS, QUERY_PORT, QUERY_SECONDS, QUERY_NANOSECONDS, QUERY_MESSAGE = 1, 2, 3, 4, 6, 8, 9, 10
RESPONSE_SECONDS, RESPONSE_NANOSECONDS, RESPONSE_MESSAGE = 12, 13, 14


def varint(octets: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (octets[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if octets[at - 1] < 0x80:
            return value, at


def fields(octets: bytes) -> dict[int, Any]:
    """The fields of a message by number, each of which comes once."""
    found: dict[int, Any] = {}
    at = 0
    while at < len(octets):
        key, at = varint(octets, at)
        value: int | bytes
        match key & 7:
            case 0:
                value, at = varint(octets, at)
            case 2:
                size, at = varint(octets, at)
                value, at = octets[at : at + size], at + size
            case 5:
                value, at = int.from_bytes(octets[at : at + 4], "little"), at + 4
            case other:
                raise AssertionError(f"wire type {other}")
        assert key >> 3 not in found
        found[key >> 3] = value
    assert at == len(octets)
    return found


# --- a reader of Frame Streams ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reader:
    """A reader on a socket that does as libfstrm's does; `accepts` are the content types it wants, `reads` whether it goes on."""

    path: Path
    accepts: tuple[bytes, ...] = (CONTENT_TYPE,)
    reads: bool = True
    greets: bool = True
    controls: list[tuple[int, list[bytes]]] = field(default_factory=list)
    messages: list[dict[int, Any]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def close(self) -> None:
        """End at once, connections included."""
        assert self.server
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if not self.greets:
            return
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (size,) = struct.unpack("!I", await reader.readexactly(4))
                if size:
                    self.messages.append(fields(await reader.readexactly(size)))
                    continue
                head = await reader.readexactly(4)
                frame = bytes(4) + head + await reader.readexactly(int.from_bytes(head, "big"))
                kind, types, length = take_control(frame)
                assert length == len(frame)
                self.controls.append((kind, types))
                if kind == READY:
                    accepted = b"".join(struct.pack("!II", 1, len(name)) + name for name in self.accepts)
                    writer.write(struct.pack("!III", 0, 4 + len(accepted), ACCEPT) + accepted)
                elif kind == STOP:
                    writer.write(control_frame(FINISH))
                    break
                elif not self.reads:
                    return
        writer.close()


@contextlib.asynccontextmanager
async def running(tap: Dnstap) -> AsyncIterator[None]:
    """The tap's task, cancelled and awaited in the end."""
    task = asyncio.create_task(tap.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(what: str, reached: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the loop run until it is so."""
    deadline = monotonic() + seconds
    while not reached():
        assert monotonic() < deadline, what
        await asyncio.sleep(0.005)


def tap_to(path: Path, *, truncate: tuple[int, int] = WHOLE) -> Dnstap:
    """A tap to a socket, with little patience."""
    return Dnstap(UnixListen(str(path)), identity="fra1", version="geodns 1", truncate=truncate, wait=0.01)


def offer(tap: Dnstap, octets: bytes = QUERY, reply: bytes | None = REPLY, client: str = str(CLIENT)) -> None:
    """A query and its reply."""
    tap.offer(octets, reply, ip_address(client), 5353, "udp", AT)


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_query_and_reply_are_two_messages_with_what_the_schema_recommends(tmp_path: Path) -> None:
    """AUTH_QUERY has the query, AUTH_RESPONSE the reply, both who and when; around them READY, START and STOP with the type."""
    reader = Reader(tmp_path / "socket")
    await reader.open()
    tap = tap_to(reader.path)
    async with running(tap):
        await until("the tap is open", lambda: tap.is_open)
        tap.offer(QUERY, REPLY, CLIENT, 5353, "tcp", AT)
        tap.offer(QUERY, None, ip_address("2001:db8::1"), 1, "udp", AT)
    await reader.close()
    told = [fields(message[MESSAGE]) for message in reader.messages]
    who = {FAMILY: 1, PROTOCOL: 2, QUERY_ADDRESS: CLIENT.packed, QUERY_PORT: 5353}
    when = {QUERY_SECONDS: 1_700_000_000, QUERY_NANOSECONDS: 250_000_000}
    answered = {RESPONSE_SECONDS: 1_700_000_000, RESPONSE_NANOSECONDS: 250_000_000, RESPONSE_MESSAGE: REPLY}
    silence = {FAMILY: 2, PROTOCOL: 1, QUERY_ADDRESS: ip_address("2001:db8::1").packed, QUERY_PORT: 1}

    assert [
        {TYPE: 1, QUERY_MESSAGE: QUERY} | who | when,
        {TYPE: 2} | who | when | answered,
        {TYPE: 1, QUERY_MESSAGE: QUERY} | silence | when,
    ] == told
    assert [(b"fra1", b"geodns 1", 1)] * 3 == [tuple(each[key] for key in (IDENTITY, VERSION, KIND)) for each in reader.messages]
    assert [(READY, [CONTENT_TYPE]), (START, [CONTENT_TYPE]), (STOP, [])] == reader.controls
    assert (3, 0) == (tap.sent, tap.dropped)


@pytest.mark.parametrize(
    ("client", "subnet", "truncate", "address", "shown"),
    [
        ("192.0.2.77", "198.51.100.0/24", (24, 48), "192.0.2.0", "198.51.100.0/24"),
        ("192.0.2.77", "198.51.100.128/25", (16, 48), "192.0.0.0", "198.51.0.0/25"),
        ("2001:db8:1:2::3", "2001:db8:9:8::/64", (32, 48), "2001:db8:1::", "2001:db8:9::/64"),
        ("192.0.2.77", "0.0.0.0/0", (0, 0), "0.0.0.0", "0.0.0.0/0"),
    ],
)
async def test_addresses_are_cut_wherever_they_stand(
    client: str, subnet: str, truncate: tuple[int, int], address: str, shown: str, tmp_path: Path
) -> None:
    """The client, and the client subnet in query and reply, lose their bits; nothing else in the messages changes."""
    query, expected = question(subnet), question(shown)
    tap = Dnstap(tmp_path / "tap", identity="", version="", truncate=truncate)
    async with running(tap):
        await until("the tap is open", lambda: tap.is_open)
        offer(tap, query, reply_to(query, 17), client)
    asked, answered = [fields(message[MESSAGE]) for message in in_file(tmp_path)]

    assert (ip_address(address).packed, expected) == (asked[QUERY_ADDRESS], asked[QUERY_MESSAGE])
    assert reply_to(expected, 17) == answered[RESPONSE_MESSAGE]


async def test_what_cannot_be_read_cannot_be_cut(tmp_path: Path) -> None:
    """Where addresses are cut, a query that is none is told without its octets; where they are whole, with them."""
    kept = []
    for number, truncate in enumerate(((24, 48), WHOLE)):
        place = tmp_path / str(number)
        place.mkdir()
        tap = Dnstap(place / "tap", identity="", version="", truncate=truncate)
        async with running(tap):
            await until("the tap is open", lambda tap=tap: tap.is_open)  # type: ignore[misc]
            offer(tap, b"nonsense", b"\x00" * 12)
        kept.append([key in fields(message[MESSAGE]) for message, key in zip(in_file(place), (10, 14), strict=True)])

    assert [[False, False], [True, True]] == kept


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_read_back(value: int) -> None:
    """Every number that a field can hold is encoded in groups of seven bits."""
    octets = dnstap._varint(value)

    assert (value, len(octets)) == varint(octets, 0)


# --- frames -----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda octets: bytes(7) + octets))
def test_any_octets_are_a_control_frame_or_not(octets: bytes) -> None:
    """Whatever a reader sends is a frame, the beginning of one, or BadFrame."""
    try:
        _kind, _types, size = take_control(octets)
    except BadFrame:
        return

    assert 0 <= size <= len(octets)


def test_a_control_frame_is_read_back_from_any_part() -> None:
    """A frame is taken when it is whole, with its type and size, and not before."""
    frame = control_frame(READY, with_type=True)

    assert (READY, [CONTENT_TYPE], len(frame)) == take_control(frame + data_frame(b"x"))
    assert {0} == {take_control(frame[:end])[2] for end in range(len(frame))}


# --- readers that misbehave -------------------------------------------------------------------------------------------


async def test_without_a_reader_messages_are_dropped_and_it_is_found_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens: dropped, counted, and said once; then somebody does."""
    reader = Reader(tmp_path / "socket")
    tap = tap_to(reader.path)
    async with running(tap):
        await until("it is said", lambda: "No such file" in caplog.text)
        offer(tap)
        await reader.open()
        await until("the tap is open", lambda: tap.is_open)
        offer(tap)
    await reader.close()

    assert (2, 2) == (tap.sent, tap.dropped)
    assert 1 == caplog.text.count("No such file")
    assert 2 == len(reader.messages)


async def test_the_death_of_a_reader_is_survived(tmp_path: Path) -> None:
    """A reader that dies is noticed without a write, and its successor gets what comes then."""
    first, second = Reader(tmp_path / "socket"), Reader(tmp_path / "socket")
    await first.open()
    tap = tap_to(first.path)
    async with running(tap):
        await until("the tap is open", lambda: tap.is_open)
        await first.close()
        await until("the death is noticed", lambda: not tap.is_open)
        offer(tap)
        await second.open()
        await until("the tap is open again", lambda: tap.is_open)
        offer(tap)
    await second.close()

    assert (0, 2) == (len(first.messages), len(second.messages))
    assert (2, 2) == (tap.sent, tap.dropped)


async def test_a_reader_that_sleeps_gets_no_more_than_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader does not take is kept up to a bound, and dropped beyond it; nothing waits."""
    monkeypatch.setattr(dnstap, "_FAREWELL_TIME", 0.05)
    reader = Reader(tmp_path / "socket", reads=False)
    await reader.open()
    tap = tap_to(reader.path)
    large = bytes(60_000)
    async with running(tap):
        await until("the tap is open", lambda: tap.is_open)
        began = monotonic()
        for _ in range(1000):
            offer(tap, QUERY, large)
        took = monotonic() - began
    await reader.close()

    assert took < 2
    assert 2000 == tap.sent + tap.dropped
    assert tap.sent * len(large) / 2 < 8 * dnstap.BUFFER


@pytest.mark.parametrize(
    ("accepts", "is_open"), [((CONTENT_TYPE,), True), ((), True), ((b"x", CONTENT_TYPE), True), ((b"protobuf:other",), False)]
)
async def test_only_a_reader_that_wants_dnstap_gets_it(
    accepts: tuple[bytes, ...], is_open: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader that names other content types only is left; one that names none takes all."""
    reader = Reader(tmp_path / "socket", accepts)
    await reader.open()
    tap = tap_to(reader.path)
    async with running(tap):
        await until("it is decided", lambda: tap.is_open or "does not want dnstap" in caplog.text)
        decided = tap.is_open
    await reader.close()

    assert is_open is decided


async def test_a_reader_that_speaks_something_else_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Octets that are no frame end the connection, with a reason."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "socket")
    tap = tap_to(tmp_path / "socket")
    async with running(tap):
        await until("it is said", lambda: "does not speak Frame Streams" in caplog.text)
    server.close()

    assert not tap.is_open


async def test_a_reader_that_never_greets_is_left_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without handshake is given up."""
    monkeypatch.setattr(dnstap, "_HANDSHAKE_TIME", 0.05)
    reader = Reader(tmp_path / "socket", greets=False)
    await reader.open()
    tap = tap_to(reader.path)
    async with running(tap):
        await until("it is said", lambda: "no Frame Streams handshake in time" in caplog.text)
        offer(tap)
    await reader.close()

    assert 2 == tap.dropped


# --- files ------------------------------------------------------------------------------------------------------------


def in_file(directory: Path) -> list[dict[int, Any]]:
    """The messages of the only file, which must be one whole stream."""
    [file] = directory.iterdir()
    octets, found = file.read_bytes(), list[dict[int, Any]]()
    kind, types, at = take_control(octets)
    assert (START, [CONTENT_TYPE]) == (kind, types)
    while size := int.from_bytes(octets[at : at + 4], "big"):
        found.append(fields(octets[at + 4 : at + 4 + size]))
        at += 4 + size
    assert control_frame(STOP) == octets[at:]
    return found


async def test_a_file_is_one_stream_of_one_process(tmp_path: Path) -> None:
    """A file has the name that was given with time and process, and in it one stream from START to STOP."""
    tap = Dnstap(tmp_path / "tap", identity="", version="", truncate=WHOLE)
    async with running(tap):
        await until("the tap is open", lambda: tap.is_open)
        offer(tap)
        offer(tap)
    [file] = tmp_path.iterdir()

    assert file.name.startswith("tap.2")
    assert file.name.endswith(f"Z-{os.getpid()}")
    assert 0 == file.stat().st_mode & 0o027
    assert [1, 2, 1, 2] == [fields(message[MESSAGE])[TYPE] for message in in_file(tmp_path)]


async def test_a_directory_that_is_missing_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A place that cannot be written is said, and tried again."""
    tap = Dnstap(tmp_path / "later" / "tap", identity="", version="", truncate=WHOLE, wait=0.01)
    async with running(tap):
        await until("it is said", lambda: "No such file" in caplog.text)
        (tmp_path / "later").mkdir()
        await until("the tap is open", lambda: tap.is_open)

    assert [] == in_file(tmp_path / "later")


# --- Debian's readers -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def capturing(directory: Path) -> Iterator[Path]:
    """fstrm_capture on a socket called so, which it writes to a file."""
    path, file = directory / "socket", directory / "captured"
    command = [need("fstrm_capture", "fstrm-bin"), "-t", CONTENT_TYPE.decode(), "-u", str(path), "-w", str(file)]
    with (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
    try:
        poll("fstrm_capture listens", path.exists)
        yield file
    finally:
        process.terminate()
        process.wait(10)


def read_by_debian(file: Path) -> tuple[str, str]:
    """What fstrm_dump and dnstap-ldns make of a file."""
    dump, reader = need("fstrm_dump", "fstrm-bin"), need("dnstap-ldns", "dnstap-ldns")
    dumped = subprocess.run([dump, str(file)], capture_output=True, text=True, timeout=20, check=True).stderr
    told = subprocess.run([reader, "-y", "-r", str(file)], capture_output=True, text=True, timeout=20, check=True)
    assert not told.stderr
    return dumped, told.stdout


@pytest.mark.slow
async def test_debians_readers_understand_the_socket(tmp_path: Path) -> None:
    """fstrm_capture takes what comes by a socket, and dnstap-ldns reads in it who asked what, and the answer."""
    tap = tap_to(tmp_path / "socket")
    with capturing(tmp_path) as file:
        async with running(tap):
            await until("the tap is open", lambda: tap.is_open)
            for _ in range(50):
                offer(tap)
            tap.offer(QUERY, REPLY, ip_address("2001:db8::7"), 4242, "tcp", AT)
    dumped, told = read_by_debian(file)

    assert 102 == dumped.count("Data frame")
    assert (51, 51) == (told.count("type: AUTH_QUERY"), told.count("type: AUTH_RESPONSE"))
    assert 102 == told.count("www.example.com.")
    for text in ('identity: "fra1"', "INET6", "2001:db8::7", "4242", "TCP", "192.0.2.77", "2023-11-14 22:13:20.250"):
        assert text in told


@pytest.mark.slow
async def test_debians_readers_understand_a_file(tmp_path: Path) -> None:
    """A file of ours is read by fstrm_dump to its STOP, and by dnstap-ldns."""
    tap = Dnstap(tmp_path / "tap", identity="fra1", version="", truncate=WHOLE)
    async with running(tap):
        await until("the tap is open", lambda: tap.is_open)
        for _ in range(random.Random(1).randrange(5, 9)):
            offer(tap)
    [file] = tmp_path.iterdir()
    dumped, told = read_by_debian(file)

    assert tap.sent == dumped.count("Data frame")
    assert tap.sent == told.count("www.example.com.")
    assert "STOP" in dumped


@pytest.mark.slow
async def test_the_death_of_debians_reader_is_survived(tmp_path: Path) -> None:
    """fstrm_capture is ended and started again; what comes afterwards is in its new file."""
    tap = tap_to(tmp_path / "socket")
    async with running(tap):
        with capturing(tmp_path):
            await until("the tap is open", lambda: tap.is_open)
        await until("its end is noticed", lambda: not tap.is_open)
        (tmp_path / "socket").unlink(missing_ok=True)
        with capturing(tmp_path) as file:
            await until("the tap is open again", lambda: tap.is_open)
            offer(tap)
    _dumped, told = read_by_debian(file)

    assert 1 == told.count("type: AUTH_QUERY")

"""DNS checks against a real server on loopback, and checks by real programs: some fork, hang, or never stop talking."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dnslib
import pytest

from geodns.ops.health import DnsCheck, ExecCheck, ExternalCheck, Result, Target, probe
from tests.support.daemons import free_port, has_ipv6

HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback"))]
Reply = Callable[[dnslib.DNSRecord], Sequence[bytes]]


class Answering(asyncio.DatagramProtocol):
    """A DNS server whose replies to a query are what a function makes of it."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.queries: list[dnslib.DNSRecord] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        query = dnslib.DNSRecord.parse(data)
        self.queries.append(query)
        for octets in self.reply(query):
            self.transport.sendto(octets, addr)


@asynccontextmanager
async def answering(reply: Reply, host: str = "127.0.0.1") -> AsyncIterator[tuple[int, Answering]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Answering(reply), local_addr=(host, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1], protocol
    finally:
        transport.close()


def records(*lines: str, rcode: int = 0) -> Reply:
    """Replies with these records."""

    def reply(query: dnslib.DNSRecord) -> list[bytes]:
        made = query.reply()
        made.header.rcode = rcode
        for line in lines:
            made.add_answer(*dnslib.RR.fromZone(line))
        return [bytes(made.pack())]

    return reply


async def ask(check: DnsCheck, host: str = "127.0.0.1", timeout: float = 5.0) -> Result:
    return await probe(Target(host, check, timeout, 5.0, "key"))


# ---- DNS

A1, A2 = "www.a.example. 60 IN A 192.0.2.1", "www.a.example. 60 IN A 192.0.2.2"
SOA = "a.example. 60 IN SOA ns.a.example. h.a.example. 1 2 3 4 5"
DNS: list[tuple[Reply, str, tuple[str, ...], str, str]] = [
    (records(A1), "A", (), "NOERROR", ""),
    (records(), "A", (), "NOERROR", ""),
    (records(A1), "A", ("192.0.2.1",), "NOERROR", ""),
    (records(A1, A2), "A", ("192.0.2.2", "192.0.2.1"), "NOERROR", ""),
    (records(A1), "A", ("192.0.2.2",), "NOERROR", "DNS answer 192.0.2.1, expected 192.0.2.2"),
    (records(A1, A2), "A", ("192.0.2.2",), "NOERROR", "DNS answer 192.0.2.1, 192.0.2.2, expected 192.0.2.2"),
    (records(), "A", ("192.0.2.2",), "NOERROR", "DNS answer empty, expected 192.0.2.2"),
    (records("www.a.example. 60 IN CNAME x.example.", "x.example. 60 IN A 192.0.2.2"), "A", ("192.0.2.2",), "NOERROR", ""),
    (records("www.a.example. 60 IN AAAA 2001:db8::1"), "AAAA", ("2001:DB8:0:0::1",), "NOERROR", ""),
    (records('www.a.example. 60 IN TXT "a b" "c"'), "TXT", ('"a b" c',), "NOERROR", ""),
    (records("www.a.example. 60 IN MX 10 mail.a.example."), "MX", ("10 MAIL.a.example.",), "NOERROR", ""),
    (records(SOA), "SOA", ("ns.a.example. h.a.example. 1 2 3 4 5",), "NOERROR", ""),
    (records(rcode=3), "A", (), "NOERROR", "rcode NXDOMAIN, expected NOERROR"),
    (records(rcode=3), "A", (), "NXDOMAIN", ""),
    (records(rcode=5), "A", (), "NOERROR", "rcode REFUSED, expected NOERROR"),
    (records(A1), "A", (), "NXDOMAIN", "rcode NOERROR, expected NXDOMAIN"),
]


@pytest.mark.parametrize(("reply", "rdtype", "expected", "rcode", "error"), DNS)
async def test_a_dns_answer_is_judged(reply: Reply, rdtype: str, expected: tuple[str, ...], rcode: str, error: str) -> None:
    """The response code and the RDATA of the asked type decide, compared as data and not as text, in any order."""
    async with answering(reply) as (port, _server):
        result = await ask(DnsCheck(port, "www.a.example", rdtype, expected, rcode))

    assert (error, not error) == (result.error, result.ok)


@pytest.mark.parametrize("host", HOSTS)
async def test_the_query_is_one_question_with_a_random_id(host: str) -> None:
    """Each probe asks one question for a name, RD set, under an id and from a port of its own, over IPv4 and IPv6."""
    async with answering(records(A1), host) as (port, server):
        results = [await ask(DnsCheck(port, "www.a.example."), host) for _ in range(8)]

    assert {("", "192.0.2.1")} == {(result.error, result.detail) for result in results}
    assert {"www.a.example."} == {str(query.q.qname) for query in server.queries}
    assert {1} == {query.header.rd for query in server.queries}
    assert len({query.header.id for query in server.queries}) > 1


def _mangled(change: Callable[[bytes], bytes]) -> Reply:
    return lambda query: [change(octets) for octets in records(A1)(query)]


def _other_question(query: dnslib.DNSRecord) -> list[bytes]:
    other = dnslib.DNSRecord.question("b.example")
    other.header.id = query.header.id
    return [bytes(other.reply().pack())]


def _bad_version(query: dnslib.DNSRecord) -> list[bytes]:
    made = query.reply()
    made.add_ar(dnslib.EDNS0(udp_len=1232, ext_rcode=1))
    return [bytes(made.pack())]


def _truncated(query: dnslib.DNSRecord) -> list[bytes]:
    made = query.reply()
    made.header.tc = 1
    return [bytes(made.pack())]


BROKEN: list[tuple[Reply, str]] = [
    (_other_question, "the reply is to another question"),
    (_mangled(lambda octets: octets[:2] + octets[2:20]), "the reply is no DNS message"),
    (_mangled(lambda octets: octets[:12] + b"\xc0\x0c" * 600), "the reply is no DNS message"),
    (_mangled(lambda octets: octets[:2]), "the reply is no DNS message"),
    (_mangled(lambda octets: octets[:-5] + b"\x03abc"), "the reply is no DNS message"),
    (_mangled(lambda octets: octets[:2] + bytes([octets[2] & 0x7F]) + octets[3:]), "the reply is a query"),
    (_mangled(lambda octets: octets + bytes(2000)), "reply of 2047 octets, asked for 1232 at most"),
    (_bad_version, "rcode BADVERS, expected NOERROR"),
    (_truncated, "the reply is truncated"),
]


@pytest.mark.parametrize(("reply", "error"), BROKEN)
async def test_a_broken_dns_reply_is_a_failure(reply: Reply, error: str) -> None:
    """Whatever octets come back under our id, the result is one sentence."""
    async with answering(reply) as (port, _server):
        result = await ask(DnsCheck(port, "www.a.example", "A", ("192.0.2.1",)))

    assert (False, error) == (result.ok, result.error)


async def test_a_reply_under_another_id_is_waited_past() -> None:
    """A forged or late reply is not taken for the answer, which comes after it."""

    def reply(query: dnslib.DNSRecord) -> list[bytes]:
        right = records(A1)(query)[0]
        return [b"", b"\x00", bytes([right[0] ^ 1]) + right[1:], right]

    async with answering(reply) as (port, _server):
        result = await ask(DnsCheck(port, "www.a.example", "A", ("192.0.2.1",)))

    assert (True, "") == (result.ok, result.error)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_closed_dns_port_is_told_before_the_timeout(host: str) -> None:
    """Where the system says that nobody listens, the check does not wait for its timeout."""
    result = await ask(DnsCheck(free_port(host), "www.a.example"), host)

    assert "connection refused" == result.error
    assert result.seconds < 2


async def test_a_silent_dns_server_costs_the_timeout() -> None:
    """Without a reply the check ends when its time is up."""
    async with answering(lambda _query: []) as (port, _server):
        result = await ask(DnsCheck(port, "www.a.example"), timeout=0.25)

    assert "timed out after 0.25 s" == result.error
    assert result.seconds < 1.0


# ---- programs


def script(directory: Path, text: str) -> Path:
    path = directory / "check.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def run(*command: str, timeout: float = 10.0) -> Result:
    return await probe(Target("192.0.2.7", ExecCheck(command), timeout, 5.0, "key"))


EXITS = [
    ("exit 0", "", "exit status 0"),
    ("echo fine; echo more", "", "fine"),
    ("exit 3", "exit status 3", ""),
    ("echo 'disk full' >&2; exit 2", "exit status 2: disk full", ""),
    ("printf '\\033[31mred\\033[0m\\tends\\n'; exit 1", "exit status 1: [31mred [0m ends", ""),
    ("kill -TERM $$", "killed by SIGTERM", ""),
    ('[ "$1" = --to=192.0.2.7 ] && [ "$GEODNS_ADDRESS" = 192.0.2.7 ]', "", "exit status 0"),
    ("read line && exit 1; exit 0", "", "exit status 0"),
]


@pytest.mark.parametrize(("text", "error", "detail"), EXITS)
async def test_the_exit_status_decides(tmp_path: Path, text: str, error: str, detail: str) -> None:
    """Status 0 passes, anything else fails with the first line of output; the address is in the arguments and the environment."""
    result = await run(str(script(tmp_path, text)), "--to={address}")

    assert (not error, error, detail) == (result.ok, result.error, result.detail)


async def test_the_environment_is_minimal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees nothing of the server's own environment, which may hold secrets."""
    monkeypatch.setenv("SECRET", "s3cret")
    seen = tmp_path / "seen"
    await run("/usr/bin/env", "sh", "-c", f"env > {seen}")
    names = {line.split("=")[0] for line in seen.read_text().splitlines()} - {"PWD", "OLDPWD", "SHLVL", "_"}

    assert {"PATH", "LC_ALL", "GEODNS_ADDRESS"} == names


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("/nonexistent/check", "/nonexistent/check cannot be run: No such file or directory"),
        ("/etc/passwd", "/etc/passwd cannot be run: Permission denied"),
        ("nul\0octet", "nul octet cannot be run: embedded null byte"),
    ],
)
async def test_a_program_that_cannot_be_run_is_named(command: str, error: str) -> None:
    """What the system says about a program that it cannot start is the result."""
    result = await run(command)

    assert error == result.error


def is_locked(path: Path) -> bool:
    """Whether a process still holds the lock."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


HANGING = "exec 9> {lock}; flock 9; (trap '' TERM HUP; sleep 300) & "


@pytest.mark.parametrize(
    ("end", "error"),
    [("wait", "timed out after 0.5 s"), ("exit 0", ""), ("echo bad; exit 1", "exit status 1: bad")],
)
async def test_nothing_that_a_program_started_outlives_it(tmp_path: Path, end: str, error: str) -> None:
    """A program that forks and hangs is killed with all its children at its timeout, and those left behind when it ends."""
    lock = tmp_path / "lock"
    result = await run(str(script(tmp_path, HANGING.format(lock=lock) + end)), timeout=0.5)
    deadline = asyncio.get_running_loop().time() + 5
    while is_locked(lock) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)

    assert error == result.error
    assert result.seconds < 2
    assert not is_locked(lock)


async def test_a_child_that_escapes_does_not_hold_the_check(tmp_path: Path) -> None:
    """A child in a session of its own, which keeps the output open, does not keep the check waiting."""
    result = await run(str(script(tmp_path, "echo fine; setsid sleep 3 & exit 0")))

    assert (True, "fine") == (result.ok, result.detail)
    assert result.seconds < 2


async def test_a_program_that_never_stops_talking_is_stopped() -> None:
    """A gigabyte of output is neither kept nor read: the program is killed at its first 64 KiB."""
    result = await run("/bin/sh", "-c", "echo 'here it comes'; head -c 1000000000 /dev/zero; exit 0")

    assert "printed more than 64 KiB: here it comes" == result.error
    assert result.seconds < 2


async def test_no_file_descriptor_is_left(tmp_path: Path) -> None:
    """After programs that end, hang, or talk too much, and DNS probes, as many descriptors are open as before."""
    hanging = str(script(tmp_path, "sleep 300"))
    await run("/bin/true")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await run("/bin/true")
        await run("/nonexistent")
        await run(hanging, timeout=0.05)
        await run("/bin/sh", "-c", "head -c 1000000000 /dev/zero")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            await ask(DnsCheck(deaf.getsockname()[1], "a.example"), timeout=0.05)
    await asyncio.sleep(0)

    assert before == len(os.listdir("/proc/self/fd"))


# ---- states that others know, read once


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("up\n", ""),
        ("down", "down, as read from {file}"),
        ('{"key": "up", "other": "down"}', ""),
        ('{"key": "down"}', "down, as read from {file}"),
        ('{"other": "down"}', "{file} does not name key"),
        ("", "{file} holds neither 'up' or 'down' nor a JSON object"),
        ("[]", "{file} holds neither 'up' or 'down' nor a JSON object"),
        ("[" * 100_000, "{file} holds neither 'up' or 'down' nor a JSON object"),
        ('{"key": true}', "{file} says true of key, neither 'up' nor 'down'"),
        (None, "{file} cannot be read: No such file or directory"),
    ],
)
async def test_a_file_of_states_is_read(tmp_path: Path, content: str | None, error: str) -> None:
    """A file says up or down for all, or for each key, and anything else is named."""
    file = tmp_path / "state"
    if content is not None:
        file.write_text(content)
    result = await probe(Target("192.0.2.7", ExternalCheck(file, max_age=60.0), 1.0, 5.0, "key"))

    assert (error.format(file=file), not error) == (result.error, result.ok)


async def test_an_old_file_and_one_from_the_future_say_nothing(tmp_path: Path) -> None:
    """The file's time is the state's: too old or far in the future, it does not count."""
    file = tmp_path / "state"
    file.write_text("up")
    external = Target("192.0.2.7", ExternalCheck(file, max_age=60.0), 1.0, 5.0, "key")
    now = file.stat().st_mtime
    errors = []
    for at in (now - 90, now + 60, now + 3600):
        os.utime(file, (at, at))
        errors.append((await probe(external)).error)

    assert [
        "the last state is older than 60 s",
        "",
        f"the state read from {file} is from the future, by this machine's clock",
    ] == errors


async def test_a_named_pipe_does_not_stop_the_house(tmp_path: Path) -> None:
    """A file of states that is a pipe without a writer is read as empty instead of waited for."""
    file = tmp_path / "pipe"
    os.mkfifo(file)
    result = await probe(Target("192.0.2.7", ExternalCheck(file, max_age=60.0), 1.0, 5.0, "key"))

    assert f"{file} holds neither 'up' or 'down' nor a JSON object" == result.error

"""TCP, TLS and HTTP(S) checks against real servers on loopback: good, slow, endless, hostile, with all kinds of certificates."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from geodns.ops.health import Check, HttpCheck, Result, Target, TcpCheck, TlsCheck, probe
from geodns.ops.health import _probe as probing
from tests.support.daemons import free_port, has_ipv6

HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback"))]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall is ok\n"
NAME = "a.example"
DAY = 86_400


def target(check: Check, address: str = "127.0.0.1", timeout: float = 5.0) -> Target:
    return Target(address, check, timeout, interval=5.0, key="pool/site/endpoint")


@dataclass
class Server:
    """A real server that reads one request's head and then does what it is told; it keeps what it saw."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0
    server_names: list[str | None] = field(default_factory=list)
    protocols: list[str | None] = field(default_factory=list)


Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = Server()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        made.connections += 1
        connection = writer.get_extra_info("ssl_object")
        made.protocols.append(connection.selected_alpn_protocol() if connection else None)
        try:
            if callable(answer):
                await answer(reader, writer)
            else:
                made.seen.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    if context:
        context.sni_callback = lambda _connection, name, _context: made.server_names.append(name)
        context.set_alpn_protocols(["http/1.1"])
    server = await asyncio.start_server(serve, host, 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Authority:
    """A certification authority of one test run."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.directory / "ca.pem"

    def context(self, *names: str, days: float = 90.0, from_days: float = -100.0, self_signed: bool = False) -> ssl.SSLContext:
        """A server's context with a certificate for these names, valid for so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("server")
        made = _certificate(
            subject,
            subject if self_signed else self.certificate.subject,
            key,
            key if self_signed else self.key,
            from_days,
            days,
            names,
        )
        path = self.directory / f"{time.monotonic_ns()}.pem"
        path.write_bytes(_pem(key) + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    from_days: float,
    days: float,
    names: tuple[str, ...] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=from_days))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(_name("test authority"), _name("test authority"), key, key, -200, 200)
    made = Authority(tmp_path_factory.mktemp("certificates"), key, certificate)
    made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return made


def http(port: int, **more: Any) -> HttpCheck:
    wish: dict[str, Any] = {"tls": False, "port": port, "path": "/healthz", "host": NAME}
    return HttpCheck(**wish | more)


# ---- TCP


@pytest.mark.parametrize("host", HOSTS)
async def test_a_port_that_accepts_is_up(host: str) -> None:
    """A TCP check passes when the connection is accepted, over IPv4 and IPv6."""
    async with serving(OK, host) as server:
        result = await probe(target(TcpCheck(server.port), host))

    assert (True, "", "connected") == (result.ok, result.error, result.detail)


@pytest.mark.parametrize("make", [TcpCheck, TlsCheck, http, lambda port: http(port, tls=True)])
@pytest.mark.parametrize("host", HOSTS)
async def test_a_closed_port_refuses(make: Callable[[int], Check], host: str) -> None:
    """Where nobody listens, every kind of check says that the connection was refused."""
    result = await probe(target(make(free_port(host)), host))

    assert (False, "connection refused") == (result.ok, result.error)


async def test_a_name_is_not_resolved() -> None:
    """A target is an address: a name fails at once, with a sentence, without a query to anybody."""
    result = await probe(target(TcpCheck(80), "app.example"))

    assert "app.example cannot be resolved: checks go to addresses, not to names" == result.error


async def test_a_fault_of_our_own_is_a_failed_result_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody thought of becomes a result that says so; its traceback is in the log once, not every round."""

    async def broken(*_arguments: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(probing, "_check_tcp", broken)
    with caplog.at_level(logging.ERROR, "geodns.health"):
        errors = {(await probe(target(TcpCheck(80)))).error for _ in range(3)}

    assert {"fault of this program: KeyError: 'oops'"} == errors
    assert 1 == len(caplog.records)


# ---- HTTP

ANSWERS: list[tuple[bytes, dict[str, Any], str]] = [
    (OK, {}, ""),
    (OK, {"expect_body": "is ok"}, ""),
    (OK, {"expect_body": "fine"}, "body lacks 'fine'"),
    (b"HTTP/1.1 204 None\r\n\r\n", {"expect_status": (200, 204)}, ""),
    (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", {"expect_status": (200, 204)}, "status 503, expected 200 or 204"),
    (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", {"expect_status": ()}, ""),
    (b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", {}, "status 302, expected 200"),
    (b"HTTP/1.1 103 Early\r\n\r\n" + OK, {}, ""),
    (b"HTTP/1.0 200 OK\r\n\r\nold but ok", {"expect_body": "ok"}, ""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", {"expect_body": "ok"}, ""),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        {"expect_body": "k"},
        "connection closed in the middle of the answer",
    ),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", {}, ""),
    (b"SSH-2.0-OpenSSH_9.6\r\n", {}, "connection closed before an HTTP answer"),
    (b"", {}, "connection closed before an HTTP answer"),
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("answer", "more", "error"), ANSWERS)
async def test_an_answer_is_judged(answer: bytes, more: dict[str, Any], error: str, host: str) -> None:
    """Status and body decide, redirects are not followed, and every failure is one sentence."""
    async with serving(answer, host) as server:
        result = await probe(target(http(server.port, **more), host))

    assert (error, not error) == (result.error, result.ok)


async def test_the_request_has_the_right_host_and_no_more_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, query and Host go out as configured, straight to the address whatever proxy the environment names."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(OK) as server:
        result = await probe(target(http(server.port, path="/healthz?deep=1", method="HEAD")))
    line, *headers = server.seen[0].decode().lower().splitlines()

    assert "" == result.error
    assert "head /healthz?deep=1 http/1.1" == line
    assert f"host: {NAME}:{server.port}" in headers
    assert "accept-encoding: identity" in headers


@pytest.mark.parametrize("host", HOSTS)
async def test_without_a_host_the_address_is_the_host(host: str) -> None:
    """An empty host means the address itself, in brackets where it is IPv6."""
    async with serving(OK, host) as server:
        await probe(target(http(server.port, host=""), host))

    literal = f"[{host}]" if ":" in host else host
    assert f"host: {literal}:{server.port}".encode() in server.seen[0].lower()


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.01)


async def informing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize("make", [lambda port: TlsCheck(port), lambda port: http(port, expect_body="ok")], ids=["tls", "http"])
@pytest.mark.parametrize("answer", [silent, trickling, informing], ids=lambda answer: answer.__name__)
async def test_nothing_takes_longer_than_the_timeout(answer: Answer, make: Callable[[int], Check]) -> None:
    """A server that never comes to an end costs the timeout and not a moment more."""
    async with serving(answer) as server:
        result = await probe(target(make(server.port), timeout=0.2))

    assert not result.ok
    assert result.seconds < 1.0
    if answer is silent or isinstance(make(1), HttpCheck):
        assert "timed out after 0.2 s" == result.error


async def test_no_file_descriptor_is_left(authority: Authority) -> None:
    """After probes that pass, fail, and run out of time, as many descriptors are open as before."""
    context = authority.context("b.example")
    async with serving(silent) as mute, serving(OK, context=context) as wrong:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            for check in (TcpCheck(mute.port), TlsCheck(mute.port), http(mute.port), http(mute.port, tls=True)):
                await probe(target(check, timeout=0.03))
            for make in tls_checks(authority):
                await probe(target(make(wrong.port)))
        await gone(lambda: len(os.listdir("/proc/self/fd")) <= before)

        assert before == len(os.listdir("/proc/self/fd"))


async def gone(is_so: Callable[[], bool]) -> None:
    """Let the servers see the other side leave."""
    deadline = time.monotonic() + 5
    while not is_so() and time.monotonic() < deadline:
        await asyncio.sleep(0.005)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"a" * 65_536)
        await writer.drain()


async def test_an_endless_body_is_read_no_further_than_its_bound() -> None:
    """Of a body without end 64 KiB are read, and what is not in them is lacking."""
    async with serving(endless) as server:
        result = await probe(target(http(server.port, expect_body="ok")))

    assert "body lacks 'ok'" == result.error
    assert result.seconds < 2


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff" * 500, b"220 mail ESMTP\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 99_999],
)
async def test_garbage_is_told_from_http(garbage: bytes) -> None:
    """A server that speaks something else fails with a sentence of bounded length and printable letters."""
    async with serving(garbage) as server:
        result = await probe(target(http(server.port)))

    assert result.error.startswith("the answer is no HTTP: ")
    assert len(result.error) < 300
    assert result.error.isprintable()


# ---- TLS and HTTPS

Probe = Callable[[int], Check]


def tls_checks(authority: Authority, **more: Any) -> list[Probe]:
    """The same wish as a TLS check and as an HTTPS check."""
    wish: dict[str, Any] = {"host": NAME, "ca_file": authority.file} | more
    return [lambda port: TlsCheck(port, **wish), lambda port: http(port, tls=True, **wish)]


async def both(context: ssl.SSLContext, checks: list[Probe], host: str = "127.0.0.1") -> tuple[Server, list[Result]]:
    async with serving(OK, host, context) as server:
        return server, [await probe(target(make(server.port), host)) for make in checks]


@pytest.mark.parametrize("host", HOSTS)
async def test_a_right_certificate_passes_and_tells_when_it_expires(authority: Authority, host: str) -> None:
    """With the right certificate both checks pass, send the name as SNI, and report the expiry as unix time."""
    server, results = await both(authority.context(NAME, days=90.5), tls_checks(authority), host)

    assert ["", ""] == [result.error for result in results]
    assert [NAME, NAME] == server.server_names
    assert [None, "http/1.1"] == server.protocols  # ALPN is for HTTP alone
    assert [90, 90] == [int(((result.certificate_expires or 0) - time.time()) / DAY) for result in results]


@pytest.mark.parametrize("host", HOSTS)
async def test_without_a_host_the_certificate_must_be_for_the_address(authority: Authority, host: str) -> None:
    """An empty host means the address, and a certificate for that address is the right one."""
    _server, results = await both(authority.context(host), tls_checks(authority, host=""), host)

    assert ["", ""] == [result.error for result in results]


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"days": -3.5}, {}, "certificate expired 3 days ago"),
    ({"days": -0.1}, {}, "certificate expired 2 hours ago"),
    ({"days": 9, "from_days": 2.5}, {}, "certificate is valid only in 2 days"),
    ({"names": ("b.example",)}, {}, "certificate is for b.example, not a.example"),
    ({"names": ("b.example", "127.0.0.1")}, {}, "certificate is for b.example, 127.0.0.1, not a.example"),
    ({"names": tuple("bcdef")}, {}, "certificate is for b, c, d, …, not a.example"),
    ({"self_signed": True}, {}, "certificate is self-signed and not trusted"),
    ({}, {"ca_file": None}, "certificate is not trusted: unable to get local issuer certificate"),
    ({"days": 13.5}, {"certificate_days": 14}, "certificate expires in 13 days, at least 14 days are wanted"),
    ({"days": 14.5}, {"certificate_days": 14}, ""),
    ({}, {"host": f"{NAME}."}, ""),
    ({"days": -1.5}, {"verify": False}, ""),
    ({"days": -1.5}, {"verify": False, "certificate_days": 1}, "certificate expired 1 day ago"),
    ({"names": ("b.example",), "self_signed": True}, {"verify": False}, ""),
]


@pytest.mark.parametrize(("server", "more", "error"), WRONG)
async def test_a_wrong_certificate_is_named(
    authority: Authority, server: dict[str, Any], more: dict[str, Any], error: str
) -> None:
    """TLS and HTTPS checks refuse a certificate in the same words, which say what is wrong with it, and still tell its expiry."""
    wish = dict(server)
    context = authority.context(*wish.pop("names", (NAME,)), **wish)
    _server, results = await both(context, tls_checks(authority, **more))

    assert [error, error] == [result.error for result in results]
    assert [True, True] == [result.certificate_expires is not None for result in results]


async def test_a_self_signed_certificate_is_its_own_authority(authority: Authority, tmp_path: Path) -> None:
    """A self-signed certificate passes when it is the ca_file."""
    context = authority.context(NAME, self_signed=True)
    newest = max(authority.directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    (tmp_path / "own.pem").write_text("-----BEGIN CERT" + newest.read_text().split("-----BEGIN CERT")[1])
    _server, results = await both(context, tls_checks(authority, ca_file=tmp_path / "own.pem"))

    assert ["", ""] == [result.error for result in results]


async def test_a_ca_file_that_was_replaced_is_read_again(authority: Authority, tmp_path: Path) -> None:
    """A CA file that cannot be used is named, and one that was mended is trusted from the next probe on."""
    file = tmp_path / "ca.pem"
    context = authority.context(NAME)
    checks = tls_checks(authority, ca_file=file)
    _server, missing = await both(context, checks)
    file.write_text("nothing")
    _server, empty = await both(context, checks)
    file.write_bytes(authority.file.read_bytes())
    _server, mended = await both(context, checks)

    assert {f"CA file {file} cannot be read: No such file or directory"} == {result.error for result in missing}
    assert {f"CA file {file} holds no certificate"} == {result.error for result in empty}
    assert {""} == {result.error for result in mended}


async def test_a_server_without_tls_is_named(authority: Authority) -> None:
    """Where the server speaks plain HTTP, a TLS check says that the answer is no TLS."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with serving(plain) as server:
        results = [await probe(target(make(server.port))) for make in tls_checks(authority)]

    assert ["TLS: the answer is no TLS"] * 2 == [result.error for result in results]


async def test_each_probe_is_a_connection_of_its_own(authority: Authority) -> None:
    """Nothing is kept between probes: what is checked is that a new user gets in."""
    async with serving(OK, context=authority.context(NAME)) as server:
        for _ in range(3):
            await probe(target(tls_checks(authority)[1](server.port)))

    assert 3 == server.connections


def test_targets_that_are_probed_alike_are_one() -> None:
    """Interval and key do not tell targets apart; address, check and timeout do."""
    one = target(TcpCheck(80))

    assert 1 == len({one, replace(one, interval=60.0), replace(one, key="another")})
    assert 4 == len({one, replace(one, address="::1"), replace(one, check=TcpCheck(81)), replace(one, timeout=1.0)})


async def test_a_shortage_of_this_machine_tells_nothing_of_the_target() -> None:
    """Without a file descriptor to spare there is no result, and no endpoint goes down for it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (used[0] + 1, limits[1]))
    try:
        with pytest.raises(probing.Shortage):
            await probe(Target("127.0.0.1", TcpCheck(1), timeout=2.0, interval=5.0, key=""))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(used[0])

"""Owns the attack on the real sockets: garbage by UDP and TCP must neither stop the process nor make it grow or complain."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import daemons
from tests.support.daemons import LISTEN, Geodns, geodns

pytestmark = pytest.mark.slow

ZONE = """\
$TTL 60
@       SOA   ns host 1 2 3 4 60
@       NS    ns
ns      A     192.0.2.53
www     A     192.0.2.10
www     GEO   continent:EU A 198.51.100.10
*.wild  TXT   "anything"
alias   CNAME www
old     DNAME wild
lab     NS    ns.lab
ns.lab  A     192.0.2.54
sub     NS    ns.sub
ns.sub  A     192.0.2.55
app     POOL  app
app     A     192.0.2.56
who     0 WHOAMI
"""
BELOW = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.55\n* A 192.0.2.57\n"
CONFIG = f"""
{LISTEN}
identity = "fuzzed"
cookie_secrets = "secrets"
[explain]
clients = ["127.0.0.0/8"]
[[zones]]
name = "example.com"
file = "example.com.zone"
[[zones]]
name = "sub.example.com"
file = "sub.zone"
[pools.app]
steering = "hashed"
endpoints = [{{ name = "one", addresses = ["192.0.2.58"] }}, {{ name = "two", addresses = ["192.0.2.59"] }}]
"""

GROWTH = 24 * 1024  # kB: about what an interpreter's pools take while warm; a leak of one query's objects a query would show
LARGEST_REPLY = 1232  # octets
SHARE = 100  # connections of one client, server.tcp_connections_per_client
OPENED = 150
MARKER = 0xFFFF
MARKED = MARKER.to_bytes(2, "big") + bytes.fromhex("0100000100000000000003777777076578616d706c6503636f6d0000010001")

_APEX = b"\x07example\x03com\x00"
_LABELS = [b"\3www", b"\1x\4wild", b"\1x\3old", b"\1x\3lab", b"\4none", b"\3app", b"\3who", b"\1x\3sub", b"", b"\x3f" + b"l" * 63]
_NAMES = [labels + _APEX for labels in _LABELS]
_SUBNETS = ["00080007000118005102450000", "0008000800012000510245050000", "00080006000238002a028100810000", "0003000000"]


def _query(name: bytes, rdtype: int, options: str | None) -> bytes:
    head = bytes.fromhex("1234010000010000000000") + (b"\x01" if options is not None else b"\x00")
    data = bytes.fromhex(options or "")
    opt = b"" if options is None else bytes.fromhex("00002904d000000000") + len(data).to_bytes(2, "big") + data
    return head + name + rdtype.to_bytes(2, "big") + b"\x00\x01" + opt


VALID = [
    _query(name, rdtype, options)
    for name in _NAMES
    for rdtype in (1, 16, 255)
    for options in (None, "", *_SUBNETS, "0008000700011800510245")
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A query that was valid before octets of it were changed, cut out, put in or doubled."""
    octets = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(octets) - 1, 0)))
        match draw(st.sampled_from(["change", "cut", "insert", "double", "end"])):
            case "change" if octets:
                octets[at] = draw(st.integers(0, 255))
            case "cut":
                del octets[at : at + draw(st.integers(1, 8))]
            case "insert":
                octets[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "double":
                octets[at:at] = octets[at : at + draw(st.integers(1, 40))]
            case _:
                del octets[at:]
    return bytes(octets)


@st.composite
def client_subnets(draw: st.DrawFn) -> bytes:
    """A client subnet of any family and length, mostly with as many octets of ADDRESS as it takes, and bits beyond it clear."""
    family, source = draw(st.sampled_from([0, 1, 1, 1, 2, 2, 3])), draw(st.integers(0, 40) | st.integers(0, 255))
    address = bytearray(draw(st.binary(min_size=32, max_size=32))[: draw(st.just((source + 7) // 8) | st.integers(0, 20))])
    if address and source & 7 and draw(st.sampled_from([True, True, True, False])):
        address[-1] &= 0xFF00 >> (source & 7) & 0xFF
    return family.to_bytes(2, "big") + bytes((source, draw(st.sampled_from([0, 0, 0, 0, 9])))) + address


@st.composite
def wishful(draw: st.DrawFn) -> bytes:
    """A query with OPT records as nobody should send them: options twice, of any length, unknown; other counts and opcodes."""
    opts = b""
    count = draw(st.sampled_from([0, 1, 1, 1, 1, 2]))
    for _ in range(count):
        options = b""
        for code in draw(st.lists(st.sampled_from([3, 8, 8, 10, 10, 11, 12, 15, 65001]), max_size=3)):
            data = draw(client_subnets()) if code == 8 else draw(st.binary(min_size=8, max_size=8) | st.binary(max_size=41))
            options += code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
        size, flags = draw(st.sampled_from([0, 512, 1232, 0xFFFF])), draw(st.sampled_from([0, 0x8000, 1]))
        version = draw(st.sampled_from([0, 0, 0, 0, 1, 255]))
        opts += struct.pack("!BHHBBHH", 0, 41, size, 0, version, flags, len(options)) + options
    questions = b"".join(
        draw(st.sampled_from(_NAMES))
        + struct.pack("!HH", draw(st.sampled_from(_TYPES)), draw(st.sampled_from([1, 1, 1, 3, 254, 255])))
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2])))
    )
    told = draw(st.sampled_from([1, 1, 1, 1, 0, 2, 0xFFFF]))
    flags = draw(st.sampled_from([0, 0x0100, 0x0100, 0x0120, 0x0110, 0x2000, 0x2800, 0x3000, 0x7800, 0x8000]))
    return struct.pack("!6H", draw(st.integers(0, 0xFFFE)), flags, told, draw(_FEW), draw(_FEW), count) + questions + opts


_TYPES = (0, 1, 6, 16, 28, 41, 43, 65, 250, 251, 252, 255)
_FEW = st.sampled_from([0, 0, 0, 0, 1])

DATAGRAMS = st.one_of(st.binary(max_size=600), mutated(), mutated(), mutated(), wishful(), wishful(), wishful())


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """What a client writes to one connection, in pieces: framed messages, wrong lengths, plain garbage."""
    framed = DATAGRAMS.map(lambda octets: len(octets).to_bytes(2, "big") + octets)
    wrong = st.tuples(st.integers(0, 0xFFFF), DATAGRAMS).map(lambda pair: pair[0].to_bytes(2, "big") + pair[1])
    octets = b"".join(draw(st.lists(st.one_of(framed, framed, wrong, st.binary(max_size=40)), max_size=8)))
    cuts = sorted(draw(st.sets(st.integers(0, len(octets)), max_size=3)))
    return [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]


@dataclass(slots=True)
class Target:
    """The server under attack, and its size after it was warm."""

    server: Geodns
    warm: int = 0
    sock: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def exchange(self, datagrams: list[bytes]) -> list[bytes]:
        """Send datagrams and a marked query, and return what comes before the marked query's reply."""
        for octets in datagrams:
            if octets[:2] != MARKED[:2]:
                self.sock.send(octets)
        self.sock.send(MARKED)
        replies = []
        while (reply := self.sock.recv(65_535))[:2] != MARKED[:2]:
            replies.append(reply)
        assert reply[3] & 0xF == 0, "the marked query is answered"
        return replies


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for all attacks; what it has become is judged after the last one."""
    site = tmp_path_factory.mktemp("fuzz") / "site"
    site.mkdir()
    (site / "secrets").touch(0o600)
    files = {"example.com.zone": ZONE, "sub.zone": BELOW, "secrets": "5ec2e7" * 5 + "00\n"}
    with geodns(site, CONFIG, files) as server:
        attacked = Target(server)
        attacked.sock.settimeout(10)
        attacked.sock.connect((server.endpoint.host, server.endpoint.port))
        for _ in range(50):
            attacked.exchange(VALID[:40])
        attacked.warm = server.resident_kilobytes()
        yield attacked
        attacked.sock.close()


_ATTACK = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@_ATTACK
@given(st.lists(DATAGRAMS, max_size=20))
def test_datagrams(target: Target, datagrams: list[bytes]) -> None:
    """Whatever comes by UDP, each reply has the id of a datagram, the response bit, and no more octets than may be."""
    replies = target.exchange(datagrams)
    ids = [octets[:2] for octets in datagrams]

    assert len(replies) <= len(datagrams)
    for reply in replies:
        assert reply[:2] in ids
        assert reply[2] & 0x80
        assert 12 <= len(reply) <= LARGEST_REPLY


@_ATTACK
@given(streams(), st.booleans(), st.booleans())
def test_connections(target: Target, pieces: list[bytes], reset: bool, listen: bool) -> None:
    """Whatever comes by TCP, in whatever pieces and however it ends, the next connection is answered."""
    with socket.create_connection((target.server.endpoint.host, target.server.endpoint.port), 10) as sock:
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        try:
            for piece in pieces:
                sock.sendall(piece)
            if listen and not reset:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65_536):
                    pass
        except OSError as error:  # the server may close what is no DNS, at any moment
            if error.errno not in {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}:
                raise

    reply = target.server.endpoint.tcp(MARKED)
    assert reply is not None
    assert MARKED[:2] == reply[:2]


def test_nothing_is_left_of_it(target: Target) -> None:
    """After all attacks it still answers by UDP and TCP, has complained of nothing, and has not grown beyond a bound."""
    assert target.server.endpoint.is_alive()
    assert target.server.process.poll() is None
    assert "Traceback" not in target.server.stderr
    assert "ERROR" not in target.server.stderr
    assert target.server.resident_kilobytes() - target.warm < GROWTH


def test_connections_left_open_are_bounded(target: Target) -> None:
    """A client that opens connections and sends half a frame gets no more of them than its share, and others are served."""
    held: list[socket.socket] = []
    try:
        for _ in range(OPENED):
            sock = socket.create_connection((target.server.endpoint.host, target.server.endpoint.port), 10)
            sock.settimeout(0)
            held.append(sock)
            try:
                sock.sendall(b"\xff")
            except (BrokenPipeError, ConnectionResetError):
                continue
        assert target.exchange([]) == []
        daemons.poll("those beyond the share are closed", lambda: sum(map(_is_closed, held)) == OPENED - SHARE)
    finally:
        for sock in held:
            sock.close()

    daemons.poll("connections are taken again", target.server.endpoint.is_alive)


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True

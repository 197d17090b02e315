"""Servers of other makes as anycast siblings: a cookie that one of them gives is good at the others (RFC 9018)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import time

import dns.edns
import dns.message
import dns.rcode
import pytest

from geodns.wire.cookies import make_cookie
from tests.support import daemons
from tests.support.daemons import LISTEN, Geodns, Server, need

pytestmark = pytest.mark.slow

ZONES = {"example.com.": "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"}
SECRET, OTHER = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
CLIENT = b"clientck"
LOOPBACK = bytes((127, 0, 0, 1))
OURS = (
    LISTEN
    + 'cookie_secrets = "cookies.secret"\n[admin]\nlisten = "127.0.0.1:$admin"\n'
    + '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
)


def _nsd(directory: Path) -> AbstractContextManager[Server]:
    return daemons.nsd(directory, ZONES, f"  answer-cookie: yes\n  cookie-secret: {SECRET}")


def _knot(directory: Path) -> AbstractContextManager[Server]:
    module = f"mod-cookies:\n  - id: shared\n    secret: 0x{SECRET}\n    badcookie-slip: 1\n"
    return daemons.knot(directory, ZONES, f"{module}template:\n  - id: default\n    global-module: mod-cookies/shared\n")


def _bind(directory: Path) -> AbstractContextManager[Server]:
    return daemons.bind(
        directory, ZONES, f'cookie-algorithm siphash24; cookie-secret "{SECRET}"; answer-cookie yes; require-server-cookie yes;'
    )


PEERS: Mapping[str, Callable[[Path], AbstractContextManager[Server]]] = {"nsd": _nsd, "knot": _knot, "bind": _bind}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two siblings, one of them ours."""

    ours: Geodns
    theirs: Server


@pytest.fixture(scope="module", params=sorted(PEERS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp(request.param)
    with PEERS[request.param](directory / "peer") as theirs:
        site = daemons.Site(directory / "geodns")
        site.write({"cookies.secret": f"{OTHER}\n{SECRET}\n"})
        (site.directory / "cookies.secret").chmod(0o640)
        with daemons.serving(site, OURS, {"example.com.zone": ZONES["example.com."]}) as ours:
            yield Pair(ours, theirs)


def ask(server: Server, cookie: bytes) -> tuple[str, bytes]:
    """Response code and the content of the COOKIE option in the reply."""
    asked = dns.message.make_query("www.example.com.", "A", use_edns=0)
    asked.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])
    octets = server.endpoint.udp(asked.to_wire())
    assert octets
    reply = dns.message.from_wire(octets)
    [content] = [option.to_wire() or b"" for option in reply.options if option.otype == dns.edns.OptionType.COOKIE]
    return dns.rcode.to_text(reply.rcode()), content


def test_their_cookies_are_good_here(pair: Pair) -> None:
    """We make cookies with another secret and accept theirs: it is replaced by a new one, and counted as what it is."""
    _, given = ask(pair.theirs, CLIENT)
    changed = given[:-1] + bytes((given[-1] ^ 1,))

    assert given.startswith(CLIENT + b"\1\0\0\0")
    for content, outcome in ((given, "renewed"), (changed, "invalid"), (CLIENT, "client_only")):
        before = counted(pair.ours, outcome)
        rcode, content = ask(pair.ours, content)
        daemons.poll(f"{outcome} is counted", lambda before=before, outcome=outcome: counted(pair.ours, outcome) == before + 1)  # type: ignore[misc]

        assert "NOERROR" == rcode
        assert abs(int.from_bytes(content[12:16], "big") - time()) < 60
        assert content == make_cookie(CLIENT, LOOPBACK, bytes.fromhex(OTHER), int.from_bytes(content[12:16], "big"))


def counted(server: Geodns, outcome: str) -> float:
    return server.metrics().get(daemons.sample("geodns_cookies_total", outcome=outcome), 0.0)


def test_our_cookies_are_good_there(pair: Pair) -> None:
    """A server of the last secret takes a cookie of a minute ago as it is; one that is forged, it does not."""
    moment = int(time()) - 60
    ours = make_cookie(CLIENT, LOOPBACK, bytes.fromhex(SECRET), moment)
    forged = make_cookie(CLIENT, LOOPBACK, bytes.fromhex(OTHER), moment)
    rcode, content = ask(pair.theirs, ours)
    refused, fresh = ask(pair.theirs, forged)

    assert "NOERROR" == rcode
    assert content in (ours, make_cookie(CLIENT, LOOPBACK, bytes.fromhex(SECRET), int.from_bytes(content[12:16], "big")))
    assert content == ours or refused == "BADCOOKIE"
    assert forged != fresh == make_cookie(CLIENT, LOOPBACK, bytes.fromhex(SECRET), int.from_bytes(fresh[12:16], "big"))


def test_both_make_the_same_cookie(pair: Pair) -> None:
    """With one secret and in one second: what they give is what the function of ours makes for that second."""
    _, given = ask(pair.theirs, CLIENT)

    assert given == make_cookie(CLIENT, LOOPBACK, bytes.fromhex(SECRET), int.from_bytes(given[12:16], "big"))


def test_dig_finds_ours_good(pair: Pair) -> None:
    """dig takes our server cookie, and one that it sends with the next query comes back as it was."""
    dig = [
        need("dig", "bind9-dnsutils"),
        "@127.0.0.1",
        "-p",
        str(pair.ours.endpoint.port),
        "www.example.com",
        "A",
        "+subnet=81.2.69.0/24",
    ]
    first = subprocess.run([*dig, f"+cookie={CLIENT.hex()}"], capture_output=True, text=True, check=True).stdout
    [line] = [line for line in first.splitlines() if line.startswith("; COOKIE:")]
    cookie = line.split()[2]
    second = subprocess.run([*dig, f"+cookie={cookie}"], capture_output=True, text=True, check=True).stdout
    alone = subprocess.run([*dig[:4], "+header-only", f"+cookie={cookie}"], capture_output=True, text=True, check=True).stdout

    assert line.endswith("(good)")
    assert f"; COOKIE: {cookie} (good)" in second
    assert "status: NOERROR" in alone
    assert f"; COOKIE: {cookie} (good)" in alone

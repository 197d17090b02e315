"""What siblings share, in the running server: cookies and their secrets, and the instance's name in all that it tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import pytest

from geodns.answer import fingerprint
from geodns.wire.cookies import is_made_with
from tests.support.daemons import LISTEN, Geodns, Site, poll, sample, serving

pytestmark = pytest.mark.slow

ZONE = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"
OLD, NEW = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
OLD_MARK, NEW_MARK = (fingerprint(bytes.fromhex(text)) for text in (OLD, NEW))
CLIENT = b"clientck"
LOOPBACK = bytes((127, 0, 0, 1))
FILES = '[admin]\nlisten = "127.0.0.1:$admin"\n[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'


def config(server: str, log: str = "") -> str:
    return LISTEN + server + "\n" + log + FILES


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "server")
    share(made, OLD)
    return made


def share(site: Site, *secrets: str, mode: int = 0o640) -> None:
    """Put secrets into the file, by a rename as a roll-over does."""
    site.write({"new": "".join(f"{secret}\n" for secret in secrets)})
    (site.directory / "new").chmod(mode)
    (site.directory / "new").rename(site.directory / "cookies.secret")


def cookie(server: Geodns, shown: bytes = CLIENT, *, stream: bool = False) -> bytes:
    """The content of the COOKIE option of a reply; b"" without one."""
    asked = dns.message.make_query("www.example.com.", "A", use_edns=0)
    asked.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, shown)])
    octets = server.endpoint.tcp_all([asked.to_wire()])[0] if stream else server.endpoint.udp(asked.to_wire())
    assert octets
    reply = dns.message.from_wire(octets)
    assert dns.rcode.NOERROR == reply.rcode()
    return b"".join(option.to_wire() or b"" for option in reply.options if option.otype == dns.edns.OptionType.COOKIE)


def is_of(shown: bytes, secret: str) -> bool:
    return is_made_with(shown, LOOPBACK, bytes.fromhex(secret))


def test_a_roll_over_while_serving(site: Site) -> None:
    """Each step by a reload: cookies are always good, and what is told says which secrets there are; a bad file refuses."""
    shared = config('cookie_secrets = "cookies.secret"\nworkers = 2')
    with serving(site, shared, {"example.com.zone": ZONE}) as server:
        first = cookie(server)
        assert is_of(first, OLD)
        assert is_of(cookie(server, stream=True), OLD)
        assert [first] * 3 == [cookie(server, first) for _ in range(3)]
        share(site, OLD, NEW)
        server.reload({}, "generation 2: 2 worker")
        assert first == cookie(server, first)
        share(site, NEW, OLD)
        said = server.reload({}, "generation 3: 2 worker")
        assert "plan: setting server.cookie_secrets: changes" in said
        second = cookie(server, first)
        assert is_of(second, NEW)
        assert [NEW_MARK, OLD_MARK] == server.told("/api/v1/status")["cookie_secrets"]
        told = server.metrics()
        share(site, NEW, mode=0o644)
        refused = server.reload({}, "reload refused")
        assert second == cookie(server, second)

    assert 2 == told[sample("geodns_cookie_secrets")]
    assert 1 == told[sample("geodns_cookie_secret_info", fingerprint=NEW_MARK, use="makes")]
    assert 1 == told[sample("geodns_cookie_secret_info", fingerprint=OLD_MARK, use="accepts")]
    assert "chmod 640" in refused
    assert not any(secret in server.stdout + server.stderr for secret in (OLD, NEW))


def test_cookies_are_counted(site: Site) -> None:
    """By what was found of them; none of it without secrets, and none in the reply."""
    with serving(site, config('cookie_secrets = "cookies.secret"'), {"example.com.zone": ZONE}) as server:
        given = cookie(server)
        cookie(server, given)
        cookie(server, CLIENT + bytes(16))
        found = [sample("geodns_cookies_total", outcome=outcome) for outcome in ("client_only", "valid", "invalid")]
        poll("all are counted", lambda: [1, 1, 1] == [server.metrics().get(each) for each in found])
        server.reload({"geodns.toml": config("")})
        assert b"" == cookie(server)
        poll("the new keeper tells", lambda: 0 == server.metrics().get(sample("geodns_cookie_secrets")))


def test_a_changed_secret_is_noticed(site: Site) -> None:
    """With server.watch nobody needs to tell the server."""
    shared = config('cookie_secrets = "cookies.secret"\nwatch = true')
    with serving(site, shared, {"example.com.zone": ZONE}) as server:
        poll("it watches", lambda: 2 == len(server.children()))
        share(site, NEW)
        server.until_said("generation 2: 1 worker")

        assert is_of(cookie(server), NEW)


def test_the_name_is_in_every_sample_and_line(site: Site) -> None:
    """Metrics of processes, log and logged queries; another name holds after the reload that brings it."""
    log = '[log]\nformat = "json"\nqueries = 1.0\nqueries_file = "queries"\n'
    with serving(site, config('identity = "fra1"', log), {"example.com.zone": ZONE}) as server:
        server.until_said("generation 1: 1 worker answers")
        poll("it tells", lambda: bool(_named(server)))
        before = _named(server)
        cookie(server)
        said = len(server.stderr)
        server.reload(
            {"geodns.toml": config('identity = "nyc1"', log.replace("json", "human"))}, "generation 2: 1 worker answers"
        )
        later = server.stderr[said:].splitlines()
        poll("the new keeper tells", lambda: {"nyc1"} == _named(server))
        cookie(server)
        poll("both queries are logged", lambda: 2 == len(_logged(site)))

    first, second = _logged(site)
    lines = [json.loads(line) for line in server.stderr[:said].splitlines()]
    assert {"fra1"} == before == {line["identity"] for line in lines}
    assert "fra1" == json.loads(first)["identity"]
    assert re.match(r"\S+Z \[nyc1\] udp 127\.0\.0\.1 www\.example\.com\. A -> ", second)
    assert [] == [line for line in later if line.startswith("INFO ") and "[nyc1] " not in line]
    assert any(line.startswith("INFO [nyc1] generation 2: 1 worker answers") for line in later)


def _named(server: Geodns) -> set[str]:
    """The values of the label in all samples, "" for one without it."""
    return {dict(labels).get("identity", "") for _, labels in server.metrics()}


def _logged(site: Site) -> list[str]:
    """The lines of our own questions; that the server was waited for is logged too."""
    return [line for line in (site.directory / "queries").read_text().splitlines() if "www.example.com." in line]

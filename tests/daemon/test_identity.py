"""Owns what an instance tells over the wire, for real: who it is, whom it takes a client for, and why it answers so."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

import pytest

from tests.support.daemons import Geodns, geodns, has_ipv6, need, poll, sample

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address")]

CONFIG = """[server]
listen = ["127.0.0.1:$port", "[::1]:$port"]
identity = "fra1"
version = "geodns"
hostname_bind = ""
version_bind = "ask us"
[admin]
listen = "127.0.0.1:$admin"
[geo.networks."127.0.0.2/32"]
country = "DE"
[explain]
clients = ["127.0.0.2/32"]
[[zones]]
name = "example.com"
file = "example.com.zone"
"""
ZONE = """$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.10
www GEO country:DE A 198.51.100.10
whoami 0 WHOAMI
*.whoami 0 WHOAMI
"""
IN_DE = '"rung net" "location continent EU, country DE, latitude 51.0, longitude 9.0" "says config (geo.networks), country table"'


def dig(server: Geodns, *words: str, address: str = "127.0.0.1") -> str:
    """What dig prints."""
    dig_binary = need("dig", "bind9-dnsutils")
    command = [dig_binary, f"@{address}", "-p", str(server.site.port), "+norecurse", "+time=5", "+tries=1", *words]
    return run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 loopback")
def test_an_instance_tells_who_it_is_whom_it_sees_and_why(tmp_path: Path) -> None:
    """By dig over UDP and TCP, IPv4 and IPv6: NSID, class CH, WHOAMI with and without client subnet, the reason on request."""
    with geodns(tmp_path, CONFIG, {"example.com.zone": ZONE}) as server:
        server.until_said("1 worker answers")
        assert '("fra1")' in dig(server, "www.example.com", "+nsid")
        assert "NSID" not in dig(server, "www.example.com")
        for name, told in (("id.server", '"fra1"\n'), ("version.server", '"geodns"\n'), ("version.bind", '"ask us"\n')):
            assert told == dig(server, name, "CH", "TXT", "+short")
        assert "status: REFUSED" in dig(server, "hostname.bind", "CH", "TXT")

        for transport, words in (("udp", ("+notcp",)), ("tcp", ("+tcp",))):
            here = dig(server, "-b", "127.0.0.2", "whoami.example.com", "TXT", "+short", *words)
            assert here.startswith('"source 127.0.0.2 port ')
            assert here.endswith(f' by {transport}" "ecs none" "instance fra1" {IN_DE}\n')
            there = dig(server, "4711.whoami.example.com", "TXT", "+short", "+subnet=2001:db8::/56", *words, address="::1")
            assert there.startswith('"source ::1 port ')
            assert f' by {transport}" "ecs 2001:db8::/56 believed" "instance fra1" "rung ecs" "location continent AS" ' in there
        assert "CLIENT-SUBNET: 81.2.69.0/24/24" in dig(server, "whoami.example.com", "TXT", "+subnet=81.2.69.0/24")

        why = "; EDE: 4 (Forged Answer): (rung net; continent EU, country DE, latitude 51.0, longitude 9.0; country:DE "
        wanted = ("www.example.com", "+ednsopt=15:0000")
        assert why in dig(server, "-b", "127.0.0.2", *wanted)
        assert why in dig(server, "-b", "127.0.0.2", *wanted, "+tcp")
        assert "EDE" not in dig(server, "-b", "127.0.0.2", "www.example.com")
        assert "EDE" not in dig(server, *wanted)
        poll("both are counted", lambda: server.metrics()[sample("geodns_reasons_told_total", identity="fra1")] == 2)


def test_what_may_be_told_changes_at_a_reload(tmp_path: Path) -> None:
    """Each of these keys takes effect when the configuration is read again, and a bad one leaves all as it was."""
    config = CONFIG.replace(', "[::1]:$port"', "")
    with geodns(tmp_path, config, {"example.com.zone": ZONE}) as server:
        server.until_said("1 worker answers")
        server.reload(
            {
                "geodns.toml": config.replace('hostname_bind = ""', 'hostname_bind = "h"').replace(
                    '127.0.0.2/32"]\n[[', '127.0.0.1/32"]\n[['
                )
            }
        )
        assert '"h"\n' == dig(server, "hostname.bind", "CH", "TXT", "+short")
        assert "EDE: 4" in dig(server, "www.example.com", "+ednsopt=15:0000")

        said = server.reload({"example.com.zone": ZONE + "whoami TXT me\n"}, says="reload refused")
        assert "example.com.zone:7: WHOAMI beside TXT on line 9: which of them should answer?" in said
        assert "instance fra1" in dig(server, "whoami.example.com", "TXT", "+short")

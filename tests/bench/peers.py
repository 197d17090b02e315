"""Owns how each server of the comparison is set up for the same job; refuses to know how it is measured.

The job: 1000 names www0…www999.example.com with ten address sets. Servers that know geography answer each by the client's
continent with one of three sites (eu, na, as); the others answer everyone alike, so they show what DNS costs without geography.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import NotMeasured, Programs

ADDRESS_SETS = 10
NAMES = 1000
SITES = {"eu": 1, "na": 2, "as": 3}  # site → tens digit of the last octet of its addresses
NEAREST = {"EU": "eu", "NA": "na", "SA": "na", "AS": "as", "OC": "as", "AF": "eu"}
DEFAULT = "eu"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a server is set up with: files go to `directory`, it listens on `port` of 127.0.0.1."""

    directory: Path
    port: int
    workers: int
    database: Path
    programs: Programs


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that can be measured: `prepare` writes its configuration and gives its command."""

    name: str
    prepare: Callable[[Setup], Sequence[str]]
    knows_geography: bool = True
    has_workers: bool = True


def address(site: str, name: int) -> str:
    """The address of one of the names at one of the sites."""
    return f"192.0.2.{SITES[site]}{name % ADDRESS_SETS}"


def program(binary: str, package: str) -> str:
    """The path of a program, also from the sbin directories; raises NotMeasured where it is not installed."""
    path = shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotMeasured(f"{binary} is not installed (Debian package {package})")
    return path


def zone(lines: Callable[[int], Iterator[str]]) -> str:
    """The master file of example.com; `lines` gives the records of one name without their owner."""
    head = "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n"
    return head + "".join(f"www{number} {line}\n" for number in range(NAMES) for line in lines(number))


def geo_zone() -> str:
    """The master file with a GEO record for each continent."""
    return zone(_tailored)


def _tailored(number: int) -> Iterator[str]:
    yield f"A {address(DEFAULT, number)}"
    for continent, site in NEAREST.items():
        yield f"GEO continent:{continent} A {address(site, number)}"


def _for_everyone(number: int) -> Iterator[str]:
    yield f"A {address(DEFAULT, number)}"


def geodns_config(setup: Setup, zones: Sequence[tuple[str, str]]) -> str:
    """A configuration that serves zones (name, file) with the database of the setup."""
    head = (
        f'[server]\nlisten = ["127.0.0.1:{setup.port}"]\nworkers = {setup.workers}\nstate = "{setup.directory}"\n'
        f'[admin]\nlisten = "127.0.0.1:0"\n[geo]\ndatabases = ["{setup.database}"]\n'
    )
    return head + "".join(f'[[zones]]\nname = "{name}"\nfile = "{file}"\n' for name, file in zones)


def geodns_command(directory: Path) -> tuple[str, ...]:
    """The command that serves `geodns.toml` of a directory."""
    return (sys.executable, "-m", "geodns", "serve", "--config", str(directory / "geodns.toml"))


def _geodns(setup: Setup) -> Sequence[str]:
    (setup.directory / "example.com.zone").write_text(geo_zone())
    (setup.directory / "geodns.toml").write_text(geodns_config(setup, [("example.com", "example.com.zone")]))
    return geodns_command(setup.directory)


def _echo(setup: Setup) -> Sequence[str]:
    return (str(setup.programs.echo), str(setup.port))


def _nsd(setup: Setup) -> Sequence[str]:
    here = setup.directory
    (here / "zone").write_text(zone(_for_everyone))
    (here / "conf").write_text(
        f"server:\n  server-count: {setup.workers}\n  ip-address: 127.0.0.1\n  port: {setup.port}\n  reuseport: yes\n"
        f'  username: ""\n  zonesdir: {here}\n  pidfile: {here}/pid\n  xfrdfile: {here}/xfrd\n  zonelistfile: {here}/list\n'
        "  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\nzone:\n  name: example.com\n  zonefile: zone\n"
    )
    return (program("nsd", "nsd"), "-d", "-c", str(here / "conf"))


def _knot(setup: Setup) -> Sequence[str]:
    here = setup.directory
    (here / "zone").write_text(zone(_for_everyone))
    (here / "conf").write_text(
        f"server:\n  listen: 127.0.0.1@{setup.port}\n  rundir: {here}\n  udp-workers: {setup.workers}\n  tcp-workers: 1\n"
        f"  background-workers: 1\ndatabase:\n  storage: {here}\nzone:\n  - domain: example.com\n    file: {here}/zone\n"
        "    zonefile-sync: -1\n    journal-content: none\n"
    )
    return (program("knotd", "knot"), "-c", str(here / "conf"))


def _bind(setup: Setup) -> Sequence[str]:
    here = setup.directory
    (here / "zone").write_text(zone(_for_everyone))
    (here / "conf").write_text(
        f'options {{ directory "{here}"; listen-on port {setup.port} {{127.0.0.1;}}; listen-on-v6 {{none;}}; recursion no; '
        f'pid-file "{here}/pid"; session-keyfile "{here}/key"; minimal-responses yes; }};\ncontrols {{}};\n'
        f'zone "example.com" {{ type primary; file "{here}/zone"; }};\n'
    )
    return (program("named", "bind9"), "-g", "-n", str(setup.workers), "-c", str(here / "conf"))


def _gdnsd(setup: Setup) -> Sequence[str]:
    here = setup.directory
    etc = here / "etc"
    for directory in (etc / "zones", etc / "geoip", here / "run", here / "state"):
        directory.mkdir(parents=True)
    shutil.copy(setup.database, etc / "geoip" / "country.mmdb")
    (etc / "zones" / "example.com").write_text(zone(lambda number: iter([f"DYNA geoip!r{number % ADDRESS_SETS}"])))
    orders = {"eu": "[eu,na,as]", "na": "[na,eu,as]", "as": "[as,na,eu]"}
    nearest = ", ".join(f"{continent} => {orders[site]}" for continent, site in NEAREST.items())
    resources = "\n".join(
        f"r{number} => {{ map => m, dcmap => {{ " + ", ".join(f"{site} => {address(site, number)}" for site in SITES) + " } }"
        for number in range(ADDRESS_SETS)
    )
    (etc / "config").write_text(
        f"options => {{ listen => [ 127.0.0.1:{setup.port} ], udp_threads => {setup.workers}, tcp_threads => 1, "
        f'run_dir = "{here}/run", state_dir = "{here}/state" }}\n'
        f"plugins => {{ geoip => {{ maps => {{ m => {{ geoip2_db => country.mmdb, datacenters => [eu,na,as], "
        f"map => {{ {nearest} }} }} }}, resources => {{\n{resources}\n}} }} }}\n"
    )
    return (program("gdnsd", "gdnsd"), "-c", str(etc), "start")


def _pdns(setup: Setup) -> Sequence[str]:
    here = setup.directory
    lines = [
        "domains:",
        "- domain: example.com",
        "  ttl: 60",
        "  records:",
        "    example.com:",
        "      - soa: ns1.example.com hostmaster.example.com 1 3600 600 86400 60",
        "      - ns: ns1.example.com",
        "    ns1.example.com:",
        "      - a: 127.0.0.1",
    ]
    places = {continent.lower(): site for continent, site in NEAREST.items()} | {"unknown": DEFAULT}
    for number in range(ADDRESS_SETS):
        for place, site in places.items():
            lines += [f"    {place}.r{number}.example.com:", f"      - a: {address(site, number)}"]
    lines.append("  services:")
    lines += [f"    www{number}.example.com: '%cn.r{number % ADDRESS_SETS}.example.com'" for number in range(NAMES)]
    (here / "geo.yaml").write_text("\n".join(lines) + "\n")
    (here / "pdns.conf").write_text(
        f"launch=geoip\ngeoip-database-files=mmdb:{setup.database}\ngeoip-zones-file={here}/geo.yaml\nlocal-address=127.0.0.1\n"
        f"local-port={setup.port}\nedns-subnet-processing=yes\nreceiver-threads={setup.workers}\nreuseport=yes\n"
        f"distributor-threads=1\nsocket-dir={here}\ndaemon=no\nguardian=no\nloglevel=3\n"
    )
    if not any(Path(directory, "libgeoipbackend.so").exists() for directory in _PDNS_MODULES):
        raise NotMeasured("the geoip backend of PowerDNS is not installed (Debian package pdns-backend-geoip)")
    return (program("pdns_server", "pdns-server"), f"--config-dir={here}")


_PDNS_MODULES = [*map(str, Path("/usr/lib").glob("*/pdns")), "/usr/lib/pdns", "/usr/lib64/pdns", "/usr/local/lib/pdns"]
PEERS = {
    peer.name: peer
    for peer in (
        Peer("geodns", _geodns),
        Peer("gdnsd", _gdnsd),
        Peer("pdns", _pdns),
        Peer("nsd", _nsd, knows_geography=False),
        Peer("knot", _knot, knows_geography=False),
        Peer("bind", _bind, knows_geography=False),
        Peer("echo", _echo, knows_geography=False, has_workers=False),
    )
}

"""The verb `serve`: what it says when it starts, and when it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support import daemons

ZONE = "@ 60 IN SOA ns m 7 1h 15m 2w 5m\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n"
GEO = "www 60 IN A 192.0.2.10\nwww 60 IN GEO continent:EU A 198.51.100.10\n"
ZONES = '[[zones]]\nname = "example.com"\nfile = "a.zone"\n'


@pytest.mark.slow
def test_it_says_what_it_serves_where_and_what_to_try(tmp_path: Path) -> None:
    """Configuration, zones, source of places, the rough table's warning, addresses, real buffer size, and a line to copy."""
    with daemons.geodns(tmp_path, daemons.LISTEN + ZONES, {"a.zone": ZONE + GEO}) as server:
        said = [line.split(maxsplit=1) for line in server.stdout.splitlines()]
        port = server.endpoint.port

    assert ["configuration", "zone", "places", "WARNING", "listening", "buffer", "try"] == [words[0] for words in said]
    told = dict(words for words in said)
    assert "example.com.  serial 7, 5 records, 1 tailored" == told["zone"]
    assert "87 %" in told["WARNING"]
    assert f"127.0.0.1:{port} (UDP and TCP)" == told["listening"]
    assert int(told["buffer"].split()[0].replace(",", "")) >= 4096
    assert f"dig @127.0.0.1 -p {port} www.example.com A +subnet=81.2.69.0/24" == told["try"]


@pytest.mark.slow
def test_more_zones_than_fit_are_counted(tmp_path: Path) -> None:
    """Twenty zones are named, the others counted; the line to try is one that has an answer."""
    zones = "".join(f'[[zones]]\nname = "z{number}.example"\nfile = "a.zone"\n' for number in range(23))
    with daemons.geodns(tmp_path, daemons.LISTEN + zones, {"a.zone": ZONE}) as server:
        said = server.stdout

    assert 20 == sum(line.startswith("zone ") for line in said.splitlines())
    assert "and 3 zones more" in said
    assert "z0.example SOA\n" in said


def test_problems_are_all_shown_and_nothing_is_served(run: Run, tmp_path: Path) -> None:
    """Exit code 1, every problem on standard error, nothing on standard output."""
    (tmp_path / "geodns.toml").write_text(ZONES)
    (tmp_path / "a.zone").write_text(ZONE + "a 60 IN A x\nb 60 IN A y\n")
    told = run("serve", tmp_path / "geodns.toml")

    assert (1, "") == (told.code, told.out)
    assert [f"{tmp_path / 'a.zone'}:{line}" for line in (4, 5)] == [line.partition(": ")[0] for line in told.err.splitlines()[:2]]
    assert told.err.endswith("2 errors: nothing is served\n")


def test_addresses_that_cannot_be_had_are_all_named(run: Run, tmp_path: Path) -> None:
    """A port that is taken and an address of another machine are two problems of one start, each with its remedy."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        (tmp_path / "geodns.toml").write_text(f'server.listen = ["127.0.0.1:{port}", "192.0.2.1:{port}"]\n{ZONES}')
        (tmp_path / "a.zone").write_text(ZONE)
        told = run("serve", "--config", tmp_path / "geodns.toml")

    assert (1, "") == (told.code, told.out)
    assert f"server.listen: 127.0.0.1:{port} is taken" in told.err
    assert f"server.listen: 192.0.2.1:{port} is no address of this machine" in told.err
    assert told.err.endswith("2 errors: nothing is served\n")


def test_a_taken_port_is_told_with_what_else_is_wrong(run: Run, tmp_path: Path) -> None:
    """Whoever mends the zone shall not learn of the port only then: all problems come together."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (tmp_path / "geodns.toml").write_text(f'[server]\nlisten = ["127.0.0.1:{port}"]\n' + ZONES)
        (tmp_path / "a.zone").write_text(ZONE + "a 60 IN A x\n")
        told = run("serve", tmp_path / "geodns.toml")

    assert 1 == told.code
    assert f"127.0.0.1:{port} is taken" in told.err
    assert "is no A data" in told.err

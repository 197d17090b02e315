"""The verbs about zone files: what is shown is a master file that holds the same records."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from geodns import wire, zone
from geodns.cli.app import app
from geodns.daemon import DEMONSTRATION
from tests.cli.conftest import Run

DEMO = DEMONSTRATION.parent / "example.com.zone"
ORIGIN = wire.from_text("example.com.")
AWKWARD = r"""$ORIGIN example.com.
$TTL 60
@ IN SOA ns a\.b 1 2 3 4 5
@ IN NS ns
a\.b IN TXT "a \"quoted\" \\ string; not a comment" "\000\255" ""
\032 IN A 192.0.2.1
*.W IN MX 0 .
x IN GEO "a region" TXT "two" "strings"
x IN TXT one
x IN GEO net:2001:db8::/32 AAAA ::1
x IN AAAA ::2
x IN TYPE65400 \# 0
p IN POOL "a pool"
s IN HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1
s IN GEO continent:EU HTTPS 0 other.example.
b IN CAA 0 issue "ca.example; policy=ev"
l IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
d IN DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
"""

Plain = tuple[bytes, int, int, bytes]


def plain(records: tuple[zone.Record, ...]) -> list[Plain]:
    """Records without the places where they stood."""
    return sorted((record.owner, record.rdtype, record.ttl, record.rdata) for record in records)


def read_back(text: str) -> list[Plain]:
    read = zone.parse_text(text, wire.from_text("elsewhere.test."))  # every name must be absolute
    assert () == read.problems
    return plain(read.records)


@pytest.mark.parametrize("generic", [(), ("--rfc3597",)], ids=["words", "generic"])
def test_the_demonstration_comes_back_as_it_was(run: Run, generic: tuple[str, ...]) -> None:
    """What is shown of a zone with every feature holds its records and no others, in both forms."""
    told = run("zone", "show", DEMO, *generic)

    assert (0, "") == (told.code, told.err)
    assert plain(zone.read(DEMO, ORIGIN).records) == read_back(told.out)


@pytest.mark.parametrize("generic", [(), ("--rfc3597",)], ids=["words", "generic"])
def test_awkward_records_come_back_as_they_were(run: Run, tmp_path: Path, generic: tuple[str, ...]) -> None:
    """Quotes, escapes, empty data, wildcards and unknown types survive."""
    file = tmp_path / "awkward.zone"
    file.write_text(AWKWARD)

    assert plain(zone.read(file, ORIGIN).records) == read_back(run("zone", "show", file, *generic).out)


@given(st.lists(st.binary(max_size=255), min_size=1, max_size=3), st.binary(min_size=1, max_size=60))
def test_any_octets_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, strings: list[bytes], selector: bytes
) -> None:
    """Whatever octets a TXT record and a selector hold, what is shown of them is read as the same octets."""

    def quoted(octets: bytes) -> str:
        return '"' + "".join(f"\\{octet:03d}" for octet in octets) + '"'

    text = " ".join(map(quoted, strings))
    file = tmp_path_factory.mktemp("any", numbered=True) / "example.com.zone"
    file.write_text(f"a 60 IN TXT {text}\na 60 IN GEO {quoted(selector)} TXT {text}\n")
    shown = CliRunner().invoke(app, ["zone", "show", str(file)], catch_exceptions=False).stdout

    assert plain(zone.read(file, ORIGIN).records) == read_back(shown)


def test_the_generic_form_has_no_words_of_ours(run: Run) -> None:
    """With --rfc3597 a server that knows none of GEO, POOL and WHOAMI can load the output."""
    told = run("zone", "show", DEMO, "--rfc3597").out

    types = {line.split("\t")[3] for line in told.splitlines()}
    assert {"TYPE65280", "TYPE65281", "TYPE65282"} <= types
    assert set() == {"GEO", "POOL", "WHOAMI"} & types


def test_the_soa_comes_first_and_the_order_is_stable(run: Run) -> None:
    """The SOA record leads, so that the output is a master file; owners follow in canonical order."""
    owners = [line.split("\t") for line in run("zone", "show", DEMO).out.splitlines()]

    assert "SOA" == owners[0][3]
    names = [wire.labels(wire.from_text(owner))[::-1] for owner, *_rest in owners[1:]]
    assert sorted(names) == names


def test_json_is_a_list_of_records(run: Run) -> None:
    """Each record is an object of owner, TTL, type and RDATA."""
    told = run("zone", "show", DEMO, "--json").json

    assert {"owner", "ttl", "type", "rdata"} == {key for record in told for key in record}
    assert {"owner": "mail.example.com.", "ttl": 3600, "type": "A", "rdata": "192.0.2.70"} in told


@pytest.mark.parametrize(
    ("file", "text", "options", "owner"),
    [
        ("x", "$ORIGIN example.net.\na 60 IN A 192.0.2.1\n", (), "a.example.net."),
        ("x", "example.net. 60 IN SOA a b 1 2 3 4 5\n", (), "example.net."),
        ("example.net.zone", "a 60 IN A 192.0.2.1\n", (), "a.example.net."),
        ("db.example.net", "a 60 IN A 192.0.2.1\n", (), "a.example.net."),
        ("x", "a 60 IN A 192.0.2.1\n", ("--origin", "example.net"), "a.example.net."),
        ("x", "a 60 IN A 192.0.2.1\n", ("--origin", "."), "a."),
    ],
)
def test_how_the_zones_name_is_found(
    run: Run, tmp_path: Path, file: str, text: str, options: tuple[str, ...], owner: str
) -> None:
    """--origin, else $ORIGIN or the SOA's owner, else the file's name."""
    path = tmp_path / file
    path.write_text(text)

    assert owner == run("zone", "show", path, *options).out.split("\t")[0]


def test_all_faults_of_a_file_come_at_once(run: Run, tmp_path: Path) -> None:
    """Forty bad lines are forty problems, with exit code 1 and no records."""
    file = tmp_path / "example.com.zone"
    file.write_text("a 60 IN A 192.0.2.300\n" * 40)
    told = run("zone", "show", file)

    assert (1, "") == (told.code, told.out)
    assert [f"{file}:{number}" for number in range(1, 41)] == [line.partition(": ")[0] for line in told.err.splitlines()[:-1]]
    assert told.err.endswith("40 errors\n")


def test_a_file_that_is_not_there_is_a_problem(run: Run, tmp_path: Path) -> None:
    """It is said in words, with exit code 1."""
    told = run("zone", "show", tmp_path / "example.com.zone")

    assert (1, "") == (told.code, told.out)
    assert "No such file" in told.err


def test_a_bad_origin_is_wrong_usage(run: Run) -> None:
    """A name that is none is exit code 2."""
    assert 2 == run("zone", "show", DEMO, "--origin", "a..b").code

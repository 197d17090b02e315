"""RIPE Atlas files: every documented form of results and probes is read, and what cannot be used is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.nearness import Spot
from geodns.geo.pings import Ping, read_pings, read_probes

AMSTERDAM = Spot(52.37, 4.9)
PLACES = {1: AMSTERDAM, 2: Spot(35.7, 139.7)}


def result(probe: int = 1, /, **fields: object) -> dict[str, object]:
    """A result of firmware 5000 with three packets, and what is different in it."""
    return {
        "fw": 5080, "type": "ping", "msm_id": 1, "prb_id": probe, "from": "192.0.2.1", "dst_addr": "198.51.100.1", "af": 4,
        "proto": "ICMP", "sent": 3, "rcvd": 3, "min": 3.5, "avg": 4.0, "max": 5.0, "timestamp": 1_790_000_000,
        "result": [{"rtt": 5.0}, {"rtt": 3.5}, {"x": "*"}],
    } | fields  # fmt: skip


def written(folder: Path, document: object) -> Path:
    path = folder / "given.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def pings(folder: Path, *results: dict[str, object]) -> list[Ping]:
    found, problems = read_pings(written(folder, list(results)), PLACES)
    assert [] == problems
    return found


@pytest.mark.parametrize(
    ("fields", "milliseconds"),
    [
        ({}, 3.5),
        ({"result": [{"rtt": 2.25}]}, 2.25),
        ({"result": [{"x": "*"}, {"error": "sendto failed"}]}, 3.5),
        ({"min": -1, "result": [{"rtt": 7}]}, 7.0),
        ({"result": "old"}, 3.5),
    ],
)
def test_the_fastest_packet_counts(tmp_path: Path, fields: dict[str, object], milliseconds: float) -> None:
    """The smallest positive round trip of packets and summary is taken; lost packets and errors are none."""
    assert [Ping(1, "198.51.100.1", milliseconds, AMSTERDAM)] == pings(tmp_path, result(**fields))


def test_the_fastest_result_of_a_probe_counts(tmp_path: Path) -> None:
    """Of many results of one probe to one address one is kept; each address has its own."""
    other = {"dst_addr": "2001:db8:0::1"}
    found = pings(tmp_path, result(), result(min=1.5, result=[]), result(min=9, result=[]), result(**other), result(2))

    assert [(1, "198.51.100.1", 1.5), (1, "2001:db8::1", 3.5), (2, "198.51.100.1", 3.5)] == [
        (ping.probe, ping.address, ping.milliseconds) for ping in found
    ]


def test_old_firmware_names_the_address_otherwise(tmp_path: Path) -> None:
    """Before firmware 4460 the destination was in `addr`, and there was no `type`."""
    old = result()
    old["addr"] = old.pop("dst_addr")
    del old["type"]

    assert ["198.51.100.1"] == [ping.address for ping in pings(tmp_path, old)]


def test_one_object_a_line_is_read_too(tmp_path: Path) -> None:
    """The API gives results in either form."""
    path = written(tmp_path, f"{json.dumps(result())}\n\n{json.dumps(result(2))}\n")

    assert [1, 2] == [ping.probe for ping in read_pings(path, PLACES)[0]]


@pytest.mark.parametrize(
    "where",
    [
        {"latitude": 52.37, "longitude": 4.9},
        {"lat": 52.37, "lon": 4.9},
        {"geometry": {"type": "Point", "coordinates": [4.9, 52.37]}},
        {"probe": {"id": 7, "latitude": 52.37, "longitude": 4.9}},
    ],
)
def test_a_result_may_tell_where_its_probe_is(tmp_path: Path, where: dict[str, object]) -> None:
    """Coordinates in the result are used where no file of probes knows better."""
    found, problems = read_pings(written(tmp_path, [result(7, **where)]), PLACES)

    assert ([AMSTERDAM], []) == ([ping.place for ping in found], problems)


PROBE = {"id": 1, "country_code": "NL", "geometry": {"type": "Point", "coordinates": [4.9, 52.37]}}


@pytest.mark.parametrize(
    "document",
    [
        [PROBE],
        PROBE,
        {"count": 1, "next": None, "results": [PROBE]},
        {"meta": {}, "objects": [{"id": 1, "latitude": 52.37, "longitude": 4.9}]},
        [PROBE, {"id": 2, "geometry": None}, {"id": 3, "latitude": 91, "longitude": 0}, {"id": True}, "probe", None],
    ],
)
def test_probes_are_read_in_every_form(tmp_path: Path, document: object) -> None:
    """What the API and the archive give; a probe without coordinates on the globe has no place."""
    assert ({1: AMSTERDAM}, []) == read_probes(written(tmp_path, document))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"prb_id": 9}, "nobody says where the probe is"),
        ({"type": "traceroute"}, "no ping result"),
        ({"prb_id": "1"}, "no ping result"),
        ({"dst_addr": "example.com"}, "no address was pinged"),
        ({"dst_addr": None}, "no address was pinged"),
        ({"min": -1, "result": [{"x": "*"}]}, "no reply came"),
        ({"min": float("nan"), "result": [{"rtt": float("inf")}]}, "no reply came"),
        ({"min": 10**400, "result": [{"rtt": True}]}, "no reply came"),
        ({"min": 300, "result": []}, "the reply took over 200 ms, from which nothing follows"),
    ],
)
def test_what_cannot_be_used_is_counted(tmp_path: Path, fields: dict[str, object], why: str) -> None:
    """Beside usable results the others are a warning that says how many and why."""
    found, problems = read_pings(written(tmp_path, [result(), result(**fields), result(**fields)]), PLACES)

    assert 1 == len(found)
    assert [(f"2 results not used: {why}", False)] == [(problem.message, problem.is_error) for problem in problems]


KEYS = st.sampled_from(
    ["prb_id", "dst_addr", "min", "result", "rtt", "results", "latitude", "lon", "geometry", "coordinates", "id"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["192.0.2.1", "ping", ""])
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))


@given(DOCUMENTS)
def test_no_document_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    """Any JSON is pings or problems: never an exception, never silence."""
    path = written(tmp_path_factory.getbasetemp(), document)
    found, problems = read_pings(path, PLACES)

    assert bool(found) != any(problem.is_error for problem in problems)
    assert isinstance(read_probes(path)[0], dict)


@pytest.mark.parametrize(
    ("document", "line", "message"),
    [
        ("", 0, "no ping that can be used in it"),
        ("[]", 0, "no ping that can be used in it"),
        ("3", 0, "no ping that can be used in it"),
        ('{"prb_id": 1}\nprb_id: 2\n', 2, "is not JSON: Expecting value"),
        ("[" * 100_000, 1, "is not JSON"),
    ],
)
def test_a_file_without_pings_is_an_error(tmp_path: Path, document: str, line: int, message: str) -> None:
    """A file of another kind is refused, with the line where that is known."""
    path = written(tmp_path, document)
    found, problems = read_pings(path, PLACES)
    wrong = [problem for problem in problems if problem.is_error]

    assert [] == found
    assert [(str(path), line)] == [(problem.file, problem.line) for problem in wrong]
    assert wrong[0].message.startswith(message)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """No such file, a directory, and what is no text are one problem each."""
    (tmp_path / "packed").write_bytes(b"\x1f\x8b\xff")
    for name, message in [("no", "cannot be read: No such file"), (".", "cannot be read: Is a dir"), ("packed", "is not a text")]:
        assert [True] == [problem.message.startswith(message) for problem in read_pings(tmp_path / name, {})[1]]
        assert [True] == [problem.message.startswith(message) for problem in read_probes(tmp_path / name)[1]]


def test_probes_without_place_are_an_error(tmp_path: Path) -> None:
    """A file of probes that places none is the wrong file."""
    assert ["no probe with coordinates in it"] == [problem.message for problem in read_probes(written(tmp_path, [result()]))[1]]


def test_a_disc_allows_for_the_moved_probe(tmp_path: Path) -> None:
    """100 km for each millisecond, and the kilometre by which published coordinates are off."""
    (ping,) = pings(tmp_path, result())

    assert ("probe 1", AMSTERDAM, 351.0) == (ping.disc().name, ping.disc().centre, ping.disc().radius)

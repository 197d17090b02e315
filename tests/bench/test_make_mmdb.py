"""The maker of large databases, judged by the reader everyone uses."""

from __future__ import annotations

from pathlib import Path

import maxminddb
import pytest

from tests.bench.make_mmdb import COUNTRIES, Kinds, make

FIELD = {"city": "location", "country": "registered_country", "asn": "autonomous_system_number"}


@pytest.mark.parametrize(("kind", "record_size"), [("city", 28), ("country", 24), ("asn", 32)])
def test_every_network_is_there(tmp_path: Path, kind: Kinds, record_size: int) -> None:
    """A database made holds as many networks as were asked for, each with a whole record, in both families."""
    path = tmp_path / "made.mmdb"
    made = make(path, networks=20_000, records=2_000, kind=kind, record_size=record_size)

    with maxminddb.open_database(path) as reader:
        found = list(reader)
        nodes = reader.metadata().node_count

    assert (20_000, made.nodes) == (len(found), nodes)
    assert (14_000, {4, 6}) == (sum(net.version == 4 for net, _ in found), {net.version for net, _ in found})
    assert all(isinstance(record, dict) and FIELD[kind] in record for _, record in found)
    if kind == "city":
        codes = {record["country"]["iso_code"] for _, record in found if isinstance(record, dict)}
        assert {code for code, *_ in COUNTRIES} == codes


def test_same_seed_same_octets(tmp_path: Path) -> None:
    """The same options give the same octets, so that measurements can be repeated."""
    made = [make(tmp_path / name, networks=2_000, records=100, kind="asn") for name in "ab"]

    assert made[0] == made[1]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_too_narrow(tmp_path: Path) -> None:
    """Records too narrow for the tree are refused, not cut."""
    with pytest.raises(ValueError, match="do not fit records of 24 bits"):
        make(tmp_path / "no.mmdb", networks=14_000_000, records=10, kind="asn", ipv6_share=0.9, record_size=24)


def test_no_room(tmp_path: Path) -> None:
    """More networks than the address space has room for are refused."""
    with pytest.raises(ValueError, match="too many networks"):
        make(tmp_path / "no.mmdb", networks=100_000_000, records=10, kind="asn", ipv6_share=0.0)

"""The test-support writer of MaxMind DB files, judged by the reader everyone uses."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import mmdb
from tests.support.mmdb import ALIASES, Kind, Typed

MODES = [maxminddb.MODE_MMAP_EXT, maxminddb.MODE_FILE]

VALUES = {
    "empty": "",
    "text of the longest short size": "x" * 28,
    "text with one octet of size": "x" * 284,
    "text with two octets of size": "ü" * 20_000,
    "text with three octets of size": "y" * 70_000,
    "narrow": 65_535,
    "zero": 0,
    "medium": 65_536,
    "wide": 2**63,
    "widest": 2**100,
    "negative": -5,
    "double": 50.5,
    "yes": True,
    "no": False,
    "array": ["a", 1, {"deep": [1.5, 2.5]}, []],
    "map": {"names": {"en": "Berlin", "de": "Berlin"}},
}


@st.composite
def networks(draw: st.DrawFn) -> str:
    """A network from a small corner of the space, so that nesting is frequent."""
    if draw(st.booleans()):
        length = draw(st.integers(0, 32))
        address4 = draw(st.sampled_from([0, 0x01020304, 0xC0000201, 0xFFFFFFFF])) ^ draw(st.integers(0, 7))
        return str(IPv4Network((address4 >> 32 - length << 32 - length, length)))
    length = draw(st.integers(0, 128))
    top = draw(st.sampled_from([0, 0x2001_0DB8, 0x2002_0102, 0x2000_0000])) << 96
    address6 = top | draw(st.integers(0, 7)) << draw(st.integers(0, 125))
    return str(IPv6Network((address6 >> 128 - length << 128 - length, length)))


def in_alias(text: str) -> bool:
    network = ip_network(text)
    return isinstance(network, IPv6Network) and any(network.subnet_of(alias) for alias in ALIASES)


def probes(texts: list[str], version: int) -> list[str]:
    """First and last address of each network, and the neighbours outside."""
    bounds = [int(edge) for text in texts for edge in (ip_network(text)[0], ip_network(text)[-1])]
    bits = 32 if version == 4 else 128
    numbers = {near % (1 << bits) for bound in bounds for near in (bound - 1, bound, bound + 1)}
    return [str(ip_address(number) if version == 4 else IPv6Address(number)) for number in sorted(numbers)]


def brute_force(address: str, table: dict[str, int], aliases: bool) -> int | None:
    """The value of the longest prefix around an address, everything seen as IPv6."""
    number = int(ip_address(address))
    if aliases and ":" in address:
        for alias in ALIASES:
            if IPv6Address(number) in alias:
                number = number >> 96 - alias.prefixlen & 0xFFFF_FFFF
    found, best = None, -1
    for text, value in table.items():
        network = ip_network(text)
        length = network.prefixlen + (96 if network.version == 4 else 0)
        if length >= best and number >> 128 - length == int(network.network_address) >> 128 - length:
            found, best = value, length
    return found


@pytest.mark.parametrize("record_size", [24, 28, 32])
@pytest.mark.parametrize("aliases", [True, False])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(networks(), max_size=12))
def test_longest_prefix(tmp_path_factory: pytest.TempPathFactory, record_size: int, aliases: bool, texts: list[str]) -> None:
    """Whatever the networks, every address looks up as the longest prefix around it says, with every reader."""
    table = {text: index for index, text in enumerate(texts) if not (aliases and in_alias(text))}
    path = tmp_path_factory.getbasetemp() / f"lpm{record_size}{aliases}.mmdb"
    mmdb.write(path, table, record_size=record_size, aliases=aliases)
    addresses = probes([text for text in texts if ":" not in text], 4) + probes([*texts, "2002::/16"], 6)

    expected = [brute_force(address, table, aliases) for address in addresses]

    for mode in MODES:
        with maxminddb.open_database(path, mode) as reader:
            assert expected == [reader.get(address) for address in addresses]


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(networks().filter(lambda text: ":" not in text), max_size=12))
def test_longest_prefix_in_ipv4_file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """A file for IPv4 only answers by the longest prefix too."""
    table = {text: index for index, text in enumerate(texts)}
    path = mmdb.write(tmp_path_factory.getbasetemp() / "lpm4.mmdb", table, ip_version=4, record_size=24)
    expected = [brute_force(address, table, aliases=False) for address in probes(texts, 4)]

    for mode in MODES:
        with maxminddb.open_database(path, mode) as reader:
            assert expected == [reader.get(address) for address in probes(texts, 4)]


@pytest.mark.parametrize("mode", MODES)
def test_every_value_comes_back(tmp_path: Path, mode: int) -> None:
    """Each value of each type is read as it was written, by itself and behind pointers."""
    table = {f"10.0.{index}.0/24": {"v": value, "again": value} for index, value in enumerate(VALUES.values())}
    path = mmdb.write(tmp_path / "values.mmdb", {**table, "10.1.0.0/16": VALUES})

    with maxminddb.open_database(path, mode) as reader:
        assert [*table.values(), VALUES] == [reader.get(text.split("/")[0]) for text in [*table, "10.1.0.0/16"]]


@pytest.mark.parametrize(
    ("typed", "octets"),
    [
        (Typed(Kind.UINT32, 64_500), "c2fbf4"),
        (Typed(Kind.UINT16, 5), "a105"),
        (Typed(Kind.UINT64, 5), "010205"),
        (Typed(Kind.INT32, -1), "0401ffffffff"),
        (Typed(Kind.FLOAT, 1.5), "04083fc00000"),
        (Typed(Kind.BOOLEAN, 1), "0107"),
    ],
)
def test_chosen_types(typed: Typed, octets: str) -> None:
    """A number with a chosen type has exactly the octets of that type."""
    assert octets == mmdb.encode(typed).hex()


def test_data_is_written_once(tmp_path: Path) -> None:
    """A thousand networks with equal records need the octets of one record."""
    record = {"country": {"iso_code": "DE"}, "filler": "x" * 1000}
    one = mmdb.write(tmp_path / "one.mmdb", {"10.0.0.0/24": record}).read_bytes()
    many = mmdb.write(tmp_path / "many.mmdb", {f"10.{n >> 8}.{n & 255}.0/24": dict(record) for n in range(1000)})

    assert one.count(b"x" * 1000) == many.read_bytes().count(b"x" * 1000)


def test_metadata(tmp_path: Path) -> None:
    """The metadata says what the caller asked for."""
    path = mmdb.write(tmp_path / "m.mmdb", {}, ip_version=4, record_size=32, database_type="X-City", build_epoch=5)

    with maxminddb.open_database(path) as reader:
        meta = reader.metadata()

    expected = {"ip_version": 4, "record_size": 32, "database_type": "X-City", "build_epoch": 5, "node_count": 1}
    assert expected == {key: getattr(meta, key) for key in expected}


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("2002::/24", {}),
        ("2001:db8::/32", {"ip_version": 4}),
        ("10.0.0.1/8", {}),
        ("10.0.0.0/8", {"record_size": 20}),
        ("10.0.0.0/8", {"ip_version": 5}),
    ],
)
def test_impossible_files_are_refused(tmp_path: Path, network: str, options: dict[str, int]) -> None:
    """A network or a size that the format cannot hold is a ValueError, not a broken file."""
    with pytest.raises(ValueError):  # noqa: PT011 -- ipaddress words one of them
        mmdb.write(tmp_path / "no.mmdb", {network: 1}, **options)  # type: ignore[arg-type]


def test_value_without_type_is_refused(tmp_path: Path) -> None:
    """A value no type holds is a TypeError."""
    with pytest.raises(TypeError):
        mmdb.write(tmp_path / "no.mmdb", {"10.0.0.0/8": {1, 2}})

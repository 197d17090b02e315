"""mmdb files: the compiled layer against maxminddb's own look-ups, and every way in which a file can be broken."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import maxminddb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geodns import daemon
from geodns.geo.address import BITS, Network, Place, Version, prefix_around
from geodns.geo.atlas import Atlas
from geodns.geo.database import read_record
from geodns.geo.location import Location
from geodns.geo.mmdb import BadDatabase, MmdbDatabase, open_all
from geodns.geo.partition import cells_of
from geodns.geo.rules import rule_of
from geodns.geo.selector import parse
from geodns.problem import Problem, ProblemsFound, Severity
from tests.support import mmdb
from tests.support.mmdb import ALIASES

RECORDS: list[dict[str, object]] = [
    {"country": {"iso_code": "DE"}},
    {"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "FR"}},  # another record, the same location
    {"country_code": "JP", "city": "Kyoto"},
    {"autonomous_system_number": 64500},
    {"traits": {"is_anycast": True}},
    {"domain": "example.com"},
]
REMEDY = "name a database of countries, cities or AS numbers"
RULES = (rule_of("country:DE", parse("country:DE"), {}),)
SILENT = "holds no continent, country or AS number: it tells nothing of places"
HIDDEN = (IPv6Network("::/96"), *ALIASES)


@st.composite
def networks(draw: st.DrawFn, ip_version: int) -> Network:
    """A network in a small corner of the space; in IPv6 some are longer than a /64, some hold or touch the IPv4 space."""
    if ip_version == 4 or draw(st.booleans()):
        return prefix_around(
            Place(4, 77 << 24 | draw(st.integers(0, 1023)) << 14 | draw(st.integers(0, 3))), draw(st.integers(0, 32))
        )
    top = draw(st.sampled_from([0x2A00 << 112, 0x2A00_0001 << 96, 0x2001_0001 << 96, 1 << 96, 0xFFFF << 112]))
    length = draw(st.sampled_from([1, 3, 16, 32, 33, 48, 63, 64, 65, 66, 96, 127, 128]))
    place = Place(6, top | draw(st.integers(0, 3)) << 64 | draw(st.sampled_from([0, 1, 2, 1 << 62, 1 << 63, 2**64 - 1])))
    return prefix_around(place, length)


def files(ip_version: int) -> st.SearchStrategy[list[tuple[Network, int]]]:
    return st.lists(st.tuples(networks(ip_version), st.integers(0, len(RECORDS) - 1)), max_size=7)


WORLDS = st.sampled_from([4, 6, 6]).flatmap(
    lambda ip_version: st.tuples(st.just(ip_version), files(ip_version), st.sampled_from([24, 28, 32]), st.booleans())
)
World = tuple[int, list[tuple[Network, int]], int, bool]


def edges(found: list[tuple[Network, int]], version: Version) -> list[int]:
    """All addresses at which anything can change, and their neighbours."""
    bounds = {0, 1 << BITS[version]}
    for network in [*(network for network, _ in found), *HIDDEN]:
        if network.version == version:
            bounds |= {int(network.network_address), int(network.broadcast_address) + 1}
    return sorted({near for edge in bounds for near in (edge - 1, edge, edge + 1) if 0 <= near < 1 << BITS[version]})


def is_hidden(address: int, found: list[tuple[Network, int]], *, aliases: bool) -> bool:
    """Whether an IPv6 address leads to IPv4's own part of the tree."""
    has_ipv4_tree = any(isinstance(network, IPv4Network) and network.prefixlen for network, _ in found)
    return has_ipv4_tree and any(IPv6Address(address) in block for block in (HIDDEN if aliases else HIDDEN[:1]))


@settings(max_examples=60, deadline=None)
@given(WORLDS)
@example((6, [(ip_network("::/80"), 0)], 24, False))
@example((6, [(ip_network("::/1"), 0), (ip_network("77.0.0.0/8"), 2)], 28, True))
def test_the_layer_is_what_maxminddb_says_of_every_address(world: World) -> None:
    """At every network's edge, in both families, layer, look_up and maxminddb agree; IPv6 that leads to IPv4 is unknown."""
    ip_version, found, record_size, aliases = world
    with TemporaryDirectory() as directory:
        path = mmdb.write(
            Path(directory) / "w.mmdb",
            [(str(network), RECORDS[number]) for network, number in found if not (aliases and _inside_an_alias(network))],
            ip_version=ip_version,
            record_size=record_size,
            aliases=aliases,
        )
        database = MmdbDatabase(path)
        oracle = maxminddb.open_database(path)
        cells = {version: cells_of(version, database.layer(version)) for version in database.versions}

        for version, table in cells.items():
            for address in edges(found, version):
                written = IPv4Address(address) if version == 4 else IPv6Address(address)
                record = None if version == 6 and is_hidden(address, found, aliases=aliases) else oracle.get(written)
                location, network = database.look_up(Place(version, address))

                assert read_record(record) == location, written
                assert location == database.locations[table.find(address).outcome], written
                assert written in network
                assert network.prefixlen >= table.find(address).scope_prefix_length
                assert location == database.look_up(Place(version, int(network[0])))[0]
                assert location == database.look_up(Place(version, int(network[-1])))[0]


def _inside_an_alias(network: Network) -> bool:
    return isinstance(network, IPv6Network) and any(network.subnet_of(block) for block in ALIASES)


NETWORKS = {
    "192.0.2.0/24": {"country": {"iso_code": "DE"}},
    "192.0.2.128/25": {"country": {"iso_code": "FR"}},
    "2a00:1:2:3:8000::/66": {"country": {"iso_code": "JP"}},
}


@pytest.mark.parametrize("record_size", [24, 28, 32])
def test_a_look_up_knows_its_network(tmp_path: Path, record_size: int) -> None:
    """The prefix said is that of the file's tree, in the family that was asked; Teredo's is its whole block, for it is IPv4's."""
    database = MmdbDatabase(mmdb.write(tmp_path / "a.mmdb", NETWORKS, record_size=record_size))
    asked = {"192.0.2.1": "192.0.2.0/25", "192.0.2.200": "192.0.2.128/25", "2a00:1:2:3:8000::1": "2a00:1:2:3:8000::/66",
             "2001:0:c000:201::": "2001::/32", "::c000:201": "::/96"}  # fmt: skip
    found = {text: database.look_up(Place(ip_address(text).version, int(ip_address(text)))) for text in asked}

    assert asked == {text: str(network) for text, (_, network) in found.items()}
    assert ["DE", "FR", "JP", "", ""] == [location.country for location, _ in found.values()]


def test_a_file_of_ipv4_says_nothing_of_ipv6(tmp_path: Path) -> None:
    """One empty cell, and the whole space as the prefix that it is said of."""
    database = MmdbDatabase(mmdb.write(tmp_path / "a.mmdb", {"192.0.2.0/24": RECORDS[0]}, ip_version=4))

    assert (4,) == database.versions
    assert ([0], [0]) == (database.layer(6).starts.high.tolist(), database.layer(6).indexes.tolist())
    assert (Location(), IPv6Network("::/0")) == database.look_up(Place(6, 1 << 100))


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    """Name, type and the time it was built come from the file."""
    path = mmdb.write(tmp_path / "a.mmdb", NETWORKS, database_type="DBIP-Country-Lite", build_epoch=1_770_000_000)
    database = MmdbDatabase(path)

    assert ("a.mmdb", "DBIP-Country-Lite", 1_770_000_000, (4, 6)) == (
        database.name, database.kind, database.built, database.versions,
    )  # fmt: skip


def test_equal_records_are_one_location(tmp_path: Path) -> None:
    """Records that differ only in what is not read share an index, so that their cells can merge."""
    database = MmdbDatabase(mmdb.write(tmp_path / "a.mmdb", {"10.0.0.0/9": RECORDS[0], "10.128.0.0/9": RECORDS[1]}))
    layer = database.layer(4)

    assert [Location(), Location(continent="EU", country="DE")] == database.locations
    assert [0, 1, 0] == layer.indexes.tolist()


def test_after_release_look_ups_go_on(tmp_path: Path) -> None:
    """Compiling can be done again after it, with the same cells."""
    database = MmdbDatabase(mmdb.write(tmp_path / "a.mmdb", NETWORKS))
    before = database.layer(6)
    database.release()

    assert "DE" == database.look_up(Place(4, 0xC0000201))[0].country
    assert [Location()] == database.locations
    assert before.starts.high.tolist() == database.layer(6).starts.high.tolist()
    assert ["", "JP"] == [location.country for location in database.locations]


def test_a_replaced_file_does_not_change_an_open_database(tmp_path: Path) -> None:
    """An update swaps the file in; who has it open compiles and looks up what was opened."""
    database = MmdbDatabase(mmdb.write(tmp_path / "a.mmdb", NETWORKS))
    mmdb.write(tmp_path / "b.mmdb", {"0.0.0.0/0": RECORDS[2]}, record_size=32).replace(tmp_path / "a.mmdb")

    assert [0, 1, 2, 0] == database.layer(4).indexes.tolist()
    assert "FR" == database.look_up(Place(4, 0xC00002FF))[0].country


def test_networks_longer_than_64_are_kept(tmp_path: Path) -> None:
    """A database may name parts of a /64, and their scopes are as long."""
    database = MmdbDatabase(mmdb.write(tmp_path / "a.mmdb", NETWORKS))
    cells = cells_of(6, database.layer(6))
    asked = [0x2A00_0001_0002_0003_8000 << 48, 0x2A00_0001_0002_0003_C000 << 48]

    assert ["JP", ""] == [database.locations[cells.find(address).outcome].country for address in asked]
    assert [66, 66] == [cells.find(address).scope_prefix_length for address in asked]


# --- broken files -----------------------------------------------------------------------------------------------------


def whole(directory: Path, record_size: int = 24) -> bytes:
    return mmdb.write(directory / "whole", NETWORKS, record_size=record_size).read_bytes()


def made(tree: list[tuple[int, int]], ip_version: int = 4, record_size: int = 24, data: bytes = b"") -> bytes:
    """A file with exactly this tree: each node's left and right record."""
    octets = b"".join(record.to_bytes(record_size // 8) for node in tree for record in node)
    return octets + bytes(16) + data + mmdb.metadata(len(tree), ip_version, record_size, "Test", 1, "")


RECORD = mmdb.encode(RECORDS[0])
TRUNCATED = "is no MaxMind DB file, or a truncated one"
AT_OPENING: list[tuple[str, Callable[[Path], bytes], str]] = [
    ("empty", lambda _: b"", TRUNCATED),
    ("one octet", lambda _: b"\xab", TRUNCATED),
    ("text", lambda _: b"country,continent\nDE,EU\n" * 100, TRUNCATED),
    ("gzip", lambda _: b"\x1f\x8b\x08" + random.Random(1).randbytes(5000), TRUNCATED),
    ("random octets", lambda _: random.Random(2).randbytes(200_000), TRUNCATED),
    ("marker alone", lambda _: mmdb.MARKER, TRUNCATED),
    ("no metadata", lambda path: whole(path).partition(mmdb.MARKER)[0], TRUNCATED),
    ("metadata that is no map", lambda path: whole(path).partition(mmdb.MARKER)[0] + mmdb.MARKER + mmdb.encode("map"), TRUNCATED),
    ("metadata alone", lambda path: mmdb.MARKER + whole(path).partition(mmdb.MARKER)[2], TRUNCATED),
    ("record size 20", lambda _: bytes(99) + mmdb.metadata(1, 4, 20, "Test", 1, ""), TRUNCATED),
    ("record size 64", lambda _: bytes(99) + mmdb.metadata(1, 4, 64, "Test", 1, ""), TRUNCATED),
    ("more nodes than octets", lambda _: bytes(99) + mmdb.metadata(10_000, 4, 24, "Test", 1, ""), TRUNCATED),
    ("tree without separator", lambda _: bytes(6) + mmdb.metadata(50, 4, 24, "Test", 1, ""), ""),
    ("IP version 5", lambda _: bytes(99) + mmdb.metadata(1, 5, 24, "Test", 1, ""), ""),
]
CIRCLE = "has a search tree with a circle in it, or deeper than an address: it is corrupt"
OUTSIDE = "has a search tree that points outside its data: it is corrupt"
AT_COMPILING: list[tuple[str, bytes, str]] = [
    ("node that is its own left child", made([(0, 1)]), CIRCLE),
    ("node that is both its children", made([(0, 0)]), CIRCLE),
    ("two nodes in a circle", made([(1, 1), (0, 0)]), CIRCLE),
    ("circle on the way to IPv4", made([(0, 0)], ip_version=6), CIRCLE),
    ("circle in IPv6 only", made([(2, 1), (1, 1)], ip_version=6), CIRCLE),
    ("tree deeper than an IPv4 address", made([*((node + 1, 40) for node in range(39)), (40, 40)]), CIRCLE),
    ("pointer behind the file", made([(1, 2**24 - 1)]), OUTSIDE),
    ("pointer behind a file of 32 bits", made([(1, 2**32 - 1)], record_size=32), OUTSIDE),
    ("pointer into the separator", made([(1, 1 + 5)], data=RECORD), OUTSIDE),
    ("pointer to an unknown type", made([(1, 1 + 16)], data=b"\x00\xff" + RECORD), "has a broken record for 128.0.0.0"),
    ("text that is not UTF-8", made([(1, 1 + 16)], data=b"\xe1\x41a\x42\xff\xfe"), "has a broken record for 128.0.0.0"),
    ("map that ends in the file's end", made([(1, 1 + 16 + 4)], data=b"\xe1\x41a\xfe\xff"), "has a broken record for"),
]


@pytest.fixture(params=["C", "Python"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of maxminddb's two readers: which one is there depends on how it was installed."""
    if request.param == "Python":
        monkeypatch.setattr(maxminddb, "_extension", None)
    elif not getattr(maxminddb, "_extension", None):
        pytest.skip("maxminddb is installed without its C reader")


def compiled(path: Path) -> BadDatabase | None:
    """Open and compile a file: the fault that it has, if it has one."""
    try:
        Atlas([MmdbDatabase(path)], {}, []).partitions([RULES])
    except BadDatabase as error:
        return error
    return None


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("broken", "why"), [row[1:] for row in AT_OPENING], ids=[row[0] for row in AT_OPENING])
def test_what_is_no_database_is_one_problem(tmp_path: Path, broken: Callable[[Path], bytes], why: str) -> None:
    """A file that cannot be opened is named once, with the reason and a remedy."""
    path = tmp_path / "a.mmdb"
    path.write_bytes(broken(tmp_path))
    databases, problems = open_all([("shown.mmdb", path)])

    assert [] == databases
    assert [("shown.mmdb", 0, True)] == [(problem.file, problem.line, problem.is_error) for problem in problems]
    assert why in problems[0].message
    assert "geodns geo update" in problems[0].remedy


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("octets", "why"), [row[1:] for row in AT_COMPILING], ids=[row[0] for row in AT_COMPILING])
def test_a_corrupt_tree_is_a_bad_database(tmp_path: Path, octets: bytes, why: str) -> None:
    """What can be opened and not be compiled is BadDatabase with the path, quickly, and nothing else."""
    path = tmp_path / "a.mmdb"
    path.write_bytes(octets)
    error = compiled(path)

    assert error is not None
    assert str(path) == error.name
    assert why in str(error)


@pytest.mark.usefixtures("reader")
def test_every_truncation_is_a_bad_database(tmp_path: Path) -> None:
    """Cut anywhere, in its tree, its data or its metadata, a file is refused."""
    path, octets = tmp_path / "a.mmdb", whole(tmp_path)
    description = len("made for a test")  # a file's last octets, which one of the two readers takes when they are cut
    unnoticed = []
    for length in range(0, len(octets) - description, 11):
        path.write_bytes(octets[:length])
        found, problems = open_all([("a", path)])
        if found or [True] != [problem.is_error for problem in problems]:
            unnoticed.append((length, problems))

    assert [] == unnoticed


def damaged(octets: bytes) -> Iterator[bytes]:
    """Copies with nodes cut out of the tree, octets changed anywhere, and metadata that counts wrongly."""
    chance = random.Random(7)
    for size in (6, 60, 600, len(octets) // 2):
        yield octets[size:]
    for _ in range(150):
        copy = bytearray(octets)
        for _ in range(chance.choice((1, 3))):
            copy[chance.randrange(len(copy))] = chance.randrange(256)
        yield bytes(copy)
    tree, _, _ = octets.partition(mmdb.MARKER)
    for nodes in (0, 1, 2, 50, 95, 96, 97, 120):
        for ip_version in (4, 6):
            for record_size in (24, 28, 32):
                yield tree + mmdb.metadata(nodes, ip_version, record_size, "Test", 1, "")


@pytest.mark.usefixtures("reader")
def test_damage_is_a_bad_database_or_unnoticed(tmp_path: Path) -> None:
    """Whatever is changed in a file, it compiles, or is one problem or BadDatabase with its path: never another exception."""
    path, faults = tmp_path / "a.mmdb", []
    for octets in damaged(whole(tmp_path)):
        path.write_bytes(octets)
        databases, problems = open_all([(str(path), path)])
        faults += [problem for problem in problems if problem.is_error]
        if databases and (error := compiled(path)):
            assert str(path) == error.name
            faults.append(Problem(error.name, 0, str(error)))

    assert {str(path)} == {fault.file for fault in faults}


def test_a_broken_record_is_found_by_a_look_up_too(tmp_path: Path) -> None:
    """Who looks up without compiling gets BadDatabase as well."""
    path = tmp_path / "a.mmdb"
    path.write_bytes(made([(1, 1 + 16)], data=b"\xe1\x41a\x42\xff\xfe"))
    database = MmdbDatabase(path)

    assert Location() == database.look_up(Place(4, 1))[0]
    with pytest.raises(BadDatabase, match=r"has a broken record for 192\.0\.2\.1"):
        database.look_up(Place(4, 0xC0000201))


# --- all at once ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("reader")
def test_all_files_are_judged_at_once(tmp_path: Path) -> None:
    """Each file that cannot be used is one problem with its own remedy; the good one is opened beside them."""
    good = mmdb.write(tmp_path / "good.mmdb", NETWORKS)
    (tmp_path / "text.mmdb").write_text("no database")
    databases, problems = open_all([(name, tmp_path / name) for name in (".", "text.mmdb", "good.mmdb", "none.mmdb")])

    assert [good.name] == [database.name for database in databases]
    assert [
        (".", "is a directory, not a database", "name the .mmdb file itself"),
        ("text.mmdb", TRUNCATED, "fetch it again, for example with `geodns geo update`"),
        ("none.mmdb", "there is no such database", "correct geo.databases, or fetch it with `geodns geo update`"),
    ] == [(problem.file, problem.message, problem.remedy) for problem in problems]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.usefixtures("reader")
def test_what_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    """A missing permission is not a broken file."""
    path = mmdb.write(tmp_path / "a.mmdb", NETWORKS)
    path.chmod(0)

    assert ["may not be read"] == [problem.message for problem in open_all([("a", path)])[1]]


def test_other_faults_of_the_system_are_told(tmp_path: Path) -> None:
    """A name that is too long, or a loop of links, is told in the system's words."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    databases, problems = open_all([("long", tmp_path / ("x" * 300)), ("loop", tmp_path / "loop")])

    assert [] == databases
    assert [True, True] == [problem.message.startswith("cannot be read: ") for problem in problems]


ANONYMOUS: dict[str, object] = {"is_anonymous": True, "is_hosting_provider": True}
TELLING: list[tuple[str, dict[str, object], dict[str, str]]] = [
    ("country", {"192.0.2.0/24": RECORDS[0]}, {}),
    ("IPv6 only", {"2a00::/16": RECORDS[0]}, {}),
    ("AS numbers", {"192.0.2.0/24": RECORDS[3]}, {}),
    ("anycast flags", {"192.0.2.0/24": RECORDS[4]}, {}),
    ("one of three", {"192.0.2.0/24": ANONYMOUS, "198.51.100.0/24": RECORDS[5], "2a00::/16": RECORDS[0]}, {}),
    ("domains", {"192.0.2.0/24": RECORDS[5]}, {SILENT: REMEDY}),
    ("anonymous", {"192.0.2.0/24": ANONYMOUS, "2a00::/16": ANONYMOUS}, {SILENT: REMEDY}),
    ("nothing", {}, {SILENT: REMEDY}),
]  # fmt: skip


@pytest.mark.parametrize(("networks", "expected"), [row[1:] for row in TELLING], ids=[row[0] for row in TELLING])
def test_a_file_that_tells_nothing_of_places_is_refused(
    tmp_path: Path, networks: dict[str, object], expected: dict[str, str]
) -> None:
    """Some hundred of its records are looked at to know; with such a file nobody could be placed."""
    databases, problems = open_all([("a", mmdb.write(tmp_path / "a.mmdb", networks))])

    assert 1 == len(databases)
    assert expected == {problem.message: problem.remedy for problem in problems}
    assert {Severity.ERROR} >= {problem.severity for problem in problems}


def test_a_file_of_ipv4_only_is_warned_of(tmp_path: Path) -> None:
    """Clients with IPv6 would not be located, and nobody would know why."""
    databases, problems = open_all([("a", mmdb.write(tmp_path / "a.mmdb", {"192.0.2.0/24": RECORDS[0]}, ip_version=4))])

    assert 1 == len(databases)
    assert [Problem("a", 0, "covers IPv4 only", "add a database that covers IPv6", Severity.WARNING)] == problems


# --- through the front door -------------------------------------------------------------------------------------------

ZONE = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\nwww GEO country:DE A 192.0.2.2\n"


def site(directory: Path, *databases: str) -> Path:
    """A configuration with one zone whose answers depend on places."""
    (directory / "example.com.zone").write_text(ZONE)
    config = directory / "geodns.toml"
    config.write_text(f'geo.databases = {list(databases)}\n[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n')
    return config


def test_a_load_refuses_broken_databases_all_at_once(tmp_path: Path) -> None:
    """Each is one problem with its path; none hides another."""
    (tmp_path / "text.mmdb").write_text("no database")
    config = site(tmp_path, "none.mmdb", "text.mmdb", ".")
    with pytest.raises(ProblemsFound) as refused:
        daemon.load(config)

    assert [
        (str(tmp_path / "none.mmdb"), "there is no such database"),
        (str(tmp_path / "text.mmdb"), TRUNCATED),
        (str(tmp_path), "is a directory, not a database"),
    ] == [(problem.file, problem.message) for problem in refused.value.problems]


@pytest.mark.parametrize("octets", [row[1] for row in AT_COMPILING], ids=[row[0] for row in AT_COMPILING])
def test_a_load_refuses_a_corrupt_tree(tmp_path: Path, octets: bytes) -> None:
    """What is found only when records are read or the tree is compiled is one error with the path too."""
    (tmp_path / "a.mmdb").write_bytes(octets)
    with pytest.raises(ProblemsFound) as refused:
        daemon.load(site(tmp_path, "a.mmdb"))
    errors = [problem for problem in refused.value.problems if problem.is_error]

    assert [str(tmp_path / "a.mmdb")] == [problem.file for problem in errors]
    assert "corrupt" in errors[0].message or "broken" in errors[0].message


def test_a_load_goes_on_with_a_file_of_ipv4_only(tmp_path: Path) -> None:
    """It is used, and the operator is warned that IPv6 clients have no place."""
    mmdb.write(tmp_path / "four.mmdb", {"192.0.2.0/24": RECORDS[0]}, ip_version=4)
    loaded = daemon.load(site(tmp_path, "four.mmdb"))

    assert ["covers IPv4 only"] == [problem.message for problem in loaded.warnings]
    assert "DE" == loaded.snapshot.atlas.locate(Place(4, 0xC0000201)).location.country


def test_a_load_refuses_a_file_of_another_kind(tmp_path: Path) -> None:
    """A database of domains or proxies is a mistake: it could place nobody."""
    mmdb.write(tmp_path / "domain.mmdb", {"192.0.2.0/24": RECORDS[5]})
    with pytest.raises(ProblemsFound) as refused:
        daemon.load(site(tmp_path, "domain.mmdb"))

    assert [SILENT] == [problem.message for problem in refused.value.problems]

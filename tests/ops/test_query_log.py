"""Which queries are logged, what a line says of them, and what happens where a line cannot be written."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import cycle
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.query_log import QueryLog, Sample, entry
from geodns.problem import Severity

WHOLE = (32, 128)
CLIENT = ip_address("192.0.2.77")
AT = 1_700_000_000.25  # 2023-11-14T22:13:20.250Z


def question(name: str = "www.example.com.", rdtype: str = "A", subnet: str = "", *, dnssec: bool = False) -> bytes:
    """A query in wire form."""
    query = dns.message.make_query(name, rdtype, id=7)
    if subnet or dnssec:
        options: list[dns.edns.Option] = [dns.edns.ECSOption.from_text(subnet)] if subnet else []
        query.use_edns(0, dns.flags.DO if dnssec else 0, 1232, options=options)
    return query.to_wire()


def reply_to(octets: bytes, *answers: str, rcode: str = "NOERROR", scope: int | None = None) -> bytes:
    """A reply in wire form; answers are "TYPE RDATA"."""
    query = dns.message.from_wire(octets)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    reply.set_rcode(dns.rcode.from_text(rcode))
    for answer in answers:
        rdtype, _, rdata = answer.partition(" ")
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", rdtype, rdata))
    if scope is not None:
        [asked] = [option for option in query.options if isinstance(option, dns.edns.ECSOption)]
        reply.use_edns(0, options=[dns.edns.ECSOption(asked.address, asked.srclen, scope)])
    return reply.to_wire(max_size=65_535)


# --- what a line says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "answers", "rcode", "scope", "expected"),
    [
        (
            question(),
            ("A 198.51.100.1",),
            "NOERROR",
            None,
            "udp 192.0.2.77 www.example.com. A -> NOERROR aa+rd 49: A 198.51.100.1",
        ),
        (question(rdtype="TXT", dnssec=True), (), "NOERROR", None, "udp 192.0.2.77 www.example.com. TXT -> NOERROR aa+rd+do 44"),
        (
            question("no.example.", subnet="198.51.100.0/24"),
            (),
            "NXDOMAIN",
            20,
            "udp 192.0.2.77 for 198.51.100.0/24 no.example. A -> NXDOMAIN aa+rd 50 scope 20",
        ),
        (question(r"a\.b\010.example.", "TYPE65000"), (), "NOERROR", None, None),
    ],
    ids=["an answer", "no data", "no name", "an odd name"],
)
def test_a_line_says_who_asked_what_and_got_what(
    octets: bytes, answers: tuple[str, ...], rcode: str, scope: int | None, expected: str | None
) -> None:
    """A line has transport, client, client subnet, name and type, RCODE, flags, size, scope and answers."""
    said = entry(octets, reply_to(octets, *answers, rcode=rcode, scope=scope), CLIENT, "udp", WHOLE)

    assert (expected or r"udp 192.0.2.77 a\.b\010.example. TYPE65000 -> NOERROR aa+rd 30") == str(said)


def test_silence_and_nonsense_have_a_line_too() -> None:
    """A query that was not answered, and one that is none, are told as such."""
    assert "tcp 192.0.2.77 www.example.com. A -> no reply" == str(entry(question(), None, CLIENT, "tcp", WHOLE))
    assert "udp 192.0.2.77 (shorter than a header) -> no reply" == str(entry(b"\x00", None, CLIENT, "udp", WHOLE))


def test_a_reply_that_is_not_whole_has_its_rcode() -> None:
    """Of a reply that cannot be read, the header is shown."""
    said = entry(question(), bytes((0, 0, 0x80, 2, 0, 1)) + bytes(6), CLIENT, "udp", WHOLE)

    assert ("SERVFAIL", ()) == (said.rcode, said.answer)


@pytest.mark.parametrize(
    ("client", "subnet", "truncate", "shown"),
    [
        ("192.0.2.77", "198.51.100.0/24", (24, 48), ("192.0.2.0/24", "198.51.100.0/24")),
        ("192.0.2.77", "198.51.100.0/24", (16, 48), ("192.0.0.0/16", "198.51.0.0/16")),
        ("192.0.2.77", "2001:db8:1:2::/64", (0, 48), ("0.0.0.0/0", "2001:db8:1::/48")),
        ("2001:db8::1", "2001:db8::/32", (24, 48), ("2001:db8::/48", "2001:db8::/32")),
        ("2001:db8::1", "0.0.0.0/0", (32, 128), ("2001:db8::1", "0.0.0.0/0")),
    ],
)
def test_addresses_are_cut(client: str, subnet: str, truncate: tuple[int, int], shown: tuple[str, str]) -> None:
    """Clients and client subnets show no more bits than they may."""
    said = entry(question(subnet=subnet), None, ip_address(client), "udp", truncate)

    assert shown == (said.client, said.subnet)


ADDRESSES: st.SearchStrategy[IPv4Address | IPv6Address] = st.ip_addresses()


@given(ADDRESSES, ADDRESSES, st.integers(0, 32), st.integers(0, 128))
def test_the_bits_that_are_cut_leave_no_trace(
    one: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address, ipv4: int, ipv6: int
) -> None:
    """Two clients that differ only in hidden bits have the same line."""
    bits = (ipv4 if one.version == 4 else ipv6, one.max_prefixlen)
    hidden = int(other) & ((1 << (bits[1] - bits[0])) - 1)
    neighbour = type(one)((int(one) >> (bits[1] - bits[0]) << (bits[1] - bits[0])) | hidden)
    lines = {str(entry(QUERY, None, client, "udp", (ipv4, ipv6))) for client in (one, neighbour)}

    assert 1 == len(lines) or bits[0] == bits[1]


@given(st.binary(max_size=600), st.none() | st.binary(max_size=600))
def test_any_octets_have_one_short_line(octets: bytes, reply: bytes | None) -> None:
    """Whatever comes and goes, a line is printable ASCII."""
    said = str(entry(octets, reply, CLIENT, "udp", WHOLE))

    assert said.isascii()
    assert said.isprintable()


def test_the_longest_line_fits_into_a_pipe(tmp_path: Path) -> None:
    """However long names and answers are, a line is shorter than what a pipe takes as a whole."""
    name = ".".join(["\\000" * 61] * 4) + "."
    octets = question(name, "TXT", "2001:db8:1:2:3:4:5:6/128", dnssec=True)
    reply = reply_to(octets, *[f'TXT "{letter * 255}" "{chr(92)}000"' for letter in '"abcdefghijkl'.replace('"', "z")])
    log = QueryLog(tmp_path / "log", as_json=True, truncate=WHOLE)
    log.offer(octets, reply, CLIENT, "udp", AT)
    log.close()

    assert 1500 < (tmp_path / "log").stat().st_size < 4096
    assert "and 10 more" in (tmp_path / "log").read_text()


# --- which queries ------------------------------------------------------------------------------------------------


def taken(sample: Sample, batches: list[int], now: float = 0.0) -> list[int]:
    """The queries that are picked, counted through all batches."""
    found, start = [], 0
    for count in batches:
        picked = list(sample.picks(count, now))
        assert picked == sorted(set(picked))
        assert all(0 <= at < count for at in picked)
        found += [start + at for at in picked]
        start += count
    return found


BATCHES = st.lists(st.integers(1, 64), max_size=12)


@given(BATCHES)
def test_all_and_none_are_exact(batches: list[int]) -> None:
    """A share of 1 is every query, one of 0 is none."""
    assert list(range(sum(batches))) == taken(Sample(1.0, 1e9, random.Random(1).random), batches)
    assert [] == taken(Sample(0.0, 1e9, random.Random(1).random), batches)


@given(BATCHES, st.floats(1e-9, 0.999), st.integers(0, 1000))
def test_batches_do_not_matter(batches: list[int], share: float, seed: int) -> None:
    """Which queries are picked depends on chance only, not on how many come at once."""
    one_by_one = taken(Sample(share, 1e9, random.Random(seed).random), [1] * sum(batches))

    assert one_by_one == taken(Sample(share, 1e9, random.Random(seed).random), batches)


def test_the_share_is_what_was_asked_for() -> None:
    """Over many chances, spread evenly, one query in ten is picked for a share of a tenth."""
    chances = [(number + 0.5) / 1000 for number in range(1000)]
    random.Random(1).shuffle(chances)
    draw: Callable[[], float] = cycle(chances).__next__
    picked = taken(Sample(0.1, 1e9, draw), [64] * 2000)

    assert picked
    assert abs(len(picked) / (64 * 2000) - 0.1) < 0.002


@pytest.mark.parametrize("share", [5e-324, 1e-300, 1e-18])
def test_the_smallest_share_is_still_a_number(share: float) -> None:
    """No share is so small that its gap cannot be counted."""
    assert () == Sample(share, 1, lambda: 0.999999).picks(64, 0.0)


def test_no_more_than_the_bound_is_logged() -> None:
    """Of many queries as many are logged as the bound says for the time that passes, and the rest are counted."""
    sample = Sample(1.0, 8, random.Random(1).random)
    logged = [sum(len(sample.picks(64, eighth / 8)) for _ in range(20)) for eighth in range(81)]

    assert [8, *[1] * 80] == logged
    assert 81 * 20 * 64 - 88 == sample.refused


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    """Time that does not pass fills no bucket."""
    sample = Sample(1.0, 10, random.Random(1).random)

    assert 10 == len(sample.picks(64, 100.0))
    assert 0 == len(sample.picks(64, 50.0))
    assert 10 == len(sample.picks(64, 1000.0))


# --- where to -----------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[QueryLog]:
    """A log in a file."""
    made = QueryLog(tmp_path / "queries", as_json=False, truncate=WHOLE)
    assert [] == made.open()
    yield made
    made.close()


QUERY = question()
REPLY = reply_to(QUERY, "A 198.51.100.1")


def offer(log: QueryLog, at: float = AT) -> None:
    """A query and its reply."""
    log.offer(QUERY, REPLY, CLIENT, "udp", at)


def test_a_line_of_the_file_begins_with_the_time(log: QueryLog, tmp_path: Path) -> None:
    """The human form is time and entry; the file is nobody's but its owner's and group's."""
    offer(log)

    assert (
        "2023-11-14T22:13:20.250Z udp 192.0.2.77 www.example.com. A -> NOERROR aa+rd 49: A 198.51.100.1\n"
        == (tmp_path / "queries").read_text()
    )
    assert 0 == (tmp_path / "queries").stat().st_mode & 0o027


def test_a_line_of_json_has_every_part(tmp_path: Path) -> None:
    """The JSON form has every part of the entry, and the time."""
    log = QueryLog(tmp_path / "queries", as_json=True, truncate=WHOLE)
    offer(log)
    log.close()

    assert {
        "time": "2023-11-14T22:13:20.250Z",
        "transport": "udp",
        "client": "192.0.2.77",
        "subnet": "",
        "name": "www.example.com.",
        "type": "A",
        "flags": ["aa", "rd"],
        "rcode": "NOERROR",
        "answer": ["A 198.51.100.1"],
        "scope": "",
        "size": 49,
        "fault": "",
    } == json.loads((tmp_path / "queries").read_text())


@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_tells_the_instance(tmp_path: Path, as_json: bool) -> None:
    """Behind the time, for humans and for programs; a strange name is one word of ASCII all the same."""
    log = QueryLog(tmp_path / "queries", as_json=as_json, truncate=WHOLE, identity="fra\n\u00e4")
    offer(log)
    log.close()
    [line] = (tmp_path / "queries").read_text("ascii").splitlines()

    if as_json:
        assert ["time", "identity"] == list(json.loads(line))[:2]
        assert "fra\n\u00e4" == json.loads(line)["identity"]
    else:
        assert line.startswith(r"2023-11-14T22:13:20.250Z [fra\n\xe4] udp 192.0.2.77 ")


def test_without_a_file_queries_are_messages_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    """The log gets the entry as a message, and its parts as fields."""
    with caplog.at_level(logging.INFO, "geodns.queries"):
        log = QueryLog(None, as_json=False, truncate=WHOLE)
        assert [] == log.open()
        offer(log)

    [record] = caplog.records

    assert "udp 192.0.2.77 www.example.com. A -> NOERROR aa+rd 49: A 198.51.100.1" == record.getMessage()
    assert "192.0.2.77" == vars(record)["fields"]["client"]


def test_a_file_that_was_renamed_is_made_anew(log: QueryLog, tmp_path: Path) -> None:
    """Rotation by renaming needs no signal: within a second the next line begins a new file."""
    file = tmp_path / "queries"
    offer(log, AT)
    file.rename(tmp_path / "queries.1")
    offer(log, AT + 0.5)
    offer(log, AT + 1.5)

    counted = [(tmp_path / name).read_text().count("\n") for name in ("queries.1", "queries")]

    assert [2, 1] == counted
    assert (3, 0) == (log.written, log.dropped)


def test_a_place_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    """A missing directory is a warning with a remedy; lines are dropped and counted, until it is there."""
    log = QueryLog(tmp_path / "later" / "queries", as_json=False, truncate=WHOLE)
    [warning] = log.open()
    offer(log, AT)
    (tmp_path / "later").mkdir()
    offer(log, AT + 0.5)
    offer(log, AT + 1.5)
    log.close()

    assert (Severity.WARNING, True) == (warning.severity, bool(warning.remedy))
    assert (1, 2) == (log.written, log.dropped)


def test_a_clock_that_steps_back_does_not_end_the_trying(tmp_path: Path) -> None:
    """After a step back of the clock a file that was missing is tried for as before."""
    log = QueryLog(tmp_path / "later" / "queries", as_json=False, truncate=WHOLE)
    offer(log, AT)
    (tmp_path / "later").mkdir()
    offer(log, AT - 86_400)
    log.close()

    assert 1 == log.written


def test_a_pipe_that_nobody_reads_holds_nobody(tmp_path: Path) -> None:
    """Lines to a named pipe are dropped while nobody has it open, and when it is full."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    log = QueryLog(pipe, as_json=False, truncate=WHOLE)
    [warning] = log.open()
    offer(log, AT)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for number in range(2000):
        offer(log, AT + 2 + number / 1e6)
    first = os.read(reader, 1 << 20).decode()
    os.close(reader)
    offer(log, AT + 2.5)
    log.close()

    assert warning.message
    assert log.written == first.count("\n")
    assert 2002 == log.written + log.dropped
    assert log.written > 100
    assert log.dropped > 2


def test_a_full_disk_drops_lines_and_nothing_else() -> None:
    """Where there is no room lines are dropped and counted."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    log = QueryLog(Path("/dev/full"), as_json=False, truncate=WHOLE)
    offer(log)
    log.close()

    assert (0, 1) == (log.written, log.dropped)

"""Reading master files: every good line is read, every bad line is one problem with its own line number."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.problem import Problem
from geodns.wire import names
from geodns.wire.records import Type
from geodns.zone.master import MAX_DEPTH, Record, ZoneFile, origin_of, parse_text, read
from geodns.zone.records import rdtype_of, type_text

ORIGIN = names.from_text("example.com.")


def shown(record: Record) -> str:
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, rdtype_of(record.rdtype), record.rdata, 0, len(record.rdata))
    return f"{record.line} {names.to_text(record.owner)} {record.ttl} {type_text(record.rdtype)} {rdata}"


def lines(zone_file: ZoneFile) -> list[str]:
    assert () == zone_file.problems
    return [shown(record) for record in zone_file.records]


SOA = "a.example.com. b.example.com. 1 2 3 4 55"

READ: list[tuple[str, str, list[str]]] = [
    ("owner, TTL, class, type", "WWW 5 IN A 192.0.2.1", ["1 www.example.com. 5 A 192.0.2.1"]),
    ("class before TTL", "www IN 5 A 192.0.2.1", ["1 www.example.com. 5 A 192.0.2.1"]),
    ("class in small letters", "www In 5 a 192.0.2.1", ["1 www.example.com. 5 A 192.0.2.1"]),
    ("TTL units", "www 1h30m A 192.0.2.1", ["1 www.example.com. 5400 A 192.0.2.1"]),
    ("$TTL", "$TTL 7\na A 192.0.2.1\nb 9 A 192.0.2.1\nc A 192.0.2.1", ["2 a.example.com. 7 A 192.0.2.1", "3 b.example.com. 9 A 192.0.2.1", "4 c.example.com. 7 A 192.0.2.1"]),  # noqa: E501
    ("last TTL", "a 9 A 192.0.2.1\nb A 192.0.2.1", ["1 a.example.com. 9 A 192.0.2.1", "2 b.example.com. 9 A 192.0.2.1"]),
    ("SOA minimum", "@ SOA a b 1 2 3 4 55\nb A 192.0.2.1", [f"1 example.com. 55 SOA {SOA}", "2 b.example.com. 55 A 192.0.2.1"]),
    ("parentheses", "@ 9 SOA a b (\n 1 ; serial (\n 2 3\n 4 55 ) ; end\nb A 192.0.2.1", [f"1 example.com. 9 SOA {SOA}", "5 b.example.com. 9 A 192.0.2.1"]),  # noqa: E501
    ("parenthesis first", "(a 9\n A 192.0.2.1)", ["1 a.example.com. 9 A 192.0.2.1"]),
    ("blank owner", "a 9 A 192.0.2.1\n\t AAAA 2001:db8::1\n  \n", ["1 a.example.com. 9 A 192.0.2.1", "2 a.example.com. 9 AAAA 2001:db8::1"]),  # noqa: E501
    ("quotes", 'a 9 TXT "x ; (y" z "" ; c', ['1 a.example.com. 9 TXT "x ; (y" "z" ""']),
    ("escapes", 'a\\.b 9 TXT \\"x\\; "\\"\\;\\065"', ['1 a\\.b.example.com. 9 TXT "\\"x;" "\\";A"']),
    ("$ORIGIN", "$ORIGIN sub\na 9 NS b\n$ORIGIN org.\n@ NS B.", ["2 a.sub.example.com. 9 NS b.sub.example.com.", "4 org. 9 NS B."]),  # noqa: E501
    ("case of data", "a 9 CNAME Www.Example.NET.", ["1 a.example.com. 9 CNAME Www.Example.NET."]),
    ("origin as data", "a 9 CNAME @", ["1 a.example.com. 9 CNAME example.com."]),
    ("generic forms", "a 9 TYPE1 \\# 4 c0000201\nb CLASS1 TYPE65400 \\# 1 00", ["1 a.example.com. 9 A 192.0.2.1", "2 b.example.com. 9 TYPE65400 \\# 1 00"]),  # noqa: E501
    ("GEO and POOL", 'a 9 GEO continent:EU A 192.0.2.1\na GEO "x y" CNAME b\na POOL "app"', ["1 a.example.com. 9 GEO continent:EU A 192.0.2.1", '2 a.example.com. 9 GEO "x y" CNAME b.example.com.', "3 a.example.com. 9 POOL app"]),  # noqa: E501
    ("an owner like a type", "a 9 A 192.0.2.1\nIN 9 A 192.0.2.1", ["1 a.example.com. 9 A 192.0.2.1", "2 in.example.com. 9 A 192.0.2.1"]),  # noqa: E501
    ("carriage returns", "\ufeffa 9 A 192.0.2.1\r\nb A 192.0.2.1\r\n", ["1 a.example.com. 9 A 192.0.2.1", "2 b.example.com. 9 A 192.0.2.1"]),  # noqa: E501
    ("$GENERATE", "$GENERATE 1-3/2 h$ 9 A 192.0.2.$", ["1 h1.example.com. 9 A 192.0.2.1", "1 h3.example.com. 9 A 192.0.2.3"]),
    ("$GENERATE all data", '$GENERATE 1-1 ${0,3} 9 MX "1$ m${-1}"', ["1 001.example.com. 9 MX 11 m0.example.com."]),
    ("nothing", "; only words\n\n   ; more", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_good_lines_are_read(text: str, expected: list[str]) -> None:
    """RFC 1035 §5.1 and RFC 2308 §4 as written: owners, TTLs, classes, directives, quoting."""
    assert expected == lines(parse_text(text, ORIGIN))


FAULTS: list[tuple[str, list[tuple[int, str]]]] = [
    ("a 9 AA 192.0.2.1", [(1, "unknown type 'AA' (did you mean A or AAAA?)")]),
    ("a 9 ALIAS www", [(1, "unknown type 'ALIAS' (write the addresses, or a POOL record")]),
    ("a 9 lua A x", [(1, "unknown type 'lua' (write GEO or POOL records")]),
    ("a 9 MAILX x", [(1, "unknown type 'MAILX' (write a type such as A")]),
    ("# hosts of the office", [(1, "unknown type 'hosts' (a comment begins with ;)")]),
    ("a 9 A 192.0.2.1 # office", [(1, "is more than A data holds (a comment begins with ;)")]),
    ('a 9 MX "10 # x', [(1, "(balance it")]),
    ("a 9 A", [(1, "a record of type A without data (write an IPv4 address")]),
    ("a 9 A 192.0.2.256", [(1, "'192.0.2.256' is no A data (write an IPv4 address such as 192.0.2.1)")]),
    ("a 9 A 192.0.2.1 192.0.2.2", [(1, "is more than A data holds")]),
    ("a 9 MX mail", [(1, "'mail' is no MX data")]),
    ("a 9 GEO eu A 1.2", [(1, "'1.2' is no A data (write an IPv4 address such as 192.0.2.1)")]),
    ("a 9 GEO eu AA 192.0.2.1", [(1, "unknown type 'AA' (did you mean A or AAAA?)")]),
    ("a 9 GEO eu 192.0.2.1", [(1, "'eu 192.0.2.1' is no GEO data: unknown type '192.0.2.1' after the selector")]),
    ("a 9 GEO eu GEO eu A 192.0.2.1", [(1, "is no GEO data: GEO cannot cover GEO")]),
    ("a 9", [(1, "no type: the record ends too early")]),
    ("a 9x A 192.0.2.1", [(1, "'9x' is neither a TTL nor a type")]),
    ("a 99999999999 A 192.0.2.1", [(1, "'99999999999' is neither a TTL")]),
    ("a 9 CH A 192.0.2.1", [(1, "class CH, but only IN is served")]),
    ("a 9 ANY 192.0.2.1", [(1, "type ANY is for messages")]),
    ("a A 192.0.2.1", [(1, "no TTL is known for this record (state one, or write $TTL")]),
    ("  9 A 192.0.2.1", [(1, "no owner")]),
    ("a..b 9 A 192.0.2.1\n 9 A 192.0.2.1", [(1, "'a..b' is no domain name: an empty label")]),
    ('a 9 TXT "x\nb 9 A 192.0.2.300', [(1, "quoted string does not end"), (2, "no A data")]),
    ('a 9 TXT ( "x\n "y" )\nb 9 A 192.0.2.300', [(1, "quoted string does not end"), (3, "no A data")]),
    ("a 9 TXT ( x\\\n y )\nb 9 A 192.0.2.300", [(1, "backslash at the end of a line"), (3, "no A data")]),
    ("a 9 TXT x )\nb 9 A 192.0.2.300", [(1, "closing parenthesis"), (2, "no A data")]),
    ("a 9 MX (\n 10\n x y )\nb 9 A 192.0.2.300", [(1, "more than MX data holds"), (4, "no A data")]),
    ("a 9 TXT ( x\n y\nb 9 A 192.0.2.300\nc 9 A 192.0.2.301", [(1, "never closed"), (3, "no A"), (4, "no A")]),
    ("$TTL\na A 192.0.2.1", [(1, "$TTL is followed by 0 words (write $TTL 300)")]),
    ("$ORIGIN a..b.", [(1, "'a..b.' is no domain name")]),
    ("$TLL 300", [(1, "unknown directive '$TLL' (did you mean $TTL?)")]),
    ("$INCLUDE other", [(1, "no directory to read from")]),
    ("$GENERATE 1-65537 a$ 9 A 192.0.2.1", [(1, "more than 65536 records")]),
    ("$GENERATE 9-1 a$ 9 A 192.0.2.1", [(1, "an empty range")]),
    ("$GENERATE x a$ 9 A 192.0.2.1", [(1, "without a range")]),
    ("$GENERATE 250-300 a$ 9 A 192.0.2.$", [(1, "'192.0.2.256' is no A data")]),
    ("$GENERATE 1-9 a${x} 9 A 192.0.2.$", [(1, "'${x}' is no modifier")]),
    ("a 9 TXT " + "x" * 255 + " " + "y" * 256, [(1, "no TXT data")]),
    ("a 9 TXT " + ("x" * 255 + " ") * 257, [(1, "65792 octets of data, more than 65535")]),
    ("@ SOA a b 1 2 3\na A 192.0.2.1", [(1, "no SOA data")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FAULTS)
def test_each_bad_line_is_one_problem(text: str, expected: list[tuple[int, str]]) -> None:
    """A fault is told once, at its line, with a remedy, and in an operator's words."""
    problems = parse_text(text, ORIGIN, "z").problems

    assert [line for line, _fragment in expected] == [problem.line for problem in problems]
    for problem, (_line, fragment) in zip(problems, expected, strict=True):
        assert fragment in str(problem)
        assert problem.remedy
        assert "exception" not in str(problem)


@pytest.mark.timeout(10)
def test_many_parentheses_that_nobody_closes_take_no_longer_each() -> None:
    """Each is a fault of its own line, found without reading the rest of the file for it."""
    count = 10_000
    found = parse_text("$TTL 60\n" + "h A ( 192.0.2.1\n" * count, ORIGIN)

    assert list(range(2, count + 2)) == [problem.line for problem in found.problems]


def test_forty_bad_lines_are_forty_problems() -> None:
    """Good lines between bad ones are read, and every bad one is reported with its line."""
    text = "$TTL 9\n" + "good A 192.0.2.1\nbad A 192.0.2.300\n" * 40
    zone_file = parse_text(text, ORIGIN)

    assert list(range(3, 83, 2)) == [problem.line for problem in zone_file.problems]
    assert list(range(2, 82, 2)) == [record.line for record in zone_file.records]


@given(st.text(alphabet='a1 \t\n\\"();$@.A{},-#/é\x85', max_size=60))
def test_any_text_is_read_or_reported(text: str) -> None:
    """No text raises, and every line number is one of the text's."""
    zone_file = parse_text("$TTL 9\n" + text, ORIGIN)

    last = text.count("\n") + 2
    assert all(1 <= record.line <= last for record in zone_file.records)
    assert all(1 <= problem.line <= last for problem in zone_file.problems)


DATA = st.sampled_from(
    ["A 192.0.2.1", "AAAA 2001:db8::1", "MX 10 Mail", 'TXT "a b" c', "CNAME other", "NS ns.example.net.", "SRV 0 5 80 x"]
)


@given(st.dictionaries(st.sampled_from(["a", "b.c", "@", "*.d"]), DATA), st.sampled_from([" ", " IN ", "\t9 IN  "]))
def test_plain_zones_read_as_dnspython_reads_them(owned: dict[str, str], between: str) -> None:
    """The records of a zone are those that dnspython's own reader finds."""
    text = "$TTL 60\n" + "".join(f"{owner}{between}{data}\n" for owner, data in owned.items())
    oracle = dns.zone.from_text(text, dns.name.from_text("example.com."), relativize=False, check_origin=False)
    expected = {(owner.to_wire(), ttl, rdata.to_wire()) for owner, ttl, rdata in oracle.iterate_rdatas()}

    assert expected == {(record.owner, record.ttl, record.rdata) for record in parse_text(text, ORIGIN).records}


FORMS = [
    (Type.A, ["192.0.2.1", "01.2.3.4", "1.2.3.256", "1.2.3", "1.2.3.4.", "\\# 4 01020304", '"1.2.3.4"']),
    (
        Type.AAAA,
        ["::1", "::ffff:1.2.3.4", "1::2::3", "fe80::1%eth0", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::01.2.3.4", "::1/64"],
    ),
    (Type.CNAME, ["ns", "ns.", "@", "@.", "a..b", "..", "*", "x" * 64, "x." * 128, "\\065", "é", "a@b"]),
    (Type.TXT, ["x", '"a;b" c', "\\065", '""']),
]
TYPE_WORDS = {Type.A: ["A", "a", "TYPE1"], Type.AAAA: ["AAAA", "TYPE28"], Type.CNAME: ["CNAME"], Type.TXT: ["TXT"]}
SELECTORS = ["continent:EU", "eu", "net:::/0", '"a b"', "\\065", "x" * 255, "x" * 256, "é", "@", "a,b"]


@st.composite
def rdata_texts(draw: st.DrawFn) -> tuple[int, str]:
    """A type and a text that is nearly its RDATA, or quite: inside GEO, or inside GEO in GEO, or as it is."""
    rdtype, forms = draw(st.sampled_from(FORMS))
    text = draw(st.sampled_from(forms))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from('019aF.:%/\\@*_-+ \t"#é١')) + text[at + draw(st.integers(0, 1)) :]
    word = draw(st.sampled_from([*TYPE_WORDS[rdtype], "ANY", "TYPE0", "OPT", "BOGUS"]))
    for _ in range(draw(st.integers(0, 2))):
        rdtype, text, word = (
            Type.GEO,
            f"{draw(st.sampled_from(SELECTORS))} {word} {text}",
            draw(st.sampled_from(["GEO", "TYPE65280"])),
        )
    return rdtype, text.strip(" \t")


@settings(max_examples=1000)
@given(rdata_texts())
def test_what_is_read_the_quick_way_is_what_dnspython_reads(case: tuple[int, str]) -> None:
    """The shorter way of the commonest types takes no text that dnspython refuses, and makes the same of all others."""
    rdtype, text = case
    origin = dns.name.from_text("example.com.")
    try:
        expected = dns.rdata.from_text(dns.rdataclass.IN, rdtype_of(rdtype), text, origin, relativize=False).to_wire()
    except (dns.exception.DNSException, ValueError):
        expected = None

    assert [expected] * (expected is not None) == [
        record.rdata for record in parse_text(f"a 9 {type_text(rdtype)} {text}\n", ORIGIN).records
    ]


@given(st.text(alphabet="aßéÉ☃。.-_*İ\u200d", min_size=1, max_size=8))
def test_an_owner_and_a_target_of_one_text_are_one_name(text: str) -> None:
    """Names beyond ASCII mean the same on both sides of a record, or nothing on either; only in data is case kept."""
    text += "é"
    owner, target = (parse_text(line, ORIGIN) for line in (f"{text} 9 TXT x\n", f"a 9 CNAME {text}\n"))

    assert bool(owner.problems) == bool(target.problems)
    assert [record.owner for record in owner.records] == [record.rdata.lower() for record in target.records]


@pytest.mark.parametrize("modifier", ["", "{0}", "{-3}", "{5,4}", "{0,3,x}", "{0,3,X}", "{0,5,o}", "{0,7,n}", "{9,8,N}"])
def test_generate_counts_as_dnspython_does(modifier: str) -> None:
    """BIND's modifiers of `$GENERATE` give the same owners as dnspython gives."""
    text = f"$TTL 60\n$GENERATE 3-40/7 h${modifier}x A 192.0.2.$\n"
    oracle = dns.zone.from_text(text, dns.name.from_text("example.com."), relativize=False, check_origin=False)

    expected = {names.lower(owner.to_wire() or b"") for owner, _ttl, _rdata in oracle.iterate_rdatas()}

    assert expected == {record.owner for record in parse_text(text, ORIGIN).records}


def included(directory: Path, text: str, **others: str) -> ZoneFile:
    """Read a zone file that lies beside others."""
    zones = directory / "zones"
    zones.mkdir()
    for name, content in others.items():
        (zones / name).write_text(content)
    (zones / "main").write_text(text)
    return read(zones / "main", ORIGIN)


def test_included_files_are_read_in_place(tmp_path: Path) -> None:
    """An included file has its own origin and owner and leaves those of its parent alone; its lines keep its name."""
    found = included(tmp_path, "a 9 A 192.0.2.1\n$INCLUDE sub s\n AAAA ::1\n", sub="b A 192.0.2.2\nc A bad\n$ORIGIN x.\n")

    assert ["1 a.example.com. 9 A 192.0.2.1", "1 b.s.example.com. 9 A 192.0.2.2", "3 a.example.com. 9 AAAA ::1"] == [
        shown(record) for record in found.records
    ]
    assert [(str(tmp_path / "zones" / "sub"), 2)] == [(problem.file, problem.line) for problem in found.problems]


def told(problems: tuple[Problem, ...]) -> list[tuple[str, int, str]]:
    return [(Path(problem.file).name, problem.line, problem.message) for problem in problems]


def test_includes_stay_in_the_directory(tmp_path: Path) -> None:
    """Neither `..`, an absolute path nor a symbolic link leads out of the zone file's directory."""
    outside = tmp_path / "outside"
    outside.write_text("a 9 A 192.0.2.1\n")
    (tmp_path / "link").symlink_to(outside)
    found = included(tmp_path, f"$INCLUDE ../outside\n$INCLUDE {outside}\n$INCLUDE ../link\n$INCLUDE absent\n$INCLUDE .\n")

    assert () == found.records
    assert 3 == sum("outside the zone file's directory" in problem.message for problem in found.problems)
    assert [("main", 4), ("main", 5)] == [entry[:2] for entry in told(found.problems)[3:]]


def test_cycles_and_depth_end(tmp_path: Path) -> None:
    """A file that includes itself, and a chain that is too deep, are problems at the line that goes too far."""
    chain = {f"f{level}": f"$INCLUDE f{level + 1}\n" for level in range(1, MAX_DEPTH + 2)}
    found = included(tmp_path, "$INCLUDE self\n$INCLUDE f1\n", self="$INCLUDE main\n$INCLUDE self\n", **chain)

    assert [
        ("self", 1, "$INCLUDE main: includes itself"),
        ("self", 2, "$INCLUDE self: includes itself"),
        (f"f{MAX_DEPTH - 1}", 1, f"$INCLUDE f{MAX_DEPTH}: more than {MAX_DEPTH} files deep"),
    ] == told(found.problems)


UNREADABLE: list[tuple[str, Callable[[Path], object], str]] = [
    ("absent", lambda _path: None, "No such file"),
    ("directory", lambda path: path.mkdir(), "is a directory"),
    ("gzip", lambda path: path.write_bytes(gzip.compress(b"a A 192.0.2.1\n")), "is packed by gzip"),
    ("UTF-16", lambda path: path.write_text("a A 192.0.2.1\n", "utf-16"), "is UTF-16 text"),
    ("NUL", lambda path: path.write_bytes(b"a\nb\0c\n"), "NUL octet on line 2"),
    ("Latin-1", lambda path: path.write_bytes(b"a\n\xfc\n"), "octet 0xfc on line 2"),
    ("link loop", lambda path: path.symlink_to(path), "cannot be read"),
]


@pytest.mark.parametrize(("make", "fragment"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
def test_a_file_that_is_no_text_is_one_problem(tmp_path: Path, make: Callable[[Path], object], fragment: str) -> None:
    """What cannot be read at all is one problem of the whole file, with a remedy, and never an exception."""
    path = tmp_path / "z"
    make(path)
    (problem,) = read(path, ORIGIN).problems

    assert (str(path), 0) == (problem.file, problem.line)
    assert fragment in problem.message
    assert problem.remedy


ORIGINS = [
    ("x.zone", "$ORIGIN example.org.\n@ 9 SOA a b 1 2 3 4 5\n", "example.org."),
    ("x.zone", "example.net. 9 IN SOA a b 1 2 3 4 5\n$ORIGIN sub.example.net.\n", "example.net."),
    ("x.zone", "$ORIGIN org.\nexample 9 SOA a b 1 2 3 4 5\n", "example.org."),
    ("x.zone", "www 9 A 192.0.2.1\n$ORIGIN example.org.\n", "example.org."),
    ("example.com.zone", "@ 9 SOA a b 1 2 3 4 5\n", "example.com."),
    ("db.example.com", "", "example.com."),
    ("example.com.txt", "", "example.com."),
]


@pytest.mark.parametrize(("name", "text", "expected"), ORIGINS)
def test_a_file_tells_its_origin(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """The SOA's owner, else `$ORIGIN`, else the file's name says which zone a file holds."""
    (tmp_path / name).write_text(text)

    assert names.from_text(expected) == origin_of(tmp_path / name)


def test_no_origin_can_be_told(tmp_path: Path) -> None:
    """A file whose name is no domain name and that says nothing has no origin."""
    (tmp_path / "a..b.zone").write_text("")

    assert origin_of(tmp_path / "a..b.zone") is None

"""Warnings of zones together: who wins, who is never asked, and what parent and child, or a zone's servers, have at odds."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.answer import lint
from geodns.geo import parse_place
from geodns.problem import Problem, Severity
from geodns.wire import from_text
from geodns.zone import Doubts, ZoneContents, load
from tests.support.world import read_zone

HEAD = "$TTL 300\n@ SOA ns.example.net. h.example.net. 1 2 3 4 60\n@ NS ns.example.net.\n"
SOA = "$TTL 300\n@ SOA ns.example.net. h.example.net. 1 2 3 4 60\n"


def test_two_rules_for_the_same_clients_are_pointed_out() -> None:
    """Of two rules that name the same clients equally well one never wins there: a warning says which."""
    contents = [read_zone("example.", HEAD + "www A 192.0.2.1\nwww GEO continent:EU A 192.0.2.2\nwww GEO eu A 192.0.2.3\n")]

    [problem] = lint(contents, {"eu": (parse_place("continent:EU"),)})

    assert (Severity.WARNING, "example.zone") == (problem.severity, problem.file)
    assert "www.example.: GEO continent:EU and GEO eu both name continent:EU; continent:EU wins" == problem.message
    assert [] == lint(contents, {"eu": (parse_place("country:FR"),)})


def test_a_served_child_that_its_served_parent_does_not_delegate_is_told() -> None:
    """Resolvers that come from the parent would never ask for such a zone: a warning names both and the remedy."""
    parent = read_zone("example.", HEAD)
    delegating = read_zone("example.", HEAD + "child NS ns.example.net.\n")
    child = read_zone("child.example.", HEAD)
    found = lint([parent, child], {})

    assert ["zone child.example. is not delegated by example., which is served here too"] == [item.message for item in found]
    assert [] == lint([delegating, child], {})
    assert "add NS records for child.example. to example.zone" == found[0].remedy


def test_a_served_zone_below_a_redirection_cannot_be_delegated() -> None:
    """No NS record may stand below a DNAME, so the remedy is another."""
    parent = read_zone("example.", HEAD + "d DNAME example.net.\n")

    [found] = lint([parent, read_zone("child.d.example.", HEAD)], {})

    assert "take the DNAME of d.example. out of example.zone: nothing can be below it (RFC 6672 §2.4)" == found.remedy


def anycast(rdata: bytes) -> str | None:
    """9.0.0.0/8 and 2620::/16 are."""
    return "listed" if rdata[:1] == b"\x09" or rdata[:2] == b"\x26\x20" else None


def served(directory: Path, **zones: str) -> list[ZoneContents]:
    """Zones out of files, each file named like its zone, an underscore for each dot."""
    origins = {key: from_text(key.replace("_", ".") + ".") for key in zones}
    doubts = Doubts(lambda _selector: None, anycast, frozenset(origins.values()))
    found = []
    for key, text in zones.items():
        (directory / key).write_text(SOA + text)
        contents, problems = load(directory / key, origins[key], lambda _: None, lambda _: None, doubts)
        assert contents, problems
        found.append(contents)
    return found


def told(directory: Path, problems: list[Problem]) -> list[str]:
    """Each warning as file:line: message, without the directory."""
    assert all(problem.severity is Severity.WARNING and problem.remedy for problem in problems)
    return [f"{Path(each.file).name}:{each.line}: {each.message}".replace(f"{directory}/", "") for each in problems]


MIXED = [
    ("@ NS a\n@ NS b\na A 9.9.9.9\nb A 192.0.2.1\n", "example:3: the servers of example. are of two kinds: "
     "a.example. is anycast (listed), of b.example. (192.0.2.1) no list says so"),
    ("@ NS b\n@ NS a\na AAAA 2620:fe::fe\nb AAAA 2001:db8::1\n", "example:3: the servers of example. are of two kinds: "
     "a.example. is anycast (listed), of b.example. (2001:db8::1) no list says so"),
    ("@ NS a\na A 9.9.9.9\na A 192.0.2.1\n", "example:3: the servers of example. are of two kinds: "
     "a.example. is anycast (listed), of a.example. (192.0.2.1) no list says so"),
    ("@ NS a\n@ NS b\na A 9.9.9.9\nb A 9.9.9.10\n", ""),
    ("@ NS a\n@ NS b\na A 192.0.2.1\nb A 192.0.2.2\n", ""),
    ("@ NS a\n@ NS b\na A 9.9.9.9\nb AAAA 2001:db8::1\n", ""),
    ("@ NS a\n@ NS ns.example.net.\na A 9.9.9.9\n", ""),
    ("@ NS a.sub\n@ NS b\nsub NS a.sub\na.sub A 9.9.9.9\nb A 192.0.2.1\n", "example:3: the servers of example. are of two kinds: "
     "a.sub.example. is anycast (listed), of b.example. (192.0.2.1) no list says so"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MIXED)
def test_servers_of_two_kinds_are_told(tmp_path: Path, text: str, expected: str) -> None:
    """RFC 9199 §3.1: within a family some servers are anycast, and of others no list says so; who is not known is not judged."""
    assert [expected] * bool(expected) == told(tmp_path, lint(served(tmp_path, example=text), {}, anycast))


def test_servers_in_another_zone_served_here_are_known(tmp_path: Path) -> None:
    """The addresses of a zone's servers may be in any zone that is served here."""
    zones = served(tmp_path, example="@ NS a.test.\n@ NS b.test.\n", test="@ NS a\na A 9.9.9.9\nb A 192.0.2.1\n")

    assert [
        "example:3: the servers of example. are of two kinds: a.test. is anycast (listed), of b.test. (192.0.2.1) no list says so"
    ] == told(tmp_path, lint(zones, {}, anycast))


AT_ODDS = [
    ("sub 300 NS ns.example.net.\n", "@ 300 NS ns.example.net.\n", []),
    ("sub 300 NS NS.example.net.\n", "@ 300 NS ns.example.net.\n", []),
    ("sub 3600 NS ns.example.net.\n", "@ 300 NS ns.example.net.\n",
     ["example:4: sub.example. NS has TTL 3600, and 300 in the zone sub.example. itself (sub_example:3)"]),
    ("sub 300 NS ns.example.net.\n", "@ 300 NS other.example.net.\n",
     ["example:4: sub.example. NS is not what the zone sub.example. itself says (sub_example:3)"]),
    ("sub NS ns.sub\nns.sub A 65.0.0.1\n", "@ NS ns\nns A 97.0.0.1\n",
     ["example:5: ns.sub.example. A is not what the zone sub.example. itself says (sub_example)"]),
    ("sub NS ns.sub\nns.sub 60 AAAA 2001:db8::1\n", "@ NS ns\nns AAAA 2001:db8::1\n",
     ["example:5: ns.sub.example. AAAA has TTL 60, and 300 in the zone sub.example. itself (sub_example)"]),
    ("sub NS ns.sub\nns.sub A 192.0.2.1\n", "@ NS ns\nns A 192.0.2.1\nns AAAA 2001:db8::1\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("parent", "child", "expected"), AT_ODDS)
def test_a_delegation_at_odds_with_the_zone_is_told(tmp_path: Path, parent: str, child: str, expected: list[str]) -> None:
    """RFC 9199 §3.6: NS records and glue, their TTLs and their data, are the same on both sides of a cut served here."""
    zones = served(tmp_path, example="@ NS ns.example.net.\n" + parent, sub_example=child)

    assert expected == told(tmp_path, lint(zones, {}, anycast))
    assert told(tmp_path, lint(zones, {}, anycast)) == told(tmp_path, lint(zones[::-1], {}, anycast))


def test_warnings_of_a_kind_are_bounded(tmp_path: Path) -> None:
    """A parent with a hundred children at odds prints twenty lines and the number of the others."""
    parent = "".join(f"c{number} 60 NS ns.example.net.\n" for number in range(100))
    children = {f"c{number}_example": "@ NS ns.example.net.\n" for number in range(100)}
    found = lint(served(tmp_path, example="@ NS ns.example.net.\n" + parent, **children), {}, anycast)

    assert 21 == len(found)
    assert "and 80 more like those above" == found[-1].message

"""What is surely not meant in a zone: rules among anycast addresses, selectors of anycast networks; with lines, and few."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.problem import Problem, Severity, errors
from geodns.wire import from_text
from geodns.zone import Doubts, load, parse_text
from geodns.zone.doubts import border, doubts_of

ORIGIN = from_text("example.")
HEAD = "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\n"


def anycast(rdata: bytes) -> str | None:
    """9.0.0.0/8 and 2620::/16 are."""
    return "listed" if rdata[:1] == b"\x09" or rdata[:2] == b"\x26\x20" else None


def selector(text: str) -> str | None:
    return f"'{text}' is odd; leave it" if text == "odd" else None


DOUBTS = Doubts(selector, anycast, frozenset({ORIGIN}))
WITHOUT_EFFECT = "GEO {} of {}.example. has no effect: all addresses are anycast (listed), so routing chooses the site"
CASES = [
    ("www A 9.9.9.9\nwww GEO eu A 9.9.9.10\nwww GEO as A 9.9.9.9\n", [(6, WITHOUT_EFFECT.format("A", "www"))]),
    ("www AAAA 2620:fe::9\nwww GEO eu AAAA 2620:fe::fe\n", [(6, WITHOUT_EFFECT.format("AAAA", "www"))]),
    ("www GEO eu A 9.9.9.10\nwww A 9.9.9.9\nwww A 9.9.9.8\n", [(5, WITHOUT_EFFECT.format("A", "www"))]),
    ("*.w A 9.9.9.9\n*.w GEO eu A 9.9.9.10\n", [(6, WITHOUT_EFFECT.format("A", "*.w"))]),
    ("www A 192.0.2.1\nwww GEO eu A 9.9.9.10\n", []),
    ("www A 9.9.9.9\nwww GEO eu A 192.0.2.1\nwww GEO as A 9.9.9.9\n", []),
    ("www A 9.9.9.9\nwww AAAA 2001:db8::1\nwww GEO eu AAAA 2620:fe::fe\n", []),
    ("www A 9.9.9.9\nwww A 9.9.9.10\n", []),
    ("t TXT a\nt GEO eu TXT b\n", []),
    ("t TXT a\nt GEO odd TXT b\nu TXT a\nu GEO odd TXT b\n", [(6, "'odd' is odd; leave it")]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_surely_not_meant_is_told_with_its_line(tmp_path: Path, text: str, expected: list[tuple[int, str]]) -> None:
    """Rules are without effect exactly where every address they choose among is anycast; a selector is told of once."""
    path = tmp_path / "example.zone"
    path.write_text(HEAD + text)
    contents, problems = load(path, ORIGIN, lambda _: None, lambda _: None, DOUBTS)

    assert contents
    assert expected == [(problem.line, problem.message) for problem in problems]
    assert {Severity.WARNING} >= {problem.severity for problem in problems}


def test_a_zone_that_is_refused_is_not_doubted(tmp_path: Path) -> None:
    """Errors come first: what a broken zone would mean is nobody's guess."""
    path = tmp_path / "example.zone"
    path.write_text(HEAD + "www A 9.9.9.9\nwww GEO eu A 9.9.9.10\nwww GEO eu AAAA 2620:fe::fe\n")
    contents, problems = load(path, ORIGIN, lambda _: None, lambda _: None, DOUBTS)

    assert None is contents
    assert problems == errors(problems)


@given(st.integers(0, 60))
def test_a_large_zone_prints_few_lines(count: int) -> None:
    """Of each kind twenty warnings, and one that says how many more there are."""
    text = HEAD + "".join(f"h{number} A 9.9.9.9\nh{number} GEO eu A 9.9.9.9\n" for number in range(count))
    found: list[Problem] = doubts_of(parse_text(text, ORIGIN).records, DOUBTS)

    assert min(count, 21) == len(found)
    if count > 21:
        assert f"and {count - 20} more like those above" == found[-1].message


def test_the_border_is_where_served_zones_meet() -> None:
    """A zone's own servers, delegations to zones that are served too, and the glue at and below those; nothing else."""
    text = HEAD + "a NS ns.a\nns.a A 192.0.2.1\nx.y.a AAAA 2001:db8::1\nb NS ns.b\nns.b A 192.0.2.2\na TXT no\nba A 192.0.2.3\n"
    served = frozenset(map(from_text, ("example.", "a.example.", "test.", "x.y.z.example.")))

    assert [3, 5, 6, 7] == [record.line for record in border(ORIGIN, parse_text(text, ORIGIN).records, served)]
    assert [3] == [record.line for record in border(ORIGIN, parse_text(text, ORIGIN).records, frozenset({ORIGIN}))]

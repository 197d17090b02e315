"""Owns random zones of every shape, nested in each other, as a strategy; refuses to know what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from hypothesis import strategies as st

from geodns.problem import errors
from geodns.wire import from_text
from geodns.zone import ZoneContents, build, check, parse_text

ORIGINS = (".", "z.", "a.z.", "b.a.z.", "*.z.", "x.y.z.", "q.")
"""Zones that lie in each other, with and without one between, and beside each other."""

LABELS = ("a", "b", "*", "ns", "x", "\\000", "A1")
PLAIN = ("A", "AAAA", "TXT", "CNAME", "DNAME", "NS", "MX", "SRV", "DS")
"""Types that every server knows."""

ALL = (*PLAIN, "HTTPS", "SVCB", "PTR", "TYPE97", "TYPE24929", "LONG", "WHOAMI", "POOL", "HINTS")
VARYING = frozenset({"A", "AAAA", "CNAME", "MX", "TXT", "HTTPS"})
SELECTORS = ("continent:EU", "continent:AS", "net:10.1.0.0/16", "net:2a02::/20")
GLUE = "192.0.2.77"
_ATTEMPTS = 12

_LABEL = st.sampled_from(LABELS)
NAMES = st.lists(_LABEL, min_size=1, max_size=3).map(".".join)
_HEADS = st.sampled_from(["ns host", "ns.a b.x", "@ .", ". .", "NS.a a.ns", "x.y.z. b.a.z.", "*.a a"])


def _joined(name: str, origin: str) -> str:
    return f"{name}.{origin.lstrip('.')}"


FORMS = {
    "A": "A 192.0.2.{number}",
    "AAAA": "AAAA 2001:db8::{number}",
    "TXT": 'TXT "t{number}"',
    "MX": "MX {number} {target}",
    "SRV": "SRV 0 0 {number} {target}",
    "DS": "DS {number} 8 2 " + "ab" * 32,
    "HTTPS": "HTTPS {rest} {target}",
    "SVCB": "SVCB {rest} {target}",
    "HINTS": "HTTPS {rest} {target} ipv4hint=192.0.2.9 ipv6hint=2001:db8::9",
    "LONG": "TXT" + ' "{number}' + "y" * 200 + '"' + (' "' + "y" * 250 + '"') * 2,
    "TYPE97": "TYPE97 \\# 1 0{number}",
    "TYPE24929": "TYPE24929 \\# 1 0{number}",
    "WHOAMI": "WHOAMI",
    "POOL": "POOL p{number}",
}
"""What is not here is a type of one name. 97 and 24929 are types whose octets are letters."""


def _data(kind: str, number: int, target: str) -> str:
    return FORMS.get(kind, kind + " {target}").format(number=number, rest=number % 3, target=target)


@st.composite
def _lines(draw: st.DrawFn, kinds: Sequence[str], origins: Sequence[str], labels: st.SearchStrategy[str]) -> list[str]:
    names = st.lists(labels, min_size=1, max_size=3).map(".".join)
    targets = (
        names
        | st.builds(_joined, st.lists(labels, min_size=1, max_size=2).map(".".join), st.sampled_from(origins))
        | st.sampled_from(["@", ".", "out.test.", *origins])
    )
    made = [f"$TTL {draw(st.sampled_from([0, 60, 2**31 - 1]))}"]
    made.append(f"@ SOA {draw(_HEADS)} 1 2 3 4 {draw(st.sampled_from([0, 5, 2**31 - 1]))}")
    made.append(f"@ NS {draw(targets)}")
    for _ in range(draw(st.integers(0, 9))):
        owner, kind = draw(st.just("@") | names), draw(st.sampled_from(kinds))
        made.append(f"{owner} {_data(kind, draw(st.integers(1, 8)), draw(targets))}")
        if kind in VARYING and len(kinds) > len(PLAIN) and draw(st.booleans()):
            selectors = draw(st.lists(st.sampled_from(SELECTORS), max_size=2, unique=True))
            made += [f"{owner} GEO {selector} {_data(kind, draw(st.integers(1, 8)), draw(targets))}" for selector in selectors]
    return made


def mended(origin: str, lines: Sequence[str]) -> tuple[str, ZoneContents]:
    """A zone without error: missing glue is added, what else is at fault left out; if that does not end, all but the apex."""
    name, kept = from_text(origin), list(lines)
    for attempt in count():
        if attempt == _ATTEMPTS:  # a server below a DNAME, of which the glue is at fault
            kept = [*lines[:2], "@ NS ns.out.test."]
        text = "".join(f"{line}\n" for line in kept)
        read = parse_text(text, name, origin)
        found = errors([*read.problems, *check(name, read.records, origin, lambda _: None, lambda _: None)])
        if not found:
            return text, build(name, read.records, origin)
        glue = {problem.remedy for problem in found if problem.remedy.endswith(" IN A …")}
        at_fault = {problem.line - 1 for problem in found if problem.remedy not in glue}
        kept = [line for number, line in enumerate(kept) if number not in at_fault]
        kept += [remedy.removeprefix("write ").replace("…", GLUE) for remedy in sorted(glue)]
    raise AssertionError("a zone of its apex alone has no error")


@st.composite
def zone_sets(
    draw: st.DrawFn,
    kinds: Sequence[str] = ALL,
    origins: Sequence[str] = ORIGINS,
    labels: Sequence[str] = LABELS,
    most: int = 4,
) -> Mapping[str, tuple[str, ZoneContents]]:
    """Some zones that one server has: origin → master file and contents."""
    chosen = draw(st.lists(st.sampled_from(origins), min_size=1, max_size=most, unique=True))
    return {origin: mended(origin, draw(_lines(kinds, origins, st.sampled_from(labels)))) for origin in chosen}


def names_about(zones: Mapping[str, tuple[str, ZoneContents]]) -> st.SearchStrategy[bytes]:
    """Names that exist in a set of zones, and names a label or two below them."""
    owners = sorted({name for _text, contents in zones.values() for name in contents.nodes})
    labels = [b"\1a", b"\1b", b"\1*", b"\2ns", b"\1x", b"\1\0", b"\4none"]
    below = st.lists(st.sampled_from(labels), max_size=2).map(b"".join)
    return st.builds(bytes.__add__, below, st.sampled_from(owners)).filter(lambda name: len(name) < 256)

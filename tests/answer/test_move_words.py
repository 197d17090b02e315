"""Moves in words and JSON: everything in them is told, nothing is told as nothing that is something."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from geodns.answer.move_words import as_json, by_text, lines, part_text, parts_text
from geodns.answer.moves import Move, Parts, Shift, Told
from geodns.wire import Type, from_text

EUROPE, FRANCE, PLAIN, ANYBODY = (
    Told("continent:EU", (b"\xc0\x00\x02\x01",)),
    Told("country:FR", (b"\xc0\x00\x02\x02",)),
    Told("", (b"\xc0\x00\x02\x03", b"\xc0\x00\x02\x04")),
    Told("pool app", ()),
)
PREFIXES = tuple(ip_network(f"78.{number}.0.0/16") for number in range(5))
MOVE = Move(
    from_text("www.example."),
    Type.A,
    Parts(0.25, 0.0001),
    (
        Shift(EUROPE, FRANCE, Parts(0.2, 0.0001), placeless=False, prefixes=PREFIXES),
        Shift(PLAIN, ANYBODY, Parts(0.05, 0.0), placeless=True, prefixes=PREFIXES[:1], ranges_left=7),
    ),
    {"country:FR": Parts(1.0, 1.0), "continent:AF": Parts(0.5, 0.25), "": Parts(0.0, 0.1)},
)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (0.0, "0 %"),
        (1e-9, "< 0.1 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.4257, "42.6 %"),
        (0.9999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_part_is_neither_nothing_nor_all_by_rounding(part: float, expected: str) -> None:
    """0 % and 100 % mean just that."""
    assert expected == part_text(part)


def test_everyone_is_a_word() -> None:
    """All of both families are everyone, all of one family are not."""
    assert ("everyone", "100 % of IPv4, 0 % of IPv6") == (parts_text(Parts(1.0, 1.0)), parts_text(Parts(1.0, 0.0)))


def test_rules_before_and_after() -> None:
    """One word where the same rule decides, two where another one does."""
    told = [by_text(Shift(*pair, Parts(), placeless=False)) for pair in ((EUROPE, EUROPE), (EUROPE, FRANCE), (PLAIN, ANYBODY))]

    assert ["continent:EU", "continent:EU → country:FR", "plain records → pool app"] == told


def test_a_move_in_words() -> None:
    """Who, from what to what, where, and in which countries."""
    assert [
        "www.example. A: another answer for 25.0 % of IPv4, < 0.1 % of IPv6",
        "  continent:EU → country:FR: 192.0.2.1 → 192.0.2.2 (20.0 % of IPv4, < 0.1 % of IPv6)",
        "    78.0.0.0/16, 78.1.0.0/16, 78.2.0.0/16, 78.3.0.0/16, and others",
        "  plain records → pool app: 192.0.2.3, 192.0.2.4 → nothing (5.0 % of IPv4, 0 % of IPv6), also where no place is known",
        "    78.0.0.0/16, and others",
        "  by country: France (FR) 100 %, Africa (country unknown) 50.0 % (IPv6 25.0 %), "
        "neither country nor continent known IPv6 10.0 %",
    ] == list(lines(MOVE))


def test_a_move_for_programs() -> None:
    """The same as a plain object, with every prefix."""
    told = as_json(MOVE)

    assert {"name": "www.example.", "type": "A", "ipv4": 0.25, "ipv6": 0.0001}.items() <= told.items()
    assert {
        "rule_before": None,
        "rule_after": "pool app",
        "before": ["192.0.2.3", "192.0.2.4"],
        "after": [],
        "ipv4": 0.05,
        "ipv6": 0.0,
        "placeless": True,
        "resolvers": False,
        "prefixes": ["78.0.0.0/16"],
        "ranges_left": 7,
    } == told["shifts"][1]
    assert [{"area": "country:FR", "ipv4": 1.0, "ipv6": 1.0}] == told["areas"][:1]

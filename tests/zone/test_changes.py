"""Changes of a zone, against the count of its records and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.wire import to_text
from geodns.zone import ZoneContents
from geodns.zone.changes import changes
from tests.support.world import read_zone

HEAD = "@ 60 SOA ns host 1 2 3 4 60\n@ 60 NS ns\nns 60 A 192.0.2.53\nwww 60 A 192.0.2.1\n"
LINES = (
    "www 60 A 192.0.2.2", "www 60 A 192.0.2.3", "www 30 GEO continent:EU A 192.0.2.4", "www 30 GEO country:DE A 192.0.2.5",
    "www 60 AAAA 2001:db8::1", "mail 60 MX 10 www", "mail 60 MX 20 www", "a.b 60 TXT x", "app 30 POOL one", "who 0 WHOAMI",
)  # fmt: skip
ZONES = st.sets(st.sampled_from(LINES)).map(lambda lines: read_zone("example.", HEAD + "\n".join(sorted(lines)) + "\n"))


@given(ZONES, ZONES)
def test_records_add_up(old: ZoneContents, new: ZoneContents) -> None:
    """Records before, less those that went, and those that came, are the records after; and backwards they change places."""
    there, back = changes(old, new), changes(new, old)

    assert new.record_count == old.record_count - there.removed + there.added
    assert (there.added, there.changed, there.removed) == (back.removed, back.changed, back.added)


@given(st.permutations(LINES))
def test_the_order_of_a_file_is_no_difference(lines: list[str]) -> None:
    """The same records in another order are the same zone."""
    one, other = (read_zone("example.", HEAD + "\n".join(each) + "\n") for each in (LINES, lines))

    assert (0, ()) == (changes(one, other).total, changes(one, other).owners)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a 60 A 192.0.2.1", "a 60 A 192.0.2.2", (0, 1, 0, ["a.example."])),
        ("a 60 A 192.0.2.1", "a 90 A 192.0.2.1", (0, 1, 0, ["a.example."])),
        ("a 60 A 192.0.2.1", "b 60 A 192.0.2.1", (1, 0, 1, ["a.example.", "b.example."])),
        ("a 60 A 192.0.2.1", "a 60 A 192.0.2.2\na 60 A 192.0.2.3", (1, 1, 0, ["a.example."])),
        ("a 60 A 192.0.2.1\na 60 A 192.0.2.2", "a 60 A 192.0.2.2\na 60 A 192.0.2.1", (0, 0, 0, [])),
        ("a 60 A 192.0.2.1", "a 60 TXT 192.0.2.1", (1, 0, 1, ["a.example."])),
        ("www 60 GEO continent:EU A 192.0.2.1", "www 60 GEO continent:AS A 192.0.2.1", (0, 1, 0, ["www.example."])),
        ("www 60 GEO continent:EU A 192.0.2.1", "www 90 GEO continent:EU A 192.0.2.1", (0, 1, 0, ["www.example."])),
        ("a 60 POOL one", "a 60 POOL two", (0, 1, 0, ["a.example."])),
        ("a 60 POOL one", "", (0, 0, 1, ["a.example."])),
        ("a 0 WHOAMI", "", (0, 0, 1, ["a.example."])),
        ("a 0 WHOAMI", "a 5 WHOAMI", (0, 1, 0, ["a.example."])),
        ("a 60 TXT me", "a 0 WHOAMI", (1, 0, 1, ["a.example."])),
        ("", "x.y 60 A 192.0.2.1", (1, 0, 0, ["x.y.example."])),
    ],
)
def test_kinds_of_change(before: str, after: str, expected: tuple[int, int, int, list[str]]) -> None:
    """Same owner and type with other data or TTL is a change; whatever has no counterpart was added or removed."""
    found = changes(read_zone("example.", HEAD + before + "\n"), read_zone("example.", HEAD + after + "\n"))

    assert expected == (found.added, found.changed, found.removed, sorted(map(to_text, found.owners)))


def test_the_soa_record_is_a_record() -> None:
    """A new serial alone is one record changed, at the origin."""
    found = changes(read_zone("example.", HEAD), read_zone("example.", HEAD.replace("host 1", "host 2")))

    assert (0, 1, 0, ["example."]) == (found.added, found.changed, found.removed, list(map(to_text, found.owners)))

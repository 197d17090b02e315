"""The namespace: what a name matches, against a definition by brute force."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.wire import names
from geodns.wire.names import Name
from geodns.wire.records import Type
from geodns.zone import tree
from geodns.zone.master import parse_text

ORIGIN = names.from_text("example.")
HEAD = "$TTL 300\n@ 600 SOA ns host 7 2 3 4 60\n@ NS ns\nns A 192.0.2.1\n"


def zone(text: str, origin: Name = ORIGIN) -> tree.ZoneContents:
    read = parse_text(HEAD + text, origin)
    assert () == read.problems
    return tree.build(origin, read.records, "example.zone")


def described(contents: tree.ZoneContents, text: str) -> str:
    """A match as one line: the kind and the name that matters."""
    match contents.find(names.from_text(text, contents.origin)):
        case tree.Exact(node):
            return f"exact {names.to_text(node.name)}"
        case tree.Wildcard(node, closest_encloser):
            return f"wildcard {names.to_text(node.name)} of {names.to_text(closest_encloser)}"
        case tree.Cut(node, at_owner):
            return f"{'at' if at_owner else 'below'} cut {names.to_text(node.name)}"
        case tree.Redirection(node):
            return f"below dname {names.to_text(node.name)}"
        case tree.Missing(closest_encloser):
            return f"missing below {names.to_text(closest_encloser)}"
        case tree.Outside():
            return "outside"


RFC4592 = """
*       TXT "this is a wildcard"
*       MX 10 host1.example.
sub.*   TXT "this is not a wildcard"
host1   A 192.0.2.1
_ssh._tcp.host1 SRV 0 0 22 host1
_ssh._tcp.host2 SRV 0 0 22 host2
subdel  NS ns.example.com.
subdel  NS ns.example.net.
d       DNAME other.net.
deep.cut.down NS ns
cut.down NS ns
*.w     NS ns
"""

MATCHES = [
    ("@", "exact example."),
    ("host3", "wildcard *.example. of example."),
    ("foo.bar", "wildcard *.example. of example."),
    ("host1", "exact host1.example."),
    ("sub.*", "exact sub.*.example."),
    ("*", "exact *.example."),
    ("ghost.*", "missing below *.example."),
    ("_telnet._tcp.host1", "missing below _tcp.host1.example."),
    ("_tcp.host1", "exact _tcp.host1.example."),
    ("host2", "exact host2.example."),
    ("host.subdel", "below cut subdel.example."),
    ("subdel", "at cut subdel.example."),
    ("deep.cut.down", "below cut cut.down.example."),
    ("x.deep.cut.down", "below cut cut.down.example."),
    ("down", "exact down.example."),
    ("d", "exact d.example."),
    ("x.y.d", "below dname d.example."),
    ("x.w", "wildcard *.w.example. of w.example."),
    ("*.w", "exact *.w.example."),
    ("example.com.", "outside"),
    ("notexample.", "outside"),
    (".", "outside"),
]


@pytest.mark.parametrize(("name", "expected"), MATCHES)
def test_names_match_as_the_rfcs_say(name: str, expected: str) -> None:
    """The examples of RFC 4592 §2.2.1, with cuts and DNAMEs beside them, match as described there."""
    assert expected == described(zone(RFC4592), name)


LABELS = st.sampled_from(["a", "b", "*"])
OWNERS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ZONES = st.dictionaries(OWNERS, st.sampled_from(["A 192.0.2.1", "A 192.0.2.1", "NS ns", "DNAME other.net."]), max_size=7)


def brute_force(owned: dict[str, str], name: str) -> str:
    """RFC 1034 §4.3.2, RFC 4592 and RFC 6672, from the top down over every ancestor."""
    labels = name.split(".")
    existing = {".".join(owner.split(".")[at:]) for owner in owned for at in range(len(owner.split(".")))} | {""}
    encloser = ""
    for at in range(len(labels) - 1, -1, -1):
        here = ".".join(labels[at:])
        data = "" if labels[at] == "*" else owned.get(here, "")
        if here not in existing:
            source = f"*.{encloser}".rstrip(".")
            shown = f"{encloser}.example.".lstrip(".")
            return f"wildcard {source}.example. of {shown}" if source in existing else f"missing below {shown}"
        if data.startswith("NS"):
            return f"{'at' if at == 0 else 'below'} cut {here}.example."
        if data.startswith("DNAME") and at > 0:
            return f"below dname {here}.example."
        encloser = here
    return f"exact {name}.example."


@settings(max_examples=400)
@given(ZONES, OWNERS)
def test_a_random_zone_matches_as_the_definition_says(owned: dict[str, str], name: str) -> None:
    """Every name of every small zone matches as a walk from the apex down, label by label, finds it."""
    contents = zone("".join(f"{owner} {data}\n" for owner, data in owned.items()))

    assert brute_force(owned, name) == described(contents, name)


def test_the_root_zone_can_be_served() -> None:
    """At the root nothing is outside."""
    contents = zone("com NS a.gtld\n", names.ROOT)

    assert "exact ." == described(contents, ".")
    assert "below cut com." == described(contents, "www.example.com.")
    assert "missing below ." == described(contents, "org.")


def test_the_negative_soa_has_the_lesser_ttl() -> None:
    """RFC 2308 §5: the SOA of a negative answer lives as long as the lesser of its TTL and MINIMUM."""
    contents = zone("")

    assert (600, 60, 7) == (contents.soa.ttl, contents.negative_soa.ttl, contents.serial)
    assert contents.soa.rdatas == contents.negative_soa.rdatas


def test_records_group_to_rrsets_variants_and_pools() -> None:
    """Plain records, variants by type and selector, and the pool of an owner lie apart in its node."""
    contents = zone(
        "www 60 A 192.0.2.1\nwww 60 A 192.0.2.2\nwww 60 A 192.0.2.1\nwww 50 GEO us A 192.0.2.4\n"
        "www 40 GEO eu A 192.0.2.3\nwww 40 GEO eu A 192.0.2.5\nwww 30 POOL app\nother.org. A 192.0.2.9\n"
    )
    node = contents.nodes[names.from_text("www", ORIGIN)]

    assert (b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02") == node.rrsets[Type.A].rdatas
    assert {Type.A} == node.rrsets.keys()
    assert [("eu", 40, 2), ("us", 40, 1)] == [
        (variant.selector, variant.rrset.ttl, len(variant.rrset.rdatas)) for variant in node.variants[Type.A]
    ]
    assert tree.PoolReference("app", 30) == node.pool
    assert 9 == contents.record_count


def test_a_zone_needs_its_soa() -> None:
    """Without a SOA record there is nothing to build."""
    with pytest.raises(ValueError, match="no SOA"):
        tree.build(ORIGIN, parse_text("@ 60 NS ns", ORIGIN).records, "")

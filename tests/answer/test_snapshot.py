"""The snapshot: which zone answers, whose client subnet is believed, what is compiled once for many names."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import Client, Subnet, Trust
from geodns.geo import FALLBACK, FIRST_RULE, State
from geodns.wire import ROOT, RRset, Type, from_text, is_subdomain
from tests.support.world import place, snapshot_of, subnet

ZONE = "$TTL 300\n@ SOA ns.example.net. host.example.net. 1 2 3 4 60\n@ NS ns.example.net.\n"
ORIGINS = ["example.", "a.example.", "c.b.a.example.", "test."]
SNAPSHOT = snapshot_of(dict.fromkeys(ORIGINS, ZONE))
ROOTED = snapshot_of({".": ZONE + "ns.example.net. A 192.0.2.53\n", "example.": ZONE})

SERVED = [
    ("www.example.", Type.A, "example."),
    ("example.", Type.DS, "example."),
    ("a.example.", Type.A, "a.example."),
    ("a.example.", Type.DS, "example."),
    ("www.a.example.", Type.DS, "a.example."),
    ("b.a.example.", Type.A, "a.example."),
    ("x.c.b.a.example.", Type.A, "c.b.a.example."),
    ("xa.example.", Type.A, "example."),
    ("example.com.", Type.A, None),
    (".", Type.NS, None),
]


@pytest.mark.parametrize(("name", "rdtype", "origin"), SERVED)
def test_the_longest_match_answers(name: str, rdtype: int, origin: str | None) -> None:
    """The zone with the longest name answers, but DS is asked of the parent where that is served."""
    zone = SNAPSHOT.zone_of(from_text(name), rdtype)

    assert (from_text(origin) if origin else None) == (zone.contents.origin if zone else None)


@pytest.mark.parametrize("rdtype", [Type.DS, Type.A])
def test_a_served_root_leaves_nothing_out(rdtype: int) -> None:
    """The root zone answers for itself, DS included, for all other names and for its children's DS."""
    zones = [ROOTED.zone_of(from_text(name), rdtype) for name in (".", "org.", "example.")]

    expected = [ROOT, ROOT, ROOT if rdtype == Type.DS else from_text("example.")]
    assert expected == [zone.contents.origin if zone else None for zone in zones]


@given(st.lists(st.sampled_from(["a", "b", "c", "example", "test"]), max_size=5).map(lambda labels: ".".join(labels) + "."))
def test_the_zone_of_a_name_holds_it(text: str) -> None:
    """For every name: the served zone with the longest origin that the name is in, by definition."""
    name = from_text(text)
    holding = [from_text(origin) for origin in ORIGINS if is_subdomain(name, from_text(origin))]
    zone = SNAPSHOT.zone_of(name, Type.A)

    assert max(holding, key=len, default=None) == (zone.contents.origin if zone else None)


# Trust

PREFIX = "77.1.2.0/24"
VERDICTS = [
    (Trust(), "192.0.2.1", None, Subnet.ABSENT),
    (Trust(), "192.0.2.1", PREFIX, Subnet.USED),
    (Trust(), "2001:db8::1", PREFIX, Subnet.USED),
    (Trust(enabled=False), "192.0.2.1", PREFIX, Subnet.DISABLED),
    (Trust(enabled=False), "192.0.2.1", None, Subnet.ABSENT),
    (Trust(), "192.0.2.1", "0.0.0.0/0", Subnet.WITHHELD),
    (Trust(), "192.0.2.1", "::/0", Subnet.WITHHELD),
    (Trust(networks=()), "192.0.2.1", PREFIX, Subnet.UNTRUSTED),
    (Trust(networks=()), None, PREFIX, Subnet.USED),
    (Trust(networks=(ip_network("192.0.2.0/24"),)), "192.0.2.255", PREFIX, Subnet.USED),
    (Trust(networks=(ip_network("192.0.2.0/24"),)), "192.0.3.0", PREFIX, Subnet.UNTRUSTED),
    (Trust(networks=(ip_network("192.0.2.0/24"),)), "::ffff:192.0.2.1", PREFIX, Subnet.USED),
    (Trust(networks=(ip_network("0.0.0.0/0"),)), "2001:db8::1", PREFIX, Subnet.UNTRUSTED),
    (Trust(networks=(ip_network("::/0"),)), "192.0.2.1", PREFIX, Subnet.UNTRUSTED),
]


@pytest.mark.parametrize(("trust", "source", "sent", "verdict"), VERDICTS)
def test_a_client_subnet_is_believed_of_those_who_are_trusted(
    trust: Trust, source: str | None, sent: str | None, verdict: Subnet
) -> None:
    """Only a subnet that is used is looked at; an unknown sender is taken for a trusted one."""
    sender = place(source) if source else None
    expected = Client(sender, place("77.1.2.0") if verdict is Subnet.USED else None, verdict)

    assert expected == trust.client(sender, subnet(sent) if sent else None)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_trust_is_membership_of_a_network(inside: object, length: int, source: object) -> None:
    """A sender is trusted exactly if one of the networks holds it."""
    network = ip_network(f"{inside}/{length}", strict=False)

    client = Trust(networks=(network,)).client(place(str(source)), subnet(PREFIX))

    assert (Subnet.USED if ip_address(str(source)) in network else Subnet.UNTRUSTED) == client.subnet_verdict


# Compilation

TAILORED = (
    ZONE
    + "www A 192.0.2.1\nwww GEO country:DE A 198.51.100.1\nwww GEO country:DE A 198.51.100.2\nwww GEO eu A 198.51.100.3\n"
    + "app AAAA 2001:db8::1\napp GEO eu AAAA 2001:db8::2\napp GEO country:DE AAAA 2001:db8::3\n"
    + "one A 192.0.2.1\none GEO eu A 198.51.100.1\nplain A 192.0.2.9\n"
)


def test_names_with_the_same_selectors_share_a_partition() -> None:
    """One partition for each distinct set of selectors, not for each name, over all zones."""
    snapshot = snapshot_of({"example.": TAILORED, "test.": TAILORED}, regions={"eu": ["continent:EU"]})
    compiled = [tailored for zone in snapshot.zones.values() for tailored in zone.tailored.values()]

    assert (2, 6) == (snapshot.rule_sets, len(compiled))
    assert 2 == len({id(tailored.partition) for tailored in compiled})


def test_an_outcome_leads_to_its_variant() -> None:
    """Outcome FIRST_RULE + n is the RRset of rule n; everything below it is the fallback, chosen by no rule."""
    snapshot = snapshot_of({"example.": TAILORED}, regions={"eu": ["continent:EU"]})
    name = from_text("www.example.")
    tailored = snapshot.zones[from_text("example.")].tailored[name, Type.A]

    for outcome in (*State, FALLBACK):
        assert (RRset(name, Type.A, 300, (b"\xc0\x00\x02\x01",)), None) == tailored.variant(outcome)
    chosen = [tailored.variant(FIRST_RULE + number) for number in range(2)]
    assert ["country:DE", "eu"] == [rule.name for _, rule in chosen if rule]
    assert [2, 1] == [len(rrset.rdatas) for rrset, _ in chosen]


def test_zones_without_variants_need_no_partition() -> None:
    """A plain world compiles to nothing."""
    assert 0 == SNAPSHOT.rule_sets
    assert all(not zone.tailored for zone in SNAPSHOT.zones.values())

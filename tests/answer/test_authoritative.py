"""The judgement of a question: case tables of the RFCs, and random zones against a look-up by dnspython's own objects."""

from __future__ import annotations

from dataclasses import dataclass, field

import dns.message
import dns.name
import dns.node
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geodns.answer import Climb, Judgement, Rung, Selection
from geodns.answer.authoritative import MAX_CHAIN, Decision
from geodns.wire import ROOT, RRset, from_text
from geodns.zone import build, parse_text
from tests.support.cases import Case, cases
from tests.support.world import ask, compiled, question, snapshot_of

HEAD = "$TTL 300\n@ SOA ns.example.net. host.example.net. 1 2 3 4 60\n@ NS ns.example.net.\n"


@pytest.mark.parametrize("case", [case for table in ("names", "aliases", "delegations") for case in cases(table)], ids=str)
def test_a_name_gets_what_the_rfcs_say(case: Case) -> None:
    """Each line of the tables comes out as it is written."""
    assert case.expected == ask(case.snapshot, case.query, case.source, stream=case.stream)


LABEL = "a" * 63


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(1, "NOERROR"), (3, "YXDOMAIN")],
)
def test_a_redirection_to_a_name_too_long_is_yxdomain(labels: int, expected: str) -> None:
    """RFC 6672 §2.2: a DNAME that would make a name longer than 255 octets is answered by itself with YXDOMAIN."""
    snapshot = snapshot_of({"example.": f"{HEAD}d DNAME {LABEL}.net.\n"})
    below = ".".join([LABEL] * labels)

    reply = ask(snapshot, question(f"{below}.d.example. A"))

    dname = f"d.example. 300 DNAME {LABEL}.net."
    alias = f"{below}.d.example. 300 CNAME {below}.{LABEL}.net."
    assert (expected, True) == (reply.rcode, reply.authoritative)
    assert ([dname, alias] if expected == "NOERROR" else [dname]) == reply.answer


def test_a_chain_ends_after_so_many_aliases() -> None:
    """An endless chain of ever new names costs no more than MAX_CHAIN steps."""
    chain = "".join(f"n{number} CNAME n{number + 1}\n" for number in range(MAX_CHAIN + 9))

    reply = ask(snapshot_of({"example.": HEAD + chain}), question("n0.example. A"))

    assert ("NOERROR", MAX_CHAIN + 1) == (reply.rcode, len(reply.answer))


def test_an_ever_longer_redirection_ends() -> None:
    """A DNAME below itself makes names longer until the chain, or the length of a name, ends it."""
    reply = ask(snapshot_of({"example.": f"{HEAD}d DNAME longer-by-this-label.d\n"}), question("x.d.example. A"))

    assert "YXDOMAIN" == reply.rcode
    assert 1 == sum(" DNAME " in record for record in reply.answer)


def test_a_redirection_that_is_asked_for_and_led_to_is_told_once() -> None:
    """A DNAME that leads to its own owner answers the question for DNAME too: RFC 2181 §5 knows no record twice."""
    reply = ask(snapshot_of({"example.": f"{HEAD}a.d DNAME d\n"}), question("a.a.d.example. DNAME"))

    assert ["a.d.example. 300 DNAME d.example.", "a.a.d.example. 300 CNAME a.d.example."] == reply.answer


def test_required_glue_that_does_not_fit_sets_tc() -> None:
    """RFC 9471 §3.1: a referral without all in-domain glue is truncated; sibling glue is dropped silently."""
    delegation = "".join(f"sub NS ns{number}.sub\nns{number}.sub AAAA 2001:db8::{number:x}\n" for number in range(11))
    siblings = "".join(f"cut NS ns{number}.sub\n" for number in range(11))
    snapshot = snapshot_of({"example.": HEAD + delegation + siblings})

    in_domain, sibling = (
        ask(snapshot, question(f"x.{owner}.example. A", payload_size=0), stream=False) for owner in ("sub", "cut")
    )

    assert (True, [], []) == (in_domain.truncated, in_domain.authority, in_domain.additional)
    assert (False, 11) == (sibling.truncated, len(sibling.authority))
    assert 11 > len(sibling.additional)
    assert 11 == len(ask(snapshot, question("x.sub.example. A", payload_size=0)).additional)


@pytest.mark.parametrize(
    ("server", "glue"),
    [
        ("ns A 192.0.2.1", ["ns.example. 300 A 192.0.2.1"]),
        ("ns A 192.0.2.1\nns GEO eu A 192.0.2.2", []),
        ("ns A 192.0.2.1\nns POOL app", []),
    ],
)
def test_a_referral_brings_along_only_what_everybody_gets(server: str, glue: list[str]) -> None:
    """Addresses of a server that hang on the client, or on who is up, are left for the resolver to ask for (RFC 7871 §7.3.1)."""
    snapshot = snapshot_of({"example.": f"{HEAD}sub NS ns\n{server}\n"}, regions={"eu": ["continent:EU"]})

    assert glue == ask(snapshot, question("x.sub.example. A")).additional


def test_of_several_tailored_rrsets_the_longest_scope_counts() -> None:
    """RFC 7871 §7.2.1: the scope of an answer is that of its most closely scoped RRset, 0 without any."""
    selections: list[Decision] = [
        Selection(RRset(ROOT, 1, 0, ()), None, (), Climb(0, Rung.ECS, length, ())) for length in (8, 24, 16)
    ]

    assert 24 == Judgement(selections=selections).scope_prefix_length
    assert 0 == Judgement().scope_prefix_length


# A random zone against dnspython

LABELS = st.sampled_from(["a", "b", "c", "*"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
DATA = st.sampled_from(
    ["A 192.0.2.1", "A 192.0.2.2", "TXT text", "MX 10 a.b", "CNAME a", "CNAME b.c", "CNAME x.c", "CNAME www.example.net.",
     "NS b.a", "DNAME c", "DNAME a", "DNAME example.net."]
)  # fmt: skip
QUESTIONS = st.sampled_from(["A", "TXT", "MX", "CNAME", "NS", "DS", "DNAME", "AAAA"])


@dataclass
class Oracle:
    """RFC 1034 §4.3.2 written plainly over dnspython's zone: names, nodes and rdatasets are all its own."""

    zone: dns.zone.Zone
    rcode: str = "NOERROR"
    answer: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.origin = self.zone.origin or dns.name.root
        self.existing = {
            dns.name.Name(name.labels[at:])
            for name in self.zone.nodes
            for at in range(len(name.labels) - len(self.origin.labels) + 1)
        }

    def has(self, name: dns.name.Name, rdtype: str) -> bool:
        return self.zone.get_rdataset(name, rdtype) is not None

    def take(self, source: dns.name.Name, rdtype: str, owner: dns.name.Name) -> None:
        rdataset = self.zone.find_rdataset(source, rdtype)
        for text in (f"{owner} {rdataset.ttl} {rdtype} {rdata.to_text()}" for rdata in rdataset):
            if text not in self.answer:
                self.answer.append(text)

    def look_up(self, name: dns.name.Name, rdtype: str, seen: frozenset[dns.name.Name] = frozenset()) -> None:
        if name in seen or len(seen) > MAX_CHAIN or not name.is_subdomain(self.origin):
            return
        seen |= {name}
        depth = len(self.origin.labels)
        for length in range(depth, len(name.labels) + 1):
            ancestor = name.split(length)[1]
            if ancestor not in self.existing:
                self.synthesise(ancestor.parent(), name, rdtype, seen)
                return
            wild = ancestor.is_wild()
            if length > depth and not wild and self.has(ancestor, "NS") and not (rdtype == "DS" and ancestor == name):
                return
            if ancestor != name and not wild and self.has(ancestor, "DNAME"):
                target = self.zone.find_rdataset(ancestor, "DNAME")[0].target
                self.take(ancestor, "DNAME", ancestor)
                alias = name.relativize(ancestor).concatenate(target)
                self.answer.append(f"{name} 300 CNAME {alias}")
                if rdtype != "CNAME":
                    self.look_up(alias, rdtype, seen)
                return
        self.node(name, name, rdtype, seen)

    def synthesise(self, encloser: dns.name.Name, name: dns.name.Name, rdtype: str, seen: frozenset[dns.name.Name]) -> None:
        source = dns.name.Name((b"*", *encloser.labels))
        if source in self.existing:
            self.node(source, name, rdtype, seen)
        else:
            self.rcode = "NXDOMAIN"

    def node(self, source: dns.name.Name, name: dns.name.Name, rdtype: str, seen: frozenset[dns.name.Name]) -> None:
        if self.has(source, "CNAME") and rdtype != "CNAME":
            self.take(source, "CNAME", name)
            self.look_up(self.zone.find_rdataset(source, "CNAME")[0].target, rdtype, seen)
        elif self.has(source, rdtype):
            self.take(source, rdtype, name)


@settings(max_examples=250)
@given(st.dictionaries(NAMES, DATA, max_size=8), NAMES, QUESTIONS)
def test_a_random_zone_answers_as_dnspython_does(owned: dict[str, str], asked: str, rdtype: str) -> None:
    """RCODE and answer of every question of every small zone are those of a plain look-up in dnspython's zone."""
    text = HEAD + "".join(f"{owner} {data}\n" for owner, data in owned.items()) + "b.a A 192.0.2.9\n"
    assume(not owned.get("b.a", "").startswith("CNAME"))
    oracle = Oracle(dns.zone.from_text(text, "example.", relativize=False))
    oracle.look_up(dns.name.from_text(f"{asked}.example."), rdtype)

    contents = build(from_text("example."), parse_text(text, from_text("example.")).records, "")  # hidden data and all
    reply = ask(compiled([contents]), question(f"{asked}.example. {rdtype}"))

    assert (oracle.rcode, sorted(oracle.answer)) == (reply.rcode, sorted(reply.answer))

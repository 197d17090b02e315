"""Explanations: the form that scripts rely on, and that they tell of the very answer the server gives."""

from __future__ import annotations

import json
from dataclasses import replace

import dns.message
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import Asker, Explanation, Snapshot, Trust, explain, rdata_text, respond, type_text
from geodns.wire import ROOT, RRset, Type, from_text
from tests.support.random_worlds import LADDERED, QUESTIONS, WORLDS, World, clients, subnets
from tests.support.world import SENDER, observed, place, question, snapshot_of, subnet

ZONE = """$TTL 300
@ SOA ns.example.net. host.example.net. 7 2 3 4 60
@ NS ns.example.net.
www 60 A 192.0.2.10
www 30 GEO continent:EU A 198.51.100.10
www 30 GEO country:DE A 198.51.100.20
www 30 GEO apac A 198.51.100.30
here A 192.0.2.11
here GEO net:77.1.0.0/16 A 198.51.100.11
chain CNAME www
static A 192.0.2.12
sub NS ns.example.org.
"""
SNAPSHOT = snapshot_of(
    {"example.com.": ZONE},
    databases=[
        {
            "77.0.0.0/8": {"continent": "EU", "country": "DE", "city": "Köln", "latitude": 50.9, "longitude": 6.9},
            "78.0.0.0/8": {"continent": "EU", "country": "FR"},
            "133.11.0.0/16": {"continent": "AS", "country": "JP"},
            "9.0.0.0/8": {"continent": "NA", "country": "US", "subdivision": "US-CA"},
        },
        {"77.0.0.0/8": {"asn": 64500}},
    ],
    anycast=["1.1.1.0/24"],
    networks={"10.20.0.0/16": {"country": "DE"}},
    regions={"apac": ["continent:AS", "continent:OC"]},
)


def told(name: str, rdtype: int = Type.A, source: str | None = SENDER, sent: str | None = None) -> Explanation:
    asker = Asker(place(source) if source else None, subnet(sent) if sent else None)
    return explain(SNAPSHOT, from_text(name), rdtype, asker)


def test_the_json_form_has_what_scripts_read() -> None:
    """One plain object with the keys that were promised, of types that JSON has."""
    form = json.loads(json.dumps(told("www.example.com.", source="77.0.0.5").as_json()))

    assert {"name": "www.example.com.", "type": "A", "class": "IN"} == form["question"]
    assert {"address": "77.0.0.5", "ecs": None, "subnet": "the query has no client subnet"} == form["client"]
    assert ("resolver", "country:DE", ["198.51.100.20"], 30, 8) == tuple(
        form[key] for key in ("rung", "rule", "answer", "ttl", "scope")
    )
    assert {
        "continent": "EU", "country": "DE", "subdivision": None, "city": "Köln", "asn": 64500,
        "latitude": 50.9, "longitude": 6.9, "anycast": False,
    } == form["location"]  # fmt: skip
    assert ("table 1", "table 2") == (form["sources"]["country"], form["sources"]["asn"])
    assert ["www.example.com. 30 IN A 198.51.100.20"] == form["records"]
    assert isinstance(form["reason"], str)
    assert all(isinstance(step, str) and step for step in form["steps"])


CLIENT, SENDERS = "the client subnet", "the sender's address"


def decided(rule: str, address: str, whose: str = CLIENT) -> str:
    return f"{rule} is the most specific rule that names {address}, {whose}"


EUROPE = decided("country:DE", "77.0.0.0")
REASONS = [
    ("www", "77.0.0.0/24", SENDER, ("ecs", "country:DE", 8), EUROPE),
    ("chain", "77.0.0.0/24", SENDER, ("ecs", "country:DE", 8), EUROPE),
    ("www", "78.0.0.0/24", SENDER, ("ecs", "continent:EU", 8), decided("continent:EU", "78.0.0.0")),
    ("www", None, "78.0.0.1", ("resolver", "continent:EU", 8), decided("continent:EU", "78.0.0.1", SENDERS)),
    ("www", "133.11.0.0/24", SENDER, ("ecs", "apac", 16), decided("apac (through continent:AS)", "133.11.0.0")),
    ("www", "9.0.0.0/24", SENDER, ("ecs", None, 8), "9.0.0.0 is located (continent NA, country US, subdivision US-CA, latitude "),
    ("www", "1.1.1.0/24", "78.0.0.1", ("resolver", "continent:EU", 24), decided("continent:EU", "78.0.0.1", SENDERS)),
    ("www", "1.1.1.0/24", "1.1.1.1", ("fallback", None, 24), "no address asked has a usable location: the plain records answer"),
    ("www", None, None, ("fallback", None, 0), "nothing is known of the client: the plain records answer"),
    ("www", "10.20.3.0/24", SENDER, ("net", "country:DE", 16), decided("country:DE", "10.20.3.0")),
    ("here", "77.1.2.0/24", SENDER, ("net", "net:77.1.0.0/16", 16), decided("net:77.1.0.0/16", "77.1.2.0")),
    ("static", "77.0.0.0/24", SENDER, ("fallback", None, 0), "the records are the same for every client"),
    ("none", "77.0.0.0/24", SENDER, ("fallback", None, 0), "none.example.com. does not exist, nor a wildcard"),
    ("x.sub", "77.0.0.0/24", SENDER, ("fallback", None, 0), "x.sub.example.com. is delegated at sub.example.com.: a referral"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "source", "expected", "reason"), REASONS)
def test_the_reason_names_who_decided_and_why(
    name: str, sent: str | None, source: str | None, expected: tuple[str, str | None, int], reason: str
) -> None:
    """Rung, rule and scope, and one sentence that says the whole judgement."""
    found = told(f"{name}.example.com.", source=source, sent=sent)

    assert expected == (found.rung, found.rule, found.scope)
    assert found.reason.startswith(reason)


STEPS = [
    ("www", "77.0.0.0/24", SENDER, ["the client subnet is believed", "zone example.com. (serial 7, example.com.zone) answers",
      "differs by client: rules apac, continent:EU, country:DE", "rung ecs decides: 77.0.0.0 is in 77.0.0.0/8",
      "country DE [table 1]", "asn 64500 [table 2]", "rule country:DE is chosen", "rule continent:EU names the client too",
      "rule apac does not name the client", "gets 198.51.100.20, TTL 30", "scope /8: 77.0.0.0/8 is the widest prefix"]),
    ("www", "1.1.1.0/24", "78.0.0.1", ["rung ecs is passed over: 1.1.1.0",
      "1.1.1.0/24 is anycast: Example, in a test", "rung resolver decides"]),
    ("www", "192.168.1.0/24", "1.1.1.1", ["192.168.0.0/16 is private (RFC 1918)",
      "rung resolver is passed over", "rung fallback decides"]),
    ("www", "0.0.0.0/0", "78.0.0.1", ["SOURCE PREFIX-LENGTH is 0",
      "scope 0: the answer is the same for every client of this sender"]),
    ("chain", "::ffff:77.0.0.0/104", SENDER, ["is an alias for www.example.com.", "scope /104: 77.0.0.0/8 is the widest prefix"]),
    ("here", "78.0.0.0/24", SENDER, ["no rule names the client: the plain records"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "source", "sentences"), STEPS)
def test_the_steps_tell_everything_that_was_tried(name: str, sent: str, source: str, sentences: list[str]) -> None:
    """Every rung with its location and source, every rule, the answer, its TTL and its scope."""
    steps = "\n".join(told(f"{name}.example.com.", source=source, sent=sent).steps)

    assert [] == [sentence for sentence in sentences if sentence not in steps]


def test_an_answer_too_long_for_a_datagram_says_so() -> None:
    """The steps compare the reply's octets with what fits."""
    many = "".join(f"many A 192.0.2.{number}\n" for number in range(90))
    snapshot = snapshot_of({"example.com.": ZONE + many}, regions={"apac": ["continent:AS"]})

    assert "of the 1232 that fit" in told("www.example.com.").steps[-1]
    assert "more than 1232" in explain(snapshot, from_text("many.example.com."), Type.A, Asker(None)).steps[-1]


@settings(max_examples=100, deadline=None)
@given(st.data(), WORLDS | LADDERED, QUESTIONS)
def test_an_explanation_tells_what_the_server_answers(data: st.DataObject, world: World, asked: str) -> None:
    """For every client and question: RCODE, records, answer, TTL and scope are those of the reply on the wire."""
    sent = data.draw(st.none() | subnets(world))
    source = data.draw(clients(world))
    snapshot = data.draw(st.sampled_from([world.snapshot, replace(world.snapshot, trust=Trust(networks=()))]))

    compare(snapshot, asked, source, sent)


def compare(snapshot: Snapshot, asked: str, source: str, sent: str | None) -> None:
    query = question(asked, client_subnet=sent)
    octets = respond(snapshot, query.to_wire(), place(source))
    assert octets is not None
    reply = dns.message.from_wire(octets)
    table = observed(dns.message.from_wire(octets, one_rr_per_rrset=True))
    asker = Asker(place(source), subnet(sent) if sent else None)

    found = explain(snapshot, from_text(str(query.question[0].name)), query.question[0].rdtype, asker)

    last = reply.answer[-1] if reply.answer else None
    negative = reply.authority[0].ttl if reply.authority else None
    assert table.rcode == found.rcode
    assert ([rdata.to_text() for rdata in last] if last else []) == found.answer
    assert (last.ttl if last else negative) == found.ttl
    assert [record.replace(" IN ", " ") for record in found.records] == [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}"
        for rrset in reply.answer
        for rdata in rrset
    ]
    if sent:
        assert table.scope == found.scope
        assert len(octets) == found.octets


def test_without_a_subnet_the_scope_is_that_of_the_senders_cell() -> None:
    """The prefix length around the sender's address for which the answer is true."""
    assert [8, 16, 0] == [
        told(name, source=source).scope
        for name, source in (
            ("www.example.com.", "77.0.0.1"),
            ("here.example.com.", "77.1.0.1"),
            ("static.example.com.", "77.0.0.1"),
        )
    ]


def test_data_prints_as_dnspython_prints_it() -> None:
    """Types and RDATA in presentation form; a type without a mnemonic as TYPEnnn (RFC 3597)."""
    assert ("AAAA", "TYPE1234") == (type_text(28), type_text(1234))
    assert "10 mail.example." == rdata_text(RRset(ROOT, Type.MX, 0, ()), b"\x00\x0a\x04mail\x07example\x00")
    assert r"\# 2 0102" == rdata_text(RRset(ROOT, 1234, 0, ()), b"\x01\x02")

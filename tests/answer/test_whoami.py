"""WHOAMI: whoever asks is told about itself, by the ladder that everything goes by, and the scope is the subnet that is shown."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import Asker, Client, Subnet, climb, explain, respond
from geodns.answer.whoami import introduce
from geodns.wire import Type, from_text
from tests.support.random_worlds import HEAD, WORLDS, World, subnets
from tests.support.world import SENDER, Settings, ask, ecs_option, place, question, snapshot_of, subnet

ZONE = """$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
whoami 0 WHOAMI
whoami A 192.0.2.1
*.whoami 5 WHOAMI
alias CNAME whoami
"""
SETTINGS: Settings = {
    "databases": [
        {
            "81.0.0.0/8": {"continent": "EU", "country": "GB", "latitude": 51.5, "longitude": -0.1},
            "2a02::/16": {"continent": "EU"},
            "8.8.8.0/24": {"continent": "NA"},
        },
        {"81.2.0.0/16": {"asn": 64500}},
    ],
    "networks": {"77.0.0.0/8": {"country": "DE"}},
    "anycast": ["8.8.8.0/24"],
    "identity": "fra1",
    "trust": ["198.18.0.0/15", "2a02::/16", "81.0.0.0/8"],
}
SNAPSHOT = snapshot_of({"example.": ZONE}, **SETTINGS)
UNKNOWN = "passed over resolver 198.18.0.53: no database knows its place"
IN_GB = ["rung ecs", "location continent EU, country GB, asn 64500, latitude 51.5, longitude -0.1", "says table 1, table 2"]
IN_DE = ["location continent EU, country DE, latitude 51.0, longitude 9.0", "says config (geo.networks), country table"]

TOLD: list[tuple[str, str | None, list[str]]] = [
    (SENDER, None, ["ecs none", UNKNOWN, "rung fallback", "location unknown"]),
    (SENDER, "81.2.69.0/24", ["ecs 81.2.69.0/24 believed", *IN_GB]),
    ("77.1.2.3", "81.2.69.0/24", ["ecs 81.2.69.0/24 not believed", "rung net", *IN_DE]),
    ("2a02::1", None, ["ecs none", "rung resolver", "location continent EU", "says table 1"]),
    ("81.2.69.5", "0.0.0.0/0", ["ecs 0.0.0.0/0 withholds the place", "rung resolver", *IN_GB[1:]]),
    (
        "2a02::1", "8.8.8.0/24",
        ["ecs 8.8.8.0/24 believed", "passed over ecs 8.8.8.0: 8.8.8.0/24 is anycast: Example, in a test [test]",
         "rung resolver", "location continent EU", "says table 1"],
    ),
    (SENDER, "10.1.0.0/16", ["ecs 10.1.0.0/16 believed", "passed over ecs 10.1.0.0: 10.0.0.0/8 is private (RFC 1918)", UNKNOWN,
                             "rung fallback", "location unknown"]),
]  # fmt: skip


def strings(name: str, source: str, sent: str | None, *, stream: bool = False) -> list[str]:
    """The strings of the one TXT record that is answered."""
    octets = respond(SNAPSHOT, question(f"{name} TXT", client_subnet=sent).to_wire(), place(source), port=5353, stream=stream)
    assert octets is not None
    [rrset] = dns.message.from_wire(octets).answer
    [rdata] = rrset
    return [text.decode() for text in rdata.strings]


@pytest.mark.parametrize(("source", "sent", "expected"), TOLD)
def test_a_client_is_told_what_is_known_of_it(source: str, sent: str | None, expected: list[str]) -> None:
    """Who it is, how it came, its subnet and whether that is believed, who answers, each rung in its order, and the place."""
    told = strings("whoami.example.", source, sent)

    assert [f"source {source} port 5353 by udp", "instance fra1"] == [told[0], told[2]]
    assert expected == [told[1], *told[3:]]


def test_a_subnet_that_is_switched_off_is_still_shown() -> None:
    """With ecs.enabled = false the option is not echoed, nor looked at; that it came along is told."""
    switched_off: Settings = {**SETTINGS, "ecs": False}
    snapshot = snapshot_of({"example.": ZONE}, **switched_off)
    reply = ask(snapshot, question("whoami.example. TXT", client_subnet="81.2.69.0/24"), "2a02::1")

    assert (None, True) == (reply.scope, '"ecs 81.2.69.0/24 switched off here"' in reply.answer[0])
    assert '"rung resolver" "location continent EU"' in reply.answer[0]


def test_the_transport_is_told() -> None:
    """By TCP it says so."""
    assert f"source {SENDER} port 5353 by tcp" == strings("whoami.example.", SENDER, None, stream=True)[0]


@pytest.mark.parametrize(("name", "ttl"), [("whoami", 0), ("4711.whoami", 5), ("a.b.whoami", 5), ("alias", 0)])
def test_it_answers_as_any_record_does(name: str, ttl: int) -> None:
    """In the name that was asked, with the record's own TTL, at a wildcard and behind an alias too."""
    reply = ask(SNAPSHOT, question(f"{name}.example. TXT", client_subnet="81.2.69.0/24"))

    owner = "whoami" if name == "alias" else name
    assert reply.answer[-1].startswith(f'{owner}.example. {ttl} TXT "source')
    assert (True, 24) == (reply.authoritative, reply.scope)


@pytest.mark.parametrize(
    ("asked", "answer", "authority"),
    [
        ("whoami.example. A", ["whoami.example. 300 A 192.0.2.1"], []),
        ("whoami.example. AAAA", [], ["example. 60 SOA"]),
        ("whoami.example. TYPE65282", [], ["example. 60 SOA"]),
        ("x.whoami.example. A", [], ["example. 60 SOA"]),
        ("whoami.example. ANY", ['whoami.example. 3600 HINFO "RFC8482" ""'], []),
        ("x.whoami.example. ANY", ['x.whoami.example. 3600 HINFO "RFC8482" ""'], []),
    ],
)
def test_other_types_are_answered_as_if_it_were_not_there(asked: str, answer: list[str], authority: list[str]) -> None:
    """What is beside it comes, what is not there is NODATA, WHOAMI itself is policy, and ANY is one HINFO; all with scope 0."""
    reply = ask(SNAPSHOT, question(asked, client_subnet="81.2.69.0/24"))

    assert ("NOERROR", answer, authority, 0) == (reply.rcode, reply.answer, reply.authority, reply.scope)


@settings(max_examples=80, deadline=None)
@given(st.data(), WORLDS, st.booleans())
def test_the_scope_is_the_subnet_that_is_shown(data: st.DataObject, world: World, trusted: bool) -> None:
    """RFC 7871 §7.2.1: an answer about a believed subnet is true for that subnet alone; every other is the same for all."""
    sent = data.draw(subnets(world))
    snapshot = snapshot_of(
        {"example.": HEAD + "whoami 0 WHOAMI\n"},
        databases=world.databases,
        networks=world.networks,
        anycast=world.anycast,
        regions={"apac": ["continent:AS"]},
        trust=["0.0.0.0/0", "::/0"] if trusted else [],
    )
    message = question("whoami.example. TXT")
    message.use_edns(0, options=[ecs_option(str(sent))])
    octets = respond(snapshot, message.to_wire(), place(SENDER), stream=True)
    assert octets is not None
    [option] = [found for found in dns.message.from_wire(octets).options if isinstance(found, dns.edns.ECSOption)]

    assert (option.srclen if trusted else 0) == option.scopelen


@given(st.text(max_size=400))
def test_every_string_fits(name: str) -> None:
    """A character-string has 255 octets; what is longer is cut where a character ends."""
    city = {"81.0.0.0/8": {"continent": "EU", "city": name}}
    snapshot = snapshot_of({"example.": ZONE}, databases=[city], identity="x")
    client = Client(place("81.2.69.5"), None, Subnet.ABSENT)
    owner = from_text("whoami.example.")
    whereabouts = snapshot.zones[from_text("example.")].whereabouts
    assert whereabouts
    way = climb(whereabouts, client)
    rdata = introduce(way, snapshot.atlas, snapshot.identity, client, None, (owner, 0)).rrset.rdatas[0]
    texts = []
    while rdata:
        texts.append(rdata[1 : rdata[0] + 1].decode())
        rdata = rdata[rdata[0] + 1 :]

    assert ["source 81.2.69.5", "ecs none", "instance x"] == texts[:3]
    assert f"location continent EU{f', city {name}' if name else ''}".startswith(texts[4].removesuffix("…"))


def test_it_can_be_explained() -> None:
    """`explain` goes the same way: the rung, the place and the scope are told, and every step."""
    asker = Asker(place(SENDER), subnet("8.8.8.0/24"))
    told = explain(SNAPSHOT, from_text("whoami.example."), Type.TXT, asker)

    assert ("fallback", None, None, 24, 0) == (told.rung, told.rule, told.pool, told.scope, told.ttl)
    assert "the client is told about itself (WHOAMI)" == told.reason
    assert any(step.startswith("rung ecs is passed over: 8.8.8.0 is not usable: 8.8.8.0/24 is anycast") for step in told.steps)
    assert "scope /24: what is told is about this very client subnet" in told.steps

"""The general path from octets to octets: what is no ordinary question, EDNS, sizes, and the laws of client subnets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from itertools import pairwise

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import QUIET, Census, Cookies, Ledger, Snapshot, Trust, respond
from geodns.geo import Network
from geodns.wire.cookies import make_cookie
from tests.support.cases import Case, cases
from tests.support.random_worlds import HEAD, QUESTIONS, WORLDS, World, subnets
from tests.support.world import SENDER, Reply, ask, ecs_option, place, question, snapshot_of


@pytest.mark.parametrize("case", cases("server"), ids=str)
def test_the_server_says_what_it_does_not_do(case: Case) -> None:
    """Each line of the table comes out as it is written."""
    assert case.expected == ask(case.snapshot, case.query, case.source, stream=case.stream)


def exchange(snapshot: Snapshot, message: dns.message.Message, *, stream: bool = False) -> dns.message.Message:
    octets = respond(snapshot, message.to_wire(), place(SENDER), stream=stream)
    assert octets is not None
    return dns.message.from_wire(octets)


PLAIN = snapshot_of({"example.": HEAD + "".join(f"big A 192.0.2.{number}\n" for number in range(90))}, identity="fra1")


@pytest.mark.parametrize(
    ("payload_size", "stream", "truncated"),
    [(0, False, True), (512, False, True), (4096, False, True), (0, True, False), (512, True, False)],
)
def test_a_datagram_is_truncated_and_a_stream_is_not(payload_size: int, stream: bool, truncated: bool) -> None:
    """TC and no records where an answer exceeds what both sides take over UDP; over TCP everything."""
    reply = ask(PLAIN, question("big.example. A", payload_size=payload_size), stream=stream)

    assert (truncated, 0 if truncated else 90) == (reply.truncated, len(reply.answer))


@pytest.mark.parametrize(("payload_size", "expected"), [(1232, False), (600, True)])
def test_the_lesser_payload_size_counts(payload_size: int, expected: bool) -> None:
    """A reply of some 900 octets fits into 1232, not into 600."""
    text = HEAD + "".join(f"some A 192.0.2.{number}\n" for number in range(50))

    assert (
        expected
        == ask(snapshot_of({"example.": text}), question("some.example. A", payload_size=payload_size), stream=False).truncated
    )


def test_the_question_is_echoed_octet_for_octet() -> None:
    """Mixed case (0x20) comes back as it was sent, and so does the RD bit."""
    message = question("NS.exaMPLE. A")
    message.flags |= dns.flags.RD
    octets = message.to_wire()

    reply = respond(PLAIN, octets, place(SENDER))

    assert reply is not None
    assert octets[12 : 12 + len("NS.exaMPLE.") + 5] == reply[12 : 12 + len("NS.exaMPLE.") + 5]
    assert octets[:2] == reply[:2]
    assert dns.message.from_wire(reply).flags & dns.flags.RD


def test_the_instance_is_named_on_request() -> None:
    """NSID (RFC 5001) is answered where asked for, unless the operator tells no name."""
    message = question("ns.example. A")
    assert [] == list(exchange(PLAIN, message).options)

    message.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")])

    assert [b"fra1"] == [option.to_wire() for option in exchange(PLAIN, message).options]
    assert [] == list(exchange(snapshot_of({"example.": HEAD}), message).options)


@pytest.mark.parametrize(("own", "told"), [({"nsid": "n1"}, [b"n1"]), ({"nsid": ""}, []), ({"id_server": ""}, [b"fra1"])])
def test_nsid_may_have_a_word_of_its_own(own: dict[str, str], told: list[bytes]) -> None:
    """What NSID says is the identity unless something else, or nothing, is written for it alone."""
    message = question("ns.example. A")
    message.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")])
    snapshot = snapshot_of({"example.": HEAD}, identity="fra1", own_words=own)

    assert told == [option.to_wire() for option in exchange(snapshot, message).options]


def test_a_stream_tells_its_idle_timeout() -> None:
    """RFC 7828 §3.2: in units of 100 ms, on request, over TCP only."""
    message = question("ns.example. A")
    message.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.make(11), b"")])

    assert [b"\x00\x64"] == [option.to_wire() for option in exchange(PLAIN, message, stream=True).options]
    assert [] == list(exchange(PLAIN, message).options)


def test_a_later_edns_version_is_badvers() -> None:
    """RFC 6891 §6.1.3: BADVERS in a version 0 OPT record, nothing else read of it."""
    message = question("ns.example. A")
    message.use_edns(1, options=[ecs_option("192.0.2.0/24")])

    reply = exchange(PLAIN, message)

    assert (dns.rcode.BADVERS, 0, []) == (reply.rcode(), reply.edns, list(reply.options))
    assert [] == reply.answer


@pytest.mark.parametrize("octets", [b"", b"\0" * 11, question("ns.example. A").to_wire()[:2] + b"\x80" + b"\0" * 9])
def test_what_is_no_query_gets_silence(octets: bytes) -> None:
    """Too short for a header, or a response: no reply at all."""
    assert respond(PLAIN, octets, place(SENDER)) is None


# Client subnets


@settings(max_examples=60, deadline=None)
@given(st.data(), WORLDS, QUESTIONS)
def test_the_client_subnet_comes_back_as_it_was_sent(data: st.DataObject, world: World, asked: str) -> None:
    """RFC 7871 §7.2.1: FAMILY, SOURCE and ADDRESS of every reply are the query's; none is added where none was sent."""
    sent = data.draw(st.none() | subnets(world))
    name = data.draw(st.sampled_from([asked, "www.elsewhere. A", "example. AXFR", "id.server. CH TXT"]))

    reply = ask(world.snapshot, question(name, client_subnet=sent))

    assert sent == reply.subnet
    assert (sent is None) == (reply.scope is None)


@settings(max_examples=40, deadline=None)
@given(st.data(), WORLDS, QUESTIONS)
def test_switched_off_the_client_subnet_is_as_if_not_sent(data: st.DataObject, world: World, asked: str) -> None:
    """Without `ecs.enabled` the reply to a query with a client subnet is the reply to one without."""
    snapshot = replace(world.snapshot, trust=Trust(enabled=False))

    with_subnet, without = (ask(snapshot, question(asked, client_subnet=sent)) for sent in (data.draw(subnets(world)), None))

    assert without == with_subnet


@settings(max_examples=40, deadline=None)
@given(st.data(), WORLDS, QUESTIONS)
def test_a_subnet_not_believed_or_withheld_has_scope_zero(data: st.DataObject, world: World, asked: str) -> None:
    """An untrusted sender and SOURCE 0 get the answer of the sender's own place, the same for all its clients: SCOPE 0."""
    sent = data.draw(subnets(world))
    source = data.draw(st.sampled_from(world.addresses()))
    nobody = replace(world.snapshot, trust=Trust(networks=()))
    expected = ask(world.snapshot, question(asked), source)

    untrusted = ask(nobody, question(asked, client_subnet=sent), source)
    withheld = ask(world.snapshot, question(asked, client_subnet="::/0" if ":" in sent else "0.0.0.0/0"), source)

    for reply in (untrusted, withheld):
        assert 0 == reply.scope
        assert expected == replace(reply, scope=None, subnet=None)


@settings(max_examples=60, deadline=None)
@given(st.data(), WORLDS, QUESTIONS)
def test_what_does_not_differ_has_scope_zero(data: st.DataObject, world: World, asked: str) -> None:
    """Referrals, NXDOMAIN, NODATA and names without variants: SCOPE 0 for every client subnet."""
    reply = ask(world.snapshot, question(asked, client_subnet=data.draw(subnets(world))))
    tailored = any(record.split()[0] in {"www.example.", "alias.example.", "x.wild.example."} for record in reply.answer)

    if not tailored or "HINFO" in reply.answer[-1]:
        assert 0 == reply.scope
    if reply.rcode == "NXDOMAIN" or reply.authority:
        assert 0 == reply.scope


def scoped(world: World, asked: str, source: str) -> Iterator[tuple[Network, Reply]]:
    """For every client at some edge of the world: the network that its reply is said to be for, and the reply."""
    for text in world.addresses():
        address = ip_address(text)
        reply = ask(world.snapshot, question(asked, client_subnet=f"{text}/{address.max_prefixlen}"), source)
        assert reply.scope is not None
        network = ip_network((address.packed, reply.scope), strict=False)
        yield network, replace(reply, scope=None, subnet=None)


@settings(max_examples=15, deadline=None)
@given(
    WORLDS, st.sampled_from(["www.example. A", "www.example. AAAA", "alias.example. A", "chain.example. A", "x.wild.example. A"])
)
def test_scopes_of_one_name_never_overlap_and_hold_one_answer(world: World, asked: str) -> None:
    """RFC 7871 §7.2.1: all networks told for one name are equal or disjoint, and within one everybody gets the same answer."""
    for source in (SENDER, world.addresses()[0]):
        found: dict[Network, Reply] = {}
        for network, reply in scoped(world, asked, source):
            assert found.setdefault(network, reply) == reply
        for version in (4, 6):
            ordered = sorted(network for network in found if network.version == version)
            for first, second in pairwise(ordered):
                assert first.broadcast_address < second.network_address  # type: ignore[operator]  # of one family


@settings(max_examples=40, deadline=None)
@given(st.data(), WORLDS)
def test_the_scope_does_not_depend_on_source(data: st.DataObject, world: World) -> None:
    """Not clamped: any SOURCE with the same ADDRESS gets the same answer and scope, shorter or longer than itself."""
    address = ip_address(data.draw(st.sampled_from(world.addresses())))
    zeros = address.max_prefixlen if not int(address) else (int(address) & -int(address)).bit_length() - 1
    lengths = st.integers(max(address.max_prefixlen - zeros, 1), address.max_prefixlen)

    replies = [
        ask(world.snapshot, question("www.example. A", client_subnet=f"{address}/{length}"))
        for length in (data.draw(lengths), address.max_prefixlen)
    ]

    assert replace(replies[0], subnet=None) == replace(replies[1], subnet=None)


@pytest.mark.parametrize(
    "block", ["127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "fc00::/7"]
)
def test_the_scope_of_a_special_block_covers_it(block: str) -> None:
    """RFC 7871 §10: a private ADDRESS is answered by the sender's place, for the whole block at once."""
    text = HEAD + "www A 192.0.2.1\nwww GEO continent:EU A 198.51.100.1\n"
    snapshot = snapshot_of({"example.": text}, databases=[{"77.0.0.0/8": {"continent": "EU"}, "10.0.0.0/8": {"continent": "AS"}}])
    network = ip_network(block)

    for address in (network.network_address + 1, network.broadcast_address):
        reply = ask(snapshot, question("www.example. A", client_subnet=f"{address}/{network.max_prefixlen}"), "77.0.0.1")

        assert network.prefixlen == reply.scope
        assert ["www.example. 300 A 198.51.100.1"] == reply.answer


COOKIED = snapshot_of({"example.": HEAD}, cookie_secrets=(b"new secret 01234", b"old secret 56789"))
MADE_AT = 1_800_000_000
CLIENT = b"clientck"
FORGED = CLIENT + b"\x01" + bytes(15)
GENUINE, STALE = (make_cookie(CLIENT, ip_address(SENDER).packed, COOKIED.cookie_secrets[1], MADE_AT - ago) for ago in (60, 4000))


def served(message: dns.message.Message, *, stream: bool = False) -> tuple[dns.message.Message, Counter[str]]:
    """The reply of a server with cookies, and what it has counted of cookies."""
    census = Census(Ledger())
    census.settle()
    cookies = Cookies(COOKIED.cookie_secrets)
    cookies.tick(MADE_AT)
    judged = partial(cookies.serve, ip_address(SENDER).packed)
    octets = respond(COOKIED, message.to_wire(), place(SENDER), QUIET, census, stream=stream, cookies=judged)
    assert octets is not None
    counted = {labels[1]: census.tally[number] for number, labels in enumerate(census.ledger.names) if labels[0] == "cookie"}
    return dns.message.from_wire(octets), +Counter(counted)


def cookies_in(message: dns.message.Message) -> list[bytes]:
    return [option.to_wire() or b"" for option in message.options if option.otype == dns.edns.OptionType.COOKIE]


def with_cookie(content: bytes, *more: dns.edns.Option) -> dns.message.QueryMessage:
    message = question("ns.example. A")
    message.use_edns(0, 0, 1232, options=[*more, dns.edns.GenericOption(dns.edns.OptionType.COOKIE, content)])
    return message


def without_question(content: bytes) -> dns.message.QueryMessage:
    message = with_cookie(content)
    message.question.clear()
    return message


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("content", "outcome"), [(CLIENT, "client_only"), (FORGED, "invalid"), (STALE, "expired"), (GENUINE, "renewed")]
)
def test_every_reply_to_a_cookie_has_a_good_one(content: bytes, outcome: str, stream: bool) -> None:
    """The answer is the same with any cookie or none, and with it comes one of the newest secret (RFC 7873 §5.2.3)."""
    reply, counted = served(with_cookie(content), stream=stream)
    ours = make_cookie(CLIENT, ip_address(SENDER).packed, COOKIED.cookie_secrets[0], MADE_AT)

    assert [ours] == cookies_in(reply)
    assert {outcome: 1} == counted
    assert exchange(COOKIED, question("ns.example. A")).answer == reply.answer


def test_a_cookie_comes_last() -> None:
    """Behind the extended error of a refusal and the client subnet, where a query has all of them; a valid one as it came."""
    valid = make_cookie(CLIENT, ip_address(SENDER).packed, COOKIED.cookie_secrets[0], MADE_AT - 60)
    message = question("elsewhere.test. A")
    message.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, valid), ecs_option("81.2.69.0/24")])
    reply, counted = served(message)

    assert [15, 8, 10] == [int(option.otype) for option in reply.options]
    assert [valid] == cookies_in(reply)
    assert {"valid": 1} == counted


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 41, 60])
def test_a_cookie_of_impossible_length_is_malformed(size: int) -> None:
    """FORMERR with OPT and without a cookie (RFC 7873 §5.2.2)."""
    reply, counted = served(with_cookie(b"x" * size))

    assert (dns.rcode.FORMERR, 0, []) == (reply.rcode(), reply.edns, cookies_in(reply))
    assert {"malformed": 1} == counted


@pytest.mark.parametrize("size", [16, 23, 25, 40])
def test_a_cookie_of_anothers_make_is_answered(size: int) -> None:
    """Server cookies of other lengths are somebody else's: invalid, not malformed."""
    reply, counted = served(with_cookie(b"x" * size))

    assert dns.rcode.NOERROR == reply.rcode()
    assert {"invalid": 1} == counted


def test_only_the_first_cookie_counts() -> None:
    """RFC 7873 §5.2: all others are ignored, malformed ones too."""
    good, bad = (dns.edns.GenericOption(dns.edns.OptionType.COOKIE, content) for content in (CLIENT, b"bad"))
    fine, _ = served(with_cookie(b"bad", good))
    refused, _ = served(with_cookie(CLIENT, bad))

    assert (dns.rcode.NOERROR, dns.rcode.FORMERR) == (fine.rcode(), refused.rcode())


@pytest.mark.parametrize(
    ("content", "rcode"),
    [(CLIENT, "NOERROR"), (GENUINE, "NOERROR"), (FORGED, "BADCOOKIE"), (STALE, "BADCOOKIE"), (b"bad", "FORMERR")],
)
def test_a_query_for_a_cookie_alone_gets_it(content: bytes, rcode: str) -> None:
    """No question, and the response code tells whether the cookie sent was good (RFC 7873 §5.4)."""
    reply, _ = served(without_question(content))

    assert (rcode, []) == (dns.rcode.to_text(reply.rcode()), reply.question)
    assert ([] if rcode == "FORMERR" else [24]) == list(map(len, cookies_in(reply)))


def test_no_question_and_no_cookie_is_malformed() -> None:
    """Where cookies are not served, or none is sent, a message without question is FORMERR as ever (RFC 9619 §4)."""
    bare = question("ns.example. A")
    bare.question.clear()

    assert dns.rcode.FORMERR == exchange(PLAIN, without_question(CLIENT)).rcode()
    assert dns.rcode.FORMERR == served(bare)[0].rcode()

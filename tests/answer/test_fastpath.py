"""The fast path is a memo: octet for octet what the general path gives, and it is really taken."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from geodns.answer import (
    LADDER,
    QUIET,
    Census,
    Datagram,
    How,
    Ledger,
    Moment,
    Pool,
    Rung,
    Snapshot,
    Standing,
    Steering,
    WhenAllDown,
    compile_answers,
    matcher,
    respond,
    sender,
)
from geodns.daemon import DEMONSTRATION, load
from geodns.wire import Edns, Query, Type, from_text, question_of, render_query, subnet_of, to_text
from geodns.wire.edns import render_opt, render_options
from geodns.zone import ZoneContents
from tests.support.pools import DOWN, Server, moments, pool_of, pools, standings
from tests.support.random_worlds import LADDERED, WORLDS, World, clients, subnets
from tests.support.random_zones import names_about, zone_sets
from tests.support.world import compiled, snapshot_of

ODD_ZONES = {
    "example.": """
$TTL 300
@ SOA ns.sub.deep hostmaster.deep 1 2 3 4 60
@ NS ns.sub.deep
@ NS ns.other.test.
ns.sub.deep A 192.0.2.53
deep TXT "here"
www 60 A 192.0.2.1
www 60 GEO continent:EU A 198.51.100.1
www 60 GEO continent:AS A 198.51.100.2
www 60 AAAA 2001:db8::1
www 60 HTTPS 1 . alpn=h2
www 60 TYPE97 \\# 2 6161
*.wild A 192.0.2.2
*.wild 60 GEO continent:EU A 198.51.100.3
*.wild HTTPS 1 .
*.plain A 192.0.2.3
*.plain TXT "plain"
*.alias CNAME www
*.far TXT "far"
x.y.far A 192.0.2.9
who 0 WHOAMI
who A 192.0.2.15
*.who 0 WHOAMI
towho CNAME who
chain CNAME www
twice CNAME chain
loop CNAME loop2
loop2 CNAME loop
out CNAME www.elsewhere.test.
toeu 60 CNAME www.elsewhere.test.
toeu 60 GEO continent:EU CNAME eu.elsewhere.test.
mail MX 10 www
mail MX 20 host
host A 192.0.2.4
sub NS ns.sub
ns.sub A 192.0.2.5
d DNAME www
zero\\000label A 192.0.2.6
$GENERATE 1-40 big A 192.0.2.$
child NS ns.child
ns.child A 192.0.2.7
hidden.child2 A 192.0.2.8
""",
    "child.example.": "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.10\nwww A 192.0.2.11\n*.w A 192.0.2.12\n",
    "child2.example.": "$TTL 300\n@ SOA . . 1 2 3 4 60\n@ NS ns.example.\n",
    "net.": "$TTL 300\n@ SOA www.example. x.y.z.example. 1 2 3 4 60\n@ NS www.example.\n",
}
DATABASE = {"81.0.0.0/8": {"continent": "EU"}, "133.0.0.0/8": {"continent": "AS"}, "2a02::/16": {"continent": "EU"}}
SOURCES = ["198.18.0.53", "81.2.69.5", "133.11.0.1", "8.8.8.8", "10.0.0.1", "2a02::1", "::ffff:81.2.69.5", "64:ff9b::5102:4505"]
SUBNETS = [
    "81.2.69.0/24", "133.11.0.0/16", "10.1.0.0/16", "8.8.8.0/24", "0.0.0.0/0", "::/0", "2a02:8100::/32", "2a02:8100::/47",
    "81.2.68.0/23", "128.0.0.0/1", "81.2.69.5/32", "::ffff:81.2.69.0/120", "2002:5102:4500::/48", "fd00::/9", "2a02::1/128",
]  # fmt: skip
TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 64, 65, 97, 99, 255, 252, 41, 257, 65280, 65281, 65282, 0x4141, 0x6161]
OWNERS = [
    "example.", "www.example.", "deep.example.", "sub.deep.example.", "ns.sub.deep.example.", "hostmaster.deep.example.",
    "x.hostmaster.deep.example.", "x.ns.sub.deep.example.", "wild.example.", "a.wild.example.", "b.a.wild.example.",
    "*.wild.example.", "plain.example.", "q.plain.example.", "p.q.plain.example.", "alias.example.", "z.alias.example.",
    "far.example.", "y.far.example.", "q.y.far.example.", "who.example.", "x.who.example.", "towho.example.",
    "chain.example.", "twice.example.", "loop.example.", "out.example.",
    "toeu.example.", "mail.example.", "host.example.", "sub.example.", "x.sub.example.", "ns.sub.example.", "d.example.",
    "x.d.example.", "zero\\000label.example.", "big.example.", "missing.example.", "x" * 63 + ".example.", "child.example.",
    "www.child.example.", "nope.child.example.", "q.w.child.example.", "ns.child.example.", "child2.example.",
    "hidden.child2.example.", "x.hidden.child2.example.", "net.", "www.net.", "z.example.", "y.z.example.", "x.y.z.net.",
    "elsewhere.test.", ".", "x.y.z.w.v.u.t.s.r.q.example.", ("l" * 49 + ".") * 4 + "missing.example.",
]  # fmt: skip


def sockaddr(text: str) -> bytes:
    address = ip_address(text)
    if address.version == 4:
        return struct.pack("=H", 2) + struct.pack("!H4s8x", 5353, address.packed)
    return struct.pack("=H", 10) + struct.pack("!HI16sI", 5353, 0, address.packed, 0)


def subnet_option(text: str) -> bytes:
    address, length = text.split("/")
    return subnet_of(ip_address(address), int(length)).option(0)


OPTION = (
    st.sampled_from(SUBNETS).map(lambda text: (8, subnet_option(text)))
    | st.binary(min_size=8, max_size=8).map(lambda cookie: (10, cookie))
    | st.sampled_from(
        [
            (3, b""),
            (10, b"x" * 24),
            (11, b""),
            (12, b"\0" * 8),
            (15, b"\0\0"),
            (8, b"\0\1\x18\0\1\2"),
            (8, b"\0\3\0\0"),
            (8, b"\0\0\0\0"),
            (8, b"\0\1\x17\0\1\2\3"),
        ]
    )
)
OPT = st.builds(
    lambda size, version, flags, options: render_opt(size, 0, version, flags, render_options(options)),
    st.sampled_from([0, 512, 1232, 4096, 65535]),
    st.sampled_from([0, 0, 0, 0, 1]),
    st.sampled_from([0, 0, 0x8000, 0x0001]),
    st.lists(OPTION, max_size=2),
)
FLAGS = st.sampled_from([0x0000, 0x0100, 0x0120, 0x0110, 0x0400, 0x0200, 0x8000, 0x2000, 0x0800, 0x0001])


def message(name: str, rdtype: int, rdclass: int, flags: int, opt: bytes | None, upper: int) -> bytes:
    """A query, its name in mixed case as the bits of `upper` say."""
    question = question_of(from_text(name), rdtype, rdclass)
    mixed = bytes(
        octet - 32 if 97 <= octet <= 122 and upper >> n & 1 and n < len(question) - 4 else octet
        for n, octet in enumerate(question)
    )
    return struct.pack("!6H", 4660, flags, 1, 0, 0, int(opt is not None)) + mixed + (opt or b"")


def messages(names: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return st.builds(
        message,
        names,
        st.sampled_from(TYPES),
        st.sampled_from([1, 1, 1, 1, 3, 255]),
        FLAGS,
        st.none() | OPT,
        st.integers(0, 2**40),
    )


ODD_NAMES = st.sampled_from(OWNERS) | st.builds(
    lambda label, owner: f"{label}.{owner}".replace("..", "."),
    st.sampled_from(["x", "www", "ns", "*"]),
    st.sampled_from(OWNERS[:43]),
)


def mangled(octets: bytes, at: int, octet: int, cut: int) -> bytes:
    """A message with one octet replaced and, maybe, its end cut off or something put behind."""
    at %= len(octets)
    changed = octets[:at] + bytes((octet,)) + octets[at + 1 :]
    return changed[: len(changed) - cut] if cut >= 0 else changed + b"\0" * -cut


class Both:
    """Both paths over one snapshot at one moment, what each has counted, and how often the fast one took the general one."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.moment = QUIET
        self.detours = 0
        self.census, self.plain_census = Census(Ledger()), Census(Ledger())
        self.compiled = compile_answers(snapshot, self.census)
        compile_answers(snapshot, self.plain_census)  # for what is expected only: nothing of it answers
        for census in (self.census, self.plain_census):
            census.settle()
        self.fast: Datagram = matcher(snapshot, self.compiled, self.census, self.detour)

    def stand(self, octets: bytes) -> None:
        """Let standings be these from now on."""
        self.moment = Moment(octets)
        self.compiled.refresh(octets)

    def general(self, octets: bytes, source: bytes) -> bytes | None:
        return respond(self.snapshot, octets, sender(source), self.moment, self.plain_census)

    def detour(self, octets: bytes, source: bytes) -> bytes | None:
        self.detours += 1
        return respond(self.snapshot, octets, sender(source), self.moment, self.census)


@cache
def odd(trust: tuple[str, ...] = ("0.0.0.0/0", "::/0"), *, ecs: bool = True) -> Both:
    return Both(snapshot_of(ODD_ZONES, databases=[DATABASE], anycast=["8.8.8.0/24"], trust=trust, ecs=ecs, told_why=trust))


PATHS = st.sampled_from([(), (("81.0.0.0/8", "2a02::/16", "198.18.0.0/15"), True), (("0.0.0.0/0", "::/0"), False)])


def both(path: tuple[tuple[str, ...], bool] | tuple[()]) -> Both:
    return odd(path[0], ecs=path[1]) if path else odd()


@settings(max_examples=1500, deadline=None)
@given(PATHS, messages(ODD_NAMES), st.sampled_from(SOURCES))
def test_replies_are_those_of_the_general_path_octet_for_octet(
    path: tuple[tuple[str, ...], bool] | tuple[()], octets: bytes, source: str
) -> None:
    """Whatever is asked of whatever names by whomever, the first time and once it is known."""
    paths, address = both(path), sockaddr(source)
    expected = paths.general(octets, address)

    assert [expected, expected] == [paths.fast(octets, address), paths.fast(octets, address)]


@pytest.mark.parametrize("filler", range(64))
def test_no_name_goes_on_behind_its_root(filler: int) -> None:
    """Octets behind a question that, with it, look like a longer name below one of ours, are as malformed as any others."""
    paths, address = demonstration(), sockaddr("192.0.2.1")
    question = question_of(from_text("a"), Type.A) + b"x" * filler + question_of(from_text("example.com"), Type.A)
    octets = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + question
    expected = paths.general(octets, address)

    assert [expected, expected] == [paths.fast(octets, address), paths.fast(octets, address)]


@settings(max_examples=1500, deadline=None)
@given(messages(ODD_NAMES), st.integers(0, 511), st.integers(0, 255), st.integers(-2, 20), st.sampled_from(SOURCES))
def test_broken_messages_get_what_the_general_path_gives_them(octets: bytes, at: int, octet: int, cut: int, source: str) -> None:
    """One octet changed, an end cut off or octets too many: the fast path never answers what the general one refuses."""
    broken, address = mangled(octets, at, octet, cut), sockaddr(source)
    expected = odd().general(broken, address)

    assert [expected, expected] == [odd().fast(broken, address), odd().fast(broken, address)]


@settings(max_examples=40, deadline=None)
@given(WORLDS, st.data())
def test_random_worlds_answer_alike_on_both_paths(world: World, data: st.DataObject) -> None:
    """Random rules over random places: every drawn question and client."""
    paths = Both(world.snapshot)
    names = st.sampled_from(
        ["www.example.", "alias.example.", "x.wild.example.", "chain.example.", "no.example.", "static.example."]
    )
    for _ in range(8):
        octets, address = data.draw(messages(names)), sockaddr(data.draw(st.sampled_from(SOURCES)))
        expected = paths.general(octets, address)

        assert [expected, expected] == [paths.fast(octets, address), paths.fast(octets, address)]


@settings(max_examples=60, deadline=None)
@given(LADDERED, st.data())
def test_every_ladder_answers_alike_on_both_paths(world: World, data: st.DataObject) -> None:
    """Egress maps, an instance's own place, rungs left out or in another order: replies and all that is counted are the same."""
    paths = Both(world.snapshot)
    for _ in range(8):
        name = data.draw(st.sampled_from(["www.example.", "alias.example.", "x.wild.example.", "static.example."]))
        option = data.draw(st.none() | subnets(world))
        opt = render_opt(1232, 0, 0, 0, render_options([(8, subnet_option(option))] if option else []))
        octets = message(name, data.draw(st.sampled_from([1, 28, 5])), 1, 0, data.draw(st.sampled_from([opt, None])), 0)
        address = sockaddr(data.draw(clients(world)))
        paths.general(octets, address)
        expected = paths.general(octets, address)

        assert [expected, expected] == [paths.fast(octets, address), paths.fast(octets, address)]
    assert rungs_counted(paths.plain_census) == rungs_counted(paths.census)


def rungs_counted(census: Census) -> Counter[str]:
    """How often each rung has decided, and how often an anycast address was passed over."""
    counted: Counter[str] = Counter()
    for labels, count in zip(census.ledger.names, census.tally, strict=True):
        if labels[0] == "reply":
            counted[How(int(labels[-1])).name] += count
        elif labels[0] in {"anycast", "anycast_source"}:
            counted[" ".join(labels)] += count
    return +counted


USUAL = [
    ("www.example.com", Type.A), ("www.example.com", Type.AAAA), ("WWW.eXample.com", Type.A), ("static.example.com", Type.A),
    ("www.example.com", Type.TXT), ("missing.example.com", Type.A), ("www.missing.example.com", Type.HTTPS),
    ("blog.example.com", Type.A),
    ("x.dyn.example.com", Type.A), ("x.dyn.example.com", Type.AAAA), ("api.example.com", Type.HTTPS), ("example.com", Type.MX),
    ("b.c.example.com", Type.A), ("www.example.net", Type.A), ("cdn.example.com", Type.A), ("app.example.com", Type.A),
]  # fmt: skip
WISHES = [
    None, Edns(), Edns(dnssec_ok=True), Edns(payload_size=512), Edns(client_subnet=subnet_of(ip_address("81.2.69.0"), 24)),
    Edns(client_subnet=subnet_of(ip_address("2a02:8100::"), 56)), Edns(client_subnet=subnet_of(ip_address("0.0.0.0"), 0)),
]  # fmt: skip


@cache
def demonstration() -> Both:
    return Both(load(DEMONSTRATION).snapshot)


@pytest.mark.parametrize(("name", "rdtype"), USUAL)
@pytest.mark.parametrize("edns", WISHES, ids=str)
def test_usual_questions_take_no_detour_once_their_form_is_known(name: str, rdtype: Type, edns: Edns | None) -> None:
    """No EDNS, EDNS, client subnets of both families, mixed case; positive, negative, wildcard, alias, tailored, not served."""
    paths = demonstration()
    query = Query(
        7,
        0,
        recursion_desired=True,
        question=question_of(from_text(name), rdtype),
        name=from_text(name),
        rdtype=rdtype,
        rdclass=1,
        edns=edns,
    )
    octets = render_query(query)
    for _ in range(3):  # its header and its OPT record are learnt on the way
        paths.fast(octets, sockaddr("198.18.0.53"))
    before = paths.detours
    reply = paths.fast(octets, sockaddr("198.18.0.53"))

    assert before == paths.detours
    assert paths.general(octets, sockaddr("198.18.0.53")) == reply


@pytest.mark.parametrize("numbers", ["4294967295 2 3 4 60", "1 255 65535 4 255"])
def test_no_serial_sends_negative_answers_round(numbers: str) -> None:
    """Whatever octets the numbers of a SOA record have, a flood of names that do not exist is matched."""
    zone = f"@ 60 SOA ns host {numbers}\n@ 60 NS ns.example.net.\nwww 60 A 192.0.2.1\n"
    paths, address = Both(snapshot_of({"example.": zone})), sockaddr("192.0.2.1")
    asked = [message(name, Type.TXT, 1, 0x0100, None, 0) for name in ("www.example.", "none.example.", "x.www.example.")]
    for query in asked:
        paths.fast(query, address)
    before = paths.detours

    assert [paths.general(query, address) for query in asked] == [paths.fast(query, address) for query in asked]
    assert before == paths.detours


@pytest.mark.parametrize("name", OWNERS)
def test_every_type_of_every_owner_is_answered_alike(name: str) -> None:
    """A sweep: what is too long to be prepared, or hangs on names, is answered like the rest."""
    paths, address = odd(), sockaddr("81.2.69.5")
    asked = [message(name, rdtype, 1, 0x0100, None, 0) for rdtype in TYPES]
    for octets in asked:
        paths.fast(octets, address)

    assert [paths.general(octets, address) for octets in asked] == [paths.fast(octets, address) for octets in asked]


def test_random_names_leave_nothing_behind() -> None:
    """A flood of names that do not exist makes one template entry for each length of name, not for each name."""
    paths = demonstration()
    flood = [message(f"n{number:07}.example.com.", 1, 1, 0x0100, None, 0) for number in range(5000)]
    compiled, fast = paths.compiled, paths.fast
    sizes = (len(compiled.entries), len(compiled.typed), len(compiled.owners))
    replies = {fast(octets, sockaddr("198.18.0.53"))[-60:] for octets in flood}  # type: ignore[index]

    assert sizes == (len(compiled.entries), len(compiled.typed), len(compiled.owners))
    assert 1 == len(replies)


POOL_ZONE = """
$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
$GENERATE 1-8 p$ POOL p$
$GENERATE 1-8 p$ A 192.0.2.20$
$GENERATE 1-8 h$ POOL p$
$GENERATE 1-8 h$ A 192.0.2.20$
$GENERATE 1-8 h$ 60 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.20$ ipv6hint=2001:db8:9::$
$GENERATE 1-8 *.w$ POOL p$
$GENERATE 1-8 *.w$ A 192.0.2.20$
$GENERATE 1-8 to$ CNAME p$
$GENERATE 1-8 svc$ HTTPS 1 p$ ipv4hint=192.0.2.20$
$GENERATE 1-8 alias$ HTTPS 0 p$
p1 AAAA 2001:db8:9::1
p2 AAAA 2001:db8:9::2
p3 MX 10 p3
p4 TXT "four"
two 60 POOL p1
two A 192.0.2.210
far GEO continent:EU CNAME p1
far CNAME p2
static A 192.0.2.211
"""
SMALL_ZONE = """
$TTL 300
@ SOA ns host 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www POOL app
www A 192.0.2.99
www HTTPS 1 . ipv4hint=192.0.2.99
"""
PLACED: dict[str, dict[str, object]] = {
    "81.0.0.0/8": {"continent": "EU", "country": "DE", "latitude": 50.1, "longitude": 8.7},
    "133.0.0.0/8": {"continent": "AS", "country": "JP", "latitude": 35.7, "longitude": 139.7},
    "2a02::/16": {"continent": "EU", "country": "FR", "latitude": 48.9, "longitude": 2.4},
    "9.0.0.0/8": {"continent": "AS"},
}
POOL_REGIONS = {"eu": ("continent:EU",), "rest": ("continent:AS", "continent:NA")}
POOL_NAMES = st.builds(
    lambda owner, number: f"{owner}{number}.example.",
    st.sampled_from(["p", "h", "to", "svc", "alias", "x.w", "*.w", "x.p", "w"]),
    st.integers(1, 8),
) | st.sampled_from(["two.example.", "far.example.", "static.example.", "no.example."])
POOL_TYPES = st.sampled_from([Type.A, Type.A, Type.A, Type.AAAA, Type.AAAA, Type.HTTPS, Type.TXT, Type.MX, Type.CNAME, Type.ANY])
POOL_SOURCES = [*SOURCES, "9.1.2.3", "2002:5102:4505::1"]
POOL_SUBNETS = [*SUBNETS, "9.1.2.0/24", "::ffff:0:0/96", "64:ff9b::5102:4500/120"]


def servers(*, capacity: float = 0.0, six: bool = True, weights: tuple[int, ...] = (1, 2, 0)) -> list[Server]:
    """Five sites on three continents; at the first one a server for each weight."""
    labels = [f"fra/fra-{number}" for number, _ in enumerate(weights)] + ["ams/ams-1", "nyc/nyc-1", "tyo/tyo-1", "syd/syd-1"]
    return [
        Server(
            label,
            (f"192.0.2.{number}", *([f"2001:db8::{number}"] if six and label != "ams/ams-1" else [])),
            weights[number - 1] if number <= len(weights) else 3,
            "eu" if label[:3] in {"fra", "ams"} else "rest",
            capacity,
            capacity * 0.6,
        )
        for number, label in enumerate(labels, start=1)
    ]


def every_pool() -> list[Pool]:
    """A pool of every steering, with and without capacity, IPv6, several answers; for each end of all hope."""
    return [
        pool_of("p1", servers(), 0, steering=Steering.NEAREST),
        pool_of("p2", servers(capacity=5.0), 20, steering=Steering.NEAREST, when_all_down=WhenAllDown.NODATA),
        pool_of("p3", servers(six=False), 40, steering=Steering.REGION, when_all_down=WhenAllDown.FALLBACK),
        pool_of("p4", servers(capacity=5.0, six=False), 60, steering=Steering.FAILOVER, when_all_down=WhenAllDown.SERVFAIL),
        pool_of("p5", servers(), 80, steering=Steering.WEIGHTED, answers=2),
        pool_of("p6", servers(), 100, steering=Steering.HASHED, when_all_down=WhenAllDown.FALLBACK),
        pool_of("p7", servers(weights=(1, 1, 1, 1, 1)), 120, steering=Steering.FAILOVER, min_up=2, answers=4),
        pool_of("p8", servers(capacity=2.0), 140, steering=Steering.REGION, ttl_degraded=40),
    ]


EGRESS: dict[str, dict[str, object]] = {"198.18.0.0/24": {"country": "JP"}, "8.8.8.0/25": {"country": "DE"}, "81.2.0.0/16": {}}
WAYS: list[tuple[tuple[Rung, ...], dict[str, dict[str, object]], dict[str, object]]] = [
    (LADDER, {}, {}),
    (LADDER, EGRESS, {}),
    (LADDER, {}, {"latitude": -33.9, "longitude": 151.2}),
    ((Rung.ECS, Rung.RESOLVER, Rung.EGRESS, Rung.INSTANCE), EGRESS, {"country": "US"}),
    ((Rung.EGRESS, Rung.ECS, Rung.RESOLVER), EGRESS, {"country": "US"}),
    ((Rung.INSTANCE,), {}, {"country": "FR"}),
]
"""Ladders, egress maps and places of the instance."""


@cache
def pooled(*, trusted: bool = True, way: int = 0) -> Both:
    ladder, egress, instance = WAYS[way]
    trust = ("0.0.0.0/0", "::/0") if trusted else ("81.0.0.0/8", "2a02::/16")
    return Both(
        snapshot_of(
            {"example.": POOL_ZONE},
            databases=[PLACED],
            anycast=["8.8.8.0/24"],
            regions=POOL_REGIONS,
            pools=every_pool(),
            trust=trust,
            ladder=ladder,
            egress=egress,
            instance=instance,
        )
    )


POOL_SLOTS = 160


def moment_of(octets: bytes, failed: int, dead: int) -> bytes:
    """Standings of all pools out of random octets: half are well; the first site, or all, of some pools is down."""
    found = bytearray(1 if octet < 128 else octet & 31 for octet in octets)
    for number, pool in enumerate(every_pool()):
        for endpoint in pool.endpoints:
            if dead >> number & 1 or (failed >> number & 1 and not endpoint.site):
                for address in endpoint.addresses:
                    found[address.slot] = DOWN.octet
    return bytes(found)


SOME = st.builds(int.__and__, st.integers(0, 255), st.integers(0, 255))
MOMENTS = st.builds(moment_of, st.binary(min_size=POOL_SLOTS, max_size=POOL_SLOTS), st.integers(0, 255), SOME)
POOL_OPT = st.none() | st.builds(
    lambda options: render_opt(1232, 0, 0, 0, render_options(options)),
    st.lists(st.sampled_from(POOL_SUBNETS).map(lambda text: (8, subnet_option(text))), max_size=1),
)
POOL_MESSAGES = st.builds(
    message, POOL_NAMES, POOL_TYPES, st.just(1), st.sampled_from([0, 0x0100]), POOL_OPT, st.integers(0, 2**20)
)


@settings(max_examples=50, deadline=None)
@given(
    st.booleans(),
    st.integers(0, len(WAYS) - 1),
    MOMENTS,
    st.lists(st.tuples(POOL_MESSAGES, st.sampled_from(POOL_SOURCES)), min_size=1, max_size=12),
)
def test_pools_answer_alike_on_both_paths_at_every_moment(
    trusted: bool,
    way: int,
    octets: bytes,
    asked: list[tuple[bytes, str]],
) -> None:
    """Pools of every steering, asked for themselves, through aliases, wildcards and hints, whatever is up or down."""
    paths = pooled(trusted=trusted, way=way)
    paths.stand(octets)
    for query, source in asked:
        address = sockaddr(source)
        expected = paths.general(query, address)

        assert [expected, expected] == [paths.fast(query, address), paths.fast(query, address)]


@settings(max_examples=40, deadline=None)
@given(
    pools(capacities=st.sampled_from([0.0, 1.0, 10.0])).flatmap(lambda pool: st.tuples(st.just(pool), moments(pool))), st.data()
)
def test_random_pools_answer_alike_on_both_paths(case: tuple[Pool, bytes], data: st.DataObject) -> None:
    """Any pool at any moment, before and after it."""
    pool, octets = case
    paths = Both(
        snapshot_of({"example.": SMALL_ZONE}, databases=[PLACED], anycast=["8.8.8.0/24"], regions=POOL_REGIONS, pools=[pool])
    )
    names = st.sampled_from(["www.example.", "x.www.example."])
    for standing in (octets, b"", octets):
        paths.stand(standing)
        for _ in range(3):
            made = data.draw(st.builds(message, names, POOL_TYPES, st.just(1), st.just(0x0100), POOL_OPT, st.just(0)))
            address = sockaddr(data.draw(st.sampled_from(POOL_SOURCES)))
            expected = paths.general(made, address)

            assert [expected, expected] == [paths.fast(made, address), paths.fast(made, address)]


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("rdtype", [Type.A, Type.AAAA])
def test_names_of_pools_take_no_detour_once_their_form_is_known(number: int, rdtype: Type) -> None:
    """All well or one site down: the fast path answers, whatever the steering."""
    paths, query = pooled(), message(f"p{number}.example.", rdtype, 1, 0x0100, None, 0)
    for told in (dict[str, Standing](), {"nyc/nyc-1": DOWN}):
        paths.stand(standings(every_pool(), told))
        paths.fast(query, sockaddr("81.2.69.5"))
        before = paths.detours

        assert paths.general(query, sockaddr("81.2.69.5")) == paths.fast(query, sockaddr("81.2.69.5"))
        assert before == paths.detours


def test_what_can_answer_nothing_leaves_the_fast_path_and_returns() -> None:
    """While nothing of a pool is up, its names take the general path, for missing types too; afterwards no more."""
    paths, address = pooled(), sockaddr("81.2.69.5")
    asked = [message("p2.example.", rdtype, 1, 0x0100, None, 0) for rdtype in (Type.A, Type.AAAA, Type.TXT)]
    well = standings(every_pool(), {})
    detours = []
    for octets in (well, standings(every_pool(), {}, DOWN), well):
        paths.stand(octets)
        for query in asked:
            paths.fast(query, address)
        before = paths.detours
        assert [paths.general(query, address) for query in asked] == [paths.fast(query, address) for query in asked]
        detours.append(paths.detours - before)

    assert [0, 3, 0] == detours


def counted(census: Census) -> Counter[tuple[str, ...]]:
    """What a census has counted, by transport, type and response code, by who decided, by choice, and all the rest but opcodes.

    A prepared reply is counted with its choice, another reply apart from it: together they are the same.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for labels, count in zip(census.ledger.names, census.tally, strict=True):
        match labels:
            case ("reply", transport, rdtype, rcode, choice, how):
                found["type", transport, rdtype, rcode] += count
                found["how", how] += count
                if choice:
                    found["choice", choice] += count
            case ("choice", _) | ("anycast",) | ("scope", _, _):
                found[labels] += count
            case _:
                pass
    return +found


@settings(max_examples=40, deadline=None)
@given(MOMENTS, st.lists(st.tuples(POOL_MESSAGES, st.sampled_from(POOL_SOURCES)), min_size=1, max_size=12))
def test_both_paths_count_pools_alike(octets: bytes, asked: list[tuple[bytes, str]]) -> None:
    """By type and response code, by who decided, by endpoint, by scope."""
    compare_counters(pooled(), octets, asked)


@settings(max_examples=100, deadline=None)
@given(PATHS, st.lists(st.tuples(messages(ODD_NAMES), st.sampled_from(SOURCES)), min_size=1, max_size=8))
def test_both_paths_count_alike(path: tuple[tuple[str, ...], bool] | tuple[()], asked: list[tuple[bytes, str]]) -> None:
    """The same for all that is no pool: rules, aliases, negative and broken answers."""
    compare_counters(both(path), b"", asked)


def compare_counters(paths: Both, octets: bytes, asked: list[tuple[bytes, str]]) -> None:
    """Let both paths answer the same, twice, and compare what that added to the counters."""
    paths.stand(octets)
    before = counted(paths.plain_census), counted(paths.census)
    for query, source in asked * 2:
        paths.general(query, sockaddr(source))
        paths.fast(query, sockaddr(source))

    assert counted(paths.plain_census) - before[0] == counted(paths.census) - before[1]


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking compiles for minutes
@given(zone_sets(), MOMENTS, st.booleans(), st.data())
def test_zones_of_every_shape_answer_and_count_alike(
    zones: Mapping[str, tuple[str, ZoneContents]], standing: bytes, trusted: bool, data: st.DataObject
) -> None:
    """Zones in zones, the root, wildcards, cuts, chains and loops; rules and pools anywhere; names at and below all that."""
    trust = ("0.0.0.0/0", "::/0") if trusted else ("81.0.0.0/8", "2a02::/16")
    contents = [contents for _text, contents in zones.values()]
    snapshot = compiled(contents, databases=[PLACED], regions=POOL_REGIONS, pools=every_pool(), trust=trust)
    paths = Both(snapshot)
    paths.stand(standing)
    names = names_about(zones).map(to_text)
    asked = st.builds(message, names, st.sampled_from(TYPES), st.just(1), st.just(0x0100), POOL_OPT, st.integers(0, 2**20))
    for _ in range(12):
        query, address = data.draw(asked), sockaddr(data.draw(st.sampled_from(POOL_SOURCES)))
        paths.general(query, address)
        expected = paths.general(query, address)

        assert [expected, expected] == [paths.fast(query, address), paths.fast(query, address)]
    assert counted(paths.plain_census) == counted(paths.census)


@pytest.mark.parametrize("rdtype", [Type.A, Type.AAAA, Type.TXT, Type.MX, Type.SOA, Type.NS, Type.ANY])
@pytest.mark.parametrize("owned", ["@ A 192.0.2.1", "@ A 192.0.2.1\n@ GEO continent:EU A 192.0.2.2", "@ POOL p1\n@ A 192.0.2.1"])
def test_the_root_is_shorter_than_a_pointer_to_it(owned: str, rdtype: Type) -> None:
    """What is asked of the root itself is answered with its name, which is one octet, and not with a pointer, which is two."""
    text = f"$TTL 60\n@ SOA ns. host. 1 2 3 4 60\n@ NS ns.\nns. A 192.0.2.53\n{owned}\n"
    paths, address = (
        Both(snapshot_of({".": text}, databases=[PLACED], regions=POOL_REGIONS, pools=every_pool())),
        sockaddr("81.2.69.5"),
    )
    query = message(".", rdtype, 1, 0, None, 0)

    assert [paths.general(query, address)] * 2 == [paths.fast(query, address), paths.fast(query, address)]


@pytest.mark.parametrize("name", ["x.example.", "*.example.", "y.x.example.", "example."])
def test_a_wildcard_whose_own_name_is_another_zones_still_stands_for_others(name: str) -> None:
    """Who asks for `*.example` itself is answered by the zone of that name, everybody else by the wildcard above it."""
    zones = {"example.": POOL_ZONE + "* A 192.0.2.212\n", "*.example.": "@ 60 SOA ns host 1 2 3 4 60\n@ 60 NS ns.example.\n"}
    paths, address = Both(snapshot_of(zones, regions=POOL_REGIONS, pools=every_pool())), sockaddr("81.2.69.5")
    asked = [message(name, rdtype, 1, 0, None, 0) for rdtype in (Type.A, Type.TXT)]

    assert [paths.general(query, address) for query in asked * 2] == [paths.fast(query, address) for query in asked * 2]


def test_a_spread_without_location_is_by_the_senders_network() -> None:
    """A client subnet, of IPv6 with IPv4 inside too, changes nothing where no place is looked at."""
    capable = [Server("fra/a", ("192.0.2.1",), capacity=10, load=10)]
    capable += [Server(f"{site}/b", (f"192.0.2.{n}",), capacity=10, load=5) for n, site in enumerate(("ams", "nyc"), start=2)]
    pool = pool_of("app", capable, steering=Steering.FAILOVER)
    paths = Both(snapshot_of({"example.": SMALL_ZONE}, databases=[PLACED], pools=[pool]))
    paths.stand(standings([pool], {"fra/a": DOWN}))
    options = [render_opt(1232, 0, 0, 0, render_options([(8, subnet_option(text))])) for text in POOL_SUBNETS]
    for opt in (None, *options):
        query = message("www.example.", Type.A, 1, 0x0100, opt, 0)
        asked = [(query, sockaddr(f"81.2.{number}.5")) for number in range(40)]

        assert [paths.general(*each) for each in asked] == [paths.fast(*each) for each in asked]

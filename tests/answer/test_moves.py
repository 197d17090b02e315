"""Moves, against asking the server for every client before and after."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import LADDER, Client, Endpoint, Pool, PoolAddress, Rung, Snapshot, Steering, WhenAllDown, judge, move_words
from geodns.answer.authoritative import Judgement
from geodns.answer.moves import Comparison, Move, Parts, Question
from geodns.geo import Spot
from geodns.geo.weights import AREAS
from geodns.wire import Query, Type, from_text, question_of, to_text
from tests.support.random_worlds import LADDERED, WORLDS, World
from tests.support.world import Places, place, snapshot_of

HEAD = "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\n"
EXAMPLE = from_text("example.")
EUROPE: Places = {"77.0.0.0/8": {"continent": "EU", "country": "DE"}, "78.0.0.0/8": {"continent": "EU", "country": "FR"}}
ASIA: Places = {"133.0.0.0/8": {"continent": "AS", "country": "JP"}, "2a00::/16": {"continent": "EU", "country": "DE"}}
GEO = "www 60 A 192.0.2.1\nwww 60 GEO continent:EU A 192.0.2.2\n"


def world(text: str, *tables: Places, pools: tuple[Pool, ...] = ()) -> Snapshot:
    """A zone `example.` with some records, places, and pools."""
    return snapshot_of({"example.": HEAD + text}, databases=tables or (EUROPE, ASIA), pools=pools)


def question(name: str, rdtype: int = Type.A) -> Question:
    """A question in the zone."""
    return EXAMPLE, from_text(f"{name}.example."), rdtype


def moved(old: Snapshot, new: Snapshot, name: str = "www", rdtype: int = Type.A) -> Move:
    """How one question moves, to the last prefix and country; it must move."""
    [areas] = new.atlas.partitions([AREAS])
    move = Comparison(old, new, areas, 10_000).move(question(name, rdtype))
    assert move
    return move


def judged(snapshot: Snapshot, asked: Question, address: str) -> Judgement:
    """How a sender at an address is judged that tells no client subnet, by the server's own judgement."""
    _, name, rdtype = asked
    query = Query(
        0, 0, recursion_desired=False, question=question_of(name, rdtype), name=name, rdtype=rdtype, rdclass=1, edns=None
    )
    return judge(snapshot, query, Client(place(address)))


def answers(judgement: Judgement) -> set[bytes]:
    """What is answered."""
    return {rdata for rrset in judgement.response.answer for rdata in rrset.rdatas}


def without_maps(snapshot: Snapshot) -> Snapshot:
    """The same server, asked by clients whose own place counts: there, as a client subnet or as a sender, and on no map."""
    own = (Rung.RESOLVER if rung is Rung.ECS else rung for rung in snapshot.ladder if rung is not Rung.EGRESS)
    return replace(snapshot, ladder=tuple(dict.fromkeys(own)))


def is_mapped(judgement: Judgement) -> bool:
    """Whether an egress map has decided."""
    return any(selection.climb.rung is Rung.EGRESS for selection in judgement.selections)


@given(WORLDS | LADDERED, WORLDS | LADDERED, st.booleans())
@settings(max_examples=20, deadline=None)
def test_who_moves_is_who_is_answered_otherwise(old: World, new: World, same_rules: bool) -> None:
    """At edges of both worlds an address is in the prefixes of a shift exactly if its answer differs, and it is that shift's.

    So it is for clients, whose own address counts, and apart from these for resolvers that an egress map places.
    """
    if same_rules:
        new = replace(new, selectors=old.selectors)
    comparison = Comparison(old.snapshot, new.snapshot, None, 100_000)
    edges = sorted({*old.addresses(), *new.addresses()})[::5]
    for asked in comparison.differing(EXAMPLE):
        if asked[1] == from_text("*.wild.example."):
            continue
        move = comparison.move(asked)
        for text in edges:
            address = ip_address(text)
            if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour or text.startswith("64:ff9b:")):
                continue  # looked up as IPv4, and there it is asked
            found = [shift for shift in (move.shifts if move else ()) if any(address in prefix for prefix in shift.prefixes)]
            clients = [judged(without_maps(each.snapshot), asked, text) for each in (old, new)]
            resolvers = [judged(each.snapshot, asked, text) for each in (old, new)]
            wanted = [(*map(answers, clients), False)]
            wanted += [(*map(answers, resolvers), True)] if any(map(is_mapped, resolvers)) else []
            assert [each for each in wanted if each[0] != each[1]] == [
                (set(shift.before.rdatas), set(shift.after.rdatas), shift.resolvers) for shift in found
            ]


def test_parts_are_of_the_space_whose_place_is_known() -> None:
    """An answer that changes for Europe alone moves Europe's part of each family; addresses without place do not count."""
    move = moved(world(GEO), world(GEO.replace("192.0.2.2", "192.0.2.3")))

    assert pytest.approx((2 / 3, 1.0)) == (move.parts.ipv4, move.parts.ipv6)
    assert [("continent:EU", "continent:EU", False)] == [
        (shift.before.by, shift.after.by, shift.placeless) for shift in move.shifts
    ]
    assert {"country:DE": Parts(1.0, 1.0), "country:FR": Parts(1.0, 0.0)} == move.areas


def test_a_change_of_the_fallback_moves_who_has_no_place() -> None:
    """The plain records answer the rest of the world, and everybody whose place nobody knows."""
    move = moved(world(GEO), world(GEO.replace("A 192.0.2.1\n", "A 192.0.2.9\n")))

    assert [("", "", True)] == [(shift.before.by, shift.after.by, shift.placeless) for shift in move.shifts]
    assert pytest.approx(1 / 3) == move.parts.ipv4
    assert {"country:JP": Parts(1.0, 0.0)} == move.areas


def test_a_rule_that_comes_or_goes_moves_its_clients() -> None:
    """They are told by the rule that named them, and by the one that names them now."""
    narrower = GEO + "www 60 GEO country:FR A 192.0.2.4\n"
    there, back = moved(world(GEO), world(narrower)), moved(world(narrower), world(GEO))

    assert [("continent:EU", "country:FR")] == [(shift.before.by, shift.after.by) for shift in there.shifts]
    assert [("country:FR", "continent:EU")] == [(shift.before.by, shift.after.by) for shift in back.shifts]
    assert ["78.0.0.0/8"] == list(map(str, there.shifts[0].prefixes))
    assert there.parts == back.parts


def test_another_database_moves_its_networks() -> None:
    """With the same policy, what moves is what the databases say otherwise."""
    later: Places = {**EUROPE, "78.128.0.0/9": {"continent": "AS", "country": "JP"}}
    move = moved(world(GEO), world(GEO, later, ASIA))

    assert [("continent:EU", "", ("78.128.0.0/9",))] == [
        (shift.before.by, shift.after.by, tuple(map(str, shift.prefixes))) for shift in move.shifts
    ]
    assert ["country:JP"] == list(move.areas)
    assert pytest.approx(1 / 3) == move.areas["country:JP"].ipv4


def test_a_plain_record_moves_everyone() -> None:
    """What is the same for every client changes for every client."""
    move = moved(world("www 60 A 192.0.2.1\n"), world("www 60 A 192.0.2.2\n"))

    assert (Parts(1.0, 1.0), 1, ()) == (move.parts, len(move.shifts), move.shifts[0].prefixes)


def mapped(egress: Places, ladder: tuple[Rung, ...] = LADDER, networks: Places | None = None, at: str = "") -> Snapshot:
    """Europe and Asia, rules for Europe, a map of resolvers' egress, and the country of an instance of anycast."""
    return snapshot_of(
        {"example.": HEAD + GEO},
        databases=(EUROPE, ASIA),
        egress=egress,
        ladder=ladder,
        networks=networks or {},
        instance={"country": at} if at else {},
    )


def test_a_resolver_that_the_map_puts_elsewhere_moves() -> None:
    """The networks of the map count by themselves, for what they are part of is not the address space of clients."""
    old = mapped({"133.1.0.0/24": {"country": "DE"}, "133.2.0.0/24": {"country": "DE"}})
    new = mapped({"133.1.0.0/24": {"country": "JP"}, "133.2.0.0/24": {"country": "DE"}})
    move = moved(old, new)

    assert (Parts(), Parts(0.5, 0.0), {}) == (move.parts, move.resolvers, move.areas)
    assert [("continent:EU", "", True, ("133.1.0.0/24",))] == [
        (shift.before.by, shift.after.by, shift.resolvers, tuple(map(str, shift.prefixes))) for shift in move.shifts
    ]
    assert "www.example. A: another answer for resolvers in egress maps (50.0 % of IPv4, 0 % of IPv6)" == next(
        move_words.lines(move)
    )


def test_a_map_that_says_nothing_new_moves_nobody() -> None:
    """A resolver that a map puts where databases had it, and one that its operator's network holds whatever a map says."""
    plain = world(GEO)
    same, own = {"77.1.0.0/16": {"country": "FR"}}, {"133.1.0.0/16": {"country": "FR"}}
    networks: Places = {"133.1.0.0/16": {"country": "JP"}}

    assert None is Comparison(plain, mapped(same)).move(question("www"))
    assert None is Comparison(mapped({}, networks=networks), mapped(own, networks=networks)).move(question("www"))


def test_a_ladder_that_asks_in_another_order_moves_resolvers() -> None:
    """Where databases are believed before maps, or maps not asked, resolvers are where databases have them."""
    egress: Places = {"133.1.0.0/24": {"country": "DE"}}
    for ladder in ((Rung.ECS, Rung.RESOLVER, Rung.EGRESS), (Rung.ECS, Rung.RESOLVER)):
        move = moved(mapped(egress), mapped(egress, ladder=ladder))

        assert [("continent:EU", "", True)] == [(shift.before.by, shift.after.by, shift.resolvers) for shift in move.shifts]


def test_an_instance_that_moves_takes_who_has_no_place_along() -> None:
    """Its place counts for nobody else, so no part of the address space moves, and that is said."""
    move = moved(world(GEO), mapped({}, at="DE"))

    assert [("", "continent:EU", True, False)] == [
        (shift.before.by, shift.after.by, shift.placeless, shift.resolvers) for shift in move.shifts
    ]
    assert "www.example. A: another answer for those alone whose place is not known" == next(move_words.lines(move))


OTHER = "other 60 A 192.0.2.1\nother 60 GEO country:JP A 192.0.2.2\n"


@pytest.mark.parametrize("same", [GEO, GEO.replace(" 60 ", " 90 "), GEO + "other 60 A 192.0.2.77\n", GEO + OTHER])
def test_what_is_answered_alike_does_not_move(same: str) -> None:
    """Another TTL, or another name beside it that cuts address space anew, moves nobody."""
    comparison = Comparison(world(GEO), world(same))

    assert [None] == [comparison.move(each) for each in comparison.differing(EXAMPLE)]


def test_text_that_gives_way_to_whoami_moves_everyone() -> None:
    """WHOAMI answers TXT: to put it where text was is another answer for all; where it stays, nothing moves."""
    text, told = world("www TXT me\n"), world("www 0 WHOAMI\n")
    move = moved(text, told, rdtype=Type.TXT)

    assert [("", "WHOAMI")] == [(shift.before.by, shift.after.by) for shift in move.shifts]
    assert any('"about whoever is asking"' in line for line in move_words.lines(move))
    assert None is Comparison(told, told).move(question("www", Type.TXT))
    assert ([], [question("www", Type.TXT)]) == Comparison(world(""), told).lone(EXAMPLE, [from_text("www.example.")])


def test_questions_of_one_side_are_told_apart() -> None:
    """Types that an owner has only before or only after are no moves; the SOA record is none of them."""
    comparison = Comparison(world("a 60 A 192.0.2.1\nb 60 A 192.0.2.1\n"), world("a 60 AAAA 2001:db8::1\nb 60 A 192.0.2.2\n"))
    owners = [from_text(text) for text in ("a.example.", "b.example.", "none.example.", "example.")]

    gone, come = comparison.lone(EXAMPLE, owners)

    assert ([question("a")], [question("a", Type.AAAA)]) == (gone, come)
    assert [question("b"), (EXAMPLE, EXAMPLE, Type.NS)] == list(comparison.common(EXAMPLE, owners))


# --- pools ------------------------------------------------------------------------------------------------------------

FRANKFURT, TOKYO = Spot(50.1, 8.7), Spot(35.7, 139.7)
APP = "app 30 POOL app\napp 30 A 192.0.2.99\n"


def pool(steering: Steering, *sites: tuple[str, Spot], **others: object) -> Pool:
    """A pool with one endpoint at each site: 198.51.100.1 and so on."""
    endpoints = tuple(
        Endpoint(name, number, 1, (PoolAddress(Type.A, bytes((198, 51, 100, number + 1)), number),), region=name)
        for number, (name, _) in enumerate(sites)
    )
    names, spots = tuple(name for name, _ in sites), tuple(spot for _, spot in sites)
    return Pool("app", steering, names, spots, endpoints, **others)  # type: ignore[arg-type]


def test_a_new_site_draws_its_clients() -> None:
    """Those who are nearer to it than to any other move, and they alone."""
    one = pool(Steering.NEAREST, ("fra", FRANKFURT))
    two = pool(Steering.NEAREST, ("fra", FRANKFURT), ("tyo", TOKYO))
    move = moved(world(APP, pools=(one,)), world(APP, pools=(two,)), "app")

    assert {"country:JP": Parts(1.0, 0.0)} == move.areas
    assert [("pool app", "pool app", ("133.0.0.0/8",))] == [
        (shift.before.by, shift.after.by, tuple(map(str, shift.prefixes))) for shift in move.shifts
    ]


def test_a_hashed_pool_that_grows_moves_its_share() -> None:
    """A third site takes a third of all networks, wherever they are; no prefixes are listed, for they would be all of them."""
    sites = (("a", FRANKFURT), ("b", TOKYO), ("c", TOKYO))
    old, new = (world(APP, pools=(pool(Steering.HASHED, *sites[:count]),)) for count in (2, 3))
    move = moved(old, new, "app")

    assert 1 / 3 == pytest.approx(move.parts.ipv4, abs=0.03)
    assert move.parts.ipv4 == move.parts.ipv6
    assert {(2, ())} == {(shift.after.rdatas[0][-1] - 1, shift.prefixes) for shift in move.shifts}


def test_dealing_out_by_hash_instead_of_by_place() -> None:
    """Half of Europe's networks and half of Asia's are at the other of two sites afterwards."""
    sites = (("fra", FRANKFURT), ("tyo", TOKYO))
    move = moved(world(APP, pools=(pool(Steering.NEAREST, *sites),)), world(APP, pools=(pool(Steering.HASHED, *sites),)), "app")

    assert 0.5 == pytest.approx(move.parts.ipv4, abs=0.03)
    assert {"country:DE", "country:FR", "country:JP"} == move.areas.keys()
    assert [0.5] * 3 == pytest.approx([parts.ipv4 for parts in move.areas.values()], abs=0.03)


def test_a_name_that_joins_a_pool() -> None:
    """From plain records to a pool everyone moves; a type that the pool has no address for stays with the plain records."""
    plain = "app 30 A 192.0.2.99\napp 30 AAAA 2001:db8::1\n"
    old = world(plain)
    new = world(plain + "app 30 POOL app\n", pools=(pool(Steering.FAILOVER, ("fra", FRANKFURT), ("tyo", TOKYO)),))
    comparison = Comparison(old, new)

    assert [question("app")] == comparison.differing(EXAMPLE)
    assert Parts(1.0, 1.0) == moved(old, new, "app").parts
    assert comparison.move(question("app", Type.AAAA)) is None


def test_a_site_too_small_to_count_is_passed_over() -> None:
    """Every endpoint is taken to be up: with fewer at each site than `min_up` nothing is, and the plain records answer."""
    sites = (("fra", FRANKFURT), ("tyo", TOKYO))
    strict = pool(Steering.FAILOVER, *sites, min_up=2, when_all_down=WhenAllDown.FALLBACK)
    move = moved(world(APP, pools=(pool(Steering.FAILOVER, *sites),)), world(APP, pools=(strict,)), "app")

    assert [("pool app", "")] == [(shift.before.by, shift.after.by) for shift in move.shifts]


def test_names_of_one_pool_move_alike() -> None:
    """Each under its own name, whatever plain records stand beside it."""
    texts = APP + APP.replace("app 30", "web 30").replace("192.0.2.99", "192.0.2.98")
    one, two = (pool(Steering.NEAREST, *sites) for sites in ([("fra", FRANKFURT)], [("fra", FRANKFURT), ("tyo", TOKYO)]))
    comparison = Comparison(world(texts, pools=(one,)), world(texts, pools=(two,)))
    moves = [comparison.move(each) for each in comparison.differing(EXAMPLE)]

    assert ["app.example.", "web.example."] == [to_text(move.name) for move in moves if move]
    assert 1 == len({move.shifts for move in moves if move})


def test_moves_are_of_the_owner() -> None:
    """A move names the question as it was asked."""
    move = moved(world(GEO), world(GEO.replace("192.0.2.2", "192.0.2.3")))

    assert ("www.example.", Type.A) == (to_text(move.name), move.rdtype)

"""Prepared replies out of pools: the same chances as the general path's draw, exactly, and renewal when standings change."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import Draw, Pool, Standing, Steering, Verdict, WhenAllDown
from geodns.answer.pooled import MOST_REPLIES, PooledReplies, Seat
from geodns.answer.pools import Roll, share_of
from geodns.answer.prepared import Choice, Entry, Prepared, Variant
from geodns.answer.steering import Steered, listed
from geodns.geo import FALLBACK, Buckets
from geodns.wire import Type
from tests.support.pools import DOWN, UP, Server, every_luck, moments, orders, pool_of, pools, standings

NETWORKS = [0, 1, 0x5100_0000 << 9, 77 << 20]
SEVERAL = [Steering.WEIGHTED, Steering.NEAREST]


def seated(steered: Steered, rdtype: int, name_octets: int = 17) -> tuple[PooledReplies, dict[bytes, Entry], list[bool]]:
    """Replies with one seat, its table, and what is said of absence. Counters are numbered by endpoint."""
    labels = [steered.pool.label(number) for number in range(len(steered.pool.endpoints))]
    table: dict[bytes, Entry] = {}
    absent: list[bool] = []
    replies = PooledReplies(steered, rdtype, lambda _rdtype, label: labels.index(label))
    replies.seats.append(Seat(table, b"question", name_octets, absent.append))
    return replies, table, absent


def variants(entry: Entry) -> list[Variant]:
    """The variant of each order."""
    return [entry[:3]] if entry[3] is None else [*entry[3][7][FALLBACK:]]


def picked(variant: Variant, draw: Draw, network: int) -> Prepared:
    assert variant is not None
    return variant.pick(draw, network) if isinstance(variant, Choice) else variant


def rdatas(reply: Prepared, rdtype: int) -> tuple[bytes, ...]:
    """The addresses in a prepared reply, read by the fixed size of its records."""
    size = 12 + (4 if rdtype == Type.A else 16)
    return tuple(reply[1][at + 12 : at + size] for at in range(0, len(reply[1]), size))


CASES = pools(SEVERAL, capacities=st.sampled_from([0.0, 0.0, 5.0])).flatmap(
    lambda pool: st.tuples(st.just(pool), moments(pool), st.lists(orders(pool), min_size=1, max_size=3))
)


@settings(max_examples=60, deadline=None)
@given(CASES, st.sampled_from([Type.A, Type.AAAA]))
def test_over_all_tickets_prepared_replies_have_the_chances_of_the_draw(
    case: tuple[Pool, bytes, list[tuple[tuple[int, ...], ...]]], rdtype: int
) -> None:
    """For every order, network and way the draw may fall: the same addresses in the same order, exactly as often."""
    pool, octets, given_orders = case
    steered = Steered(pool, tuple(given_orders), Buckets())
    replies, table, _ = seated(steered, rdtype)
    replies.renew(octets)
    roll = Roll(pool, rdtype, octets)
    if b"question" not in table:
        return
    for bands, variant in zip(given_orders, variants(table[b"question"]), strict=True):
        candidates = roll.candidates(bands)
        for network in NETWORKS:
            general = every_luck(
                lambda draw, network=network, candidates=candidates: roll.rdatas(  # type: ignore[misc]
                    candidates, roll.drawn(candidates, draw, network)
                )
            )
            fast = every_luck(lambda draw, network=network, variant=variant: rdatas(picked(variant, draw, network), rdtype))  # type: ignore[misc]

            assert general == fast


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_over_every_ticket_each_endpoint_is_first_exactly_by_its_weight(weights: list[int]) -> None:
    """The fast path's tickets are the weights, no ticket lost: n equal endpoints equally often."""
    servers = [Server(f"fra/{n}", (f"192.0.2.{n}",), weight=weight) for n, weight in enumerate(weights, start=1)]
    pool = pool_of("app", servers, steering=Steering.WEIGHTED)
    replies, table, _ = seated(Steered(pool, (listed(pool),), None), Type.A)
    replies.renew(standings([pool], {}))
    luck = every_luck(lambda draw: picked(variants(table[b"question"])[0], draw, 0)[2])

    assert {number: Fraction(weight, sum(weights)) for number, weight in enumerate(weights)} == luck


CAPABLE = [Server("fra/a", ("192.0.2.1",), capacity=10, load=10)]
CAPABLE += [Server(f"{site}/b", (f"192.0.2.{n}",), capacity=10, load=5) for n, site in enumerate(("ams", "nyc"), start=2)]


@given(st.integers(0, 2**33))
def test_a_network_has_the_share_that_the_general_path_gives_it(network: int) -> None:
    """Shares are by network, not by draw."""
    portions = [Fraction(1, 4), Fraction(3, 4)]
    prepared: list[Prepared] = [((b"", b"", b"", b""), bytes((number,)), number) for number in range(2)]
    choice = Choice("app", [float(portion) for portion in portions], [([1], [reply]) for reply in prepared])
    pool = pool_of("app", [CAPABLE[0], *CAPABLE[1:]], steering=Steering.NEAREST)
    candidates = Roll(pool, Type.A, standings([pool], {"fra/a": DOWN})).candidates(((0,), (1,), (2,)))
    halves = Choice("app", [share.portion for share in candidates.shares], [([1], [reply]) for reply in prepared])

    assert choice.pick(lambda _total: 0, network) == choice.pick(lambda total: total - 1, network)
    assert share_of(candidates, "app", network) == halves.pick(lambda _total: 0, network)[2]
    assert Verdict.SPREAD == candidates.verdict


def test_equal_replies_are_kept_once() -> None:
    """However many orders begin with the same endpoint."""
    pool = pool_of("app", CAPABLE, steering=Steering.FAILOVER)
    replies, table, _ = seated(Steered(pool, (((0,), (1,), (2,)), ((0,), (2,), (1,)), ((1,), (0,), (2,))), None), Type.A)
    replies.renew(standings([pool], {}))
    heads, tail, counter, _ = table[b"question"]

    assert (0, 1) == (counter, len({id(tail), id(table[b"question"][1])}))
    assert 4 == len(heads)


STEPS: list[tuple[dict[str, Standing], bool]] = [
    ({}, True),
    ({"fra/fra-1": DOWN}, True),
    ({"fra/fra-1": DOWN, "nyc/nyc-1": DOWN}, False),
    ({}, True),
]


def test_seats_are_filled_while_the_pool_can_answer() -> None:
    """Renewed when a standing changes, emptied when nothing is up, filled again; and whether one is absent is said."""
    servers = [Server("fra/fra-1", ("192.0.2.1",)), Server("nyc/nyc-1", ("192.0.2.2",))]
    pool = pool_of("app", servers, steering=Steering.FAILOVER, when_all_down=WhenAllDown.NODATA)
    replies, table, absent = seated(Steered(pool, (listed(pool),), None), Type.A)
    for told, there in STEPS:
        replies.renew(standings([pool], told))
        assert there == (b"question" in table)
    assert [False, False, True, False] == absent


def test_nothing_is_done_while_nothing_changes() -> None:
    """Standings of other pools, or the same again, leave the entry the object that it is."""
    pool = pool_of("app", CAPABLE, steering=Steering.FAILOVER)
    replies, table, absent = seated(Steered(pool, (listed(pool),), None), Type.A)
    octets = standings([pool], {})
    replies.renew(octets)
    entry = table[b"question"]
    replies.renew(octets + b"\2\2")

    assert entry is table[b"question"]
    assert [False] == absent
    replies.renew(octets, anyway=True)
    assert [False, False] == absent


@pytest.mark.parametrize(("count", "there"), [(1, True), (2, True), (6, False)])
def test_a_pool_of_too_many_sequences_takes_the_general_path(count: int, there: bool) -> None:
    """Six answers drawn out of six endpoints come in 720 orders: more than are worth preparing."""
    servers = [Server(f"fra/{n}", (f"192.0.2.{n}",)) for n in range(1, 7)]
    pool = pool_of("app", servers, steering=Steering.WEIGHTED, answers=count)
    replies, table, absent = seated(Steered(pool, (listed(pool),), None), Type.A)
    replies.renew(standings([pool], {}))

    assert (there, [not there]) == (b"question" in table, absent)
    assert MOST_REPLIES < 720


@pytest.mark.parametrize(("name_octets", "there"), [(17, True), (255, False)])
def test_a_name_too_long_for_the_longest_reply_takes_the_general_path(name_octets: int, there: bool) -> None:
    """What is prepared fits every sender: 512 octets, whatever is added."""
    addresses = tuple(f"192.0.2.{n}" for n in range(1, 20))
    pool = pool_of("app", [Server("fra/a", addresses)], steering=Steering.FAILOVER, answers=19)
    replies, table, _ = seated(Steered(pool, (listed(pool),), None), Type.A, name_octets)
    replies.renew(standings([pool], {}, UP))

    assert there == (b"question" in table)

"""Address hints in SVCB and HTTPS records: the pool's own selection, nothing else touched."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.answer import QUIET, Moment, Pool, Standing, Steering, WhenAllDown
from geodns.answer.hints import hinted, with_hints
from geodns.wire import Type, from_text
from tests.support.pools import DOWN, FORCED_UP, Server, ask_at, pool_of, standings
from tests.support.world import question, snapshot_of

ADDRESSES: dict[int, tuple[str, ...]] = {Type.A: ("192.0.2.1", "192.0.2.2"), Type.AAAA: ("2001:db8::1",)}
PARAMETERS = st.lists(
    st.sampled_from(['alpn="h2,h3"', "port=8443", "ipv4hint=198.51.100.1,198.51.100.2", "ipv6hint=2001:db8:9::1", "key667=x"]),
    unique=True,
)
TARGETS = st.sampled_from([".", "svc.example.", "a.b.c.example.", "X.Example."])


def octets(text: str) -> bytes:
    written = dns.rdata.from_text("IN", "SVCB", text).to_wire()
    assert written is not None
    return written


def text(rdata: bytes) -> str:
    return dns.rdata.from_wire("IN", "SVCB", rdata, 0, len(rdata)).to_text()


def packed(addresses: Mapping[int, tuple[str, ...]]) -> dict[int, tuple[bytes, ...]]:
    return {rdtype: tuple(ip_address(address).packed for address in each) for rdtype, each in addresses.items()}


@given(TARGETS, PARAMETERS)
def test_what_a_record_hints_at_is_found(target: str, parameters: list[str]) -> None:
    """The target, lower-cased, and the types for which there are hints, wherever they stand."""
    kinds: dict[int, str] = {Type.A: "ipv4hint", Type.AAAA: "ipv6hint"}
    expected = frozenset(rdtype for rdtype, key in kinds.items() if any(one.startswith(key) for one in parameters))

    assert (from_text(target.lower()), expected) == hinted(octets(f"1 {target} {' '.join(parameters)}"))


@given(TARGETS, PARAMETERS, st.sets(st.sampled_from([Type.A, Type.AAAA])), st.booleans())
def test_only_hints_of_the_given_types_change(target: str, parameters: list[str], types: set[Type], empty: bool) -> None:
    """Each is the given addresses, or left out where there are none; all else is as it was, and nothing is added."""
    told: dict[int, tuple[str, ...]] = {rdtype: () if empty else ADDRESSES[rdtype] for rdtype in types}
    keys = {"ipv4hint": Type.A, "ipv6hint": Type.AAAA}
    kept = []
    for one in parameters:
        rdtype = keys.get(one.partition("=")[0])
        if rdtype not in told:
            kept.append(one)
        elif told[rdtype]:
            kept.append(f"{one.partition('=')[0]}={','.join(told[rdtype])}")

    assert octets(f"1 {target} {' '.join(kept)}") == with_hints(octets(f"1 {target} {' '.join(parameters)}"), packed(told))


MANDATORY = [
    ("mandatory=ipv4hint ipv4hint=198.51.100.1", ""),
    ("mandatory=alpn,ipv4hint alpn=h2 ipv4hint=198.51.100.1", "mandatory=alpn alpn=h2"),
    ("mandatory=alpn alpn=h2 ipv4hint=198.51.100.1", "mandatory=alpn alpn=h2"),
]


@pytest.mark.parametrize(("before", "after"), MANDATORY)
def test_a_hint_that_is_left_out_is_not_mandatory(before: str, after: str) -> None:
    """A key that is said to be mandatory and is not there makes the record malformed (RFC 9460 §8)."""
    assert text(octets(f"1 . {after}")) == text(with_hints(octets(f"1 . {before}"), {Type.A: ()}))


HEAD = "$TTL 300\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.53\n"
ZONE = f"""{HEAD}
app 60 HTTPS 1 . alpn=h2 ipv4hint=203.0.113.1 ipv6hint=2001:db8:9::9
app POOL app
app A 203.0.113.1
app AAAA 2001:db8:9::9
svc 60 SVCB 1 app port=8443 ipv4hint=203.0.113.1
out 60 HTTPS 1 plain ipv4hint=203.0.113.1
plain A 203.0.113.7
alias 60 HTTPS 0 app
bare 60 HTTPS 1 app alpn=h2
*.wild 60 HTTPS 1 . ipv4hint=203.0.113.1
*.wild POOL app
*.wild A 203.0.113.1
"""
SERVERS = [Server("fra/fra-1", ("192.0.2.1", "2001:db8::1")), Server("nyc/nyc-1", ("192.0.2.2",))]
FAILED = {"fra/fra-1": DOWN}


def answer(asked: str, told: Mapping[str, Standing] | None = None, when: WhenAllDown = WhenAllDown.ALL) -> list[str]:
    pool = pool_of("app", SERVERS, steering=Steering.FAILOVER, when_all_down=when)
    return answer_of(pool, asked, told or {})


def answer_of(pool: Pool, asked: str, told: Mapping[str, Standing]) -> list[str]:
    snapshot = snapshot_of({"example.": ZONE}, pools=[pool])
    return ask_at(snapshot, question(asked), Moment(standings([pool], told))).answer


ANSWERS: list[tuple[str, dict[str, Standing], str]] = [
    ("app.example. HTTPS", {}, 'app.example. 30 HTTPS 1 . alpn="h2" ipv4hint="192.0.2.1" ipv6hint="2001:db8::1"'),
    ("app.example. HTTPS", FAILED, 'app.example. 10 HTTPS 1 . alpn="h2" ipv4hint="192.0.2.2" ipv6hint="2001:db8::1"'),
    ("svc.example. SVCB", {}, 'svc.example. 30 SVCB 1 app.example. port="8443" ipv4hint="192.0.2.1"'),
    ("svc.example. SVCB", FAILED, 'svc.example. 10 SVCB 1 app.example. port="8443" ipv4hint="192.0.2.2"'),
    ("svc.example. SVCB", {"fra/fra-1": FORCED_UP}, 'svc.example. 30 SVCB 1 app.example. port="8443" ipv4hint="192.0.2.1"'),
    ("x.wild.example. HTTPS", FAILED, 'x.wild.example. 10 HTTPS 1 . ipv4hint="192.0.2.2"'),
    ("out.example. HTTPS", FAILED, 'out.example. 60 HTTPS 1 plain.example. ipv4hint="203.0.113.1"'),
    ("alias.example. HTTPS", FAILED, "alias.example. 60 HTTPS 0 app.example."),
    ("bare.example. HTTPS", FAILED, 'bare.example. 60 HTTPS 1 app.example. alpn="h2"'),
]


@pytest.mark.parametrize(("asked", "told", "expected"), ANSWERS)
def test_hints_are_what_the_pool_answers(asked: str, told: dict[str, Standing], expected: str) -> None:
    """Of the owner or of the target that has a pool, with its TTL; without hints, without a pool and as an alias: as written."""
    assert [expected] == answer(asked, told)


@pytest.mark.parametrize("asked", ["app.example.", "x.wild.example."])
@pytest.mark.parametrize("told", [{}, FAILED], ids=["well", "failed"])
def test_hints_are_the_addresses_that_a_and_aaaa_get(asked: str, told: dict[str, Standing]) -> None:
    """One selection for all of them."""
    for rdtype, key in ((Type.A, "ipv4hint"), (Type.AAAA, "ipv6hint")):
        addresses = [line.rpartition(" ")[2] for line in answer(f"{asked} {rdtype.name}", told)]
        hints = answer(f"{asked} HTTPS", told)[0]
        if key in hints:
            assert f'{key}="{",".join(addresses)}"' in hints


NOTHING_UP = {"fra/fra-1": DOWN, "nyc/nyc-1": DOWN}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (WhenAllDown.ALL, 'svc.example. 10 SVCB 1 app.example. port="8443" ipv4hint="192.0.2.1"'),
        (WhenAllDown.FALLBACK, 'svc.example. 60 SVCB 1 app.example. port="8443" ipv4hint="203.0.113.1"'),
        (WhenAllDown.NODATA, 'svc.example. 10 SVCB 1 app.example. port="8443"'),
        (WhenAllDown.SERVFAIL, 'svc.example. 10 SVCB 1 app.example. port="8443"'),
    ],
)
def test_where_nothing_is_up_hints_are_what_the_pool_says(when: WhenAllDown, expected: str) -> None:
    """All of them anyway, those of the zone, or none: a record without a hint still tells where the service is."""
    assert [expected] == answer("svc.example. SVCB", NOTHING_UP, when)


def test_a_hint_of_a_family_that_the_pool_does_not_have_stays_as_it_is() -> None:
    """As the question for it gets the plain records."""
    pool = pool_of("app", SERVERS[1:], steering=Steering.FAILOVER)

    expected = 'app.example. 30 HTTPS 1 . alpn="h2" ipv4hint="192.0.2.2" ipv6hint="2001:db8:9::9"'

    assert [expected] == answer_of(pool, "app.example. HTTPS", {})


def test_a_world_without_standings_gives_hints_too() -> None:
    """Nothing checked yet is taken for well."""
    pool = pool_of("app", SERVERS, steering=Steering.FAILOVER)
    snapshot = snapshot_of({"example.": ZONE}, pools=[pool])

    assert [ANSWERS[0][2]] == ask_at(snapshot, question("app.example. HTTPS"), QUIET).answer

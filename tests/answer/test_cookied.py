"""The fast path of queries with a cookie is a memo too: octet for octet what the general path gives, and it is really taken."""

from __future__ import annotations

from collections import Counter
from functools import cache
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.answer import (
    QUIET,
    Census,
    Cookies,
    Datagram,
    Ledger,
    Snapshot,
    compile_answers,
    cookied,
    respond,
    sender,
    with_cookies,
)
from geodns.answer.cookies import client_address
from geodns.daemon import DEMONSTRATION, load
from geodns.wire import Type, subnet_of
from geodns.wire.cookies import make_cookie
from geodns.wire.edns import render_opt, render_options
from tests.answer.test_fastpath import (
    DATABASE,
    FLAGS,
    ODD_NAMES,
    ODD_ZONES,
    OPTION,
    OWNERS,
    SOURCES,
    SUBNETS,
    TYPES,
    USUAL,
    Both,
    counted,
    mangled,
    message,
    sockaddr,
    subnet_option,
)
from tests.support.world import snapshot_of

SECRETS = (b"n" * 16, b"o" * 16)
NOW = 1_800_000_000
SUBNET, COOKIE = 8, 10


class BothWithCookies(Both):
    """Both paths over one snapshot that has cookie secrets."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.moment = QUIET
        self.detours = 0
        self.census, self.plain_census = Census(Ledger()), Census(Ledger())
        self.cookies, self.plain_cookies = Cookies(snapshot.cookie_secrets), Cookies(snapshot.cookie_secrets)
        self.compiled = compile_answers(snapshot, self.census)
        compile_answers(snapshot, self.plain_census)
        for census in (self.census, self.plain_census):
            census.settle()
        for cookies in (self.cookies, self.plain_cookies):
            cookies.tick(NOW)
        self.fast: Datagram = with_cookies(snapshot, self.compiled, self.census, self.detour, self.cookies)

    def general(self, octets: bytes, source: bytes) -> bytes | None:
        cookies = self.plain_cookies.of(source)
        return respond(self.snapshot, octets, sender(source), self.moment, self.plain_census, cookies=cookies)

    def detour(self, octets: bytes, source: bytes) -> bytes | None:
        self.detours += 1
        return respond(self.snapshot, octets, sender(source), self.moment, self.census, cookies=self.cookies.of(source))


@cache
def odd(trust: tuple[str, ...] = ("0.0.0.0/0", "::/0"), *, ecs: bool = True) -> BothWithCookies:
    return BothWithCookies(
        snapshot_of(ODD_ZONES, databases=[DATABASE], anycast=["8.8.8.0/24"], trust=trust, ecs=ecs, cookie_secrets=SECRETS)
    )


PATHS = st.sampled_from([odd(), odd(("81.0.0.0/8", "2a02::/16")), odd(ecs=False)])


def cookie_of(source: str, secret: bytes, seconds: int) -> bytes:
    """A cookie that a client got so many seconds ago."""
    return make_cookie(b"clientck", client_address(sockaddr(source)), secret, NOW - seconds)


COOKIES = (
    st.binary(min_size=8, max_size=8)
    | st.builds(
        cookie_of, st.sampled_from(SOURCES), st.sampled_from([*SECRETS, b"x" * 16]), st.sampled_from([0, 60, 1900, 3700, -200])
    )
    | st.binary(min_size=24, max_size=24)
    | st.binary(max_size=44)
).map(lambda content: (COOKIE, content))
SUBNET_OPTIONS = st.sampled_from(SUBNETS).map(lambda text: (SUBNET, subnet_option(text)))
OPTIONS = (
    COOKIES.map(lambda one: [one])
    | st.tuples(SUBNET_OPTIONS, COOKIES).map(list)
    | st.tuples(COOKIES, SUBNET_OPTIONS).map(list)
    | st.lists(OPTION | COOKIES, max_size=3)
)
OPT = st.builds(
    lambda size, version, flags, options: render_opt(size, 0, version, flags, render_options(options)),
    st.sampled_from([0, 512, 539, 540, 1232, 1232, 4096]),
    st.sampled_from([0, 0, 0, 0, 1]),
    st.sampled_from([0, 0, 0x8000, 0x0001]),
    OPTIONS,
)
MESSAGES = st.builds(
    message,
    ODD_NAMES,
    st.sampled_from(TYPES),
    st.sampled_from([1, 1, 1, 1, 3, 255]),
    FLAGS,
    st.none() | OPT,
    st.integers(0, 2**40),
)


@settings(max_examples=2000, deadline=None)
@given(PATHS, MESSAGES, st.sampled_from(SOURCES))
def test_replies_are_those_of_the_general_path_octet_for_octet(paths: BothWithCookies, octets: bytes, source: str) -> None:
    """Whatever is asked by whomever with whatever cookie: unknown, learnt, and once its form is known everywhere."""
    address = sockaddr(source)
    expected = paths.general(octets, address)

    assert [expected] * 3 == [paths.fast(octets, address) for _ in range(3)]


@settings(max_examples=1500, deadline=None)
@given(MESSAGES, st.integers(0, 511), st.integers(0, 255), st.integers(-2, 20), st.sampled_from(SOURCES))
def test_broken_messages_get_what_the_general_path_gives_them(octets: bytes, at: int, octet: int, cut: int, source: str) -> None:
    """One octet changed, an end cut off or octets too many."""
    paths, broken, address = odd(), mangled(octets, at, octet, cut), sockaddr(source)
    for known in (octets, broken):
        expected = paths.general(known, address)

        assert [expected] * 3 == [paths.fast(known, address) for _ in range(3)]


@settings(max_examples=300, deadline=None)
@given(PATHS, st.lists(st.tuples(MESSAGES, st.sampled_from(SOURCES)), min_size=1, max_size=8))
def test_both_paths_count_alike(paths: BothWithCookies, asked: list[tuple[bytes, str]]) -> None:
    """By type and response code, by who decided, and by what was found of the cookie."""

    def found(census: Census) -> Counter[tuple[str, ...]]:
        cookies = {("cookie", str(number)): census.tally[number] for number in census.cookies}
        return counted(census) + Counter(cookies)

    before = found(paths.plain_census), found(paths.census)
    for octets, source in asked * 3:
        paths.general(octets, sockaddr(source))
        paths.fast(octets, sockaddr(source))

    assert found(paths.plain_census) - before[0] == found(paths.census) - before[1]


@cache
def demonstration() -> BothWithCookies:
    loaded = load(DEMONSTRATION).snapshot
    return BothWithCookies(
        Snapshot(loaded.zones, loaded.atlas, loaded.pools, loaded.trust, loaded.identity, cookie_secrets=SECRETS)
    )


FRESH = (COOKIE, b"clientck")


def test_a_cookie_takes_its_room_in_small_replies() -> None:
    """Where a reply fits without the cookie and not with it, both paths cut it."""
    sizes = range(400, 430, 2)
    texts = "".join(f't{size} 60 IN TXT "{"x" * 250}" "{"y" * (size - 252)}"\n' for size in sizes)
    head = "@ 60 IN SOA ns m 1 1 1 1 60\n@ 60 IN NS ns.example.net.\n"
    world = snapshot_of({"example.com.": head + texts}, trust=("0.0.0.0/0",), cookie_secrets=SECRETS)
    paths, address, truncated = BothWithCookies(world), sockaddr("192.0.2.1"), set()
    for size in sizes:
        for payload in (512, 539, 540):
            for options in ([FRESH], [(SUBNET, subnet_option("2a02:8100::/56")), FRESH]):
                opt = render_opt(payload, 0, 0, 0, render_options(options))
                octets = message(f"t{size}.example.com.", Type.TXT, 1, 0, opt, 7)
                expected = paths.general(octets, address)
                assert expected
                truncated.add(bool(expected[2] & 2))

                assert [expected] * 2 == [paths.fast(octets, address) for _ in range(2)]
    assert {False, True} == truncated


def test_a_flood_of_forms_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more are remembered than the bound, however many payload sizes somebody thinks of."""
    monkeypatch.setattr(cookied, "_BOUND", 64)
    forms = cookied._Forms(demonstration().snapshot, lambda _octets, _source: b"")
    for payload in range(1000, 2000):
        opt = render_opt(payload, 0, 0, 0, render_options([FRESH]))
        forms.general(message("www.example.com.", Type.A, 1, 0, opt, 7), sockaddr("192.0.2.1"))

    assert 0 < len(forms.cuts) <= 64


FORMS = {
    "client cookie": [FRESH],
    "valid cookie": [(COOKIE, cookie_of("198.18.0.53", SECRETS[0], 60))],
    "subnet and cookie": [(SUBNET, subnet_option("81.2.69.0/24")), FRESH],
    "IPv6 subnet and cookie": [(SUBNET, subnet_option("2a02:8100::/56")), FRESH],
    "cookie and subnet": [FRESH, (SUBNET, subnet_option("81.2.69.0/24"))],
    "subnet and valid cookie": [(SUBNET, subnet_option("81.2.69.0/24")), (COOKIE, cookie_of("198.18.0.53", SECRETS[0], 60))],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "rdtype"), USUAL)
def test_usual_questions_take_no_detour_once_their_form_is_known(name: str, rdtype: Type, form: str) -> None:
    """A cookie alone, or with a client subnet before or behind it, as dig and resolvers send them."""
    paths = demonstration()
    octets = message(name, rdtype, 1, 0x0120, render_opt(1232, 0, 0, 0, render_options(FORMS[form])), 0)
    for _ in range(4):
        paths.fast(octets, sockaddr("198.18.0.53"))
    before = paths.detours
    reply = paths.fast(octets, sockaddr("198.18.0.53"))

    assert before == paths.detours
    assert paths.general(octets, sockaddr("198.18.0.53")) == reply
    assert reply
    assert b"\0\x0a\0\x18clientck\x01\0\0\0" in reply


def test_without_secrets_the_option_is_ignored() -> None:
    """A server that shares no secret answers as if there were no cookies, of whatever length."""
    snapshot = snapshot_of(ODD_ZONES)
    bare = message("mail.example.", 15, 1, 0, render_opt(1232, 0, 0, 0, b""), 0)
    expected = respond(snapshot, bare, sender(sockaddr("192.0.2.1")))
    for size in (0, 7, 8, 12, 24, 41):
        opt = render_opt(1232, 0, 0, 0, render_options([(COOKIE, b"x" * size)]))
        asked = message("mail.example.", 15, 1, 0, opt, 0)

        assert expected == respond(snapshot, asked, sender(sockaddr("192.0.2.1")))


def test_a_flood_of_forms_changes_nothing() -> None:
    """After more forms of OPT records than are remembered, an honest one is answered as ever."""
    paths, address = odd(), sockaddr("198.18.0.53")
    for size in range(600, 3200):
        octets = message("host.example.", 1, 1, 0, render_opt(size, 0, 0, 0, render_options([FRESH])), 0)
        paths.fast(octets, address)
    octets = message("host.example.", 1, 1, 0, render_opt(1232, 0, 0, 0, render_options([FRESH])), 0)

    assert paths.general(octets, address) == paths.fast(octets, address) == paths.fast(octets, address)


@pytest.mark.parametrize("name", OWNERS[::5])
@pytest.mark.parametrize("subnet", ["81.2.69.0/24", "2a02:8100::/47"])
def test_a_subnet_that_changes_is_looked_at_each_time(name: str, subnet: str) -> None:
    """The form of an OPT record holds no address: another client of the same resolver gets its own answer."""
    paths, address = odd(), sockaddr("198.18.0.53")
    network, length = subnet.split("/")
    for shifted in range(4):
        moved = subnet_of(ip_address(int(ip_address(network)) + (shifted << 24)), int(length)).option(0)
        octets = message(name, 1, 1, 0, render_opt(1232, 0, 0, 0, render_options([(SUBNET, moved), FRESH])), 0)

        assert paths.general(octets, address) == paths.fast(octets, address)

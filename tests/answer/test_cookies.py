"""Which server cookie a client gets: the cases of RFC 9018, roll-over, and what is remembered."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from siphash24 import siphash24

from geodns.answer import cookies
from geodns.answer.cookies import STEP, Cookies, Outcome, Served, client_address, fingerprint, serve
from geodns.wire.cookies import is_well_sized, make_cookie
from tests.wire.test_cookies import ADDRESSES, CLIENT_COOKIES, SECRETS

OLD, NEW = b"o" * 16, b"n" * 16
ADDRESS, CLIENT = b"\xc0\0\x02\x01", b"c" * 8
NOW = 1_800_000_000
FIRST_SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf"
RFC_9018 = {
    "A.1": ("198.51.100.100", [FIRST_SECRET], 1559731985, "2464c4abcf10c957", Outcome.CLIENT_ONLY,
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
    "A.2": ("198.51.100.100", [FIRST_SECRET], 1559734385, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", Outcome.RENEWED,
            "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"),
    "A.3": ("203.0.113.203", [FIRST_SECRET], 1559734700, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", Outcome.EXPIRED,
            "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"),
    "A.4": ("2001:db8:220:1:59de:d0f4:8769:82b8", ["445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"],
            1559741961, "22681ab97d52c298010000005cf7c57926556bd0934c72f8", Outcome.RENEWED,
            "22681ab97d52c298010000005cf7c609a6bb79d16625507a"),
}  # fmt: skip
"""Client, secrets, now, the option as it comes; what is found, and the option as it goes. The cookie of A.3 is called valid
there, but is 112 minutes old, which §4.3 does not allow; the reply is the same."""


@pytest.mark.parametrize("case", RFC_9018)
def test_replies_are_those_of_the_standard(case: str) -> None:
    """The exchanges of RFC 9018, appendix A."""
    client, secrets, now, came, outcome, goes = RFC_9018[case]
    served = serve(bytes.fromhex(came), ip_address(client).packed, tuple(map(bytes.fromhex, secrets)), now)

    assert Served(outcome, bytes.fromhex(goes)) == served


AGES = {
    -301: Outcome.EXPIRED, -300: Outcome.VALID, 0: Outcome.VALID, 1800: Outcome.VALID,
    1801: Outcome.RENEWED, 3600: Outcome.RENEWED, 3601: Outcome.EXPIRED,
}  # fmt: skip
"""RFC 9018 §4.3: an hour of the past, five minutes of the future; a new one after half an hour."""


@pytest.mark.parametrize("seconds", AGES)
def test_a_cookie_is_believed_for_an_hour(seconds: int) -> None:
    """It is given back as it is for half an hour, and never again once it is too old."""
    shown = make_cookie(CLIENT, ADDRESS, NEW, NOW - seconds)
    outcome, content = serve(shown, ADDRESS, (NEW,), NOW)

    assert AGES[seconds] is outcome
    assert (shown if outcome is Outcome.VALID else make_cookie(CLIENT, ADDRESS, NEW, NOW)) == content


STAGES = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]
"""What one sibling has, step after step of a roll-over."""


@pytest.mark.parametrize("step", range(3))
def test_no_step_of_a_roll_over_costs_a_client_its_cookie(step: int) -> None:
    """While some siblings are one step ahead of others, each believes what any of them makes."""
    for maker in STAGES[step : step + 2]:
        shown = serve(CLIENT, ADDRESS, maker, NOW).content
        for judge in STAGES[step : step + 2]:
            assert serve(shown, ADDRESS, judge, NOW).outcome.is_genuine


def test_a_cookie_of_the_old_secret_is_replaced_at_once() -> None:
    """So that after an hour nobody has one any more."""
    shown = make_cookie(CLIENT, ADDRESS, OLD, NOW)

    assert Served(Outcome.RENEWED, make_cookie(CLIENT, ADDRESS, NEW, NOW)) == serve(shown, ADDRESS, (NEW, OLD), NOW)


@given(st.binary(max_size=48), ADDRESSES, SECRETS)
def test_whatever_comes_gets_a_good_cookie_or_is_malformed(content: bytes, address: bytes, secret: bytes) -> None:
    """The reply to any well-sized option is one that is valid at once; a forged one is never genuine."""
    outcome, ours = serve(content, address, (secret,), NOW)

    assert (outcome is not Outcome.MALFORMED) == is_well_sized(content)
    assert not outcome.is_genuine
    if is_well_sized(content):
        assert Served(Outcome.VALID, ours) == serve(ours, address, (secret,), NOW)


@given(st.lists(st.tuples(CLIENT_COOKIES | st.binary(min_size=16, max_size=40), ADDRESSES), max_size=20), st.integers(0, 90))
def test_remembering_changes_nothing(asked: list[tuple[bytes, bytes]], seconds: int) -> None:
    """What is remembered is what would be worked out anew, whoever asks in whatever order, now and later."""
    remembering = Cookies((NEW, OLD))
    for now in (NOW, NOW + seconds):
        remembering.tick(now)
        moment = now // STEP * STEP
        for content, address in asked * 2:
            assert serve(content, address, (NEW, OLD), moment) == remembering.serve(address, content)


def test_what_looks_alike_behind_one_another_is_told_apart() -> None:
    """A long option of a client with a short address, and a shorter one of a client with a longer address."""
    octets = CLIENT + bytes(range(12)) + b"\x20\x01\x0d\xb8" * 4
    remembering = Cookies((NEW,))
    remembering.tick(NOW)

    assert [serve(octets[:at], octets[at:], (NEW,), NOW) for at in (20, 32)] == [
        remembering.serve(octets[at:], octets[:at]) for at in (20, 32)
    ]


def test_reserved_octets_are_not_given_back() -> None:
    """A cookie of ours that has them set is genuine, and replaced by one in which they are zero (RFC 9018 §4.2)."""
    head = CLIENT + b"\x01\xab\xcd\xef" + NOW.to_bytes(4, "big")
    shown = head + siphash24(head + ADDRESS, key=NEW).digest()

    assert Served(Outcome.RENEWED, make_cookie(CLIENT, ADDRESS, NEW, NOW)) == serve(shown, ADDRESS, (NEW,), NOW)


def test_a_flood_of_clients_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is remembered than the bound, however many clients ask at once; and nothing of the time before."""
    monkeypatch.setattr(cookies, "_BOUND", 64)
    remembering = Cookies((NEW,))
    remembering.tick(NOW)
    for number in range(1000):
        remembering.serve(number.to_bytes(4, "big"), CLIENT)

    assert 0 < len(remembering.memo) <= 64
    remembering.tick(NOW + STEP)
    assert {} == remembering.memo


def test_the_client_is_who_the_standard_hashes() -> None:
    """Four octets for IPv4, on a socket of both families too; sixteen for IPv6, also where there is IPv4 inside."""
    four = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 53, b"\xc0\0\x02\x01")

    def six(text: str) -> bytes:
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", 53, 0, ip_address(text).packed, 0)

    assert b"\xc0\0\x02\x01" == client_address(four)
    assert b"\xc0\0\x02\x01" == client_address(six("::ffff:192.0.2.1"))
    assert ip_address("64:ff9b::c000:201").packed == client_address(six("64:ff9b::c000:201"))


def test_fingerprints_tell_secrets_apart() -> None:
    """Eight hex digits, the same for the same secret, and none of them those of the secret."""
    found = {fingerprint(bytes((number,)) * 16) for number in range(100)}

    assert 100 == len(found)
    assert {8} == {len(text) for text in found}
    assert fingerprint(OLD) == fingerprint(b"o" * 16)

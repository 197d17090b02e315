"""The server cookie: the vectors of RFC 9018, and what the law behind them is."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from siphash24 import siphash24

from geodns.wire.cookies import LONGEST, age, is_made_with, is_well_sized, make_cookie

VECTORS = {
    "A.1": ("198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559731985, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
    "A.2": ("198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734385, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"),
    "A.3": ("203.0.113.203", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734700, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"),
    "A.4 old": (
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        "dd3bdf9344b678b185a6f5cb60fca715",
        1559741817,
        "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
    ),
    "A.4 new": (
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        "445536bcd2513298075a5d379663c962",
        1559741961,
        "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
    ),
}
"""RFC 9018, appendix A: the client, the secret, when the cookie is made, and the whole content of the option."""

ADDRESSES = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(lambda address: address.packed)
SECRETS = st.binary(min_size=16, max_size=16)
CLIENT_COOKIES = st.binary(min_size=8, max_size=8)


@pytest.mark.parametrize("vector", VECTORS)
def test_cookies_are_those_of_the_standard(vector: str) -> None:
    """Each vector of RFC 9018 comes out, and proves genuine with its secret and for its client."""
    client, secret, moment, cookie = VECTORS[vector]
    address, key, content = ip_address(client).packed, bytes.fromhex(secret), bytes.fromhex(cookie)

    assert content == make_cookie(content[:8], address, key, moment)
    assert is_made_with(content, address, key)
    assert 0 == age(content, moment)


def test_reserved_octets_are_hashed_as_they_came() -> None:
    """The cookie of RFC 9018 A.3 that has its reserved octets set is genuine all the same."""
    cookie = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")

    assert is_made_with(cookie, ip_address("203.0.113.203").packed, bytes.fromhex(VECTORS["A.3"][1]))


def test_another_version_is_not_ours() -> None:
    """A cookie of version 2 is not believed though its hash be right: nobody knows what its octets mean (RFC 9018 §4.1)."""
    client, secret, moment, cookie = VECTORS["A.1"]
    address, key = ip_address(client).packed, bytes.fromhex(secret)
    head = bytes.fromhex(cookie)[:8] + b"\x02\0\0\0" + moment.to_bytes(4, "big")

    assert not is_made_with(head + siphash24(head + address, key=key).digest(), address, key)


@given(CLIENT_COOKIES, ADDRESSES, SECRETS, st.integers(0, 2**32 - 1), st.data())
def test_a_cookie_proves_one_client_and_one_secret(
    client: bytes, address: bytes, secret: bytes, moment: int, data: st.DataObject
) -> None:
    """What was made is genuine; with one bit changed anywhere, in cookie, address or secret, it is not."""
    made = make_cookie(client, address, secret, moment)
    parts = [made, address, secret]
    which = data.draw(st.integers(0, 2))
    bit = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    changed = int.from_bytes(parts[which], "big") ^ 1 << bit
    parts[which] = changed.to_bytes(len(parts[which]), "big")

    assert is_made_with(made, address, secret)
    assert not is_made_with(parts[0], parts[1], parts[2])


@given(st.integers(0, 2**32 - 1), st.integers(1 - 2**31, 2**31 - 1))
def test_ages_outlive_the_end_of_the_clock(moment: int, passed: int) -> None:
    """Timestamps are serial numbers: the year 2106 is no end (RFC 9018 §4.3, RFC 1982)."""
    assert passed == age(make_cookie(b"c" * 8, b"\1\2\3\4", b"s" * 16, moment), moment + passed)


def test_lengths_are_those_of_the_standard() -> None:
    """A client cookie alone, or with 8 to 32 octets of a server cookie; nothing else (RFC 7873 §4)."""
    assert [8, *range(16, 41)] == [size for size in range(LONGEST + 20) if is_well_sized(b"x" * size)]

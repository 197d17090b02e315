"""Serial number arithmetic: the laws of RFC 1982, also where the numbers begin anew."""

from __future__ import annotations

import dns.serial
from hypothesis import given
from hypothesis import strategies as st

from geodns.wire.serials import distance, newest

SERIALS = st.integers(0, 2**32 - 1)
STEPS = st.integers(0, 2**31 - 1)


@given(SERIALS, SERIALS)
def test_order_is_dnspythons(one: int, other: int) -> None:
    """Ahead, behind or equal as dnspython says; half the circle apart, either way is as good (§3.2)."""
    if (one - other) % 2**32 == 2**31:
        assert 2**31 == distance(one, other) == distance(other, one)
        return
    first, second = dns.serial.Serial(one), dns.serial.Serial(other)

    assert (first < second, first == second, first > second) == tuple(
        (sign > 0) - (sign < 0) == wanted for sign, wanted in zip([distance(one, other)] * 3, (1, 0, -1), strict=True)
    )


@given(SERIALS, STEPS)
def test_a_distance_is_what_was_added(serial: int, step: int) -> None:
    """Adding less than half the circle goes that far ahead, and comes back as far behind."""
    later = (serial + step) % 2**32

    assert (step, -step) == (distance(serial, later), distance(later, serial))


@given(SERIALS, st.lists(STEPS, min_size=1))
def test_the_newest_is_the_one_that_went_farthest(serial: int, steps: list[int]) -> None:
    """Of serials that went ahead from one by less than half the circle."""
    assert (serial + max(steps)) % 2**32 == newest((serial + step) % 2**32 for step in steps)


def test_what_goes_round_has_no_newest() -> None:
    """Thirds of the circle, or its halves, are in no order; nor is nothing."""
    assert newest([0, 2**32 // 3, 2 * 2**32 // 3]) is None
    assert newest([7, 7 + 2**31]) is None
    assert newest([]) is None
    assert 4 == newest([4294967290, 4, 4294967295])

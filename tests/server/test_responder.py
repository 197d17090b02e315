"""Owns the laws of the fault boundary."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.server.responder import FaultBoundary, servfail


@given(st.binary(min_size=12, max_size=64).filter(lambda octets: octets[2] < 0x80))
def test_servfail_is_the_header_of_the_query_turned_round(query: bytes) -> None:
    """SERVFAIL copies id, opcode and RD, sets QR and RCODE 2, and has empty sections."""
    reply = servfail(query)

    assert reply is not None
    assert query[:2] == reply[:2]
    assert (0x80 | query[2] & 0x79, 2) == (reply[2], reply[3])
    assert bytes(8) == reply[4:]


@given(st.binary(max_size=11) | st.binary(min_size=12).map(lambda octets: octets[:2] + b"\x80" + octets[3:]))
def test_garbage_and_responses_get_silence(query: bytes) -> None:
    """Where a reply could begin a loop, or has no id to copy, there is none."""
    assert servfail(query) is None


def test_a_fault_is_logged_once_for_each_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand equal faults make one line, another type makes another, and the query stands in it in hex."""
    boundary = FaultBoundary()

    def fault(kind: type[Exception]) -> Exception:
        try:
            raise kind("broken")
        except Exception as error:
            return error

    query = b"\xab\xcd\x01" + bytes(9)
    with caplog.at_level(logging.ERROR, "geodns.server"):
        for _ in range(1000):
            boundary.reply(fault(KeyError), query)
        boundary.reply(fault(IndexError), query)

    assert [record.getMessage().split()[-1] for record in caplog.records] == ["abcd01000000000000000000"] * 2

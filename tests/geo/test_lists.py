"""What all lists of prefixes have in common: prefixes as they are written, dates, and files that cannot be read."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.lists import BadLine, cells_of, date_in_name, date_of, lines_of, network_of, shown
from geodns.problem import Problem

NETWORKS = st.builds(
    lambda address, length: ip_network((address, length), strict=False), st.integers(0, 2**32 - 1), st.integers(8, 32)
) | st.builds(
    lambda address, length: ip_network((address.to_bytes(16, "big"), length), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(16, 128),
)


@given(NETWORKS)
def test_every_prefix_that_can_be_a_route_is_read(network: IPv4Network | IPv6Network) -> None:
    """As ipaddress writes it; an address alone is a prefix of full length."""
    assert network == network_of(str(network))
    assert ip_network(network.network_address) == network_of(str(network.network_address))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no prefix"),
        ("192.0.2.0/33", "'192.0.2.0/33' is no prefix"),
        ("192.0.2.1/24", "192.0.2.1/24 has bits set beyond its prefix length"),
        ("8.0.0.0/7", "8.0.0.0/7 is shorter than /8"),
        ("2000::/15", "2000::/15 is shorter than /16"),
        ("fe80::1%eth0", "'fe80::1%eth0' is no prefix"),
    ],
)
def test_what_is_no_prefix_says_why(text: str, message: str) -> None:
    """Each with a remedy."""
    with pytest.raises(BadLine) as found:
        network_of(text)

    assert message == str(found.value)
    assert found.value.remedy


def test_cells_may_be_quoted() -> None:
    """With commas within, and blanks around."""
    assert ["192.0.2.0/24", "a, b", "c"] == cells_of('192.0.2.0/24, "a, b", c')


@given(st.text(max_size=200))
def test_a_text_in_a_message_stays_short(text: str) -> None:
    """A line of megabytes is shown by its beginning."""
    assert len(shown(text)) <= 63


def test_dates_are_found_in_comments_and_names() -> None:
    """The first that is one in comments, the last in a path."""
    assert "2026-11-28" == date_of(["192.0.2.0/24 # 2026-13-01, 2026-11-28", "# 2026-11-29"])
    assert "" == date_of(["2026-11-28"])
    assert "2026-11-28" == date_in_name(Path("lists/2025-01-01/egress-20261128.txt"))
    assert "" == date_in_name(Path("egress.txt"))


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """Missing, a directory, no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", ".", "binary"):
        found = lines_of(tmp_path / name)
        assert isinstance(found, Problem)
        assert found.remedy

"""Owns the laws of binding: which addresses a configuration can do without."""

from __future__ import annotations

import errno
import os

import pytest

from geodns import server
from geodns.daemon import gates
from geodns.ops import config as configuration
from geodns.ops.config import Config, parse_listen
from geodns.problem import ProblemsFound


def config(*listens: str) -> Config:
    return configuration.parse(f"[server]\nlisten = {list(listens)}\n".replace("'", '"'))


@pytest.fixture
def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has no IPv6: only what has no colon in it can be bound."""
    bind_pairs = server.bind_pairs

    def bind(host: str, port: int, count: int, *, receive_buffer: int) -> tuple[server.Pair, ...]:
        if ":" in host:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return bind_pairs(host, port, count, receive_buffer=receive_buffer)

    monkeypatch.setattr(server, "bind_pairs", bind)


@pytest.mark.usefixtures("without_ipv6")
def test_an_ipv6_loopback_that_is_not_there_is_skipped_at_a_reload_too() -> None:
    """Beside another address it is a warning, no matter whether that one is bound now or has been since the start."""
    wanted = config("127.0.0.1:0", "[::1]:0")
    bound, at_start = gates.bind(gates.wanted(wanted), wanted)
    nothing, at_reload = gates.bind([listen for listen in gates.wanted(wanted) if listen not in bound], wanted)
    for pair in bound[parse_listen("127.0.0.1:0")]:
        pair.close()

    assert at_start == at_reload
    assert ["server.listen: [::1]:0 is skipped, this machine has no IPv6 loopback"] == [found.message for found in at_start]
    assert {} == nothing


@pytest.mark.usefixtures("without_ipv6")
@pytest.mark.parametrize("listens", [("[::1]:0",), ("[::1]:0", "[::1]:5301")])
def test_where_only_the_ipv6_loopback_is_wanted_it_must_be_there(listens: tuple[str, ...]) -> None:
    """A server without any address is no server: each one that cannot be had is an error."""
    wanted = config(*listens)
    with pytest.raises(ProblemsFound) as found:
        gates.bind(gates.wanted(wanted), wanted)

    assert len(listens) == sum(problem.is_error for problem in found.value.problems)


def test_an_address_that_the_server_itself_is_in_the_way_of_is_told_so() -> None:
    """Nobody is sent to look for another server where a reload goes from one address to every address of its port."""
    narrow = config("127.0.0.1:0")
    held, _ = gates.bind(gates.wanted(narrow), narrow)
    (pair,) = held[parse_listen("127.0.0.1:0")]
    wide = config(f"0.0.0.0:{pair.port}")
    with pytest.raises(ProblemsFound) as by_itself:
        gates.bind(gates.wanted(wide), wide, held=[parse_listen(f"127.0.0.1:{pair.port}")])
    with pytest.raises(ProblemsFound) as by_another:
        gates.bind(gates.wanted(wide), wide)
    pair.close()

    assert "restart it" in str(by_itself.value)
    assert "stop the other server (ss -lntup)" in str(by_another.value)

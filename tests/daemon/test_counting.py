"""Owns the truth of /metrics: counters of all processes are summed, and none is lost with the process that counted, for real."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support import backends
from tests.support.backends import FRANKFURT, IN_AMERICA, IN_EUROPE, NEW_YORK, ZONE, Backends, ask
from tests.support.daemons import Geodns, Sample, geodns, poll, sample

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address")]

ROUND = 60  # queries, from as many ports: two workers get some each
ADDRESSES = sample("geodns_queries_total", transport="udp", type="A")
BY_TCP = sample("geodns_queries_total", transport="tcp", type="A")
WELL = sample("geodns_responses_total", rcode="NOERROR")
REPLIES = sample("geodns_udp_replies_total")
FROM_FRANKFURT = sample("geodns_pool_answers_total", pool="app", site="fra", endpoint="fra")
FROM_NEW_YORK = sample("geodns_pool_answers_total", pool="app", site="nyc", endpoint="nyc")
USED = sample("geodns_client_subnet_total", outcome="used")
BY_OPERATOR = sample("geodns_rung_total", rung="net")
SCOPE_24 = sample("geodns_client_subnet_scope_bucket", family="ipv4", le="24.0")
ENDINGS = ("_total", "_count", "_sum", "_bucket")


@pytest.fixture
def sites() -> Iterator[Backends]:
    """Frankfurt, New York and Tokyo, alive."""
    with backends.backends() as three:
        yield three


@contextmanager
def served(directory: Path, sites: Backends) -> Iterator[Geodns]:
    """Two workers and a keeper, ready."""
    with geodns(directory, sites.config(), {"example.com.zone": ZONE}) as server:
        server.until_said("2 workers answer")
        poll("it is ready", lambda: server.ask("GET", "/readyz").status_code == 200)
        yield server


class Scrapes:
    """What a monitoring system sees, one look after the other; a counter that shrinks is remembered in `shrunk`."""

    def __init__(self, server: Geodns) -> None:
        self._server = server
        self.last: dict[Sample, float] = {}
        self.shrunk: list[tuple[Sample, float, float]] = []

    def look(self) -> bool:
        """Scrape; False while nobody opens."""
        try:
            found = self._server.metrics()
        except httpx.TransportError:
            return False
        counters = {key: value for key, value in found.items() if key[0].startswith("geodns_") and key[0].endswith(ENDINGS)}
        mine = {key: value for key, value in counters.items() if not key[0].startswith("geodns_check_")}
        self.shrunk += [(key, value, mine.get(key, 0)) for key, value in self.last.items() if mine.get(key, 0) < value]
        self.last = mine
        return True

    def until(self, key: Sample, value: float) -> None:
        """Scrape until a counter is at a value; more than that is none of a query that was asked."""
        poll(f"{key} is {value}", lambda: self.look() and self.last.get(key, 0) >= value)
        assert value == self.last[key]


def asked(server: Geodns, subnet: str = IN_EUROPE) -> None:
    """A round of queries, each from another port."""
    for _ in range(ROUND):
        ask(server.endpoint, subnet)


def test_counters_are_summed_over_processes(tmp_path: Path, sites: Backends) -> None:
    """A round of queries shows as that many in all counters it belongs to, and in no other."""
    with served(tmp_path, sites) as server:
        scrapes = Scrapes(server)
        scrapes.look()
        before = dict(scrapes.last)
        asked(server)
        scrapes.until(ADDRESSES, before.get(ADDRESSES, 0) + ROUND)
        after = dict(scrapes.last)
        asked(server, IN_AMERICA)
        scrapes.until(ADDRESSES, before.get(ADDRESSES, 0) + 2 * ROUND)

    for key in (WELL, FROM_FRANKFURT, USED, BY_OPERATOR, SCOPE_24):
        assert ROUND == after[key] - before.get(key, 0), key
    assert ROUND <= after[REPLIES] - before.get(REPLIES, 0)  # besides: what waits until the server answers
    assert after.get(BY_TCP, 0) == before.get(BY_TCP, 0)
    assert after[FROM_FRANKFURT] == scrapes.last[FROM_FRANKFURT]
    assert [] == scrapes.shrunk


def test_counters_outlive_a_killed_worker(tmp_path: Path, sites: Backends) -> None:
    """What was shown stays, the next rounds are added, and the death itself is counted."""
    with served(tmp_path, sites) as server:
        scrapes = Scrapes(server)
        asked(server)
        scrapes.until(ADDRESSES, ROUND)
        victim = min(server.workers())
        os.kill(victim, signal.SIGKILL)
        deaths = sample("geodns_worker_deaths_total")
        poll("it is replaced", lambda: scrapes.look() and scrapes.last[deaths] == 1 and len(server.workers() - {victim}) == 2)
        asked(server)
        scrapes.until(ADDRESSES, 2 * ROUND)

    assert [] == scrapes.shrunk
    assert 2 * ROUND == scrapes.last[FROM_FRANKFURT]


def test_counters_outlive_reloads(tmp_path: Path, sites: Backends) -> None:
    """New generations of workers and keepers go on from what the old ones had counted, the last queries included."""
    with served(tmp_path, sites) as server:
        scrapes = Scrapes(server)
        for number in (1, 2, 3):
            asked(server)
            if number < 3:
                server.reload({}, f"generation {number + 1}: 2 workers answer")
            scrapes.until(ADDRESSES, number * ROUND)

    assert [] == scrapes.shrunk
    assert 3 * ROUND == scrapes.last[FROM_FRANKFURT]
    assert 2 == scrapes.last[sample("geodns_reloads_total", result="accepted")]


def test_counters_outlive_a_killed_keeper(tmp_path: Path, sites: Backends) -> None:
    """The process that tells them is not the one that holds them."""
    with served(tmp_path, sites) as server:
        scrapes = Scrapes(server)
        asked(server)
        scrapes.until(ADDRESSES, ROUND)
        os.kill(server.keeper(), signal.SIGKILL)
        asked(server)
        scrapes.until(ADDRESSES, 2 * ROUND)

    assert [] == scrapes.shrunk


def test_an_endpoint_that_was_down_at_the_start_is_counted_when_it_comes_up(tmp_path: Path, sites: Backends) -> None:
    """Processes number their counters alike also where what a pool may answer has changed since they were made."""
    sites.frankfurt.kill()
    with served(tmp_path, sites) as server:
        scrapes = Scrapes(server)
        server.reload({}, "generation 2: 2 workers answer")  # from here on it is known to be down while answers are prepared
        answers: Counter[str] = Counter()

        def is_back() -> bool:
            answers[ask(server.endpoint, IN_EUROPE)[0]] += 1
            return answers[FRANKFURT] >= ROUND

        for _ in range(ROUND):
            assert not is_back()
        scrapes.until(ADDRESSES, ROUND)
        without = scrapes.last[FROM_FRANKFURT]
        sites.frankfurt.start()
        poll("its users return", is_back)
        scrapes.until(ADDRESSES, answers.total())

    assert 0 == without
    assert answers[FRANKFURT] == scrapes.last[FROM_FRANKFURT]
    assert answers[NEW_YORK] == scrapes.last[FROM_NEW_YORK]
    assert [] == scrapes.shrunk

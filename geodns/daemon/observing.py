"""Owns what becomes of a few of the queries that a worker answers: the query log and dnstap; refuses to choose replies."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from time import monotonic, time
from typing import Literal

import geodns
from geodns import server
from geodns.ops import config as configuration
from geodns.ops.config import Config
from geodns.ops.dnstap import Dnstap
from geodns.ops.query_log import QueryLog, Sample
from geodns.problem import Problem

_FAREWELL = 1.0  # seconds for a dnstap reader to hear that this is the end


def query_log(config: Config) -> QueryLog | None:
    """Where queries are logged, if they are: to a file, or to the log unless dnstap has them."""
    told = config.log
    if not told.queries or (told.dnstap and not told.queries_file):
        return None
    file = config.path(told.queries_file) if told.queries_file else None
    return QueryLog(
        file, as_json=told.format == "json", truncate=(told.truncate_ipv4, told.truncate_ipv6), identity=config.server.identity
    )


def unwritable(config: Config) -> list[Problem]:
    """What stands in the way of logging queries, found out before there are workers to do it."""
    log = query_log(config)
    if log is None:
        return []
    problems = log.open()
    log.close()
    return problems


class Observer:
    """Hands some of the queries on, in the event loop of the process that answers them."""

    def __init__(self, config: Config, workers: int) -> None:
        told = config.log
        self._sample = Sample(told.queries, told.queries_per_second / workers, random.random)
        self._log = query_log(config)
        self._tap: Dnstap | None = None
        if told.dnstap:
            way = configuration.parse_socket(told.dnstap) or config.path(told.dnstap)
            truncate = (told.truncate_ipv4, told.truncate_ipv6)
            self._tap = Dnstap(way, identity=config.server.identity, version=f"geodns {geodns.__version__}", truncate=truncate)
        self._running = asyncio.create_task(self._tap.run()) if self._tap else None

    @staticmethod
    def wanted(config: Config, workers: int) -> Observer | None:
        """An observer, if anything is to be observed; only in a running event loop."""
        return Observer(config, workers) if config.log.queries else None

    def picks(self, count: int) -> Sequence[int]:
        """Which of the next queries are wanted."""
        return self._sample.picks(count, monotonic())

    def offer(self, octets: bytes, reply: bytes | None, source: bytes, transport: Literal["udp", "tcp"]) -> None:
        """Hand one on, with its reply and the raw socket address of its sender."""
        client, at = server.address_of(source), time()
        if self._log:
            self._log.offer(octets, reply, client, transport, at)
        if self._tap:
            self._tap.offer(octets, reply, client, server.source_port(source), transport, at)

    def counts(self) -> dict[str, int]:
        """What was handed on, and what nobody took."""
        log, tap = self._log, self._tap
        return {
            "logged": log.written if log else 0,
            "log_dropped": (log.dropped if log else 0) + self._sample.refused,
            "tapped": tap.sent if tap else 0,
            "tap_dropped": tap.dropped if tap else 0,
        }

    async def close(self) -> None:
        """Say farewell to whoever reads."""
        if self._running:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(self._running, _FAREWELL)
        if self._log:
            self._log.close()

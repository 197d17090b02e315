"""Where the time of an answer goes, without sockets: `python -m tests.bench.stages [--database FILE.mmdb]`.

Takes the queries of the loads through the compiled matcher and through the general path, in this process, and prints the best of
several passes in microseconds a query. What a server needs beyond that is the listener's and the kernel's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time

from geodns import answer, daemon
from tests.bench import make_mmdb, peers, queries

SECRETS = (b"makes cookies 01", b"is accepted 0123")


def cookies(names: Sequence[str], count: int, draw: queries.Draw) -> Iterator[bytes]:
    """A queries with a cookie, each of one of a hundred clients."""
    clients = [draw.randbytes(8) for _ in range(100)]
    return (_with(names, number, queries.option(queries.COOKIE, draw.choice(clients))) for number in range(count))


def new_cookies(names: Sequence[str], count: int, draw: queries.Draw) -> Iterator[bytes]:
    """The same, each of a client that was never seen before."""
    return (_with(names, number, queries.option(queries.COOKIE, draw.randbytes(8))) for number in range(count))


def forged_cookies(names: Sequence[str], count: int, draw: queries.Draw) -> Iterator[bytes]:
    """The same, each with a server cookie that nobody made."""
    forged = (draw.randbytes(8) + b"\1\0\0\0" + draw.randbytes(12) for _ in range(count))
    return (_with(names, number, queries.option(queries.COOKIE, content)) for number, content in enumerate(forged))


def ecs_and_cookies(names: Sequence[str], count: int, draw: queries.Draw) -> Iterator[bytes]:
    """A random client subnet before the cookie of one resolver, as dig sends both."""
    ours = queries.option(queries.COOKIE, draw.randbytes(8))
    return (_with(names, number, queries.client_subnet(draw) + ours) for number in range(count))


def _with(names: Sequence[str], number: int, options: bytes) -> bytes:
    return queries.message(queries.wire_name(names[number % len(names)]), queries.A, options)


SENDER = bytes((2, 0, 0x14, 0xE9, 127, 0, 0, 1)) + bytes(8)
"""A struct sockaddr_in of 127.0.0.1, port 5353."""
LOADS: dict[str, queries.Recipe] = {
    "plain": queries.plain,
    "ecs": queries.ecs,
    "mixed": queries.mixed,
    "random names": queries.missing,
    "zones not served": queries.foreign,
    "garbage": queries.garbage,
}
COOKIED: dict[str, queries.Recipe] = {
    "cookies": cookies,
    "new cookies": new_cookies,
    "forged cookies": forged_cookies,
    "ecs and cookies": ecs_and_cookies,
    "plain, with secrets": queries.plain,
    "ecs, with secrets": queries.ecs,
}
"""Loads for a server that has cookie secrets."""


def job(directory: Path, database: Path | None) -> Path:
    """The configuration of the comparison: 1000 names, three sites, one country database."""
    places = database or directory / "places.mmdb"
    if database is None:
        make_mmdb.make(places, networks=300_000, records=250, kind="country")
    (directory / "example.com.zone").write_text(peers.geo_zone())
    config = directory / "geodns.toml"
    config.write_text(f'geo.databases = ["{places}"]\n[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n')
    return config


def cost(respond: Callable[[bytes, bytes], bytes | None], messages: list[bytes], passes: int) -> float:
    """Microseconds a message, the best of several passes after one to warm up."""
    taken = []
    for _ in range(passes + 1):
        began = perf_counter()
        for octets in messages:
            respond(octets, SENDER)
        taken.append(perf_counter() - began)
    return min(taken[1:]) / len(messages) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stages", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--database", type=Path, help="country database, mmdb (default: a synthetic one)")
    parser.add_argument("--count", type=int, default=20_000, help="queries of each load (default 20000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        snapshot = daemon.load(job(Path(directory), args.database)).snapshot

    def general(octets: bytes, source: bytes) -> bytes | None:
        return answer.respond(snapshot, octets, answer.sender(source))

    census = answer.Census(answer.Ledger())
    compiled = answer.compile_answers(snapshot, census)
    census.settle()
    fast = answer.matcher(snapshot, compiled, census, general)
    sys.stdout.write(f"{'load':<20}{'matcher µs':>12}{'general µs':>12}\n")
    for loads, paths in ((LOADS, (fast, general)), (COOKIED, cookied(snapshot))):
        for name, recipe in loads.items():
            messages = list(recipe(queries.NAMES, args.count, random.Random(1)))
            sys.stdout.write(f"{name:<20}{cost(paths[0], messages, 7):>12.2f}{cost(paths[1], messages[:2000], 2):>12.1f}\n")


def cookied(snapshot: answer.Snapshot) -> tuple[answer.Datagram, answer.Datagram]:
    """Matcher and general path of the same server with cookie secrets."""
    secretive = replace(snapshot, cookie_secrets=SECRETS)
    cookies_served = answer.Cookies(SECRETS)
    cookies_served.tick(time())

    def general(octets: bytes, source: bytes) -> bytes | None:
        return answer.respond(secretive, octets, answer.sender(source), cookies=cookies_served.of(source))

    census = answer.Census(answer.Ledger())
    compiled = answer.compile_answers(secretive, census)
    census.settle()
    return answer.with_cookies(secretive, compiled, census, general, cookies_served), general


if __name__ == "__main__":
    main()

"""Where the time of an answer goes, without sockets: `python -m tests.bench.stages [--database FILE.mmdb]`.

Takes the queries of the loads through the compiled matcher and through the general path, in this process, and prints the best of
several passes in microseconds a query. What a server needs beyond that is the listener's and the kernel's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from geodns import answer, daemon
from tests.bench import make_mmdb, peers, queries

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
    sys.stdout.write(f"{'load':<18}{'matcher µs':>12}{'general µs':>12}\n")
    for name, recipe in LOADS.items():
        messages = list(recipe(queries.NAMES, args.count, random.Random(1)))
        sys.stdout.write(f"{name:<18}{cost(fast, messages, 7):>12.2f}{cost(general, messages[:2000], 2):>12.1f}\n")


if __name__ == "__main__":
    main()

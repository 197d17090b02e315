"""Owns measurements with much data: what size does to start-up, reload, memory and cost per query; knows no peers.

python -m tests.bench.scale --help
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import combinations, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import dns.message
from rich.console import Console
from rich.table import Table

from tests.bench import compare, make_mmdb, measure, peers, processes, queries
from tests.bench.load import NotMeasured, Programs, Shape, compile_programs
from tests.bench.report import MEBIBYTE, table
from tests.support.daemons import Endpoint, free_port

SOA = 6
_POLL = 0.005  # s
_HOSTS = 7  # besides SOA, NS and the name server's address: ten records in a small zone


@dataclass(frozen=True, slots=True)
class Data:
    """What is served: zone → master file with `$serial` in it, names that have an A record, the database, workers.

    `pools` is configuration; with `flapping` an endpoint of it goes up and down all the time, at FLAPPING.
    """

    zones: dict[str, str]
    names: Sequence[str]
    database: Path
    workers: int = 1
    pools: str = ""
    flapping: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds to start and to reload; octets before and after the reload; seconds of CPU time a reply, plain and with ECS."""

    name: str
    workers: int
    start_up: float
    reload: float
    before: processes.Memory
    after: processes.Memory
    plain: float
    ecs: float
    processes: int


def _head(zone: str) -> str:
    return f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns1 hostmaster $serial 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n"


def base(_scale: float, database: Path) -> Data:
    """The job of the comparison: 1000 names with a GEO record for each continent."""
    return Data({"example.com": peers.geo_zone().replace(" 1 3600 ", " $serial 3600 ")}, queries.NAMES, database)


def records(scale: float, database: Path) -> Data:
    """100,000 records in one zone."""
    names = [f"host{number}" for number in range(max(1, int(100_000 * scale)))]
    text = "".join(f"{name} A 192.0.2.{number % 250}\n" for number, name in enumerate(names))
    return Data({"example.com": _head("example.com") + text}, [f"{name}.example.com" for name in names], database)


def zones(scale: float, database: Path) -> Data:
    """10,000 zones of 10 records."""
    hosts = "".join(f"host{number} A 192.0.2.{number}\n" for number in range(_HOSTS))
    apexes = [f"zone{number}.example" for number in range(max(1, int(10_000 * scale)))]
    names = [f"host{number % _HOSTS}.{apex}" for number, apex in enumerate(apexes)]
    return Data({apex: _head(apex) + hosts for apex in apexes}, names, database)


def rules(scale: float, database: Path) -> Data:
    """1,000 names, each with a set of selectors that no other has."""
    codes = [code for code, *_ in make_mmdb.COUNTRIES]
    sets = list(islice(combinations(codes, 3), max(1, int(1_000 * scale))))
    lines = []
    for number, countries in enumerate(sets):
        lines.append(f"www{number} A 192.0.2.10\n")
        lines += [f"www{number} GEO country:{code} A 192.0.2.{20 + place}\n" for place, code in enumerate(countries)]
    return Data(
        {"example.com": _head("example.com") + "".join(lines)}, [f"www{n}.example.com" for n in range(len(sets))], database
    )


SITES = (("fra", 50.1, 8.7), ("nyc", 40.7, -74.0), ("sao", -23.5, -46.6), ("sin", 1.3, 103.8), ("syd", -33.9, 151.2))
FLAPPING = "127.0.0.77"
_CHECKED_EVERY = 0.2  # s


def pools(scale: float, database: Path) -> Data:
    """1,000 names out of 100 pools of five sites, the nearest of which is answered."""
    count = max(1, int(100 * scale))
    names = [f"www{number}" for number in range(10 * count)]
    text = "".join(f"{name} POOL pool{number % count}\n{name} A 192.0.2.1\n" for number, name in enumerate(names))
    config = "".join(map(_pool, range(count)))
    return Data({"example.com": _head("example.com") + text}, [f"{name}.example.com" for name in names], database, pools=config)


def flapping(scale: float, database: Path) -> Data:
    """The same, while an endpoint of one pool goes up and down with every check."""
    return replace(pools(scale, database), flapping=True)


def _pool(number: int) -> str:
    """One pool; the first site of the first pool is checked, at a port that takes the place of `$port`."""
    check = 'type = "none"\n'
    if not number:
        check = f'type = "tcp"\nport = $port\ninterval = {_CHECKED_EVERY}\ntimeout = {_CHECKED_EVERY}\nrise = 1\nfall = 1\n'
    text = f"[pools.pool{number}]\n[pools.pool{number}.check]\n{check}"
    for place, (site, latitude, longitude) in enumerate(SITES):
        address = FLAPPING if not number and not place else f"10.{number}.{place}.1" if number else f"127.0.0.{place + 1}"
        text += (
            f'[[pools.pool{number}.endpoints]]\nname = "{site}-1"\nsite = "{site}"\naddresses = ["{address}"]\n'
            f"latitude = {latitude}\nlongitude = {longitude}\n"
        )
    return text


@contextmanager
def _flapping(port: int) -> Iterator[None]:
    """Listen and not, in turns, so that nearly every check finds something else than the one before."""
    ended = threading.Event()

    def flap() -> None:
        while not ended.is_set():
            with socket.create_server((FLAPPING, port)):
                ended.wait(1.5 * _CHECKED_EVERY)
            ended.wait(1.5 * _CHECKED_EVERY)

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


SMALL: dict[str, Callable[[float, Path], Data]] = {
    "base": base,
    "records": records,
    "zones": zones,
    "rules": rules,
    "pools": pools,
    "flapping": flapping,
}
LARGE = "database"
CASES = (*SMALL, LARGE, "workers")


def _write(data: Data, directory: Path, port: int, programs: Programs, checked: int) -> None:
    listed = [(zone, f"{number}.zone") for number, zone in enumerate(data.zones)]
    for zone, file in listed:
        (directory / file).write_text(data.zones[zone].replace("$serial", "1"))
    setup = peers.Setup(directory, port, data.workers, data.database.resolve(), programs)
    config = peers.geodns_config(setup, listed) + data.pools.replace("$port", str(checked))
    (directory / "geodns.toml").write_text(config)


def _serial(endpoint: Endpoint, zone: str) -> int | None:
    """The serial of a zone's SOA record, as served now; None without an answer."""
    reply = endpoint.udp(measure.query(zone, SOA), 0.5)
    answer = dns.message.from_wire(reply).answer if reply else []
    return next((int(rdata.serial) for rrset in answer for rdata in rrset if rdata.rdtype == SOA), None)


def _reload(running: processes.Running, endpoint: Endpoint, data: Data, directory: Path) -> float:
    """Raise one zone's serial and send SIGHUP; seconds until the new serial is answered. Raises NotMeasured."""
    zone, text = next(iter(data.zones.items()))
    (directory / "0.zone").write_text(text.replace("$serial", "2"))
    began = monotonic()
    running.process.send_signal(signal.SIGHUP)
    while _serial(endpoint, zone) != 2:
        if running.process.poll() is not None or monotonic() - began > measure.START:
            raise NotMeasured(f"the new serial is not answered: {running.last_words()}")
        sleep(_POLL)
    return monotonic() - began


def measure_one(name: str, data: Data, programs: Programs, seconds: float) -> Measured:
    """Serve the data and measure; raises NotMeasured."""
    cores = processes.cores(data.workers)
    with TemporaryDirectory(prefix="geodns-bench-") as text:
        directory, endpoint = Path(text), Endpoint(measure.HOST, free_port())
        checked = free_port(FLAPPING)
        _write(data, directory, endpoint.port, programs, checked)
        count = max(50_000, len(data.names))
        files = {kind: queries.write(directory / kind, queries.LOADS[kind], data.names, count) for kind in ("plain", "ecs")}
        with processes.running(peers.geodns_command(directory), directory, cores.server) as running:
            began = measure.until_answered(running, endpoint, measure.query(data.names[0]))
            present = len(running.pids())
            if data.workers > 1 and present < data.workers:
                raise NotMeasured("it runs one process, whatever server.workers says")
            shape = Shape(seconds, sockets=4 if data.workers == 1 else 16 * data.workers)
            with _flapping(checked) if data.flapping else nullcontext():
                costs = {kind: measure.cost(running, endpoint, programs, file, shape, cores.load) for kind, file in files.items()}
            wrong = sum(sample.counts.wrong + sample.counts.empty for sample in costs.values())
            if wrong:
                raise NotMeasured(f"{wrong} answers were wrong")
            before = running.memory()
            reload = _reload(running, endpoint, data, directory)
            after = running.memory()
        return Measured(name, data.workers, began, reload, before, after, costs["plain"].cpu, costs["ecs"].cpu, present)


@contextmanager
def _databases(asked: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """A small database and a large one; the large one is kept where --keep says, for it takes long to make."""
    with TemporaryDirectory(prefix="geodns-bench-") as directory:
        small = Path(directory) / "small.mmdb"
        make_mmdb.make(small, networks=max(2_000, int(300_000 * asked.scale)), records=250, kind="country")
        large = asked.database or Path(directory) / "large.mmdb"
        if not large.exists() and {LARGE, "workers"} & set(asked.cases):
            networks = max(2_000, int(5_000_000 * asked.scale))
            _say(f"making a database of {networks:,} networks")
            make_mmdb.make(large, networks=networks, records=max(100, int(200_000 * asked.scale)), kind="city")
        yield small, large


def _series(asked: argparse.Namespace, small: Path, large: Path) -> Iterator[tuple[str, Data]]:
    """What to measure, in order."""
    for case in asked.cases:
        if case in SMALL:
            yield case, SMALL[case](asked.scale, small)
        elif case == LARGE:
            yield case, base(asked.scale, large)
        else:
            for workers in asked.workers:
                data = base(asked.scale, large)
                yield f"{workers} workers", Data(data.zones, data.names, data.database, workers)


def results(found: Sequence[Measured]) -> Table:
    """One row for each measurement."""
    rows = [
        [
            one.name,
            str(one.processes),
            f"{one.start_up:.2f}",
            f"{one.reload:.2f}",
            f"{one.before.pss / MEBIBYTE:.0f}",
            f"{one.before.rss / MEBIBYTE:.0f}",
            f"{one.after.pss / MEBIBYTE:.0f}",
            f"{one.plain * 1e6:.2f}",
            f"{one.ecs * 1e6:.2f}",
        ]
        for one in found
    ]
    columns = ["data", "processes", "start-up s", "reload s", "Pss MiB", "Rss MiB", "Pss after reload", "plain µs", "ecs µs"]
    return table("geodns with much data", columns, rows)


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="Measure geodns with much data.")
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES), help="of: " + ",".join(CASES))
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one load (default 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes (default 1)")
    parser.add_argument("--workers", type=lambda text: list(map(int, text.split(","))), default=[1, 2, 4])
    parser.add_argument("--database", type=Path, help="the large database; made there if it does not exist (default: temporary)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    return parser


def main() -> None:
    """Measure and report."""
    parser = arguments()
    asked = parser.parse_args()
    unknown = [case for case in asked.cases if case not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    found, missing = [], {}
    with TemporaryDirectory(prefix="geodns-bench-") as directory, _databases(asked) as (small, large):
        try:
            programs = compile_programs(Path(directory))
        except NotMeasured as reason:
            sys.exit(f"nothing is measured: {reason}")
        for name, data in _series(asked, small, large):
            _say(name)
            try:
                found.append(measure_one(name, data, programs, asked.seconds))
            except NotMeasured as reason:
                missing[name] = str(reason)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(results(found))
    for name, why in missing.items():
        console.print(f"not measured: {name}: {why}", markup=False, highlight=False)
    if asked.json:
        measured = [asdict(one) for one in found]
        asked.json.write_text(
            json.dumps({"machine": compare.machine(), "measured": measured, "not_measured": missing}, indent=1) + "\n"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

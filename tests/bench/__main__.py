"""Owns the command line of the comparison; `python -m tests.bench --help` says all."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.bench import compare, make_mmdb, measure, peers, processes, queries, report
from tests.bench.load import NotMeasured, Programs, compile_programs

_WIDEST = 160  # columns, where the output is no terminal


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure geodns and its peers at the same job on this machine, in turn, round after round.",
        epilog="Debian packages: gcc dnsperf gdnsd pdns-server pdns-backend-geoip nsd knot bind9. What is missing is said.",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one load (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server has its turn (default 3)")
    parser.add_argument("--loads", type=_words, default=list(queries.LOADS), help="of: " + ",".join(queries.LOADS))
    parser.add_argument("--servers", type=_words, default=list(peers.PEERS), help="of: " + ",".join(peers.PEERS))
    parser.add_argument("--window", type=int, default=256, help="queries in flight at full load (default 256)")
    parser.add_argument("--workers", type=_numbers, default=[1], help="numbers of workers to measure, for example 1,2")
    parser.add_argument("--database", type=Path, help="country database, mmdb (default: a synthetic one)")
    parser.add_argument("--half-load-latency", action="store_true", help="latency at half of each server's throughput, too")
    parser.add_argument("--floods", action="store_true", help="good queries beside floods of bad ones, too")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--plot", type=Path, help="draw the result as SVG into this file")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in _words(text)]
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError("numbers of workers are 1 or more")
    return numbers


def main() -> None:
    """Measure and report."""
    parser = arguments()
    asked = parser.parse_args()
    unknown = [load for load in asked.loads if load not in queries.LOADS]
    if unknown:
        parser.error(f"no such load: {', '.join(unknown)}; there are {', '.join(queries.LOADS)}")
    if asked.plot and asked.plot.suffix != ".svg":
        parser.error("--plot draws SVG: name a file that ends in .svg")
    try:
        subjects = compare.subjects(asked.servers, asked.workers)
    except ValueError as error:
        parser.error(str(error))
    found = compare.Results(subjects, asked.loads)
    about = {"machine": compare.machine(), "options": {key: str(value) for key, value in vars(asked).items()}}
    with TemporaryDirectory(prefix="geodns-bench-") as directory:
        try:
            _measure(asked, found, Path(directory))
        except NotMeasured as reason:
            sys.exit(f"nothing is measured: {reason}")
    _report(asked, found, about)


def _measure(asked: argparse.Namespace, found: compare.Results, directory: Path) -> None:
    programs = compile_programs(directory)
    files = {name: queries.write(directory / name, queries.LOADS[name]) for name in found.loads}
    database = asked.database or synthetic(directory / "country.mmdb")
    options = measure.Options(asked.seconds, database, asked.half_load_latency, asked.window)
    compare.rounds(found, programs, files, options, asked.rounds, _say)
    if asked.floods:
        _floods(found, programs, directory, options)


def synthetic(path: Path) -> Path:
    """A country database as large as a small public one; gives the path back."""
    make_mmdb.make(path, networks=300_000, records=250, kind="country")
    return path


def _floods(found: compare.Results, programs: Programs, directory: Path, options: measure.Options) -> None:
    files = {}
    for name, recipe in queries.FLOODS.items():
        files[name] = queries.write(directory / name.replace(" ", "-"), recipe, count=200_000, seed=2)
    good = queries.write(directory / "good", queries.ecs, seed=3)
    subject = measure.Subject(peers.PEERS["geodns"], 1)
    try:
        for flood in measure.floods(subject, programs, files, good, options, list(files)):
            _say(f"beside a flood: {flood.name}")
            found.floods.append(flood)
    except NotMeasured as reason:
        found.not_measured["floods"] = str(reason)


def _report(asked: argparse.Namespace, found: compare.Results, about: dict[str, object]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_WIDEST)
    if processes.cores(1).is_shared:
        console.print("this machine has one core: server and load take time from each other; compare CPU time only")
    report.show(found, console)
    if max(asked.workers) > 1 and processes.cores(max(asked.workers)).is_shared:
        console.print("with as many workers as cores, the load shares their cores: compare within such rows only")
    if asked.json:
        asked.json.write_text(json.dumps(compare.as_json(found, about), indent=1) + "\n")
    if asked.plot:
        asked.plot.write_text(report.svg(found))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""Owns the command line of the lab; `python -m tests.lab --help` says all."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

import geodns
from tests.lab import cage, experiment, picture, report
from tests.lab.daemons import NotReached, Pace
from tests.lab.events import EVENTS, SHORT
from tests.lab.measure import Outcome
from tests.lab.world import ROOT, World

_WIDEST = 160  # columns, where the output is no terminal
QUICK = Pace(ttl=2, ttl_degraded=1, check_interval=0.5)


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description="Let things happen to one instance of an anycast service, and count what clients notice; GeoDNS beside it.",
        epilog="Needs root and the Debian packages bird2, unbound and iproute2. Nothing is left behind, however it ends.",
    )
    parser.add_argument("--events", type=_words, help="of: " + ",".join(EVENTS))
    parser.add_argument("--short", action="store_true", help=f"only {','.join(SHORT)}, with shorter TTLs and intervals")
    parser.add_argument("--rounds", type=int, default=1, help="how often each event happens (default 1); the worst is told")
    parser.add_argument("--interval", type=float, help="seconds between two probes of a stream (default 0.01, short 0.025)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--plot", type=Path, help="draw the result as SVG into this file")
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown, too")
    parser.add_argument("--read", type=Path, help="measure nothing: show what an earlier --json has written")
    parser.add_argument("--map", type=Path, help="measure nothing: draw the lab's map as SVG into this file")
    parser.add_argument("--keep", action="store_true", help="leave the lab running afterwards, until Ctrl-C")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def main() -> None:
    """Measure, or read, and report."""
    parser = arguments()
    asked = parser.parse_args()
    names = asked.events or (SHORT if asked.short else tuple(EVENTS))
    if unknown := [name for name in names if name not in EVENTS]:
        parser.error(f"no such event: {', '.join(unknown)}; there are {', '.join(EVENTS)}")
    if any(file and file.suffix != ".svg" for file in (asked.plot, asked.map)):
        parser.error("--plot and --map draw SVG: name a file that ends in .svg")
    if asked.map:
        asked.map.write_text(picture.svg(), "utf-8")
        return
    if asked.read:
        _report(asked, json.loads(asked.read.read_text()))
        return
    if reason := cage.why_not():
        sys.exit(f"nothing is measured: {reason}")
    pace, interval = (QUICK, 0.025) if asked.short else (Pace(), 0.01)
    with suppress(KeyboardInterrupt), cage.run(lambda: _inside([*names] * asked.rounds, pace, asked.interval or interval)) as lab:
        _report(asked, json.loads(lab.result))
        if asked.keep:
            _say(f"kept until Ctrl-C; logs are in {ROOT}: nsenter -t {lab.pid} --mount --pid ip netns exec nyc COMMAND")
            signal.pause()


def _inside(names: list[str], pace: Pace, interval: float) -> bytes:
    """What the lab's first process does. An event that cannot be measured is the last, and those before it are told."""
    world, results, fault = World(pace), [], ""
    try:
        world.start()
        for name in names:
            _say(f"{name}: {EVENTS[name].about}")
            results.append(experiment.run(world, EVENTS[name], interval))
    except NotReached as reason:
        fault = str(reason)
        _say(world.last_words())
    about = {"geodns": geodns.__version__, "kernel": platform.release(), "cores": os.cpu_count(), "pace": repr(pace)}
    return json.dumps({"about": about, "fault": fault, "events": [result.as_json() for result in results]}).encode()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(asked: argparse.Namespace, found: dict[str, Any]) -> None:
    results = [
        experiment.Result(**{**event, "outcomes": tuple(Outcome(**outcome) for outcome in event["outcomes"])})
        for event in found["events"]
    ]
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDEST)
    report.show(results, console)
    if asked.markdown:
        print(report.markdown(results), end="")
    if asked.json and not asked.read:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    if asked.plot:
        asked.plot.write_text(report.svg(results), "utf-8")
    if found["fault"]:
        sys.exit(f"not all is measured: {found['fault']}")


if __name__ == "__main__":
    main()

"""Owns the verbs that speak with the running daemon: `status`, `reload`, `drain`, `undrain`."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from geodns.cli.output import PROBLEMS_FOUND, ConfigOption, JsonOption, config_path, refuse, say, say_json, show_problems
from geodns.ops import config as configuration
from geodns.ops.control import Control, ControlError, Unreachable, read_token
from geodns.problem import Problem, ProblemsFound, Severity, errors

ReasonOption = Annotated[str, typer.Option(help="Why; the daemon logs it.")]

_WATCHED_EVERY = 1.0  # s
_LOOK = 0.5  # s between looks at how far a drain is
_REFUSED_FOR = 5  # errors of a refused reload that a status shows
_SILENT = 4  # looks in a row after which the daemon has stopped


@contextlib.contextmanager
def running(config: Path | None) -> Iterator[Control]:
    """The daemon of a configuration; whatever hinders is shown with its remedy, and ends with exit code 1."""
    try:
        loaded = configuration.load(config_path(config))
        token = read_token(loaded.path(loaded.admin.token_file)) if loaded.admin.token_file else ""
    except ProblemsFound as found:
        refuse(found.problems)
    try:
        with Control(loaded.admin.listen, token) as control:
            yield control
    except ControlError as error:
        _fail(error)


def _fail(error: ControlError) -> NoReturn:
    show_problems([Problem("", 0, str(error), error.remedy)])
    raise typer.Exit(PROBLEMS_FOUND)


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how the running daemon is: ready or not and why, what it serves, its pools, its last reload."""
    with running(config) as control:
        if watch:
            _watch(control, as_json=as_json)
        elif as_json:
            say_json(control.status())
        else:
            say("\n".join(_lines(control.status())))


def _watch(control: Control, *, as_json: bool) -> None:
    """Draw over the last one on a terminal; else one document or block after the other. A daemon that is gone may come back."""
    console = Console()
    live = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal and not as_json else None
    with contextlib.suppress(KeyboardInterrupt), live or contextlib.nullcontext():
        while True:
            text = _told(control, as_json=as_json)
            if live:
                live.update(Text(text), refresh=True)
            else:
                say(text)
                sys.stdout.flush()
            time.sleep(_WATCHED_EVERY)


def _told(control: Control, *, as_json: bool) -> str:
    try:
        told = control.status()
    except ControlError as error:
        return json.dumps({"error": str(error), "remedy": error.remedy}) if as_json else f"{error} ({error.remedy})"
    return json.dumps(told) if as_json else "\n".join(_lines(told))


def _lines(told: dict[str, Any]) -> list[str]:
    """A status for humans."""
    rows = [
        ("geodns", f"{told['version']}, process {told['pid']}, up for {lasted(told['uptime'])}"),
        ("state", _state(told)),
        ("serving", f"generation {told['generation']}, loaded {moment(told['loaded_at'])}, zones {told['zones']}"),
        ("reload", _last_reload(told["last_reload"])),
        *(("", why) for why in _refused_for(told["last_reload"])),
        ("listening", ", ".join(told["listening"]) or "nowhere"),
        ("workers", ", ".join(f"{worker['slot']}: process {worker['pid']}" for worker in told["workers"]) or "none"),
        ("rates", ", ".join(f"{name} {rate:,.1f}/s" for name, rate in told["rates"].items()) or "none"),
        ("pools", ", ".join(f"{name} {state}" for name, state in told["pools"].items()) or "none"),
        ("overrides", str(told["overrides"])),
        ("catchment", _catchment(told["catchment"])),
        *([("announce", announced(told["announce"]))] if told.get("announce") else []),
    ]
    if told.get("identity"):
        rows.insert(1, ("identity", told["identity"]))
    if told.get("cookie_secrets"):
        made, *others = told["cookie_secrets"]
        rows.append(("cookies", f"made with secret {made}" + (f"; accepted too: {', '.join(others)}" if others else "")))
    return [f"{label:<11}{value}" for label, value in rows]


def announced(told: dict[str, Any]) -> str:
    """What is announced, in one line."""
    if told["gate"] is None or not told["gate"]["alive"]:
        return "NO GATE is at work: start `geodns announce run`"
    parts = [
        f"{each['prefix']} {each['announced']}"
        + (f" ({each['wanted']} is wanted)" if each["wanted"] != each["announced"] else "")
        for each in told["gate"]["prefixes"]
    ]
    peers = told["gate"]["router"].get("peers")
    alone = bool(peers) and not peers["established"] and peers["down"]
    remarks = [told["departure"] or "", f"to NOBODY: none of {peers['down']} BGP peers is established" if alone else ""]
    return "; ".join([", ".join(parts), *filter(None, remarks)])


def _state(told: dict[str, Any]) -> str:
    state = "ready" if not told["ready"] else f"NOT READY: {'; '.join(told['ready'])}"
    return f"{state}, drained" if told["draining"] else state


def _catchment(told: dict[str, Any]) -> str:
    return f"networks {told['networks']}" if told["measured"] else f"not measured: {told['why_not']}"


def _last_reload(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none since the start"
    outcome = "accepted" if last["accepted"] else "REFUSED"
    return f"{outcome} {moment(last['at'])}, took {last['seconds']:.2f} s"


def _refused_for(last: dict[str, Any] | None) -> list[str]:
    """What a reload was refused for: the first errors, and how many more there are."""
    found = [] if last is None or last["accepted"] else errors(map(_problem, last["problems"]))
    more = len(found) - _REFUSED_FOR
    return [*map(str, found[:_REFUSED_FOR]), *([f"and {more} more: the log has all of them"] if more > 0 else [])]


def moment(unix: float) -> str:
    """A point in time for humans, in UTC; "never" for none."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if unix else "never"


def lasted(seconds: float) -> str:
    """A length of time for humans, in its two largest units."""
    parts: list[str] = []
    left = int(seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def reload(
    force: Annotated[bool, typer.Option("--force", help="Accept also what takes a large part of a zone away.")] = False,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reload configuration, zones and databases, wait for it, and print every problem; exit code 1 if it was refused."""
    with running(config) as control:
        told = control.reload(force=force, reason=reason)
    problems = [_problem(each) for each in told["problems"]]
    if as_json:
        say_json(told)
    else:
        show_problems(problems, to_stderr=not told["accepted"])
        for line in (told.get("plan") or {}).get("lines", ()):
            say(line)
        if told["accepted"]:
            say(f"reloaded: generation {told['generation']}")
        else:
            Console(stderr=True, soft_wrap=True, highlight=False).print(
                f"refused: generation {told['generation']} is still served", style="bold red"
            )
    if not told["accepted"]:
        raise typer.Exit(PROBLEMS_FOUND)


def _problem(told: dict[str, Any]) -> Problem:
    return Problem(told["file"], told["line"], told["message"], told["remedy"], Severity(told["severity"]))


def drain(
    reason: ReasonOption = "",
    stay: Annotated[
        bool, typer.Option("--stay", help="Where prefixes are announced: do not stop the daemon in the end.")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="Where prefixes are announced: do it though no sibling answers.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take this instance out of service: it goes on answering, and says that it is not ready.

    Where prefixes are announced, routes go first, then clients, and then it stops.
    """
    with running(config) as control:
        announced = bool(control.status().get("announce"))
        told = control.drain(reason, stop=announced and not stay, last=last)
        if announced:
            try:
                told |= _departed(control, quiet=as_json)
            except KeyboardInterrupt:
                what = "the drain goes on" if stay else "the drain goes on, and the daemon stops in the end"
                say(f"{what}; `geodns undrain` ends it")
                raise typer.Exit(130) from None
    text = "drained: it answers, but says that it is not ready; `geodns undrain` ends it"
    _say_done("stopped" if told.get("stopped") else text, told, as_json=as_json)


def _departed(control: Control, *, quiet: bool) -> dict[str, Any]:
    """Wait until routes and clients are gone, and the daemon, too, unless it is to stay; tell each step once."""
    said, silent = "draining", 0  # told even where the next step has begun before anybody looks
    if not quiet:
        say(said)
        sys.stdout.flush()
    while silent < _SILENT:  # a keeper that is being replaced is back sooner
        try:
            told = control.status()["announce"]
        except Unreachable:
            silent += 1
            time.sleep(_LOOK)
            continue
        silent = 0
        sentence = str(told["departure"] or said)
        if not quiet and _gist(sentence) != _gist(said):
            say(sentence)
            sys.stdout.flush()
        said = sentence
        if told["stuck"]:
            refuse([Problem("", 0, said, "start the gate, or say `geodns announce withdraw`; `geodns undrain` ends the drain")])
        if told["departed"] and not told["stopping"]:
            return {"departure": said, "stopped": False}
        time.sleep(_LOOK)
    return {"departure": said, "stopped": True}


def _gist(sentence: str) -> str:
    """A step without its numbers, which change all the time."""
    return re.sub(r"[0-9][0-9.,]*", "", sentence.partition(";")[0])


def undrain(reason: ReasonOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Put this instance into service again."""
    with running(config) as control:
        told = control.undrain(reason)
        announced = bool(control.status().get("announce"))
    text = "in service again" + ("; it is announced once it has answered right for a while" if announced else "")
    _say_done(text, told, as_json=as_json)


def _say_done(text: str, told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(told)
    else:
        say(text)

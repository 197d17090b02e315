"""Owns the verbs of the announce gate: `run`, `status`, `withdraw`; refuses to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geodns.cli.control import lasted, moment
from geodns.cli.output import PROBLEMS_FOUND, ConfigOption, JsonOption, config_path, refuse, say, say_json
from geodns.daemon import run_gate
from geodns.daemon import withdraw as withdraw_all
from geodns.ops import announce, logs
from geodns.ops import config as configuration
from geodns.problem import Problem, ProblemsFound

app = typer.Typer(name="announce", help="Announce anycast prefixes while the service answers right.", no_args_is_help=True)

ConfigArgument = Annotated[Path | None, typer.Argument(metavar="CONFIG", help="Configuration file.", readable=False)]


@app.command()
def run(config: ConfigArgument = None, named: ConfigOption = None) -> None:
    """Be the gate until SIGTERM: announce the prefixes of the configuration while this machine's daemon answers right."""
    logs.configure("auto", "info")
    try:
        run_gate(config_path(named, config))
    except ProblemsFound as found:
        refuse(found.problems, "nothing is announced")


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell what is announced, since when and why, and what each check says; exit code 1 if no gate is at work."""
    path = config_path(config)
    try:
        loaded = configuration.load(path)
        told = announce.status(loaded.path(loaded.server.state))
    except ProblemsFound as found:
        refuse(found.problems)
    except OSError as error:
        refuse([Problem(str(error.filename or ""), 0, f"cannot be read: {error.strerror}", "be root, or the daemon's user")])
    except ValueError as error:
        refuse([Problem(loaded.server.state, 0, f"the gate's status makes no sense: {error}", "restart the gate")])
    if as_json:
        say_json(told)
    else:
        say("\n".join(lines(told)))
    if told is None or not told["alive"]:
        raise typer.Exit(PROBLEMS_FOUND)


def lines(told: dict[str, Any] | None) -> list[str]:
    """A gate's status for humans."""
    if told is None:
        return ["gate       none has been at work since this machine started"]
    age = f"looked {told['age']:.1f} s ago" if told["alive"] else f"NOT AT WORK, for {lasted(told['age'])}"
    found = [f"gate       process {told['pid']}, {told['method']}, {age}"]
    lease = told["lease"]
    found.append(f"lease      {lease['fault'] or 'held by process ' + str(lease['pid'])}")
    for each in told["prefixes"]:
        wanted = f", {each['wanted']} is wanted" if each["wanted"] != each["announced"] else ""
        found.append(f"prefix     {each['prefix']} {each['announced']}{wanted}, since {moment(each['since'])}")
        found.append(f"           {each['why']}")
        if each["flaps"] >= 0.1:
            found.append(f"           {each['flaps']:.1f} flaps remembered, held down for {each['hold_down']:.0f} s more")
    found += [f"check      {each['target']}: {'; '.join(each['faults']) or 'right'}" for each in told["checks"]]
    found += [f"sibling    {each['address']}: {each['fault'] or 'answers'}" for each in told["siblings"]]
    router = told["router"]
    state = router["trouble"] or ("has confirmed all" if router["settled"] else "is being told")
    found.append(f"router     {state}; {router['failures']} failures, {router['drifts']} times changed by others")
    if peers := router.get("peers"):
        found.append(f"peers      {_peers(peers)}")
    return found


def _peers(told: dict[str, Any]) -> str:
    """The router's BGP peers in one line."""
    established, down = told["established"], told["down"]
    if not established + down:
        return "none of BGP"
    text = f"{established or 'NONE'} of {established + down} established"
    if down:
        text += f"; not {', '.join(told['first_down'])}" + (" and others" if down > len(told["first_down"]) else "")
    return text if established else f"{text}: what is announced reaches nobody by BGP"


@app.command()
def withdraw(
    after_stop: Annotated[
        bool, typer.Option("--after-stop", help="For systemd: not after a crash, if a successor can take over soon enough.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Withdraw every prefix now, for emergencies and for after the gate's end; a gate that is at work announces them again."""
    try:
        done = withdraw_all(config_path(config), after_stop=after_stop)
    except ProblemsFound as found:
        refuse(found.problems)
    if as_json:
        say_json({"done": done})
    else:
        say(done)

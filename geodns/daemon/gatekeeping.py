"""Owns the gate's process: puts router, rules and lease together out of a configuration; refuses to serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from geodns.daemon.announcing import TRIES, soft
from geodns.daemon.ways import gate_needs, is_same_way, remember, remembered, router, withdrawn
from geodns.ops import announce, logs, notify
from geodns.ops import config as configuration
from geodns.ops.config import Config
from geodns.problem import Problem, ProblemsFound

log = logging.getLogger("geodns.announce")


def gate_plan(config: Config, gone: tuple[str, ...] = ()) -> announce.Plan:
    """What the gate looks after; `gone` is what the one before did, by the same way."""
    told = config.announce
    rules = announce.Rules(
        told.rise, told.fall, told.hold_down, told.hold_down_max, told.flap_half_life, told.adopt, soft(config)
    )
    return announce.Plan(
        config.path(config.server.state),
        told.method,
        told.prefixes,
        configuration.service_addresses(config),
        told.require_pools,
        told.siblings,
        told.interval,
        min(told.timeout, told.interval),
        told.lease_max_age,
        rules,
        gone,
    )


def load_gate(path: Path) -> Config:
    """The configuration of a gate; raises ProblemsFound, also where there is nothing to announce."""
    config = configuration.load(path)
    if not config.announce.is_on:
        message = "announce.method: is missing, so there is nothing to announce"
        raise ProblemsFound([Problem(str(path), 0, message, 'set it to "exabgp", "bird", "frr" or "exec"')])
    return config


def run_gate(path: Path) -> None:
    """Be the gate of a configuration until SIGTERM, then withdraw; SIGHUP begins anew with the configuration as it is then.

    Raises ProblemsFound.
    """
    config = load_gate(path)
    problems = logs.configure(config.log.format, config.log.level, config.server.identity)
    _refuse_without_exabgp(config, path)
    for problem in (*problems, *gate_needs(config, path)):
        log.warning("%s", problem)
    if asyncio.run(_run(path, config)):
        os.execv(sys.executable, [sys.executable, "-m", "geodns", *sys.argv[1:]])  # noqa: S606 (ourselves, with our own arguments)


def _refuse_without_exabgp(config: Config, path: Path) -> None:
    """Raises ProblemsFound for a gate that ExaBGP should run, and somebody else does: it would speak to nobody."""
    if config.announce.method != "exabgp":
        return
    with contextlib.suppress(OSError):
        modes = [os.fstat(descriptor).st_mode for descriptor in (0, 1)]
        if all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes):
            return
    message = "announce.method: ExaBGP does not run this gate: standard input and output are no pipes"
    raise ProblemsFound([Problem(str(path), 0, message, "name it in ExaBGP's configuration, as docs/announce.md shows")])


def _made(config: Config, ended: Callable[[], None], notifier: notify.Notifier) -> tuple[announce.Gate, Config | None]:
    """The gate, and the way of the last one if that was another: what it announced there must be withdrawn there.

    By the same way that is the new gate's to do, of prefixes that the configuration no longer has.
    """
    told, last = config.announce, remembered(config.path(config.server.state))
    before = last if last and is_same_way(last, config) else None
    gone = tuple(prefix for prefix in before.announce.prefixes if prefix not in told.prefixes) if before else ()
    if gone:
        log.info("%s: the configuration has it no more, so it is withdrawn", ", ".join(gone))
    way = router(config, ended, before)
    reconciler = announce.Reconciler(way, timeout=told.router_timeout, verify_interval=told.verify_interval)
    gate = announce.Gate(gate_plan(config, gone), reconciler, tell=notifier.status, live=notifier.watchdog)
    return gate, None if before else last


async def _run(path: Path, config: Config) -> bool:
    """Whether the gate is to begin anew."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    anew = False

    def renew() -> None:
        nonlocal anew
        if _may_begin_anew(path, config):
            anew = True
            ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, renew)
    told, notifier = config.announce, notify.Notifier()
    gate, other = _made(config, ended.set, notifier)
    gate.open()
    if other and (fault := await withdrawn(other)):
        log.error("what the last gate announced by %s may still be: %s", other.announce.method, fault)
    remember(config)
    telling = asyncio.create_task(gate.reconciler.run())
    telling.add_done_callback(lambda _: ended.set())  # it ends by a fault only, and a gate that tells nobody is none
    try:
        await gate.adopt()
        log.info("the gate is at work: %s by %s, %s", ", ".join(told.prefixes), told.method, config.path(config.server.state))
        notifier.ready("at work")
        await gate.run(ended)
        if anew:  # a second SIGHUP finds nobody until the next gate listens, and must not end it
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        else:
            notifier.stopping()
            await gate.leave(TRIES * told.router_timeout)
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        gate.close()
    return anew


def _may_begin_anew(path: Path, config: Config) -> bool:
    """Whether the configuration, as it is now, can be taken over; what is wrong with it is logged."""
    try:
        _refuse_another_task(config, load_gate(path))
    except ProblemsFound as found:
        for problem in found.problems:
            log.error("%s", problem)
        log.error("the gate goes on with the configuration that it has")
        return False
    return True


def _refuse_another_task(before: Config, after: Config) -> None:
    """Raises ProblemsFound where a reload would leave something announced that nobody looks after any more."""
    told, wanted = before.announce, after.announce
    gone = [prefix for prefix in told.prefixes if prefix not in wanted.prefixes]
    changed = [name for name in ("method", "bird", "frr", "exabgp", "exec") if getattr(told, name) != getattr(wanted, name)]
    if before.path(before.server.state) != after.path(after.server.state):
        changed.append("server.state")
    remedy = "restart the gate instead: it withdraws, and begins with the new configuration"
    problems = [Problem("", 0, f"announce.prefixes: {prefix} is gone, and may be announced", remedy) for prefix in gone]
    problems += [Problem("", 0, f"{name} has changed, and the old way may still announce", remedy) for name in changed]
    if problems:
        raise ProblemsFound(problems)

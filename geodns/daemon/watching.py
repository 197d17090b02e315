"""Owns which files a running server depends on; refuses to watch them, and to load them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from geodns.ops.config import Config
from geodns.ops.watch import Watcher
from geodns.zone.includes import includes


def watched_files(path: Path, config: Config) -> tuple[Path, ...]:
    """Every file that a reload would read: configuration, zones and includes, databases, lists, token, secrets, authorities.

    In order and each once. They need not exist: one that is missing now may be what a refused reload waits for. What checks
    read by themselves, as the file of an external check, is not among them.
    """
    named = [path]
    for each in config.zones:
        zone_file = config.path(each.file)
        named += [zone_file, *includes(zone_file)]
    named += map(config.path, (*config.geo.databases, *config.geo.anycast, *config.geo.egress))
    named += (config.path(pool.check.ca_file) for pool in config.pools.values() if pool.check.ca_file)
    named += (config.path(text) for text in (config.admin.token_file, config.server.cookie_secrets) if text)
    return tuple(dict.fromkeys(named))


def written_since(files: Iterable[Path], began: float, now: float) -> tuple[Path, ...]:
    """Which files were written after they were read, between two moments of Unix time.

    One of the future is not among them: it was written before somebody put the clock back, and would be news after each reload.
    """
    watcher = Watcher(files)
    ahead = watcher.since(now)
    return tuple(path for path in watcher.since(began) if path not in ahead)

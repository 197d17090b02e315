"""Owns progress bars; they appear on a terminal only, and only when the work takes long enough to be worth one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from geodns import daemon

_REDRAWN_EVERY = 0.1  # s


@contextlib.contextmanager
def watched() -> Iterator[daemon.Progress]:
    """A bar for each stage of a load."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
    # Without the thread that would draw it by itself: only a process of one thread can be forked, to load on all cores.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        tasks: dict[str, TaskID] = {}
        drawn = 0.0

        def show(what: str, done: int, total: int) -> None:
            nonlocal drawn
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)
            if done == total or monotonic() - drawn > _REDRAWN_EVERY:
                progress.refresh()
                drawn = monotonic()

        yield show


@contextlib.contextmanager
def downloading(what: str) -> Iterator[tuple[Progress, TaskID]]:
    """A bar for octets; its total may become known later."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        yield progress, progress.add_task(what, total=None)

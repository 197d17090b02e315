"""Owns the spreading of zone files over cores: the same zones and problems come out; refuses to know what is in them."""

from __future__ import annotations

import copyreg
import gc
import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from multiprocessing.connection import Connection, wait
from operator import attrgetter, itemgetter
from pathlib import Path

from geodns import zone
from geodns.problem import Problem
from geodns.wire import Name, RRset

WORTH_SPREADING = 512 * 1024
"""Octets of all zone files, some 20,000 records, from which on to start processes costs less than it gains."""

_GATHERED = 32 * 1024  # octets of zone files whose results go over at once: a pickle of one small zone is mostly names of classes

_HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM})

Parsed = tuple[zone.ZoneContents | None, list[Problem]]
"""What `zone.load` returns."""

Faults = tuple[zone.Fault, zone.Fault] | tuple[zone.Fault, zone.Fault, zone.Doubts]
"""Judges of a selector and of a pool's name: a sentence with a remedy, or None; and what to warn of."""

Source = tuple[Path, Name]
"""A zone file and its origin."""

# Measured, a zone of 100,000 records: read, checked and built in 3.2 s, pickled so in 0.43 s and unpickled in 0.23 s; pickled as
# dataclasses with slots pickle themselves, field by field in Python, 1.6 and 1.3 s, which would eat the gain.
_BY_FIELDS = (RRset, zone.Node, zone.Variant, zone.PoolReference, zone.Record, zone.ZoneContents, Problem)


def load_zones(sources: Sequence[Source], faults: Faults, progress: Callable[[int], None]) -> list[Parsed]:
    """Load zone files, in their order; with many octets in many files and more than one core, in processes of their own.

    `faults` judge selectors and names of pools as in `zone.load`; `progress` is told how many files are done. Only a process
    without other threads is forked, so elsewhere the files are loaded one after the other.
    """
    sizes = [_size(path) for path, _ in sources]
    processes = min(_cores(), len(sources)) if sum(sizes) >= WORTH_SPREADING and threading.active_count() == 1 else 1
    parsed: dict[int, Parsed] = {}
    if processes > 1:
        with _pausing_collection(), closing(_spread(sources, faults, shares(sizes, processes))) as results:
            for index, result in results:
                parsed[index] = result
                progress(len(parsed))
    for index, (path, origin) in enumerate(sources):
        if index not in parsed:  # all of them; or what a process that was killed has left
            parsed[index] = _load(path, origin, faults)
            progress(len(parsed))
    return [parsed[index] for index in range(len(sources))]


def shares(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Deal indexes out so that each share has about as many octets: the largest first, each to the share that has least."""
    dealt: list[tuple[int, list[int]]] = [(0, []) for _ in range(count)]
    for index in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        least = min(range(count), key=lambda number: dealt[number][0])
        octets, indexes = dealt[least]
        indexes.append(index)
        dealt[least] = octets + max(1, sizes[index]), indexes
    return list(map(itemgetter(1), dealt))


def _load(path: Path, origin: Name, faults: Faults) -> Parsed:
    return zone.load(path, origin, *faults)


def _spread(sources: Sequence[Source], faults: Faults, dealt: list[list[int]]) -> Generator[tuple[int, Parsed], None, None]:
    """Results as they come; fewer than were asked for if a process ends early."""
    context = multiprocessing.get_context("fork")
    readers: list[Connection] = []
    children = []
    try:
        for share in dealt:
            with _without_signals():
                reader, writer = context.Pipe(duplex=False)
                child = context.Process(target=_serve_share, args=([(index, *sources[index]) for index in share], faults, writer))
                child.start()
                children.append(child)
                writer.close()  # or its end would never be seen
                readers.append(reader)
        while readers:
            ready = set(wait(readers))
            for reader in [each for each in readers if each in ready]:
                try:
                    octets = reader.recv_bytes()
                except (EOFError, OSError):
                    readers.remove(reader)
                    reader.close()
                else:
                    yield from pickle.loads(octets)  # noqa: S301 (from a process of ours)
    finally:
        for reader in readers:
            reader.close()
        for child in children:
            child.terminate()
            child.join()


@contextmanager
def _without_signals() -> Iterator[None]:
    """Put signals off while children are made, for their handlers may make others.

    A worker that was forked here would hold the pipe's other end for as long as it lives; a child that was not told yet to
    forget the handlers would act as its parent.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve_share(share: list[tuple[int, Path, Name]], faults: Faults, writer: Connection) -> None:
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)  # what the parent does at a signal is not this process's business
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    gc.disable()  # it lives for seconds, and makes no garbage in circles
    gathered: list[tuple[int, Parsed]] = []
    size = 0
    for index, path, origin in share:
        gathered.append((index, _load(path, origin, faults)))
        size += _size(path)
        if size > _GATHERED:
            _send(gathered, writer)
            gathered, size = [], 0
    _send(gathered, writer)


def _send(results: list[tuple[int, Parsed]], writer: Connection) -> None:
    octets = io.BytesIO()
    _Pickler(octets, pickle.HIGHEST_PROTOCOL).dump(results)
    writer.send_bytes(octets.getbuffer())


class _Pickler(pickle.Pickler):
    dispatch_table = copyreg.dispatch_table.copy()


def _reducer(made: type) -> Callable[[object], tuple[type, tuple[object, ...]]]:
    values = attrgetter(*(field.name for field in fields(made)))
    return lambda instance: (made, values(instance))


_Pickler.dispatch_table |= {made: _reducer(made) for made in _BY_FIELDS}


@contextmanager
def _pausing_collection() -> Iterator[None]:
    """Keep the collector from looking at growing data again and again, which would take longer than to make it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _size(path: Path) -> int:
    """Octets of a file; 0 for one that `zone.load` will complain of."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1

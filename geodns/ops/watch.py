"""Owns the watching of files: tells that they have changed and come to rest; refuses to know what is in them and what for."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterable, Mapping
from os import stat_result
from pathlib import Path

from geodns.geo.anycast import matched

EVERY = 1.0
"""Seconds from look to look. Looking works on every file system, network and container mounts too; kernel events do not."""

SETTLE = 1.0
"""Seconds for which nothing must have changed before a change counts: so files that are being written are left alone."""

_PATIENCE = 10  # settle times for which a file that is gone is awaited: whoever replaces files may remove them first

Sign = tuple[tuple[str, int, int, int], ...]
"""Name, size, time of change in nanoseconds, and inode of what is at a path; of all files in it too if it is a directory.

Nothing there is the empty tuple.
"""

Signs = Mapping[Path, Sign]
"""What is at each of several paths, seen from outside."""


def signs(paths: Iterable[Path]) -> Signs:
    """How files look now. A directory stands for the files in it, but not for hidden ones and what editors keep aside; a path
    with `*` in it for the files that it names.

    Symbolic links are followed: a link that is put elsewhere is a change. Raises nothing: what cannot be looked at is not there.
    """
    return {path: _sign(path) for path in paths}


def _sign(path: Path) -> Sign:
    if "*" in str(path):
        looked = ((str(each), _look(each)) for each in _named(path))
        return tuple((name, each.st_size, each.st_mtime_ns, each.st_ino) for name, each in looked if each)
    found = _look(path)
    if found is None:
        return ()
    if not stat.S_ISDIR(found.st_mode):
        return (("", found.st_size, found.st_mtime_ns, found.st_ino),)
    try:
        names = sorted(each.name for each in path.iterdir())
    except OSError:
        names = []
    looked = ((name, _look(path / name)) for name in names if not name.startswith((".", "#")) and not name.endswith("~"))
    files = ((name, each.st_size, each.st_mtime_ns, each.st_ino) for name, each in looked if each and stat.S_ISREG(each.st_mode))
    return (("", 0, 0, found.st_ino), *files)


def _named(path: Path) -> list[Path]:
    """The files that a path stands for: itself, unless there is a `*` in it."""
    try:
        return matched(path) if "*" in str(path) else [path]
    except OSError:
        return []


def _look(path: Path) -> stat_result | None:
    """What the system says of a path; None where nothing is, or nothing that may be looked at."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


class Watcher:
    """Watches files by looking at them once a second.

    `known` is how they looked when they were read, as far as that is known: what has changed since then is a change. `settle` and
    `every` are in seconds.
    """

    def __init__(self, paths: Iterable[Path], settle: float = SETTLE, known: Signs | None = None, every: float = EVERY) -> None:
        self._settle = settle
        self._every = every
        self._known: Signs = known or {}
        self.watch(paths)

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch these files from now on, instead of those before; what is known of those that stay, stays known."""
        self._known = {path: self._known[path] if path in self._known else _sign(path) for path in paths}

    def since(self, moment: float) -> tuple[Path, ...]:
        """Which files were written, renamed or replaced after this Unix time; for who has read them before watching them."""
        looked = ((path, _look(each)) for path in self._known for each in _named(path))
        return tuple(sorted({path for path, found in looked if found and found.st_ctime > moment}))

    async def changed(self) -> tuple[Path, ...]:
        """Wait until files have changed and rest, and tell which of the paths; may be called again and again.

        No change is lost between two calls, nor by cancelling one. A file that is gone counts only when it stays away.
        """
        loop = asyncio.get_running_loop()
        last: Signs = {}
        since = loop.time()
        while True:
            now = await asyncio.to_thread(signs, tuple(self._known))  # a file system on the network may keep us waiting
            if now != last:
                last, since = now, loop.time()
            elif now.keys() == self._known.keys():
                different = tuple(sorted(path for path, sign in now.items() if sign != self._known[path]))
                patience = self._settle * (_PATIENCE if any(not now[path] for path in different) else 1)
                if different and loop.time() - since >= patience:
                    self._known = now
                    return different
            await asyncio.sleep(self._every)

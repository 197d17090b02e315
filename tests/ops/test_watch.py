"""Watched files: what editors, installers and links do to them is told once, and only when it has come to rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from geodns.ops.watch import Watcher, signs

SETTLE, EVERY = 0.08, 0.01
DEADLINE = 10


def rewrite(path: Path) -> None:
    """Write into the same file."""
    path.write_text("another text")


def rename(path: Path) -> None:
    """As vim and most editors do: write beside it, put it in its place."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text("another text")
    beside.replace(path)


def remove_and_write(path: Path) -> None:
    """As some installers do: for a moment there is no file."""
    path.unlink()
    path.write_text("another text")


def same_size_later(path: Path) -> None:
    """Only the time differs."""
    path.touch()
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def same_size_and_time(path: Path) -> None:
    """Only the file itself differs, as where a copy keeps times."""
    before, text = path.stat(), path.read_text()
    beside = path.with_name("beside")
    beside.write_text(text[::-1])
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(path)


def link_elsewhere(path: Path) -> None:
    """As container platforms publish files: a link is put on another directory."""
    beside = path.with_name("elsewhere")
    beside.write_text("x")
    path.unlink()
    path.symlink_to(beside)


@pytest.mark.parametrize(
    "change",
    [rewrite, rename, remove_and_write, same_size_later, same_size_and_time, link_elsewhere],
    ids=lambda each: each.__name__,
)
async def test_a_change_is_told_once(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """However a file is replaced, that it has changed is told, with its path, and then no more."""
    path, other = tmp_path / "zone", tmp_path / "other"
    path.write_text("a text")
    other.write_text("a text")
    watcher = Watcher([path, other], SETTLE, every=EVERY)
    change(path)

    assert (path,) == await asyncio.wait_for(watcher.changed(), DEADLINE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watcher.changed(), 4 * SETTLE)


@asynccontextmanager
async def waiting(watcher: Watcher) -> Any:
    """Somebody waits for a change."""
    task = asyncio.create_task(watcher.changed())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """As long as it grows, nothing is told; when it rests, it is told once."""
    path = tmp_path / "zone"
    path.write_text("")
    watcher = Watcher([path], 5 * SETTLE, every=EVERY)
    async with waiting(watcher) as task:
        with path.open("a") as file:
            for _ in range(40):
                file.write("more")
                file.flush()
                await asyncio.sleep(SETTLE / 5)
                assert not task.done()
        assert (path,) == await asyncio.wait_for(task, DEADLINE)


async def test_a_file_that_is_gone_is_awaited_for_longer(tmp_path: Path) -> None:
    """Whoever removes a file before writing it anew has several times as long; when it stays away, that is told."""
    path = tmp_path / "zone"
    path.write_text("a text")
    watcher = Watcher([path], SETTLE, every=EVERY)
    path.unlink()
    async with waiting(watcher) as task:
        await asyncio.wait([task], timeout=4 * SETTLE)
        assert not task.done()
        assert (path,) == await asyncio.wait_for(task, DEADLINE)


async def test_a_file_that_comes_back_as_it_was_is_no_change(tmp_path: Path) -> None:
    """Moved away and back in time, it is the same file."""
    path = tmp_path / "zone"
    path.write_text("a text")
    watcher = Watcher([path], SETTLE, every=EVERY)
    async with waiting(watcher) as task:
        path.rename(tmp_path / "away")
        await asyncio.sleep(2 * EVERY)
        (tmp_path / "away").rename(path)

        await asyncio.wait([task], timeout=4 * SETTLE)
        assert not task.done()


async def test_a_file_that_is_missing_may_come(tmp_path: Path) -> None:
    """What a refused reload waits for is watched before it is there."""
    path = tmp_path / "not yet" / "zone"
    watcher = Watcher([path], SETTLE, every=EVERY)
    path.parent.mkdir()
    path.write_text("a text")

    assert (path,) == await asyncio.wait_for(watcher.changed(), DEADLINE)


async def test_a_directory_stands_for_its_files(tmp_path: Path) -> None:
    """Files that come, go or change in it are a change of it; what editors keep aside is none, nor what is below."""
    watcher = Watcher([tmp_path], SETTLE, every=EVERY)
    for name in (".zone.swp", "zone~", "#zone#", "below"):
        (tmp_path / name).write_text("x") if name != "below" else (tmp_path / name).mkdir()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watcher.changed(), 4 * SETTLE)
    for change in (lambda path: path.write_text("x"), rewrite, Path.unlink):
        change(tmp_path / "zone")

        assert (tmp_path,) == await asyncio.wait_for(watcher.changed(), DEADLINE)


async def test_a_pattern_stands_for_the_files_that_it_names(tmp_path: Path) -> None:
    """With `*` in a path, a new file that fits is a change, also in a directory that was not there; any other is none."""
    pattern = tmp_path / "census" / "*" / "v4-*.txt"
    began = 0.0
    watcher = Watcher([pattern], SETTLE, every=EVERY)
    async with waiting(watcher) as task:
        (tmp_path / "census" / "2026-11-01").mkdir(parents=True)
        (tmp_path / "census" / "2026-11-01" / "README").write_text("x")
        await asyncio.sleep(5 * SETTLE)
        assert not task.done()

        (tmp_path / "census" / "2026-11-01" / "v4-1.txt").write_text("192.0.2.0/24")

        assert (pattern,) == await asyncio.wait_for(task, DEADLINE)
    assert (pattern,) == watcher.since(began)


async def test_nothing_is_lost_between_reading_and_watching(tmp_path: Path) -> None:
    """A file that was written to after it was read counts as changed if the watcher is told how it looked then."""
    path = tmp_path / "zone"
    path.write_text("a text")
    known = signs([path])
    rewrite(path)

    assert (path,) == await asyncio.wait_for(Watcher([path], SETTLE, known, EVERY).changed(), DEADLINE)


async def test_other_files_can_be_watched_instead(tmp_path: Path) -> None:
    """The new ones count from now on, what is known of those that stay is kept, and those that are left out do not matter."""
    kept, left, new = tmp_path / "kept", tmp_path / "left", tmp_path / "new"
    for path in (kept, left, new):
        path.write_text("a text")
    watcher = Watcher([kept, left], SETTLE, every=EVERY)
    rewrite(kept)
    rewrite(left)
    async with waiting(watcher) as task:
        watcher.watch([kept, new])
        assert (kept,) == await asyncio.wait_for(task, DEADLINE)
    rewrite(new)
    assert (new,) == await asyncio.wait_for(watcher.changed(), DEADLINE)


async def test_what_may_not_be_looked_at_is_not_there(tmp_path: Path) -> None:
    """A path that no file can have, or below a file, is watched without fuss."""
    (tmp_path / "file").write_text("x")
    found = signs([tmp_path / "file" / "below", tmp_path / "nul\0", tmp_path / "none"])

    assert [()] * 3 == list(found.values())

"""The daemon's lease and the gate's files: one holder, of this boot, and nothing that a file may hold breaks who reads it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.announce import _files
from geodns.ops.announce._lease import LEASE, Holder, Lease, look
from geodns.ops.announce._questions import Question
from tests.support.daemons import need

QUESTION = Question("www.example.com", "A", "81.2.69.0/24", ("198.51.100.10",), pool="app")
KNOWN = Lease(os.getpid(), 1000.0, "ams1", 3, (), "", ("app",), 12.5, ("127.0.0.1:53",), (QUESTION,))


def test_a_lease_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Everything that the daemon says arrives."""
    assert "" == Holder(tmp_path).renew(KNOWN)
    assert (KNOWN, "") == look(tmp_path, 1001.0, 5.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_writes_belongs_to_the_directory(tmp_path: Path) -> None:
    """A gate that runs as root beside a daemon that does not leaves files that the daemon can read and lock."""
    os.chown(tmp_path, 12345, 12346)
    lock = _files.Lock(tmp_path / "a.lock")
    lock.take()
    lock.release()
    _files.write(tmp_path / "a.status", {})

    assert {(12345, 12346)} == {(found.stat().st_uid, found.stat().st_gid) for found in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("now", "fault"),
    [
        (1004.9, ""),
        (1005.1, f"the daemon (process {os.getpid()}) has not renewed its lease for 5.1 s"),
        (990.0, "is from the future"),
    ],
)
def test_a_lease_has_its_time(now: float, fault: str, tmp_path: Path) -> None:
    """It counts for five seconds here, and what it said last is told even then."""
    Holder(tmp_path).renew(KNOWN)
    lease, why = look(tmp_path, now, 5.0)

    assert KNOWN == lease
    assert fault in why if fault else not why


def test_a_second_daemon_is_told_who_holds_the_lease(tmp_path: Path) -> None:
    """Its own word does not reach the gate, until the first one is gone."""
    first, second = Holder(tmp_path), Holder(tmp_path)
    first.renew(KNOWN)
    told = second.renew(replace(KNOWN, identity="other"))

    assert f"another daemon (process {os.getpid()}) holds the lease in {tmp_path}" == told
    assert (KNOWN, "") == look(tmp_path, 1000.0, 5.0)

    first.release()
    second.renew(replace(KNOWN, identity="other"))
    lease, _ = look(tmp_path, 1000.0, 5.0)
    assert lease
    assert "other" == lease.identity


def test_a_lease_of_another_boot_is_none(tmp_path: Path) -> None:
    """After a restart of the machine its clock began anew: nothing of before counts."""
    (tmp_path / LEASE).write_text(json.dumps({"boot": "another", **asdict(KNOWN)}))

    assert (None, f"no daemon has a lease in {tmp_path}") == look(tmp_path, 1000.0, 5.0)


def test_no_lease_is_told(tmp_path: Path) -> None:
    """A directory that does not even exist is not a fault of its own."""
    assert (None, f"no daemon has a lease in {tmp_path / 'none'}") == look(tmp_path / "none", 0.0, 5.0)


def test_the_lease_of_another_version_counts(tmp_path: Path) -> None:
    """In the middle of an upgrade the daemon may say more than the gate knows, or less; an unknown condition is not judged."""
    more = {**asdict(QUESTION), "name": "new.example.com", "within": "a second"}
    told = {**asdict(KNOWN), "more": 1, "questions": [asdict(QUESTION), more]}
    _files.write(tmp_path / LEASE, {key: value for key, value in told.items() if key not in {"changing", "identity"}})

    assert (replace(KNOWN, identity=""), "") == look(tmp_path, 1000.0, 5.0)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A directory on a disk that becomes full once the file "more" of it grows."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        [need("mount", "mount"), "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("no file system can be mounted: that needs root")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(place: Path) -> None:
    """Leave no room."""
    with suppress(OSError), (place / "more").open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))


def test_a_full_disk_ends_no_lease(full: Path) -> None:
    """Logs that fill a disk must not take a service away that is well: what is said next is written over what was said."""
    holder = Holder(full)
    assert "" == holder.renew(KNOWN)
    fill(full)
    for told in (replace(KNOWN, renewed=2000.0, ready=("a reason that is longer",)), replace(KNOWN, renewed=3000.0)):
        assert "" == holder.renew(told)
        assert (told, "") == look(full, told.renewed, 5.0)
    holder.release()


def test_a_full_disk_keeps_nobody_from_a_lock(full: Path) -> None:
    """He holds it, and no one else; only who he is cannot be told."""
    fill(full)
    (full / "lock").touch()
    first, second = _files.Lock(full / "lock"), _files.Lock(full / "lock")

    assert (None, 0) == (first.take(), second.take())
    assert 0 == _files.holder(full / "lock")
    first.release()
    assert second.take() is None
    second.release()


def test_who_only_looks_keeps_nobody_from_a_lock(tmp_path: Path) -> None:
    """A gate begins while the daemon, again and again, looks whether there is one."""
    lock, ended = _files.Lock(tmp_path / "lock"), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            _files.holder(lock.file)

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for each in watchers:
        each.start()
    try:
        for _ in range(1000):
            assert lock.take() is None
            lock.release()
    finally:
        ended.set()
        for each in watchers:
            each.join()


SPOILED: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "not JSON": lambda file: file.write_bytes(b"\xff{"),
    "a list": lambda file: file.write_text("[]"),
    "nothing in it": lambda file: _files.write(file, {}),
    "a text as time": lambda file: _files.write(file, {**asdict(KNOWN), "renewed": "now"}),
    "no number as time": lambda file: _files.write(file, {**asdict(KNOWN), "renewed": float("nan")}),
    "nobody": lambda file: _files.write(file, {"renewed": 1000.0}),
    "nowhere": lambda file: _files.write(file, {**asdict(KNOWN), "listening": ["here"]}),
    "no name": lambda file: _files.write(file, {**asdict(KNOWN), "questions": [{**asdict(QUESTION), "name": "a..b"}]}),
    "no type": lambda file: _files.write(file, {**asdict(KNOWN), "questions": [{**asdict(QUESTION), "type": "NONSENSE"}]}),
    "no subnet": lambda file: _files.write(file, {**asdict(KNOWN), "questions": [{**asdict(QUESTION), "subnet": "81.2"}]}),
    "no serial": lambda file: _files.write(file, {**asdict(KNOWN), "questions": [{**asdict(QUESTION), "serial": "seven"}]}),
    "texts as questions": lambda file: _files.write(file, {**asdict(KNOWN), "questions": ["www.example.com"]}),
    "a number as questions": lambda file: _files.write(file, {**asdict(KNOWN), "questions": 3}),
    "a question without a name": lambda file: _files.write(file, {**asdict(KNOWN), "questions": [{"answer": []}]}),
    "nested": lambda file: file.write_text("[" * 100_000),
    "a directory": lambda file: file.mkdir(),
    "a FIFO": lambda file: os.mkfifo(file),
    "a link": lambda file: file.symlink_to(file.parent / "elsewhere"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_lease_is_not_held(how: str, tmp_path: Path) -> None:
    """The gate learns why, and does not wait."""
    SPOILED[how](tmp_path / LEASE)
    lease, why = look(tmp_path, 1000.0, 5.0)

    assert lease is None
    assert str(tmp_path / LEASE) in why


@given(octets=st.binary(max_size=300))
def test_no_octets_break_the_reader(octets: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a file holds, the gate gets a reason."""
    directory = tmp_path_factory.mktemp("lease")
    (directory / LEASE).write_bytes(octets)

    lease, why = look(directory, 0.0, 5.0)

    assert lease is None
    assert why


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The daemon goes on, and says that its gate hears nothing."""
    (tmp_path / "state").write_text("a file where a directory should be")

    assert "cannot be renewed: Not a directory" in Holder(tmp_path / "state").renew(KNOWN).replace(
        "File exists", "Not a directory"
    )


def test_who_holds_a_lock_is_known(tmp_path: Path) -> None:
    """Its process, also to somebody who does not want it; nobody once it is given up."""
    lock = _files.Lock(tmp_path / "lock")

    assert _files.holder(lock.file) is None
    assert lock.take() is None
    assert os.getpid() == _files.holder(lock.file)
    lock.release()
    assert _files.holder(lock.file) is None

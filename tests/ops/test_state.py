"""Owns the tests of the state directory: whole or set aside, never an exception, and words for whoever reads the log."""

from __future__ import annotations

import json
import logging
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.ops.state import Kept, NeverWritten, StateDirectory, Unusable
from geodns.problem import Severity
from tests.support.daemons import poll

NOW = 1_700_000_000.0
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def directory(path: Path, now: float = NOW) -> StateDirectory:
    """A state directory with a clock that stands still."""
    return StateDirectory(path, lambda: now)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Level and text of everything that was logged."""
    return [(record.levelno, record.getMessage()) for record in caplog.records]


@contextmanager
def files_limited_to(octets: int) -> Iterator[None]:
    """No file may grow longer: the kernel refuses as it does where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- what is right ----------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(VALUES)
def test_what_was_written_is_read(tmp_path: Path, value: object) -> None:
    """Every value of JSON's kinds comes back as it was, with the time of writing, for another process too."""
    assert directory(tmp_path).write("health", value)
    assert Kept(value, NOW) == directory(tmp_path, NOW + 1).read("health")


def test_what_was_never_written_is_no_fault(tmp_path: Path) -> None:
    """At the first start there is neither file nor directory."""
    assert NeverWritten() == directory(tmp_path).read("health")
    assert NeverWritten() == directory(tmp_path / "absent").read("health")


def test_a_later_value_replaces_the_one_before_and_no_other(tmp_path: Path) -> None:
    """Names do not disturb each other, and of each the last value counts."""
    state = directory(tmp_path / "a" / "b")
    for name, value in (("health", 1), ("overrides", 2), ("health", 3)):
        assert state.write(name, value)

    assert [Kept(3, NOW), Kept(2, NOW)] == [state.read("health"), state.read("overrides")]
    assert ["health.json", "overrides.json"] == sorted(path.name for path in state.path.iterdir())


def test_only_its_owner_may_read_a_state(tmp_path: Path) -> None:
    """Files have mode 0600 and the directory 0700, whatever a process that was killed has left open."""
    state = directory(tmp_path / "state")
    before = os.umask(0)
    try:
        assert state.write("health", 1)
        left = state.path / f".health.json.{os.getpid()}.new"
        left.write_text("x" * 1000)
        left.chmod(0o666)
        assert state.write("health", 2)
    finally:
        os.umask(before)

    assert (0o600, 0o700) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (state.path / "health.json", state.path))
    assert Kept(2, NOW) == state.read("health")


def test_a_file_may_be_formatted_by_a_tool(tmp_path: Path) -> None:
    """The checksum is of the values, so that indentation and order of keys do no harm."""
    directory(tmp_path).write("health", {"b": [1, 2.5], "a": "ä"})
    file = tmp_path / "health.json"
    file.write_text(json.dumps(dict(reversed(json.loads(file.read_text()).items())), indent=2, ensure_ascii=False))

    assert Kept({"b": [1, 2.5], "a": "ä"}, NOW) == directory(tmp_path).read("health")


@pytest.mark.parametrize(("later", "age"), [(0, 0), (10, 10), (-1, 0), (-300, 0), (-301, inf), (-1e9, inf)])
def test_an_age_survives_a_clock_that_was_put_right(later: float, age: float) -> None:
    """A time of writing up to five minutes ahead is age 0; one farther ahead is an age that nobody knows, so too old."""
    assert age == Kept(1, NOW).age(NOW + later)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".a", "A", "a.json"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """No name leads out of the directory."""
    with pytest.raises(ValueError, match="is no name for a state"):
        directory(tmp_path).write(name, 1)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_value_that_is_not_json_is_our_fault(tmp_path: Path, value: object) -> None:
    """What could not be read again is not written, and what was there before stays."""
    state = directory(tmp_path)
    state.write("health", 1)
    with pytest.raises((TypeError, ValueError)):
        state.write("health", value)

    assert Kept(1, NOW) == state.read("health")


def test_a_writer_that_is_killed_leaves_a_whole_value(tmp_path: Path) -> None:
    """However a process ends, the next start finds one of the values that it wrote, and nothing else after that."""
    loop = (
        "import sys, pathlib; from geodns.ops.state import StateDirectory\n"
        "state = StateDirectory(pathlib.Path(sys.argv[1])); number = 0\n"
        "while True: state.write('health', [number] * 20000); number += 1\n"
    )
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", loop, tmp_path]) as process:
            before = (tmp_path / "health.json").stat().st_mtime_ns if (tmp_path / "health.json").exists() else 0
            poll("something new is written", lambda: _written_since(tmp_path / "health.json", before))  # noqa: B023 -- at once
            process.kill()

        found = StateDirectory(tmp_path).read("health")

        assert isinstance(found, Kept)
        assert isinstance(found.value, list)
        assert (20_000, 1) == (len(found.value), len(set(found.value)))
        assert ["health.json"] == [path.name for path in tmp_path.iterdir()]


def _written_since(file: Path, before: int) -> bool:
    return file.exists() and file.stat().st_mtime_ns > before


# --- what is damaged --------------------------------------------------------------------------------------------------


def _changed(key: str, value: object) -> Any:
    def change(text: str) -> str:
        return json.dumps({**json.loads(text), key: value})

    return change


DAMAGES = {
    "it is empty": lambda _: "",
    "it is not JSON, or cut short": lambda text: text[:-5],
    "it is not of the form in which states are written": lambda _: "[1]",
    "it is of version 2, and this program knows version 1": _changed("version", 2),
    "its checksum is another": _changed("value", {"other": 1}),
}
MORE_DAMAGES = [
    lambda _: "[" * 100_000,
    lambda _: "\0" * 100,
    lambda _: "{}",
    _changed("written", "yesterday"),
    _changed("written", NOW + 1),
    _changed("checksum", None),
    _changed("value", float("nan")),
]


@pytest.mark.parametrize("why", DAMAGES)
def test_a_damaged_file_is_set_aside_with_a_warning(tmp_path: Path, why: str) -> None:
    """It is kept for who wants to know, said where it lies, and never fatal: the next write makes a new one."""
    state = directory(tmp_path)
    state.write("health", {"some": 1})
    file = tmp_path / "health.json"
    damaged = DAMAGES[why](file.read_text())
    file.write_text(damaged)
    found = state.read("health")
    aside = tmp_path / "health.json.corrupt.1"

    assert isinstance(found, Unusable)
    assert (str(file), 0, Severity.WARNING) == (found.problem.file, found.problem.line, found.problem.severity)
    assert f"the state is corrupt: {why}; set aside as {aside}, starting without" == found.problem.message
    assert found.problem.remedy
    assert damaged == aside.read_text()
    assert NeverWritten() == state.read("health")
    assert state.write("health", 2)
    assert Kept(2, NOW) == state.read("health")


@pytest.mark.parametrize("damage", MORE_DAMAGES)
def test_a_file_that_is_not_ours_is_set_aside(tmp_path: Path, damage: Any) -> None:
    """Whatever a file holds, it is read as it was written or not at all."""
    directory(tmp_path).write("health", {"some": 1})
    (tmp_path / "health.json").write_text(damage((tmp_path / "health.json").read_text()))

    assert isinstance(directory(tmp_path).read("health"), Unusable)
    assert ["health.json.corrupt.1"] == [path.name for path in tmp_path.iterdir()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=200))
def test_garbage_is_never_fatal(tmp_path: Path, octets: bytes) -> None:
    """No octets make reading raise or invent a value."""
    (tmp_path / "health.json").write_bytes(octets)

    assert isinstance(directory(tmp_path).read("health"), Unusable)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_a_flipped_bit_never_changes_a_value(tmp_path: Path, data: st.DataObject) -> None:
    """A file with one bit wrong is set aside, or holds the very value that was written."""
    state = directory(tmp_path)
    state.write("health", {"fra": ["up", 12.5, None]})
    octets = bytearray((tmp_path / "health.json").read_bytes())
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "health.json").write_bytes(octets)
    found = state.read("health")

    assert isinstance(found, Unusable) or Kept({"fra": ["up", 12.5, None]}, NOW) == found


def test_files_set_aside_are_numbered_and_few(tmp_path: Path) -> None:
    """Each damaged file has a name of its own, and there are never more than nine."""
    for number in range(12):
        (tmp_path / "health.json").write_text(f"damage {number}")
        directory(tmp_path).read("health")

    assert [f"health.json.corrupt.{number}" for number in range(1, 10)] == sorted(path.name for path in tmp_path.iterdir())
    assert ["damage 0", "damage 11"] == [(tmp_path / f"health.json.corrupt.{number}").read_text() for number in (1, 9)]


def test_what_is_no_file_holds_up_nothing(tmp_path: Path) -> None:
    """A pipe, a directory and a link in place of the file are not waited for, read, nor followed."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("/etc/hostname")

    assert all(isinstance(directory(tmp_path).read(name), Unusable) for name in ("pipe", "folder", "link"))


# --- what the disk refuses --------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_warning_and_one_line_when_it_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While nothing can be written the caller is told, the old file stays whole, and the log has one line for each end."""
    caplog.set_level(logging.INFO)
    state = directory(tmp_path)
    assert state.write("health", 1)
    with files_limited_to(50):
        written = [state.write(name, 2) for name in ("health", "health", "overrides")]
    kept = directory(tmp_path).read("health")
    troubled = [state.troubled]
    for name in ("health", "overrides"):
        written.append(state.write(name, 3))
        troubled.append(state.troubled)

    assert Kept(1, NOW) == kept
    assert [False, False, False, True, True] == written
    assert [True, True, False] == troubled
    assert [logging.WARNING, logging.INFO] == [level for level, _ in said(caplog)]
    assert said(caplog)[0][1].startswith(f"{tmp_path}: warning: the state cannot be written: File too large; a restart now would")
    assert "(make room on that disk)" in said(caplog)[0][1]
    assert f"{tmp_path}: the state is written again" == said(caplog)[1][1]
    assert ["health.json", "overrides.json"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_directory_that_cannot_be_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file where the directory should be, and reading and writing say so without raising."""
    (tmp_path / "state").write_text("")
    state = directory(tmp_path / "state")
    found = state.read("health")

    assert isinstance(found, Unusable)
    assert "the state cannot be read: Not a directory; starting without" == found.problem.message
    assert not state.write("health", 1)
    assert not state.write("health", 1)
    [(level, text)] = said(caplog)
    assert logging.WARNING == level
    assert "let this user write to the directory, or name another as server.state" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_a_warning(tmp_path: Path) -> None:
    """Where this user may not write, nothing is raised and nothing is lost."""
    state = directory(tmp_path)
    state.write("health", 1)
    tmp_path.chmod(0o500)
    try:
        assert not state.write("health", 2)
    finally:
        tmp_path.chmod(0o700)

    assert Kept(1, NOW) == state.read("health")


def test_what_cannot_be_set_aside_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that may only be read the damaged file stays where it is, as is said (the kernel's word is played)."""

    def refused(_path: Path, _target: Path) -> None:
        raise OSError(30, "Read-only file system")

    (tmp_path / "health.json").write_text("")
    monkeypatch.setattr(Path, "replace", refused)
    found = directory(tmp_path).read("health")

    assert isinstance(found, Unusable)
    assert found.problem.message.endswith("starting without, and it cannot be set aside: Read-only file system")

"""Included files, against what reading a zone reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.wire import from_text
from geodns.zone import read
from geodns.zone.includes import includes


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"z": "@ 60 A 192.0.2.1\n"}, []),
        ({"z": "$INCLUDE a\n$include\tb below ; and a comment\n"}, ["a", "b"]),
        ({"z": '$INCLUDE "a b" below\r\n$INCLUDE c\r\n'}, ["a b", "c"]),
        ({"z": "$INCLUDE a\n", "a": "$INCLUDE sub/b\n", "sub/b": "$INCLUDE c\n"}, ["a", "c", "sub/b"]),
        ({"z": "$INCLUDE a\n", "a": "$INCLUDE z\n"}, ["a", "z"]),
        ({"z": "; $INCLUDE a\nx 60 TXT $INCLUDE b\n$INCLUDE\n"}, []),
        ({}, []),
    ],
    ids=str,
)
def test_included_files_are_found(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    """All of them, however deep, whether they exist or not; paths start at the zone file's directory, as in reading."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert [tmp_path / name for name in expected] == list(includes(tmp_path / "z"))


def test_what_is_read_is_found(tmp_path: Path) -> None:
    """Every file that records came from is among them."""
    (tmp_path / "z").write_text('$INCLUDE "one"\nx 60 A 192.0.2.1\n $INCLUDE no\n$INCLUDE two.hosts below\n')
    (tmp_path / "one").write_text("a 60 A 192.0.2.1\n")
    (tmp_path / "two.hosts").write_text("$INCLUDE three\n")
    (tmp_path / "three").write_text("b 60 A 192.0.2.1\n")
    read_from = {Path(record.file) for record in read(tmp_path / "z", from_text("example.")).records}

    assert read_from <= {tmp_path / "z", *includes(tmp_path / "z")}
    assert {"z", "one", "three"} == {path.name for path in read_from}

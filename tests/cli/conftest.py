"""Owns running verbs in this process, away from any configuration of the machine; refuses to know what they should say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from geodns.cli import output
from geodns.cli.app import app


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `geodns` with arguments; an exception that is no exit goes through."""
    monkeypatch.delenv("GEODNS_CONFIG", raising=False)
    monkeypatch.setattr(output, "SYSTEM_CONFIG", tmp_path / "none" / "geodns.toml")

    def invoke(*arguments: object) -> Outcome:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files into a directory of the test, and gives the path of the first."""

    def written(**files: str) -> Path:
        paths = [tmp_path / name.replace("_", ".") for name in files]
        for path, text in zip(paths, files.values(), strict=True):
            path.write_text(text)
        return paths[0]

    return written

"""The verbs about the configuration file's form."""

from __future__ import annotations

from pathlib import Path

from geodns.ops import config as configuration
from tests.cli.conftest import Run
from tests.support.daemons import REPOSITORY


def test_the_schema_is_one_json_document(run: Run) -> None:
    """`config schema` prints the schema that the configuration is made of."""
    told = run("config", "schema")

    assert (0, "") == (told.code, told.err)
    assert configuration.schema() == told.json


def test_the_example_is_a_configuration_to_begin_with(run: Run, tmp_path: Path) -> None:
    """`config example` prints the file of the sources, which `check` finds right, though it has no zone yet."""
    told = run("config", "example")
    (tmp_path / "geodns.toml").write_text(told.out)

    assert (0, "") == (told.code, told.err)
    assert (REPOSITORY / "config" / "geodns.toml").read_text() == told.out
    assert "fine, 1 warning" == run("check", tmp_path / "geodns.toml").out.splitlines()[-1]

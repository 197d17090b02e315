"""The verbs about the configuration file's form."""

from __future__ import annotations

from geodns.ops import config as configuration
from tests.cli.conftest import Run


def test_the_schema_is_one_json_document(run: Run) -> None:
    """`config schema` prints the schema that the configuration is made of."""
    told = run("config", "schema")

    assert (0, "") == (told.code, told.err)
    assert configuration.schema() == told.json

"""Owns the way from a file to a Config or to all its problems; refuses to open what the file names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from geodns.ops.config._salvage import ConfigurationRefused, salvaged
from geodns.ops.config._tables import Config
from geodns.ops.config._together import faults_together, warnings_together
from geodns.ops.config._words import Fault, dotted, fault_of, one_line, syntax_problem
from geodns.ops.toml_lines import KeyPath, locate, nearest
from geodns.problem import Problem, ProblemsFound, Severity


def example() -> str:
    """A configuration with every key, its default and a comment: `config/geodns.toml` of the sources."""
    return files("geodns.ops.config").joinpath("example.toml").read_text("utf-8")


def load(path: Path) -> Config:
    """Read a configuration file; raises ProblemsFound with everything that is wrong with it.

    It is a ConfigurationRefused where the rest of the file names other files that can be looked at.
    """
    try:
        octets = path.read_bytes()
    except FileNotFoundError:
        problem = Problem(
            str(path), 0, "there is no such file", "name an existing file; `geodns config example` prints one to begin with"
        )
    except IsADirectoryError:
        problem = Problem(str(path), 0, "is a directory", "name the configuration file in it")
    except PermissionError:
        problem = Problem(str(path), 0, "no permission to read it", "let this user read the file")
    except OSError as error:
        problem = Problem(str(path), 0, f"cannot be read: {error.strerror}", "name a readable file")
    else:
        return _decoded(octets, path)
    raise ProblemsFound([problem])


def _decoded(octets: bytes, path: Path) -> Config:
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ProblemsFound([Problem(str(path), line, "this is not UTF-8", "save the file as UTF-8 text")]) from error
    try:
        config = parse(text, str(path))
    except ConfigurationRefused as refused:
        if refused.rest:
            refused.rest.config._directory = path.parent
        raise
    config._directory = path.parent
    return config


def parse(text: str, file: str = "<config>") -> Config:
    """Read a configuration from TOML text; `file` is its name in problems. Raises ProblemsFound with all of them."""
    try:
        document = tomllib.loads(text)
        lines = locate(text)
    except ValueError as error:  # TOMLDecodeError, or a number too long for the interpreter
        raise ProblemsFound([syntax_problem(str(error), text, file)]) from error
    except RecursionError as error:
        problem = Problem(file, 0, "arrays or tables are nested too deeply", "no key needs more than three levels")
        raise ProblemsFound([problem]) from error
    found: list[Fault] = []
    config = None
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        found += (fault_of(details, lines) for details in error.errors(include_url=False))
    found += faults_together(document)
    faults = _problems(found, file, lines, Severity.ERROR)
    warnings = _problems(warnings_together(document), file, lines, Severity.WARNING)
    if config is None or faults:
        raise ConfigurationRefused(sorted(faults + warnings), salvaged(document))
    config._warnings = tuple(sorted(warnings))
    return config


def _problems(found: Iterable[Fault], file: str, lines: dict[KeyPath, int], severity: Severity) -> list[Problem]:
    return [
        Problem(file, nearest(lines, path), one_line(f"{dotted(path)}: {what}"), remedy, severity) for path, what, remedy in found
    ]


def schema() -> dict[str, object]:
    """JSON Schema (2020-12) of the configuration file, for editors and documentation."""
    generated = Config.model_json_schema(schema_generator=_TomlSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated, "title": "geodns configuration"}


class _TomlSchema(GenerateJsonSchema):
    """JSON Schema without null, which TOML has not: a key without a value is left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ()) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

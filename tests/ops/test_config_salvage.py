"""Owns the tests of what a refused configuration still tells: the files of all that is not at fault, and no more."""

from __future__ import annotations

import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops.config import Config, ConfigurationRefused, load
from geodns.ops.config._salvage import salvaged
from tests.ops.test_config import PLACES, VALUES

GOOD = """\
[server]
identity = "fra1"
cookie_secrets = "cookies.secret"
[geo]
databases = ["country.mmdb", "asn.mmdb"]
anycast = ["anycast.txt"]
[geo.networks]
"10.0.0.0/8" = { country = "DE" }
[regions]
eu = ["continent:EU", "country:TR"]
[[zones]]
name = "example.com"
file = "com.zone"
[[zones]]
name = "example.org"
file = "org.zone"
[pools.app]
[[pools.app.endpoints]]
name = "one"
addresses = ["192.0.2.1", "192.0.2.2"]
"""
FAULTS: list[tuple[tuple[str | int, ...], object, tuple[str | int, ...]]] = [
    (("server", "identity"), 5, ("server", "identity")),
    (("server", "unknown"), 5, ("server", "unknown")),
    (("server",), "text", ("server",)),
    (("geo", "databases", 0), 5, ("geo", "databases", 0)),
    (("geo", "networks", "10.0.0.0/99"), {}, ("geo", "networks", "10.0.0.0/99")),
    (("geo", "networks", "10.0.0.0/8", "country"), "Germany", ("geo", "networks", "10.0.0.0/8")),
    (("regions", "eu", 1), "countr:DE", ("regions", "eu", 1)),
    (("zones", 1, "name"), "a..b", ("zones", 1)),
    (("zones", 0, "file"), 5, ("zones", 0)),
    (("pools", "app", "steering"), "fast", ("pools", "app", "steering")),
    (("pools", "app", "endpoints", 0, "name"), 5, ("pools", "app")),
]
"""Where which wrong value is put, and what goes with it because it cannot be without it."""


def put(document: Any, path: tuple[str | int, ...], value: object) -> None:
    for part in path[:-1]:
        document = document[part]
    document[path[-1]] = value


def cut(document: Any, path: tuple[str | int, ...]) -> None:
    for part in path[:-1]:
        document = document[part]
    del document[path[-1]]


@pytest.mark.parametrize(("path", "value", "goes"), FAULTS)
def test_a_fault_takes_only_what_cannot_be_without_it(
    path: tuple[str | int, ...], value: object, goes: tuple[str | int, ...]
) -> None:
    """What is left is the configuration that one would have written without it; names that the file has stay known."""
    document = tomllib.loads(GOOD)
    put(document, path, value)
    without = deepcopy(document)
    cut(without, goes)

    rest = salvaged(document)

    assert rest
    assert Config.model_validate(without) == rest.config
    assert (frozenset({"app"}), frozenset({"eu"})) == (rest.pools, rest.regions)


def test_a_good_configuration_is_left_whole() -> None:
    """Where values are wrong only together, nothing is taken out."""
    document = tomllib.loads(GOOD)

    rest = salvaged(document)

    assert rest
    assert Config.model_validate(document) == rest.config


@given(st.dictionaries(st.sampled_from(PLACES), VALUES, max_size=6))
def test_whatever_is_wrong_something_is_left(table: dict[str, str]) -> None:
    """Values of any kind at any keys: what is left is a configuration, and the document is as it was."""
    try:
        document = tomllib.loads("\n".join(f"{key} = {value}" for key, value in table.items()))
    except ValueError:  # two keys that exclude each other, or a number too long to read
        return
    before = deepcopy(document)

    rest = salvaged(document)

    assert rest
    assert isinstance(rest.config, Config)
    assert str(before) == str(document)


def test_paths_of_what_is_left_start_at_the_file(tmp_path: Path) -> None:
    """The files are looked for where the configuration is, not where the command runs."""
    (tmp_path / "geodns.toml").write_text(GOOD.replace('identity = "fra1"', "identity = 5"))

    with pytest.raises(ConfigurationRefused) as caught:
        load(tmp_path / "geodns.toml")

    assert caught.value.rest
    assert tmp_path / "com.zone" == caught.value.rest.config.path("com.zone")

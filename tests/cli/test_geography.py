"""The verbs about places: looking up, and fetching from a real web site on loopback."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support import mmdb
from tests.support.website import Page, Site

BUILT = 1_770_000_000


@pytest.fixture(autouse=True)
def no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("GEODNS_MAXMIND")]:
        monkeypatch.delenv(name)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def publish(site: Site, directory: Path, epoch: int = BUILT, kind: str = "DBIP-Country-Lite") -> None:
    """Put a country database where DB-IP has that of this month."""
    made = mmdb.write(
        directory / "made", {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}, database_type=kind, build_epoch=epoch
    )
    today = datetime.now(tz=UTC)
    for day in (today, today + timedelta(days=1)):  # at midnight a month may end
        site.pages[f"/dbip-country-lite-{day:%Y-%m}.mmdb.gz"] = Page(gzip.compress(made.read_bytes()))


# --- lookup -----------------------------------------------------------------------------------------------------------


def test_a_place_is_told_with_its_source(run: Run) -> None:
    """Address, the prefix for which it is true, each attribute and who said so; the rough table is named."""
    told = run("geo", "lookup", "81.2.69.5")

    assert (0, "") == (told.code, told.err)
    assert ["81.2.69.5  (81.0.0.0/8)", "  continent   EU   [embedded IANA registry table]"] == told.out.splitlines()[:2]
    assert "87 %" in told.out


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "9.9.9.9", "2001:4860:4860::8888", "198.41.0.4"])
def test_an_anycast_address_has_no_place(run: Run, address: str) -> None:
    """Whatever a database says of it, that is said to mean nothing, with evidence."""
    told = run("geo", "lookup", address)

    assert "anycast: location means nothing; " in told.out
    assert "[shipped]" in told.out


def test_json_is_a_list_in_the_order_asked(run: Run) -> None:
    """Each address is an object with its network, state, reason, location and sources."""
    told = run("geo", "lookup", "10.1.2.3", "8.8.8.8", "81.2.69.5", "--json").json

    assert ["10.1.2.3", "8.8.8.8", "81.2.69.5"] == [found["address"] for found in told]
    assert ["special", "anycast", "located"] == [found["state"] for found in told]
    assert [{"address", "network", "state", "why", "location", "sources", "egress"}] * 3 == [set(found) for found in told]


def test_an_address_in_an_egress_map_is_told_as_a_sender_too(run: Run, tmp_path: Path) -> None:
    """What the map says is no place of the address itself, but counts for what is asked from it."""
    (tmp_path / "egress.csv").write_text("8.8.8.0/24,KR\n")
    config = tmp_path / "g.toml"
    config.write_text('geo.egress = ["egress.csv"]\n')
    told = run("geo", "lookup", "8.8.8.8", "--config", str(config))
    [found] = run("geo", "lookup", "8.8.8.8", "--config", str(config), "--json").json

    assert "anycast: location means nothing" in told.out
    assert "as a sender: 8.8.8.0/24 is the egress of a resolver" in told.out
    assert ("anycast", "KR") == (found["state"], found["egress"]["location"]["country"])


def test_an_address_that_an_egress_map_has_without_place_is_told_so(run: Run, tmp_path: Path) -> None:
    """It is in the map, and the map says nothing: that is another thing than to be in none."""
    (tmp_path / "egress.csv").write_text("8.8.8.0/24,KR\n8.8.4.0/24,\n")
    config = tmp_path / "geodns.toml"
    config.write_text('geo.egress = ["egress.csv"]\n')
    told = run("geo", "lookup", "8.8.4.4", "--config", config)

    assert "as a sender: 8.8.4.0/24 has no place in the egress map" in told.out
    assert "count as from" not in told.out


def test_the_configurations_networks_and_databases_are_asked(run: Run, tmp_path: Path) -> None:
    """A network of the configuration comes before a database, and both before nothing."""
    mmdb.write(tmp_path / "c.mmdb", {"192.0.2.0/24": {"country": {"iso_code": "DE"}}})
    config = tmp_path / "geodns.toml"
    config.write_text('[geo]\ndatabases = ["c.mmdb"]\n[geo.networks]\n"192.0.2.128/25" = {country = "FR"}\n')
    told = run("geo", "lookup", "192.0.2.1", "192.0.2.129", "198.51.100.1", "--config", config, "--json").json

    assert ["DE", "FR", None] == [found["location"]["country"] for found in told]
    assert ["c.mmdb", "config (geo.networks)", None] == [found["sources"].get("country") for found in told]


def test_a_bad_address_is_wrong_usage(run: Run) -> None:
    """What is no address is exit code 2, before anything is printed."""
    told = run("geo", "lookup", "81.2.69.5", "300.1.1.1")

    assert (2, "") == (told.code, told.out)
    assert "300.1.1.1" in told.err


def test_a_bad_database_is_a_problem(run: Run, tmp_path: Path) -> None:
    """All that cannot be used are named, with exit code 1."""
    (tmp_path / "b.mmdb").write_text("this is no database")
    config = tmp_path / "geodns.toml"
    config.write_text('geo.databases = ["a.mmdb", "b.mmdb"]\n')
    told = run("geo", "lookup", "192.0.2.1", "-c", config)

    assert (1, "") == (told.code, told.out)
    assert f"{tmp_path / 'a.mmdb'}: there is no such database" in told.err
    assert f"{tmp_path / 'b.mmdb'}: is no MaxMind DB file" in told.err


# --- update -----------------------------------------------------------------------------------------------------------


def test_a_database_is_fetched_once(run: Run, site: Site, tmp_path: Path) -> None:
    """First it is installed, then it is there already; the licence's words are shown each time."""
    publish(site, tmp_path)
    to = tmp_path / "country.mmdb"
    first, second = (run("geo", "update", "dbip-country", "--to", to, "--base-url", site.url) for _ in range(2))

    assert (0, 0) == (first.code, second.code)
    assert f"{to}: installed, DBIP-Country-Lite of 2026-02-02" in first.out
    assert f"{to}: not modified" in second.out
    assert "IP Geolocation by DB-IP" in first.out.splitlines()[-1]
    assert "IP Geolocation by DB-IP" in to.with_name("country.mmdb.LICENSE").read_text()


def test_the_fetched_database_is_used(run: Run, site: Site, tmp_path: Path) -> None:
    """What was fetched can be named in a configuration at once, and the rough table is named no more."""
    publish(site, tmp_path)
    run("geo", "update", "dbip-country", "--to", tmp_path / "country.mmdb", "--base-url", site.url)
    config = tmp_path / "geodns.toml"
    config.write_text('geo.databases = ["country.mmdb"]\n')
    told = run("geo", "lookup", "192.0.2.1", "-c", config).out

    assert "country     DE   [country.mmdb]" in told
    assert "WARNING" not in told


def test_json_of_an_update(run: Run, site: Site, tmp_path: Path) -> None:
    """One object: outcome, file, address, type, day of the build, and the licence's words."""
    publish(site, tmp_path)
    told = run("geo", "update", "dbip-country", "--to", tmp_path / "c.mmdb", "--base-url", site.url, "--json").json

    assert {"outcome", "file", "url", "type", "built", "attribution"} == told.keys()
    assert ("installed", "DBIP-Country-Lite", "2026-02-02") == (told["outcome"], told["type"], told["built"])


def test_an_older_build_wants_force(run: Run, site: Site, tmp_path: Path) -> None:
    """A step back is refused, unless it is forced."""
    arguments = ("geo", "update", "dbip-country", "--to", tmp_path / "c.mmdb", "--base-url", site.url)
    publish(site, tmp_path)
    run(*arguments)
    publish(site, tmp_path, BUILT - 86_400)
    refused, forced = run(*arguments), run(*arguments, "--force")

    assert (1, 0) == (refused.code, forced.code)
    assert "newer than" in refused.err
    assert "replaced" in forced.out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("dbip-country", "answered 404"),
        ("dbip-cuontry", "did you mean 'dbip-country'?"),
        ("geolite2-city", "the account number is not set"),
    ],
)
def test_what_cannot_be_fetched_changes_nothing(run: Run, site: Site, tmp_path: Path, source: str, said: str) -> None:
    """Exit code 1, a remedy, and the file in place is what it was."""
    to = tmp_path / "c.mmdb"
    to.write_bytes(b"what was there")
    told = run("geo", "update", source, "--to", to, "--base-url", site.url)

    assert (1, "") == (told.code, told.out)
    assert said in told.err
    assert told.err.endswith("1 error: nothing was changed\n")
    assert b"what was there" == to.read_bytes()


def test_a_key_of_the_environment_is_used_and_not_shown(
    run: Run, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Account and key may come from the environment; no message and no help text repeats them."""
    monkeypatch.setenv("GEODNS_MAXMIND_ACCOUNT", "42")
    monkeypatch.setenv("GEODNS_MAXMIND_LICENCE_KEY", "s3cr3t")
    site.key = "42:another"
    told = run("geo", "update", "geolite2-country", "--to", tmp_path / "c.mmdb", "--base-url", site.url)

    assert 1 == told.code
    assert "answered 401" in told.err
    assert [True] == [bool(authorization) for _path, authorization in site.seen]
    assert "s3cr3t" not in told.err + run("geo", "update", "--help").out

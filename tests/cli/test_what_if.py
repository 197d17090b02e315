"""The verb `pool what-if`, on configurations in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from geodns.cli import output
from geodns.cli.what_if import what_if
from tests.cli.conftest import Outcome
from tests.support import mmdb

CONFIG = """
[geo]
databases = ["places.mmdb"]

[pools.video]
steering = "nearest"

[pools.video.check]
type = "tcp"
port = 443

[[pools.video.endpoints]]
name = "fra"
addresses = ["198.51.100.10"]
latitude = 50.11
longitude = 8.68
capacity = 4000
load = 2500

[[pools.video.endpoints]]
name = "ams"
addresses = ["198.51.100.30"]
latitude = 52.37
longitude = 4.90
capacity = 2000
load = 1000

[[pools.video.endpoints]]
name = "nyc"
addresses = ["198.51.100.20", "2001:db8::20"]
latitude = 40.71
longitude = -74.01
capacity = 6000
load = 2000

[pools.mail]
steering = "failover"
when_all_down = "servfail"

[[pools.mail.endpoints]]
name = "one"
site = "fra"
addresses = ["198.51.100.25"]

[[pools.mail.endpoints]]
name = "two"
site = "fra"
addresses = ["198.51.100.26"]
"""
PLACES = {"77.1.0.0/24": "DE", "77.1.1.0/24": "NL", "77.1.2.0/23": "US", "2a00:1::/32": "DE"}
Ask = Callable[..., Outcome]

app = typer.Typer()
app.command("what-if")(what_if)


@app.callback()
def group() -> None:
    """Pools."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a configuration is, with its database."""
    mmdb.write(tmp_path / "places.mmdb", {network: {"country": {"iso_code": code}} for network, code in PLACES.items()})
    (tmp_path / "geodns.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def ask(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs the verb on the configuration."""
    monkeypatch.setenv("GEODNS_CONFIG", str(directory / "geodns.toml"))
    monkeypatch.setattr(output, "SYSTEM_CONFIG", directory / "none")

    def invoke(*arguments: str) -> Outcome:
        result = CliRunner().invoke(app, ["what-if", *arguments], catch_exceptions=False)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


def test_it_tells_who_moves_and_what_sites_bear(ask: Ask, directory: Path) -> None:
    """What is asked, the countries that move, how many do not, and each site before and after."""
    told = ask("video", "--down", "fra")

    assert (0, "") == (told.code, told.err)
    assert [
        f"pool video, steering nearest, weighed by IPv4 addresses   (configuration: {directory}/geodns.toml)",
        "down: fra",
        "",
        "country     users  moved   before      after",
        "DE Germany  25.0%  100.0%  fra 100.0%  nyc 80.0%, ams 20.0%",
        "2 countries do not move (75.0% of the users); 25.0% of all users move",
        "",
        "site  users before  users after  capacity  used before  used after",
        "fra   25.0%         0.0%         4000 → 0  34%          -",
        "ams   25.0%         30.0%        2000      69%          82%",
        "nyc   50.0%         70.0%        6000      46%          64%",
    ] == told.out.splitlines()


def test_users_may_be_told_in_a_file(ask: Ask, directory: Path) -> None:
    """Then they count instead of addresses; countries that no address is in are left out, with a warning."""
    (directory / "users.csv").write_text("country,users\nDE,900\nNL,100\nJP,5\n")
    told = ask("video", "--down", "fra,nyc", "--users", str(directory / "users.csv"))

    assert 0 == told.code
    assert "country     users  moved   before      after\nDE Germany  90.0%  100.0%  fra 100.0%  ams 100.0%\n" in told.out
    assert "1 country does not move (10.0% of the users); 90.0% of all users move" in told.out
    assert told.out.endswith("WARNING: ams would bear 275% of its capacity (before: 28%)\n")
    assert "users.csv: warning: users left out, as no address in the databases is there: JP (" in told.err


def test_users_of_ipv6_are_weighed_by_networks(ask: Ask) -> None:
    """With --ipv6 only endpoints with an IPv6 address count."""
    told = ask("video", "--down", "fra", "--ipv6")

    assert "weighed by IPv6 networks (/48)" in told.out
    assert "1 country does not move (100.0% of the users); 0.0% of all users move" in told.out


def test_words_are_about_endpoints_too(ask: Ask) -> None:
    """One endpoint of a site down moves nobody elsewhere; with the last one drained nobody is served."""
    one, all_of_them = ask("mail", "--down", "fra/one"), ask("mail", "--down", "fra/one", "--drain", "fra/t*")

    assert "3 countries do not move (100.0% of the users); 0.0% of all users move" in one.out
    assert "down: fra/one; drain: fra/t*" in all_of_them.out
    assert "nobody 100.0%" in all_of_them.out
    assert "WARNING: nothing is up for 100.0% of the users: they get SERVFAIL" in all_of_them.out


def test_json_is_one_document(ask: Ask) -> None:
    """What is foretold, and for what it was asked."""
    told = ask("video", "--down", "fra", "--json").json

    assert ("video", "ipv4", "addresses", ["fra"], []) == tuple(
        told[key] for key in ("pool", "family", "weighed_by", "down", "drain")
    )
    assert ["country:DE", "country:US", "country:NL"] == [area["area"] for area in told["areas"]]
    assert pytest.approx({"nyc": 0.8, "ams": 0.2}) == told["areas"][0]["after"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("video",), 2, "what is to be down?"),
        (("mail", "--down", "fra", "--ipv6"), 2, "pool mail has no IPv6 address"),
        (("vidoe", "--down", "fra"), 1, "the configuration has no pool 'vidoe' (did you mean 'video'?)"),
        (("video", "--down", "fro"), 1, "--down fro: 'video/fro' names nothing (did you mean 'video/fra'?)"),
        (("video", "--down", "fra", "--drain", "f*"), 1, "--drain f*: is named already (name each site or endpoint once)"),
        (("video", "--down", "fra", "--users", "nowhere.csv"), 1, "nowhere.csv: cannot be read: No such file or directory"),
        (("video", "--down", "fra", "--config", "nowhere.toml"), 1, "nowhere.toml"),
    ],
)
def test_what_makes_no_sense_is_told(ask: Ask, arguments: tuple[str, ...], code: int, said: str) -> None:
    """Exit code 2 for no sound command, 1 for names of nothing and files that cannot be read."""
    told = ask(*arguments)

    assert code == told.code
    assert said in " ".join(told.err.replace("│", " ").split())


def test_all_problems_are_told_at_once(ask: Ask, directory: Path) -> None:
    """Those of the event and those of the file of users, with its lines."""
    (directory / "users.csv").write_text("DE,many\nUK,1\n")
    told = ask("video", "--down", "x,y", "--users", str(directory / "users.csv"))

    assert 1 == told.code
    assert "users.csv:1: 'many' is no number" in told.err
    assert "users.csv:2: 'UK' is no country" in told.err
    assert told.err.endswith("4 errors\n")


@pytest.mark.parametrize("octets", [b"DE,\xff\n", None], ids=["no text", "a directory"])
def test_what_is_no_table_of_users_is_told(ask: Ask, directory: Path, octets: bytes | None) -> None:
    """A problem as any other, not a fault."""
    if octets:
        (directory / "users.csv").write_bytes(octets)
    told = ask("video", "--down", "fra", "--users", str(directory / "users.csv" if octets else directory))

    assert 1 == told.code
    assert "is not a text file" in told.err or "cannot be read" in told.err


def test_the_embedded_table_knows_continents_only(ask: Ask, directory: Path) -> None:
    """Users are counted by continent, and it is said that this is rough; a table of users finds no country there."""
    (directory / "geodns.toml").write_text(CONFIG.replace('databases = ["places.mmdb"]', ""))
    (directory / "users.csv").write_text("DE,1\n")
    told, refused = ask("video", "--down", "fra"), ask("video", "--down", "fra", "--users", str(directory / "users.csv"))

    assert "Europe, country unknown" in told.out
    assert "WARNING: places come from the embedded IANA registry table" in told.out
    assert (1, "no country with users has an address in the databases (name a database of countries in geo.databases)") == (
        refused.code,
        refused.err.splitlines()[0].partition(": ")[2],
    )

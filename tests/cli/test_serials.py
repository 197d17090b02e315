"""`geodns zone serials`: who is behind, who tells nothing, and the exit code that a script waits for."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.ops.anycast.test_serials import serving
from tests.support.daemons import free_port
from tests.support.instances import instances


def test_siblings_that_agree(run: Run) -> None:
    """Exit code 0 and one line for each server."""
    with instances(serving("fra1", a=7)) as one, instances(serving("nyc1", a=7)) as other:
        told = run("zone", "serials", "A.test", "--server", f"127.0.0.1:{one}", "--server", f"localhost:{other}")

    assert 0 == told.code
    assert ["a.test.", f"127.0.0.1:{one}", "fra1", "7", "the", "same", "everywhere"] == told.out.splitlines()[1].split()
    assert "the same everywhere: 1 zone" == told.out.splitlines()[-1]


def test_who_is_behind_is_told(run: Run) -> None:
    """By serial number arithmetic: 4 is ahead of 4294967290; exit code 1."""
    with instances(serving("fra1", a=4294967290, b=1)) as one, instances(serving("nyc1", a=4, b=1)) as other:
        servers = ("--server", f"127.0.0.1:{one}", "--server", "127.0.0.1", "--port", other)
        text, told = (run("zone", "serials", "a.test", "b.test", *servers, *more) for more in ((), ("--json",)))

    assert (1, 1) == (text.code, told.code)
    assert text.out.splitlines()[1].endswith("BEHIND by 10")
    assert text.out.splitlines()[2].endswith("newest")
    assert "1 of 2 zones not the same everywhere" == text.out.splitlines()[-1]
    assert [("a.test.", False, 4), ("b.test.", True, 1)] == [(one["zone"], one["agree"], one["newest"]) for one in told.json]
    assert {
        "server": f"127.0.0.1:{one}", "instance": "fra1", "serial": 4294967290, "behind": 10, "fault": "",
    } == told.json[0]["servers"][0]  # fmt: skip


def test_who_tells_nothing_is_no_agreement(run: Run, tmp_path: Path) -> None:
    """A server that is down, or does not serve the zone, is told with its reason; the zones are those of the configuration."""
    (tmp_path / "geodns.toml").write_text('[[zones]]\nname = "a.test"\nfile = "a"\n[[zones]]\nname = "b.test"\nfile = "b"\n')
    with instances(serving("fra1", a=7)) as one:
        servers = ("--server", f"127.0.0.1:{one}", "--server", f"127.0.0.1:{free_port()}", "--timeout", 0.3)
        told = run("zone", "serials", *servers, "--config", tmp_path / "geodns.toml")

    assert 1 == told.code
    assert ["newest", "refused", "REFUSED", "refused"] == [line.split()[-1] for line in told.out.splitlines()[1:5]]
    assert "2 of 2 zones not the same everywhere" == told.out.splitlines()[-1]


def test_serials_in_no_order(run: Run) -> None:
    """Half the circle apart, nobody can be said to be behind (RFC 1982 §3.2)."""
    with instances(serving("fra1", a=7)) as one, instances(serving("nyc1", a=7 + 2**31)) as other:
        told = run("zone", "serials", "a.test", "--server", f"127.0.0.1:{one}", "--server", f"127.0.0.1:{other}")

    assert 1 == told.code
    assert 2 == told.out.count("CANNOT BE ORDERED")


def test_wrong_usage_is_told(run: Run) -> None:
    """Nobody to ask, a name that is none, a host that nobody knows."""
    nobody = run("zone", "serials", "a.test")
    bad = run("zone", "serials", "a..test", "--server", "127.0.0.1")
    unknown = run("zone", "serials", "a.test", "--server", "no-such-host.invalid")

    assert (2, 2, 1) == (nobody.code, bad.code, unknown.code)
    assert "no host of the name 'no-such-host.invalid' is known" in unknown.err

"""Owns what a reload promises: a plan that is told, losses refused, files watched; refuses to know its insides."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import sleep, time
from typing import TextIO

import dns.message
import dns.rcode
import httpx
import pytest

from geodns.daemon.watching import written_since
from geodns.ops import watch
from tests.support.daemons import LISTEN, REPOSITORY, Geodns, Site, poll, serving

pytestmark = pytest.mark.slow

HEAD = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns.example.net.\nwww A 192.0.2.$last\nwww GEO continent:EU A 198.51.100.1\n"
HOSTS = 40
ZONE_FILE = "example.com.zone"
ZONES = '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'
DOOR = '[admin]\nlisten = "127.0.0.1:$admin"\n'
CONFIG = LISTEN + DOOR + ZONES
WATCHED = LISTEN + "watch = true\n" + DOOR + ZONES
EXPECTATION = '[[expect]]\nname = "www.example.com"\nclient = "66.66.0.1"\nanswer = ["192.0.2.1"]\n'
QUERY = dns.message.make_query("www.example.com", "A", use_edns=False, id=77).to_wire()


def zone(last: int = 1, hosts: int = HOSTS) -> str:
    """The zone; `last` is the last octet of an address in it, and `hosts` how many names it has besides."""
    return HEAD.replace("$last", str(last)) + "".join(f"host{number} A 192.0.2.200\n" for number in range(hosts))


def answer(server: Geodns) -> str:
    """The address that www.example.com has here."""
    octets = server.endpoint.udp(QUERY)
    assert octets is not None
    return socket.inet_ntoa(octets[-4:])


def reload_by_command(server: Geodns, *words: str) -> subprocess.CompletedProcess[str]:
    """`geodns reload`, run to its end."""
    command = (sys.executable, "-m", "geodns", "reload", "--config", str(server.site.configuration), *words)
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


def is_open(server: Geodns) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return server.ask("GET", "/livez").is_success
    return False


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Where the server under test has its files and its ports."""
    return Site(tmp_path / "server")


def test_the_plan_is_told_by_the_log_and_by_the_api(site: Site) -> None:
    """What a reload changes is in the log, line by line, and the same as a value in the reply to whoever asked for it."""
    with serving(site, CONFIG, {"example.com.zone": zone()}) as server:
        said = server.reload({"example.com.zone": zone(2)}, "generation 2: 1 worker answers")
        server.site.write({"example.com.zone": zone(2).replace("198.51.100.1", "198.51.100.2") + "more A 192.0.2.9\n"})
        poll("the door is open", lambda: is_open(server))
        told = server.ask("POST", "/api/v1/reload", {}).raise_for_status().json()
        text = server.until_said("generation 3: 1 worker answers", len(said))
        nothing = server.reload({}, "generation 4: 1 worker answers")

    assert "plan: zone example.com.: serial 1 as before; 1 record changed, of 44" in said
    [change] = told["plan"]["zones"]
    assert ("example.com.", 44, 45, 1, 1, 0) == tuple(
        change[key] for key in ("zone", "records_before", "records_after", "added", "changed", "removed")
    )
    assert [] == told["plan"]["refusals"]
    [move] = told["plan"]["moves"]
    assert "www.example.com." == move["name"]
    assert "plan: zone example.com.: serial 1 as before; 1 record added, 1 record changed, of 44" in text
    assert "plan: www.example.com. A" in text
    assert "plan: nothing changes" in nothing


def test_a_zone_that_loses_much_is_refused_until_it_is_forced(site: Site) -> None:
    """SIGHUP and `geodns reload` refuse it with numbers and the remedy, which then works; the old zone is served meanwhile."""
    with serving(site, CONFIG, {"example.com.zone": zone()}) as server:
        by_signal = server.reload({"example.com.zone": zone(2, HOSTS // 2)}, "reload refused: generation 1 goes on")
        poll("the door is open", lambda: is_open(server))
        refused = reload_by_command(server)
        before, gauge = answer(server), server.metrics()[("geodns_last_reload_success", frozenset())]
        forced = reload_by_command(server, "--force")
        server.until_said("generation 2: 1 worker answers")
        after = answer(server)
        server.site.write({"example.com.zone": zone(3, 0)})
        poll("the door is open", lambda: is_open(server))
        again = reload_by_command(server)

    problem = f"{site.directory}/example.com.zone: zone example.com.: 20 of 44 records (45.5 %) would go"
    assert problem in by_signal
    assert "geodns reload --force" in by_signal
    assert (1, True) == (refused.returncode, problem in " ".join(refused.stderr.split()))
    assert "generation 1 is still served" in refused.stderr
    assert ("192.0.2.1", 0) == (before, gauge)
    assert (0, "192.0.2.2") == (forced.returncode, after), forced.stderr
    assert "reloaded: generation 2" in forced.stdout
    assert 1 == again.returncode, "one that was forced does not allow the next"


PARENT = (
    "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns.example.net.\n* A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\nx.y A 192.0.2.3\n"
)
CHILD = "$TTL 60\n@ SOA ns host 1 2 3 4 60\n@ NS ns\nns A 192.0.2.2\n* A 192.0.2.4\n"
ASKED = {
    "www.example.com. A": ("NOERROR", "192.0.2.1"),
    "a.sub.example.com. A": ("NOERROR", ""),
    "ns.sub.example.com. A": ("NOERROR", ""),
    "a.y.example.com. A": ("NXDOMAIN", ""),
    "x.y.example.com. A": ("NOERROR", "192.0.2.3"),
    "sub.example.com. DS": ("NOERROR", ""),
    "a.example.org. A": ("REFUSED", ""),
}
"""What is answered while the parent alone is served."""

BESIDE = {
    **ASKED,
    "a.sub.example.com. A": ("NOERROR", "192.0.2.4"),
    "ns.sub.example.com. A": ("NOERROR", "192.0.2.2"),
    "a.y.example.com. A": ("NOERROR", "192.0.2.4"),
    "x.y.example.com. A": ("NOERROR", "192.0.2.4"),
}
"""And while a delegated zone and one that the parent does not delegate are served beside it."""


def answers(server: Geodns) -> dict[str, tuple[str, str]]:
    """Response code, and the address if there is one, by UDP; each question three times, so that the last is matched."""
    found = {}
    for asked in ASKED:
        name, rdtype = asked.split()
        query = dns.message.make_query(name, rdtype, use_edns=False)
        octets = [server.endpoint.udp(query.to_wire()) for _ in range(3)]
        assert octets[0] == octets[1] == octets[2]
        reply = dns.message.from_wire(octets[2] or b"")
        address = reply.answer[0][0].to_text() if reply.answer else ""
        found[asked] = dns.rcode.to_text(reply.rcode()), address
    return found


def test_zones_in_a_zone_come_and_go(site: Site) -> None:
    """A zone that is added below another takes its names over, and gives them back when it is no longer served."""
    alone = LISTEN + DOOR + ZONES
    both = alone + "".join(f'[[zones]]\nname = "{name}.example.com"\nfile = "child.zone"\n' for name in ("sub", "y"))
    with serving(site, alone, {"example.com.zone": PARENT, "child.zone": CHILD}) as server:
        before = answers(server)
        server.reload({"geodns.toml": both}, "generation 2: 1 worker answers")
        beside = answers(server)
        server.site.write({"geodns.toml": alone})
        poll("the door is open", lambda: is_open(server))
        forced = reload_by_command(server, "--force")
        server.until_said("generation 3: 1 worker answers")
        after = answers(server)

    assert 0 == forced.returncode, forced.stderr
    assert (ASKED, BESIDE, ASKED) == (before, beside, after)


def test_an_unmet_expectation_refuses_a_reload_forced_or_not(site: Site) -> None:
    """The answer that must come out is told with its line in the configuration, and nothing of the reload holds."""
    with serving(site, CONFIG + EXPECTATION, {"example.com.zone": zone()}) as server:
        poll("the door is open", lambda: is_open(server))
        said = server.reload({"example.com.zone": zone(2)}, "reload refused: generation 1 goes on")
        refused, forced = reload_by_command(server), reload_by_command(server, "--force")
        served = answer(server)
        server.reload({"example.com.zone": zone(1)}, "generation 2: 1 worker answers")

    line = (CONFIG + EXPECTATION).splitlines().index("[[expect]]") + 1
    assert f"{site.configuration}:{line}: expectation not met: www.example.com" in said
    assert (1, 1) == (refused.returncode, forced.returncode)
    assert "expectation not met" in refused.stderr
    assert "192.0.2.1" == served


# --- server.watch -----------------------------------------------------------------------------------------------------


def _edited(path: Path, text: str) -> None:
    path.write_text(text)


def _renamed(path: Path, text: str) -> None:
    """As vim and most tools do: a new file takes the old one's name."""
    beside = path.with_name(".example.com.zone.swp")
    beside.write_text(text)
    beside.rename(path)


def _moved_aside(path: Path, text: str) -> None:
    """As emacs does: the old file is a backup first, and for a moment there is none."""
    path.rename(path.with_name("example.com.zone~"))
    path.write_text(text)


def _linked(path: Path, text: str) -> None:
    """As Kubernetes does: a link is put elsewhere."""
    other = path.with_name("version2")
    other.mkdir()
    (other / path.name).write_text(text)
    link = path.with_name("link")
    link.symlink_to(other / path.name)
    link.replace(path)


def _written_slowly(path: Path, text: str) -> None:
    """Piece by piece, with pauses shorter than what counts as rest; every piece but the last is a zone that would load."""
    with path.open("w") as file:
        for piece in (HEAD.replace("$last", "99"), *text.removeprefix(HEAD.replace("$last", "2")).splitlines(keepends=True)[:8]):
            file.write(piece)
            file.flush()
            sleep(watch.SETTLE / 3)  # not to wait for anything: slowness is what is tried
    path.write_text(text)


EDITS: list[Callable[[Path, str], None]] = [_edited, _renamed, _moved_aside, _linked, _written_slowly]


@dataclass(frozen=True, slots=True)
class Edited:
    """What came of an edit: the address that was served then, what the reload said, and all that was ever said."""

    file: Path
    served: str
    said: str
    stderr: str


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Edited]:
    """All edits at once, each at a server of its own: most of the time is waiting for nothing more to happen."""
    with ExitStack() as stack:
        servers = {
            edit: stack.enter_context(serving(Site(tmp_path_factory.mktemp("edited") / "server"), WATCHED, {ZONE_FILE: zone()}))
            for edit in EDITS
        }
        for server in servers.values():
            server.until_said("1 worker answers")
            poll("the door is open", partial(is_open, server))
        for edit, server in servers.items():
            edit(server.site.directory / ZONE_FILE, zone(2, HOSTS + 1))
        said = {edit: server.until_said("generation 2: 1 worker answers") for edit, server in servers.items()}
        served = {edit: answer(server) for edit, server in servers.items()}
        for server in servers.values():
            poll("the next keeper is at work", partial(is_open, server))
        quiet_for(2 * watch.EVERY + watch.SETTLE, *servers.values())
        return {
            edit.__name__: Edited(server.site.directory / ZONE_FILE, served[edit], said[edit], server.stderr)
            for edit, server in servers.items()
        }


@pytest.mark.parametrize("edit", [edit.__name__ for edit in EDITS], ids=lambda name: name.removeprefix("_"))
def test_a_watched_file_is_reloaded_once_and_whole(edit: str, edited: dict[str, Edited]) -> None:
    """However an editor or a slow writer puts it there: one reload, of all that is in it, and no half of it is ever tried."""
    found = edited[edit]

    assert "192.0.2.2" == found.served
    assert 1 == found.stderr.count("INFO changed: "), found.stderr
    assert f"changed: {found.file}" in found.said
    assert "1 record added" in found.said
    assert "refused" not in found.stderr


def quiet_for(seconds: float, *servers: Geodns) -> None:
    """Nothing is said for so long: that nothing happens cannot be polled for."""
    since, due = [len(server.stderr) for server in servers], time() + seconds

    def news() -> list[str]:
        return [server.stderr[start:] for server, start in zip(servers, since, strict=True)]

    poll("so much time has passed", lambda: time() >= due or any(news()))
    assert not any(news()), news()


def test_a_broken_watched_file_is_told_and_mending_it_reloads(site: Site) -> None:
    """File and line are told once, the old zone is served, and whoever mends it has nothing more to do."""
    with serving(site, WATCHED, {"example.com.zone": zone()}) as server:
        server.until_said("1 worker answers")
        server.site.write({"example.com.zone": zone(2).replace("192.0.2.2\n", "192.0.2.256\n")})
        told = server.until_said("reload refused: generation 1 goes on")
        quiet_for(watch.EVERY + watch.SETTLE, server)
        during = answer(server)
        server.site.write({"example.com.zone": zone(3)})
        server.until_said("generation 2: 1 worker answers")
        after = answer(server)

    assert 1 == told.count(f"{site.directory}/example.com.zone:4: ")
    assert ("192.0.2.1", "192.0.2.3") == (during, after)


def test_a_file_that_a_refused_configuration_waits_for_reloads_when_it_comes(site: Site) -> None:
    """A zone that is configured before its file is there is refused, and served as soon as the file comes."""
    more = '[[zones]]\nname = "example.net"\nfile = "example.net.zone"\n'
    with serving(site, WATCHED, {"example.com.zone": zone()}) as server:
        server.until_said("1 worker answers")
        server.site.write({"geodns.toml": WATCHED + more})
        server.until_said("reload refused: generation 1 goes on")
        server.site.write({"example.net.zone": zone().replace("ns.example.net.", "ns.example.org.")})
        said = server.until_said("generation 2: 1 worker answers")

    assert "plan: zone example.net.: is served" in said


def test_watching_begins_and_ends_with_a_reload(site: Site) -> None:
    """`server.watch` is taken over by a reload like any other key, and without it files are left alone."""
    with serving(site, CONFIG, {"example.com.zone": zone()}) as server:
        server.until_said("1 worker answers")
        server.site.write({"example.com.zone": zone(2)})
        quiet_for(2 * watch.EVERY + watch.SETTLE, server)
        server.reload({"geodns.toml": WATCHED}, "generation 2: 1 worker answers")
        server.site.write({"example.com.zone": zone(3)})
        server.until_said("generation 3: 1 worker answers")
        server.reload({"geodns.toml": CONFIG}, "generation 4: 1 worker answers")
        server.site.write({"example.com.zone": zone(4)})
        quiet_for(2 * watch.EVERY + watch.SETTLE, server)
        served = answer(server)

    assert "192.0.2.3" == served


def test_a_reload_in_the_midst_of_writing_is_followed_by_one_of_the_whole_file(site: Site) -> None:
    """Somebody else's SIGHUP may read half of a file; the rest is waited for until it rests, and served then."""
    path = site.directory / "example.com.zone"
    with serving(site, WATCHED, {"example.com.zone": zone()}) as server:
        server.until_said("1 worker answers")
        beginning, rest = zone(2, HOSTS + 20).split("host30 ")
        with path.open("w") as file:
            write(file, beginning)
            server.signal(signal.SIGHUP)
            server.until_said("generation 2: 1 zone")
            for piece in ("more A 192.", "0.2.9\n", "other A 192.", "0.2.9\n", "third A 192.", "0.2.9\n"):
                write(file, piece)
                sleep(watch.SETTLE / 3)
            file.write("host30 " + rest)
        records = zone(2, HOSTS + 20).count("\n") - 1 + 3  # all lines but the first, and three between them
        poll("all of it is served", lambda: records == server.told("/api/v1/zones")[0]["records"])

    assert "refused" not in server.stderr


def write(file: TextIO, text: str) -> None:
    file.write(text)
    file.flush()


def test_what_was_written_while_it_was_read_is_known_afterwards(tmp_path: Path) -> None:
    """Only what was written between reading and now counts: nothing older, nothing of a future from which the clock came back."""
    file, gone = tmp_path / "file", tmp_path / "gone"
    before = time() - 1
    file.write_text("text")
    after = time() + 1
    moments = {"meanwhile": (before, after), "earlier": (after, after + 1), "clock put back": (before - 3600, before)}

    assert {"meanwhile": (file,), "earlier": (), "clock put back": ()} == {
        what: written_since([file, gone], *each) for what, each in moments.items()
    }

"""Fetching a database, against a real HTTP server on loopback that serves real, broken and hostile files."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.ops import geo_update
from geodns.ops.geo_update import SOURCES, Outcome, Publisher, UpdateRequest, UpdateResult, plan, source, update
from geodns.problem import ProblemsFound
from tests.support import mmdb
from tests.support.website import ForwardingProxy, Page, Site

TODAY = date(2026, 3, 15)
KEY = "s3cr3t-l1cence-key"
DBIP = "/dbip-country-lite-2026-03.mmdb.gz"
DBIP_BEFORE = "/dbip-country-lite-2026-02.mmdb.gz"
MAXMIND = "/GeoLite2-City/download?suffix=tar.gz"
NEW = 1_770_000_000
OLD = 1_760_000_000


@pytest.fixture(autouse=True)
def no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def database(directory: Path, kind: str = "DBIP-Country-Lite", epoch: int = NEW, country: str = "DE") -> bytes:
    """The octets of a small database."""
    record = {"country": {"iso_code": country}}
    networks = {"192.0.2.0/24": record, "2001:db8::/32": record}
    return mmdb.write(directory / "made.mmdb", networks, database_type=kind, build_epoch=epoch).read_bytes()


def tar(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def serve_maxmind(site: Site, packed: bytes, digest: str = "") -> None:
    told = digest or hashlib.sha256(packed).hexdigest()
    site.pages[MAXMIND] = Page(packed)
    site.pages[MAXMIND + ".sha256"] = Page(f"{told}  GeoLite2-City_20260310.tar.gz\n".encode())


def dbip(site: Site, directory: Path, **changes: Any) -> UpdateRequest:
    place = directory / "place"
    place.mkdir(exist_ok=True)
    return replace(UpdateRequest("dbip-country", place / "geo.mmdb", base_url=site.url, timeout=5.0), **changes)


def maxmind(site: Site, directory: Path, **changes: Any) -> UpdateRequest:
    return dbip(site, directory, **({"source": "geolite2-city", "account": "42", "licence_key": KEY} | changes))


def run(request: UpdateRequest) -> UpdateResult:
    return update(request, lambda _received, _total: None, TODAY)


def failure(request: UpdateRequest) -> str:
    """The problem an update ends with, after checking what holds for every failure."""
    before = {path: path.read_bytes() for path in request.destination.parent.iterdir()}

    with pytest.raises(ProblemsFound) as caught:
        run(request)

    assert before == {path: path.read_bytes() for path in request.destination.parent.iterdir()}
    assert all(problem.message and problem.remedy for problem in caught.value.problems)
    assert KEY not in repr(caught.value) + str(caught.value)
    return str(caught.value)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


# ---- planning


@pytest.mark.parametrize(
    ("today", "months"),
    [(date(2026, 1, 1), ["2026-01", "2025-12"]), (date(2026, 3, 31), ["2026-03", "2026-02"])],
)
def test_dbip_plan(today: date, months: list[str]) -> None:
    """DB-IP is asked for this month's file, then for the one of the month before."""
    expected = [f"https://download.db-ip.com/free/dbip-city-lite-{month}.mmdb.gz" for month in months]

    assert expected == [download.url for download in plan(source("dbip-city"), today)]


@given(st.dates(date(2000, 1, 1)))
def test_dbip_plan_steps_back_one_month(today: date) -> None:
    """On every day of every year the second candidate is the month just before the first."""
    first, second = (download.url[-len("2026-01.mmdb.gz") :][:7] for download in plan(source("dbip-asn"), today))
    months = [int(text[:4]) * 12 + int(text[5:]) for text in (second, first)]

    assert today.year * 12 + today.month == months[1] == months[0] + 1


def test_maxmind_plan() -> None:
    """MaxMind is asked for the newest archive and its digest, below any base URL."""
    url = "https://mirror.example/db/GeoLite2-ASN/download?suffix=tar.gz"

    (download,) = plan(source("geolite2-asn"), TODAY, "https://mirror.example/db/")

    assert (url, url + ".sha256", True) == (download.url, download.digest_url, download.in_tar)


def test_unknown_source() -> None:
    """An unknown source is refused with the nearest name and all that are known."""
    with pytest.raises(ProblemsFound, match="did you mean 'dbip-city'") as caught:
        source("dbip-citty")

    assert all(name in str(caught.value) for name in SOURCES)


# ---- what works


def test_first_install(site: Site, tmp_path: Path) -> None:
    """A database that is there for this month is unpacked into place, with its licence beside it and nothing else."""
    content = database(tmp_path)
    site.pages[DBIP] = Page(gzip.compress(content))
    steps: list[tuple[int, int | None]] = []
    request = dbip(site, tmp_path)

    result = update(request, lambda *step: steps.append(step), TODAY)

    assert (Outcome.INSTALLED, content) == (result.outcome, request.destination.read_bytes())
    assert {"geo.mmdb", "geo.mmdb.LICENSE"} == set(os.listdir(request.destination.parent))
    assert Publisher.DB_IP.attribution in request.destination.with_name("geo.mmdb.LICENSE").read_text()
    assert Publisher.DB_IP.attribution == result.attribution
    assert (len(site.pages[DBIP].body),) * 2 == steps[-1]
    assert "DBIP-Country-Lite of 2026-02-02" in str(result)


def test_month_before(site: Site, tmp_path: Path) -> None:
    """While this month's file is not there, last month's is taken."""
    site.pages[DBIP_BEFORE] = Page(gzip.compress(database(tmp_path)))

    result = run(dbip(site, tmp_path))

    assert [path for path, _ in site.seen] == [DBIP, DBIP_BEFORE]
    assert Outcome.INSTALLED is result.outcome


def test_maxmind_archive(site: Site, tmp_path: Path) -> None:
    """The archive's one database is taken whatever it is called, account and key are sent, the digest is checked."""
    content = database(tmp_path, "GeoLite2-City")
    site.key = f"42:{KEY}"
    serve_maxmind(site, tar(("x/LICENSE.txt", b"words"), ("../../../evil/GeoLite2-City.mmdb", content)))
    request = maxmind(site, tmp_path)

    result = run(request)

    assert content == request.destination.read_bytes()
    assert Publisher.MAXMIND.attribution == result.attribution
    assert KEY not in repr(request) + repr(result) + str(result)


def test_key_stays_at_home(site: Site, tmp_path: Path) -> None:
    """A redirection to another host is followed without the key, as MaxMind's storage needs it."""
    content = database(tmp_path, "GeoLite2-City")
    storage = Site()
    try:
        site.key = f"42:{KEY}"
        serve_maxmind(site, tar(("GeoLite2-City.mmdb", content)))
        storage.pages["/signed"] = replace(site.pages[MAXMIND])
        site.pages[MAXMIND] = Page(status=302, headers={"Location": f"{storage.url}/signed"})
        request = maxmind(site, tmp_path)

        run(request)

        assert storage.seen == [("/signed", "")]
        assert content == request.destination.read_bytes()
    finally:
        storage.close()


def test_replaced_then_not_modified(site: Site, tmp_path: Path) -> None:
    """A newer build replaces the old one and keeps its mode; the same build a second time is left alone."""
    request = dbip(site, tmp_path)
    request.destination.write_bytes(database(tmp_path, epoch=OLD))
    request.destination.chmod(0o640)
    site.pages[DBIP] = Page(gzip.compress(database(tmp_path)))

    first = run(request)
    inode = request.destination.stat().st_ino
    second = run(request)

    assert (first.outcome, second.outcome) == (Outcome.REPLACED, Outcome.NOT_MODIFIED)
    assert (inode, 0o640) == (request.destination.stat().st_ino, request.destination.stat().st_mode & 0o777)
    assert "not modified" in str(second)


def test_reader_keeps_its_database(site: Site, tmp_path: Path) -> None:
    """Who has the old file open goes on reading the old file."""
    request = dbip(site, tmp_path)
    request.destination.write_bytes(database(tmp_path, epoch=OLD, country="FR"))
    site.pages[DBIP] = Page(gzip.compress(database(tmp_path)))

    with maxminddb.open_database(request.destination) as reader:
        run(request)

        assert reader.get("192.0.2.1") == {"country": {"iso_code": "FR"}}


def test_broken_file_in_place_is_replaced(site: Site, tmp_path: Path) -> None:
    """A file in place that is no database is bettered by any."""
    request = dbip(site, tmp_path)
    request.destination.write_bytes(b"rubbish")
    site.pages[DBIP] = Page(gzip.compress(database(tmp_path)))

    assert Outcome.REPLACED is run(request).outcome


def test_through_a_proxy(site: Site, tmp_path: Path) -> None:
    """With a proxy, every request goes through it, with its password."""
    site.pages[DBIP] = Page(gzip.compress(database(tmp_path)))
    proxy = ForwardingProxy()
    try:
        run(dbip(site, tmp_path, proxy=proxy.url.replace("http://", "http://user:word@")))
    finally:
        proxy.close()

    assert [(site.url + DBIP, "Basic " + base64.b64encode(b"user:word").decode())] == proxy.seen


def test_coding_header_on_a_gz_file(site: Site, tmp_path: Path) -> None:
    """A server that calls the file's own packing a transfer coding does no harm."""
    site.pages[DBIP] = Page(gzip.compress(database(tmp_path)), headers={"Content-Encoding": "gzip"})

    assert Outcome.INSTALLED is run(dbip(site, tmp_path)).outcome


def test_no_length(site: Site, tmp_path: Path) -> None:
    """A server that does not say the length is read to its end."""
    site.pages[DBIP] = Page(gzip.compress(database(tmp_path)), headers={"Content-Length": ""})

    assert Outcome.INSTALLED is run(dbip(site, tmp_path)).outcome


# ---- what fails


def packed(content: bytes) -> Page:
    return Page(gzip.compress(content))


FAILURES: dict[str, tuple[Callable[[Path], Page], str]] = {
    "cut body": (lambda path: replace(packed(database(path)), cut=100), "connection broke"),
    "cut gzip": (lambda path: Page(gzip.compress(database(path))[:-9]), "damaged or cut short"),
    "bad checksum": (lambda path: Page(gzip.compress(database(path))[:-8] + bytes(8)), "damaged or cut short"),
    "altered gzip": (lambda path: Page(gzip.compress(database(path))[:40] + b"\xff" * 200), "damaged or cut short"),
    "web page": (lambda _: Page(b"<!DOCTYPE html><title>Log in</title>"), "is not packed by gzip"),
    "empty body": (lambda _: Page(b""), "is not packed by gzip"),
    "no database": (lambda _: packed(b"a,b,c\n" * 100), "not a readable MaxMind DB"),
    "cut database": (lambda path: packed(database(path)[:-150]), "not a readable MaxMind DB"),
    "empty database": (lambda path: packed(empty(path)), "holds no record"),
    "broken records": (lambda path: packed(broken_records(path)), "not a readable MaxMind DB"),
    "another kind": (lambda path: packed(database(path, "DBIP-ASN-Lite")), "calls itself 'DBIP-ASN-Lite'"),
    "bomb": (lambda _: packed(bytes(3_000_000)), "more than 1,000,000 octets"),
    "large download": (lambda _: Page(os.urandom(1_000_001)), "more than 1,000,000 octets"),
    "forbidden": (lambda _: Page(status=403), "403 Forbidden (wait"),
    "too many requests": (lambda _: Page(status=429), "429 Too Many Requests (wait"),
    "trouble": (lambda _: Page(status=503), "503 Service Unavailable (the server is in trouble"),
    "proxy password": (lambda _: Page(status=407), "the proxy wants a password"),
    "strange status": (lambda _: Page(status=418), "answered 418"),
    "circle": (lambda _: Page(status=302, headers={"Location": DBIP}), "in a circle"),
    "redirect to nowhere": (lambda _: Page(status=302, headers={"Location": "ftp://x/"}), "UnsupportedProtocol"),
}


def empty(path: Path) -> bytes:
    return mmdb.write(path / "e.mmdb", {}, database_type="DBIP-Country-Lite").read_bytes()


def altered(path: Path, old: bytes, new: bytes) -> bytes:
    content = database(path)
    assert content.count(old) == 1
    return content.replace(old, new)


def broken_records(path: Path) -> bytes:
    """The records begin with a map that is longer than the file."""
    content = database(path)
    at = content.index(b"\xe1\x47country")
    return content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize(("in_place", "reader"), [(True, maxminddb.MODE_AUTO), (False, maxminddb.MODE_MMAP)])
def test_failures_leave_everything_as_it_was(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, in_place: bool, reader: int
) -> None:
    """Every failure is one clear problem with a remedy, and changes nothing on the disk."""
    make, expected = FAILURES[name]
    monkeypatch.setattr(maxminddb, "open_database", partial(maxminddb.open_database, mode=reader))
    request = dbip(site, tmp_path, maximum_octets=1_000_000)
    if in_place:
        request.destination.write_bytes(database(tmp_path, epoch=OLD))
    site.pages[DBIP] = make(tmp_path)

    assert expected in failure(request)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"major_version\xa1\x02", b"major_version\xa1\x03", "its format is version 3, not 2"),
        (b"ip_version\xa1\x06", b"ip_version\xa1\x05", "its IP version is 5"),
    ],
)
def test_impossible_metadata(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, expected: str
) -> None:
    """Metadata that cannot be is refused: by the reader in C itself, and by name where only the one in Python is there."""
    site.pages[DBIP] = packed(altered(tmp_path, old, new))

    by_default = failure(dbip(site, tmp_path))
    monkeypatch.setattr(maxminddb, "open_database", partial(maxminddb.open_database, mode=maxminddb.MODE_MMAP))

    assert expected in by_default or "not a readable MaxMind DB" in by_default
    assert expected in failure(dbip(site, tmp_path))


def test_neither_month_there(site: Site, tmp_path: Path) -> None:
    """Where neither month is there, only two files were asked for."""
    message = failure(dbip(site, tmp_path))

    assert "2026-02.mmdb.gz answered 404" in message
    assert len(site.seen) == 2


@pytest.mark.parametrize(
    ("missing", "expected"),
    [({"account": ""}, "the account number is not set"), ({"licence_key": ""}, "the licence key is not set")],
)
def test_key_not_set(site: Site, tmp_path: Path, missing: dict[str, str], expected: str) -> None:
    """Without account or key nothing is sent."""
    assert expected in failure(replace(maxmind(site, tmp_path), **missing))  # type: ignore[arg-type]
    assert site.seen == []


def test_wrong_key(site: Site, tmp_path: Path) -> None:
    """A key that is refused is named as the thing to set, and not shown."""
    site.key = "42:other"

    assert "set the account number and its licence key" in failure(maxmind(site, tmp_path))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(b"0" * 64), "is not the one its publisher tells"),
        (Page(b"<html>"), "tells no SHA-256 digest"),
        (Page(b"0" * 5000), "more than 4,096 octets"),
        (Page(status=429), "429"),
    ],
)
def test_digest(site: Site, tmp_path: Path, page: Page, expected: str) -> None:
    """A digest that differs, is none, or cannot be had refuses the archive."""
    serve_maxmind(site, tar(("a.mmdb", database(tmp_path, "GeoLite2-City"))))
    site.pages[MAXMIND + ".sha256"] = page

    assert expected in failure(maxmind(site, tmp_path))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("README", b"words")], "holds 0 .mmdb files"),
        ([("a.mmdb", b"1"), ("b.mmdb", b"2")], "holds 2 .mmdb files"),
        ([("a.txt", bytes(3_000_000))], "more than 1,000,000 octets"),
    ],
)
def test_archives(site: Site, tmp_path: Path, members: list[tuple[str, bytes]], expected: str) -> None:
    """An archive must hold one database, and no bomb beside it."""
    serve_maxmind(site, tar(*members))

    assert expected in failure(maxmind(site, tmp_path, maximum_octets=1_000_000))


@pytest.mark.parametrize("content", [gzip.compress(b"no archive at all"), tar(("a.mmdb", bytes(99_000)))[:60]])
def test_broken_archives(site: Site, tmp_path: Path, content: bytes) -> None:
    """What is no whole archive is refused."""
    serve_maxmind(site, content)

    assert "damaged or cut short" in failure(maxmind(site, tmp_path))


def test_link_in_archive_is_no_database(site: Site, tmp_path: Path) -> None:
    """A link called like a database is not followed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        link = tarfile.TarInfo("GeoLite2-City.mmdb")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    serve_maxmind(site, out.getvalue())

    assert "holds 0 .mmdb files" in failure(maxmind(site, tmp_path))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("where", ["base_url", "proxy"])
def test_connection_refused(site: Site, tmp_path: Path, where: str) -> None:
    """Nobody listening, at the publisher's or at the proxy's, is said with the URL that was wanted."""
    message = failure(dbip(site, tmp_path, **{where: f"http://user:{KEY}@127.0.0.1:{closed_port()}"}))

    assert "cannot connect for http://127.0.0.1" in message
    assert "refused" in message


def test_no_answer_in_time(site: Site, tmp_path: Path) -> None:
    """A server that stops in the middle is given up after the timeout."""
    site.pages[DBIP] = replace(packed(database(tmp_path)), cut=50, hold=threading.Event())

    assert "does not answer in time" in failure(dbip(site, tmp_path, timeout=0.2))


@pytest.mark.parametrize(
    "changes",
    [{"base_url": f"x{KEY}"}, {"proxy": f"user:{KEY}@host:1"}, {"proxy": "socks5://127.0.0.1:1"}, {"base_url": "http://[::1"}],
)
def test_bad_urls(site: Site, tmp_path: Path, changes: dict[str, str]) -> None:
    """A URL that is none is refused before anything is sent, without showing it."""
    assert "is no http or https URL" in failure(dbip(site, tmp_path, **changes))


def test_bad_proxy_of_the_environment(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment that cannot be used is said to come from there."""
    monkeypatch.setenv("ALL_PROXY", f"gopher://user:{KEY}@127.0.0.1")

    assert "the environment names a proxy that cannot be used" in failure(dbip(site, tmp_path))


def test_all_faults_of_a_request_at_once(site: Site, tmp_path: Path) -> None:
    """Every fault of a request is reported, not the first."""
    request = maxmind(site, tmp_path, licence_key="", base_url="x", proxy="y", destination=tmp_path / "no" / "geo.mmdb")

    with pytest.raises(ProblemsFound) as caught:
        run(request)

    assert len(caught.value.problems) == 4


def test_destination_is_a_directory(site: Site, tmp_path: Path) -> None:
    """A directory is no place for a file's octets."""
    (tmp_path / "place" / "geo.mmdb").mkdir(parents=True)

    with pytest.raises(ProblemsFound, match="is a directory"):
        run(dbip(site, tmp_path))


def test_destination_cannot_be_written(site: Site, tmp_path: Path) -> None:
    """Where nothing can be created, the destination is named and nothing is fetched."""
    request = dbip(site, tmp_path, destination=Path("/proc/geo.mmdb"))

    with pytest.raises(ProblemsFound, match=r"/proc/geo\.mmdb: cannot be written"):
        run(request)

    assert site.seen == []


def test_older_build(site: Site, tmp_path: Path) -> None:
    """An older build does not replace a newer one, unless forced."""
    request = dbip(site, tmp_path)
    request.destination.write_bytes(database(tmp_path, epoch=NEW))
    site.pages[DBIP] = packed(database(tmp_path, epoch=OLD))

    assert "holds the build of 2026-02-02, newer" in failure(request)
    assert Outcome.REPLACED is run(replace(request, force=True)).outcome


def test_another_kind_in_place(site: Site, tmp_path: Path) -> None:
    """A country database does not replace a city database by a slip, unless forced."""
    request = dbip(site, tmp_path)
    request.destination.write_bytes(database(tmp_path, "DBIP-City-Lite", epoch=OLD))
    site.pages[DBIP] = packed(database(tmp_path))

    assert "holds DBIP-City-Lite, another kind" in failure(request)
    assert Outcome.REPLACED is run(replace(request, force=True)).outcome


def test_interrupt_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    """An interrupt in the middle of the download passes through, and nothing is left."""
    site.pages[DBIP] = packed(database(tmp_path))
    request = dbip(site, tmp_path)

    def interrupt(_received: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update(request, interrupt, TODAY)

    assert list(request.destination.parent.iterdir()) == []


def start(request: UpdateRequest, before: str = "") -> subprocess.Popen[str]:
    """The same update in a process of its own."""
    program = f"""
import datetime, pathlib, resource
from geodns.ops.geo_update import UpdateRequest, update
from geodns.problem import ProblemsFound
{before}
try:
    print(update(UpdateRequest({request.source!r}, pathlib.Path({str(request.destination)!r}), base_url={request.base_url!r}),
                 lambda *_: None, datetime.date({TODAY.year}, {TODAY.month}, {TODAY.day})))
except ProblemsFound as problems:
    print(problems)
"""
    root = Path(geo_update.__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root)


@pytest.mark.slow
def test_killed_in_the_middle(site: Site, tmp_path: Path) -> None:
    """A process killed in the middle leaves the old file whole; meanwhile none other may start; the next one clears up."""
    request = dbip(site, tmp_path)
    old, new = database(tmp_path, epoch=OLD), database(tmp_path)
    request.destination.write_bytes(old)
    site.pages[DBIP] = replace(packed(new), cut=200, hold=threading.Event())
    leftover = request.destination.with_name(".geo.mmdb.update") / "packed"

    with start(request) as process:
        assert site.reached.wait(20)
        wait_for(leftover.exists)
        with pytest.raises(ProblemsFound, match=r"another update of .* is running"):
            run(request)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    assert (old, True) == (request.destination.read_bytes(), leftover.exists())
    hold = site.pages[DBIP].hold
    site.pages[DBIP] = packed(new)
    if hold:
        hold.set()
    assert Outcome.REPLACED is run(request).outcome
    assert {"geo.mmdb", "geo.mmdb.LICENSE"} == set(os.listdir(request.destination.parent))


@pytest.mark.slow
def test_no_room(site: Site, tmp_path: Path) -> None:
    """A file that cannot grow any more is a problem of room; the old file stays."""
    request = dbip(site, tmp_path)
    old = database(tmp_path, epoch=OLD)
    request.destination.write_bytes(old)
    site.pages[DBIP] = packed(database(tmp_path))

    with start(request, "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))") as process:
        said, _ = process.communicate(timeout=20)

    assert "no room to write it" in said
    assert os.listdir(request.destination.parent) == ["geo.mmdb"]
    assert old == request.destination.read_bytes()

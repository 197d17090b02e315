"""Owns the fetching of a full geo database: plan, download, verify, swap; refuses to know how look-ups read it and who asked.

The file in place is either the old one, whole, or the new one, whole and verified; nothing in between is ever seen.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import fcntl
import gzip
import hashlib
import itertools
import os
import re
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import IO, assert_never

import httpx
import maxminddb

from geodns.problem import Problem, ProblemsFound

Progress = Callable[[int, int | None], None]
"""Told the octets received so far, and how many are to come in all where the server said so."""

FOUR_GIBIOCTETS = 4 << 30
_CHUNK = 1 << 20
_FIRST_RECORDS = 50_000  # read one after the other from the start of the tree …
_SPREAD_LOOKUPS = 1 << 15  # … and looked up at even distances, so that a city file takes a second, not a minute
_GZIP_MAGIC = b"\x1f\x8b"
_DIGEST_OCTETS = 4096
_SHA256 = re.compile(r"\s*([0-9a-fA-F]{64})\b")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# what the readers raise on octets that are no database: each of these has been seen on truncated or altered files
_UNREADABLE = (maxminddb.InvalidDatabaseError, ValueError, TypeError, LookupError, RecursionError, EOFError)


class Publisher(StrEnum):
    """Who makes a database, under whose terms it is used."""

    DB_IP = "DB-IP"
    MAXMIND = "MaxMind"

    @property
    def base_url(self) -> str:
        """Where the publisher's files are, without a slash at the end."""
        match self:
            case Publisher.DB_IP:
                return "https://download.db-ip.com/free"
            case Publisher.MAXMIND:
                return "https://download.maxmind.com/geoip/databases"
            case _:
                assert_never(self)

    @property
    def attribution(self) -> str:
        """The words the licence wants to be shown wherever the data is used."""
        match self:
            case Publisher.DB_IP:
                return (
                    "IP Geolocation by DB-IP (https://db-ip.com), licensed under the Creative Commons Attribution 4.0"
                    " International Licence (https://creativecommons.org/licenses/by/4.0/)."
                )
            case Publisher.MAXMIND:
                return (
                    "This product includes GeoLite Data created by MaxMind, available from https://www.maxmind.com,"
                    " used under the GeoLite End User Licence Agreement (https://www.maxmind.com/en/geolite/eula)."
                )
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class Source:
    """One database that can be fetched: `holds` is the word that its own database_type must contain."""

    name: str
    publisher: Publisher
    edition: str
    holds: str


SOURCES = {
    made.name: made
    for made in (
        Source("dbip-country", Publisher.DB_IP, "dbip-country-lite", "Country"),
        Source("dbip-city", Publisher.DB_IP, "dbip-city-lite", "City"),
        Source("dbip-asn", Publisher.DB_IP, "dbip-asn-lite", "ASN"),
        Source("geolite2-country", Publisher.MAXMIND, "GeoLite2-Country", "Country"),
        Source("geolite2-city", Publisher.MAXMIND, "GeoLite2-City", "City"),
        Source("geolite2-asn", Publisher.MAXMIND, "GeoLite2-ASN", "ASN"),
    )
}


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """What to fetch, where to put it, and how to get there.

    `source` is a name of `SOURCES`; `destination` the path of the .mmdb file; `timeout` is in seconds, for each connection and
    each wait for octets; `maximum_octets` bounds the download and what it unpacks to; `force` swaps in whatever came, be it
    older, the same, or of another kind. An empty `base_url` means the publisher's, an empty `proxy` what the environment says
    (HTTPS_PROXY and its kin).
    """

    source: str
    destination: Path
    account: str = ""
    licence_key: str = field(default="", repr=False)
    base_url: str = field(default="", repr=False)
    proxy: str = field(default="", repr=False)
    timeout: float = 60.0
    maximum_octets: int = FOUR_GIBIOCTETS
    force: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """One file to ask for: `digest_url` is "" where the publisher tells no digest; `in_tar`: the database is in a tar archive."""

    url: str
    digest_url: str
    in_tar: bool


@dataclass(frozen=True, slots=True)
class Build:
    """What a database says about itself (build time in seconds since 1970), and the size of its file in octets."""

    database_type: str
    build_epoch: int
    node_count: int
    ip_version: int
    octets: int

    @property
    def built(self) -> date:
        """The day of the build, in UTC."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.build_epoch)).date()

    def is_same(self, other: Build) -> bool:
        """Whether both are one build of one database."""
        return (self.database_type, self.build_epoch, self.node_count) == (
            other.database_type,
            other.build_epoch,
            other.node_count,
        )


class Outcome(StrEnum):
    """What became of the file in place."""

    INSTALLED = "installed"
    REPLACED = "replaced"
    NOT_MODIFIED = "not modified"


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What was done: the database that is in place now, where it came from, and the words its licence wants to be shown."""

    outcome: Outcome
    destination: Path
    build: Build
    url: str
    attribution: str

    def __str__(self) -> str:
        database = f"{self.build.database_type} of {self.build.built}"
        match self.outcome:
            case Outcome.NOT_MODIFIED:
                return f"{self.destination}: not modified, {database} is in place already"
            case Outcome.INSTALLED | Outcome.REPLACED:
                size = f"{self.build.octets / 1e6:.1f} MB"
                return f"{self.destination}: {self.outcome}, {database} ({size}, {self.build.node_count:,} nodes)"
            case _:
                assert_never(self.outcome)


def source(name: str) -> Source:
    """The source of that name; `ProblemsFound` when there is none."""
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise _refused(f"there is no database source {name!r}", f"{meant}known are {', '.join(SOURCES)}")
    return SOURCES[name]


def plan(wanted: Source, today: date, base_url: str = "") -> tuple[Download, ...]:
    """What to ask for, the best first; the next one is for when the one before is not there.

    DB-IP names files by month and publishes in the first days of one, so the month before follows. MaxMind has one file, the
    newest.
    """
    base = (base_url or wanted.publisher.base_url).rstrip("/")
    match wanted.publisher:
        case Publisher.DB_IP:
            before = today.replace(day=1) - timedelta(days=1)
            return tuple(
                Download(f"{base}/{wanted.edition}-{month:%Y-%m}.mmdb.gz", "", in_tar=False) for month in (today, before)
            )
        case Publisher.MAXMIND:
            url = f"{base}/{wanted.edition}/download?suffix=tar.gz"
            return (Download(url, f"{url}.sha256", in_tar=True),)
        case _:
            assert_never(wanted.publisher)


def update(request: UpdateRequest, progress: Progress, today: date) -> UpdateResult:
    """Fetch a database and swap it in, if it is another build than the one in place.

    `ProblemsFound`: anything went wrong; the file in place is then what it was before, and nothing is left beside it.
    """
    wanted = source(request.source)
    if problems := _faults(request, wanted):
        raise ProblemsFound(problems)
    try:
        with _workspace(request.destination) as workspace:
            return _Update(request, wanted, workspace).run(progress, today)
    except OSError as error:
        raise ProblemsFound([_disk_problem(request.destination, error)]) from None


def inspect(path: Path, wanted: Source) -> Build:
    """Read a database as far as needed to trust it: metadata, the first 50,000 records and 32,768 others evenly spread.

    `ProblemsFound`: it is no database, an impossible one, one that holds nothing, or not the kind that is wanted.
    """
    try:
        with maxminddb.open_database(path) as reader:
            build, strange = _metadata(reader, path)
            holds_records = not strange and _decode_records(reader, build.ip_version)
    except _UNREADABLE:
        raise _refused(
            "what came is not a readable MaxMind DB file", "try again; if it stays so, the publisher's file is broken"
        ) from None
    if not strange and not holds_records:
        strange = "it holds no record"
    if strange:
        raise _refused(f"the database that came cannot be used: {strange}", "ask the publisher, or try another source")
    if wanted.holds.casefold() not in build.database_type.casefold():
        raise _refused(
            f"asked for {wanted.edition}, but what came calls itself {build.database_type!r}",
            "check the base URL: it serves another database under this name",
        )
    return build


class _Update:
    """One run: its request, and the private directory beside the destination."""

    def __init__(self, request: UpdateRequest, wanted: Source, workspace: Path) -> None:
        self.request = request
        self.wanted = wanted
        self.packed = workspace / "packed"
        self.unpacked = workspace / "unpacked.mmdb"
        self.licence = workspace / "licence"

    def run(self, progress: Progress, today: date) -> UpdateResult:
        """Download, unpack, verify, swap."""
        candidates = plan(self.wanted, today, self.request.base_url)
        with _client(self.request, self.wanted) as client:
            download = self._fetch_first(client, candidates, progress)
        _unpack(self.packed, self.unpacked, download, self.request.maximum_octets)
        self.packed.unlink()
        build = inspect(self.unpacked, self.wanted)
        destination = self.request.destination
        in_place = _in_place(destination)
        if in_place and not self.request.force:
            _refuse_step_back(destination, in_place, build, self.wanted)
        if in_place and build.is_same(in_place) and not self.request.force:
            outcome = Outcome.NOT_MODIFIED
        else:
            outcome = Outcome.REPLACED if destination.exists() else Outcome.INSTALLED
            self._swap(destination)
        return UpdateResult(outcome, destination, build, _shown(download.url), self.wanted.publisher.attribution)

    def _fetch_first(self, client: httpx.Client, candidates: tuple[Download, ...], progress: Progress) -> Download:
        for download in candidates:
            status, digest = _receive(client, download.url, self.packed, progress, self.request.maximum_octets)
            if status == httpx.codes.OK:
                if download.digest_url:
                    self._check_digest(client, download, digest)
                return download
            refusal = _refusal(status, download.url, self.wanted)
            if status != httpx.codes.NOT_FOUND:
                break
        raise ProblemsFound([refusal])

    def _check_digest(self, client: httpx.Client, download: Download, digest: str) -> None:
        file = self.packed.with_name("digest")
        status, _ = _receive(client, download.digest_url, file, _unseen, _DIGEST_OCTETS)
        if status != httpx.codes.OK:
            raise ProblemsFound([_refusal(status, download.digest_url, self.wanted)])
        told = _SHA256.match(file.read_text("ascii", "replace"))
        if not told:
            raise _refused(f"{_shown(download.digest_url)} tells no SHA-256 digest", "check the base URL")
        if told[1].lower() != digest:
            raise _refused(
                f"the digest of {_shown(download.url)} is not the one its publisher tells: {digest}, not {told[1]}",
                "try again; if it stays so, something on the way alters the file",
            )

    def _swap(self, destination: Path) -> None:
        """Put licence and database in place, each whole or not at all, and on the disk before anyone is told."""
        publisher = self.wanted.publisher
        self.licence.write_text(f"{destination.name}: {self.wanted.edition} by {publisher}\n\n{publisher.attribution}\n")
        if destination.exists():
            self.unpacked.chmod(stat.S_IMODE(destination.stat().st_mode))
        _sync(self.licence)
        _sync(self.unpacked)
        self.licence.replace(destination.with_name(f"{destination.name}.LICENSE"))
        self.unpacked.replace(destination)
        _sync(destination.parent)


def _unseen(_received: int, _total: int | None) -> None:
    """The progress of a file too small to show any."""


def _faults(request: UpdateRequest, wanted: Source) -> list[Problem]:
    """Everything that makes a request hopeless before a single octet is sent."""
    problems = []
    if wanted.publisher is Publisher.MAXMIND and not (request.account and request.licence_key):
        missing = "licence key" if request.account else "account number"
        remedy = "both are made, free of charge, at https://www.maxmind.com/en/geolite2/signup; DB-IP needs neither"
        problems.append(Problem("", 0, f"{wanted.name} needs a MaxMind account; the {missing} is not set", remedy))
    for name, url in (("base URL", request.base_url), ("proxy", request.proxy)):
        if url and not _is_http(url):  # not shown: there may be a password in it
            problems.append(Problem("", 0, f"the {name} is no http or https URL", "write http://host:port"))
    if request.destination.is_dir():
        problems.append(Problem(str(request.destination), 0, "is a directory", "name the .mmdb file to write"))
    elif not request.destination.parent.is_dir():
        remedy = f"mkdir -p {request.destination.parent}"
        problems.append(Problem(str(request.destination), 0, "the directory it shall be in does not exist", remedy))
    return problems


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _client(request: UpdateRequest, wanted: Source) -> httpx.Client:
    is_maxmind = wanted.publisher is Publisher.MAXMIND
    try:
        return httpx.Client(
            auth=httpx.BasicAuth(request.account, request.licence_key) if is_maxmind else None,
            headers={"User-Agent": "geodns", "Accept-Encoding": "identity"},
            proxy=request.proxy or None,
            timeout=request.timeout,
            follow_redirects=True,  # MaxMind answers with a signed address at another host; the key is not sent there
        )
    except (ValueError, ImportError):  # of the environment: the request's own proxy has been looked at
        raise _refused("the environment names a proxy that cannot be used", "set HTTPS_PROXY=http://host:port") from None


def _receive(client: httpx.Client, url: str, target: Path, progress: Progress, maximum_octets: int) -> tuple[int, str]:
    """Stream one file to disk; gives the status, and the SHA-256 of the octets where the status is 200."""
    digest = hashlib.sha256()
    received = 0
    with _network(url), client.stream("GET", url) as response, target.open("wb") as file:
        if response.status_code != httpx.codes.OK:
            return response.status_code, ""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        for chunk in response.iter_raw(_CHUNK):  # raw: some servers call a .gz file's own packing a transfer coding
            received += len(chunk)
            if received > maximum_octets:
                raise _too_big(url, maximum_octets)
            digest.update(chunk)
            file.write(chunk)
            progress(received, total)
    return httpx.codes.OK, digest.hexdigest()


@contextlib.contextmanager
def _network(url: str) -> Iterator[None]:
    """Turns what the network does into a problem with a remedy."""
    shown = _shown(url)
    try:
        yield
    except httpx.ProxyError as error:
        problem = _refused(f"the proxy does not let us reach {shown}: {error}", "check the proxy's address and password")
    except httpx.TimeoutException:
        problem = _refused(f"{shown} does not answer in time", "try again, or allow a longer timeout")
    except httpx.ConnectError as error:
        problem = _refused(f"cannot connect for {shown}: {error}", "check the network, the base URL and the proxy")
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
        problem = _refused(f"the connection broke before all of {shown} had come", "try again")
    except httpx.TooManyRedirects:
        problem = _refused(f"{shown} redirects in a circle", "check the base URL")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = _refused(f"cannot fetch {shown}: {type(error).__name__}", "check the base URL and the proxy")
    else:
        return
    raise problem from None


def _refusal(status: int, url: str, wanted: Source) -> Problem:
    """What a status other than 200 means to the operator."""
    keyed = wanted.publisher is Publisher.MAXMIND
    match status:
        case 401 if keyed:
            remedy = "set the account number and its licence key; a new key takes some minutes to be known"
        case 407:
            remedy = "the proxy wants a password: write it as http://user:password@host:port"
        case 403 | 429:
            remedy = "wait a day: the publisher limits downloads"
            if keyed:
                remedy += f"; or the account has not agreed to the terms of {wanted.edition}"
        case 404:
            remedy = "check the base URL, and that this machine's date is right"
        case _ if status >= 500:
            remedy = "the server is in trouble: try again later"
        case _:
            remedy = "check the base URL and the proxy"
    reason = httpx.codes.get_reason_phrase(status)
    return Problem("", 0, f"{_shown(url)} answered {status} {reason}".rstrip(), remedy)


class _Bounded:
    """Reads a gzip file and gives up when it unpacks to more than it may: a small bomb must not fill the disk."""

    def __init__(self, packed: IO[bytes], url: str, maximum_octets: int) -> None:
        self._file = gzip.GzipFile(fileobj=packed)
        self._url = url
        self._maximum = maximum_octets
        self._read = 0

    def read(self, size: int) -> bytes:
        octets = self._file.read(size)
        self._read += len(octets)
        if self._read > self._maximum:
            raise _too_big(self._url, self._maximum)
        return octets


def _unpack(packed: Path, target: Path, download: Download, maximum_octets: int) -> None:
    """Unpack the database from a gzip file or from the tar archive in one."""
    url = _shown(download.url)
    with packed.open("rb") as file, target.open("wb") as out:
        if file.read(len(_GZIP_MAGIC)) != _GZIP_MAGIC:
            raise _refused(f"what came from {url} is not packed by gzip", "is it a web page? check base URL and proxy")
        file.seek(0)
        unpacking = _Bounded(file, url, maximum_octets)
        try:
            if download.in_tar:
                _copy_only_database(unpacking, out, url, maximum_octets)
            else:
                _copy(unpacking, out, url, maximum_octets)
            while unpacking.read(_CHUNK):  # to the end, where gzip has its checksum
                pass
        except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError):
            raise _refused(f"what came from {url} is damaged or cut short", "try again") from None


def _copy_only_database(packed: _Bounded, out: IO[bytes], url: str, maximum_octets: int) -> None:
    """Copy the one .mmdb member. Members' names are never used as paths, so an archive cannot write anywhere else."""
    found = 0
    with tarfile.open(fileobj=packed, mode="r|") as archive:  # type: ignore[call-overload]  # it needs read() only
        for member in archive:
            if not (member.isreg() and member.name.endswith(".mmdb")):
                continue
            found += 1
            content = archive.extractfile(member) if found == 1 else None
            if content is not None:
                _copy(content, out, url, maximum_octets)
    if found != 1:
        raise _refused(f"the archive from {url} holds {found} .mmdb files, not one", "check the base URL")


def _copy(content: _Bounded | IO[bytes], out: IO[bytes], url: str, maximum_octets: int) -> None:
    copied = 0
    while chunk := content.read(_CHUNK):
        copied += len(chunk)
        if copied > maximum_octets:  # a sparse tar member is larger than all that was unpacked
            raise _too_big(url, maximum_octets)
        out.write(chunk)


def _metadata(reader: maxminddb.Reader, path: Path) -> tuple[Build, str]:
    """What a database says about itself, and what of it cannot be ("" when all is well)."""
    meta = reader.metadata()
    build = Build(meta.database_type, meta.build_epoch, meta.node_count, meta.ip_version, path.stat().st_size)
    if meta.binary_format_major_version != 2:
        return build, f"its format is version {meta.binary_format_major_version}, not 2"
    if meta.ip_version not in (4, 6):
        return build, f"its IP version is {meta.ip_version}"
    return build, "its search tree is empty" if meta.node_count < 1 else ""


def _decode_records(reader: maxminddb.Reader, ip_version: int) -> bool:
    """Decode records, which raises at a broken one; whether there was any."""
    found = False
    for _network, record in itertools.islice(reader, _FIRST_RECORDS):
        found = found or bool(record)
    step4, step6 = (1 << 32) // _SPREAD_LOOKUPS, (1 << 125) // _SPREAD_LOOKUPS
    for index in range(_SPREAD_LOOKUPS):
        found = bool(reader.get(IPv4Address(index * step4))) or found
        if ip_version == 6:
            found = bool(reader.get(IPv6Address((1 << 125) + index * step6))) or found  # 2000::/3
    return found


def _in_place(destination: Path) -> Build | None:
    """The build in place; None when no readable database is there, which any new one betters."""
    if not destination.exists():
        return None
    try:
        with maxminddb.open_database(destination) as reader:
            return _metadata(reader, destination)[0]
    except _UNREADABLE:
        return None


def _refuse_step_back(destination: Path, old: Build, new: Build, wanted: Source) -> None:
    if wanted.holds.casefold() not in old.database_type.casefold():
        raise ProblemsFound(
            [
                Problem(
                    str(destination),
                    0,
                    f"holds {old.database_type}, another kind than {wanted.name}",
                    "name another file, or force it",
                )
            ]
        )
    if old.database_type == new.database_type and new.build_epoch < old.build_epoch:
        message = f"holds the build of {old.built}, newer than the one of {new.built} that came"
        raise ProblemsFound([Problem(str(destination), 0, message, "keep it, or force the older one")])


@contextlib.contextmanager
def _workspace(destination: Path) -> Iterator[Path]:
    """A private directory on the destination's file system, held by one process at a time and gone at the end.

    Its name is fixed, so that what a killed run left behind is found, and removed, by the next one.
    """
    workspace = destination.with_name(f".{destination.name}.update")
    workspace.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(handle), workspace.stat()):  # the run before removed it meanwhile
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise _refused(f"another update of {destination} is running", "wait for it to end") from None
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace)
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk_problem(destination: Path, error: OSError) -> Problem:
    if error.errno in _NO_ROOM:
        remedy = "make room: packed and unpacked file are both there for a while, beside the old one"
        return Problem(str(destination), 0, f"no room to write it: {error.strerror}", remedy)
    remedy = "let this user write to the directory, or name a file elsewhere"
    return Problem(str(destination), 0, f"cannot be written: {error.strerror}", remedy)


def _too_big(url: str, maximum_octets: int) -> ProblemsFound:
    message = f"what came from {_shown(url)} has more than {maximum_octets:,} octets"
    return _refused(message, "if that is right, allow more; no published database is so large")


def _refused(message: str, remedy: str) -> ProblemsFound:
    return ProblemsFound([Problem("", 0, message, remedy)])


def _shown(url: str) -> str:
    """A URL as messages may show it: without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)

"""Owns the reading of master files (RFC 1035 §5): text to records, every fault with its line; refuses to judge the zone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import dns.exception
import dns.ipv4
import dns.ipv6
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.ttl

from geodns.problem import Problem
from geodns.wire import names
from geodns.wire.names import ROOT, Name
from geodns.wire.records import Type
from geodns.zone.records import MAX_STRING, UINT16, rdtype_of, type_text

MAX_GENERATED = 65_536  # records of one $GENERATE line: a /16 of addresses
MAX_DEPTH = 10  # files open at once through $INCLUDE
MAX_RDATA = 65_535  # octets, RDLENGTH has 16 bits
MAX_WIDTH = 127  # digits a $GENERATE modifier may ask for, as in BIND
IN = dns.rdataclass.IN

ELSEWHERE = {
    "ALIAS": "write the addresses, or a POOL record: aliases beside other data are not followed",
    "ANAME": "write the addresses, or a POOL record: aliases beside other data are not followed",
    "DYNA": "write a POOL record",
    "DYNC": "write a CNAME record, and GEO records with other CNAMEs",
    "LUA": "write GEO or POOL records: zones hold no programs",
}
"""Types of other servers, and what stands for them here."""

EXPECTED = {
    Type.A: "an IPv4 address such as 192.0.2.1",
    Type.AAAA: "an IPv6 address such as 2001:db8::1",
    Type.NS: "one host name",
    Type.CNAME: "one name",
    Type.PTR: "one name",
    Type.DNAME: "one name",
    Type.MX: "a preference and a host name: 10 mail.example.com.",
    Type.TXT: "quoted strings of at most 255 octets each",
    Type.SRV: "priority, weight, port and host name: 0 5 443 www.example.com.",
    Type.SOA: "primary, mailbox, then serial, refresh, retry, expire and minimum",
    Type.GEO: "a selector, a type and its data: continent:EU A 192.0.2.1",
    Type.POOL: "the name of one pool",
    Type.WHOAMI: "nothing behind the type",
    Type.SVCB: "priority, target and parameters: 1 . alpn=h2",
    Type.HTTPS: "priority, target and parameters: 1 . alpn=h2",
}
"""What RDATA looks like, for remedies."""

_COMPLEX = re.compile(r'[()"\\]')
_MARK = re.compile(
    r'(?P<kept>\\.|"(?:[^"\\\n]|\\.)*")|(?P<quote>"[^\n]*)|(?P<escape>\\(?=\n|\Z))|(?P<comment>;[^\n]*)|(?P<open>\()|(?P<close>\))|(?P<newline>\n)'
)
_NEXT_OWNER = re.compile(r"\n(?=[^ \t\n;)])")
_FIELD = re.compile(r'[ \t]*((?:[^ \t"\\]|\\.)+)')
_IN_ZONES = [name for name, value in dns.rdatatype.RdataType.__members__.items() if 0 < value < 128 or value > 255]
_NO_TEXT = {
    b"\x1f\x8b": ("is packed by gzip", "unpack it"),
    b"\xff\xfe": ("is UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("is UTF-16 text", "save it as UTF-8"),
}
_SHELL_COMMENT = re.compile(r'#|[^"\n]{0,500}[ \t]#(\s|\Z)')
_RANGE = re.compile(r"([0-9]+)-([0-9]+)(?:/([0-9]+))?")
_ITERATOR = re.compile(r"\\.|\$\$|\$(\{[^}]*\}?)?")
_MODIFIER = re.compile(r"\{([+-]?[0-9]+)(?:,([0-9]+)(?:,([doxXnN]))?)?\}")
_QUOTED_DATA = re.compile(r'([^"]*[ \t])"((?:[^"\\]|\\.)*)"[ \t]*')
_ONE_NAME = (Type.NS, Type.CNAME, Type.PTR, Type.DNAME)
_BARE = re.compile(r"[A-Za-z0-9._*@/-]+")
_BARE_GEO = re.compile(r"([A-Za-z0-9:./_+-]+)[ \t]+([A-Za-z0-9-]+)[ \t]+(.*)")
_VAGUE = ("", "Text input is malformed.", "Text input ended unexpectedly.", "expecting an identifier")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a master file.

    `ttl` in seconds, `rdata` uncompressed wire octets with the case kept, `line` the first line of the record in `file`.
    """

    owner: Name
    rdtype: int
    ttl: int
    rdata: bytes
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """What a master file holds: every record that could be read, and a problem for each that could not."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]


class _Fault(Exception):
    """One line cannot be read; the reader gives it file and line and goes on with the next."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def read(path: Path, origin: Name) -> ZoneFile:
    """Read a master file and what it includes; raises nothing, for every fault is one of the `problems`.

    `$INCLUDE` reads only files in the directory of `path`, symbolic links resolved, and takes its paths from there.
    """
    try:
        text = _text_of(path)
    except _Fault as fault:
        return ZoneFile((), (Problem(str(path), 0, fault.message, fault.remedy),))
    reader = _Reader(path)
    reader.read(text, _Scope(str(path), origin))
    return ZoneFile(tuple(reader.records), tuple(reader.problems))


def parse_text(text: str, origin: Name, file: str = "<text>") -> ZoneFile:
    """Read master file text; `$INCLUDE` in it is a problem, for there is no directory to read from."""
    reader = _Reader(None)
    reader.read(_unix(text), _Scope(file, origin))
    return ZoneFile(tuple(reader.records), tuple(reader.problems))


def included_by(path: Path) -> list[str]:
    """What the `$INCLUDE` lines of a file name, as reading it would find them; nothing where it cannot be read."""
    try:
        text = _text_of(path)
    except _Fault:
        return []
    found = []
    for _number, flat, fault in _flat_lines(text) if "$include" in text.lower() else ():
        if not fault and flat.split(None, 1)[0].upper() == "$INCLUDE" and flat[0] == "$":
            try:
                found.append(_words(flat, 1, 2, "$INCLUDE hosts.zone")[0])
            except _Fault:
                continue
    return found


def origin_of(path: Path) -> Name | None:
    """Guess a file's origin, None if nothing tells it.

    The owner of its first SOA where that is absolute by itself or by `$ORIGIN`; else its first `$ORIGIN`; else the file's
    name without a `db.` start or a `.zone`, `.db` or `.txt` ending.
    """
    try:
        text = _text_of(path)
    except _Fault:
        text = ""
    stated = _origin_in(text)
    if stated is not None:
        return stated
    try:
        return names.from_text(re.sub(r"\.(zone|db|txt)$", "", path.name.removeprefix("db.")))
    except ValueError:
        return None


def _origin_in(text: str) -> Name | None:
    current: Name | None = None
    first: Name | None = None
    owner = ""
    for _number, flat, _fault in _flat_lines(text):
        words = flat.split()
        if flat[0] not in " \t":
            owner = words[0]
        try:
            if owner.upper() == "$ORIGIN" and len(words) > 1:
                if words[1].endswith(".") or current is not None:
                    current = names.from_text(words[1], current or ROOT)
                    first = first or current
            elif "SOA" in map(str.upper, words[:4]) and owner and (owner.endswith(".") or current is not None):
                return names.from_text(owner, current or ROOT)
        except ValueError:
            continue
    return first


def _unix(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _text_of(path: Path) -> str:
    """The text of a file with Unix line ends; raises _Fault where there is none."""
    try:
        if path.is_dir():
            raise _Fault("is a directory, not a zone file", "name the file in it")
        if path.exists() and not path.is_file():
            raise _Fault("is no regular file", "name a file that holds the zone's text")
        octets = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise _Fault(f"cannot be read: {reason}", "check the path, and that the server's user may read it") from None
    except ValueError:
        raise _Fault("is no path that a file can have", "remove the NUL octet from it") from None
    if octets[:2] in _NO_TEXT:
        raise _Fault(*_NO_TEXT[octets[:2]])
    if b"\0" in octets:
        line = octets.count(b"\n", 0, octets.index(b"\0")) + 1
        raise _Fault(f"holds a NUL octet on line {line}", "a zone file is text; write such octets as \\000")
    try:
        return _unix(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        line, octet = octets.count(b"\n", 0, error.start) + 1, octets[error.start]
        raise _Fault(
            f"is not UTF-8 text: octet 0x{octet:02x} on line {line}", f"save it as UTF-8, or write \\{octet:03d}"
        ) from None


def _flat_lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Cut text into records: (first line, the record on one line without parentheses and comments, fault or "").

    Finding where a record ends before reading it is what keeps a fault in one record from swallowing the next.
    """
    at, number, size = 0, 1, len(text)
    last_closing = text.rfind(")")
    while at < size:
        end = text.find("\n", at)
        if end < 0:
            end = size
        flat, fault = text[at:end], ""
        if _COMPLEX.search(flat) is None:
            flat = flat.partition(";")[0]
        else:
            flat, fault, end = _flatten(text, at, last_closing)
        if fault or (flat and not flat.isspace()):
            yield number, flat or " ", fault
        number += text.count("\n", at, end) + 1
        at = end + 1


def _flatten(text: str, at: int, last_closing: int) -> tuple[str, str, int]:
    """One record that begins at `at`: its text on one line, its fault or "", and where its last line ends.

    `last_closing` is where the text has its last closing parenthesis: what is opened behind it is not looked for to the end.
    """
    pieces, depth, fault, start = [], 0, "", at
    for match in _MARK.finditer(text, at):
        kind = match.lastgroup
        if kind == "kept":
            continue
        pieces.append(text[start : match.start()])
        start = match.end()
        if kind == "newline" and not depth:
            return _join(pieces), fault, match.start()
        if kind == "quote":
            fault = fault or "a quoted string does not end on its line"
        elif kind == "escape":
            fault = fault or "a backslash at the end of a line has nothing to escape"
        elif kind == "open":
            depth += 1
            if match.start() > last_closing:
                break
        elif kind == "close" and depth:
            depth -= 1
        elif kind == "close":
            fault = fault or "a closing parenthesis without an opening one"
    if not depth:
        return _join([*pieces, text[start:]]), fault, len(text)
    following = _NEXT_OWNER.search(text, at)  # all to the end of the file is in doubt: the next owner ends the record
    end = following.start() if following else len(text)
    return text[at : text.find("\n", at, end)], "an opening parenthesis that is never closed", end


def _join(pieces: list[str]) -> str:
    joined = " ".join(pieces)
    return joined if pieces[0] else joined.lstrip()  # a parenthesis in the first column is no blank


@dataclass(slots=True)
class _Scope:
    """What a file's own lines say about the lines that follow; an included file has its own."""

    file: str
    origin: Name
    owner: Name | None = None  # None: the last owner stated could not be read
    owner_stated: bool = False
    dns_origin: dns.name.Name = dns.name.root
    owners: dict[str, Name] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.enter(self.origin)

    def enter(self, origin: Name) -> None:
        self.origin = origin
        self.dns_origin = dns.name.from_wire(bytes(origin), 0)[0]
        self.owners = {"@": origin}


class _Reader:
    """Reads one zone's files; TTL defaults run on through included files, as in BIND and NSD."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.records: list[Record] = []
        self.problems: list[Problem] = []
        self.types: dict[str, int] = {}
        self.open_files: list[Path] = [] if path is None else [path.resolve()]
        self.default_ttl: int | None = None  # None: no $TTL so far
        self.last_ttl: int | None = None  # None: no TTL stated so far
        self.soa_minimum: int | None = None  # None: no SOA so far

    def read(self, text: str, scope: _Scope) -> None:
        for number, flat, fault in _flat_lines(text):
            try:
                if flat[0] != "$":
                    rest = self.owner(flat, scope)
                    if not fault:
                        self.record(rest, scope, number)
                elif not fault:
                    self.directive(flat, scope, number)
                if fault:
                    raise _Fault(fault, 'balance it, or write \\( \\) \\" for the character itself')
            except _Fault as found:
                remedy = "a comment begins with ;" if not fault and _SHELL_COMMENT.match(flat) else found.remedy
                self.problems.append(Problem(scope.file, number, found.message, remedy))

    def owner(self, flat: str, scope: _Scope) -> str:
        """Take the owner from the start of a record; returns the rest."""
        if flat[0] in " \t":
            if not scope.owner_stated:
                raise _Fault("no owner: the line begins with a blank", "begin it with a name, or @ for the origin")
            return flat
        scope.owner_stated = True
        match = _FIELD.match(flat)
        text = match[1] if match else ""
        owner = scope.owners.get(text)
        if owner is None:
            scope.owner = None
            try:
                owner = scope.owners[text] = names.from_text(text, scope.origin)
            except ValueError as error:
                raise _Fault(f"'{text}' is no domain name: {error}", "correct the owner name") from None
        scope.owner = owner
        return flat[match.end() :] if match else flat

    def record(self, rest: str, scope: _Scope, number: int) -> None:
        """Read what follows the owner: TTL and class in any order, type, RDATA (RFC 1035 §5.1)."""
        stated, rdtype, text = self.head(rest)
        try:
            rdata = _rdata(rdtype, text, scope)
        except _Fault:
            if rdtype == Type.SOA and self.soa_minimum is None:
                self.soa_minimum = 0  # the SOA is reported; that later records lack its default is no second fault
            raise
        if rdtype == Type.SOA and self.soa_minimum is None:
            self.soa_minimum = int.from_bytes(rdata[-4:], "big")
        ttl = self.implied_ttl() if stated is None else stated
        if scope.owner is not None:
            self.records.append(Record(scope.owner, rdtype, ttl, rdata, scope.file, number))

    def head(self, rest: str) -> tuple[int | None, int, str]:
        """TTL (None: not stated), type, and the text of the RDATA."""
        ttl: int | None = None
        in_class = False
        at = 0
        while match := _FIELD.match(rest, at):
            word, at = match[1], match.end()
            if ttl is None and "0" <= word[0] <= "9":
                self.last_ttl = ttl = _ttl(word)
            elif word in ("IN", "in") and not in_class:
                in_class = True
            else:
                rdtype = self.types.get(word)
                if rdtype is None:
                    if not in_class and _is_in(word):
                        in_class = True
                        continue
                    rdtype = self.types[word] = _type(word)
                return ttl, rdtype, rest[at:].strip(" \t")
        raise _Fault("no type: the record ends too early", "write owner, TTL, type and data: www 300 A 192.0.2.1")

    def implied_ttl(self) -> int:
        """RFC 2308 §4: $TTL, else the last TTL stated (RFC 1035 §5.1), else the SOA's MINIMUM."""
        for ttl in (self.default_ttl, self.last_ttl, self.soa_minimum):
            if ttl is not None:
                return ttl
        raise _Fault("no TTL is known for this record", "state one, or write $TTL 300 at the top of the file")

    def directive(self, flat: str, scope: _Scope, number: int) -> None:
        """Obey one line that begins with a dollar sign."""
        match flat.split(None, 1)[0].upper():
            case "$TTL":
                self.default_ttl = self.default_ttl or 0  # a faulty $TTL is one fault, not one for each record after it
                self.default_ttl = _ttl(_words(flat, 1, 1, "$TTL 300")[0])
            case "$ORIGIN":
                scope.enter(_name(_words(flat, 1, 1, "$ORIGIN example.com.")[0], scope.origin))
            case "$INCLUDE":
                self.include(_words(flat, 1, 2, "$INCLUDE hosts.zone"), scope)
            case "$GENERATE":
                self.generate(flat, scope, number)
            case other:
                known = ("$TTL", "$ORIGIN", "$INCLUDE", "$GENERATE")
                raise _Fault(f"unknown directive '{other}'", _near(other, known) or f"known are {', '.join(known)}")

    def include(self, words: list[str], scope: _Scope) -> None:
        """Read another file in place (RFC 1035 §5.1); it changes neither this file's origin nor its last owner."""
        if self.path is None:
            raise _Fault("$INCLUDE where there is no directory to read from", "put the records here")
        origin = _name(words[1], scope.origin) if len(words) > 1 else scope.origin
        shown = self.path.parent / words[0]
        try:
            target, directory = shown.resolve(), self.path.resolve().parent
        except (OSError, ValueError, RuntimeError):
            raise _Fault(f"$INCLUDE {words[0]}: is no path to a file", "correct the path") from None
        if not target.is_relative_to(directory):
            raise _Fault(f"$INCLUDE {words[0]}: is outside the zone file's directory", "move the file into it")
        if target in self.open_files:
            raise _Fault(f"$INCLUDE {words[0]}: includes itself", "remove this line")
        if len(self.open_files) >= MAX_DEPTH:
            raise _Fault(f"$INCLUDE {words[0]}: more than {MAX_DEPTH} files deep", "include from fewer levels")
        try:
            text = _text_of(target)
        except _Fault as fault:
            raise _Fault(f"$INCLUDE {words[0]}: {fault.message}", fault.remedy) from None
        self.open_files.append(target)
        self.read(text, _Scope(str(shown), origin, scope.owner, scope.owner_stated))
        self.open_files.pop()

    def generate(self, flat: str, scope: _Scope, number: int) -> None:
        """Make records from a template (`$GENERATE 1-9 host$ A 192.0.2.$`), with BIND's modifiers."""
        remedy = "write $GENERATE 1-9 host$ A 192.0.2.$"
        parts = flat.split(None, 2)
        found = _RANGE.fullmatch(parts[1]) if len(parts) == 3 else None
        if found is None:
            raise _Fault("$GENERATE without a range and a record", remedy)
        if max(map(len, parts[1].split("-"))) > 20:
            raise _Fault(f"$GENERATE {parts[1]}: numbers of so many digits", remedy)
        start, stop, step = int(found[1]), int(found[2]), int(found[3] or 1)
        if start > stop or not step:
            raise _Fault(f"$GENERATE {parts[1]}: an empty range", "write START-STOP or START-STOP/STEP, upwards")
        if (stop - start) // step >= MAX_GENERATED:
            raise _Fault(f"$GENERATE {parts[1]}: more than {MAX_GENERATED} records", "split the range or narrow it")
        template = parts[2]
        if quoted := _QUOTED_DATA.fullmatch(template):
            template = quoted[1] + quoted[2]  # as in BIND, quotes hold all of the RDATA together: MX "10 mail$"
        owner, stated = scope.owner, scope.owner_stated
        for counter in range(start, stop + 1, step):
            self.record(self.owner(_substitute(template, counter), scope), scope, number)
        scope.owner, scope.owner_stated = owner, stated


def _is_in(word: str) -> bool:
    """Whether a word is the class IN; raises _Fault for another class."""
    upper = word.upper()
    if upper in ("IN", "CLASS1"):
        return True
    if upper in ("CH", "HS", "CHAOS", "HESIOD", "NONE") or re.fullmatch("CLASS[0-9]+", upper):
        raise _Fault(f"class {upper}, but only IN is served", "remove the record, or write IN")
    return False


def _ttl(word: str) -> int:
    try:
        return dns.ttl.from_text(word)
    except (dns.ttl.BadTTL, ValueError):
        raise _Fault(
            f"'{word[:40]}' is neither a TTL nor a type", "a TTL is seconds up to 2147483647, or units such as 1h30m"
        ) from None


def _name(word: str, origin: Name) -> Name:
    try:
        return names.from_text(word, origin)
    except ValueError as error:
        raise _Fault(f"'{word}' is no domain name: {error}", "correct the origin") from None


def _words(flat: str, least: int, most: int, example: str) -> list[str]:
    """What follows a directive."""
    try:
        tokens = dns.tokenizer.Tokenizer(flat).get_remaining()[1:]
        words = [str(token.unescape().value if token.is_quoted_string() else token.value) for token in tokens]
    except dns.exception.DNSException:
        raise _Fault(f"{flat.split()[0]} is followed by text that cannot be read", f"write {example}") from None
    if not least <= len(words) <= most or not all(words):
        raise _Fault(f"{flat.split()[0]} is followed by {len(words)} words", f"write {example}")
    return words


def _type(word: str) -> int:
    try:
        rdtype = dns.rdatatype.from_text(word)
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        upper = word.upper()
        near = _near(upper, [found.name for found in EXPECTED]) or _near(upper, _IN_ZONES)
        remedy = ELSEWHERE.get(upper) or near or "write a type such as A, or TYPE123 with generic data (RFC 3597)"
        raise _Fault(f"unknown type '{word}'", remedy) from None
    if int(rdtype) in (0, Type.OPT) or 128 <= rdtype <= 255:  # RFC 6895 §3.1: Q and meta types
        raise _Fault(f"type {rdtype.name} is for messages, not for zones", "remove the record")
    return int(rdtype)


def _near(word: str, known: Iterable[str]) -> str:
    # A shorter candidate first: "AA" is more often a doubled A than half an AAAA.
    near = sorted(difflib.get_close_matches(word, list(known)), key=len)
    return f"did you mean {' or '.join(near[:2])}?" if near else ""


def _rdata(rdtype: int, text: str, scope: _Scope) -> bytes:
    """RDATA text to uncompressed octets."""
    try:
        wire = _plain_rdata(rdtype, text, scope)
        if not wire:
            wire = dns.rdata.from_text(IN, rdtype_of(rdtype), text, scope.dns_origin, relativize=False).to_wire() or b""
    except (dns.exception.DNSException, ValueError) as error:
        _complain(rdtype, text, error)
    if len(wire) > MAX_RDATA:
        raise _Fault(f"{len(wire)} octets of data, more than {MAX_RDATA}", "divide it among several records")
    return wire


def _plain_rdata(rdtype: int, text: str, scope: _Scope) -> bytes:
    """The commonest forms by the functions that dnspython itself ends in, three times as fast; b"" for all others."""
    try:
        if rdtype == Type.A:
            return dns.ipv4.inet_aton(text)
        if rdtype == Type.AAAA:
            return dns.ipv6.inet_aton(text)
        if rdtype in _ONE_NAME and _BARE.fullmatch(text):
            return dns.name.from_text(text, scope.dns_origin).to_wire() or b""
        if rdtype == Type.GEO and (found := _BARE_GEO.fullmatch(text)):
            selector, covered = found[1].encode(), _type(found[2])
            if covered != Type.GEO and len(selector) <= MAX_STRING and (inner := _plain_rdata(covered, found[3], scope)):
                return bytes((len(selector),)) + selector + UINT16.pack(covered) + inner
    except (dns.exception.DNSException, _Fault):
        return b""  # dnspython's own parser finds the words for it, or reads the generic form
    return b""


def _complain(rdtype: int, text: str, error: Exception) -> NoReturn:
    kind = type_text(rdtype)
    expected = EXPECTED.get(Type(rdtype)) if rdtype in Type.__members__.values() else None
    remedy = f"write {expected}" if expected else f"write the data as the definition of {kind} says"
    if not text:
        raise _Fault(f"a record of type {kind} without data", remedy) from None
    if rdtype == Type.GEO and (found := _BARE_GEO.fullmatch(text)) and (covered := _type(found[2])) != Type.GEO:
        _complain(covered, found[3], error)
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    # What dnspython wraps is a Python error, which tells an operator nothing.
    detail = "" if error.__cause__ is not None else str(error)
    if detail.startswith("expected EOL"):
        raise _Fault(f"'{shown}' is more than {kind} data holds", remedy) from None
    told = "" if detail in _VAGUE or "expect" in detail else f": {detail.rstrip('.')}"
    raise _Fault(f"'{shown}' is no {kind} data{told}", remedy) from None


def _substitute(template: str, counter: int) -> str:
    """Put a counter into a $GENERATE template; `$$` is a dollar sign, an escape stays as it is."""
    return _ITERATOR.sub(lambda match: _iterated(match, counter), template)


def _iterated(match: re.Match[str], counter: int) -> str:
    if match[0][0] == "\\":
        return match[0]
    if match[0] == "$$":
        return "$"
    if match[1] is None:
        return str(counter)
    modifier = _MODIFIER.fullmatch(match[1])
    if modifier is None or len(modifier[1]) > 20 or len(modifier[2] or "") > 3 or int(modifier[2] or 0) > MAX_WIDTH:
        raise _Fault(f"$GENERATE: '${match[1]}' is no modifier", "write ${OFFSET,WIDTH,BASE}, BASE one of d o x X n N")
    value, width, base = counter + int(modifier[1]), int(modifier[2] or 0), modifier[3] or "d"
    if base not in "nN":
        return format(value, base).zfill(width)
    if value < 0:
        raise _Fault(f"$GENERATE: '${match[1]}' makes a negative number of nibbles", "raise the offset")
    nibbles = format(value, "x" if base == "n" else "X").zfill((width + 1) // 2)
    # The width counts the dots too, so an even one ends in a dot (BIND's documentation of $GENERATE).
    return ".".join(reversed(nibbles)) + ("." if 2 * len(nibbles) == width else "")

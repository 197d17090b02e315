"""Owns the private record types GEO, POOL and WHOAMI for dnspython, text and wire; refuses to know what a selector means."""

from __future__ import annotations

import functools
import re
import struct
import sys
from collections.abc import Callable
from typing import Any, Self

import dns.exception
import dns.immutable
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.wire

from geodns.wire.records import Type

MAX_STRING = 255  # octets of a character-string, RFC 1035 §3.3
UINT16 = struct.Struct("!H")

_BARE = re.compile(rb"[A-Za-z0-9:./_+-]+")  # what needs no quotes in a master file

# dnspython leaves these without annotations.
_implementation: Callable[..., type[dns.rdata.Rdata] | None] = dns.rdata.get_rdata_class
_read_generic: Callable[..., dns.rdata.Rdata] = dns.rdata.GenericRdata.from_text


class Malformed(dns.exception.SyntaxError):
    """Text that is no record of these types; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


class MalformedWire(dns.exception.FormError):
    """Octets that are no record of these types; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


def rdtype_of(rdtype: int) -> dns.rdatatype.RdataType:
    """A type as dnspython wants it; raises ValueError outside 0..65535."""
    return dns.rdatatype.RdataType.make(rdtype)


@functools.cache
def type_text(rdtype: int) -> str:
    """The mnemonic of a type, or `TYPEnnn` (RFC 3597 §5); raises ValueError outside 0..65535."""
    return dns.rdatatype.to_text(rdtype_of(rdtype))


def geo_fields(rdata: bytes) -> tuple[str, int, bytes]:
    """Split GEO RDATA: the selector as text, the covered type, and the covered RDATA in uncompressed octets."""
    at = rdata[0] + 1
    (covered,) = UINT16.unpack_from(rdata, at)
    return rdata[1:at].decode("utf-8", "backslashreplace"), covered, rdata[at + 2 :]


def pool_name(rdata: bytes) -> str:
    """The pool that POOL RDATA names."""
    return rdata[1 : rdata[0] + 1].decode("utf-8", "backslashreplace")


def _string_text(octets: bytes) -> str:
    if _BARE.fullmatch(octets):
        return octets.decode("ascii")
    escaped = ("\\" + chr(o) if o in b'"\\' else chr(o) if 0x20 <= o < 0x7F else f"\\{o:03d}" for o in octets)
    return f'"{"".join(escaped)}"'


def _read_string(tok: dns.tokenizer.Tokenizer, what: str) -> bytes:
    token = tok.get()
    if not (token.is_identifier() or token.is_quoted_string()):
        raise Malformed(f"{what} is missing")
    octets = bytes(token.unescape_to_bytes().value)
    if len(octets) > MAX_STRING:
        raise Malformed(f"{what} has {len(octets)} octets, more than {MAX_STRING}")
    return octets


def _read_type(tok: dns.tokenizer.Tokenizer) -> dns.rdatatype.RdataType:
    token = tok.get()
    if not token.is_identifier():
        raise Malformed("the type after the selector is missing")
    try:
        return dns.rdatatype.from_text(token.value)
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise Malformed(f"unknown type '{token.value}' after the selector") from None


def _read_covered(
    rdclass: dns.rdataclass.RdataClass,
    covered: dns.rdatatype.RdataType,
    tok: dns.tokenizer.Tokenizer,
    *names: Any,
) -> dns.rdata.Rdata:
    """Read RDATA up to, not including, the end of the line, which `dns.rdata.from_text` would eat."""
    token = tok.get()
    tok.unget(token)
    if token.is_eol_or_eof():
        raise Malformed(f"the {covered.name} data after the selector is missing")
    if not (token.is_identifier() and token.value == "\\#"):
        implementation = _implementation(rdclass, covered) or dns.rdata.GenericRdata
        return implementation.from_text(rdclass, covered, tok, *names)
    wire = _read_generic(rdclass, covered, tok).to_wire() or b""
    rdata = dns.rdata.from_wire(rdclass, covered, wire, 0, len(wire))
    if rdata.to_wire() != wire:
        raise Malformed("compressed names in the generic form")  # RFC 3597 §4
    return rdata


@dns.immutable.immutable
class GEO(dns.rdata.Rdata):
    """A record that clients of one selector get instead of the plain RRset of the covered type (TYPE65280).

    RDATA: a character-string (the selector), 16 bits (the covered type), the covered RDATA, names uncompressed.
    """

    __slots__ = ["covered", "selector"]

    def __init__(
        self,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        selector: bytes | str,
        covered: dns.rdata.Rdata,
    ) -> None:
        super().__init__(rdclass, rdtype)
        self.selector = self._as_bytes(selector, encode=True, max_length=MAX_STRING)
        if int(covered.rdtype) == Type.GEO:
            raise ValueError("GEO cannot cover GEO")  # nesting would let a peer choose our recursion depth
        self.covered = covered

    def to_styled_text(self, style: dns.rdata.RdataStyle) -> str:
        """Presentation form: selector, type, RDATA; the selector is quoted where it must be."""
        covered = self.covered
        return f"{_string_text(self.selector)} {type_text(covered.rdtype)} {covered.to_styled_text(style)}"

    @classmethod
    def from_text(
        cls,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        tok: dns.tokenizer.Tokenizer,
        origin: Any = None,
        relativize: bool = True,
        relativize_to: Any = None,
    ) -> Self:
        """Read presentation form; raises dns.exception.SyntaxError."""
        selector = _read_string(tok, "the selector")
        covered = _read_type(tok)
        if int(covered) == Type.GEO:
            raise Malformed("GEO cannot cover GEO")
        return cls(rdclass, rdtype, selector, _read_covered(rdclass, covered, tok, origin, relativize, relativize_to))

    def _to_wire(self, file: Any, compress: Any = None, origin: Any = None, canonicalize: bool = False) -> None:  # noqa: ARG002
        file.write(bytes((len(self.selector),)) + self.selector + UINT16.pack(self.covered.rdtype))
        # Never compressed and never lower-cased: to others this type is opaque (RFC 3597 §4 and §7).
        self.covered.to_wire(file, origin=origin)

    @classmethod
    def from_wire_parser(
        cls,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        parser: dns.wire.Parser,
        origin: Any = None,
    ) -> Self:
        """Read octets; raises dns.exception.FormError."""
        selector, covered = parser.get_counted_bytes(), parser.get_uint16()
        if covered == Type.GEO:
            raise MalformedWire("GEO cannot cover GEO")
        return cls(rdclass, rdtype, selector, dns.rdata.from_wire_parser(rdclass, rdtype_of(covered), parser, origin))


@dns.immutable.immutable
class POOL(dns.rdata.Rdata):
    """A record that says: the addresses of this owner come from a pool of the config (TYPE65281).

    RDATA: one character-string, the pool's name.
    """

    __slots__ = ["pool"]

    def __init__(self, rdclass: dns.rdataclass.RdataClass, rdtype: dns.rdatatype.RdataType, pool: bytes | str) -> None:
        super().__init__(rdclass, rdtype)
        self.pool = self._as_bytes(pool, encode=True, max_length=MAX_STRING)

    def to_styled_text(self, style: dns.rdata.RdataStyle) -> str:  # noqa: ARG002
        """Presentation form: the pool's name, quoted where it must be."""
        return _string_text(self.pool)

    @classmethod
    def from_text(
        cls,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        tok: dns.tokenizer.Tokenizer,
        origin: Any = None,  # noqa: ARG003
        relativize: bool = True,  # noqa: ARG003
        relativize_to: Any = None,  # noqa: ARG003
    ) -> Self:
        """Read presentation form; raises dns.exception.SyntaxError."""
        return cls(rdclass, rdtype, _read_string(tok, "the pool's name"))

    def _to_wire(self, file: Any, compress: Any = None, origin: Any = None, canonicalize: bool = False) -> None:  # noqa: ARG002
        file.write(bytes((len(self.pool),)) + self.pool)

    @classmethod
    def from_wire_parser(
        cls,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        parser: dns.wire.Parser,
        origin: Any = None,  # noqa: ARG003
    ) -> Self:
        """Read octets; raises dns.exception.FormError."""
        return cls(rdclass, rdtype, parser.get_counted_bytes())


@dns.immutable.immutable
class WHOAMI(dns.rdata.Rdata):
    """A record that says: who asks for TXT here is told about itself (TYPE65282). RDATA is empty: the owner says it all."""

    __slots__: list[str] = []

    def to_styled_text(self, style: dns.rdata.RdataStyle) -> str:  # noqa: ARG002
        """Presentation form: nothing."""
        return ""

    @classmethod
    def from_text(
        cls,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        tok: dns.tokenizer.Tokenizer,  # noqa: ARG003
        origin: Any = None,  # noqa: ARG003
        relativize: bool = True,  # noqa: ARG003
        relativize_to: Any = None,  # noqa: ARG003
    ) -> Self:
        """Read presentation form: nothing. What follows is left to the caller, who refuses it."""
        return cls(rdclass, rdtype)

    def _to_wire(self, file: Any, compress: Any = None, origin: Any = None, canonicalize: bool = False) -> None:
        """Write nothing."""

    @classmethod
    def from_wire_parser(
        cls,
        rdclass: dns.rdataclass.RdataClass,
        rdtype: dns.rdatatype.RdataType,
        parser: dns.wire.Parser,  # noqa: ARG003
        origin: Any = None,  # noqa: ARG003
    ) -> Self:
        """Read octets: none. What follows is left to the caller, who refuses it."""
        return cls(rdclass, rdtype)


def register() -> None:
    """Teach dnspython these types; a second call changes nothing."""
    module = sys.modules[__name__]
    for rdtype, mnemonic in ((Type.GEO, "GEO"), (Type.POOL, "POOL"), (Type.WHOAMI, "WHOAMI")):
        known = _implementation(dns.rdataclass.IN, rdtype_of(rdtype), use_generic=False)
        if known is None or known is dns.rdata.GenericRdata:
            # The number takes its name when it is made, so dnspython must know the name before it registers the class.
            dns.rdatatype.register_type(rdtype_of(rdtype), mnemonic)
            dns.rdata.register_type(module, rdtype, mnemonic)


register()

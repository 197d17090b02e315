"""Owns the numbers of the DNS registries and the RRset as a value; refuses to know where an RRset comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from geodns.wire.names import Name


class Type(IntEnum):
    """RR types this program treats specially (IANA "Resource Record (RR) TYPEs"); any other is a plain int."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    MB = 7
    MG = 8
    MR = 9
    PTR = 12
    HINFO = 13
    MINFO = 14
    MX = 15
    TXT = 16
    SIG = 24
    KEY = 25
    AAAA = 28
    SRV = 33
    DNAME = 39
    OPT = 41
    DS = 43
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    NSEC3 = 50
    NSEC3PARAM = 51
    CDS = 59
    CDNSKEY = 60
    SVCB = 64
    HTTPS = 65
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    MAILB = 253
    MAILA = 254
    ANY = 255
    GEO = 65280  # private use (RFC 6895 §3.1): a variant for some clients
    POOL = 65281  # private use: addresses come from a pool of the config
    WHOAMI = 65282  # private use: text answers tell whoever asks about itself


class Class(IntEnum):
    """Classes this program treats specially."""

    IN = 1
    CH = 3
    ANY = 255


class Opcode(IntEnum):
    """Opcodes this program knows (RFC 6895 §2.2)."""

    QUERY = 0
    NOTIFY = 4


class Rcode(IntEnum):
    """Response codes, extended ones included (RFC 6895 §2.3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    NOTAUTH = 9
    BADVERS = 16
    BADCOOKIE = 23


class Option(IntEnum):
    """EDNS options this program reads or writes (IANA "DNS EDNS0 Option Codes")."""

    NSID = 3
    CLIENT_SUBNET = 8
    COOKIE = 10
    TCP_KEEPALIVE = 11
    EXTENDED_ERROR = 15


class ExtendedError(IntEnum):
    """INFO-CODEs of RFC 8914 this program sends."""

    OTHER = 0
    FORGED_ANSWER = 4
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21


COMPRESSIBLE: dict[int, tuple[int, int]] = {
    Type.NS: (0, 1),
    Type.CNAME: (0, 1),
    Type.SOA: (0, 2),
    Type.MB: (0, 1),
    Type.MG: (0, 1),
    Type.MR: (0, 1),
    Type.PTR: (0, 1),
    Type.MINFO: (0, 2),
    Type.MX: (2, 1),
}
"""Types whose RDATA may hold compressed names (RFC 3597 §4): octets before the first name, number of names."""


@dataclass(frozen=True, slots=True)
class RRset:
    """Records of one owner, type and class (RFC 9499 §5).

    `ttl` is in seconds; each of `rdatas` is uncompressed wire octets with the case that the zone file has.
    """

    owner: Name
    rdtype: int
    ttl: int
    rdatas: tuple[bytes, ...]
    rdclass: int = Class.IN

    def at(self, owner: Name) -> RRset:
        """The same records under another owner, as a wildcard's synthesis needs them."""
        return self if owner == self.owner else RRset(owner, self.rdtype, self.ttl, self.rdatas, self.rdclass)

    def with_ttl(self, ttl: int) -> RRset:
        """The same records with another TTL, as a negative answer's SOA needs it."""
        return RRset(self.owner, self.rdtype, ttl, self.rdatas, self.rdclass)

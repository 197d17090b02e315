"""Owns EDNS (RFC 6891) and the client-subnet option (RFC 7871): octets to values and back; refuses to know locations."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from geodns.wire.records import Option

OPT_HEAD = struct.Struct("!BHHBBHH")  # root owner, type, payload size, extended RCODE, version, flags, RDLENGTH
OPTION_HEAD = struct.Struct("!HH")
SUBNET_HEAD = struct.Struct("!HBB")
DO = 0x8000  # RFC 3225 §3
FAMILY_BITS = {0: 0, 1: 32, 2: 128}  # RFC 7871 §6; family 0 without ADDRESS is what `dig +subnet=0` sends to withhold it
MIN_PAYLOAD = 512  # RFC 6891 §6.2.3: smaller values mean 512


class BadOption(ValueError):
    """An OPT record or option that calls for FORMERR; the message says why."""


@dataclass(frozen=True, slots=True)
class ClientSubnet:
    """The network on whose behalf a resolver asks (RFC 7871 §6).

    `family` is 1 (IPv4), 2 (IPv6) or 0 (withheld), `source_prefix_length` in bits, `octets` the shortest octets that hold the
    prefix, as sent.
    """

    family: int
    source_prefix_length: int
    octets: bytes

    @property
    def bits(self) -> int:
        """The width of an address of this family: 32 or 128."""
        return FAMILY_BITS[self.family]

    @property
    def address(self) -> int:
        """The prefix as a whole address, the bits beyond SOURCE zero."""
        return int.from_bytes(self.octets, "big") << (self.bits - 8 * len(self.octets))

    def option(self, scope_prefix_length: int) -> bytes:
        """Option data of the echo: FAMILY, SOURCE and ADDRESS are the query's (RFC 7871 §7.2.1)."""
        return SUBNET_HEAD.pack(self.family, self.source_prefix_length, scope_prefix_length) + self.octets

    def __str__(self) -> str:
        if not self.family:
            return "0/0"
        address = IPv4Address(self.address) if self.family == 1 else IPv6Address(self.address)
        return f"{address}/{self.source_prefix_length}"


@dataclass(frozen=True, slots=True)
class Edns:
    """What an OPT record of a query asks for; `payload_size` in octets, never below 512.

    `cookie` is the content of the first COOKIE option, of whatever length: who wants none need not judge it (RFC 7873 §5.2).
    `extended_error` is an option of that code in a query: by RFC 8914 it means nothing there, but it is how a client says that
    it wants to be told, as in draft-ietf-dnsop-structured-dns-error. What is in it does not matter.
    """

    payload_size: int = 1232
    version: int = 0
    dnssec_ok: bool = False
    client_subnet: ClientSubnet | None = None
    nsid: bool = False
    tcp_keepalive: bool = False
    cookie: bytes | None = None
    extended_error: bool = False


def subnet_of(address: IPv4Address | IPv6Address, source_prefix_length: int) -> ClientSubnet:
    """Make the option that stands for a prefix; bits beyond it are cleared."""
    family, bits = (1, 32) if address.version == 4 else (2, 128)
    kept = int(address) >> (bits - source_prefix_length) << (bits - source_prefix_length)
    return ClientSubnet(family, source_prefix_length, kept.to_bytes(bits // 8, "big")[: (source_prefix_length + 7) // 8])


def parse_client_subnet(data: bytes) -> ClientSubnet:
    """Read option data; every departure from RFC 7871 §6 raises BadOption, for §7.2.1 wants FORMERR."""
    if len(data) < 4:
        raise BadOption("client subnet shorter than its head")
    family, source, scope = SUBNET_HEAD.unpack_from(data)
    octets = data[4:]
    bits = FAMILY_BITS.get(family)
    if bits is None or (not family and source):
        raise BadOption(f"client subnet of unknown family {family}")
    if source > bits:
        raise BadOption(f"SOURCE PREFIX-LENGTH {source} is longer than an address")
    if scope:
        raise BadOption("SCOPE PREFIX-LENGTH is not 0 in a query")
    if len(octets) != (source + 7) // 8:
        raise BadOption(f"{len(octets)} octets of ADDRESS for a SOURCE PREFIX-LENGTH of {source}")
    if source & 7 and octets[-1] & (0xFF >> (source & 7)):
        raise BadOption("ADDRESS has bits set beyond SOURCE PREFIX-LENGTH")
    return ClientSubnet(family, source, octets)


def parse_options(data: bytes, payload_size: int, version: int, flags: int) -> Edns:
    """Read the RDATA of an OPT record; unknown options are ignored (RFC 6891 §6.1.2), broken framing raises BadOption."""
    at, end = 0, len(data)
    subnet: ClientSubnet | None = None
    nsid = keepalive = extended_error = False
    cookie: bytes | None = None
    while at < end:
        if at + 4 > end:
            raise BadOption("an option shorter than its head")
        code, length = OPTION_HEAD.unpack_from(data, at)
        at += 4
        if at + length > end:
            raise BadOption(f"option {code} runs past the OPT record")
        if code == Option.CLIENT_SUBNET:
            if subnet is not None:
                raise BadOption("client subnet twice")
            subnet = parse_client_subnet(data[at : at + length])
        elif code == Option.NSID:
            nsid = True
        elif code == Option.TCP_KEEPALIVE:
            keepalive = True
        elif code == Option.COOKIE and cookie is None:
            cookie = data[at : at + length]
        elif code == Option.EXTENDED_ERROR:
            extended_error = True
        at += length
    return Edns(max(payload_size, MIN_PAYLOAD), version, bool(flags & DO), subnet, nsid, keepalive, cookie, extended_error)


def render_options(options: list[tuple[int, bytes]]) -> bytes:
    """Frame options for the RDATA of an OPT record."""
    return b"".join(OPTION_HEAD.pack(code, len(data)) + data for code, data in options)


def render_opt(payload_size: int, extended_rcode: int, version: int, flags: int, options: bytes) -> bytes:
    """A whole OPT record; `extended_rcode` is the upper eight bits of the RCODE, `options` already framed."""
    return OPT_HEAD.pack(0, 41, payload_size, extended_rcode, version, flags, len(options)) + options

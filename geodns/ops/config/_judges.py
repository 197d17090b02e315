"""Owns the judgement of single values: each judge returns its value or refuses it with a remedy; refuses to know the tables."""

from __future__ import annotations

import re
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from typing import NoReturn, TypeVar

import dns.exception
import dns.rcode
import dns.rdatatype
from pydantic_core import PydanticCustomError

from geodns.geo import selector
from geodns.geo.address import embedded_ipv4
from geodns.geo.countries import CONTINENTS, countries
from geodns.ops.config._listen import BadListen, parse_admin_listen, parse_listen, parse_socket
from geodns.wire import names

_MAX_POOL_PART = 63  # characters: room for three of them in any table
_MAX_CHARACTER_STRING = 255  # octets, RFC 1035 §3.3
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
REGION = re.compile(r"[a-z0-9][a-z0-9_-]*")
POOL_PART = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_URL_PATH = re.compile(r"/[!-~]*")
_Item = TypeVar("_Item")

LADDER = ("ecs", "egress", "resolver", "instance")
"""Rungs of the trust ladder that can stand anywhere in it, in their usual order."""


def shown(value: object) -> str:
    """A value in a message: text in quotes, and nothing so long that it hides the rest."""
    try:
        text = f"'{value}'" if isinstance(value, str) else str(value)
    except ValueError:  # an integer with more digits than the interpreter converts
        return "a very large number"
    return text if len(text) <= 60 else f"{text[:59]}…"


def refuse(what: str, remedy: str) -> NoReturn:
    """Make pydantic report a fault in our words."""
    raise PydanticCustomError("refused", "{what}", {"what": what, "remedy": remedy})


def listen(text: str) -> str:
    try:
        parse_listen(text)
    except BadListen as error:
        refuse(str(error), 'write an IP address and a port: "192.0.2.1:53" or "[2001:db8::1]:53"')
    return text


def admin_listen(text: str) -> str:
    try:
        if text:
            parse_admin_listen(text)
    except BadListen as error:
        refuse(str(error), 'write "127.0.0.1:9153", "unix:/run/geodns/admin.sock", or "" for no such door')
    return text


def dnstap(text: str) -> str:
    try:
        parse_socket(text)
    except BadListen as error:
        refuse(str(error), 'write "unix:/run/dnstap.sock", the path of a file, or "" for no dnstap')
    return path_or_none(text)


def host(text: str) -> str:
    """A host name or IP literal without port, in lower case; "" for none."""
    name = text.lower().removesuffix(".")
    if name and not (_HOST.fullmatch(name) and len(name) <= 253) and not _is_address(name):
        refuse(f"{shown(text)} is no host name", 'write a name or an IP address without port or brackets: "app.example.com"')
    return name


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def not_empty_text(text: str) -> str:
    if not text:
        refuse("is empty", "write a name, or take it out")
    return text


def not_empty(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    if not items:
        refuse("is empty", "list at least one")
    return items


def distinct(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    twice = next((item for number, item in enumerate(items) if item in items[:number]), None)
    if twice is not None:
        refuse(f"has {shown(twice)} twice", "name each once")
    return not_empty(items)


def rung(text: str) -> str:
    """A rung that can stand anywhere in the ladder."""
    if text in LADDER:
        return text
    if text == "net":
        refuse("'net' has no place of its own: a network of the config speaks for whichever address is asked", "leave it out")
    if text == "fallback":
        refuse("'fallback' is always the last", "leave it out")
    close = get_close_matches(text.lower(), LADDER, 1)
    refuse(f"{shown(text)} is no rung", f"did you mean '{close[0]}'?" if close else f"write {', '.join(LADDER)}")


def network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            refuse(f"'{text}' is no network", 'write an address and a prefix length: "192.0.2.0/24"')
        refuse(f"'{text}' has bits set beyond its prefix", f'write "{meant}"')
    return text


def looked_up_network(text: str) -> str:
    """A network that addresses are looked up in: IPv4 inside IPv6 is looked up as IPv4, so it would never match."""
    if "%" in text:
        refuse(f"'{text}' names a link of this machine, by which no client is known", "take the % and what follows it out")
    if inside := embedded_ipv4(ip_network(network(text))):
        refuse(f"'{text}' never matches: IPv4 addresses inside IPv6 are looked up as IPv4", f'write the IPv4 network "{inside}"')
    return text


def client(text: str) -> str:
    if "/" in text:
        return network(text)
    try:
        ip_address(text)
    except ValueError:
        refuse(f"'{text}' is no address or network", 'write one such as "192.0.2.1", or "192.0.2.0/24" for a client subnet')
    return text


def address_or_none(text: str) -> str:
    try:
        if text:
            ip_address(text)
    except ValueError:
        refuse(f"'{text}' is no IP address", 'write one address: "192.0.2.1" or "2001:db8::1"')
    return text


def endpoint_address(text: str) -> str:
    """An address that can be answered, in its shortest form."""
    try:
        address = ip_address("" if "%" in text else text)
    except ValueError:
        refuse(f"{shown(text)} is no IP address", 'write one address without prefix length or port: "192.0.2.1" or "2001:db8::1"')
    if address.version == 6 and address.ipv4_mapped:
        refuse(f"'{text}' is an IPv4 address inside IPv6", f'write the IPv4 address "{address.ipv4_mapped}"')
    kind = "an unspecified" if address.is_unspecified else "a multicast" if address.is_multicast else ""
    if kind or text == "255.255.255.255":
        refuse(f"'{text}' is {kind or 'the broadcast'} address", "write the address of one server")
    return str(address)


def url_path(text: str) -> str:
    if not _URL_PATH.fullmatch(text):
        refuse(
            f"{shown(text)} is no path of a URL",
            'begin it with "/", and write blanks and letters beyond ASCII as %20 and the like',
        )
    return text


def path_or_none(text: str) -> str:
    return path(text) if text else text


def path(text: str) -> str:
    if not text or "\0" in text:
        refuse("is no path", "write a path; a relative one starts at the directory of this file")
    return text


def character_string(text: str) -> str:
    if (octets := len(text.encode())) > _MAX_CHARACTER_STRING:
        refuse(f"has {octets} octets", f"a TXT string holds {_MAX_CHARACTER_STRING}: shorten it")
    if not text.isprintable():
        refuse("has a control character", "take it out: this text goes into logs and metrics")
    return text


def workers(value: object) -> object:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024):
        refuse(f"{shown(value)} is no number of processes", 'write a number from 1 to 1024, or "auto" for one per core')
    return value


def continent(text: str) -> str:
    if text and text.upper() not in CONTINENTS:
        refuse(f"'{text}' is no continent", f"use one of {' '.join(CONTINENTS)}")
    return text.upper()


def country(text: str) -> str:
    if text and text.upper() not in countries():
        refuse(f"'{text}' is no country", 'write its ISO 3166-1 code of two letters: "DE"')
    return text.upper()


def subdivision(text: str) -> str:
    code = text.upper()
    if code and (not _SUBDIVISION.fullmatch(code) or code[:2] not in countries()):
        refuse(f"'{text}' is no subdivision", 'write its ISO 3166-2 code, the country first: "US-CA"')
    return code


def region_name(text: str) -> str:
    if not REGION.fullmatch(text):
        refuse(f"'{text}' is no name for a region", "use a-z, 0-9, - and _, a letter or digit first")
    return text


def pool_part_name(text: str) -> str:
    if not POOL_PART.fullmatch(text) or len(text) > _MAX_POOL_PART:
        refuse(f"{shown(text)} is no name here", f"use a-z, 0-9, - _ and ., a letter or digit first, at most {_MAX_POOL_PART}")
    return text


def site_name(text: str) -> str:
    return pool_part_name(text) if text else text


def selector_text(text: str) -> str:
    try:
        found = selector.parse(text)
    except ValueError as error:  # BadSelector, or a number too long for the interpreter
        refuse(str(error), 'write for example "country:DE"')
    if isinstance(found, selector.NetSelector) and (inside := embedded_ipv4(found.network)):
        refuse(f"'{text}' never matches: IPv4 addresses inside IPv6 are looked up as IPv4", f'write "net:{inside}"')
    if isinstance(found, selector.RegionSelector):
        meant = selector.likely(text)
        remedy = f"write {meant}, or list that region's selectors" if meant else "list that region's selectors instead"
        refuse(f"'{text}' is a region inside a region, which is not allowed", remedy)
    return text


def domain_name(text: str) -> str:
    try:
        if text == "@":
            raise names.BadName("a zone file's word for its origin")
        names.from_text(text)
    except ValueError as error:  # BadName, or what the IDNA codec raises
        refuse(f"'{text}' is no domain name: {error}", 'write it in full: "www.example.com"')
    return text


def domain_name_or_none(text: str) -> str:
    return domain_name(text) if text else text


def record_type(text: str) -> str:
    try:
        dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        refuse(f"'{text}' is no record type", 'write "A", "AAAA", "TXT", … or "TYPE65280" for one without a word')
    return text.upper()


def rcode(text: str) -> str:
    try:
        return dns.rcode.to_text(dns.rcode.from_text(text))
    except (dns.exception.DNSException, ValueError):
        refuse(f"'{text}' is no response code", 'write "NOERROR", "NXDOMAIN", "REFUSED", …')

"""Owns the fast path of queries with a cookie: takes COOKIE out of the OPT record, has the rest answered, and puts ours in.

Like all of the fast path it is a memo: octet for octet what the general path gives, or left to it. Refuses to know how a question
is answered, and what makes a cookie genuine.
"""

from __future__ import annotations

from typing import NamedTuple

from geodns.answer.census import Census
from geodns.answer.compiled import Compiled
from geodns.answer.cookies import Cookies, client_address
from geodns.answer.fastpath import Datagram, matcher
from geodns.answer.pools import Draw, first_ticket
from geodns.answer.snapshot import Snapshot
from geodns.wire import BadOption, Option
from geodns.wire.cookies import CLIENT_COOKIE, COOKIE
from geodns.wire.edns import MIN_PAYLOAD, OPT_HEAD, OPTION_HEAD, parse_options

_OPT_START = b"\x00\x00\x29"  # root owner and type of an OPT record
_HEAD = OPT_HEAD.size - len(_OPT_START)  # octets behind that before the options
_COOKIE_FIRST, _SUBNET_FIRST = _HEAD + 4, _HEAD + 8  # octets behind that which tell one form of OPT record from another
_OPTION = OPTION_HEAD.pack(Option.COOKIE, COOKIE)
_ROOM = len(_OPTION) + COOKIE
_ERROR = 6  # octets of an extended error (RFC 8914), all that may stand before the client subnet in a reply
_BOUND = 1024  # forms of OPT records remembered: more than honest clients make


class _Cut(NamedTuple):
    """Where COOKIE is in all OPT records of one form, and where ours goes in the reply.

    Positions count from behind owner and type: of `octets` in all, the option has those from `start` to `end`, and `option` is
    its head. `rest` is the OPT record's head without it. The OPT record of the reply has `size` octets before ours is in it;
    `lengths` are what its RDLENGTH becomes with one, without and with an extended error.
    """

    octets: int
    start: int
    end: int
    option: bytes
    rest: bytes
    size: int
    lengths: tuple[bytes, bytes]


def with_cookies(
    snapshot: Snapshot, compiled: Compiled, census: Census, general: Datagram, cookies: Cookies, draw: Draw = first_ticket
) -> Datagram:
    """As `matcher`, for a server that has cookie secrets."""
    forms = _Forms(snapshot, general)
    plain = matcher(snapshot, compiled, census, forms.general, draw)
    rest_of = matcher(snapshot, compiled, census, _nothing, draw)
    find, find_served, serve, join = forms.cuts.get, cookies.memo.get, cookies.serve, b"".join
    tally, counters = census.tally, census.cookies

    def datagram(octets: bytes, source: bytes) -> bytes | None:
        before, found, wishes = octets.partition(_OPT_START)
        cut = (find(wishes[:12]) or find(wishes[:16])) if found else None  # _COOKIE_FIRST and _SUBNET_FIRST, as constants
        if cut is None or len(wishes) != cut[0]:
            return plain(octets, source)
        _, start, end, option, rest, size, lengths = cut
        if wishes[start : start + 4] != option:
            return general(octets, source)
        reply = rest_of(join((before, rest, wishes[8:start], wishes[end:])), source)  # _HEAD, as a constant
        if not reply:
            return general(octets, source)
        opt, length = len(reply) - size, lengths[0]
        if not reply.startswith(_OPT_START, opt):
            opt, length = opt - _ERROR, lengths[1]
        content = wishes[start + 4 : end]
        address = source[4:8] if len(source) == 16 else client_address(source)
        outcome, ours = find_served(content + address) or serve(address, content)
        tally[counters[outcome]] += 1
        return join((reply[: opt + 9], length, reply[opt + 11 :], _OPTION, ours))

    return datagram


def _nothing(_octets: bytes, _source: bytes) -> bytes:
    """The general path where there must be none, for it has to see the whole query."""
    return b""


class _Forms:
    """The forms of OPT records with a cookie that were seen."""

    def __init__(self, snapshot: Snapshot, general: Datagram) -> None:
        self._snapshot = snapshot
        self._general = general
        self.cuts: dict[bytes, _Cut] = {}

    def general(self, octets: bytes, source: bytes) -> bytes | None:
        """Take the general path, and learn the form of the OPT record on the way."""
        _, found, wishes = octets.partition(_OPT_START)
        if found and len(wishes) > _COOKIE_FIRST:
            self._learn(wishes)
        return self._general(octets, source)

    def _learn(self, wishes: bytes) -> None:
        """Remember a form: COOKIE alone, or a client subnet before or behind it, and room for ours in any reply."""
        _, _, payload_size, _, version, flags, length = OPT_HEAD.unpack_from(_OPT_START + wishes)
        codes = _codes(wishes)
        if (
            version
            or len(wishes) != _HEAD + length
            or sorted(codes) not in ([Option.COOKIE], [Option.CLIENT_SUBNET, Option.COOKIE])
        ):
            return
        try:
            parse_options(wishes[_HEAD:], payload_size, version, flags)
        except BadOption:
            return
        start = codes[Option.COOKIE]
        size = OPTION_HEAD.unpack_from(wishes, start)[1]
        roomy = min(payload_size, self._snapshot.payload_size) >= MIN_PAYLOAD + _ROOM
        if size not in (CLIENT_COOKIE, COOKIE) or not roomy:
            return
        if len(self.cuts) >= _BOUND:
            self.cuts.clear()
        key = wishes[:_COOKIE_FIRST] if start == _HEAD else wishes[:_SUBNET_FIRST]
        self.cuts[key] = self._cut(wishes, start, start + 4 + size)

    def _cut(self, wishes: bytes, start: int, end: int) -> _Cut:
        left = len(wishes) - _HEAD - (end - start)
        rest = _OPT_START + wishes[: _HEAD - 2] + left.to_bytes(2, "big")
        echoed = left if self._snapshot.trust.enabled else 0
        lengths = (echoed + _ROOM).to_bytes(2, "big"), (echoed + _ERROR + _ROOM).to_bytes(2, "big")
        return _Cut(len(wishes), start, end, wishes[start : start + 4], rest, OPT_HEAD.size + echoed, lengths)


def _codes(wishes: bytes) -> dict[int, int]:
    """Where each option of an OPT record begins, in order; nothing if one runs past the end or comes twice."""
    found: dict[int, int] = {}
    at = _HEAD
    while at + 4 <= len(wishes):
        code, length = OPTION_HEAD.unpack_from(wishes, at)
        if code in found:
            return {}
        found[code] = at
        at += 4 + length
    return found if at == len(wishes) else {}

"""Owns the general path: the octets of one query to the octets of its reply; refuses to know where they came through."""

from __future__ import annotations

from dataclasses import replace

from geodns.answer.authoritative import Judgement, judge
from geodns.answer.census import Census
from geodns.answer.cookies import Outcome, Serve
from geodns.answer.ladder import Client, Subnet
from geodns.answer.pools import QUIET, Moment
from geodns.answer.snapshot import Snapshot
from geodns.answer.why import with_reason
from geodns.geo import Place
from geodns.wire import (
    MAX_MESSAGE,
    Option,
    Query,
    QueryFault,
    Rcode,
    malformed,
    parse_cookie_query,
    parse_query,
    render,
    udp_limit,
)

KEEPALIVE_UNIT = 10  # a second has ten units of 100 ms, RFC 7828 §3.1


def respond(
    snapshot: Snapshot,
    octets: bytes,
    source: Place,
    moment: Moment = QUIET,
    census: Census | None = None,
    *,
    stream: bool = False,
    cookies: Serve | None = None,
    leave: bool = False,
    port: int = 0,
) -> bytes | None:
    """The reply to one message, None for silence; `stream` lifts the size limit that datagrams have.

    `cookies` judges the COOKIE option of this very client; None ignores the option. With `leave` a client that knows
    edns-tcp-keepalive is asked to close its connection (RFC 7828 §3.3.2: a TIMEOUT of 0). `port` is the one that the message
    came from, 0 if that is unknown.
    """
    transport = "tcp" if stream else "udp"
    try:
        query = parse_query(octets)
        cookie = _cookie(query, cookies, census) if cookies else b""
    except QueryFault as fault:
        reply, rcode = _cookie_reply(snapshot, octets, cookies, census) if cookies else (None, 0)
        if census and fault.reply:
            census.note_fault(transport, rcode if reply else fault.reply[3] & 0xF)
        return reply or fault.reply
    client = snapshot.trust.client(source, query.edns.client_subnet if query.edns else None)
    client = replace(client, port=port, transport=transport)
    judgement = judge(snapshot, query, client, moment)
    if census:
        census.note(transport, query, client, judgement)
    reply = encode(snapshot, query, client, judgement, stream=stream, cookie=cookie, leave=leave)
    if query.edns is None or not query.edns.extended_error or not snapshot.tells_why(source):
        return reply
    told = with_reason(snapshot, query, client, judgement, reply, stream=stream)
    if census and told is not reply:
        census.note_told_why()
    return told


def _cookie(query: Query, cookies: Serve, census: Census | None) -> bytes:
    """The COOKIE option of the reply, b"" for none; raises FormErr where the query's is malformed (RFC 7873 §5.2.2)."""
    if query.edns is None or query.edns.cookie is None:
        return b""
    outcome, content = cookies(query.edns.cookie)
    if census:
        census.note_cookie(outcome)
    if outcome is Outcome.MALFORMED:
        raise malformed(query)
    return content


def _cookie_reply(snapshot: Snapshot, octets: bytes, cookies: Serve, census: Census | None) -> tuple[bytes | None, int]:
    """The reply to a query for a cookie and nothing else, and its response code (RFC 7873 §5.4); None to any other query.

    BADCOOKIE says that the server cookie sent was no good: here it is the answer, and not a refusal of one.
    """
    asked = parse_cookie_query(octets)
    if asked is None:
        return None, 0
    outcome, content = cookies(asked.cookie)
    if census:
        census.note_cookie(outcome)
    if outcome is Outcome.MALFORMED:
        return None, 0
    rcode = Rcode.NOERROR if outcome is Outcome.CLIENT_ONLY or outcome.is_genuine else Rcode.BADCOOKIE
    return asked.reply(rcode, content, snapshot.payload_size), rcode


def encode(
    snapshot: Snapshot,
    query: Query,
    client: Client,
    judgement: Judgement,
    *,
    stream: bool = False,
    cookie: bytes = b"",
    leave: bool = False,
) -> bytes:
    """Add what EDNS wants to a judgement and render it."""
    response, edns = judgement.response, query.edns
    if edns and not edns.version:
        if edns.client_subnet and client.subnet_verdict is not Subnet.DISABLED:  # echoed on every reply, RFC 7871 §7.2.1
            scope = judgement.scope_prefix_length
            response.options.append((Option.CLIENT_SUBNET, edns.client_subnet.option(scope)))
        if edns.nsid and snapshot.identity.nsid:
            response.options.append((Option.NSID, snapshot.identity.nsid.encode()))
        if edns.tcp_keepalive and stream:
            units = 0 if leave else min(int(snapshot.tcp_idle_timeout * KEEPALIVE_UNIT), 0xFFFF)
            response.options.append((Option.TCP_KEEPALIVE, units.to_bytes(2, "big")))
        if cookie:  # the last one, where the fast path puts it too
            response.options.append((Option.COOKIE, cookie))
    limit = MAX_MESSAGE if stream else udp_limit(query, snapshot.payload_size)
    return render(query, response, limit, snapshot.payload_size)

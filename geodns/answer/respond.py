"""Owns the general path: the octets of one query to the octets of its reply; refuses to know where they came through."""

from __future__ import annotations

from geodns.answer.authoritative import Judgement, judge
from geodns.answer.census import Census
from geodns.answer.ladder import Client, Subnet
from geodns.answer.pools import QUIET, Moment
from geodns.answer.snapshot import Snapshot
from geodns.geo import Place
from geodns.wire import MAX_MESSAGE, Option, Query, QueryFault, parse_query, render, udp_limit

KEEPALIVE_UNIT = 10  # a second has ten units of 100 ms, RFC 7828 §3.1


def respond(
    snapshot: Snapshot,
    octets: bytes,
    source: Place,
    moment: Moment = QUIET,
    census: Census | None = None,
    *,
    stream: bool = False,
    leave: bool = False,
) -> bytes | None:
    """The reply to one message, None for silence; `stream` lifts the size limit that datagrams have.

    With `leave` a client that knows edns-tcp-keepalive is asked to close its connection (RFC 7828 §3.3.2: a TIMEOUT of 0).
    """
    try:
        query = parse_query(octets)
    except QueryFault as fault:
        if census and fault.reply:
            census.note_fault("tcp" if stream else "udp", fault.reply[3] & 0xF)
        return fault.reply
    client = snapshot.trust.client(source, query.edns.client_subnet if query.edns else None)
    judgement = judge(snapshot, query, client, moment)
    if census:
        census.note("tcp" if stream else "udp", query, client, judgement)
    return encode(snapshot, query, client, judgement, stream=stream, leave=leave)


def encode(
    snapshot: Snapshot, query: Query, client: Client, judgement: Judgement, *, stream: bool = False, leave: bool = False
) -> bytes:
    """Add what EDNS wants to a judgement and render it."""
    response, edns = judgement.response, query.edns
    if edns and not edns.version:
        if edns.client_subnet and client.subnet_verdict is not Subnet.DISABLED:  # echoed on every reply, RFC 7871 §7.2.1
            scope = judgement.scope_prefix_length
            response.options.append((Option.CLIENT_SUBNET, edns.client_subnet.option(scope)))
        if edns.nsid and snapshot.identity.name:
            response.options.append((Option.NSID, snapshot.identity.name.encode()))
        if edns.tcp_keepalive and stream:
            units = 0 if leave else min(int(snapshot.tcp_idle_timeout * KEEPALIVE_UNIT), 0xFFFF)
            response.options.append((Option.TCP_KEEPALIVE, units.to_bytes(2, "big")))
    limit = MAX_MESSAGE if stream else udp_limit(query, snapshot.payload_size)
    return render(query, response, limit, snapshot.payload_size)

"""Owns the general path: the octets of one query to the octets of its reply; refuses to know where they came through."""

from __future__ import annotations

from dataclasses import replace

from geodns.answer.authoritative import judge
from geodns.answer.census import Census
from geodns.answer.encoding import encode
from geodns.answer.pools import QUIET, Moment
from geodns.answer.snapshot import Snapshot
from geodns.answer.why import with_reason
from geodns.geo import Place
from geodns.wire import QueryFault, parse_query


def respond(
    snapshot: Snapshot,
    octets: bytes,
    source: Place,
    moment: Moment = QUIET,
    census: Census | None = None,
    *,
    port: int = 0,
    stream: bool = False,
) -> bytes | None:
    """The reply to one message, None for silence; `stream` lifts the size limit that datagrams have."""
    transport = "tcp" if stream else "udp"
    try:
        query = parse_query(octets)
    except QueryFault as fault:
        if census and fault.reply:
            census.note_fault(transport, fault.reply[3] & 0xF)
        return fault.reply
    client = snapshot.trust.client(source, query.edns.client_subnet if query.edns else None)
    client = replace(client, port=port, transport=transport)
    judgement = judge(snapshot, query, client, moment)
    if census:
        census.note(transport, query, client, judgement)
    reply = encode(snapshot, query, client, judgement, stream=stream)
    if query.edns and query.edns.extended_error and snapshot.tells_why(source):
        told = with_reason(snapshot, query, client, judgement, reply, stream=stream)
        if census and told is not reply:
            census.note_told_why()
        return told
    return reply

"""Owns the way from a judgement to octets: what EDNS adds to it, and how long it may be; refuses to decide what is answered."""

from __future__ import annotations

from geodns.answer.authoritative import Judgement
from geodns.answer.ladder import Client, Subnet
from geodns.answer.snapshot import Snapshot
from geodns.wire import MAX_MESSAGE, Option, Query, render, udp_limit

KEEPALIVE_UNIT = 10  # a second has ten units of 100 ms, RFC 7828 §3.1


def encode(snapshot: Snapshot, query: Query, client: Client, judgement: Judgement, *, stream: bool = False) -> bytes:
    """Add what EDNS wants to a judgement and render it."""
    response, edns = judgement.response, query.edns
    if edns and not edns.version:
        if edns.client_subnet and client.subnet_verdict is not Subnet.DISABLED:  # echoed on every reply, RFC 7871 §7.2.1
            scope = judgement.scope_prefix_length
            response.options.append((Option.CLIENT_SUBNET, edns.client_subnet.option(scope)))
        if edns.nsid and snapshot.identity.nsid:
            response.options.append((Option.NSID, snapshot.identity.nsid.encode()))
        if edns.tcp_keepalive and stream:
            units = min(int(snapshot.tcp_idle_timeout * KEEPALIVE_UNIT), 0xFFFF)
            response.options.append((Option.TCP_KEEPALIVE, units.to_bytes(2, "big")))
    limit = MAX_MESSAGE if stream else udp_limit(query, snapshot.payload_size)
    return render(query, response, limit, snapshot.payload_size)

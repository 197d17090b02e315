"""Owns which RDATA name a host whose addresses a client will want next; refuses to know where those addresses are."""

from __future__ import annotations

from geodns.wire import ROOT, Name, RRset, Type

_NAME_AT = {Type.NS: 0, Type.MX: 2, Type.SRV: 6, Type.SVCB: 2, Type.HTTPS: 2}
"""Octets of RDATA before the target: RFC 1035 §3.3.9 and §3.3.11, RFC 2782, RFC 9460 §2.2."""


def targets(rrset: RRset) -> list[Name]:
    """The hosts that an NS, MX, SRV, SVCB or HTTPS RRset names, in its order; empty for any other type.

    "." is no host in MX and SRV (RFC 7505, RFC 2782) and means the owner itself in SVCB's ServiceMode (RFC 9460 §2.5).
    """
    at = _NAME_AT.get(rrset.rdtype)  # type: ignore[call-overload]  # any int may be asked for
    if at is None:
        return []
    found = []
    for rdata in rrset.rdatas:
        end = at
        while length := rdata[end]:
            end += length + 1
        target = Name(rdata[at : end + 1].lower())
        if target != ROOT:
            found.append(target)
        elif rrset.rdtype in {Type.SVCB, Type.HTTPS} and rdata[:2] != b"\0\0":
            found.append(rrset.owner)
    return found

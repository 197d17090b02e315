"""Owns what is legal in zones together but surely not meant; refuses to refuse anything: all of it is warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from geodns.answer.snapshot import variant_nodes
from geodns.answer.targets import targets
from geodns.geo import PlaceSelector, overlaps, parse, rule_of
from geodns.problem import Problem, Severity, bounded
from geodns.wire import Name, RRset, Type, suffixes, to_text
from geodns.zone import UNDOUBTED, Anycast, Cut, Exact, Redirection, Wildcard, ZoneContents

_ADDRESSES = (Type.A, Type.AAAA)
_Served = Mapping[Name, ZoneContents]


def lint(
    zones: Sequence[ZoneContents], regions: Mapping[str, tuple[PlaceSelector, ...]], anycast: Anycast = UNDOUBTED.anycast
) -> list[Problem]:
    """Rules that name the same clients equally well, and zones that do not fit where they meet; of each kind a bounded number.

    `anycast` says of the RDATA of an address who holds it to be anycast.
    """
    served = {contents.origin: contents for contents in zones}
    return [
        *bounded(_ambiguous(zones, regions)),
        *bounded(_undelegated(served)),
        *bounded(_mixed(served, anycast)),
        *bounded(_at_odds(served)),
    ]


def _ambiguous(zones: Sequence[ZoneContents], regions: Mapping[str, tuple[PlaceSelector, ...]]) -> Iterator[Problem]:
    for contents in zones:
        for node in variant_nodes(contents):
            for variants in node.variants.values():
                rules = tuple(rule_of(variant.selector, parse(variant.selector), regions) for variant in variants)
                for first, second, selector in overlaps(rules):
                    message = f"{to_text(node.name)}: GEO {first} and GEO {second} both name {selector}; {first} wins"
                    yield Problem(contents.file, 0, message, "take it out of one of them", Severity.WARNING)


def _undelegated(served: _Served) -> Iterator[Problem]:
    """A zone served beside its parent, which does not delegate it: resolvers that start at the parent never ask for it."""
    for contents in served.values():
        parent = _parent(served, contents.origin)
        if parent and not isinstance(match := parent.find(contents.origin), Cut):
            message = f"zone {to_text(contents.origin)} is not delegated by {to_text(parent.origin)}, which is served here too"
            remedy = f"add NS records for {to_text(contents.origin)} to {parent.file}"
            if isinstance(match, Redirection):
                remedy = (
                    f"take the DNAME of {to_text(match.node.name)} out of {parent.file}: nothing can be below it (RFC 6672 §2.4)"
                )
            yield Problem(contents.file, 0, message, remedy, Severity.WARNING)


def _mixed(served: _Served, anycast: Anycast) -> Iterator[Problem]:
    """Servers of a zone by anycast beside others: resolvers ask each now and then, so the slowest spoils it (RFC 9199 §3.1).

    Judged by each address family, with what zones served here say of the servers; of others nothing is known. An address that no
    list has may be anycast all the same, so it is only told that none has it.
    """
    for contents in served.values():
        servers = contents.nodes[contents.origin].rrsets.get(Type.NS)
        for rdtype in _ADDRESSES if servers else ():
            hosts = targets(servers)  # type: ignore[arg-type]  # it is there
            known = [(host, rdata, anycast(rdata)) for host in hosts for rdata in _addresses(served, host, rdtype)]
            spread = next(((to_text(host), why) for host, _, why in known if why), None)
            other = next(((to_text(host), ip_address(rdata)) for host, rdata, why in known if not why), None)
            if spread and other:
                message = (
                    f"the servers of {to_text(contents.origin)} are of two kinds: {spread[0]} is anycast ({spread[1]}), "
                    f"of {other[0]} ({other[1]}) no list says so"
                )
                remedy = (
                    "let all be anycast, for resolvers ask each of them (RFC 9199 §3.1), or add what is missing to geo.anycast"
                )
                yield _warning(contents, contents.origin, Type.NS, message, remedy)
                break


def _at_odds(served: _Served) -> Iterator[Problem]:
    """What a parent says of its child, and the child otherwise: resolvers go by the one or the other (RFC 9199 §3.6)."""
    for child in served.values():
        parent = _parent(served, child.origin)
        cut = parent.nodes.get(child.origin) if parent else None
        if parent is None or cut is None or cut.cut != child.origin:
            continue
        pairs = [(cut.rrsets.get(Type.NS), child.nodes[child.origin].rrsets.get(Type.NS))]
        for host in targets(cut.rrsets[Type.NS]):
            glue, own = parent.nodes.get(host), child.nodes.get(host)
            if glue and own and own.cut is None:
                pairs += ((glue.rrsets.get(rdtype), own.rrsets.get(rdtype)) for rdtype in _ADDRESSES)
        for ours, theirs in pairs:
            if ours and theirs:
                yield from _differing(parent, child, ours, theirs)


def _differing(parent: ZoneContents, child: ZoneContents, ours: RRset, theirs: RRset) -> Iterator[Problem]:
    """Data or TTL of one RRset on both sides of a cut."""
    what = f"{to_text(ours.owner)} {Type(ours.rdtype).name}"
    where = _place(child, theirs.owner, theirs.rdtype)
    if set(targets(ours) or ours.rdatas) != set(targets(theirs) or theirs.rdatas):
        message = f"{what} is not what the zone {to_text(child.origin)} itself says ({where})"
        yield _warning(parent, ours.owner, ours.rdtype, message, "write the same records on both sides (RFC 1034 §4.2.2)")
    if ours.ttl != theirs.ttl:
        message = f"{what} has TTL {ours.ttl}, and {theirs.ttl} in the zone {to_text(child.origin)} itself ({where})"
        remedy = "write the same TTL on both sides, for resolvers go by the one or the other (RFC 9199 §3.6)"
        yield _warning(parent, ours.owner, ours.rdtype, message, remedy)


def _parent(served: _Served, origin: Name) -> ZoneContents | None:
    """The closest zone above another."""
    return next((served[suffix] for suffix in suffixes(origin)[1:] if suffix in served), None)


def _addresses(served: _Served, host: Name, rdtype: int) -> tuple[bytes, ...]:
    """The addresses of a host, as the closest zone around it has them, as glue if not otherwise."""
    contents = next((served[suffix] for suffix in suffixes(host) if suffix in served), None)
    if contents is None:
        return ()
    match contents.find(host):
        case Exact(node) | Wildcard(node, _):
            rrset = node.rrsets.get(rdtype)
        case Cut():
            glue = contents.nodes.get(host)
            rrset = glue.rrsets.get(rdtype) if glue else None
        case _:
            return ()
    return rrset.rdatas if rrset else ()


def _place(contents: ZoneContents, owner: Name, rdtype: int) -> str:
    """Where a zone has its first record of an owner and type: file and line, where they are known."""
    file, line = _line(contents, owner, rdtype)
    return f"{file}:{line}" if line else file


def _line(contents: ZoneContents, owner: Name, rdtype: int) -> tuple[str, int]:
    found = (record for record in contents.border if record.owner == owner and record.rdtype == rdtype)
    record = next(found, None)
    return (record.file, record.line) if record else (contents.file, 0)


def _warning(contents: ZoneContents, owner: Name, rdtype: int, message: str, remedy: str) -> Problem:
    return Problem(*_line(contents, owner, rdtype), message, remedy, Severity.WARNING)

"""Owns the judgement of a zone's records: every fault as a Problem; refuses to know config, regions and pools itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from geodns.problem import Problem, Severity, bounded
from geodns.wire import names
from geodns.wire.names import ROOT, Name
from geodns.wire.records import Type
from geodns.zone.master import Record
from geodns.zone.records import geo_fields, pool_name, type_text
from geodns.zone.tree import Cut, Exact, Missing, Node, Outside, Redirection, Wildcard, find, grow

MAX_TTL = 2**31 - 1  # RFC 2181 §8
ADDRESSES = frozenset({Type.A, Type.AAAA})
AT_ANY_NAME = frozenset({Type.RRSIG, Type.NSEC, Type.SIG, Type.KEY})  # beside a CNAME: RFC 2181 §10.1, RFC 4035 §2.5
AT_A_CUT = frozenset({Type.NS, Type.DS, Type.RRSIG, Type.NSEC, Type.A, Type.AAAA})
TARGET_AT: dict[int, int] = {Type.NS: 0, Type.CNAME: 0, Type.PTR: 0, Type.DNAME: 0, Type.MX: 2, Type.SRV: 6}
"""Types whose RDATA ends in one name: where it begins."""
INVARIABLE = frozenset(
    {Type.NS, Type.SOA, Type.DNAME, Type.DS, Type.RRSIG, Type.NSEC, Type.NSEC3, Type.NSEC3PARAM}
    | {Type.DNSKEY, Type.CDS, Type.CDNSKEY, Type.SIG, Type.KEY, Type.OPT, Type.GEO, Type.POOL, Type.WHOAMI}
)
"""Types that say something about the zone itself, which no client may see differently."""

Fault = Callable[[str], str | None]
"""Judges a selector or a pool's name: a sentence with a remedy, or None if it is understood."""


def check(origin: Name, records: Sequence[Record], file: str, selector_fault: Fault, pool_fault: Fault) -> list[Problem]:
    """Every error of a zone and, of each kind, the first warnings; by file and line, 0 of `file` for the zone as a whole."""
    zone = _Zone(origin, records, file)
    checks = (
        zone.apex(),
        zone.bounds(),
        zone.aliases(),
        zone.lifetimes(),
        zone.duplicates(),
        zone.variants(selector_fault),
        zone.pools(pool_fault),
        zone.introductions(),
        zone.occluded(),
        zone.wildcards(),
        zone.glue(),
        zone.targets(),
        zone.signatures(),
    )
    return sorted(problem for found in checks for problem in bounded(found))


def _error(record: Record, message: str, remedy: str) -> Problem:
    return Problem(record.file, record.line, message, remedy)


def _warning(record: Record, message: str, remedy: str) -> Problem:
    return Problem(record.file, record.line, message, remedy, Severity.WARNING)


def _place(record: Record, other: Record) -> str:
    """Where `other` is, as seen from `record`."""
    return f"line {other.line}" if other.file == record.file else f"{other.file}:{other.line}"


def _canonical(rdtype: int, rdata: bytes) -> bytes:
    """RDATA as it compares: names in it without regard to case (RFC 4343 §3)."""
    at = TARGET_AT.get(rdtype)
    return rdata if at is None else rdata[:at] + rdata[at:].lower()


class _Zone:
    """The records of a zone, grouped as the checks want them; each check is an iterator of problems."""

    def __init__(self, origin: Name, records: Sequence[Record], file: str) -> None:
        self.origin = origin
        self.file = file
        self.nodes, _count = grow(origin, records)
        self.outside = [record for record in records if record.owner not in self.nodes]
        self.inside = [record for record in records if record.owner in self.nodes]
        self.rrsets: dict[tuple[Name, int], list[Record]] = {}
        self.types: dict[Name, set[int]] = {}
        for record in self.inside:
            self.rrsets.setdefault((record.owner, record.rdtype), []).append(record)
            self.types.setdefault(record.owner, set()).add(record.rdtype)

    def of(self, *rdtypes: int) -> Iterator[tuple[Record, Node]]:
        """The records of some types, each with its node."""
        for record in self.inside:
            if record.rdtype in rdtypes:
                yield record, self.nodes[record.owner]

    def apex(self) -> Iterator[Problem]:
        """SOA and NS at the apex, RFC 1035 §5.2."""
        zone = names.to_text(self.origin)
        soas = self.rrsets.get((self.origin, Type.SOA), [])
        if not soas:
            yield Problem(self.file, 0, f"no SOA record at {zone}", f"write one: {zone} 3600 IN SOA …")
        for record in soas[1:]:
            yield _error(record, f"a second SOA record; the first is on {_place(record, soas[0])}", "keep one")
        for record, _node in self.of(Type.SOA):
            if record.owner != self.origin:
                yield _error(record, f"an SOA record that is not at {zone}", "remove it, or load it as another zone")
        for record in self.rrsets.get((self.origin, Type.DS), ())[:1]:
            message = f"DS at {zone} itself: it is asked of the zone above (RFC 4035 §3.1.4.1)"
            yield _warning(record, message, f"move it to the zone that delegates {zone}")
        if (self.origin, Type.NS) not in self.rrsets:
            yield Problem(self.file, 0, f"no NS record at {zone}", "name the servers of the zone in NS records")

    def bounds(self) -> Iterator[Problem]:
        """Data of other zones."""
        for record in self.outside:
            owner, zone = names.to_text(record.owner), names.to_text(self.origin)
            yield _error(record, f"{owner} is out of the zone {zone}", "remove it, or check $ORIGIN and final dots")

    def aliases(self) -> Iterator[Problem]:
        """A CNAME stands alone (RFC 1034 §3.6.2), and there is one CNAME or DNAME of a name (RFC 6672 §2.4)."""
        for (owner, rdtype), rrset in self.rrsets.items():
            if rdtype not in (Type.CNAME, Type.DNAME):
                continue
            first, kind = rrset[0], type_text(rdtype)
            for record in rrset[1:]:
                if _canonical(rdtype, record.rdata) != _canonical(rdtype, first.rdata):
                    yield _error(record, f"a second {kind}; the first is on {_place(record, first)}", "keep one")
            if rdtype == Type.CNAME and (other := self.beside_alias(owner)):
                message = f"a CNAME beside other data: {type_text(other.rdtype)} on {_place(first, other)}"
                yield _error(first, message, "keep either the CNAME or the other data of this name")
        for owner, node in self.nodes.items():
            for variant in node.variants.get(Type.CNAME, ()):
                if len(variant.rrset.rdatas) > 1:
                    record = self.geo(owner, Type.CNAME)[-1]
                    yield _error(record, f"several CNAMEs for the clients of '{variant.selector}'", "keep one")

    def beside_alias(self, owner: Name) -> Record | None:
        """The first record that may not stand beside a CNAME of this owner."""
        for rdtype in sorted(self.types[owner] - AT_ANY_NAME - {Type.CNAME}):
            for record in self.rrsets[owner, rdtype]:
                if rdtype != Type.GEO or geo_fields(record.rdata)[1] != Type.CNAME:
                    return record
        return None

    def geo(self, owner: Name, covered: int) -> list[Record]:
        """The GEO records of an owner that cover a type."""
        return [r for r in self.rrsets.get((owner, Type.GEO), []) if geo_fields(r.rdata)[1] == covered]

    def lifetimes(self) -> Iterator[Problem]:
        """One TTL for an RRset (RFC 2181 §5.2), none longer than 31 bits say (§8)."""
        for (_owner, rdtype), rrset in self.rrsets.items():
            first = rrset[0]
            for record in rrset:
                if record.ttl > MAX_TTL:
                    yield _error(record, f"TTL {record.ttl} is more than {MAX_TTL}", "a day, 86400, is long already")
                # RRSIG: each has the TTL of the RRset that it covers (RFC 4034 §3).
                if record.ttl != first.ttl and rdtype != Type.RRSIG:
                    what = "the GEO records of this name" if rdtype == Type.GEO else "its RRset"
                    message = f"TTL {record.ttl} differs from {first.ttl} on {_place(record, first)}"
                    yield _error(record, f"{message}, but {what} must have one TTL", "give all the same TTL")

    def duplicates(self) -> Iterator[Problem]:
        """The same record twice."""
        for (_owner, rdtype), rrset in self.rrsets.items():
            seen: dict[tuple[str, int, bytes], Record] = {}
            for record in rrset if len(rrset) > 1 else ():
                selector, covered, rdata = geo_fields(record.rdata) if rdtype == Type.GEO else ("", 0, record.rdata)
                first = seen.setdefault((selector, covered, _canonical(covered or rdtype, rdata)), record)
                if first is not record and rdtype not in (Type.SOA, Type.POOL):  # which have words of their own
                    yield _error(record, f"a duplicate of the record on {_place(record, first)}", "remove one of them")

    def variants(self, selector_fault: Fault) -> Iterator[Problem]:
        """Selectors that are understood, types that may vary, and a fallback for each, as RFC 7871 §7.4 needs it."""
        lacking: set[tuple[Name, int]] = set()
        for record, node in self.of(Type.GEO):
            selector, covered, _rdata = geo_fields(record.rdata)
            kind = type_text(covered)
            if fault := selector_fault(selector):
                yield _error(record, fault, "")
            if covered in INVARIABLE or covered == 0 or 128 <= covered <= 255:
                yield _error(record, f"{kind} cannot vary by client", "remove this GEO record")
            elif covered not in node.rrsets and (record.owner, covered) not in lacking:
                lacking.add((record.owner, covered))
                owner = names.to_text(record.owner)
                remedy = f"write what all other clients get: {owner} {record.ttl} IN {kind} …"
                yield _error(record, f"GEO {kind} without a fallback: {owner} has no {kind} record", remedy)

    def pools(self, pool_fault: Fault) -> Iterator[Problem]:
        """One known pool for an owner, and something to answer while it cannot."""
        for record, node in self.of(Type.POOL):
            first = self.rrsets[record.owner, Type.POOL][0]
            if fault := pool_fault(pool_name(record.rdata)):
                yield _error(record, fault, "")
            if first is not record:
                yield _error(record, f"a second POOL record; the first is on {_place(record, first)}", "keep one")
            elif not node.rrsets.keys() & ADDRESSES:
                remedy = "write an A or AAAA record of the same name"
                yield _warning(record, "POOL without a fallback: nothing to answer while the pool cannot", remedy)

    def introductions(self) -> Iterator[Problem]:
        """What WHOAMI answers are text, so no other text may be there, and true for one client at one moment."""
        for record, _node in self.of(Type.WHOAMI):
            owner = names.to_text(record.owner)
            others = [*self.rrsets.get((record.owner, Type.TXT), []), *self.geo(record.owner, Type.TXT)]
            if others:
                message = f"WHOAMI beside TXT on {_place(record, others[0])}: which of them should answer?"
                yield _error(record, message, "give one of them another name")
            if record.ttl:
                message = f"TTL {record.ttl} of WHOAMI: resolvers may tell one client what another was told"
                yield _warning(record, message, f"write {owner} 0 IN WHOAMI")

    def occluded(self) -> Iterator[Problem]:
        """Data that no one can ask for: below a DNAME (RFC 6672 §2.4) or a zone cut (RFC 1034 §4.2.1)."""
        glued = {names.lower(record.rdata) for record, _node in self.of(Type.NS)}
        for record in self.inside:
            node, kind = self.nodes[record.owner], type_text(record.rdtype)
            if node.redirection is not None:
                message = f"{names.to_text(record.owner)} is below the DNAME of {names.to_text(node.redirection)}"
                yield _error(record, message, "remove it, or the DNAME")
            elif node.cut is None:
                continue
            elif node.cut != record.owner:
                if record.rdtype not in ADDRESSES or record.owner not in glued:
                    cut = names.to_text(node.cut)
                    message = f"{kind} below the zone cut at {cut} is no glue and never answered"
                    yield _warning(record, message, f"move it to the zone {cut}")
            elif record.rdtype not in AT_A_CUT:
                message = f"{kind} at a delegation point is never answered"
                yield _warning(record, message, f"move it to the zone {names.to_text(record.owner)}")

    def wildcards(self) -> Iterator[Problem]:
        """RFC 4592 §4.2 and §4.4: what NS and DNAME mean at a wildcard is undefined."""
        for record, _node in self.of(Type.NS, Type.DNAME):
            if names.is_wildcard(record.owner):
                message = f"{type_text(record.rdtype)} at a wildcard is served as plain data"
                yield _warning(record, message, "it delegates or redirects nothing: remove it")

    def has_address(self, name: Name) -> bool:
        """Whether the zone holds plain addresses of exactly this name."""
        node = self.nodes.get(name)
        return node is not None and bool(node.rrsets.keys() & ADDRESSES)

    def glue(self) -> Iterator[Problem]:
        """Addresses without which no one finds the servers: RFC 1034 §4.2.1, RFC 9471 §2.1."""
        for record, node in self.of(Type.NS):
            target = names.lower(record.rdata)
            if self.has_address(target):
                continue
            text = names.to_text(target)
            remedy = f"write {text} {record.ttl} IN A …"
            if record.owner == self.origin:
                # An address by CNAME or wildcard does not count: a server name must own its address (RFC 2181 §10.3).
                if names.is_subdomain(target, self.origin) and not isinstance(self.find(target), Cut):
                    yield _error(record, f"the server {text} is in the zone but has no address", remedy)
            elif node.cut == record.owner and names.is_subdomain(target, record.owner):
                yield _error(record, f"the glue of {text} is missing: no A or AAAA record", remedy)

    def find(self, name: Name) -> Exact | Wildcard | Cut | Redirection | Missing | Outside:
        """Which node answers for a name."""
        return find(self.origin, self.nodes, name)

    def signatures(self) -> Iterator[Problem]:
        """DNSSEC records are served as plain data: nothing is added to answers, so a validator would call them bogus."""
        for record in self.inside:
            if record.rdtype in {Type.RRSIG, Type.DNSKEY}:
                message = f"{names.to_text(self.origin)} is signed, but its signatures are not sent along with answers"
                remedy = "serve the unsigned zone, and see that its parent has no DS record for it"
                yield _warning(record, message, remedy)
                return

    def targets(self) -> Iterator[Problem]:
        """Hosts that NS, MX and SRV records name have addresses of their own (RFC 2181 §10.3); an alias leads to a name."""
        for record in self.inside:
            rdtype, rdata = record.rdtype, record.rdata
            if rdtype == Type.GEO:
                _selector, rdtype, rdata = geo_fields(rdata)
            if rdtype in (Type.NS, Type.MX, Type.SRV, Type.CNAME):
                target = names.lower(rdata[TARGET_AT[rdtype] :])
                if target != ROOT:  # "no such service": RFC 7505, RFC 2782
                    yield from self.target(record, type_text(rdtype), target)

    def target(self, record: Record, kind: str, target: Name) -> Iterator[Problem]:
        """Judge one host that a record names."""
        text = names.to_text(target)
        match self.find(target):
            case Exact(node) | Wildcard(node):
                missing = False
                addressed = node.pool is not None or bool(node.rrsets.keys() & ADDRESSES)
                alias = Type.CNAME in node.rrsets
            case Missing():
                addressed = alias = False
                missing = True
            case Cut() | Redirection() | Outside():
                return
            case never:
                assert_never(never)
        if kind == "CNAME":
            if missing:
                yield _warning(record, f"the CNAME target {text} is in the zone but does not exist", self.supply(target))
        elif alias:
            yield _warning(record, f"the {kind} target {text} is a CNAME", "name a host that owns its addresses")
        elif not addressed and kind != "NS":  # for NS, glue() says so as an error
            yield _warning(record, f"the {kind} target {text} is in the zone but has no address", self.supply(target))

    def supply(self, target: Name) -> str:
        """How to mend a target that leads nowhere: a name of several labels was often meant to be whole (RFC 1035 §5.1)."""
        add, written = f"write {names.to_text(target)} IN A …", target[: -len(self.origin)]
        whole = names.to_text(written + ROOT)
        return f"{add}, or end the name with a dot if it is {whole}" if written and len(names.labels(written + ROOT)) > 1 else add

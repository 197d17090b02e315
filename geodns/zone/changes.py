"""Owns what differs between two contents of one zone, counted in records; refuses to know clients, serials' meaning and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geodns.wire.names import Name
from geodns.wire.records import Type
from geodns.zone.tree import Node, ZoneContents

_Records = dict[int, dict[object, int]]
"""TTLs of an owner's records, by type and by whatever tells two records of the type apart."""


@dataclass(frozen=True, slots=True)
class ZoneChanges:
    """What became of the records of a zone: of those before, `changed` have another TTL or RDATA and `removed` are gone.

    So records before - `removed` + `added` are the records after. `owners` are the names at which anything differs.
    """

    added: int
    changed: int
    removed: int
    owners: tuple[Name, ...]

    @property
    def total(self) -> int:
        """Records that are not as they were."""
        return self.added + self.changed + self.removed


def changes(old: ZoneContents, new: ZoneContents) -> ZoneChanges:
    """Compare two contents of one zone.

    At one owner, as many records of a type as went and came count as changed; the rest was added or removed. All GEO records of
    an owner are records of one type, and so are its POOL and its WHOAMI record. The SOA record is a record like any other.
    """
    added = changed = removed = 0
    owners: list[Name] = []
    for name, before, after in _unlike(old.nodes, new.nodes):
        here = _compared(before, after)
        if any(here):
            owners.append(name)
            added, changed, removed = added + here[0], changed + here[1], removed + here[2]
    return ZoneChanges(added, changed, removed, tuple(owners))


def _unlike(old: Mapping[Name, Node], new: Mapping[Name, Node]) -> list[tuple[Name, _Records, _Records]]:
    """The names whose nodes are not equal, with their records before and after; nearly all are equal, so that is asked first."""
    found: list[tuple[Name, _Records, _Records]] = []
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            found.append((name, _records(before), {}))
        elif (
            before.rrsets != after.rrsets
            or before.variants != after.variants
            or before.pool != after.pool
            or before.whoami != after.whoami
        ):
            found.append((name, _records(before), _records(after)))
    found += ((name, {}, _records(after)) for name, after in new.items() if name not in old)
    return found


def _records(node: Node) -> _Records:
    found: _Records = {rdtype: dict.fromkeys(rrset.rdatas, rrset.ttl) for rdtype, rrset in node.rrsets.items()}
    for covered, variants in node.variants.items():
        for variant in variants:
            for rdata in variant.rrset.rdatas:
                found.setdefault(Type.GEO, {})[variant.selector, covered, rdata] = variant.rrset.ttl
    if node.pool:
        found[Type.POOL] = {node.pool.pool: node.pool.ttl}
    if node.whoami is not None:
        found[Type.WHOAMI] = {"": node.whoami}
    return found


def _compared(before: _Records, after: _Records) -> tuple[int, int, int]:
    """How many records of one owner were added, changed and removed."""
    added = changed = removed = 0
    for rdtype in before.keys() | after.keys():
        was, now = before.get(rdtype, {}), after.get(rdtype, {})
        gone, come = len(was.keys() - now.keys()), len(now.keys() - was.keys())
        swapped = min(gone, come)
        changed += swapped + sum(ttl != now[key] for key, ttl in was.items() if key in now)
        added, removed = added + come - swapped, removed + gone - swapped
    return added, changed, removed

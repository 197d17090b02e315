"""Owns the comparison with NSD and Knot over random zones: shapes that nobody thought of when writing a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from geodns import answer
from geodns.wire import Name, Type, from_text, is_subdomain
from geodns.wire.names import is_wildcard
from geodns.zone import ZoneContents
from tests.oracles.test_peers import LOOPBACK, Case, Question, normalised, observe
from tests.support import daemons
from tests.support.random_zones import PLAIN, zone_sets
from tests.support.world import compiled

pytestmark = pytest.mark.slow

SETS = 60
TYPES = (Type.A, Type.NS, Type.CNAME, Type.SOA, Type.MX, Type.TXT, Type.DNAME, Type.DS)
BELOW = (b"", b"\1a", b"\1*", b"\4none", b"\4none\1b")
LONGEST = 10
"""Aliases in an answer: of an endless chain each server follows as many as it likes."""

_ALWAYS_THE_SAME = settings(derandomize=True, database=None, phases=[Phase.generate])

Zones = Mapping[str, tuple[str, ZoneContents]]


@dataclass(frozen=True)
class Asked:
    """One question about one set of zones, and our judgement of it."""

    question: Question
    zones: frozenset[Name]
    octets: bytes


def random_sets() -> list[Zones]:
    """The same sets of zones each time, each below a name of its own."""
    found: list[Zones] = []

    @settings(_ALWAYS_THE_SAME, max_examples=3 * SETS, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        top = f"s{len(found)}."
        zones = data.draw(zone_sets(PLAIN, (top, f"a.{top}", f"b.a.{top}", f"x.b.{top}"), ("a", "b", "*", "ns", "x", "B"), 3))
        if len(found) < SETS and is_comparable(zones):
            found.append(zones)

    draw()
    return found


def is_comparable(zones: Zones) -> bool:
    """Whether peers load the zones, and the RFCs define what is in them: not NS and DNAME at a wildcard (RFC 4592 §4.2, §4.4)."""
    nodes = [node for _text, contents in zones.values() for node in contents.nodes.values()]
    redirected = [node.name for node in nodes if Type.DNAME in node.rrsets]
    origins = list(map(from_text, zones))
    undefined = any(is_wildcard(node.name) and {Type.NS, Type.DNAME} & node.rrsets.keys() for node in nodes)
    return not undefined and not any(is_subdomain(origin, name) and origin != name for origin in origins for name in redirected)


def questions(sets: list[Zones], snapshot: answer.Snapshot) -> Iterator[Asked]:
    """Every name that exists and some below it, every type."""
    for zones in sets:
        origins = frozenset(map(from_text, zones))
        owners = {name for _text, contents in zones.values() for name in contents.nodes}
        for name in sorted({Name(label + owner) for owner in owners for label in BELOW}):
            for rdtype in TYPES:
                question = Question(name, int(rdtype), 1232)
                octets = answer.respond(snapshot, question.octets, LOOPBACK)
                assert octets is not None
                yield Asked(question, origins, octets)


def is_left_out(peer: str, asked: Asked, case: Case, snapshot: answer.Snapshot) -> bool:
    """What is no question of right or wrong."""
    aliases = [record for record in case.ours.answer if record[1] == "CNAME"]
    if len(aliases) > LONGEST or case.ours.tc or case.theirs.tc:
        return True
    if peer == "nsd":  # DS at an apex it denies, though the zone has it
        return asked.question.rdtype == Type.DS and asked.question.name in asked.zones
    home = snapshot.zone_of(Name(asked.question.name), asked.question.rdtype)
    reached = (snapshot.zone_of(Name(rdata), asked.question.rdtype) for _owner, _type, _ttl, rdata in aliases)
    return any(zone is not home for zone in reached)  # Knot ends an answer where an alias leaves the zone


@pytest.mark.parametrize("peer", ["nsd", "knot"])
def test_a_peer_answers_the_same(tmp_path: Path, peer: str) -> None:
    """RCODE, AA and the records of every section are the peer's for every question about every set of zones."""
    sets = [each for each in random_sets() if peer == "knot" or len(each) == 1]  # NSD keeps all zones in one tree, and mixes them
    zones = {origin.rstrip("."): f"$ORIGIN {origin}\n{text}" for each in sets for origin, (text, _contents) in each.items()}
    snapshot = compiled([contents for each in sets for _text, contents in each.values()])
    asked = list(questions(sets, snapshot))
    with {"nsd": daemons.nsd, "knot": daemons.knot}[peer](tmp_path / peer, zones) as server:
        replies = zip(asked, server.endpoint.udp_all([each.question.octets for each in asked]), strict=True)
        cases = [Case(each.question, observe(each.octets), observe(theirs, once=False)) for each, theirs in replies]
    judged = [case for each, case in zip(asked, cases, strict=True) if not is_left_out(peer, each, case, snapshot)]
    differing = [case for case in (normalised(peer, case)[0] for case in judged) if case.ours != case.theirs]

    assert len(judged) > len(asked) // 4
    assert not differing, "\n".join(f"{case.question}:\n  ours {case.ours}\n  {peer} {case.theirs}" for case in differing[:5])

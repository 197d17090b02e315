"""Owns pools: which endpoints a client may get, which it gets, and why the others not; refuses to know health checks and clocks.

Geography orders, health filters, weight draws. An order says in which bands a client prefers the endpoints; a standing says of
each address whether it is up, and what the operator has said about it; a draw picks within a band.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import accumulate

from geodns.geo import Spot, mix

Bands = tuple[tuple[int, ...], ...]
"""Numbers of endpoints, the preferred first; those in one band are equally good."""

Draw = Callable[[int], int]
"""A number from 0 to below its argument, each equally likely."""


def first_ticket(_total: int) -> int:
    """The draw of whoever wants the same answer every time."""
    return 0


class Steering(StrEnum):
    """What puts a pool's endpoints in order for a client."""

    NEAREST = "nearest"
    REGION = "region"
    FAILOVER = "failover"
    WEIGHTED = "weighted"
    HASHED = "hashed"


class WhenAllDown(StrEnum):
    """What is answered when no endpoint is up."""

    ALL = "all"
    FALLBACK = "fallback"
    NODATA = "nodata"
    SERVFAIL = "servfail"


class Health(IntEnum):
    """What checks say of an address."""

    UNKNOWN = 0
    UP = 1
    DOWN = 2


class Word(IntEnum):
    """What the operator says of an endpoint; it wins over health."""

    AUTO = 0
    UP = 1
    DOWN = 2
    DRAIN = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an address stands: its health, whether that is about to change, and the operator's word.

    As one octet it is shared between processes: health in bits 0 and 1, pending in bit 2, the word in bits 3 and 4.
    """

    health: Health = Health.UNKNOWN
    pending: bool = False
    word: Word = Word.AUTO

    @property
    def eligible(self) -> bool:
        """Whether clients may be sent there; who was not checked yet is taken for well."""
        match self.word:
            case Word.UP:
                return True
            case Word.DOWN | Word.DRAIN:
                return False
            case Word.AUTO:
                return self.health is not Health.DOWN

    @property
    def troubled(self) -> bool:
        """Whether checks say that it is down or may soon be otherwise, and the operator says nothing."""
        return self.word is Word.AUTO and (self.pending or self.health is Health.DOWN)

    @property
    def octet(self) -> int:
        """The form in which processes share it."""
        return self.health | self.pending << 2 | self.word << 3

    def __str__(self) -> str:
        """Why it is eligible or not, in a few words."""
        match self.word:
            case Word.UP:
                return f"forced up by the operator, checks say {self.health.name.lower()}"
            case Word.DOWN:
                return "forced down by the operator"
            case Word.DRAIN:
                return "drained by the operator"
            case Word.AUTO:
                return self.health.name.lower() + (", about to change" if self.pending else "")


_STANDINGS = tuple(
    Standing(Health(octet & 3), bool(octet & 4), Word(octet >> 3)) if octet & 3 < 3 else Standing() for octet in range(32)
)

Standings = Sequence[int]
"""The octets of all addresses by slot; an address beyond the end is unknown."""

ALL_UNKNOWN: Standings = b""
"""The standings of a server that has checked nothing."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What may change from one query to the next: standings, and the luck of the draw.

    `notes` tell of some slots why they stand as they do, for who wants to read it.
    """

    standings: Standings = ALL_UNKNOWN
    draw: Draw = first_ticket
    notes: Mapping[int, str] = field(default_factory=dict)


QUIET = Moment()
"""The moment of a server that has checked nothing and draws nothing."""


@dataclass(frozen=True, slots=True)
class PoolAddress:
    """An address of an endpoint: its RDATA as A or AAAA record, and its place in the standings."""

    rdtype: int
    rdata: bytes
    slot: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something that serves users: `site` is the number of its site, `spare` the capacity that it usually has left."""

    name: str
    site: int
    weight: int
    addresses: tuple[PoolAddress, ...]
    region: str = ""
    capacity: float = 0.0
    load: float = 0.0

    @property
    def spare(self) -> float:
        """Capacity that is not used as a rule."""
        return max(self.capacity - self.load, 0.0)


@dataclass(frozen=True, slots=True)
class Pool:
    """Endpoints that are one service, in the operator's order; `spots` is where the sites are. TTLs are in seconds."""

    name: str
    steering: Steering
    sites: tuple[str, ...]
    spots: tuple[Spot | None, ...]
    endpoints: tuple[Endpoint, ...]
    answers: int = 1
    ttl: int = 30
    ttl_degraded: int = 10
    when_all_down: WhenAllDown = WhenAllDown.ALL
    min_up: int = 1

    def label(self, number: int) -> str:
        """An endpoint as the operator names it: site/endpoint."""
        endpoint = self.endpoints[number]
        return f"{self.sites[endpoint.site]}/{endpoint.name}"

    @property
    def spreads(self) -> bool:
        """Whether a failed site's users are spread over the next ones: where it is said how much the endpoints can bear."""
        in_order = self.steering in {Steering.NEAREST, Steering.REGION, Steering.FAILOVER}
        return in_order and any(endpoint.capacity for endpoint in self.endpoints)

    def chances(self, endpoints: Sequence[int]) -> list[tuple[int, float]]:
        """How likely each of these endpoints is the first in an answer, if one is drawn among them."""
        total = sum(self.endpoints[number].weight for number in endpoints)
        return [(number, self.endpoints[number].weight / total if total else 1 / len(endpoints)) for number in endpoints]

    def has_family(self, rdtype: int) -> bool:
        """Whether any endpoint has an address of this type."""
        return any(address.rdtype == rdtype for endpoint in self.endpoints for address in endpoint.addresses)


class Verdict(StrEnum):
    """How a choice came about."""

    PREFERRED = "the first choice is up"
    NEXT = "the first choice is not up: the next takes its users"
    SPREAD = "the first choice is not up: the next sites share its users by spare capacity"
    LAST_RESORT = "nothing is up: answering with the first choice anyway"
    NOTHING = "nothing is up"
    NO_ADDRESS = "the pool has no address of this type"


@dataclass(frozen=True, slots=True)
class Share:
    """Endpoints, drawn by weight, that take `portion` of the clients beside other shares."""

    portion: float
    endpoints: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Whom a client may get: one share, or several among which its network decides; none where nothing is up.

    `passed` are the endpoints preferred to these that were not eligible, each with the reason.
    """

    verdict: Verdict
    shares: tuple[Share, ...]
    ttl: int
    passed: tuple[tuple[int, str], ...] = ()


class Roll:
    """A pool's standings of one moment for one record type: who is eligible, worked out once for all orders."""

    __slots__ = ("_deadness", "_notes", "_rdtype", "_reasons", "_settled", "_standings", "able", "eligible", "pool", "troubled")

    def __init__(self, pool: Pool, rdtype: int, standings: Standings, notes: Mapping[int, str] | None = None) -> None:
        self.pool = pool
        self._notes = notes or {}
        self._rdtype = rdtype
        self._standings = standings
        able = {number: self._of(endpoint) for number, endpoint in enumerate(pool.endpoints)}
        self.able = {number: found for number, found in able.items() if found}
        up = {number for number, found in self.able.items() if any(standing.eligible for _, standing in found)}
        at_site: dict[int, int] = {}
        for number in up:
            at_site[pool.endpoints[number].site] = at_site.get(pool.endpoints[number].site, 0) + 1
        self.eligible = {number for number in up if at_site[pool.endpoints[number].site] >= pool.min_up}
        self.troubled = {number for number, found in self.able.items() if any(standing.troubled for _, standing in found)}
        self._settled: dict[tuple[int, ...], Candidates] = {}
        self._reasons: dict[int, str] = {}
        self._deadness: dict[int, int] = {}

    def _of(self, endpoint: Endpoint) -> list[tuple[PoolAddress, Standing]]:
        return [
            (address, standing_of(self._standings, address.slot))
            for address in endpoint.addresses
            if address.rdtype == self._rdtype
        ]

    def candidates(self, bands: Bands) -> Candidates:
        """Whom a client with this order may get. The first band decides alone as long as anything in it is up."""
        home = -1
        for at, band in enumerate(bands):
            if not any(number in self.able for number in band):
                continue
            home = at if home < 0 else home
            alive = self._heaviest(band)
            if alive and at == home:
                return self._first_choice(bands, at, alive)
            if alive:
                return self._after_failure(bands, home, at, alive)
        if home < 0:
            return Candidates(Verdict.NO_ADDRESS, (), self.pool.ttl)
        return self._nothing_up(bands)

    def _first_choice(self, bands: Bands, at: int, alive: tuple[int, ...]) -> Candidates:
        """Nearly always so, and the same for all orders that begin alike."""
        if at:
            return self._choice(Verdict.PREFERRED, bands[: at + 1], (Share(1.0, alive),))
        known = self._settled.get(bands[0])
        if known is None:
            known = self._settled[bands[0]] = self._choice(Verdict.PREFERRED, bands[:1], (Share(1.0, alive),))
        return known

    def _heaviest(self, band: Sequence[int]) -> tuple[int, ...]:
        """The eligible endpoints of a band; those of weight 0 only where nothing heavier is."""
        alive = [number for number in band if number in self.eligible]
        return tuple([number for number in alive if self.pool.endpoints[number].weight] or alive)

    def _choice(self, verdict: Verdict, walked: Bands, shares: tuple[Share, ...]) -> Candidates:
        """Put together what was found; the TTL is short while anybody on the way is down or about to change."""
        chosen = {number for share in shares for number in share.endpoints}
        on_the_way = [number for band in walked for number in band]
        passed = tuple([(number, self._reason(number)) for number in on_the_way if number not in chosen])
        degraded = not self.troubled.isdisjoint(on_the_way)
        ttl = min(self.pool.ttl, self.pool.ttl_degraded) if degraded else self.pool.ttl
        return Candidates(verdict, shares, ttl, passed)

    def _reason(self, number: int) -> str:
        """The same for all orders."""
        if number not in self._reasons:
            self._reasons[number] = self._why_passed(number)
        return self._reasons[number]

    def _why_passed(self, number: int) -> str:
        if number not in self.able:
            return "has no address of this type"
        if number in self.eligible:
            return self._why_spared(self.pool.endpoints[number])
        if any(standing.eligible for _, standing in self.able[number]):
            return f"is up, but its site has fewer than {self.pool.min_up} up"
        return "; ".join(dict.fromkeys(self._told(address, standing) for address, standing in self.able[number]))

    def _told(self, address: PoolAddress, standing: Standing) -> str:
        note = self._notes.get(address.slot, "")
        if note.startswith(str(standing)):
            return note
        return f"{standing}: {note}" if note else str(standing)

    @staticmethod
    def _why_spared(endpoint: Endpoint) -> str:
        if not endpoint.weight:
            return "stands by (weight 0)"
        return "is not needed: there is room before it" if endpoint.spare else "has no capacity to spare"

    def _after_failure(self, bands: Bands, home: int, at: int, alive: tuple[int, ...]) -> Candidates:
        """The next band, or as many of the next sites as together have room for what the failed one bears."""
        shares = self._spread(bands[at:], bands[home]) if self.pool.spreads else ()
        if not shares:
            return self._choice(Verdict.NEXT, bands[: at + 1], (Share(1.0, alive),))
        last = max(number for number, band in enumerate(bands) if not set(shares[-1].endpoints).isdisjoint(band))
        return self._choice(Verdict.SPREAD if len(shares) > 1 else Verdict.NEXT, bands[: last + 1], shares)

    def _spread(self, bands: Bands, failed: Sequence[int]) -> tuple[Share, ...]:
        """The next sites, up to the one with which their spare capacity covers what the failed endpoints bear."""
        endpoints = self.pool.endpoints
        need = sum(endpoints[number].load or endpoints[number].capacity for number in failed)
        rooms: list[tuple[float, tuple[int, ...]]] = []
        for alive in (alive for band in bands for alive in self._by_site(band)):
            spare = sum(endpoints[number].spare for number in alive)
            if spare and sum(room for room, _ in rooms) < need:
                rooms.append((spare, alive))
        total = sum(room for room, _ in rooms)
        return tuple(Share(room / total, alive) for room, alive in rooms)

    def _by_site(self, band: Sequence[int]) -> Iterator[tuple[int, ...]]:
        by_site: dict[int, list[int]] = {}
        for number in band:
            by_site.setdefault(self.pool.endpoints[number].site, []).append(number)
        yield from filter(None, map(self._heaviest, by_site.values()))

    def _nothing_up(self, bands: Bands) -> Candidates:
        """A dead address beats none: the first that the operator has not forced down, rather one that checks call well."""
        if self.pool.when_all_down is not WhenAllDown.ALL:
            return self._choice(Verdict.NOTHING, bands, ())
        self._deadness = self._deadness or {number: self._dead(number) for number in self.able}
        present = [[number for number in band if number in self.able] for band in bands]
        best = min(self._deadness[number] for band in present for number in band)
        band = next(band for band in present if any(self._deadness[number] == best for number in band))
        last = [number for number in band if self._deadness[number] == best]
        heavy = [number for number in last if self.pool.endpoints[number].weight] or last
        return self._choice(Verdict.LAST_RESORT, bands, (Share(1.0, tuple(heavy)),))

    def _dead(self, number: int) -> int:
        """How little use it is to send anybody there, from 0 to 3; what is drained may still be well."""
        return min((standing.word is Word.DOWN) * 2 + (standing.health is Health.DOWN) for _, standing in self.able[number])

    def drawn(self, candidates: Candidates, draw: Draw, network: int) -> list[int]:
        """The endpoints for one client, as many as an answer needs: its network decides among shares, the draw within one."""
        share = candidates.shares[share_of(candidates, self.pool.name, network)]
        found: list[int] = []
        addresses = 0
        for number in weighted(share.endpoints, [self.pool.endpoints[each].weight for each in share.endpoints], draw):
            found.append(number)
            addresses += len(self.addresses(candidates, number))
            if addresses >= self.pool.answers:
                break
        return found

    def rdatas(self, candidates: Candidates, endpoints: Sequence[int]) -> tuple[bytes, ...]:
        """The addresses of endpoints, no more than an answer may have."""
        return tuple([rdata for number in endpoints for rdata in self.addresses(candidates, number)][: self.pool.answers])

    def addresses(self, candidates: Candidates, number: int) -> list[bytes]:
        """The addresses of one endpoint that may be answered; where nothing is up, all of them."""
        anyway = candidates.verdict is Verdict.LAST_RESORT
        return [address.rdata for address, standing in self.able[number] if anyway or standing.eligible]


def standing_of(standings: Standings, slot: int) -> Standing:
    """The standing in a slot."""
    return _STANDINGS[standings[slot] & 31] if slot < len(standings) else _STANDINGS[0]


def share_of(candidates: Candidates, pool: str, network: int) -> int:
    """Which share takes a network: always the same one, and of many networks each share its portion."""
    if len(candidates.shares) == 1:
        return 0
    point = mix(network ^ int.from_bytes(pool.encode(), "big") << 64) / 2**64
    bounds = list(accumulate(share.portion for share in candidates.shares))
    return min(bisect_right(bounds, point), len(bounds) - 1)


def weighted(endpoints: Sequence[int], weights: Sequence[int], draw: Draw) -> Iterator[int]:
    """Endpoints in a random order: each next one is drawn among those left by its share of their weights.

    Over every draw of the first ticket each of n equal endpoints comes first equally often. If all weights are 0 they are equal.
    """
    left = list(zip(endpoints, weights if any(weights) else [1] * len(weights), strict=True))
    while left:
        total = sum(weight for _, weight in left)
        ticket = draw(total) if len(left) > 1 and total else 0
        at = 0
        while ticket >= left[at][1] and at < len(left) - 1:
            ticket -= left[at][1]
            at += 1
        yield left.pop(at)[0]

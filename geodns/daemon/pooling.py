"""Owns the way from configured pools to those that answer, to what is probed, and to where each stands; knows no processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import assert_never

from geodns import answer, geo, wire
from geodns.ops import config as configuration
from geodns.ops import health
from geodns.ops.config import Config
from geodns.ops.overrides import Overrides
from geodns.ops.overrides import Word as Said

Path3 = tuple[str, str, str]
"""Pool, site, endpoint."""

_HEALTH = {
    health.Health.UNKNOWN: answer.Health.UNKNOWN,
    health.Health.UP: answer.Health.UP,
    health.Health.DOWN: answer.Health.DOWN,
}
_WORDS = {Said.UP: answer.Word.UP, Said.DOWN: answer.Word.DOWN, Said.DRAIN: answer.Word.DRAIN}


@dataclass(frozen=True, slots=True)
class Seat:
    """One address of an endpoint: who it is, its slot in the standings, and what is probed, if anything is."""

    slot: int
    path: Path3
    address: str
    target: health.Target | None
    rise: int
    fall: int

    @property
    def key(self) -> str:
        """Its name in what is kept over reloads and restarts."""
        return "/".join((*self.path, self.address))

    @property
    def family(self) -> str:
        """ipv4 or ipv6."""
        return "ipv6" if ":" in self.address else "ipv4"


def seats(config: Config) -> list[Seat]:
    """Every address of every pool, by slot."""
    found: list[Seat] = []
    for pool_name, pool in config.pools.items():
        rise, fall = pool.check.thresholds
        for endpoint in pool.endpoints:
            path = (pool_name, endpoint.site, endpoint.name)
            for text in endpoint.addresses:
                target = _target(config, pool.check, "/".join(path), text)
                found.append(Seat(len(found), path, text, target, rise, fall))
    return found


def _target(config: Config, check: configuration.Check, key: str, address: str) -> health.Target | None:
    asked = _check(config, check, address)
    if asked is None:
        return None
    return health.Target(address=address, check=asked, timeout=check.timeout, interval=check.interval, key=key)


def _check(config: Config, check: configuration.Check, address: str) -> health.Check | None:
    """What is asked of an address; None if nothing is."""
    port, authorities = check.used_port, config.path(check.ca_file) if check.ca_file else None
    match check.type:
        case "http" | "https":
            return health.HttpCheck(
                tls=check.type == "https",
                port=port,
                path=check.path,
                host=check.host or address,
                expect_status=check.expect_status,
                expect_body=check.expect_body,
                verify=check.verify,
                ca_file=authorities,
                certificate_days=check.certificate_days,
            )
        case "tcp":
            return health.TcpCheck(port)
        case "tls":
            return health.TlsCheck(port, check.host or address, check.verify, authorities, check.certificate_days)
        case "dns":
            return health.DnsCheck(port, check.query, check.query_type, check.expect_answer, check.expect_rcode)
        case "exec":
            program, *arguments = check.command
            named = str(config.path(program).absolute()) if "/" in program else program  # a bare name is looked up in PATH
            return health.ExecCheck((named, *arguments))
        case "external":
            return health.ExternalCheck(config.path(check.file) if check.file else None, check.max_age)
        case "none":
            return None
        case never:
            assert_never(never)


def pools(config: Config) -> list[answer.Pool]:
    """The pools as they answer; slots are those of `seats`."""
    slot = 0
    found = []
    for name, pool in config.pools.items():
        sites = list(pool.sites)
        endpoints = []
        for endpoint in pool.endpoints:
            addresses = []
            for text in endpoint.addresses:
                address = ip_address(text)
                rdtype = wire.Type.A if address.version == 4 else wire.Type.AAAA
                addresses.append(answer.PoolAddress(rdtype, address.packed, slot))
                slot += 1
            endpoints.append(
                answer.Endpoint(
                    endpoint.name,
                    sites.index(endpoint.site),
                    endpoint.weight,
                    tuple(addresses),
                    endpoint.region,
                    endpoint.capacity or 0.0,
                    endpoint.load,
                )
            )
        found.append(_pool(name, pool, tuple(sites), tuple(endpoints)))
    return found


def _pool(name: str, pool: configuration.Pool, sites: tuple[str, ...], endpoints: tuple[answer.Endpoint, ...]) -> answer.Pool:
    return answer.Pool(
        name,
        answer.Steering(pool.steering),
        sites,
        tuple(spot(pool.sites[site]) for site in sites),
        endpoints,
        pool.answers,
        pool.ttl,
        pool.ttl_degraded,
        answer.WhenAllDown(pool.when_all_down),
        pool.min_up,
    )


def spot(endpoints: tuple[configuration.Endpoint, ...]) -> geo.Spot | None:
    """Where a site is: where the first of its endpoints is that says so."""
    for endpoint in endpoints:
        if endpoint.latitude is not None and endpoint.longitude is not None:
            return geo.Spot(endpoint.latitude, endpoint.longitude)
    return None


def standings(found: Sequence[Seat], states: Mapping[str, health.State], overrides: Overrides, now: float) -> bytes:
    """One octet for each seat: what checks and the operator say of it."""
    return bytes(standing(seat, states, overrides, now).octet for seat in found)


def standing(seat: Seat, states: Mapping[str, health.State], overrides: Overrides, now: float) -> answer.Standing:
    """Where an address stands."""
    said = overrides.word_for(seat.path, now)
    word = _WORDS[said.word] if said else answer.Word.AUTO
    state = states.get(seat.key)
    if seat.target is None or state is None:
        return answer.Standing(answer.Health.UP if seat.target is None else answer.Health.UNKNOWN, word=word)
    return answer.Standing(_HEALTH[state.health], pending=state.pending > 0, word=word)


def moment(found: Sequence[Seat], states: Mapping[str, health.State], overrides: Overrides, now: float) -> answer.Moment:
    """The standings with the reasons for them, for explanations; nothing is drawn."""
    notes = {}
    for seat in found:
        state, said = states.get(seat.key), overrides.word_for(seat.path, now)
        if said:
            until = f" until {datetime.fromtimestamp(said.until, UTC).strftime('%Y-%m-%d %H:%M:%SZ')}" if said.until else ""
            notes[seat.slot] = f"{'/'.join(said.path)} by {said.who or 'somebody'}{until}" + (
                f", {said.reason}" if said.reason else ""
            )
        elif state and state.last and state.last.error:
            since = datetime.fromtimestamp(state.since, UTC).strftime("%H:%M:%SZ")
            notes[seat.slot] = f"{state.last.error}, since {since}"
    return answer.Moment(standings(found, states, overrides, now), notes=notes)


def tree(config: Config) -> dict[str, dict[str, list[str]]]:
    """Pools, their sites, and the endpoints of these, by name."""
    return {
        name: {site: [endpoint.name for endpoint in group] for site, group in pool.sites.items()}
        for name, pool in config.pools.items()
    }


def by_target(found: list[Seat]) -> dict[health.Target, list[Seat]]:
    """Whom each probe tells about."""
    grouped: dict[health.Target, list[Seat]] = {}
    for seat in found:
        if seat.target is not None:
            grouped.setdefault(seat.target, []).append(seat)
    return grouped

"""Owns the way from a configuration file to a snapshot, and every problem on it; refuses to know sockets and processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from ipaddress import ip_address, ip_network
from pathlib import Path
from time import monotonic, time

import dns.rdatatype

from geodns import answer, geo, wire, zone
from geodns.daemon import linting, pooling
from geodns.daemon.parsing import Faults, load_zones
from geodns.daemon.ways import gate_needs
from geodns.geo import anycast, database, egress
from geodns.ops import config as configuration
from geodns.ops import cookie_file, toml_lines
from geodns.ops.config import Config
from geodns.problem import Problem, ProblemsFound, Severity, errors

log = logging.getLogger("geodns")

DEMONSTRATION = Path(str(files("geodns") / "demo" / "geodns.toml"))
"""The configuration that runs when no other is named."""

EVERYBODY = frozenset({"all", "any", "default", "everyone", "other", "world"})
"""Words by which other servers name clients whom no rule names."""

Progress = Callable[[str, int, int], None]
"""Told what is being loaded, how much is done, and out of how much."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything one load has made; `warnings` are problems that did not refuse it, `began` is Unix time."""

    path: Path
    config: Config
    snapshot: answer.Snapshot
    warnings: tuple[Problem, ...]
    seconds: float
    began: float

    @property
    def records(self) -> int:
        """Records in all zones."""
        return sum(served.contents.record_count for served in self.snapshot.zones.values())

    @property
    def is_embedded(self) -> bool:
        """Whether only the embedded continent table knows places."""
        return self.snapshot.atlas.databases == (geo.embedded(),)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def load(path: Path, progress: Progress = _silent) -> Loaded:
    """Read and compile everything that a configuration names; raises ProblemsFound with all problems of all files at once."""
    began, moment = monotonic(), time()
    try:
        config = configuration.load(path)
    except configuration.ConfigurationRefused as refused:
        found = [*refused.problems, *(_of_its_files(refused.rest, progress) if refused.rest else [])]
        raise ProblemsFound(dict.fromkeys(found)) from refused
    problems = [*config.warnings, *([] if config.zones else [_without_zones(path)])]
    regions = {name: tuple(map(geo.parse_place, selectors)) for name, selectors in config.regions.items()}
    atlas = load_atlas(config, problems)
    secrets = _cookie_secrets(config, problems)
    listed = linting.ListedAnycast(atlas)
    doubts = zone.Doubts(listed.selector, listed, frozenset(wire.from_text(served.name) for served in config.zones))
    contents = _load_zones(config, (_selector_fault(regions), _pool_fault(config.pools), doubts), problems, progress)
    if errors(problems):
        raise ProblemsFound(problems)
    problems += [*answer.lint(contents, regions, listed), *linting.config_doubts(config, contents, atlas, listed, path)]
    problems += gate_needs(config, path)
    progress("compiling", 0, 1)
    try:
        snapshot = _compile(config, contents, atlas, regions, secrets)
        problems += _unmet(config, snapshot, path)
    except geo.BadDatabase as error:
        raise ProblemsFound([*problems, unusable(error)]) from error
    progress("compiling", 1, 1)
    if errors(problems):
        raise ProblemsFound(problems)
    return Loaded(path, config, snapshot, tuple(problems), monotonic() - began, moment)


def _cookie_secrets(config: Config, problems: list[Problem]) -> cookie_file.Secrets:
    """The secrets of DNS cookies, none without a file of them; what is wrong with it is added to `problems`."""
    if not config.server.cookie_secrets:
        return ()
    try:
        return cookie_file.read(config.path(config.server.cookie_secrets))
    except ProblemsFound as found:
        problems += found.problems
        return ()


def _without_zones(path: Path) -> Problem:
    """Not an error, for a server may be set up before its first zone; but seldom meant."""
    remedy = "add [[zones]] with name and file"
    return Problem(str(path), 0, "there are no zones: every query is refused", remedy, Severity.WARNING)


def _compile(
    config: Config,
    contents: list[zone.ZoneContents],
    atlas: geo.Atlas,
    regions: dict[str, tuple[geo.PlaceSelector, ...]],
    secrets: cookie_file.Secrets,
) -> answer.Snapshot:
    zones, pools, rule_sets = answer.compile_zones(contents, pooling.pools(config), atlas, regions)
    ladder = tuple(map(answer.Rung, config.geo.ladder))
    trust = answer.Trust(config.ecs.enabled, tuple(map(ip_network, config.ecs.trust)), answer.Rung.ECS in ladder)
    limits = config.server
    own = limits.model_dump(include=set(answer.OWN_WORDS), exclude_none=True)
    identity = answer.identity_of(limits.identity, limits.version, own)
    return answer.Snapshot(
        zones,
        atlas,
        pools,
        trust,
        identity,
        payload_size=limits.udp_payload_size,
        tcp_idle_timeout=limits.tcp_idle_timeout,
        rule_sets=rule_sets,
        cookie_secrets=secrets,
        told_why=tuple(map(ip_network, config.explain.clients)),
        ladder=ladder,
    )


def unusable(error: geo.BadDatabase) -> Problem:
    """A database that turned out to be broken, as a problem."""
    return Problem(error.name, 0, str(error), "fetch it again, for example with `geodns geo update`")


def load_atlas(config: Config, problems: list[Problem]) -> geo.Atlas:
    """Open the databases, anycast lists and egress maps of a configuration; what is wrong with them is added to `problems`."""
    databases, found = geo.open_all([(str(config.path(text)), config.path(text)) for text in config.geo.databases])
    problems += found
    prefixes, keep_rest = list(anycast.shipped()), config.geo.bad_lines == "skip"
    for text in config.geo.anycast:
        listed, found = anycast.read(config.path(text), keep_rest=keep_rest)
        prefixes += listed
        problems += found
    mapped, found = egress.read_all([config.path(text) for text in config.geo.egress], keep_rest=keep_rest)
    problems += found
    networks = {ip_network(text): geo.Location(**place.model_dump()) for text, place in config.geo.networks.items()}
    sources: list[database.Database] = list(databases) or [geo.embedded()]
    here = geo.Location(**config.server.place.model_dump()) if config.server.anycast and config.server.place else None
    return geo.Atlas(sources, networks, prefixes, mapped, here)


def _of_its_files(rest: configuration.Rest, progress: Progress) -> list[Problem]:
    """What is wrong with the files that a refused configuration names, so that all of it is told at once."""
    problems: list[Problem] = []
    load_atlas(rest.config, problems)
    _cookie_secrets(rest.config, problems)
    _load_zones(rest.config, (_selector_fault(rest.regions), _pool_fault(rest.pools)), problems, progress)
    return problems


def _load_zones(config: Config, faults: Faults, problems: list[Problem], progress: Progress) -> list[zone.ZoneContents]:
    sources = [(config.path(served.file), wire.from_text(served.name)) for served in config.zones]
    progress("zones", 0, len(sources))
    parsed = load_zones(sources, faults, lambda done: progress("zones", done, len(sources)))
    for _, found in parsed:
        problems += found
    return [contents for contents, _ in parsed if contents]


def _selector_fault(regions: Collection[str]) -> zone.Fault:
    def fault(text: str) -> str | None:
        try:
            selector = geo.parse(text)
        except geo.BadSelector as error:
            return str(error)
        if isinstance(selector, geo.NetSelector) and (inside := geo.embedded_ipv4(selector.network)):
            return f"'{text}' never matches: IPv4 addresses inside IPv6 are looked up as IPv4; write net:{inside}"
        if isinstance(selector, geo.RegionSelector) and selector.region not in regions:
            return f"'{text}' is no region of the config: {_meant_instead(selector.region, regions)}"
        return None

    return fault


def _meant_instead(word: str, regions: Collection[str]) -> str:
    """What to write for a word that is no region."""
    if word.lower() in EVERYBODY:
        return "what all other clients get is a plain record, without GEO"
    if likely := geo.likely(word):
        return f"write {likely}"
    if close := get_close_matches(word, regions, 1):
        return f"did you mean '{close[0]}'?"
    known = f"the config has {', '.join(sorted(regions))}" if regions else "the config has none"
    return f"{known}; define it in [regions]"


def _pool_fault(pools: Collection[str]) -> zone.Fault:
    def fault(name: str) -> str | None:
        if name in pools:
            return None
        close = get_close_matches(name, pools, 1)
        known = f"did you mean '{close[0]}'?" if close else "define it in [pools]"
        return f"'{name}' is no pool of the config: {known}"

    return fault


def asker(client: str, resolver: str = "") -> answer.Asker:
    """Who is meant by a client and a resolver as users write them; raises ValueError for what is no address or prefix.

    A prefix is a client subnet; so is an address that a resolver asks for, cut to what resolvers send (/24, /56: RFC 7871
    §11.1). An address alone is the sender itself. "" for both is nobody known.
    """
    source = _place(resolver) if resolver else None
    if not client:
        return answer.Asker(source)
    if "/" in client:
        network = ip_network(client, strict=False)
        return answer.Asker(source, wire.subnet_of(network.network_address, network.prefixlen))
    if source is None:
        return answer.Asker(_place(client))
    address = ip_address(client)
    return answer.Asker(source, wire.subnet_of(address, 24 if address.version == 4 else 56))


def asker_of(client: str, ecs: str, resolver: str) -> answer.Asker:
    """Who is meant where the client subnet is named by itself; raises ValueError, also for a client that asks both ways.

    An address as `ecs` is cut to what resolvers send.
    """
    if client and ecs:
        raise ValueError("client and ecs exclude each other: the one asks itself, for the other a resolver asks")
    if ecs and "/" not in ecs:
        ecs = f"{ecs}/{24 if ip_address(ecs).version == 4 else 56}"
    return asker(ecs or client, resolver)


def _place(text: str) -> geo.Place:
    address = ip_address(text)
    return geo.place_of(address.version, int(address))


def _unmet(config: Config, snapshot: answer.Snapshot, path: Path) -> Iterable[Problem]:
    """One problem for each expectation that does not come out, at its line."""
    lines: dict[toml_lines.KeyPath, int] | None = None
    for number, expect in enumerate(config.expect):
        rdtype = int(dns.rdatatype.from_text(expect.type))
        expectation = answer.Expectation(
            wire.from_text(expect.name), rdtype, asker(expect.client, expect.resolver), expect.answer, expect.rcode
        )
        if fault := answer.unmet(snapshot, expectation):
            lines = lines or toml_lines.locate(path.read_text("utf-8-sig"))
            line = toml_lines.nearest(lines, ("expect", number))
            yield Problem(str(path), line, f"expectation not met: {fault}", "correct the policy, or the expectation")


EMBEDDED_WARNING = (
    "places come from the embedded IANA registry table: continents only, right for about 87 % of the IPv4 space; "
    "for production fetch a database with `geodns geo update` and name it in geo.databases"
)


def counted(count: int, what: str) -> str:
    """A number and the word for what it counts, in the plural where there is not one."""
    return f"{count} {what}" if count == 1 else f"{count} {what}{'es' if what.endswith('x') else 's'}"


def say_loaded(loaded: Loaded, generation: int, warnings: Sequence[Problem]) -> None:
    """Log what a reload has brought, and what was warned of while it was put to use."""
    for problem in (*loaded.warnings, *warnings):
        log.warning("%s", problem)
    if loaded.is_embedded and loaded.snapshot.rule_sets:
        log.warning("%s", EMBEDDED_WARNING)
    what = f"{counted(len(loaded.snapshot.zones), 'zone')}, {counted(loaded.records, 'record')}"
    log.info("generation %d: %s, loaded in %.2f s", generation, what, loaded.seconds)


def say_refused(fault: Exception, generation: int) -> None:
    """Log why a reload was refused, and which generation goes on."""
    match fault:
        case ProblemsFound(problems=problems):
            for problem in problems:
                log.log(logging.ERROR if problem.is_error else logging.WARNING, "%s", problem)
            log.error("reload refused: generation %d goes on", generation)
        case _:
            log.error("reload failed by a fault of our own: generation %d goes on", generation, exc_info=fault)

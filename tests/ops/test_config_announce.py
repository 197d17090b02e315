"""The table [announce]: what it refuses, each with its line and its remedy, and what it only warns of."""

from __future__ import annotations

import pytest

from geodns.ops.config import parse, service_addresses, unaskable
from geodns.problem import ProblemsFound

GOOD = """\
[server]
listen = ["127.0.0.1:53", "198.51.100.53:53", "[2001:db8:53::53]:53"]
[announce]
method = "exabgp"
prefixes = ["198.51.100.0/24", "2001:db8:53::/48"]
"""
POOL = '[pools.app]\nsteering = "failover"\n[[pools.app.endpoints]]\nname = "a"\naddresses = ["192.0.2.1"]\n'
BIRD = 'method = "bird"\n'
REFUSED: dict[str, tuple[str, str, str]] = {
    "host bits": (
        GOOD.replace("198.51.100.0/24", "198.51.100.1/24"),
        "announce.prefixes[0]: '198.51.100.1/24' has bits set beyond its prefix",
        'write "198.51.100.0/24"',
    ),
    "overlap": (
        GOOD.replace('"2001:db8:53::/48"', '"198.51.100.0/25"'),
        "announce.prefixes[1]: '198.51.100.0/25' overlaps '198.51.100.0/24'",
        "announce each address by one prefix, so that a withdrawal withdraws it",
    ),
    "twice": (
        GOOD.replace('"2001:db8:53::/48"', '"198.51.100.0/24"'),
        "announce.prefixes[1]: '198.51.100.0/24' is there twice",
        "announce each address by one prefix, so that a withdrawal withdraws it",
    ),
    "everything": (
        GOOD.replace("198.51.100.0/24", "0.0.0.0/0"),
        "announce.prefixes[0]: '0.0.0.0/0' cannot be announced",
        "write the prefix that holds your service's address",
    ),
    "a loopback": (
        GOOD.replace("198.51.100.0/24", "127.0.0.0/24"),
        "announce.prefixes[0]: '127.0.0.0/24' never leaves this machine",
        "write the prefix that holds your service's address",
    ),
    "a prefix without an address": (
        GOOD.replace("198.51.100.0/24", "203.0.113.0/24"),
        "announce.prefixes[0]: '203.0.113.0/24' holds no address that is served here",
        "add the service's address to server.listen",
    ),
    "a prefix behind a wildcard": (
        GOOD.replace('"198.51.100.53:53"', '"0.0.0.0:54"'),
        "announce.prefixes[0]: no address of '198.51.100.0/24' is known",
        "server.listen is a wildcard: list them in announce.addresses",
    ),
    "an address that is not listened on": (
        f'{GOOD}addresses = ["198.51.100.54", "198.51.100.53", "2001:db8:53::53"]\n',
        "announce.addresses[0]: '198.51.100.54' is not listened on",
        "add it with its port to server.listen",
    ),
    "an address in no prefix": (
        f'{GOOD}addresses = ["127.0.0.1", "198.51.100.53", "2001:db8:53::53"]\n',
        "announce.addresses[0]: '127.0.0.1' is in none of the prefixes",
        "correct it, or add its prefix",
    ),
    "nothing to announce": (
        '[announce]\nmethod = "exec"\n[announce.exec]\ncommand = ["true"]\n',
        "announce.prefixes: is missing",
        'list what to announce: prefixes = ["198.51.100.0/24"]',
    ),
    "no state directory": (
        GOOD.replace("[announce]", 'state = ""\n[announce]'),
        "announce.method: needs a state directory, and server.state is empty",
        "name a directory as server.state: daemon and gate meet there",
    ),
    "a pool that is none": (
        f'{GOOD}require_pools = ["ap"]\n{POOL}',
        "announce.require_pools[0]: 'ap' is not in [pools]",
        "did you mean 'app'?",
    ),
    "a sibling that is oneself": (
        f'{GOOD}siblings = ["192.0.2.1:53", "127.0.0.1:53"]\n',
        "announce.siblings[1]: '127.0.0.1:53' is this instance itself (server.listen)",
        "name the others only, at their own addresses",
    ),
    "a sibling at the common address": (
        f'{GOOD}siblings = ["198.51.100.99:53"]\n',
        "announce.siblings[0]: '198.51.100.99:53' is in a prefix that all instances announce",
        "name each at an address of its own",
    ),
    "an unknown method": (
        GOOD.replace("exabgp", "birdd"),
        "announce.method: the text 'birdd' is none of its values",
        "did you mean 'bird'?",
    ),
    "bird without a way": (
        GOOD.replace("exabgp", "bird"),
        "announce.bird: has neither include nor protocols",
        'name a file that BIRD includes: include = "/run/geodns-announce/bird.conf"',
    ),
    "bird with both ways": (
        GOOD.replace("exabgp", "bird") + '[announce.bird]\ninclude = "x"\nprotocols = { "198.51.100.0/24" = "a" }\n',
        "announce.bird.protocols: is not used with include",
        "keep one of the two",
    ),
    "a prefix without a protocol": (
        GOOD.replace("exabgp", "bird") + '[announce.bird]\nprotocols = { "198.51.100.0/24" = "a" }\n',
        "announce.prefixes[1]: '2001:db8:53::/48' has no protocol",
        'add "2001:db8:53::/48" = "…" to announce.bird.protocols',
    ),
    "a protocol for two": (
        GOOD.replace("exabgp", "bird") + '[announce.bird]\nprotocols = { "198.51.100.0/24" = "a", "2001:db8:53::/48" = "a" }\n',
        "announce.bird.protocols.\"2001:db8:53::/48\": 'a' is also that of '198.51.100.0/24'",
        "give each prefix a protocol of its own",
    ),
    "what a socket could take for a command": (
        GOOD.replace("exabgp", "bird")
        + '[announce.bird]\nprotocols = { "198.51.100.0/24" = "a\'; down", "2001:db8:53::/48" = "b" }\n',
        "announce.bird.protocols.\"198.51.100.0/24\": 'a'; down' is no name",
        "write the name that the router's configuration gives it",
    ),
    "frr without its AS": (GOOD.replace("exabgp", "frr"), "announce.frr.asn: is missing", "give the number of `router bgp`"),
    "communities with frr": (
        GOOD.replace("exabgp", "frr") + 'communities = ["64500:1"]\n[announce.frr]\nasn = 64500\n',
        "announce.communities: is not used with frr",
        "set it in a route map, and name that as announce.frr.route_map",
    ),
    "a MED with bird": (
        GOOD.replace("exabgp", "bird") + 'med = 5\n[announce.bird]\ninclude = "x"\n',
        "announce.med: is not used with bird",
        "set bgp_med in its export filter: BIRD sends it only from there",
    ),
    "exec without a program": (
        GOOD.replace("exabgp", "exec"),
        "announce.exec.command: is missing",
        'give a program and its arguments: command = ["./announce"]',
    ),
    "prepends of nobody": (
        f'{GOOD}drain = "prepend"\n',
        "announce.asn: is missing",
        "give the number of this AS, which prepends are made of",
    ),
    "a community that is none": (
        f'{GOOD}communities = ["65536:1"]\n',
        "announce.communities[0]: '65536:1' is no community",
        'write "64500:70", or "4200000000:1:2" for a large one (RFC 8092)',
    ),
    "a hold-down above its limit": (
        f"{GOOD}hold_down = 700\n",
        "announce.hold_down: is longer than hold_down_max",
        "raise announce.hold_down_max",
    ),
    "an unknown key": (
        f"{GOOD}[announce.exabgp]\nnexthop = 1\n",
        "announce.exabgp.nexthop: no such key",
        "did you mean 'next_hop'?",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_announced_is_refused(case: str) -> None:
    """One fault, told with its remedy and the line of its key."""
    text, message, remedy = REFUSED[case]
    with pytest.raises(ProblemsFound) as refused:
        parse(text, "geodns.toml")
    told = {(problem.message, problem.remedy) for problem in refused.value.problems}

    assert (message, remedy) in told
    assert all(problem.line for problem in refused.value.problems)


def test_what_is_right_is_read() -> None:
    """Service addresses are those of server.listen that the prefixes hold, or those that are given."""
    assert ("198.51.100.53", "2001:db8:53::53") == service_addresses(parse(GOOD))
    given = GOOD.replace('"198.51.100.53:53"', '"0.0.0.0:54"') + 'addresses = ["198.51.100.7", "2001:db8:53::53"]\n'
    assert ("198.51.100.7", "2001:db8:53::53") == service_addresses(parse(given))


def test_several_faults_are_told_at_once() -> None:
    """A fault hides none of the others."""
    text = '[announce]\nmethod = "bird"\nprefixes = ["198.51.100.0/24"]\nrise = 0\nrequire_pools = ["x"]\ndrain = "prepend"\n'
    with pytest.raises(ProblemsFound) as refused:
        parse(text, "geodns.toml")

    assert 5 == len(refused.value.problems)


EXPECT = '[[zones]]\nname = "example.com"\nfile = "z"\n[[expect]]\nname = "www.example.com"\nclient = "192.0.2.0/24"\n'


@pytest.mark.parametrize(
    ("ecs", "resolver", "why"),
    [
        ("", "", ""),
        ("enabled = false\n", "", "client subnets are off, so it would be answered as for this machine"),
        ('trust = ["127.0.0.0/8"]\n', "", "ecs.trust does not believe 198.51.100.53"),
        ('trust = ["198.51.100.0/24", "2001:db8::/32"]\n', "", ""),
        (
            'trust = ["198.51.100.0/24", "2001:db8::/32"]\n',
            'resolver = "203.0.113.1"\n',
            "ecs.trust does not believe 203.0.113.1",
        ),
    ],
)
def test_expectations_that_are_not_asked_are_warned_of(ecs: str, resolver: str, why: str) -> None:
    """Where a client subnet from this machine would not be believed, another answer would be right."""
    config = parse(f"{GOOD}[ecs]\n{ecs}{EXPECT}{resolver}")
    warned = [problem.message for problem in config.warnings]

    assert (why,) == unaskable(config)
    assert ([f"expect[0]: the announce gate does not ask for it: {why}"] if why else []) == warned


def test_prefixes_without_a_method_are_warned_of() -> None:
    """Somebody has forgotten half of it."""
    config = parse(GOOD.replace('method = "exabgp"\n', ""))

    assert ["announce.method: is missing: nothing is announced"] == [problem.message for problem in config.warnings]
    assert not config.announce.is_on

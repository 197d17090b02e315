"""Owns the tests of pools in the configuration: the contract, what follows from what is left out, every fault, every warning."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from geodns.ops.config import Check, Endpoint, Pool, parse, schema
from geodns.problem import Problem, ProblemsFound, Severity

CONTRACT = """\
[regions]
eu = ["continent:EU"]

[pools.app]
steering = "nearest"          # nearest | region | failover | weighted | hashed
answers = 1                   # how many addresses in an answer
ttl = 30
ttl_degraded = 10
when_all_down = "all"         # all | fallback | nodata | servfail
min_up = 1                    # endpoints a site needs to count as up
[pools.app.check]
type = "https"                # http | https | tcp | tls | dns | exec | external | none
port = 443
path = "/healthz"
host = "app.example.com"      # Host header and SNI
expect_status = [200, 204]
expect_body = "ok"
interval = 5.0                # seconds; jittered
timeout = 2.0
rise = 2
fall = 3
[[pools.app.endpoints]]
name = "fra-1"
site = "fra"
addresses = ["198.51.100.10", "2001:db8:1::10"]
weight = 10
region = "eu"                 # for steering = "region"
latitude = 50.11
longitude = 8.68
capacity = 4000               # optional, queries or users: any unit, the same in the pool
"""
POOL = '[pools.app]\nsteering = "failover"\n'
ENDPOINT = '[[pools.app.endpoints]]\nname = "a"\naddresses = ["192.0.2.1"]\n'
OTHER = '[[pools.app.endpoints]]\nname = "b"\naddresses = ["192.0.2.2"]\n'
FRANKFURT = "latitude = 50.11\nlongitude = 8.68\n"


def problems_of(text: str) -> tuple[Problem, ...]:
    """What is wrong with a configuration that must be refused."""
    with pytest.raises(ProblemsFound) as refused:
        parse(text, "geodns.toml")
    return refused.value.problems


def faults_of(text: str) -> tuple[Problem, ...]:
    """What is wrong with a configuration that may be right: then nothing but what it warns of."""
    try:
        return parse(text, "geodns.toml").warnings
    except ProblemsFound as refused:
        return refused.problems


def checked(check: str) -> str:
    """A pool with a check of these lines."""
    return f"{POOL}[pools.app.check]\n{check}\n{ENDPOINT}"


# --- what is right ----------------------------------------------------------------------------------------------------


def test_the_contract_is_read() -> None:
    """The keys that scripts rely on arrive as written, and nothing in them is strange."""
    config = parse(CONTRACT)
    check = Check(
        type="https", port=443, path="/healthz", host="app.example.com", expect_status=(200, 204), expect_body="ok"
    )  # fmt: skip
    endpoint = Endpoint(
        name="fra-1", site="fra", addresses=("198.51.100.10", "2001:db8:1::10"), weight=10, region="eu",
        latitude=50.11, longitude=8.68, capacity=4000.0,
    )  # fmt: skip

    assert {"app": Pool(check=check, endpoints=(endpoint,))} == config.pools
    assert () == config.warnings


def test_what_is_left_out_has_the_defaults_of_the_contract() -> None:
    """A pool needs no more than endpoints with names and addresses."""
    [pool] = parse(f"{ENDPOINT}{FRANKFURT}").pools.values()

    assert ("nearest", 1, 30, 10, "all", 1) == (
        pool.steering, pool.answers, pool.ttl, pool.ttl_degraded, pool.when_all_down, pool.min_up
    )  # fmt: skip
    assert Check(type="none") == pool.check
    assert (
        Endpoint(name="a", site="a", addresses=("192.0.2.1",), weight=1, latitude=50.11, longitude=8.68, load=0.0),
    ) == pool.endpoints


def test_a_check_has_the_defaults_of_the_contract() -> None:
    """Of a check only its type must be written."""
    check = parse(checked('type = "http"')).pools["app"].check

    assert ("/", "", (200,), "", 5.0, 2.0, 2, 3) == (
        check.path, check.host, check.expect_status, check.expect_body, check.interval, check.timeout, check.rise, check.fall
    )  # fmt: skip


@pytest.mark.parametrize(
    ("check", "port"),
    [
        ('type = "http"', 80),
        ('type = "https"\nhost = "x"', 443),
        ('type = "tls"\nhost = "x"', 443),
        ('type = "dns"\nquery = "example.com"', 53),
        ('type = "tcp"\nport = 25', 25),
        ('type = "http"\nport = 8080', 8080),
        ('type = "exec"\ncommand = ["true"]', 0),
        ('type = "external"', 0),
        ('type = "none"', 0),
    ],
)
def test_a_check_asks_the_port_of_its_type(check: str, port: int) -> None:
    """A port that is left out is that of the type; a type that asks none has none."""
    config = parse(checked(check))

    assert port == config.pools["app"].check.used_port
    assert () == config.warnings


def test_a_default_gives_way_to_what_is_written() -> None:
    """A short interval shortens the default timeout, a short TTL the default degraded one; what is longer lengthens neither."""
    short = parse(f'{POOL}ttl = 5\n[pools.app.check]\ntype = "http"\ninterval = 1\n{ENDPOINT}').pools["app"]
    long = parse(f'{POOL}ttl = 500\n[pools.app.check]\ntype = "http"\ninterval = 50\n{ENDPOINT}').pools["app"]

    assert (5, 1.0) == (short.ttl_degraded, short.check.timeout)
    assert (10, 2.0) == (long.ttl_degraded, long.check.timeout)


def test_an_external_state_is_believed_at_once() -> None:
    """Who reports a state from outside has counted already."""
    assert (1, 1) == parse(checked('type = "external"')).pools["app"].check.thresholds
    assert (4, 5) == parse(checked('type = "http"\nrise = 4\nfall = 5')).pools["app"].check.thresholds


def test_addresses_and_hosts_are_read_in_their_shortest_form() -> None:
    """Equal addresses compare equal, however they were written; host names are of lower case."""
    text = f'{POOL}[pools.app.check]\ntype = "http"\nhost = "App.Example.COM."\n{ENDPOINT}'.replace("192.0.2.1", "2001:DB8:0::1")
    pool = parse(text).pools["app"]

    assert ("2001:db8::1",) == pool.endpoints[0].addresses
    assert "app.example.com" == pool.check.host


def test_endpoints_stand_by_site_in_the_order_of_the_file() -> None:
    """A site holds its endpoints; one without site is a site by itself."""
    third = ENDPOINT.replace('"a"', '"c"').replace("192.0.2.1", "192.0.2.3")
    pool = parse(f'{POOL}{ENDPOINT}site = "x"\n{OTHER}{third}site = "x"').pools["app"]

    assert [("x", ["a", "c"]), ("b", ["b"])] == [(site, [each.name for each in inside]) for site, inside in pool.sites.items()]


def test_loopback_is_a_server_too() -> None:
    """An endpoint may be on this machine, as in a demonstration."""
    assert ("127.0.0.1",) == parse(POOL + ENDPOINT.replace("192.0.2.1", "127.0.0.1")).pools["app"].endpoints[0].addresses


# --- what is wrong ----------------------------------------------------------------------------------------------------

MANY = """\
[regions]
emea = ["continent:EU"]
[pools.app]
steering = "nearest"
ttl = 20
ttl_degraded = 30
answers = 5
min_up = 3
[pools.app.check]
type = "tcp"
path = "/healthz"
interval = 3
timeout = 10
[[pools.app.endpoints]]
name = "fra"
addresses = ["198.51.100.10", "::ffff:198.51.100.11", "2001:db8::1"]
capacity = 3000
load = 4000
weight = 0
[[pools.app.endpoints]]
name = "fra"
addresses = ["2001:DB8::1", "224.0.0.1"]
latitude = 50.11
weight = 0
[[pools.app.endpoints]]
name = "nyc"
site = "fra"
addresses = []
region = "amer"
latitude = 40.71
longitude = -74.01
weight = 0
[[pools.app.endpoints]]
name = "ams"
site = "fra"
addresses = ["0.0.0.0"]
latitude = 50.11
longitude = 8.68
weight = 0
[pools.Empty]
"""
SAID = [
    (6, "pools.app.ttl_degraded: 30 is more than the ttl of 20"),
    (9, 'pools.app.check: type = "tcp" needs a port'),
    (11, 'pools.app.check.path: type = "tcp" has no path'),
    (13, "pools.app.check.timeout: 10 is more than the interval of 3: the next check would be late"),
    (14, 'pools.app.endpoints[0]: steering = "nearest" needs to know where it is: no latitude and longitude'),
    (14, "pools.app.endpoints: every endpoint has weight 0, so all are standby"),
    (16, "pools.app.endpoints[0].addresses[1]: '::ffff:198.51.100.11' is an IPv4 address inside IPv6"),
    (18, "pools.app.endpoints[0].load: 4000 is more than the capacity of 3000: nothing is left for others"),
    (20, "pools.app.endpoints[1]: has no capacity, but pools.app.endpoints[0] has"),
    (20, "pools.app.endpoints[1]: has one of latitude and longitude"),
    (21, "pools.app.endpoints[1].name: 'fra' is already the name of pools.app.endpoints[0]"),
    (22, "pools.app.endpoints[1].addresses[0]: '2001:db8::1' is already in pools.app.endpoints[0].addresses[2]"),
    (22, "pools.app.endpoints[1].addresses[1]: '224.0.0.1' is a multicast address"),
    (25, "pools.app.endpoints[2]: has no capacity, but pools.app.endpoints[0] has"),
    (28, "pools.app.endpoints[2].addresses: is empty"),
    (29, "pools.app.endpoints[2].region: 'amer' is not in [regions]"),
    (33, "pools.app.endpoints[3]: has no capacity, but pools.app.endpoints[0] has"),
    (36, "pools.app.endpoints[3].addresses[0]: '0.0.0.0' is an unspecified address"),
    (37, "pools.app.endpoints[3].latitude: is 6203 km from pools.app.endpoints[2], though both are site 'fra'"),
    (40, "pools.Empty.endpoints: is missing"),
    (40, "pools.Empty: 'Empty' is no name here"),
]


def test_all_faults_of_pools_are_reported_at_once() -> None:
    """Faults of single values and between values, and warnings among them: each with file, line and remedy, in order."""
    found = problems_of(MANY)

    assert sorted(SAID) == sorted((problem.line, problem.message) for problem in found if "answers" not in problem.message)
    assert {"geodns.toml"} == {problem.file for problem in found}
    assert all(problem.remedy for problem in found)
    assert sorted(problem.line for problem in found) == [problem.line for problem in found]
    assert [7, 18] == [problem.line for problem in found if problem.severity is Severity.WARNING]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pools = []", "pools: expected a table, found a list"),
        ("pools.app = 3", "pools.app: expected a table, found the number 3"),
        ("pools.app = {}", "pools.app.endpoints: is missing"),
        ("pools.app.endpoints = []", "pools.app.endpoints: is empty"),
        ("[pools.app.endpoints]\nname = 'a'", "pools.app.endpoints: expected a list, found a table"),
        (f"{POOL}{ENDPOINT}".replace("app", "App"), "pools.App: 'App' is no name here"),
        (f"{POOL}{ENDPOINT}".replace("app", "a*"), "not TOML: "),
        (f"{POOL}{ENDPOINT}".replace("app", "'a/b'"), "pools.\"a/b\": 'a/b' is no name here"),
        (f"{POOL}{ENDPOINT}".replace("app", "x" * 64), f"pools.{'x' * 64}: '{'x' * 58}… is no name here"),
        (f"{POOL}answers = 0\n{ENDPOINT}", "pools.app.answers: 0 is out of range"),
        (f"{POOL}ttl = 2147483648\n{ENDPOINT}", "pools.app.ttl: 2147483648 is out of range"),
        (f"{POOL}when_all_down = 'none'\n{ENDPOINT}", "pools.app.when_all_down: the text 'none' is none of its values"),
        (f"{POOL}when_all_down = false\n{ENDPOINT}", "pools.app.when_all_down: false is none of its values"),
        (f"{POOL}min_up = 2\n{ENDPOINT}", "pools.app.min_up: 2 are never up at site 'a', which has 1 endpoint"),
        (f"{POOL}ttl_degraded = 31\n{ENDPOINT}", "pools.app.ttl_degraded: 31 is more than the ttl of 30"),
        (f"{ENDPOINT}", 'pools.app.endpoints[0]: steering = "nearest" needs to know where it is: no latitude and longitude'),
        (
            f"pools.app.steering = 'region'\n{ENDPOINT}",
            'pools.app.endpoints[0]: steering = "region" needs to know whom it serves: no region',
        ),
        (f"{POOL}{ENDPOINT}region = 'eu'", "pools.app.endpoints[0].region: 'eu' is not in [regions]"),
        (f"{POOL}{ENDPOINT}latitude = 1", "pools.app.endpoints[0]: has one of latitude and longitude"),
        (f"{POOL}{ENDPOINT}latitude = 91\nlongitude = 0", "pools.app.endpoints[0].latitude: 91 is out of range"),
        (f"pools.app.steering = 'nearest'\n{ENDPOINT}latitude = ''\nlongitude = 0",
         "pools.app.endpoints[0].latitude: expected a number, found the text ''"),
        (f"{POOL}{ENDPOINT}weight = -1", "pools.app.endpoints[0].weight: -1 is out of range"),
        (f"{POOL}{ENDPOINT}weight = 1.5", "pools.app.endpoints[0].weight: expected a whole number, found the number 1.5"),
        (f"{POOL}{ENDPOINT}weight = 0", "pools.app.endpoints: every endpoint has weight 0, so all are standby"),
        (f"{POOL}{ENDPOINT}capacity = 0", "pools.app.endpoints[0].capacity: 0 is out of range"),
        (f"{POOL}{ENDPOINT}capacity = inf", "pools.app.endpoints[0].capacity: inf is out of range"),
        (f"{POOL}{ENDPOINT}load = 5", "pools.app.endpoints[0]: has a load, but no capacity"),
        (f"{POOL}{ENDPOINT}capacity = 5\n{OTHER}", "pools.app.endpoints[1]: has no capacity, but pools.app.endpoints[0] has"),
        (f"{POOL}{ENDPOINT}site = 'A'", "pools.app.endpoints[0].site: 'A' is no name here"),
        (f"{POOL}{ENDPOINT}port = 80", "pools.app.endpoints[0].port: no such key"),
        (f"{POOL}{ENDPOINT}{OTHER}".replace("192.0.2.2", "192.0.2.1"),
         "pools.app.endpoints[1].addresses[0]: '192.0.2.1' is already in pools.app.endpoints[0].addresses[0]"),
        (checked("port = 80"), "pools.app.check.type: is missing"),
        (checked("type = 'htps'"), "pools.app.check.type: the text 'htps' is none of its values"),
        (checked("type = 'http'\nverify = true"), 'pools.app.check.verify: type = "http" has no verify'),
        (checked("type = 'none'\ninterval = 5.0"), 'pools.app.check.interval: type = "none" has no interval'),
        (checked("type = 'external'\nrise = 2"), 'pools.app.check.rise: type = "external" has no rise'),
        (checked("type = 'tcp'"), 'pools.app.check: type = "tcp" needs a port'),
        (checked("type = 'tcp'\nport = 0"), "pools.app.check.port: 0 is out of range"),
        (checked("type = 'dns'"), 'pools.app.check: type = "dns" needs a query'),
        (checked("type = 'dns'\nquery = 'a..b'"), "pools.app.check.query: 'a..b' is no domain name: an empty label"),
        (checked("type = 'exec'"), 'pools.app.check: type = "exec" needs a command'),
        (checked("type = 'exec'\ncommand = []"), 'pools.app.check: type = "exec" needs a command'),
        (checked("type = 'exec'\ncommand = 'true'"), "pools.app.check.command: expected a list, found the text 'true'"),
        (checked("type = 'http'\npath = 'healthz'"), "pools.app.check.path: 'healthz' is no path of a URL"),
        (checked("type = 'http'\npath = '/a b'"), "pools.app.check.path: '/a b' is no path of a URL"),
        (checked("type = 'http'\nhost = 'app:80'"), "pools.app.check.host: 'app:80' is no host name"),
        (checked("type = 'http'\nexpect_status = 200"), "pools.app.check.expect_status: expected a list, found the number 200"),
        (checked("type = 'http'\nexpect_status = []"), "pools.app.check.expect_status: is empty"),
        (checked("type = 'http'\nexpect_status = [99]"), "pools.app.check.expect_status[0]: 99 is out of range"),
        (checked("type = 'http'\ninterval = 0.05"), "pools.app.check.interval: 0.05 is out of range"),
        (checked("type = 'http'\ntimeout = 6"),
         "pools.app.check.timeout: 6 is more than the interval of 5: the next check would be late"),
        (checked("type = 'http'\nfall = 0"), "pools.app.check.fall: 0 is out of range"),
        (checked("type = 'dns'\nquery = 'x'\nexpect_answer = ['2001:db8::1']"),
         "pools.app.check.expect_answer[0]: '2001:db8::1' is no A data: "),
        (checked("type = 'dns'\nquery = 'x'\nquery_type = 'B'\nexpect_answer = ['x']"),
         "pools.app.check.query_type: 'B' is no record type"),
    ],
)  # fmt: skip
def test_one_fault_is_one_problem_in_words(text: str, message: str) -> None:
    """Each way to be wrong is said once, with the dotted path first, a line and a remedy."""
    [problem] = problems_of(text)

    assert message == problem.message[: len(message)]
    assert message.endswith(": ") or message == problem.message
    assert problem.line
    assert problem.remedy
    assert problem.is_error


@pytest.mark.parametrize(
    ("address", "what", "remedy"),
    [
        ("::ffff:192.0.2.1", "is an IPv4 address inside IPv6", 'write the IPv4 address "192.0.2.1"'),
        ("::", "is an unspecified address", "write the address of one server"),
        ("ff02::1", "is a multicast address", "write the address of one server"),
        ("255.255.255.255", "is the broadcast address", "write the address of one server"),
        ("fe80::1%eth0", "is no IP address", 'write one address without prefix length or port: "192.0.2.1" or "2001:db8::1"'),
        ("192.0.2.0/24", "is no IP address", 'write one address without prefix length or port: "192.0.2.1" or "2001:db8::1"'),
        ("www", "is no IP address", 'write one address without prefix length or port: "192.0.2.1" or "2001:db8::1"'),
    ],
)
def test_what_no_user_could_reach_is_no_address(address: str, what: str, remedy: str) -> None:
    """An address of an endpoint is one that can be answered and reached."""
    [problem] = problems_of(POOL + ENDPOINT.replace("192.0.2.1", address))

    assert (f"pools.app.endpoints[0].addresses[0]: '{address}' {what}", remedy) == (problem.message, problem.remedy)


def test_endpoints_of_a_site_are_at_one_place() -> None:
    """50 km are one place, more are two; without `site` there is nothing to agree on."""
    near, far = "latitude = 50.4\nlongitude = 8.68\n", "latitude = 50.6\nlongitude = 8.68\n"

    assert () == faults_of(f'{ENDPOINT}site = "x"\n{FRANKFURT}{OTHER}site = "x"\n{near}')
    assert () == faults_of(f"{ENDPOINT}{FRANKFURT}{OTHER}{far}")
    [problem] = problems_of(f'{ENDPOINT}site = "x"\n{FRANKFURT}{OTHER}site = "x"\n{far}')
    assert "pools.app.endpoints[1].latitude: is 54 km from pools.app.endpoints[0], though both are site 'x'" == problem.message


def test_a_site_serves_one_region_where_regions_steer() -> None:
    """A site cannot be first for one region and not, by another endpoint, at the same time."""
    regions = 'regions = { eu = ["continent:EU"], us = ["country:US"] }\n'
    endpoints = f'{ENDPOINT}site = "x"\nregion = "eu"\n{OTHER}site = "x"\nregion = "us"\n'

    assert () == faults_of(f"{regions}{POOL}{endpoints}")
    [problem] = problems_of(f"{regions}[pools.app]\nsteering = 'region'\n{endpoints}")
    assert (
        "pools.app.endpoints[1].region: 'us' is not 'eu' of pools.app.endpoints[0], though both are site 'x'" == problem.message
    )


# --- what is strange --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (f"{POOL}answers = 2\n{ENDPOINT}", 3,
         "pools.app.answers: 2 addresses can never be in an answer: the pool has 1 of a family"),
        (f"{POOL}{ENDPOINT}capacity = 1\nload = 2\n", 7,
         "pools.app.endpoints[0].load: 2 is more than the capacity of 1: nothing is left for others"),
        (checked('type = "https"'), 3,
         "pools.app.check: without a host the certificate must be valid for the endpoint's IP address, which few are"),
    ],
)  # fmt: skip
def test_what_is_seldom_meant_is_a_warning(text: str, line: int, message: str) -> None:
    """A configuration that is strange is read, and says so with line and remedy."""
    [warning] = parse(text, "geodns.toml").warnings

    assert ("geodns.toml", line, message, Severity.WARNING) == (warning.file, warning.line, warning.message, warning.severity)
    assert warning.remedy


def test_warnings_are_shown_beside_faults() -> None:
    """Who corrects a fault sees at once what else is strange."""
    found = problems_of(f"{POOL}answers = 2\nttl = -1\n{ENDPOINT}")

    assert [False, True] == [problem.is_error for problem in found]


# --- the schema -------------------------------------------------------------------------------------------------------


def test_the_schema_tells_editors_of_pools() -> None:
    """Names, choices and limits of pools are in the JSON Schema."""
    generated: Any = schema()
    definitions = generated["$defs"]

    assert {"^[a-z0-9][a-z0-9._-]*$": {"$ref": "#/$defs/Pool"}} == generated["properties"]["pools"]["patternProperties"]
    assert ["nearest", "region", "failover", "weighted", "hashed"] == definitions["Pool"]["properties"]["steering"]["enum"]
    assert ["endpoints"] == definitions["Pool"]["required"]
    assert ["type"] == definitions["Check"]["required"]
    assert ["name", "addresses"] == definitions["Endpoint"]["required"]
    assert {"minimum": 0, "maximum": 1_000_000, "default": 1}.items() <= definitions["Endpoint"]["properties"]["weight"].items()
    assert "default" not in definitions["Check"]["properties"]["port"]
    assert "null" not in json.dumps(generated)


# --- garbage ----------------------------------------------------------------------------------------------------------

SCALARS = st.sampled_from(
    ["0", "-1", "1.5", "nan", "true", '""', '"x"', '"::1"', '"192.0.2.1"', '"http"', '"dns"', '"region"', "1979-05-27", "1" * 400]
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"), max_leaves=4)


def _lines(model: type[BaseModel]) -> st.SearchStrategy[str]:
    keys = st.dictionaries(st.sampled_from(sorted(model.model_fields)), VALUES, max_size=6)
    return keys.map(lambda table: "".join(f"{key} = {value}\n" for key, value in table.items()))


@given(_lines(Pool), _lines(Check), st.lists(_lines(Endpoint), max_size=3))
def test_values_of_any_kind_are_judged_in_words(pool: str, check: str, endpoints: list[str]) -> None:
    """Any value at any key of a pool is read, or refused in our words with a remedy, and nothing else is raised."""
    tables = [f"[pools.app]\n{pool}"] if "check" in pool or "endpoints" in pool else [
        f"[pools.app]\n{pool}", f"[pools.app.check]\n{check}", *(f"[[pools.app.endpoints]]\n{endpoint}" for endpoint in endpoints)
    ]  # fmt: skip
    found = faults_of("".join(tables))

    assert all(problem.remedy and problem.line for problem in found)
    assert not any("Input should" in problem.message for problem in found)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(1, 7))
def test_a_pool_is_read_exactly_where_every_site_can_be_up(sites: list[int], min_up: int) -> None:
    """`min_up` is refused exactly where some site has fewer endpoints, which could never count as up."""
    numbers = itertools.count(1)
    endpoints = "".join(
        f'[[pools.app.endpoints]]\nname = "e{number}"\nsite = "s{site}"\naddresses = ["192.0.2.{number}"]\n'
        for site, number in zip(sites, numbers, strict=False)
    )
    text = f"{POOL}min_up = {min_up}\n{endpoints}"
    if min_up <= min(sites.count(site) for site in sites):
        assert min_up == parse(text).pools["app"].min_up
    else:
        assert {"write"} == {problem.remedy.split()[0] for problem in problems_of(text)}

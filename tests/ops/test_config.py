"""Owns the tests of the configuration file: defaults, the commented example, and every way to get it wrong."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from geodns.ops.config import (
    Admin,
    Announce,
    BadListen,
    Bird,
    Catchment,
    Check,
    Config,
    Ecs,
    Endpoint,
    Exabgp,
    Exec,
    Expect,
    Explain,
    Frr,
    Geo,
    InstancePlace,
    Listen,
    Log,
    NetworkPlace,
    Pool,
    Server,
    UnixListen,
    Zone,
    load,
    parse,
    parse_admin_listen,
    parse_listen,
    schema,
)
from geodns.problem import Problem, ProblemsFound, Severity

EXAMPLE = Path(__file__).parents[2] / "config" / "geodns.toml"
CONTRACT = """\
[server]
listen = ["127.0.0.1:5300", "[::1]:5300"]
identity = "fra1"
state = "/var/lib/geodns"

[admin]
listen = "127.0.0.1:9153"

[geo]
databases = ["country.mmdb", "asn.mmdb"]
anycast = ["anycast-v4.txt"]
[geo.networks]
"10.20.0.0/16" = { country = "DE", latitude = 50.1, longitude = 8.7, region = "eu" }

[regions]
eu = ["continent:EU", "country:TR"]
apac = ["continent:AS", "continent:OC"]

[ecs]
enabled = true
trust = ["0.0.0.0/0", "::/0"]

[[zones]]
name = "example.com"
file = "zones/example.com.zone"

[[expect]]
name = "www.example.com"
type = "A"
client = "81.2.69.0/24"
answer = ["198.51.100.10"]
"""
ZONE = '[[zones]]\nname = "example.com"\nfile = "z"\n'


def problems_of(text: str) -> tuple[Problem, ...]:
    """What is wrong with a configuration that must be refused."""
    with pytest.raises(ProblemsFound) as refused:
        parse(text, "geodns.toml")
    return refused.value.problems


# --- what is right ------------------------------------------------------------------------------------------------


def test_every_key_of_the_contract_is_read() -> None:
    """The keys that scripts rely on arrive as written."""
    config = parse(CONTRACT)

    assert config.server == Server(identity="fra1")
    assert config.admin == Admin()
    assert config.geo == Geo(
        databases=("country.mmdb", "asn.mmdb"),
        anycast=("anycast-v4.txt",),
        networks={"10.20.0.0/16": NetworkPlace(country="DE", latitude=50.1, longitude=8.7, region="eu")},
    )
    assert config.regions == {"eu": ("continent:EU", "country:TR"), "apac": ("continent:AS", "continent:OC")}
    assert config.ecs == Ecs()
    assert config.zones == (Zone(name="example.com", file="zones/example.com.zone"),)
    assert config.expect == (Expect(name="www.example.com", client="81.2.69.0/24", answer=("198.51.100.10",)),)


def test_nothing_written_is_all_defaults() -> None:
    """An empty file is a configuration."""
    assert Config() == parse("") == parse("[server]\n[admin]\n[log]\n[geo]\n[geo.networks]\n[regions]\n[ecs]\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers = 8", {"workers": 8}),
        ('workers = "auto"', {"workers": "auto"}),
        ("tcp_idle_timeout = 3", {"tcp_idle_timeout": 3.0}),
        ('listen = ["127.0.0.1:0", "127.0.0.1:0", "[::]:53"]', {"listen": ("127.0.0.1:0", "127.0.0.1:0", "[::]:53")}),
        ("udp_payload_size = 512", {"udp_payload_size": 512}),
        ("udp_payload_size = 4096", {"udp_payload_size": 4096}),
    ],
)
def test_values_at_the_edge_are_accepted(text: str, expected: dict[str, Any]) -> None:
    """Limits belong to the range; several sockets may ask for any port."""
    assert Server(**expected) == parse(f"[server]\n{text}").server


def test_a_default_may_be_written_out() -> None:
    """What a key that is left out means can be said in so many words, also where it is nothing."""
    nothing = '{continent = "", country = "", subdivision = "", city = "", region = "", asn = 1}'
    expect = 'client = "::1"\ntype = "A"\nresolver = ""\nanswer = []\nrcode = "NOERROR"'
    config = parse(f"""geo.networks."::/0" = {nothing}\n{ZONE}[[expect]]\nname = "example.com"\n{expect}""")

    assert {"::/0": NetworkPlace(asn=1)} == config.geo.networks
    assert (Expect(name="example.com", client="::1"),) == config.expect


def test_codes_are_read_in_any_case() -> None:
    """Country codes, types and response codes are upper case whatever was written."""
    place = parse('geo.networks."::/0" = {continent = "eu", country = "de", subdivision = "de-he"}').geo.networks["::/0"]
    expect = parse(f'{ZONE}[[expect]]\nname = "example.com."\nclient = "::1"\ntype = "aaaa"\nrcode = "nxdomain"').expect

    assert NetworkPlace(continent="EU", country="DE", subdivision="DE-HE") == place
    assert (Expect(name="example.com.", client="::1", type="AAAA", rcode="NXDOMAIN"),) == expect


def test_a_config_is_frozen() -> None:
    """A configuration that was judged cannot be changed behind the judge's back."""
    with pytest.raises(ValidationError, match="frozen"):
        Config().server.identity = "x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1:53", Listen("192.0.2.1", 53, 4)),
        ("[::1]:5300", Listen("::1", 5300, 6)),
        ("[2001:DB8:0::1]:0", Listen("2001:db8::1", 0, 6)),
        ("0.0.0.0:65535", Listen("0.0.0.0", 65535, 4)),
        ("[fe80::1%eth0]:53", Listen("fe80::1%eth0", 53, 6)),
    ],
)
def test_a_listen_address_is_read_and_written(text: str, expected: Listen) -> None:
    """A listen address in its shortest form reads back as itself."""
    assert expected == parse_listen(text)
    assert expected == parse_listen(str(expected))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":53",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:٥٣",
        "192.0.2.1:000053",
        "localhost:53",
        "::1:53",
        "::1",
        "[::1]",
        "[::1]53",
        "[192.0.2.1]:53",
        "192.0.2:53",
        "*:53",
        "[::1:53",
    ],
)
def test_what_is_no_listen_address_is_refused(text: str) -> None:
    """Only an IP literal with a port can be listened on."""
    with pytest.raises(BadListen):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:/run/geodns/admin.sock", UnixListen("/run/geodns/admin.sock")),
        ("127.0.0.1:9153", Listen("127.0.0.1", 9153, 4)),
    ],
)
def test_the_admin_door_is_read_and_written(text: str, expected: Listen | UnixListen) -> None:
    """The admin door is an address with port or a socket of the file system, and reads back as itself."""
    assert expected == parse_admin_listen(text)
    assert text == str(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen = 'unix:'", "admin.listen: '' is no absolute path of a socket"),
        ("listen = 'unix:admin.sock'", "admin.listen: 'admin.sock' is no absolute path of a socket"),
        ("listen = 'unix:/run/'", "admin.listen: '/run/' is no absolute path of a socket"),
        (f"listen = 'unix:/{'x' * 103}'", "admin.listen: the path has 104 octets, and a socket's at most 103"),
        ("listen = 'localhost:1'", "admin.listen: 'localhost' is no IP address"),
        ("listen = '*:1'", "admin.listen: '*' is no IP address: every address is 0.0.0.0 for IPv4 and [::] for IPv6"),
        ("listen = '0.0.0.0:1'", "admin.listen: '0.0.0.0:1' is open to other machines, and there is no token"),
        ("listen = '[2001:db8::1]:1'", "admin.listen: '[2001:db8::1]:1' is open to other machines, and there is no token"),
        ("hosts = ['dns.example:80']", "admin.hosts[0]: 'dns.example:80' is no host name"),
        ("hosts = ['a b']", "admin.hosts[0]: 'a b' is no host name"),
        ("hosts = ['']", "admin.hosts[0]: is empty"),
    ],
)
def test_a_wrong_admin_door_is_refused(text: str, message: str) -> None:
    """A door that cannot be, or that is open to everyone, is one problem with a remedy."""
    [problem] = problems_of(f"[admin]\n{text}")

    assert (message, 2) == (problem.message, problem.line)
    assert problem.remedy


@pytest.mark.parametrize(
    "text",
    [
        "listen = ''",
        "listen = 'unix:/run/x'",
        "listen = '[::1]:1'",
        "listen = '127.0.0.2:1'",
        "listen = '192.0.2.1:1'\ntoken_file = 'token'",
        "hosts = ['DNS.example.com.', '192.0.2.1', '2001:db8::1']",
    ],
)
def test_a_safe_admin_door_is_accepted(text: str) -> None:
    """Without token the door is closed, on loopback or on a socket; with one it may be anywhere."""
    assert isinstance(parse(f"[admin]\n{text}").admin, Admin)


EMBEDDED = [
    ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ("::ffff:0:0/96", "0.0.0.0/0"),
    ("64:ff9b::c000:200/120", "192.0.2.0/24"),
    ("2002::/16", "0.0.0.0/0"),
    ("2002:c000:200::/40", "192.0.2.0/24"),
    ("2002:c000:201:5::/64", "192.0.2.1/32"),
]


@pytest.mark.parametrize(("network", "inside"), EMBEDDED)
def test_a_network_of_ipv4_inside_ipv6_is_refused_where_it_would_never_match(network: str, inside: str) -> None:
    """IPv4 inside IPv6 is looked up as IPv4, so its networks are written as IPv4; an expectation may still name such a client."""
    for text, what, remedy in (
        (f"ecs.trust = ['{network}']", f"ecs.trust[0]: '{network}'", f'write the IPv4 network "{inside}"'),
        (
            f"geo.networks.'{network}' = {{asn = 1}}",
            f"geo.networks.\"{network}\": '{network}'",
            f'write the IPv4 network "{inside}"',
        ),
        (f"regions.eu = ['net:{network}']", f"regions.eu[0]: 'net:{network}'", f'write "net:{inside}"'),
    ):
        [problem] = problems_of(text)

        assert f"{what} never matches: IPv4 addresses inside IPv6 are looked up as IPv4" == problem.message
        assert remedy == problem.remedy
    assert parse(f"{ZONE}[[expect]]\nname = 'example.com'\nclient = '{network}'").expect


@pytest.mark.parametrize("network", ["::/0", "2000::/3", "::ffff:0:0:0/95", "64:ff9b:1::/48", "2001:db8::/32"])
def test_a_network_beyond_those_of_ipv4_is_accepted(network: str) -> None:
    """A network that also holds other addresses than IPv4 inside IPv6 matches those."""
    assert (network,) == parse(f"ecs.trust = ['{network}']").ecs.trust


@pytest.mark.parametrize("text", ["ecs.trust = ['fe80::1%eth0']", "geo.networks.'fe80::%eth0/64' = {asn = 1}"])
def test_a_network_on_a_link_is_refused(text: str) -> None:
    """A link's name says nothing beyond this machine."""
    [problem] = problems_of(text)

    assert "names a link of this machine, by which no client is known" in problem.message
    assert problem.remedy


# --- files --------------------------------------------------------------------------------------------------------


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    """Relative paths are seen from the configuration file, absolute ones are as they are."""
    file = tmp_path / "geodns.toml"
    file.write_text(CONTRACT)
    config = load(file)

    assert tmp_path == config.directory
    assert tmp_path / "zones" / "example.com.zone" == config.path(config.zones[0].file)
    assert Path("/var/lib/geodns") == config.path(config.server.state)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Editors that begin a file with a byte order mark do no harm."""
    file = tmp_path / "geodns.toml"
    file.write_bytes(b"\xef\xbb\xbf[server]\r\nworkers = 2\r\n")

    assert load(file).server.workers == 2


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    """Missing, a directory, a loop of links, not UTF-8: one problem each, at the file as it was named."""
    loop, latin = tmp_path / "loop", tmp_path / "latin"
    loop.symlink_to(loop)
    latin.write_bytes(b"[server]\nidentity = 'M\xfcnchen'\n")
    expected = {
        tmp_path / "missing": (0, "there is no such file"),
        tmp_path: (0, "is a directory"),
        loop: (0, "cannot be read: Too many levels of symbolic links"),
        latin: (2, "this is not UTF-8"),
    }
    for file, (line, message) in expected.items():
        with pytest.raises(ProblemsFound) as refused:
            load(file)

        [problem] = refused.value.problems
        assert (str(file), line, message) == (problem.file, problem.line, problem.message)
        assert problem.remedy


def test_a_file_without_permission_is_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this user may not read is said to be one (root may read all, so the kernel's word is played)."""

    def refused(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ProblemsFound, match=r"^geodns\.toml: no permission to read it"):
        load(Path("geodns.toml"))


# --- the example and the schema -----------------------------------------------------------------------------------

MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    ("server",): Server,
    ("server", "place"): InstancePlace,
    ("admin",): Admin,
    ("log",): Log,
    ("geo",): Geo,
    ("geo", "networks", "*"): NetworkPlace,
    ("ecs",): Ecs,
    ("catchment",): Catchment,
    ("announce",): Announce,
    ("announce", "exabgp"): Exabgp,
    ("announce", "bird"): Bird,
    ("announce", "frr"): Frr,
    ("announce", "exec"): Exec,
    ("explain",): Explain,
    ("pools", "*"): Pool,
    ("pools", "*", "check"): Check,
    ("pools", "*", "endpoints", "*"): Endpoint,
    ("zones", "*"): Zone,
    ("expect", "*"): Expect,
}


def entries(document: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
    """The tables at a path, where `*` is every element."""
    found: list[Any] = [document]
    for part in path:
        if part == "*":
            found = [inner for table in found for inner in (table.values() if isinstance(table, dict) else table)]
        else:
            found = [table[part] for table in found]
    return found


OWN_WORDS = {"nsid", "id_server", "hostname_bind", "version_server", "version_bind"}
WITHOUT_DEFAULT = {"networks", "check", "port", "query", "command", "latitude", "longitude", "capacity", *OWN_WORDS}
WITHOUT_DEFAULT |= {"place", "asn", "med", "protocols", "exabgp", "bird", "frr", "exec"}
"""Keys whose default is that there is nothing, or what another key says, or that some type of check must have."""


def everything_on(text: str) -> str:
    """The example with every key that is off switched on."""
    return re.sub(r"(?m)^#(?=[a-z\[])", "", text)


def test_the_example_is_the_defaults() -> None:
    """The example as it is says what an empty file says, and switched on altogether it is still right."""
    text = EXAMPLE.read_text()

    assert Config() == parse(text, str(EXAMPLE))
    assert () == parse(everything_on(text), str(EXAMPLE)).warnings


@pytest.mark.parametrize("path", MODELS, ids=".".join)
def test_the_example_lists_every_key_with_its_default(path: tuple[str, ...]) -> None:
    """No key is missing from the example, none in it is unknown, and each that has a default shows it."""
    tables = entries(tomllib.loads(everything_on(EXAMPLE.read_text())), path)
    fields = MODELS[path].model_fields

    assert set(fields) == {key for table in tables for key in table}
    if issubclass(MODELS[path], InstancePlace):  # the default is that nothing is known: nothing to show
        return
    for key, field in fields.items():
        if not field.is_required() and key not in WITHOUT_DEFAULT:
            default = json.loads(json.dumps(field.get_default(call_default_factory=True)))
            assert default in [table[key] for table in tables if key in table], key


def test_the_example_has_every_table() -> None:
    """The tables of the example are those of the configuration."""
    assert set(Config.model_fields) == set(tomllib.loads(everything_on(EXAMPLE.read_text())))


def test_a_key_is_on_exactly_where_its_default_is_not_empty() -> None:
    """Keys whose default is empty are written but off; all others are on."""
    written = tomllib.loads(EXAMPLE.read_text())
    for section in ("server", "admin", "log", "geo", "ecs", "catchment", "explain", "announce"):
        defaults = MODELS[section,]().model_dump()

        shown = {key for key, value in defaults.items() if value not in ("", (), None) and not isinstance(value, dict)}
        assert shown == set(written[section])


def properties(node: object, definitions: dict[str, Any], name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property in a JSON Schema, with what the definition that it refers to says of it."""
    if isinstance(node, dict):
        for key, value in node.get("properties", {}).items():
            yield f"{name}.{key}", {**definitions.get(str(value.get("$ref")).rpartition("/")[2], {}), **value}
        for key, value in node.items():
            yield from properties(value, definitions, f"{name}.{key}")


def test_the_schema_describes_every_key() -> None:
    """Each key of the JSON Schema has a description; objects are closed; nothing is null, which TOML has not."""
    generated: Any = schema()
    found = dict(properties(generated, generated["$defs"]))

    models: list[type[BaseModel]] = [Config, *MODELS.values()]

    assert len(found) == sum(len(model.model_fields) for model in models)
    assert not [name for name, value in found.items() if not value.get("description")]
    assert "null" not in json.dumps(generated)
    assert generated["additionalProperties"] is False
    assert all(table["additionalProperties"] is False for table in generated["$defs"].values())


def test_the_schema_tells_editors_limits_and_defaults() -> None:
    """Limits, defaults, patterns and choices are in the schema, not only in our checks."""
    generated: Any = schema()
    definitions, regions = generated["$defs"], generated["properties"]["regions"]
    server, place = definitions["Server"]["properties"], definitions["NetworkPlace"]["properties"]

    assert {"minimum": 512, "maximum": 4096, "default": 1232}.items() <= server["udp_payload_size"].items()
    assert {"minItems": 1, "default": ["127.0.0.1:5300", "[::1]:5300"]}.items() <= server["listen"].items()
    assert {"minimum": 1, "maximum": 1024, "type": "integer"} in server["workers"]["anyOf"]
    assert {"", "AF", "AN", "AS", "EU", "NA", "OC", "SA"} == set(place["continent"]["enum"])
    assert {"type": "number", "minimum": -90, "maximum": 90}.items() <= place["latitude"].items()
    assert {"^[a-z0-9][a-z0-9_-]*$"} == set(regions["patternProperties"])


# --- what is wrong ------------------------------------------------------------------------------------------------

MANY = """\
[server]
listne = ["127.0.0.1:53"]
workers = 0
udp_payload_size = 100
listen = [
  "localhost:53",
  "127.0.0.1:53",  # a comment
  "127.0.0.1:53",
]

[geo.networks."10.0.0.0/8"]
country = "Germany"
region = "eur"

[regions]
eu = ["continent:EU", "eu"]

[[zones]]
name = "example.com"
file = "z"

[[zones]]
name = "EXAMPLE.com."

[[expect]]
name = "www.example.net"
client = "81.2.69.5/24"
type = "AAAAA"
"""
SAID = [
    (2, "server.listne: no such key", "did you mean 'listen'?"),
    (3, "server.workers: 0 is no number of processes", 'write a number from 1 to 1024, or "auto" for one per core'),
    (4, "server.udp_payload_size: 100 is out of range", "write 512 or more"),
    (
        6,
        "server.listen[0]: 'localhost' is no IP address",
        'write an IP address and a port: "192.0.2.1:53" or "[2001:db8::1]:53"',
    ),
    (8, "server.listen[2]: '127.0.0.1:53' is already used by server.listen[1]", "use each address and port once"),
    (12, "geo.networks.\"10.0.0.0/8\".country: 'Germany' is no country", 'write its ISO 3166-1 code of two letters: "DE"'),
    (13, "geo.networks.\"10.0.0.0/8\".region: 'eur' is not in [regions]", "did you mean 'eu'?"),
    (
        16,
        "regions.eu[1]: 'eu' is a region inside a region, which is not allowed",
        "write continent:EU, or list that region's selectors",
    ),
    (22, "zones[1].file: is missing", "add file = …"),
    (23, "zones[1].name: zone 'example.com.' is already in zones[0]", "keep one"),
    (26, "expect[0].name: 'www.example.net.' is in none of the zones", "add its zone to [[zones]]"),
    (27, "expect[0].client: '81.2.69.5/24' has bits set beyond its prefix", 'write "81.2.69.0/24"'),
    (28, "expect[0].type: 'AAAAA' is no record type", 'write "A", "AAAA", "TXT", … or "TYPE65280" for one without a word'),
]


def test_all_problems_are_reported_at_once() -> None:
    """Thirteen faults, of single values and between values: each with file, line, dotted path and remedy, in order."""
    assert [Problem("geodns.toml", *said) for said in SAID] == list(problems_of(MANY))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = [1,\n", 2, "not TOML: "),
        ("\n[server\n", 2, "not TOML: "),
        ("[server]\n\n[server]\n", 3, "not TOML: "),
        ("workers = 1\nworkers = 2\n", 2, "not TOML: "),
        ("a = " + "9" * 5000, 0, "not TOML: "),
        ("a = " + "[" * 100_000, 0, "arrays or tables are nested too deeply"),
    ],
)
def test_a_syntax_error_is_one_problem(text: str, line: int, message: str) -> None:
    """What is not TOML is one problem, at the line where reading stopped as far as it is known."""
    [problem] = problems_of(text)

    assert (line, message) == (problem.line, problem.message[: len(message)])
    assert problem.remedy
    assert "(at " not in problem.message


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("[server]\n\n[server]\n", "for the second time"),
        ("workers = 1\nworkers = 2\n", "for the second time"),
        ("[[zones]]\nname = example.com\n", "text needs quotes"),
    ],
)
def test_what_is_there_twice_is_called_that(text: str, remedy: str) -> None:
    """Quotes and brackets do not mend a key or a table that is there twice."""
    [problem] = problems_of(text)

    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("servers.listen = []", "did you mean 'server'?"),
        ("[server]\nListen = []", "did you mean 'listen'?"),
        ("[server]\ntcp_idle_timout = 1", "did you mean 'tcp_idle_timeout'?"),
        ("[admin]\nport = 1", "known here: listen, token_file, hosts"),
        ("[geo]\ndatabase = []", "did you mean 'databases'?"),
        ('geo.networks."::/0" = {contry = "DE", asn = 1}', "did you mean 'country'?"),
        ("[ecs]\ntrusted = []", "did you mean 'trust'?"),
        (f"{ZONE}path = 'z'", "known here: name, file"),
        (f"{ZONE}[[expect]]\nname = 'example.com'\nclient = '::'\nanswers = []", "did you mean 'answer'?"),
        (
            "[resolver]\nttl = 30",
            "known here: server, admin, log, geo, regions, ecs, catchment, explain, pools, announce, zones, expect",
        ),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(text: str, remedy: str) -> None:
    """A key that no table has is refused, and the nearest known one offered."""
    [problem] = problems_of(text)

    assert ("no such key", remedy) == (problem.message.partition(": ")[2], problem.remedy)
    assert problem.line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server = 3", "server: expected a table, found the number 3"),
        ("server.listen = '127.0.0.1:53'", "server.listen: expected a list, found the text '127.0.0.1:53'"),
        ("server.listen = []", "server.listen: is empty"),
        ("server.listen = [53]", "server.listen[0]: expected text, found the number 53"),
        ("server.listen = ['::1:53']", "server.listen[0]: '::1' is an IPv6 address without brackets"),
        ("server.identity = true", "server.identity: expected text, found true"),
        (f"server.identity = '{'x' * 256}'", "server.identity: has 256 octets"),
        ("server.workers = 'many'", "server.workers: 'many' is no number of processes"),
        ("server.workers = true", "server.workers: True is no number of processes"),
        (f"server.workers = 0x{'f' * 5000}", "server.workers: a very large number is no number of processes"),
        ("server.tcp_connections = '5'", "server.tcp_connections: expected a whole number, found the text '5'"),
        ("server.tcp_connections = 1.5", "server.tcp_connections: expected a whole number, found the number 1.5"),
        ("server.tcp_connections = 1979-05-27", "server.tcp_connections: expected a whole number, found a date or time"),
        ("server.tcp_connections = 0", "server.tcp_connections: 0 is out of range"),
        ("server.tcp_idle_timeout = 0", "server.tcp_idle_timeout: 0 is out of range"),
        ("server.tcp_idle_timeout = nan", "server.tcp_idle_timeout: nan is out of range"),
        ("server.tcp_idle_timeout = '10s'", "server.tcp_idle_timeout: expected a number, found the text '10s'"),
        ("server.udp_payload_size = 5000", "server.udp_payload_size: 5000 is out of range"),
        ("admin.listen = '127.0.0.1:5300'", "admin.listen: '127.0.0.1:5300' is already used by server.listen[0]"),
        ("server.listen = ['[::1]:53', '[0::1]:53']", "server.listen[1]: '[0::1]:53' is already used by server.listen[0]"),
        ("log.level = 'loud'", "log.level: the text 'loud' is none of its values"),
        ("log.queries = 1.5", "log.queries: 1.5 is out of range"),
        ("log.queries_per_second = 0", "log.queries_per_second: 0 is out of range"),
        ("log = {queries = 1.0, dnstap = 'unix:dnstap.sock'}", "log.dnstap: 'dnstap.sock' is no absolute path of a socket"),
        ("log.truncate_ipv4 = 33", "log.truncate_ipv4: 33 is out of range"),
        ("geo.databases = ['']", "geo.databases[0]: is no path"),
        ("server.anycast = true", "server.anycast: routing chooses this instance, but server.place does not say where it is"),
        ("server.place = {}", "server.place: says nothing about the place"),
        ("server.place = {latitude = 1}", "server.place: has one of latitude and longitude"),
        ("server.place = {country = 'XX'}", "server.place.country: 'XX' is no country"),
        ("server.place = {country = 'DE', subdivision = 'US-CA'}", "server.place: subdivision 'US-CA' is not in country 'DE'"),
        ("server.place.asn = 64500", "server.place.asn: no such key"),
        ("server.anycast = 1", "server.anycast: expected true or false, found the number 1"),
        ("geo.egress = 'egress.csv'", "geo.egress: expected a list, found the text 'egress.csv'"),
        ("server.identity = 'a\\u0001b'".replace("'", '"'), "server.identity: has a control character"),
        ("geo.ladder = []", "geo.ladder: is empty"),
        ("geo.ladder = ['ecs', 'resolver', 'ecs']", "geo.ladder: has 'ecs' twice"),
        ("geo.ladder = ['resolvr']", "geo.ladder[0]: 'resolvr' is no rung"),
        ("geo.ladder = ['ecs', 'fallback']", "geo.ladder[1]: 'fallback' is always the last"),
        (
            "geo.ladder = ['net']",
            "geo.ladder[0]: 'net' has no place of its own: a network of the config speaks for whichever address is asked",
        ),
        ("geo.networks = []", "geo.networks: expected a table, found a list"),
        ("geo.networks.berlin = {asn = 1}", "geo.networks.berlin: 'berlin' is no network"),
        ("geo.networks.'10.0.0.1/8' = {asn = 1}", "geo.networks.\"10.0.0.1/8\": '10.0.0.1/8' has bits set beyond its prefix"),
        ("geo.networks.'::/0' = {}", 'geo.networks."::/0": says nothing about the network'),
        ("geo.networks.'::/0' = {latitude = 1}", 'geo.networks."::/0": has one of latitude and longitude'),
        (
            "geo.networks.'::/0' = {latitude = 91, longitude = 0}",
            'geo.networks."::/0".latitude: 91 is out of range',
        ),
        ("geo.networks.'::/0' = {latitude = 1, longitude = -inf}", 'geo.networks."::/0".longitude: -inf is out of range'),
        ("geo.networks.'::/0' = {latitude = nan, longitude = 1}", 'geo.networks."::/0".latitude: nan is out of range'),
        ("geo.networks.'::/0' = {continent = 'XX'}", "geo.networks.\"::/0\".continent: 'XX' is no continent"),
        ("geo.networks.'::/0' = {subdivision = 'CA'}", "geo.networks.\"::/0\".subdivision: 'CA' is no subdivision"),
        ("geo.networks.'::/0' = {asn = 4294967296}", 'geo.networks."::/0".asn: 4294967296 is out of range'),
        (
            "geo.networks.'::/0' = {country = 'DE', subdivision = 'US-CA'}",
            "geo.networks.\"::/0\": subdivision 'US-CA' is not in country 'DE'",
        ),
        ("geo.networks.'::/0' = {region = 'nowhere'}", "geo.networks.\"::/0\".region: 'nowhere' is not in [regions]"),
        (
            "[geo.networks]\n'::/0' = {asn = 1}\n'0::/0' = {asn = 2}",
            "geo.networks.\"0::/0\": is the same network as '::/0'",
        ),
        ("regions = ['eu']", "regions: expected a table, found a list"),
        ("regions.EU = []", "regions.EU: 'EU' is no name for a region"),
        ("regions.'continent:EU' = []", "regions.\"continent:EU\": 'continent:EU' is no name for a region"),
        ("regions.'[key]' = []", "regions.\"[key]\": '[key]' is no name for a region"),
        ("regions.eu = 'continent:EU'", "regions.eu: expected a list, found the text 'continent:EU'"),
        ("ecs.enabled = 'yes'", "ecs.enabled: expected true or false, found the text 'yes'"),
        ("ecs.trust = ['everyone']", "ecs.trust[0]: 'everyone' is no network"),
        ("[zones]\nname = 'example.com'", "zones: expected a list, found a table"),
        ("zones = [1]", "zones[0]: expected a table, found the number 1"),
        ("[[zones]]\nfile = 'z'", "zones[0].name: is missing"),
        ("[[zones]]\nname = 'a..b'\nfile = 'z'", "zones[0].name: 'a..b' is no domain name: an empty label"),
        (
            "[[zones]]\nname = '@'\nfile = 'z'",
            "zones[0].name: '@' is no domain name: a zone file's word for its origin",
        ),
        (f"{ZONE}[[expect]]\nname = 'example.com'", "expect[0].client: is missing"),
        (f"{ZONE}[[expect]]\nname = 'example.com'\nclient = 'DE'", "expect[0].client: 'DE' is no address or network"),
        (
            f"{ZONE}[[expect]]\nname = 'example.com'\nclient = '::'\nresolver = '::/0'",
            "expect[0].resolver: '::/0' is no IP address",
        ),
        (
            f"{ZONE}[[expect]]\nname = 'example.com'\nclient = '::'\nrcode = 'NOPE'",
            "expect[0].rcode: 'NOPE' is no response code",
        ),
        (
            f"{ZONE}[[expect]]\nname = 'example.com'\nclient = '::'\ntype = 'TYPE65536'",
            "expect[0].type: 'TYPE65536' is no record type",
        ),
        (
            f"{ZONE}[[expect]]\nname = 'an-example.com'\nclient = '::'",
            "expect[0].name: 'an-example.com.' is in none of the zones",
        ),
    ],
)
def test_one_fault_is_one_problem_in_words(text: str, message: str) -> None:
    """Each way to be wrong is said once, with the dotted path first, a line and a remedy."""
    [problem] = problems_of(text)

    assert message == problem.message
    assert problem.line
    assert problem.remedy


@pytest.mark.parametrize("selector", ["country:ZZZ", "planet:Mars", "net:10.0.0.1/8", "asn:0", f"asn:{'9' * 5000}", "a b", ""])
def test_a_bad_selector_is_said_at_its_line(selector: str) -> None:
    """The judge of selectors is the geography's; its reason is passed on."""
    [problem] = problems_of(f"[regions]\neu = [\n  'continent:EU',\n  '{selector}',\n]")

    assert problem.line == 4
    assert problem.message.startswith("regions.eu[1]: ")


@pytest.mark.parametrize("key", ["queries_file = '/var/log/queries'", "dnstap = 'unix:/run/dnstap.sock'"])
def test_a_place_for_queries_that_stays_empty_is_a_warning(key: str) -> None:
    """Whoever names a place for logged queries, but logs none, is told; with a share of them nothing is said."""
    [warning] = parse(f"[log]\n{key}", "geodns.toml").warnings

    assert (2, Severity.WARNING) == (warning.line, warning.severity)
    assert "log.queries" in warning.remedy
    assert () == parse(f"[log]\nqueries = 0.5\n{key}").warnings


def test_an_unreadable_zone_name_condemns_no_expectation() -> None:
    """An expectation may be meant for the zone whose name cannot be read: only the name is reported."""
    [problem] = problems_of("[[zones]]\nname = 'a..b'\nfile = 'z'\n[[expect]]\nname = 'x.a.b'\nclient = '::'")

    assert problem.message.startswith("zones[0].name: ")


# --- garbage ------------------------------------------------------------------------------------------------------


def refused_or_read(text: str) -> None:
    """Parse, where ProblemsFound is the only exception allowed and must not come empty or without words."""
    try:
        parse(text)
    except ProblemsFound as refused:
        found = refused.problems
    else:
        return
    assert found
    for problem in found:
        assert 0 <= problem.line <= text.count("\n") + 1
        assert problem.message.isprintable()
        assert len(problem.message) <= 300
        assert problem.remedy
        assert "Input should" not in problem.message


@given(st.text() | st.text('[]{}"=.,#\n\\ a1', max_size=30))
def test_garbage_is_a_problem_and_nothing_else(text: str) -> None:
    """Whatever text comes, the only exception is ProblemsFound."""
    refused_or_read(text)


@given(st.data())
def test_a_damaged_configuration_is_a_problem_and_nothing_else(data: st.DataObject) -> None:
    """A good configuration with a piece cut out, doubled or overwritten is read or refused in words."""
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(CONTRACT))] * 2)))
    middle = data.draw(st.sampled_from(["", CONTRACT[first:last] * 2]) | st.text('[]{}"=.,#\n\\ a1', max_size=3))

    refused_or_read(CONTRACT[:first] + middle + CONTRACT[last:])


SCALARS = st.sampled_from(
    ["0", "-1", "1.5", "nan", "true", '""', '"x"', '"auto"', '"::/0"', '"eu"', '"[::1]:53"', '"DE"', "1979-05-27", "1" * 400]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(
            st.sampled_from(["name", "file", "client", "country", "latitude", "region", '"::/0"', "x"]), inner, max_size=3
        ).map(lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}")
    ),
    max_leaves=6,
)
PLACES = [".".join(path) for path in (("regions",), ("zones",), ("expect",), *((name,) for name in Config.model_fields))] + [
    f"{'.'.join(path)}.{key}".replace("*", '"::/0"' if path[0] == "geo" else "app")
    for path, model in MODELS.items()
    if path[0] not in {"zones", "expect"} and path[-2:] != ("endpoints", "*")
    for key in model.model_fields
]


@given(st.dictionaries(st.sampled_from(PLACES), VALUES, max_size=4))
def test_values_of_any_kind_at_any_key_are_judged_in_words(table: dict[str, str]) -> None:
    """A known key with a value of whatever kind is read or refused in our words, never in the library's."""
    refused_or_read("\n".join(f"{key} = {value}" for key, value in table.items()))


def test_a_catchment_that_nobody_can_ask_for_is_warned_of() -> None:
    """Handshakes are told at the admin door only; where that is closed, who wants them shall know."""
    [warning] = parse('[admin]\nlisten = ""\n[catchment]\nenabled = true\n', "geodns.toml").warnings

    assert (
        "geodns.toml",
        4,
        "catchment.enabled: measures nothing, for there is no admin door to ask at",
        "set admin.listen",
    ) == (
        warning.file,
        warning.line,
        warning.message,
        warning.remedy,
    )
    for quiet in ("", "[catchment]\nenabled = false\n", "[catchment]\nwindow = 600\n"):
        assert () == parse(f'[admin]\nlisten = ""\n{quiet}').warnings


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("", []),
        ("geo.egress = ['egress.csv']", []),
        ("server.place.latitude = 1\nserver.place.longitude = 1", []),
        ("geo.egress = ['e']\ngeo.ladder = ['ecs']", ["geo.egress: is not asked: geo.ladder has no rung egress"]),
        (
            "server = {anycast = true, place.country = 'DE'}\ngeo.ladder = ['ecs']",
            ["server.anycast: is of no effect: geo.ladder has no rung instance"],
        ),
        (
            "server = {anycast = true, place.country = 'DE'}\ngeo.ladder = ['instance', 'ecs', 'resolver']",
            ["geo.ladder: ecs, resolver are never asked: rung instance always decides"],
        ),
        ("server.place.country = 'DE'\ngeo.ladder = ['instance', 'ecs']", []),
        ("geo.ladder = ['egress', 'instance']", ["geo.ladder: asks nobody: every client gets the fallback"]),
        ("geo.egress = ['e']\ngeo.ladder = ['egress']", []),
        (
            "server = {anycast = true, place = {latitude = 1, longitude = 1}}",
            ["server.place: has no country: it has distances, but no rule by country or continent holds"],
        ),
    ],
)
def test_a_ladder_with_a_rung_for_nothing_is_warned_of(text: str, warnings: list[str]) -> None:
    """What is prepared but never asked, and a place that hardly any rule can name."""
    assert warnings == [problem.message for problem in parse(text).warnings]


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("server.place = {continent = 'EU', country = 'DE'}", []),
        ("geo.networks.'10.0.0.0/8' = {continent = 'eu', subdivision = 'de-he'}", []),
        ("server.place = {continent = 'EU'}", []),
        (
            "server.place = {continent = 'eu', country = 'jp'}",
            ["server.place.continent: JP is in continent AS, not EU: rules by continent go by the latter"],
        ),
        (
            "geo.networks.'10.0.0.0/8' = {country = 'US', continent = 'SA'}",
            ['geo.networks."10.0.0.0/8".continent: US is in continent NA, not SA: rules by continent go by the latter'],
        ),
        (
            "geo.networks.'10.0.0.0/8' = {subdivision = 'US-CA', continent = 'SA'}",
            ['geo.networks."10.0.0.0/8".continent: US is in continent NA, not SA: rules by continent go by the latter'],
        ),
    ],
)
def test_a_country_on_another_continent_is_warned_of(text: str, warnings: list[str]) -> None:
    """It is no error, for publishers disagree on a few countries, and an operator may have reasons."""
    found = parse(text).warnings

    assert warnings == [problem.message for problem in found]
    assert all(problem.line and problem.remedy for problem in found)


def test_a_mistyped_rung_is_recognised() -> None:
    """The nearest one is suggested."""
    [problem] = problems_of("geo.ladder = ['resolvr']")

    assert "did you mean 'resolver'?" == problem.remedy

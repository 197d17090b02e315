"""The verb `explain`: what is asked, for whom, and the two forms of the answer."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

CONTRACT = {"question", "client", "rung", "location", "rule", "answer", "ttl", "scope", "reason", "steps"}
MORE = {"rcode", "sources", "pool", "records", "authority", "additional", "octets"}
LOCATION = {"continent", "country", "subdivision", "city", "asn", "latitude", "longitude", "anycast"}


def test_json_has_every_key(run: Run) -> None:
    """One object with the keys that programs rely on, every attribute of the location among them."""
    told = run("explain", "www.example.com", "A", "--client", "81.2.69.5", "--json")

    assert (0, "") == (told.code, told.err)
    assert CONTRACT | MORE == told.json.keys()
    assert LOCATION == told.json["location"].keys()
    assert ["198.51.100.10"] == told.json["answer"]
    assert ("resolver", "continent:EU", 60, 5) == tuple(told.json[key] for key in ("rung", "rule", "ttl", "scope"))
    assert told.json["steps"]
    assert all(isinstance(step, str) for step in told.json["steps"])


def test_the_printed_form_ends_in_a_summary(run: Run) -> None:
    """Numbered steps, an empty line, then location, rung, rule, answer, TTL, scope and reason; the rough table is named."""
    told = run("explain", "www.example.com", "--client", "81.2.69.5")
    steps, _, summary = told.out.partition("\n\n")

    assert 0 == told.code
    numbers = [int(line.split(".")[0]) for line in steps.splitlines()[1:]]
    assert list(range(1, len(numbers) + 1)) == numbers
    labels = ["location", "rung", "rule", "answer", "TTL", "scope", "reason", "WARNING"]
    assert labels == [line.split()[0] for line in summary.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "rung", "answer", "scope"),
    [
        (("--client", "81.2.69.5"), "resolver", "198.51.100.10", 5),
        (("--ecs", "81.2.69.0/24"), "ecs", "198.51.100.10", 5),
        (("--client", "81.2.69.0/24"), "ecs", "198.51.100.10", 5),
        (("--ecs", "133.11.0.0/16", "--resolver", "81.2.69.5"), "ecs", "203.0.113.10", 8),
        (("--client", "133.11.1.2", "--resolver", "81.2.69.5"), "ecs", "203.0.113.10", 8),
        (("--resolver", "81.2.69.5"), "resolver", "198.51.100.10", 5),
        (("--ecs", "1.1.1.0/24", "--resolver", "81.2.69.5"), "resolver", "198.51.100.10", 24),
        (("--ecs", "10.1.0.0/16", "--resolver", "81.2.69.5"), "resolver", "198.51.100.10", 8),
        (("--ecs", "0.0.0.0/0", "--resolver", "81.2.69.5"), "resolver", "198.51.100.10", 0),
        (("--ecs", "::ffff:81.2.69.0/120"), "ecs", "198.51.100.10", 101),
        (("--client", "8.8.8.8"), "fallback", "192.0.2.10", 24),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_who_asks_decides(run: Run, arguments: tuple[str, ...], rung: str, answer: str, scope: int) -> None:
    """Client, client subnet and resolver mean what they mean in a query; the demonstration tells them apart."""
    told = run("explain", "www.example.com", *arguments, "--json").json

    assert (rung, [answer], scope) == (told["rung"], told["answer"], told["scope"])


@pytest.mark.parametrize(("ecs", "sent"), [("81.2.69.142", "81.2.69.0/24"), ("2a02:8100:1:2::3", "2a02:8100:1::/56")])
def test_an_address_as_client_subnet_is_cut_to_what_resolvers_send(run: Run, ecs: str, sent: str) -> None:
    """RFC 7871 §11.1: /24 and /56."""
    assert sent == run("explain", "www.example.com", "--ecs", ecs, "--json").json["client"]["ecs"]


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode", "answer"),
    [
        ("no-such-name.example.com", "A", "NXDOMAIN", []),
        ("ns1.example.com", "MX", "NOERROR", []),
        ("www.example.org", "A", "REFUSED", []),
        ("MAIL.example.com.", "a", "NOERROR", ["192.0.2.70"]),
        ("exotic.example.com", "TYPE65400", "NOERROR", ["\\# 4 c0000201"]),
    ],
)
def test_what_is_asked(run: Run, name: str, rdtype: str, rcode: str, answer: list[str]) -> None:
    """Any name and type can be asked for; that nothing comes out is an answer too, not a failure."""
    told = run("explain", name, rdtype, "--client", "192.0.2.1", "--json")

    assert 0 == told.code
    assert (rcode, answer) == (told.json["rcode"], told.json["answer"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("www.example.com",), "who asks?"),
        (("www.example.com", "--client", "192.0.2.1", "--ecs", "192.0.2.0/24"), "exclude each other"),
        (("www.example.com", "--client", "192.0.2.256"), "192.0.2.256"),
        (("www.example.com", "--ecs", "192.0.2.0/33"), "192.0.2.0/33"),
        (("www.example.com", "--client", "192.0.2.1", "--resolver", "here"), "here"),
        (("a..b", "--client", "192.0.2.1"), "no domain name"),
        (("www.example.com", "AAAAA", "--client", "192.0.2.1"), "no record type"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """What cannot be asked is exit code 2, with the word that is wrong."""
    told = run("explain", *arguments)

    assert (2, "") == (told.code, told.out)
    assert said in told.err


def test_a_configuration_with_problems_explains_nothing(run: Run) -> None:
    """Its problems are shown on standard error, with exit code 1 and nothing on standard output."""
    told = run("explain", "www.example.com", "--client", "192.0.2.1", "--config", "/no/such/file.toml", "--json")

    assert (1, "") == (told.code, told.out)
    assert "there is no such file" in told.err
    assert told.err.endswith("1 error\n")

"""Owns the picture of the page in the docs: a world of sites and clients on loopback; refuses to judge it.

`python -m tests.daemon.page_picture docs/page.png` makes it anew.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from time import monotonic

import dns.edns
import dns.message

from geodns.geo.countries import countries
from tests.support.browser import PATIENCE, Browser, browser
from tests.support.daemons import Geodns, Site, poll, serving

WIDTH, HEIGHT, SCALE = 1200, 2180, 0.7
COUNTRIES = 5  # that have a colour at the least
SECONDS = 25.0  # of traffic: as much as makes a curve

SITES = {
    "fra": (50.11, 8.68),
    "iad": (38.95, -77.45),
    "sfo": (37.62, -122.38),
    "gru": (-23.43, -46.47),
    "sin": (1.36, 103.99),
    "nrt": (35.77, 140.39),
    "jnb": (-26.13, 28.23),
}
DOWN = "gru"

ZONE = """\
$TTL 300
@    IN SOA  ns hostmaster 2026112201 3600 600 86400 60
     IN NS   ns
ns   IN A    192.0.2.1
www  IN POOL web
www  IN A    192.0.2.30
mail IN POOL mail
mail IN A    192.0.2.31
"""

CONFIG = """\
[server]
listen = ["127.0.0.1:$port"]
identity = "fra-1"
state = ""
workers = 2
[admin]
listen = "127.0.0.1:$admin"
[pools.web]
steering = "nearest"
ttl = 30
ttl_degraded = 10
[pools.web.check]
type = "external"
max_age = 3600
[pools.mail]
steering = "failover"
[pools.mail.check]
type = "none"
"""


def clients() -> dict[str, str]:
    """A network of each of some countries: country code → prefix."""
    with files("geodns.geo").joinpath("data", "client-prefixes.csv").open(encoding="utf-8") as rows:
        return {row["country"]: row["prefix"] for row in csv.DictReader(rows) if ":" not in row["prefix"]}


def config() -> str:
    """Sites on five continents, and where clients are."""
    text = CONFIG
    for number, (site, (latitude, longitude)) in enumerate(SITES.items(), start=1):
        place = f"latitude = {latitude}\nlongitude = {longitude}\n"
        text += f'[[pools.web.endpoints]]\nname = "{site}-1"\nsite = "{site}"\naddresses = ["198.51.100.{number}"]\n{place}'
    for number, site in enumerate(("fra", "iad"), start=1):
        latitude, longitude = SITES[site]
        place = f"latitude = {latitude}\nlongitude = {longitude}\n"
        text += f'[[pools.mail.endpoints]]\nname = "mx-{site}"\nsite = "{site}"\naddresses = ["203.0.113.{number}"]\n{place}'
    for code, prefix in clients().items():
        country = countries()[code]
        place = f"latitude = {country.latitude}\nlongitude = {country.longitude}\n"
        text += f'[geo.networks."{prefix}"]\ncontinent = "{country.continent}"\ncountry = "{code}"\n{place}'
    return text + '[[zones]]\nname = "example.com"\nfile = "example.com.zone"\n'


@contextmanager
def world(directory: Path) -> Iterator[Geodns]:
    """A server of all this, every check told."""
    with serving(Site(directory), config(), {"example.com.zone": ZONE}) as server:
        server.until_said("workers answer")
        for site in SITES:
            server.ask("PUT", f"/api/v1/health/web/{site}/{site}-1", {"up": True}).raise_for_status()
        yield server


def send(server: Geodns, draw: random.Random, count: int) -> None:
    """Queries of clients everywhere, a few of each kind; they are many where many people are."""
    networks = list(clients().values())
    weights = [draw.randrange(1, 12) for _ in networks]
    octets = []
    for network in draw.choices(networks, weights, k=count):
        option = dns.edns.ECSOption.from_text(f"ECS {network.partition('/')[0]}/24")
        name = draw.choices(("www.example.com", "mail.example.com", "ftp.example.com"), (12, 3, 1))[0]
        kind = draw.choices(("A", "AAAA", "MX"), (8, 3, 1))[0]
        octets.append(dns.message.make_query(name, kind, use_edns=0, options=[option]).to_wire())
    server.endpoint.udp_all(octets)


def take(tab: Browser, server: Geodns, seconds: float) -> bytes:
    """The page after some seconds of traffic, a site down, another drained, a client explained."""
    draw = random.Random(7)
    asked = "name=www.example.com&type=A&client=200.128.1.0/24&resolver=8.8.8.8"
    tab.open(f"http://127.0.0.1:{server.site.admin}/#explain?{asked}", width=WIDTH, height=HEIGHT)
    server.ask("PUT", f"/api/v1/health/web/{DOWN}/{DOWN}-1", {"up": False}).raise_for_status()
    word = {"pattern": "mail/fra", "word": "drain", "seconds": 1800, "reason": "new disks"}
    server.ask("PUT", "/api/v1/overrides", word).raise_for_status()
    end = monotonic() + seconds

    def enough() -> bool:
        send(server, draw, draw.randrange(60, 120))
        tab.value("new Promise((resolve) => { setTimeout(resolve, 150); })")
        return monotonic() > end and tab.value(f"document.querySelectorAll('.country.served').length >= {COUNTRIES}") is True

    poll("countries are counted, a sample of them at a time", enough, seconds + PATIENCE)
    tab.until(f"document.querySelector('[data-sites~=\"web/{DOWN}\"].health-down')")
    tab.value("document.getElementById('explain-form').requestSubmit()")
    tab.until("document.querySelector('.ladder .passed')")
    return tab.screenshot(SCALE)


def main() -> None:
    """Write the picture to the file that the command names."""
    (file,) = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="geodns-") as name, world(Path(name)) as server, browser(Path(name)) as tab:
        Path(file).write_bytes(take(tab, server, SECONDS))


if __name__ == "__main__":
    main()

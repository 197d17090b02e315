"""The files a server depends on: whatever a load opens is among them."""

from __future__ import annotations

from pathlib import Path

from geodns.daemon.watching import watched_files
from geodns.ops import config as configuration

CONFIG = """
admin.token_file = "token"
server.cookie_secrets = "cookies.secret"
geo.databases = ["places.mmdb", "/elsewhere/asn.mmdb"]
geo.anycast = ["anycast.txt"]
geo.egress = ["egress.txt"]
[pools.app.check]
type = "https"
ca_file = "ca.pem"
[[pools.app.endpoints]]
name = "one"
addresses = ["192.0.2.1"]
latitude = 1
longitude = 1
[[zones]]
name = "example.com"
file = "a.zone"
[[zones]]
name = "example.net"
file = "a.zone"
"""


def test_everything_that_a_reload_reads_is_watched(tmp_path: Path) -> None:
    """Configuration, zones with their includes, databases, lists, authorities, token, secrets: each once, there or not."""
    path = tmp_path / "geodns.toml"
    path.write_text(CONFIG)
    (tmp_path / "a.zone").write_text("$INCLUDE hosts\n")
    found = watched_files(path, configuration.load(path))
    read = (
        "geodns.toml",
        "a.zone",
        "hosts",
        "places.mmdb",
        "/elsewhere/asn.mmdb",
        "anycast.txt",
        "egress.txt",
        "ca.pem",
        "token",
    )
    expected = (*read, "cookies.secret")

    assert tuple(tmp_path / name for name in expected) == found

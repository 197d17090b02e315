"""Owns the configuration file: TOML in, one frozen Config or every problem in it out; refuses to open what the file names."""

from geodns.ops.config._announce import Announce, Bird, Exabgp, Exec, Frr
from geodns.ops.config._announce_together import MOST_QUESTIONS, service_addresses, unaskable
from geodns.ops.config._listen import BadListen, Listen, UnixListen, parse_admin_listen, parse_listen, parse_socket
from geodns.ops.config._pools import Check, Endpoint, Pool
from geodns.ops.config._reading import example, load, parse, schema
from geodns.ops.config._salvage import ConfigurationRefused, Rest
from geodns.ops.config._tables import (
    Admin,
    Catchment,
    Config,
    Ecs,
    Expect,
    Explain,
    Geo,
    InstancePlace,
    Log,
    NetworkPlace,
    Server,
    Zone,
)

__all__ = [
    "MOST_QUESTIONS",
    "Admin",
    "Announce",
    "BadListen",
    "Bird",
    "Catchment",
    "Check",
    "Config",
    "ConfigurationRefused",
    "Ecs",
    "Endpoint",
    "Exabgp",
    "Exec",
    "Expect",
    "Explain",
    "Frr",
    "Geo",
    "InstancePlace",
    "Listen",
    "Log",
    "NetworkPlace",
    "Pool",
    "Rest",
    "Server",
    "UnixListen",
    "Zone",
    "example",
    "load",
    "parse",
    "parse_admin_listen",
    "parse_listen",
    "parse_socket",
    "schema",
    "service_addresses",
    "unaskable",
]

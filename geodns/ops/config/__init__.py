"""Owns the configuration file: TOML in, one frozen Config or every problem in it out; refuses to open what the file names."""

from geodns.ops.config._listen import BadListen, Listen, UnixListen, parse_admin_listen, parse_listen, parse_socket
from geodns.ops.config._pools import Check, Endpoint, Pool
from geodns.ops.config._reading import load, parse, schema
from geodns.ops.config._tables import Admin, Config, Ecs, Expect, Geo, InstancePlace, Log, NetworkPlace, Server, Zone

__all__ = [
    "Admin",
    "BadListen",
    "Check",
    "Config",
    "Ecs",
    "Endpoint",
    "Expect",
    "Geo",
    "InstancePlace",
    "Listen",
    "Log",
    "NetworkPlace",
    "Pool",
    "Server",
    "UnixListen",
    "Zone",
    "load",
    "parse",
    "parse_admin_listen",
    "parse_listen",
    "parse_socket",
    "schema",
]

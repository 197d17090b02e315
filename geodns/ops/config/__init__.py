"""Owns the configuration file: TOML in, one frozen Config or every problem in it out; refuses to open what the file names."""

from geodns.ops.config._listen import BadListen, Listen, parse_listen
from geodns.ops.config._reading import load, parse, schema
from geodns.ops.config._tables import Admin, Config, Ecs, Expect, Geo, NetworkPlace, Server, Zone

__all__ = [
    "Admin",
    "BadListen",
    "Config",
    "Ecs",
    "Expect",
    "Geo",
    "Listen",
    "NetworkPlace",
    "Server",
    "Zone",
    "load",
    "parse",
    "parse_listen",
    "schema",
]

"""Owns live signals of anycast: which instance answers, round trips, paths, client subnets swept; refuses to judge them."""

from geodns.ops.anycast._identity import Identification, Instance, identify
from geodns.ops.anycast._path import Hop, NoWay, Way, trace
from geodns.ops.anycast._probe import Look, probe
from geodns.ops.anycast._sweep import Answer, sweep
from geodns.ops.exchange import Server, find

__all__ = [
    "Answer",
    "Hop",
    "Identification",
    "Instance",
    "Look",
    "NoWay",
    "Server",
    "Way",
    "find",
    "identify",
    "probe",
    "sweep",
    "trace",
]

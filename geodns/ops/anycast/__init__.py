"""Owns live signals of anycast: who answers, round trips, paths, client subnets swept, serials; refuses to judge them."""

from geodns.ops.anycast._identity import Identification, Instance, identify
from geodns.ops.anycast._path import Hop, NoWay, Way, trace
from geodns.ops.anycast._probe import Look, probe
from geodns.ops.anycast._serials import Serial, serials
from geodns.ops.anycast._sweep import Answer, sweep
from geodns.ops.exchange import BadServer, Server, find, named

__all__ = [
    "Answer",
    "BadServer",
    "Hop",
    "Identification",
    "Instance",
    "Look",
    "NoWay",
    "Serial",
    "Server",
    "Way",
    "find",
    "identify",
    "named",
    "probe",
    "serials",
    "sweep",
    "trace",
]

"""The stairwell: the only room that assembles every other, from files to a snapshot and from a snapshot to a running server."""

from geodns.daemon.gatekeeping import run_gate
from geodns.daemon.gates import unbindable
from geodns.daemon.keeping import remembered_moment
from geodns.daemon.loading import DEMONSTRATION, EMBEDDED_WARNING, Loaded, Progress, asker_of, counted, load, load_atlas, unusable
from geodns.daemon.memory import raise_descriptor_limit
from geodns.daemon.responder import Responder
from geodns.daemon.staff import Staff
from geodns.daemon.withdrawing import withdraw

__all__ = [
    "DEMONSTRATION",
    "EMBEDDED_WARNING",
    "Loaded",
    "Progress",
    "Responder",
    "Staff",
    "asker_of",
    "counted",
    "load",
    "load_atlas",
    "raise_descriptor_limit",
    "remembered_moment",
    "run_gate",
    "unbindable",
    "unusable",
    "withdraw",
]

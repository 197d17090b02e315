"""Owns the checks of endpoints: values, probes, their schedule, and what they make of health; refuses to know pools and answers.

A `Prober` probes `Target`s and reports a `Result` for each round; the pure `advance` makes `State` of results. All of it runs in
an event loop that answers no DNS.
"""

from geodns.ops.health._probe import probe
from geodns.ops.health._schedule import Prober, Report
from geodns.ops.health._state import BadState, Health, State, advance
from geodns.ops.health._values import (
    Check,
    DnsCheck,
    ExecCheck,
    ExternalCheck,
    HttpCheck,
    NoCheck,
    NoState,
    Result,
    Target,
    TcpCheck,
    TlsCheck,
)

__all__ = [
    "BadState",
    "Check",
    "DnsCheck",
    "ExecCheck",
    "ExternalCheck",
    "Health",
    "HttpCheck",
    "NoCheck",
    "NoState",
    "Prober",
    "Report",
    "Result",
    "State",
    "Target",
    "TcpCheck",
    "TlsCheck",
    "advance",
    "probe",
]

"""Owns the announce gate: whether anycast prefixes are announced, tied to the service (RFC 4786 §4.4); refuses to answer queries.

A process of its own, for a daemon that hangs must lose its routes. Daemon and gate speak through files of the state directory.
"""

from geodns.ops.announce._bird import Include, Protocols
from geodns.ops.announce._course import Rules, State
from geodns.ops.announce._departure import Departure, Patience, proceed
from geodns.ops.announce._exabgp import Exabgp
from geodns.ops.announce._exec import Program
from geodns.ops.announce._files import now
from geodns.ops.announce._frr import Vtysh
from geodns.ops.announce._gate import Gate, Plan
from geodns.ops.announce._lease import Holder, Lease
from geodns.ops.announce._questions import Question
from geodns.ops.announce._reconciling import Reconciler
from geodns.ops.announce._router import Attributes, Router, RouterFault
from geodns.ops.announce._status import forget, recall, remember, status

__all__ = [
    "Attributes",
    "Departure",
    "Exabgp",
    "Gate",
    "Holder",
    "Include",
    "Lease",
    "Patience",
    "Plan",
    "Program",
    "Protocols",
    "Question",
    "Reconciler",
    "Router",
    "RouterFault",
    "Rules",
    "State",
    "Vtysh",
    "forget",
    "now",
    "proceed",
    "recall",
    "remember",
    "status",
]

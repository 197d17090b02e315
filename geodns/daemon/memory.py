"""Owns what a process asks of the system for itself; refuses to know what was loaded."""

from __future__ import annotations

import resource


def raise_descriptor_limit() -> None:
    """Use all file descriptors that the system allows: sockets of many addresses and workers, and a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

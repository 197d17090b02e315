"""Owns what a process does about its memory between loads; refuses to know what was loaded."""

from __future__ import annotations

import ctypes
import gc
import resource


def settle() -> None:
    """After a load: spare what stays from every later garbage collection, and give what was freed back to the system.

    A full collection over a large snapshot would hold up queries for as long as it takes to visit it (0.1 s for 100,000 records);
    frozen objects are not visited, and are still freed when nothing refers to them.
    """
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps what threads freed, otherwise
    if trim:
        trim(0)


def raise_descriptor_limit() -> None:
    """Use all file descriptors that the system allows: sockets of many addresses and workers, and a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

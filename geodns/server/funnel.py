"""Owns a pipe from many processes to one: small records, in order, never waited for; refuses to know what is in them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

_WANTED = 1 << 20  # octets: what the kernel lets anybody have (fs.pipe-max-size)
_READ = 1 << 12  # octets taken at once


class Funnel:
    """Records of `size` octets that any process writes and one reads. It outlives both, and what is not read yet.

    To be made before processes are forked. A record is written whole or not at all: the kernel does not cut what is that short
    (PIPE_BUF, pipe(7)).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._out, self._in = os.pipe()
        for end in (self._out, self._in):
            os.set_blocking(end, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # its user has many pipes: the one that there is holds less
                fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _WANTED)

    def put(self, record: bytes) -> bool:
        """Write one; False if there is no room."""
        try:
            os.write(self._in, record)
        except BlockingIOError:
            return False
        return True

    def take(self) -> Iterator[bytes]:
        """Read all that there is, some hundred records at once; whoever stops asking leaves the rest."""
        while True:
            try:
                octets = os.read(self._out, _READ // self.size * self.size)
            except BlockingIOError:
                return
            yield octets

    def close(self) -> None:
        """Give it up."""
        os.close(self._in)
        os.close(self._out)

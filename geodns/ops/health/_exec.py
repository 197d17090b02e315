"""Owns the check by a program: starts it, bounds its output, ends all that it started; refuses to know what it looks at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from geodns.ops.health._values import ExecCheck, Failed, Passed, shown

_OUTPUT_OCTETS = 64 * 1024
_REAPING = 1.0  # seconds for the kernel to end what was killed; a process stuck in a device's driver may take for ever
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Output:
    """Collects what comes out of a pipe, up to the bound; asyncio's pipes would wait for all who hold the other end."""

    def __init__(self, end: int) -> None:
        self.octets = b""
        self.too_much = asyncio.Event()
        self._end = end
        self._loop = asyncio.get_running_loop()
        os.set_blocking(end, False)
        self._loop.add_reader(end, self.drain)

    def drain(self) -> None:
        """Take what is there."""
        while not self.too_much.is_set():
            try:
                chunk = os.read(self._end, _OUTPUT_OCTETS)
            except BlockingIOError:
                return
            if not chunk:
                break
            self.octets += chunk
            if len(self.octets) > _OUTPUT_OCTETS:
                self.too_much.set()
        self.stop()

    def stop(self) -> None:
        """Listen no longer."""
        self._loop.remove_reader(self._end)

    @property
    def first_line(self) -> str:
        lines = self.octets.decode(errors="replace").strip().splitlines()
        return shown(lines[0]) if lines else ""


async def check_exec(check: ExecCheck, address: str) -> Passed:
    """Run the program; `Failed` says how it ended, with the first line of its output.

    It runs in a session of its own. When it ends, when its time is up (the caller cancels), or when it says too much, its whole
    process group is killed, so that nothing of it outlives the check.
    """
    arguments = [argument.replace("{address}", address) for argument in check.command]
    read_end, write_end = os.pipe()
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env={"PATH": _PATH, "LC_ALL": "C.UTF-8", "GEODNS_ADDRESS": address},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a null octet in an argument
            raise Failed(f"{shown(arguments[0])} cannot be run: {getattr(error, 'strerror', None) or error}") from None
        finally:
            os.close(write_end)
        return _judged(await _finished(process, read_end))
    finally:
        os.close(read_end)


async def _finished(process: asyncio.subprocess.Process, read_end: int) -> tuple[int, str]:
    """Exit status (negative: a signal's number) and first line of output."""
    output = _Output(read_end)
    ends = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(output.too_much.wait())]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        output.drain()
    finally:
        output.stop()
        ends[1].cancel()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone already, or run as somebody else by now
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait(ends[:1], timeout=_REAPING)
        ends[0].cancel()
    if output.too_much.is_set():
        raise Failed(f"printed more than {_OUTPUT_OCTETS // 1024} KiB: {output.first_line}")
    return ends[0].result(), output.first_line


def _judged(end: tuple[int, str]) -> Passed:
    status, line = end
    if status == 0:
        return Passed(line or "exit status 0")
    how = f"exit status {status}"
    if status < 0:
        number = -status
        how = f"killed by {signal.Signals(number).name if number in set(signal.Signals) else f'signal {number}'}"
    raise Failed(f"{how}: {line}" if line else how)

"""Owns worker processes: their sockets, their lives and generations; knows neither DNS nor configuration."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from types import FrameType
from typing import NoReturn

from .pairs import Pair
from .shared import Tally

LEAVE, DRAIN = b"l", b"d"
"""What a worker is told when it is dismissed: leave what is queued to its successor, or answer it. Silence is DRAIN."""

QUICK = 1.0  # s: a worker that dies younger than this was hardly of use
QUICK_DEATHS = 5  # in a row, after which the next attempts are a second apart
_FIRST_DELAY = 0.05  # s, doubled with each quick death
_LAST_DELAY = 1.0  # s
_LOOK_WHILE_LOADING = 0.25  # s between looks at workers that wait for their time
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM)

_log = logging.getLogger("geodns.server")


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is given: its slot, its sockets, its row of the tally, and how it and its supervisor talk.

    `dismissal` is a descriptor that becomes readable when the worker shall end, because it is told to or as the supervisor is
    gone.
    """

    slot: int
    pairs: tuple[Pair, ...]
    dismissal: int
    _readiness: int
    _tally: Tally
    _row: int

    def ready(self) -> None:
        """Say that queries are being answered, so that predecessors may go; to be called once."""
        os.write(self._readiness, b"r")
        os.close(self._readiness)

    def drain_wanted(self) -> bool:
        """Whether what is queued must be answered by the worker that ends now, for it was not told that it has a successor."""
        try:
            return os.read(self.dismissal, 1) != LEAVE
        except BlockingIOError:
            return True

    def publish(self, values: Sequence[int]) -> None:
        """Show counters to all who read the tally; each one only grows."""
        self._tally.publish(self._row, values)


Work = Callable[[Post], None]
"""What a worker does; it returns when it was dismissed, or got SIGTERM, and has finished."""


@dataclass(frozen=True, slots=True)
class Crew:
    """What a generation of workers is: the sockets of each slot, and the work, which holds all that it needs.

    `keeping`, if it is given, is the work of one worker more, in the slot behind the others: it has the sockets of all slots to
    look at, not to read from, and its successor begins only when it has ended.
    """

    slots: tuple[tuple[Pair, ...], ...]
    work: Work
    keeping: Work | None = None

    def pairs(self) -> list[Pair]:
        """Those of all slots."""
        return [pair for slot in self.slots for pair in slot]


@dataclass(slots=True)
class _Worker:
    """A living worker as its supervisor sees it."""

    pid: int
    slot: int
    generation: int
    born: float
    lifeline: int  # the end that the supervisor holds: the worker is dismissed by a word on it, or by its end
    readiness: int
    row: int
    ready: bool = False
    kill_at: float = math.inf  # when a dismissed worker has had time enough


@dataclass(slots=True)
class _Slot:
    """A place for a worker: how the last ones fared, and when the next one may come."""

    quick_deaths: int = 0
    due: float = 0.0


class _Stopped(BaseException):
    """SIGTERM or SIGINT came while a new generation was prepared; not an Exception, for it must pass through all of that."""


class Supervisor:
    """Keeps one worker in each slot, and renews all of them without losing a datagram or what they have counted.

    The sockets are the supervisor's: a worker inherits those of its slot, and so does its successor, together with all that
    is queued in them. `grace` seconds is what a dismissed worker has before it is killed.

    It must be the only thread of its process, for it forks; it runs no event loop, for a child could not leave that behind.
    """

    def __init__(self, crew: Crew, tally: Tally, *, grace: float = 8.0) -> None:
        self.generation = 1
        self.deaths = 0
        self._crew = crew
        self._tally = tally
        self._grace = grace
        self._slots = [_Slot() for _ in range(len(crew.slots) + 1)]  # the last is the keeper's
        self._workers: dict[int, _Worker] = {}
        self._farewell = LEAVE
        self._said = 0
        self._stops = self._borne = 0  # how often the end was asked for, and how often without bringing it
        self._renewal_wanted = self._preparing = self._tending = False
        self._wakeup, self._waker = socket.socketpair()

    def pids(self) -> dict[int, int]:
        """The process in each slot, the keeper's last: of the current generation, or while it has none of the one before."""
        by_age = sorted(self._workers.values(), key=lambda worker: worker.generation)
        return {worker.slot: worker.pid for worker in by_age}

    @property
    def answering(self) -> bool:
        """Whether in every slot there is a worker of the current generation that answers."""
        ready = {worker.slot for worker in self._workers.values() if worker.ready and worker.generation == self.generation}
        return ready >= set(range(self._keeping))

    def run(
        self,
        renew: Callable[[], Crew | None],
        tended: Callable[[], None] = lambda: None,
        wanted: Callable[[], bool] = lambda: False,
        ending: Callable[[], None] = lambda: None,
        leaving: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Supervise until SIGTERM or SIGINT; on SIGHUP, `renew` prepares the next generation, or says and returns None.

        While `renew` runs, workers that die are still replaced. Sockets that the new crew lacks are closed. `tended` is called
        when processes may have come or gone, `wanted` once: whether a SIGHUP came before this could hear of it; `ending` when the
        end begins. Before, `leaving` tells how many seconds it is put off: until then, or the next SIGTERM, all go on as before,
        but nothing is renewed.
        """
        with self._signals(), selectors.PollSelector() as selector:  # poll leaves nothing open that a child would share
            self._renewal_wanted = self._renewal_wanted or wanted()
            selector.register(self._wakeup, selectors.EVENT_READ)
            self._settle()
            try:
                while not self._stop_wanted:
                    self._tend()
                    tended()
                    self._wait(selector)
                    if self._renewal_wanted and not self._stop_wanted:
                        self._renewal_wanted = False  # a signal that comes while preparing asks for one more
                        self._renew(renew)
            except _Stopped:
                pass
            self._put_off(selector, tended, leaving())
            ending()
            self._dismiss_all(selector)

    def _put_off(self, selector: selectors.BaseSelector, tended: Callable[[], None], seconds: float) -> None:
        """Go on until that time is over, or somebody asks for the end once more."""
        self._borne, until = 1, monotonic() + seconds  # a second one may have come already
        while not self._stop_wanted and monotonic() < until:
            self._renewal_wanted = False
            self._tend()
            tended()
            self._wait(selector, until)
        self._borne = 0

    def _renew(self, renew: Callable[[], Crew | None]) -> None:
        self._preparing = True
        signal.setitimer(signal.ITIMER_REAL, _LOOK_WHILE_LOADING, _LOOK_WHILE_LOADING)
        try:
            crew = renew()
        finally:
            self._preparing = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        if crew:
            self._install(crew)
            gc.unfreeze()  # what the last generation alone has used may go
        self._settle()

    def _install(self, crew: Crew) -> None:
        kept = {id(pair) for pair in crew.pairs()}
        dropped = [pair for pair in self._crew.pairs() if id(pair) not in kept]
        self._farewell = DRAIN if dropped else LEAVE
        self._crew = crew
        self.generation += 1
        for pair in dropped:
            pair.close()
        for slot in self._slots:
            slot.due = 0.0

    @staticmethod
    def _settle() -> None:
        """Have the collector never look again at what is loaded: looking would copy the pages that workers share."""
        gc.collect()
        gc.freeze()

    def _tend(self) -> None:
        """Bury the dead, send off those whose successor is ready, and fill the places of the current generation."""
        self._reap()
        newest = dict.fromkeys(
            range(self._keeping), 0
        )  # generation that answers, by slot; where reloads come fast, not yet the last
        newest[self._keeping] = self.generation
        for worker in self._workers.values():
            if worker.ready:
                newest[worker.slot] = max(newest[worker.slot], worker.generation)
        for worker in self._workers.values():
            if worker.generation < newest[worker.slot]:
                self._dismiss(worker, self._farewell)
        for number in self._vacant():
            if monotonic() >= self._slots[number].due:
                self._start(number)
        self._say_complete()

    def _vacant(self) -> list[int]:
        """Slots that the current generation has nobody in; a predecessor may still be there, but not in the keeper's."""
        manned = {
            worker.slot
            for worker in self._workers.values()
            if worker.generation == self.generation or worker.slot == self._keeping
        }
        return [number for number in range(self._wanted) if number not in manned]

    @property
    def _stop_wanted(self) -> bool:
        """Whether the end has come."""
        return self._stops > self._borne

    @property
    def _keeping(self) -> int:
        """The keeper's slot."""
        return len(self._slots) - 1

    @property
    def _wanted(self) -> int:
        """How many slots are to be filled."""
        return len(self._slots) if self._crew.keeping else len(self._slots) - 1

    def _say_complete(self) -> None:
        """Log, once a generation, that it alone answers."""
        complete = all(worker.ready and worker.generation == self.generation for worker in self._workers.values())
        if complete and len(self._workers) == self._wanted and self._said < self.generation:
            self._said = self.generation
            workers = len(self._crew.slots)
            _log.info("generation %d: %d %s", self.generation, workers, "worker answers" if workers == 1 else "workers answer")

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._bury(worker, os.waitstatus_to_exitcode(status))
            elif monotonic() >= worker.kill_at:
                _log.warning("%s (process %d) does not end and is killed", self._name(worker.slot), worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
                worker.kill_at += self._grace

    def _bury(self, worker: _Worker, code: int) -> None:
        del self._workers[worker.pid]
        self._tally.give_back(worker.row)
        os.close(worker.readiness)
        if worker.kill_at == math.inf:
            os.close(worker.lifeline)
            self._note_death(worker, code)

    def _note_death(self, worker: _Worker, code: int) -> None:
        """Count a death that nobody asked for; worker after worker that dies at once is not to keep a core busy."""
        self.deaths += 1
        slot, now = self._slots[worker.slot], monotonic()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        _log.warning("%s (process %d) %s and is replaced", self._name(worker.slot), worker.pid, how)
        slot.quick_deaths = slot.quick_deaths + 1 if now - worker.born < QUICK else 0
        if slot.quick_deaths == QUICK_DEATHS:
            _log.error("%s has died %d times at once; trying on every %s s", self._name(worker.slot), QUICK_DEATHS, _LAST_DELAY)
        if slot.quick_deaths > 1:
            delay = _FIRST_DELAY * 2 ** (slot.quick_deaths - 2)
            slot.due = now + (delay if slot.quick_deaths < QUICK_DEATHS else _LAST_DELAY)

    def _name(self, slot: int) -> str:
        return "the keeper" if slot == self._keeping else f"worker {slot}"

    def _start(self, number: int) -> None:
        """Fork a worker; in the child this does not return."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)  # until the child has let go of what is the supervisor's
        try:
            with contextlib.ExitStack() as undo:
                lifeline, held = _pipe(undo)
                os.set_blocking(lifeline, False)
                readiness, told = _pipe(undo)
                row = self._tally.take()
                undo.callback(self._tally.give_back, row)
                pid = os.fork()
                undo.pop_all()
        except OSError as error:
            self._slots[number].due = monotonic() + _LAST_DELAY
            _log.error("cannot start %s, trying again in %s s: %s", self._name(number), _LAST_DELAY, error)
        else:
            if not pid:
                os.close(held)
                os.close(readiness)
                pairs = tuple(self._crew.pairs()) if number == self._keeping else self._crew.slots[number]
                self._be_a_worker(Post(number, pairs, lifeline, told, self._tally, row), before)
            os.close(lifeline)
            os.close(told)
            self._workers[pid] = _Worker(pid, number, self.generation, monotonic(), held, readiness, row)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _be_a_worker(self, post: Post, mask: set[int | signal.Signals]) -> NoReturn:
        """Let go of all that is the supervisor's, work, and end without ever going back to where the fork was."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP):  # the terminal's, and the supervisor's business
                signal.signal(number, signal.SIG_IGN)
            gc.enable()  # a load in which this worker took a dead one's place may have paused it
            self._let_go(post)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            work = self._crew.keeping if post.slot == self._keeping else self._crew.work
            if work:
                work(post)
            code = 0
        except BaseException:
            _log.exception("%s ends by a fault of our own", self._name(post.slot))
        finally:
            os._exit(code)

    def _let_go(self, post: Post) -> None:
        """Close what other workers live by: a lifeline has an end only if nobody but the supervisor holds it."""
        self._wakeup.close()
        self._waker.close()
        for other in self._workers.values():
            os.close(other.readiness)
            if other.kill_at == math.inf:
                os.close(other.lifeline)
        for pair in self._crew.pairs():
            if pair not in post.pairs:
                pair.close()

    def _dismiss(self, worker: _Worker, word: bytes) -> None:
        if worker.kill_at != math.inf:
            return
        worker.kill_at = monotonic() + self._grace
        with contextlib.suppress(BrokenPipeError):  # it is dead and will be buried
            os.write(worker.lifeline, word)
        os.close(worker.lifeline)

    def _dismiss_all(self, selector: selectors.BaseSelector) -> None:
        for worker in self._workers.values():
            self._dismiss(worker, DRAIN)
        while self._workers:
            self._wait(selector)
            self._reap()

    def _wait(self, selector: selectors.BaseSelector, until: float = math.inf) -> None:
        """Sleep until a signal comes, a worker says that it is ready, or the time for something has come."""
        moments = [until, *(worker.kill_at for worker in self._workers.values())]
        if not self._stop_wanted:
            moments += [self._slots[number].due for number in self._vacant()]
        for worker in self._workers.values():
            if not worker.ready:
                selector.register(worker.readiness, selectors.EVENT_READ, worker)
        nearest = 0.0 if self._renewal_wanted else min(moments, default=math.inf)
        events = selector.select(None if nearest == math.inf else max(0.0, nearest - monotonic()))
        for key in [key for key in selector.get_map().values() if key.data]:
            selector.unregister(key.fileobj)
        for key, _ in events:
            if key.data:
                key.data.ready = os.read(key.fd, 1) == b"r"  # nothing: it died before
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        self._wakeup.settimeout(0)
        self._waker.settimeout(0)
        before = {number: signal.signal(number, self._on_signal) for number in _WATCHED}
        wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stops += 1
        elif number == signal.SIGHUP:
            self._renewal_wanted = True
        if self._preparing and not self._tending:  # the main loop cannot do it: it waits for `renew`, further up this stack
            self._tending = True
            try:
                self._tend()
            finally:
                self._tending = False
            if self._stop_wanted:
                raise _Stopped


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends

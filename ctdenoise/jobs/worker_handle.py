"""A worker process as its parent sees it: how it is started, told, watched and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from ctdenoise.jobs.parcels import packed
from ctdenoise.jobs.process_tree import kill_session
from ctdenoise.jobs.work import Failure, Finished
from ctdenoise.jobs.worker import GRACE_S, Answer, Orders

START_S = 300.0
"""How long a process may take to become ready; importing torch from a slow disk takes minutes."""

_PROGRAM = """
import sys
sys.path[:] = {path!r}
from ctdenoise.jobs.worker import serve
serve({requests}, {lifeline})
"""


class WorkerHandle:
    """A process that does one unit at a time, started as a program of its own.

    It is no copy of this process and runs nobody's main module, so it can be started from any
    thread, and from processes that may have no children by `multiprocessing`.

    Args:
        orders: What it is told.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(self, orders: Orders) -> None:
        self.seat = orders.seat
        self.unit: str | None = None
        self.is_ready = False
        self.units_done = 0
        self.held_first_mb = self.held_mb = 0.0
        self._begun = 0.0
        self._deadline = time.monotonic() + START_S
        self._limit_s = orders.limits.seconds
        self._stopped_for: Failure | None = None
        ours, theirs = socket.socketpair()
        kept, watched = os.pipe()  # what is read from closes when this process is no more
        path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - a string
        program = _PROGRAM.format(path=path, requests=theirs.fileno(), lifeline=kept)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own program
                [sys.executable, "-I", "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__,  # what a library prints is no result
                pass_fds=(theirs.fileno(), kept),
                start_new_session=True,
            )
        except OSError:
            os.close(watched)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(kept)
        self._lifeline = watched
        self.connection = Connection(ours.detach())
        self.end = os.pidfd_open(self._process.pid)
        self._send(packed(orders))

    @property
    def pid(self) -> int:
        """Its process id, which is that of its session."""
        return self._process.pid

    @property
    def deadline(self) -> float | None:
        """When it must have answered (`time.monotonic`); None for never."""
        return self._deadline if self.unit is not None or self._stopped_for is not None else None

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped_for is not None

    def give(self, name: str, parcel: bytes) -> None:
        """Hand over a unit; a worker that was lost meanwhile shows it by its end.

        Args:
            name: Id of the unit.
            parcel: The unit, packed.
        """
        self.unit = name
        self._begin()
        self._send(packed((name, parcel)))

    def take(self) -> Finished | None:
        """What it says: a unit that came to its end, or None.

        Raises:
            EOFError: If it is no more.
        """
        try:
            answer: Answer = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        self.held_mb = answer.held_mb
        if not self.is_ready:
            self.is_ready, self.held_first_mb = True, answer.held_mb
            self._begin()
            return None
        self.unit = None
        self.units_done += 1
        return answer.finished

    def stop(self, why: Failure | None = None, *, at_once: bool = False) -> None:
        """Tell it to stop, or end it at once; it is ended if it takes too long.

        Args:
            why: What becomes of its unit.
            at_once: Leave it no time to clean up.
        """
        if self._stopped_for is None:
            self._stopped_for = why or Failure("lost", "it was stopped")
            self._deadline = time.monotonic() + GRACE_S
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        if at_once:
            kill_session(self.pid)

    def overdue(self) -> None:
        """Act on a deadline that passed: stop it, and the second time end it."""
        if self._stopped_for is not None:
            kill_session(self.pid)
            self._deadline = time.monotonic() + GRACE_S
        elif not self.is_ready:
            words = f"its process was not ready within {START_S:g} s"
            self.stop(Failure("lost", words), at_once=True)
        else:
            words = f"it took longer than {self._limit_s:g} s and was stopped"
            self.stop(Failure("timeout", words))

    def leave(self) -> None:
        """Let it end by itself when it has nothing to do; it is ended if it takes too long."""
        self._stopped_for = Failure("lost", "it was stopped")
        self._deadline = time.monotonic() + GRACE_S
        self.connection.close()

    def bury(self) -> Finished | None:
        """Clean up after a process that ended; what became of its unit, if it had one."""
        kill_session(self.pid)  # what it started and left; the id is its own until it is waited for
        code = self._process.wait()
        self.connection.close()
        os.close(self.end)
        os.close(self._lifeline)
        if self.unit is None:
            return None
        failure = self._stopped_for or Failure("lost", _how_it_ended(code))
        return Finished(self.unit, failure=failure, seconds=time.monotonic() - self._begun)

    def _begin(self) -> None:
        """Start the clock of the unit."""
        self._begun = time.monotonic()
        if self.is_ready:
            self._deadline = float("inf") if self._limit_s is None else self._begun + self._limit_s

    def _send(self, data: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionError):
            self.connection.send_bytes(data)


def _how_it_ended(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = "; is there enough memory?" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code}"

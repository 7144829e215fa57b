"""Units of work done in processes of their own, with limits; a lost process loses one unit."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait

from ctdenoise.config.executor import ExecutorSettings, ProcessesSettings
from ctdenoise.errors import CTDenoiseError, UsageError
from ctdenoise.jobs.parcels import packed
from ctdenoise.jobs.process_tree import memory_mb
from ctdenoise.jobs.work import Failure, Finished, Prepare, WorkUnit
from ctdenoise.jobs.worker import Orders
from ctdenoise.jobs.worker_handle import WorkerHandle

_LOOK_S = 0.2
"""How often memory is looked at."""

_LONG_S = 3600.0


class Processes:
    """Works on several units at a time in worker processes of this machine.

    A thread of its own starts, watches and ends them, so limits hold whether or not anybody asks
    what is finished.

    Args:
        settings: Limits and priority.
        place: When a process is replaced by a fresh one.
        workers: How many units are worked on at a time.
        prepare: Called in each process before its first unit, with its number among those that
            work at a time; a function of a module, or a `partial` of one. Bytes if it is packed.

    Raises:
        UsageError: Elsewhere than on Linux.
    """

    def __init__(
        self,
        settings: ExecutorSettings,
        place: ProcessesSettings,
        *,
        workers: int,
        prepare: Prepare | bytes | None = None,
    ) -> None:
        if not hasattr(os, "pidfd_open"):
            raise UsageError(
                "worker processes with limits need Linux.", fix="Work on one study at a time."
            )
        self._settings, self._place, self._workers = settings, place, workers
        self._prepare = prepare if isinstance(prepare, bytes) else packed(prepare)
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._wake_in, self._wake_out = os.pipe()
        self._is_closing = False
        self._keeper = threading.Thread(target=self._keep, name="worker processes", daemon=True)
        self._keeper.start()

    @property
    def capacity(self) -> int:
        """How many units it works on at a time."""
        return self._workers

    def submit(self, unit: WorkUnit) -> None:
        """Take a unit on.

        Raises:
            Exception: Whatever pickling it raises.
        """
        self.submit_parcel(unit.id, packed(unit))

    def submit_parcel(self, name: str, parcel: bytes) -> None:
        """Take a unit on that was packed elsewhere; what it needs is imported by the worker alone.

        Args:
            name: Id of the unit.
            parcel: The unit, packed.
        """
        self._inbox.append((name, parcel))
        os.write(self._wake_out, b"u")

    def finished(self, timeout_s: float) -> tuple[Finished, ...]:
        """Units that came to their end since the last call; waits for one, at most so long."""
        found: list[Finished] = []
        if not self._keeper.is_alive():
            raise CTDenoiseError("what watches the worker processes has stopped.")
        try:
            found.append(self._finished.get(timeout=max(0.0, timeout_s)))
            while True:
                found.append(self._finished.get_nowait())
        except queue.Empty:
            return tuple(found)

    def close(self) -> None:
        """Stop what is under way: in order first, and what does not end is ended."""
        if self._is_closing:
            return
        self._is_closing = True
        os.write(self._wake_out, b"c")
        self._keeper.join()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _keep(self) -> None:
        """What the thread does until `close`."""
        crew = _Crew(self._orders, self._place, self._workers)
        limit_mb = self._settings.limits.memory_mb
        looked = time.monotonic()
        while not self._is_closing or crew.members:
            if self._is_closing:
                self._inbox.clear()
                crew.stop()
            while self._inbox and crew.has_room:
                self._tell(crew.begin(*self._inbox.popleft()))
            timeout_s = crew.next_deadline_s()
            if limit_mb is not None and crew.is_busy:
                timeout_s = min(timeout_s, _LOOK_S)
            events = wait([self._wake_in, *crew.ends()], timeout_s)
            if self._wake_in in events:
                os.read(self._wake_in, 4096)
            for finished in crew.heard(events):
                self._finished.put(finished)
            now = time.monotonic()
            if limit_mb is not None and now - looked >= _LOOK_S:
                crew.refuse_more_than(limit_mb)
                looked = now
            crew.act_on_deadlines()

    def _tell(self, finished: Finished | None) -> None:
        if finished is not None:
            self._finished.put(finished)

    def _orders(self, seat: int) -> Orders:
        return Orders(seat, self._prepare, self._settings.limits, self._settings.niceness)


class _Crew:
    """The processes that there are just now."""

    def __init__(
        self, orders: Callable[[int], Orders], place: ProcessesSettings, workers: int
    ) -> None:
        self._orders, self._place = orders, place
        self._seats = list(range(workers))
        self._idle: list[WorkerHandle] = []
        self.members: list[WorkerHandle] = []

    @property
    def has_room(self) -> bool:
        """Whether a unit can be begun."""
        return bool(self._idle or self._seats)

    @property
    def is_busy(self) -> bool:
        """Whether any unit is worked on."""
        return any(worker.unit is not None for worker in self.members)

    def begin(self, name: str, parcel: bytes) -> Finished | None:
        """Give a unit to a process; its failure where none can be started."""
        if self._idle:
            worker = self._idle.pop()
        else:
            try:
                worker = WorkerHandle(self._orders(self._seats[0]))
            except OSError as error:
                words = f"no process can be started for it ({os.strerror(error.errno or 0)})"
                return Finished(name, failure=Failure("lost", words))
            self._seats.pop(0)
            self.members.append(worker)
        worker.give(name, parcel)
        return None

    def ends(self) -> Iterator[Connection | int]:
        """What to wait for."""
        for worker in self.members:
            yield worker.end
            if not worker.connection.closed:
                yield worker.connection

    def heard(self, events: Sequence[object]) -> Iterator[Finished]:
        """Units whose end shows in what was waited for."""
        for worker in tuple(self.members):
            finished = self._answer(worker) if worker.connection in events else None
            if finished is not None:
                yield finished
            elif worker.end in events and not self._still_speaks(worker):
                self.members.remove(worker)
                if worker in self._idle:
                    self._idle.remove(worker)
                self._seats.append(worker.seat)
                lost = worker.bury()
                if lost is not None:
                    yield lost

    def _answer(self, worker: WorkerHandle) -> Finished | None:
        try:
            finished = worker.take()
        except EOFError:
            worker.connection.close()  # its end is told by the process itself
            return None
        if finished is not None:
            self._rest(worker)
        return finished

    def _still_speaks(self, worker: WorkerHandle) -> bool:
        """Whether an answer of a process that ended is still to be read."""
        return not worker.connection.closed and _has_answer(worker)

    def _rest(self, worker: WorkerHandle) -> None:
        """Keep a process for the next unit, or let it go."""
        grown_mb = worker.held_mb - worker.held_first_mb
        if worker.units_done >= self._place.studies_each or grown_mb > self._place.grown_mb:
            worker.leave()
        elif not worker.is_leaving:
            self._idle.append(worker)

    def refuse_more_than(self, limit_mb: int) -> None:
        """End processes that hold too much memory, with all that they started."""
        busy = {worker.pid: worker for worker in self.members if worker.unit is not None}
        for pid, held_mb in memory_mb(busy.keys()).items():
            if held_mb > limit_mb:
                words = f"it took more than {limit_mb} MB of memory and was stopped"
                busy[pid].stop(Failure("memory", words), at_once=True)

    def stop(self) -> None:
        """Tell every process to stop."""
        self._idle.clear()
        for worker in self.members:
            worker.stop()

    def next_deadline_s(self) -> float:
        """Seconds until something is overdue."""
        deadlines = [worker.deadline for worker in self.members]
        known = [deadline for deadline in deadlines if deadline is not None]
        return min(_LONG_S, max(0.0, min(known, default=float("inf")) - time.monotonic()))

    def act_on_deadlines(self) -> None:
        """Stop what is overdue."""
        now = time.monotonic()
        for worker in self.members:
            if worker.deadline is not None and worker.deadline <= now:
                worker.overdue()


def _has_answer(worker: WorkerHandle) -> bool:
    try:
        return worker.connection.poll()
    except OSError:
        return False

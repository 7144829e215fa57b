"""A worker process: takes units of work from its parent until there are no more.

It leads a session of its own, so that Ctrl-C in a terminal reaches the parent alone. It ends when
the parent says so (SIGTERM), when there is nothing more to do, and when the parent is no more,
however that ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection

from ctdenoise.config.executor import LimitSettings
from ctdenoise.core.quiet import quiet_process
from ctdenoise.core.workers import hear_stop, mark_as_worker
from ctdenoise.jobs.parcels import packed, unpacked
from ctdenoise.jobs.performing import failure_of, performed
from ctdenoise.jobs.process_tree import held_mb, kill_session
from ctdenoise.jobs.work import Failure, Finished, Prepare, WorkUnit

if sys.platform != "win32":
    import resource

GRACE_S = 5.0
"""How long a process that is told to stop may take to clean up."""

_DATA_ALLOWANCE_MB = 4096
"""Address space that may be reserved beyond twice the memory that may be held: libraries reserve
far more than they use. What is truly held is watched by the parent."""

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told when it starts.

    Args:
        seat: Its number among those that work at a time.
        prepare: What to call once, with the seat, packed; None, packed, for nothing.
        limits: What a unit may take.
        niceness: How much it gives way to others.
    """

    seat: int
    prepare: bytes
    limits: LimitSettings
    niceness: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says.

    Args:
        finished: The unit that came to its end; None where the worker has just become ready.
        held_mb: Memory that the worker holds now.
    """

    finished: Finished | None
    held_mb: float


def serve(requests: int, lifeline: int) -> None:
    """Do units until the parent closes the connection; the whole life of a worker.

    Args:
        requests: Descriptor of the connection to the parent.
        lifeline: Descriptor that becomes readable when the parent is no more.
    """
    hear_stop()
    mark_as_worker()
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    connection = Connection(requests)
    try:
        with quiet_process():
            orders: Orders = unpacked(connection.recv_bytes())
            broken = _begin(orders)
            connection.send(Answer(None, held_mb()))
            while True:
                connection.send_bytes(_answered(connection.recv_bytes(), broken))
    except (EOFError, KeyboardInterrupt, ConnectionError):  # stopped, or nobody listens any more
        return


def _begin(orders: Orders) -> Failure | None:
    """Get ready; why no unit can be done, where that fails."""
    os.nice(orders.niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core holds the study
    if orders.limits.file_mb is not None:
        _lower(resource.RLIMIT_FSIZE, orders.limits.file_mb * _MB)
    if orders.limits.memory_mb is not None:
        _lower(resource.RLIMIT_DATA, (2 * orders.limits.memory_mb + _DATA_ALLOWANCE_MB) * _MB)
    try:
        prepare: Prepare | None = unpacked(orders.prepare)
        if prepare is not None:
            prepare(orders.seat)
    except Exception as error:  # noqa: BLE001 - told in the failure of each unit
        return failure_of(error)
    return None


def _lower(kind: int, size: int) -> None:
    hard = resource.getrlimit(kind)[1]
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(kind, (size, hard))


def _answered(request: bytes, broken: Failure | None) -> bytes:
    """Do a unit that came as bytes; the answer as bytes."""
    name, data = unpacked(request)
    try:
        unit: WorkUnit = unpacked(data)
    except Exception as error:  # noqa: BLE001 - told in the failure of the unit
        return _pickled(Finished(name, failure=failure_of(error)))
    if broken is not None:
        return _pickled(Finished(name, failure=broken))
    finished = performed(unit)
    try:
        return _pickled(finished)
    except Exception as error:  # noqa: BLE001 - a result that cannot travel
        return _pickled(Finished(name, failure=failure_of(error), seconds=finished.seconds))


def _pickled(finished: Finished) -> bytes:
    return packed(Answer(finished, held_mb()))


def _end_with_parent(lifeline: int) -> None:
    """Wait for the end of the parent, then stop: first in order, then at once."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    kill_session(os.getpid())

"""Jobs spread over processes: each result as it comes, and a lost process loses one job."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, Generic, TypeVar

from ctdenoise.core.quiet import not_raised, quiet_process

Job = TypeVar("Job")
Result = TypeVar("Result")

_MOMENT_S = 0.02


@dataclass(frozen=True, slots=True)
class Lost:
    """A process that ended before it had a result.

    Args:
        exit_code: How it ended; negative for a signal, such as -9 where memory ran out.
    """

    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Service(Generic[Job, Result]):
    """What a process does.

    Args:
        prepare: Called once when it starts, with its number among those that work at a time.
        work: Called for each job; must not raise. Both are functions of a module.
    """

    prepare: Callable[[int], object]
    work: Callable[[Job], Result]


def results_of(
    jobs: Sequence[Job], service: Service[Job, Result], *, workers: int
) -> Iterator[tuple[int, Result | Lost]]:
    """Run jobs in fresh processes.

    When the caller stops listening (an error, Ctrl-C), jobs that run are stopped and may clean up.

    Args:
        jobs: What to do; each is sent to a process.
        service: How.
        workers: How many processes work at a time.

    Yields:
        Number of a job and its result, as they come.
    """
    context = get_context("spawn")
    waiting = deque(range(len(jobs)))
    idle: list[_Worker] = []
    busy: dict[Connection, tuple[_Worker, int]] = {}
    seats = list(range(workers))
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                if not idle:
                    ours, theirs = context.Pipe()
                    seat = seats.pop(0)
                    process = context.Process(target=_serve, args=(theirs, service, seat))
                    process.start()
                    theirs.close()
                    idle.append(_Worker(process, ours, seat))
                worker = idle.pop()
                number = waiting.popleft()
                busy[worker.connection] = (worker, number)
                worker.connection.send(jobs[number])
            ready = wait(list(busy))
            for connection in [known for known in busy if known in ready]:
                worker, number = busy.pop(connection)
                answer: Result | Lost = _answer(worker)
                if isinstance(answer, Lost):
                    seats.append(worker.seat)
                else:
                    idle.append(worker)
                yield number, answer
    finally:
        for worker, _ in busy.values():
            worker.process.terminate()
            worker.connection.close()
            worker.process.join()
        for worker in idle:
            worker.connection.close()  # an idle process ends when nobody can send it anything
            worker.process.join()


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, how it is talked to, and its number among those that work at a time."""

    process: SpawnProcess
    connection: Connection
    seat: int


def _answer(worker: _Worker) -> Any:  # whatever the service gives, or Lost
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        worker.connection.close()
        return Lost(worker.process.exitcode)


def _serve(connection: Connection, service: Service[Job, Result], seat: int) -> None:
    hear_stop()
    try:
        with quiet_process():
            service.prepare(seat)
            while True:
                connection.send(service.work(connection.recv()))
    except (EOFError, KeyboardInterrupt, ConnectionError):  # stopped, or nobody listens any more
        return


def hear_stop() -> None:
    """Make SIGTERM stop this process in order, once, and Ctrl-C nothing to it.

    Ctrl-C reaches every process of a terminal; the parent alone decides and then sends SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop_once)
    signal.signal(signal.SIGALRM, _stop_once)
    sys.unraisablehook = _stop_after_all


def mark_as_worker() -> None:
    """Say that this process shares the machine with others that do the same."""
    _marks.append(True)


def is_worker() -> bool:
    """Whether this process is one of several that work on studies."""
    return bool(_marks) or parent_process() is not None


_marks: list[bool] = []


def _stop_once(number: int, frame: FrameType | None) -> None:
    del number, frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cleaning up is not interrupted
    raise KeyboardInterrupt


def _stop_after_all(lost: sys.UnraisableHookArgs) -> None:
    """Stop a moment later where the signal came while an object was taken apart.

    Python cannot raise there, and would say so and go on working.
    """
    if isinstance(lost.exc_value, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _MOMENT_S)
    else:
        not_raised(lost)

"""Jobs spread over processes: each result as it comes, and a lost process loses one job."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Generic, TypeVar

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
        prepare: Called once when it starts.
        work: Called for each job; must not raise. Both are functions of a module.
    """

    prepare: Callable[[], None]
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
    idle: list[tuple[SpawnProcess, Connection]] = []
    busy: dict[Connection, tuple[SpawnProcess, int]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                if not idle:
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_serve, args=(theirs, service))
                    process.start()
                    theirs.close()
                    idle.append((process, ours))
                process, connection = idle.pop()
                number = waiting.popleft()
                busy[connection] = (process, number)
                connection.send(jobs[number])
            ready = wait(list(busy))
            for connection in [known for known in busy if known in ready]:
                process, number = busy.pop(connection)
                yield number, _answer(connection, process, idle)
    finally:
        for connection, (process, _) in busy.items():
            process.terminate()
            connection.close()
            process.join()
        for process, connection in idle:
            connection.close()  # an idle process ends when nobody can send it anything
            process.join()


def _answer(
    connection: Connection, process: SpawnProcess, idle: list[tuple[SpawnProcess, Connection]]
) -> Result | Lost:
    try:
        result: Result = connection.recv()
    except (EOFError, OSError):
        process.join()
        connection.close()
        return Lost(process.exitcode)
    idle.append((process, connection))
    return result


def _serve(connection: Connection, service: Service[Job, Result]) -> None:
    # Ctrl-C reaches every process of a terminal; the parent alone decides and then sends SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop_once)
    signal.signal(signal.SIGALRM, _stop_once)
    sys.unraisablehook = _stop_after_all
    try:
        service.prepare()
        while True:
            connection.send(service.work(connection.recv()))
    except (EOFError, KeyboardInterrupt, ConnectionError):  # stopped, or nobody listens any more
        return


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
        sys.__unraisablehook__(lost)

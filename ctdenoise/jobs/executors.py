"""The executor that settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from ctdenoise.config.executor import (
    DistributedSettings,
    ExecutorSettings,
    InProcessSettings,
    ProcessesSettings,
)
from ctdenoise.core.processors import usable_processors
from ctdenoise.jobs.in_process import InProcess
from ctdenoise.jobs.processes import Processes
from ctdenoise.jobs.work import Executor, Prepare


def workers_of(settings: ExecutorSettings, *, gpus: int = 0) -> int:
    """How many studies are worked on at a time on this machine.

    Args:
        settings: Of the executor.
        gpus: GPUs that may be used.
    """
    if not isinstance(settings.place, ProcessesSettings):
        return 1
    return settings.place.workers or gpus or max(1, usable_processors() // 2)


def threads_of(settings: ExecutorSettings, *, gpus: int = 0) -> int:
    """Threads that one study is computed with.

    Args:
        settings: Of the executor.
        gpus: GPUs that may be used.
    """
    if settings.threads is not None:
        return settings.threads
    if isinstance(settings.place, DistributedSettings):
        return 1
    return max(1, usable_processors() // workers_of(settings, gpus=gpus))


def build_executor(
    settings: ExecutorSettings,
    *,
    prepare: Prepare | None = None,
    gpus: int = 0,
    shared: Path | None = None,
) -> Executor:
    """The executor that settings ask for, ready to work; to be closed.

    Args:
        settings: Where to work, and the limits.
        prepare: What each process does before its first unit.
        gpus: GPUs that may be used; one worker process for each unless the number is given.
        shared: A folder that all machines of a cluster must see under the same name; by default
            the present one.

    Raises:
        MissingExtraError: If Dask is needed and not installed.
        PeerError: If a scheduler cannot be reached.
        UsageError: If its workers cannot be used.
    """
    match settings.place:
        case InProcessSettings():
            return InProcess(prepare)
        case ProcessesSettings() as place:
            workers = workers_of(settings, gpus=gpus)
            return Processes(settings, place, workers=workers, prepare=prepare)
        case DistributedSettings() as place:
            from ctdenoise.jobs.cluster import Distributed

            folder = Path.cwd() if shared is None else shared
            return Distributed(settings, place, shared=folder, prepare=prepare)
        case _:
            assert_never(settings.place)

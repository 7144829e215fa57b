"""What a worker of a Dask cluster does with a unit: it hands it to a worker process of its own.

So a study that crashes, fills the memory or takes too long loses itself and not the worker, and the
same limits hold everywhere.
"""

from __future__ import annotations

import platform
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from distributed import get_worker

from ctdenoise import __version__
from ctdenoise.config.executor import ExecutorSettings, ProcessesSettings
from ctdenoise.errors import CTDenoiseError
from ctdenoise.jobs.processes import Processes
from ctdenoise.jobs.work import Failure, Finished

_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all units of a run.

    Args:
        run: What tells the run from others.
        version: Of ctdenoise, on the machine that asks.
        python: Of the interpreter there.
        probe: A file that every worker must see, too.
        token: What the file says.
        settings: Limits and priority, as JSON.
        prepare: See `Processes`; packed, so that workers of Dask import nothing of it.
    """

    run: str
    version: str
    python: str
    probe: Path
    token: str
    settings: str
    prepare: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker cannot be used.

    Args:
        worker: Its address.
        why: In words.
    """

    worker: str
    why: str


def versions() -> tuple[str, str]:
    """Versions of ctdenoise and of Python that must be equal on all machines."""
    return __version__, ".".join(platform.python_version_tuple()[:2])


def objection(terms: Terms) -> str | None:
    """Why this machine cannot work for a run; None if it can.

    Args:
        terms: Of the run.
    """
    here, python = versions()
    if here != terms.version:
        return f"it has ctdenoise {here}, and {terms.version} is asked for"
    if python != terms.python:
        return f"it has Python {python}, and {terms.python} is asked for"
    try:
        seen = terms.probe.read_text(encoding="ascii")
    except OSError:
        return "it does not see the output folder: the machines need a file system in common"
    if seen != terms.token:
        return "its output folder is another one, though of the same name"
    beside = terms.probe.with_name(f"{terms.probe.name}-{threading.get_ident()}")
    try:
        beside.touch()
        beside.unlink()
    except OSError:
        return "it may not write into the output folder"
    return None


def do_unit(name: str, parcel: bytes, terms: Terms) -> Finished | Refused:
    """Do a unit in a worker process of this machine; called by Dask.

    Args:
        name: Id of the unit.
        parcel: The unit, packed.
        terms: Of the run.
    """
    why = objection(terms)
    if why is not None:
        return Refused(get_worker().address, why)
    executor = _crews.executor(terms)
    try:
        executor.submit_parcel(name, parcel)
        while True:
            done = executor.finished(_WAIT_S)
            if done:
                return done[0]
    except CTDenoiseError as error:
        return Finished(name, failure=Failure("lost", error.what))


def end_run(run: str) -> None:
    """Stop what this machine does for a run; called by Dask.

    Args:
        run: Of the terms.
    """
    _crews.close(run)


class _Crews:
    """An executor with one process for each thread of Dask, as long as a run lasts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executors: dict[int, tuple[str, Processes]] = {}

    def executor(self, terms: Terms) -> Processes:
        """That of this thread; one of an earlier run is ended."""
        thread = threading.get_ident()
        with self._lock:
            run, executor = self._executors.get(thread, ("", None))
            if executor is not None and run == terms.run:
                return executor
            if executor is not None:
                executor.close()
            settings = ExecutorSettings.model_validate_json(terms.settings)
            place = ProcessesSettings(workers=1)
            executor = Processes(settings, place, workers=1, prepare=terms.prepare)
            self._executors[thread] = (terms.run, executor)
            return executor

    def close(self, run: str) -> None:
        """End those of a run."""
        with self._lock:
            ended = [key for key, (of_run, _) in self._executors.items() if of_run == run]
            executors = [self._executors.pop(key)[1] for key in ended]
        for executor in executors:
            with suppress(OSError):
                executor.close()


_crews = _Crews()

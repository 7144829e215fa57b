"""Studies of a batch handed out one by one, and what became of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ctdenoise import __version__
from ctdenoise.config.base import Settings
from ctdenoise.config.batch import BatchSettings
from ctdenoise.core.moment import moment_of
from ctdenoise.core.progress import Advance
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.work import Executor, Finished, Prepare, WorkUnit
from ctdenoise.tasks.batch_sources import BatchKind, BatchSources
from ctdenoise.tasks.batch_study import StudyTask

STUDIES_FOLDER = "studies"
FAILURES_FOLDER = "failures"
_LOOK_S = 1.0
_PAUSE_MOST_S = 3600.0

TOGETHER = 500
"""Studies at most whose changes go to the ledger together."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What is asked for.

    Args:
        kind: Which command.
        work: Does one study; a function of a module that takes a `StudyTask`.
        sources: Where the studies are.
        out: Folder for their folders, the ledger and the tables.
        settings: Of the command.
        batch: Where to work, and how often to try again.
        model: What denoises; None where nothing does.
        model_digest: Of it.
        file_format: What to write; empty for the usual.
        seed: Same seed, same noise.
        compared: Whether each study is a reference with its tests.
        prepare: What each process does before its first study.
        gpus: How many GPUs of this machine may be used.
    """

    kind: BatchKind
    work: Callable[[StudyTask], Mapping[str, JsonValue]]
    sources: BatchSources
    out: Path
    settings: Settings
    batch: BatchSettings
    model: str | None = None
    model_digest: str = ""
    file_format: str = ""
    seed: int = 0
    compared: bool = False
    prepare: Prepare | None = None
    gpus: int = 0

    def facts(self) -> dict[str, JsonValue]:
        """All that decides the results beside the studies themselves."""
        return {
            "kind": self.kind,
            "version": __version__,
            "settings": digest(self.settings.as_json()),
            "model": self.model_digest,
            "format": self.file_format,
            "seed": self.seed,
        }

    def paths(self, job: Job) -> tuple[Path, ...]:
        """Where a study lies; for a comparison the reference, and then the tests.

        Args:
            job: Of the study.
        """
        paths = job.payload["paths"]
        return tuple(Path(str(path)) for path in paths) if isinstance(paths, list | tuple) else ()

    def folder(self, job: Job) -> Path:
        """The folder that is made of a study.

        Args:
            job: Of the study.
        """
        return self.out.absolute() / STUDIES_FOLDER / str(job.payload["folder"])


@dataclass(slots=True)
class Pace:
    """How many studies came to their end in this run, and how fast.

    Args:
        began: When the run began, by `time.perf_counter`.
        made: Studies that were made.
        failed: Studies that were not.
    """

    began: float
    made: int = 0
    failed: int = 0

    def tell(self, advance: Advance, *, is_made: bool) -> None:
        """Count a study and say how it goes.

        Args:
            advance: Who is told.
            is_made: Whether it was made.
        """
        self.made += is_made
        self.failed += not is_made
        hours = (time.perf_counter() - self.began) / 3600
        failed = f", {self.failed} failed" if self.failed else ""
        advance(note=f"{self.made / hours if hours else 0:.0f} an hour{failed}")


class Dispatch:
    """Hands studies out, and writes down what became of each.

    Where studies take no time, what happened to several is written down together: a change that is
    lost costs nothing, since a study that is there is found when it is to be made again.

    Args:
        ledger: Of the batch.
        request: What is asked for.
        executor: Does the work.
        advance: Told about every study.
    """

    def __init__(
        self, ledger: Ledger, request: BatchRequest, executor: Executor, advance: Advance
    ) -> None:
        self._ledger, self._request, self._executor = ledger, request, executor
        self._advance = advance
        self._under_way: dict[str, Job] = {}
        self._digest = digest(request.facts())
        self._settings = request.settings.model_dump_json()
        self.pace = Pace(time.perf_counter())

    def work(self) -> None:
        """Have every study done that waits, those included that are to be tried again."""
        ended: list[Finished] = []
        ahead = 0
        while True:
            with self._ledger.together():
                for finished in ended:
                    self._settle(self._under_way.pop(finished.id), finished)
                begun = self._claimed(self._executor.capacity + ahead)
            for job in begun:
                self._executor.submit(self._unit(job))
            if not self._under_way:
                due_s = self._ledger.next_due_s()
                if due_s is None:
                    return
                # Nothing to wait for but time, or a worker that joins.
                threading.Event().wait(min(_LOOK_S, due_s) if due_s > 0 else _LOOK_S)
            since = time.monotonic()
            ended = self._ended()
            is_quick = time.monotonic() - since < _LOOK_S
            ahead = min(2 * len(ended), TOGETHER) if is_quick else 0

    def _ended(self) -> list[Finished]:
        """Studies that came to their end; several where enough are under way behind them."""
        ended: list[Finished] = []
        end = time.monotonic() + _LOOK_S
        while len(ended) < len(self._under_way):
            ended += self._executor.finished(max(0.0, end - time.monotonic()))
            is_busy = len(self._under_way) - len(ended) >= self._executor.capacity
            if time.monotonic() >= end or (ended and not is_busy):
                break
        return ended

    def _claimed(self, most: int) -> list[Job]:
        claimed: list[Job] = []
        while len(self._under_way) < most:
            job = self._ledger.claim(self._request.kind)
            if job is None:
                break
            self._under_way[job.id] = job
            claimed.append(job)
        return claimed

    def _settle(self, job: Job, finished: Finished) -> None:
        failure = finished.failure
        if failure is None:
            self._ledger.move(job.id, "done", expected="running", result=finished.result)
            self.pace.tell(self._advance, is_made=True)
        elif failure.final:
            self._ledger.move(job.id, "refused", expected="running", reason=failure.words)
            self.pace.tell(self._advance, is_made=False)
        elif job.tries > self._request.batch.retries:
            self._ledger.move(job.id, "dead-letter", expected="running", reason=failure.words)
            self.pace.tell(self._advance, is_made=False)
        else:
            pause_s = self._request.batch.retry_after_s * 2 ** (job.tries - 1)
            due = time.time() + min(pause_s, _PAUSE_MOST_S)
            self._ledger.move(
                job.id, "ready", expected="running", reason=failure.words, not_before=due
            )

    def _unit(self, job: Job) -> WorkUnit:
        request = self._request
        failures = request.out.absolute() / FAILURES_FOLDER
        task = StudyTask(
            request.paths(job),
            request.folder(job),
            failures / f"{job.payload['folder']}.txt",
            self._digest,
            moment_of(job.created),
            self._settings,
            request.model,
            request.file_format,
            request.seed,
        )
        return WorkUnit(job.id, request.work, task)

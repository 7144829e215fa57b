"""Hands studies to the executor, and leads their jobs on by what comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctdenoise.core.provenance import JsonValue
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.states import State
from ctdenoise.jobs.work import Executor, Failure, Finished, WorkUnit
from ctdenoise.pacs.retry import BackOff
from ctdenoise.tasks.serve_outcomes import PROCESS, ServedSeries, StudyWork, outcomes_of
from ctdenoise.tasks.serve_plan import NO_RULE
from ctdenoise.tasks.serve_shared import KIND, Shared

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
"""How long is waited at most before the executor or the ledger is looked at again."""

_INTERRUPTIONS_MOST = 100
"""A job that was under way so often when the server ended is given up: it may be what ends it."""

_REASON_MOST = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the work on a study leads its job.

    Args:
        to: State.
        reason: Why, where that is not plain.
        result: What came out; None to leave what there was.
        not_before: Seconds since 1970 before which it is not tried again.
    """

    to: State
    reason: str = ""
    result: Mapping[str, JsonValue] | None = None
    not_before: float | None = None


class Dispatcher:
    """Keeps the executor busy.

    Args:
        shared: What the parts of the server share.
        executor: Does the work; used by the thread of this dispatcher alone.
    """

    def __init__(self, shared: Shared, executor: Executor) -> None:
        self._shared = shared
        self._executor = executor
        self._running: dict[str, Job] = {}
        self._unsettled: list[Finished] = []
        self._is_short_of_room = False

    @property
    def busy(self) -> int:
        """How many studies are being worked on."""
        return len(self._running)

    @property
    def capacity(self) -> int:
        """How many can be."""
        return self._executor.capacity

    def run(self) -> None:
        """Work until the server stops; what is under way then is left to the next server."""
        self._shared.again_and_again(self.step, idle_s=_LOOK_S)

    def drain(self, until: float) -> None:
        """Let what is under way end, and begin nothing.

        Args:
            until: Moment of the monotonic clock at which nothing is waited for any more.
        """
        while self._running and time.monotonic() < until:
            self._collect()

    def step(self) -> bool:
        """Begin what can be begun and settle what ended; whether anything is under way."""
        self._begin()
        if self._running:
            self._collect()
        return bool(self._running)

    def _collect(self) -> None:
        """Settle what ended; what cannot be written down stays, to be settled the next time."""
        self._unsettled += self._executor.finished(0.0 if self._unsettled else _LOOK_S)
        while self._unsettled:
            self._settle(self._unsettled[0])
            del self._unsettled[0]

    def _begin(self) -> None:
        shared = self._shared
        while len(self._running) < self._executor.capacity and self._has_room():
            job = shared.ledger.claim(KIND)
            if job is None:
                return
            if job.tries > _INTERRUPTIONS_MOST:
                self._lead(job, Verdict("dead-letter", f"begun {job.tries} times without an end"))
                continue
            self._running[job.id] = job
            self._executor.submit(WorkUnit(job.id, PROCESS, self._work(job)))

    def _has_room(self) -> bool:
        has_room = self._shared.has_room()
        if not has_room and not self._is_short_of_room:
            _log.warning("the disk of the state folder is nearly full: nothing new is begun")
        self._is_short_of_room = not has_room
        return has_room

    def _work(self, job: Job) -> StudyWork:
        shared, settings = self._shared, self._shared.settings
        in_force = shared.in_force  # once: it may be replaced at any moment
        names = job.payload.get("files")
        files = [str(name) for name in names] if isinstance(names, list) else []
        return StudyWork(
            job=job.id,
            made_at=int(job.created),
            files=tuple(map(str, shared.files_of(job.study, files))),
            entrances=shared.entrances,
            scratch=str(shared.folder.work / job.id),
            results=str(shared.folder.results),
            thumbnails=str(shared.folder.thumbnails) if settings.http.show_thumbnails else None,
            rules=in_force.rules,
            orders=in_force.orders,
            made_before=self._made_before(job),
            keep_descriptions=settings.http.show_descriptions,
            is_last_try=job.tries >= settings.work_again.tries,
        )

    def _made_before(self, job: Job) -> dict[str, str]:
        """Results of earlier jobs of the study, by recipe."""
        jobs = self._shared.ledger.jobs(kind=KIND, study=job.study, newest_first=False)
        return {
            outcome.recipe: outcome.folder
            for earlier in jobs
            if earlier.id != job.id
            for outcome in outcomes_of(earlier.result)
            if outcome.folder
        }

    def _settle(self, finished: Finished) -> None:
        job = self._running[finished.id]
        if finished.failure is not None:
            verdict = self._failed(job, finished.failure)
        else:
            for line in finished.result.get("warnings", ()):
                _log.warning("job %s: %s", job.id, line.removeprefix("warning: "))
            verdict = verdict_on(outcomes_of(finished.result), finished.result)
        if verdict.to in ("made", "done"):
            self._record_made(job, finished)
        self._lead(job, verdict)
        del self._running[finished.id]

    def _failed(self, job: Job, failure: Failure) -> Verdict:
        settings = self._shared.settings.work_again
        reason = failure.words[:_REASON_MOST]
        if failure.final:
            return Verdict("refused", reason)
        reason = reason.rstrip(".")
        if job.tries >= settings.tries:
            return Verdict("dead-letter", f"{reason} (try {job.tries})", {})
        wait_s = BackOff(settings).seconds(job.tries)
        told = f"{reason} (try {job.tries} of {settings.tries})"
        return Verdict("ready", told, not_before=time.time() + wait_s)

    def _record_made(self, job: Job, finished: Finished) -> None:
        outcomes = [one for one in outcomes_of(finished.result) if one.status == "done"]
        self._shared.metrics.processed(
            seconds=finished.seconds, slices=sum(one.slices for one in outcomes)
        )
        for one in outcomes:
            self._shared.audit.record(
                "made",
                job=job.id,
                series=one.number,
                slices=one.slices,
                rule=one.rule,
                model=one.model,
                model_digest=one.model_digest,
                recipe=one.recipe,
                sha256=one.sha256,
            )

    def _lead(self, job: Job, verdict: Verdict) -> None:
        shared = self._shared
        if verdict.to in ("refused", "dead-letter"):
            event: Any = verdict.to
            shared.audit.record(event, job=job.id, reason=verdict.reason)
            shared.metrics.ended(event)
        elif verdict.to == "done":
            shared.metrics.ended("done")
        shared.ledger.move(
            job.id,
            verdict.to,
            expected="running",
            reason=verdict.reason,
            result=verdict.result,
            not_before=verdict.not_before,
        )
        level = logging.WARNING if verdict.to in ("ready", "dead-letter") else logging.INFO
        _log.log(level, "job %s: %s%s", job.id, verdict.to, _after_colon(verdict.reason))
        shared.alarm.ring()


def verdict_on(outcomes: Sequence[ServedSeries], result: Mapping[str, JsonValue]) -> Verdict:
    """Where a study leads whose series came out like this.

    Args:
        outcomes: What became of each series.
        result: The same as the ledger keeps it.
    """
    made = [one for one in outcomes if one.status in ("done", "kept")]
    failed = [one for one in outcomes if one.status == "failed"]
    if made and (failed or any(one.send_to for one in made)):
        return Verdict("made", result=result)
    if failed:
        return Verdict("dead-letter", reasons(failed), {})
    if made:
        return Verdict("done", result=result)
    refused = [one for one in outcomes if one.status == "refused"]
    if refused:
        return Verdict("refused", reasons(refused), result)
    return Verdict("refused", _why_nothing_fits(outcomes), result)


def reasons(outcomes: Sequence[ServedSeries]) -> str:
    """Why some series are not made, in one line.

    Args:
        outcomes: Those series.
    """
    told = "; ".join(f"series {one.number}: {one.reason}" for one in outcomes)
    return told if len(told) <= _REASON_MOST else f"{told[: _REASON_MOST - 4]} ..."


def _why_nothing_fits(outcomes: Sequence[ServedSeries]) -> str:
    if all(one.reason == NO_RULE for one in outcomes):
        return f"{NO_RULE}: {len(outcomes)} series, none fits"
    return f"{NO_RULE}: {reasons(outcomes)}"[:_REASON_MOST]


def _after_colon(reason: str) -> str:
    return f": {reason}" if reason else ""

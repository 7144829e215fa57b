"""Housekeeping of the server: copies of the ledger, and what is kept no longer."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.errors import CTDenoiseError, OutputError
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.states import ENDED
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.tasks.serve_outcomes import outcomes_of
from ctdenoise.tasks.serve_shared import KIND, Shared

_log = logging.getLogger(__name__)

ROUND_S = 60.0
"""How often is looked."""

_DAY_S = 86_400.0
_CLOCK_NOTE = "serve.clock"


@dataclass(slots=True)
class CarefulClock:
    """Seconds since 1970 that never run twice as fast as time itself.

    What is kept for days must not be removed because somebody set the clock to next year. Where the
    clock of the machine is ahead, as it is after the server was switched off, this one catches up
    at double speed; it is never ahead of that of the machine.

    Args:
        now: What it shows.
        at: Moment of the monotonic clock at which it did.
    """

    now: float
    at: float

    def advanced(self, wall: float, monotonic: float) -> float:
        """What it shows now.

        Args:
            wall: Seconds since 1970 by the machine.
            monotonic: Seconds of the clock that only grows.
        """
        self.now = min(wall, self.now + 2 * max(0.0, monotonic - self.at))
        self.at = monotonic
        return self.now


class Housekeeping:
    """Looks after the state folder now and then.

    Args:
        shared: What the parts of the server share.
        inbox: What arrived.
    """

    def __init__(self, shared: Shared, inbox: Inbox) -> None:
        self._shared = shared
        self._inbox = inbox
        noted = shared.ledger.noted(_CLOCK_NOTE)
        wall = time.time()
        shown = float(noted) if isinstance(noted, int | float) else wall
        self._clock = CarefulClock(min(shown, wall), time.monotonic())
        self._copied = time.monotonic()

    def run(self) -> None:
        """Look every minute until the server stops."""
        self._shared.again_and_again(self._wait_and_step, idle_s=0.0)

    def _wait_and_step(self) -> bool:
        if not self._shared.alarm.wait_for_stop(ROUND_S):
            self.step()
        return True

    def step(self) -> None:
        """Copy the ledger if that is due, and remove what is old enough."""
        shared = self._shared
        now = self._clock.advanced(time.time(), time.monotonic())
        shared.ledger.note(_CLOCK_NOTE, now)
        self._copy_ledger()
        for study in self._inbox.studies():
            with _told():
                self._look_at_study(study, now)
        for place in (shared.folder.results, shared.folder.thumbnails):
            for folder in place.iterdir():
                with _told():
                    self._look_at_result(folder, now)
        # The ledger counts by the clock of the machine.
        ahead_s = max(0.0, time.time() - now)
        shared.ledger.forget(shared.settings.retention.ledger_days * _DAY_S + ahead_s)

    def _copy_ledger(self) -> None:
        """Copy the ledger if that is due; without room for it, the next time it is."""
        shared = self._shared
        if time.monotonic() - self._copied >= shared.settings.retention.backup_hours * 3600:
            self._copied = time.monotonic()
            try:
                shared.ledger.backup()
            except OutputError as error:
                _log.warning("no copy of the ledger was made: %s", error.what)

    def _look_at_study(self, study: str, now: float) -> None:
        """Remove what arrived of a study, if every file of it was part of a job that ended."""
        shared, keep = self._shared, self._shared.settings.retention
        jobs = shared.ledger.jobs(kind=KIND, study=study)
        if not jobs or any(job.state not in ENDED or job.state == "dead-letter" for job in jobs):
            return
        days = keep.refused_days if jobs[0].state == "refused" else keep.inbox_days
        if now - max(job.changed for job in jobs) < days * _DAY_S:
            return
        known = {name for job in jobs for name in _names(job)}
        held = (*self._inbox.files(study), *self._inbox.conflicts(study))
        folder = self._inbox.folder(study)
        arrived = {str(path.relative_to(folder)) for path in held}
        rounds = self._inbox.rounds(study)
        if rounds.offered is not None or not arrived <= rounds.handed_on:
            return  # something came since, of which no job knows yet
        if all(path.name in known or path.parent != folder for path in held):
            shared.audit.record("deleted", what="inbox", job=jobs[0].id, files=len(held))
            self._inbox.remove(study, held)

    def _look_at_result(self, folder: Path, now: float) -> None:
        shared = self._shared
        if not shared.ledger.knows(folder.name):
            return  # its job is forgotten, or the ledger was restored: a person decides
        job = shared.ledger.job(folder.name)
        days = shared.settings.retention.results_days
        is_old = job.state in ("done", "refused") and now - job.changed >= days * _DAY_S
        if is_old and not self._is_needed(job):
            shared.audit.record("deleted", what=folder.parent.name, job=job.id)
            shutil.rmtree(folder)

    def _is_needed(self, job: Job) -> bool:
        """Whether a later job of the study has still to send what this one made."""
        jobs = self._shared.ledger.jobs(kind=KIND, study=job.study)
        return any(
            outcome.folder.startswith(f"{job.id}/")
            for other in jobs
            if other.id != job.id and (other.state not in ENDED or other.state == "dead-letter")
            for outcome in outcomes_of(other.result)
        )


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be removed stays, and is no reason to receive and send no longer."""
    try:
        yield
    except CTDenoiseError:
        raise  # the ledger or the audit trail
    except OSError as error:
        _log.warning("something old cannot be removed (%s)", error.strerror)


def _names(job: Job) -> list[str]:
    names = job.payload.get("files")
    return [str(name) for name in names] if isinstance(names, list) else []

"""The pages of the service from its ledger: what is shown, and what is left out."""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ctdenoise import __version__
from ctdenoise.config.http import HttpSettings
from ctdenoise.errors import LedgerError
from ctdenoise.io.patient_words import patient_words
from ctdenoise.jobs.facts import DestinationFacts, EntranceFacts, ServiceFacts
from ctdenoise.jobs.http_messages import RefusedRequest, Reply, Request
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.outcome import series_outcomes
from ctdenoise.jobs.states import ENDED, MOVES, State
from ctdenoise.report.status_page import (
    JobPage,
    ShownCount,
    ShownJob,
    ShownMove,
    ShownPlace,
    ShownSeries,
    ShownTable,
    StatusPage,
    duration_text,
    job_html,
    status_html,
    style_hashes,
)

JOB_PATH: Final = "/jobs/([A-Za-z0-9][A-Za-z0-9._-]{0,127})"
"""Address of the page of a job; ids of another kind have none."""

THUMBNAIL_PATH: Final = (
    "/thumbnails/([A-Za-z0-9][A-Za-z0-9._-]{0,127})/([0-9]{1,6})-(before|after)[.]png"
)

_WORDS: Final[Mapping[State, str]] = {
    "receiving": "files still arrive",
    "ready": "wait for their turn",
    "running": "are worked on",
    "made": "wait to be sent",
    "sending": "are being sent",
    "done": "ended well",
    "refused": "cannot be used",
    "dead-letter": "given up after several tries",
}
_UNDER_WAY: Final[tuple[State, ...]] = ("running", "sending")
_WAITING: Final[tuple[State, ...]] = ("ready", "made", "receiving")
_REFUSED_ADVICE = (
    "They will be refused again as long as the reason stands. Once the study was sent as it should "
    "be, or the rules were changed:"
)
_GIVEN_UP_ADVICE = "Once the cause is mended, have them done again:"
_ENDED_WORST_FIRST: Final[tuple[State, ...]] = ("dead-letter", "refused", "done")
_FEW = 10
"""Rows of a table on the page of the whole service."""

_MOST_PICTURE_BYTES = 1 << 20
_STUDY_KEY = re.compile("[0-9a-f]{16,64}")
_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" '
    b'fill="#12202e"/><circle cx="8" cy="8" r="3" fill="#6cc0f5"/></svg>'
)


class ServicePages:
    """Makes the pages; may be used by several threads.

    Args:
        settings: What is shown.
        ledger: Read for every page.
        state_folder: `thumbnails/` and `inbox/` in it are read.
    """

    def __init__(self, settings: HttpSettings, ledger: Ledger, state_folder: Path) -> None:
        self._settings = settings
        self._ledger = ledger
        self._folder = state_folder

    def overview(
        self,
        request: Request,
        service: ServiceFacts,
        counts: Mapping[State, int],
        *,
        reasons: tuple[str, ...],
        done_last_hour: int,
    ) -> Reply:
        """How the service does, all of it or the jobs in the state that the query names.

        Args:
            request: Its parameter `state` chooses one.
            service: What the service knows.
            counts: Jobs in each state.
            reasons: Why it is not ready; empty if it is.
            done_last_hour: Studies.
        """
        wanted = request.query.get("state", "")
        selected = next((state for state in MOVES if state == wanted), None)
        if wanted and selected is None:
            raise RefusedRequest(HTTPStatus.NOT_FOUND, "There is no such state of a job.")
        if selected is None:
            tables = self._short_tables(counts)
        else:
            tables = (self._table(selected, counts, rows=self._settings.rows),)
        page = StatusPage(
            now=time.time(),
            version=__version__,
            refresh_s=self._settings.refresh_s,
            reasons=reasons,
            facts=_facts(service, done_last_hour),
            counts=tuple(ShownCount(state, counts.get(state, 0), _WORDS[state]) for state in MOVES),
            selected=selected or "",
            tables=tables,
            entrances=tuple(_entrance(one) for one in service.entrances),
            destinations=tuple(_destination(one) for one in service.destinations),
        )
        return _page(status_html(page))

    def job(self, request: Request) -> Reply:
        """What became of one job."""
        try:
            job = self._ledger.job(request.captured[0])
        except LedgerError as error:
            raise RefusedRequest(HTTPStatus.NOT_FOUND, "There is no such job.") from error
        page = JobPage(
            now=time.time(),
            version=__version__,
            refresh_s=0 if job.state in ENDED else self._settings.refresh_s,
            job=self._shown(job),
            history=tuple(
                ShownMove(one.at, one.after, one.reason) for one in self._ledger.history(job.id)
            ),
            patient=self._patient(job) if self._settings.show_patient else (),
            command=self._retry_command(job.id) if job.state in ENDED else "",
        )
        return _page(job_html(page))

    def thumbnail(self, request: Request) -> Reply:
        """One small picture."""
        if not self._settings.show_thumbnails:
            raise RefusedRequest(HTTPStatus.NOT_FOUND, "Pictures are not shown here.")
        job, number, which = request.captured
        content = _read_picture(self._folder / "thumbnails" / job / f"{number}-{which}.png")
        return Reply(content, "image/png")

    def icon(self, request: Request) -> Reply:
        """What stands beside the title in a browser."""
        del request
        return Reply(_ICON, "image/svg+xml")

    def _short_tables(self, counts: Mapping[State, int]) -> tuple[ShownTable, ...]:
        """A few jobs of each kind."""
        rows = min(_FEW, self._settings.rows)
        under_way = self._ledger.jobs(_UNDER_WAY, newest_first=False, limit=rows)
        left = rows - len(under_way)
        waiting = self._ledger.jobs(_WAITING, newest_first=False, limit=left) if left else ()
        total = sum(counts.get(state, 0) for state in (*_UNDER_WAY, *_WAITING))
        jobs = self._all_shown([*under_way, *waiting])
        now = ShownTable("Now", "waiting", jobs, max(total, len(jobs)))
        return (now, *(self._table(state, counts, rows=rows) for state in _ENDED_WORST_FIRST))

    def _table(self, state: State, counts: Mapping[State, int], *, rows: int) -> ShownTable:
        """The latest jobs that ended so, or the oldest that wait."""
        ended = state in ENDED
        jobs = self._ledger.jobs((state,), newest_first=ended, limit=rows)
        if ended:
            jobs = tuple(sorted(jobs, key=lambda one: one.changed, reverse=True))
        title, note, command = self._advice(state)
        return ShownTable(
            title=title,
            kind="results" if state == "done" else "problems" if ended else "waiting",
            jobs=self._all_shown(jobs),
            total=max(counts.get(state, 0), len(jobs)),  # counts are a little older
            more=f"/?state={state}" if rows < self._settings.rows else "",
            note=note,
            command=command,
        )

    def _advice(self, state: State) -> tuple[str, str, str]:
        """Title of a table, what to do about its jobs, and the command."""
        if state == "done":
            return ("Last results", "", "")
        if state == "refused":
            return ("Refused", _REFUSED_ADVICE, self._retry_command("JOB"))
        if state == "dead-letter":
            return ("Given up", _GIVEN_UP_ADVICE, self._retry_command("JOB"))
        return (f"Jobs that are {state}", "", "")

    def _retry_command(self, job: str) -> str:
        return f"ctdenoise jobs retry {shlex.quote(str(self._folder))} {shlex.quote(job)}"

    def _all_shown(self, jobs: Iterable[Job]) -> tuple[ShownJob, ...]:
        return tuple(self._shown(job) for job in jobs)

    def _shown(self, job: Job) -> ShownJob:
        href = f"/jobs/{job.id}"
        has_page = re.fullmatch(JOB_PATH, href) is not None
        return ShownJob(
            id=job.id,
            href=href if has_page else "",
            state=job.state,
            changed=job.changed,
            created=job.created,
            tries=job.tries,
            reason=job.reason,
            not_before=job.not_before,
            series=tuple(self._series(job, has_page=has_page)),
        )

    def _series(self, job: Job, *, has_page: bool) -> Iterable[ShownSeries]:
        for one in series_outcomes(job.result):
            shows = one.thumbnail is not None and has_page and self._settings.show_thumbnails
            address = f"/thumbnails/{job.id}/{one.thumbnail}"
            yield ShownSeries(
                number=one.number,
                what=one.what,
                status=one.status,
                reason=one.reason,
                rule=one.rule,
                model=one.model,
                slices=one.slices,
                seconds=one.seconds,
                noise_before_hu=one.noise_before_hu,
                noise_after_hu=one.noise_after_hu,
                description=one.description if self._settings.show_descriptions else "",
                pictures=(f"{address}-before.png", f"{address}-after.png") if shows else (),
            )

    def _patient(self, job: Job) -> tuple[tuple[str, str], ...]:
        """What a file of the study in the inbox says; nothing once it was removed."""
        if _STUDY_KEY.fullmatch(job.study) is None:
            return ()
        folder = self._folder / "inbox" / job.study
        file = next(iter(sorted(folder.glob("*.dcm"))), None)
        return (("Patient", "is no longer in the inbox"),) if file is None else patient_words(file)


def _page(html: str) -> Reply:
    """A page with a policy that lets a browser load its own styles and our pictures, no more."""
    policy = (
        f"default-src 'none'; style-src {' '.join(style_hashes(html))}; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Reply(html.encode(), "text/html; charset=utf-8", policy=policy)


def _read_picture(path: Path) -> bytes:
    """A regular file of a sensible size; links are not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                content = file.read(_MOST_PICTURE_BYTES + 1)
                if len(content) <= _MOST_PICTURE_BYTES:
                    return content
    except OSError as error:
        raise RefusedRequest(HTTPStatus.NOT_FOUND, "There is no such picture.") from error
    raise RefusedRequest(HTTPStatus.NOT_FOUND, "There is no such picture.")


def _facts(service: ServiceFacts, done_last_hour: int) -> tuple[tuple[str, str], ...]:
    """Name and value for the head of the page."""
    free, limit = (
        f"{size / 1e9:,.1f} GB" for size in (service.disk_free_bytes, service.disk_limit_bytes)
    )
    hour = "the last hour" if service.uptime_s >= 3600 else "the time since the start"
    return (
        ("Up for", duration_text(service.uptime_s)),
        ("Arriving", _arriving_text(service)),
        ("Working on", f"{service.busy} of {service.workers} at once"),
        ("Done", f"{done_last_hour:,} in {hour}"),
        ("Disk", f"{free} free, nothing is received below {limit}"),
    )


def _arriving_text(service: ServiceFacts) -> str:
    """Studies that are on their way."""
    if not service.arriving:
        return "nothing"
    noun = "study" if service.arriving == 1 else "studies"
    return f"{service.arriving:,} {noun}, {service.arriving_instances:,} instances so far"


def _entrance(entrance: EntranceFacts) -> ShownPlace:
    connected = f"{entrance.connections} connected" if entrance.connections else ""
    is_well = entrance.is_open and not entrance.problem
    return ShownPlace(entrance.name, is_well, entrance.problem or connected)


def _destination(destination: DestinationFacts) -> ShownPlace:
    name = f"{destination.name} ({destination.kind})"
    if destination.is_failing:
        words = f"{destination.last_reason or 'Failed'}; last failed"
        return ShownPlace(name, False, words, destination.last_failure)
    if destination.last_success is None:
        return ShownPlace(name, True, "nothing was sent there yet")
    return ShownPlace(name, True, "took something", destination.last_success)

"""Health, readiness and metrics of the service, and its status page: what the endpoint answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from ctdenoise import __version__
from ctdenoise.config.http import HttpSettings
from ctdenoise.errors import CTDenoiseError
from ctdenoise.jobs.endpoint import Endpoint
from ctdenoise.jobs.exposition import CONTENT_TYPE, LedgerFacts, ServiceMetrics
from ctdenoise.jobs.facts import ServiceFacts
from ctdenoise.jobs.http_messages import Reply, Request, Route
from ctdenoise.jobs.job import Job, Move
from ctdenoise.jobs.states import State

_WAITING: Final[tuple[State, ...]] = ("ready",)
_DONE: Final[tuple[State, ...]] = ("done",)

_FRESH_S = 2.0
"""Counts of the ledger are read again after so long, however many ask."""

_WRITABLE_S = 30.0
"""Whether the ledger can be written is tried again after so long."""


class WatchedLedger(Protocol):
    """The part of the ledger that is needed here; from any thread."""

    def counts(self) -> Mapping[State, int]:
        """Jobs in each state."""
        ...

    def job(self, job_id: str, /) -> Job:
        """One job; LedgerError where it is unknown."""
        ...

    def jobs(
        self,
        states: Collection[State] = (),
        kind: str | None = None,
        *,
        newest_first: bool = True,
        limit: int | None = None,
    ) -> Sequence[Job]:
        """Jobs in some states, in the order in which they were added or its reverse."""
        ...

    def history(self, job_id: str, /) -> Sequence[Move]:
        """What a job went through, oldest first."""
        ...

    def note(self, key: str, value: str, /) -> None:
        """Remember a small fact."""
        ...


class ServiceStatus:
    """Answers of the endpoint from the ledger and from what the service knows.

    Args:
        settings: What is shown.
        ledger: The ledger of the service.
        state_folder: Its state folder; `thumbnails/` in it is read.
        facts: Called for a snapshot whenever somebody asks, from any thread.
        metrics: The counters of the service.
    """

    def __init__(
        self,
        settings: HttpSettings,
        ledger: WatchedLedger,
        *,
        state_folder: Path,
        facts: Callable[[], ServiceFacts],
        metrics: ServiceMetrics,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._folder = state_folder
        self._facts = facts
        self._metrics = metrics
        self._lock = Lock()
        self._known: tuple[float, LedgerFacts] | None = None
        self._write_tried: tuple[float, bool] | None = None

    def routes(self) -> tuple[Route, ...]:
        """What is answered."""
        return (
            Route("/health", self._health, is_public=True),
            Route("/ready", self._ready, is_public=True),
            Route("/metrics", self._metrics_text),
        )

    def _health(self, request: Request) -> Reply:
        """That the process is alive."""
        if not request.is_trusted:
            return Reply(b"alive\n")
        return _json(
            {
                "status": "alive",
                "version": __version__,
                "uptime_s": round(self._facts().uptime_s, 1),
            }
        )

    def _ready(self, request: Request) -> Reply:
        """Whether it does its work; 503 and the reasons if it does not."""
        reasons = not_ready_because(self._facts(), self._ledger_facts())
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        word = "not ready" if reasons else "ready"
        if not request.is_trusted:
            return Reply(f"{word}\n".encode(), status=status)
        return _json({"status": word, "reasons": list(reasons)}, status)

    def _metrics_text(self, request: Request) -> Reply:
        del request
        text = self._metrics.text(self._facts(), self._ledger_facts(), now=time.time())
        return Reply(text, CONTENT_TYPE)

    def _ledger_facts(self) -> LedgerFacts:
        """What the ledger says, not older than `_FRESH_S`; one thread at a time reads it."""
        with self._lock:
            now = time.monotonic()
            if self._known is None or now - self._known[0] > _FRESH_S:
                self._known = (now, self._read_ledger(now))
            return self._known[1]

    def _read_ledger(self, now: float) -> LedgerFacts:
        waiting = self._ledger.jobs(_WAITING, newest_first=False, limit=1)
        done = self._ledger.jobs(_DONE, newest_first=True, limit=1)
        return LedgerFacts(
            counts=self._ledger.counts(),
            oldest_ready=waiting[0].created if waiting else None,
            last_success=done[0].changed if done else None,
            is_writable=self._can_write(now),
        )

    def _can_write(self, now: float) -> bool:
        if self._write_tried is None or now - self._write_tried[0] > _WRITABLE_S:
            try:
                self._ledger.note("status.written", str(int(time.time())))
            except CTDenoiseError:
                self._write_tried = (now, False)
            else:
                self._write_tried = (now, True)
        return self._write_tried[1]


def not_ready_because(service: ServiceFacts, ledger: LedgerFacts) -> tuple[str, ...]:
    """Why no study would be received, made and sent now; empty if it would."""
    reasons = []
    if service.is_draining:
        reasons.append("The service is stopping.")
    if not service.is_dispatching:
        reasons.append("Nothing hands out work: the dispatcher ended.")
    if not ledger.is_writable:
        reasons.append("The ledger cannot be written.")
    if service.disk_free_bytes < service.disk_limit_bytes:
        reasons.append(
            f"{service.disk_free_bytes / 1e9:.1f} GB are free on the disk of the state folder, "
            f"less than the limit of {service.disk_limit_bytes / 1e9:.1f} GB."
        )
    reasons += [
        f"{entrance.name} is closed. {entrance.problem}".rstrip()
        for entrance in service.entrances
        if not entrance.is_open
    ]
    return tuple(reasons)


def status_endpoint(
    settings: HttpSettings,
    ledger: WatchedLedger,
    *,
    state_folder: Path,
    facts: Callable[[], ServiceFacts],
    metrics: ServiceMetrics,
) -> Endpoint:
    """Start to serve health, metrics and the status page.

    Args:
        settings: Where, to whom, and what is shown.
        ledger: The ledger of the service.
        state_folder: Its state folder.
        facts: Called for a snapshot whenever somebody asks, from any thread.
        metrics: The counters that the service feeds.

    Raises:
        UsageError: If it cannot listen there, or the token or certificate cannot be used.
    """
    status = ServiceStatus(
        settings, ledger, state_folder=state_folder, facts=facts, metrics=metrics
    )
    return Endpoint(settings, status.routes())


def _json(record: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    body = json.dumps(record, indent=2) + "\n"
    return Reply(body.encode(), "application/json", status)

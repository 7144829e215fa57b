"""Health, readiness and metrics of the service, and its status page: what the endpoint answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Final

from ctdenoise import __version__
from ctdenoise.config.http import HttpSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import CTDenoiseError
from ctdenoise.jobs.endpoint import Endpoint
from ctdenoise.jobs.exposition import CONTENT_TYPE, LedgerFacts, ServiceMetrics
from ctdenoise.jobs.facts import ServiceFacts
from ctdenoise.jobs.http_messages import Reply, Request, Route
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import State
from ctdenoise.tasks.serve_pages import JOB_PATH, THUMBNAIL_PATH, ServicePages

_WAITING: Final[tuple[State, ...]] = ("ready",)
_DONE: Final[tuple[State, ...]] = ("done",)

_FRESH_S = 2.0
"""Counts of the ledger are read again after so long, however many ask."""

_WRITABLE_S = 30.0
"""Whether the ledger can be written is tried again after so long."""


class ServiceStatus:
    """Answers of the endpoint from the ledger and from what the service knows.

    Args:
        settings: What is shown.
        ledger: Only read; not the one that the service works with, which would have to wait.
        state_folder: Its state folder; thumbnails and, where patients may be named, the inbox are
            read.
        facts: Called for a snapshot whenever somebody asks, from any thread.
        metrics: The counters of the service.
        write: Called now and then with something to note; raises if the ledger cannot be written.
    """

    def __init__(
        self,
        settings: HttpSettings,
        ledger: Ledger,
        *,
        state_folder: Path,
        facts: Callable[[], ServiceFacts],
        metrics: ServiceMetrics,
        write: Callable[[str, JsonValue], None],
    ) -> None:
        self._ledger = ledger
        self._facts = facts
        self._metrics = metrics
        self._write = write
        self._pages = ServicePages(settings, ledger, state_folder)
        self._lock = Lock()
        self._known: tuple[float, LedgerFacts] | None = None
        self._write_tried: tuple[float, bool] | None = None

    def count(self) -> None:
        """Count the jobs of a ledger that may be large, so that no reader has to wait for it."""
        self._ledger_facts()

    def routes(self) -> tuple[Route, ...]:
        """What is answered."""
        return (
            Route("/health", self._health, is_public=True),
            Route("/ready", self._ready, is_public=True),
            Route("/metrics", self._metrics_text),
            Route("/", self._overview),
            Route(JOB_PATH, self._pages.job),
            Route(THUMBNAIL_PATH, self._pages.thumbnail),
            Route("/icon.svg", self._pages.icon, is_public=True),
        )

    def _health(self, request: Request) -> Reply:
        """That the process is alive."""
        if not request.is_trusted:
            return Reply(b"alive\n")
        uptime_s = round(self._facts().uptime_s, 1)
        return _json({"status": "alive", "version": __version__, "uptime_s": uptime_s})

    def _ready(self, request: Request) -> Reply:
        """Whether it does its work; 503 and the reasons if it does not."""
        reasons = not_ready_because(self._facts(), self._ledger_facts())
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        word = "not ready" if reasons else "ready"
        if not request.is_trusted:
            return Reply(f"{word}\n".encode(), status=status)
        return _json({"status": word, "reasons": list(reasons)}, status)

    def _metrics_text(self, request: Request) -> Reply:
        """Everything that Prometheus reads."""
        del request
        text = self._metrics.text(self._facts(), self._ledger_facts(), now=time.time())
        return Reply(text, CONTENT_TYPE)

    def _overview(self, request: Request) -> Reply:
        """The page of the service."""
        service, ledger = self._facts(), self._ledger_facts()
        return self._pages.overview(
            request,
            service,
            ledger.counts,
            reasons=not_ready_because(service, ledger),
            done_last_hour=self._metrics.done_within(3600),
        )

    def _ledger_facts(self) -> LedgerFacts:
        """What the ledger says, hardly older than `_FRESH_S`; one thread at a time reads it.

        In a ledger of millions it is kept longer, so that reading takes 2 % of the time at most.
        """
        with self._lock:
            now = time.monotonic()
            if self._known is None or now >= self._known[0]:
                known = self._read_ledger(now)
                took = time.monotonic() - now
                self._known = (now + max(_FRESH_S, 50 * took), known)
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
                self._write("status.written", int(time.time()))
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
    elif not service.is_dispatching:
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
    ledger: Ledger,
    *,
    state_folder: Path,
    facts: Callable[[], ServiceFacts],
    metrics: ServiceMetrics,
) -> Endpoint:
    """Start to serve health, metrics and the status page.

    Args:
        settings: Where, to whom, and what is shown.
        ledger: The ledger of the service; a note is written to it now and then, to see whether
            that works. What is shown is read apart from it.
        state_folder: Where the ledger lies.
        facts: Called for a snapshot whenever somebody asks, from any thread.
        metrics: The counters that the service feeds.

    Raises:
        UsageError: If it cannot listen there, or the token or certificate cannot be used.
        LedgerError: If the ledger cannot be read.
    """
    with ExitStack() as opened:
        reading = opened.enter_context(Ledger.open(state_folder, read_only=True))
        status = ServiceStatus(
            settings,
            reading,
            state_folder=state_folder,
            facts=facts,
            metrics=metrics,
            write=ledger.note,
        )
        status.count()
        endpoint = Endpoint(settings, status.routes(), at_end=reading.close)
        opened.pop_all()
    return endpoint


def _json(record: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    body = json.dumps(record, indent=2) + "\n"
    return Reply(body.encode(), "application/json", status)

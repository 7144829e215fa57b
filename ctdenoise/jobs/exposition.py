"""What Prometheus reads: counters of this process and gauges of what is the case when it asks.

Names and units follow https://prometheus.io/docs/practices/naming/. No label holds what names a
patient or a study; titles of senders are cut down to what a title may hold, and their number is
bounded.
"""

from __future__ import annotations

import platform
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Literal, get_args

from ctdenoise.errors import MissingExtraError
from ctdenoise.jobs.facts import ReceptionFacts, ServiceFacts
from ctdenoise.jobs.states import MOVES, State

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
    from prometheus_client.exposition import generate_latest
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        InfoMetricFamily,
        Metric,
    )
except ImportError as error:
    raise MissingExtraError(
        "the service needs prometheus-client, which is not installed.",
        fix="Install it with: pip install 'ctdenoise[serve]'",
    ) from error

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of the text format."""

MOST_SENDERS = 50
"""Senders that are counted apart; further ones count as "other"."""

OTHER = "other"

Outcome = Literal["done", "refused", "dead-letter"]
FailureKind = Literal["transient", "final"]

SECONDS_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)

_MOST_REMEMBERED = 10_000
_STRANGE = re.compile(r"[^A-Za-z0-9 ._-]")


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the gauges need from the ledger.

    Args:
        counts: Jobs in each state.
        oldest_ready: Seconds since 1970 at which the job was made that has waited longest; None
            where none waits.
        last_success: Seconds since 1970 at which a job was done last; None before the first.
        is_writable: Whether it took a note a short time ago.
    """

    counts: Mapping[State, int]
    oldest_ready: float | None
    last_success: float | None
    is_writable: bool


class ServiceMetrics:
    """Counts what happens, from any thread; the text is made when somebody asks.

    Args:
        version: Of ctdenoise.
        destinations: Names of those that are known from the start: their failures are counted from
            zero, since Prometheus sees no increase in a counter that is new.
    """

    def __init__(self, version: str, destinations: Iterable[str] = ()) -> None:
        self._version = version
        self._senders: set[str] = set()
        self._done: deque[float] = deque(maxlen=_MOST_REMEMBERED)
        self._lock = Lock()
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._received = Counter(
            "ctdenoise_instances_received",
            "Instances that were stored in the inbox, by the title of the sender.",
            ["sender"],
            registry=registry,
        )
        self._received_bytes = Counter(
            "ctdenoise_received_bytes",
            "Bytes of the instances that were stored in the inbox.",
            registry=registry,
        )
        self._ended = Counter(
            "ctdenoise_studies_ended",
            "Studies that came to an end, by how they ended.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "ctdenoise_processing_seconds",
            "Time from the start of the work on a study until its result was on disk.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._slices = Counter(
            "ctdenoise_slices_processed",
            "Slices of which a denoised one was made.",
            registry=registry,
        )
        self._sent = Counter(
            "ctdenoise_instances_sent",
            "Instances that a destination confirmed.",
            ["destination"],
            registry=registry,
        )
        self._send_failures = Counter(
            "ctdenoise_send_failures",
            "Attempts to send a study that failed: transient ones are tried again.",
            ["destination", "kind"],
            registry=registry,
        )

        for outcome in get_args(Outcome):
            self._ended.labels(outcome)
        for destination in destinations:
            self._sent.labels(destination)
            for kind in get_args(FailureKind):
                self._send_failures.labels(destination, kind)

    def received(self, sender: str, *, size_bytes: int) -> None:
        """One instance was stored.

        Args:
            sender: The calling title; "watch folder" or the name of a poller otherwise.
            size_bytes: Its size.
        """
        self._received.labels(self._sender(sender)).inc()
        self._received_bytes.inc(size_bytes)

    def processed(self, *, seconds: float, slices: int) -> None:
        """A result of a study is on disk."""
        self._seconds.observe(seconds)
        self._slices.inc(slices)

    def ended(self, outcome: Outcome) -> None:
        """A study came to an end."""
        self._ended.labels(outcome).inc()
        if outcome == "done":
            with self._lock:
                self._done.append(time.monotonic())

    def done_within(self, seconds: float) -> int:
        """Studies that were done in the last seconds, by this process; at most 10,000."""
        since = time.monotonic() - seconds
        with self._lock:
            return sum(1 for moment in self._done if moment >= since)

    def sent(self, destination: str, instances: int = 1) -> None:
        """A destination confirmed instances.

        Args:
            destination: Its name in the settings.
            instances: How many.
        """
        self._sent.labels(destination).inc(instances)

    def send_failed(self, destination: str, kind: FailureKind) -> None:
        """An attempt to send a study failed."""
        self._send_failures.labels(destination, kind).inc()

    def text(self, service: ServiceFacts, ledger: LedgerFacts, *, now: float) -> bytes:
        """Everything in the text format of Prometheus.

        Args:
            service: What is the case.
            ledger: The same of the ledger.
            now: Seconds since 1970.
        """
        moment = CollectorRegistry()
        moment.register(_Moment(list(self._gauges(service, ledger, now))))
        return generate_latest(self._registry) + generate_latest(moment)

    def _sender(self, title: str) -> str:
        """A title fit for a label."""
        name = _STRANGE.sub("_", title.strip())[:16] or "unknown"
        with self._lock:
            if name not in self._senders and len(self._senders) >= MOST_SENDERS:
                return OTHER
            self._senders.add(name)
        return name

    def _gauges(self, service: ServiceFacts, ledger: LedgerFacts, now: float) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "ctdenoise_build",
            "Versions of the program and of Python.",
            {"version": self._version, "python": platform.python_version()},
        )
        jobs = GaugeMetricFamily("ctdenoise_jobs", "Jobs in each state.", labels=["state"])
        for state in MOVES:
            jobs.add_metric([state], ledger.counts.get(state, 0))
        yield jobs
        oldest = ledger.oldest_ready
        yield _gauge(
            "ctdenoise_studies_arriving",
            "Studies that are not complete yet, so that there is no job for them.",
            service.arriving,
        )
        yield _gauge(
            "ctdenoise_oldest_waiting_seconds",
            "Age of the job that has waited longest; 0 where none waits.",
            0.0 if oldest is None else max(0.0, now - oldest),
        )
        yield _gauge(
            "ctdenoise_last_success_timestamp_seconds",
            "When a study was done last, seconds since 1970; 0 before the first.",
            ledger.last_success or 0.0,
        )
        yield _gauge(
            "ctdenoise_ledger_writable", "1 if the ledger can be written.", ledger.is_writable
        )
        yield _gauge(
            "ctdenoise_dispatcher_alive", "1 if work is handed out.", service.is_dispatching
        )
        yield _gauge("ctdenoise_draining", "1 while the service is stopping.", service.is_draining)
        yield _gauge("ctdenoise_workers", "Studies that can be worked on at once.", service.workers)
        yield _gauge("ctdenoise_workers_busy", "Studies that are worked on.", service.busy)
        yield _gauge(
            "ctdenoise_start_time_seconds",
            "When the service began, seconds since 1970.",
            service.started,
        )
        yield _gauge(
            "ctdenoise_disk_free_bytes", "Free space at the state folder.", service.disk_free_bytes
        )
        yield _gauge(
            "ctdenoise_disk_limit_bytes",
            "Below so much free space nothing more is received.",
            service.disk_limit_bytes,
        )
        entrances = GaugeMetricFamily(
            "ctdenoise_entrance_open", "1 if studies can come in by this way.", labels=["entrance"]
        )
        for entrance in service.entrances:
            entrances.add_metric([entrance.name], entrance.is_open)
        yield entrances
        failing = GaugeMetricFamily(
            "ctdenoise_destination_failing",
            "1 if the last attempt to send to this destination failed.",
            labels=["destination"],
        )
        for destination in service.destinations:
            failing.add_metric([destination.name], destination.is_failing)
        yield failing
        if service.reception is not None:
            yield from _refused(service.reception)


def _refused(reception: ReceptionFacts) -> Iterator[Metric]:
    """Counters that somebody else keeps."""
    instances = CounterMetricFamily(
        "ctdenoise_instances_turned_away",
        "Instances that were not taken: the sender was told so and keeps them.",
        labels=["reason"],
    )
    for reason, count in reception.turned_away.items():
        instances.add_metric([reason], count)
    yield instances
    associations = CounterMetricFamily(
        "ctdenoise_associations_refused",
        "Connections of senders that were refused.",
        labels=["reason"],
    )
    for reason, count in reception.refused_associations.items():
        associations.add_metric([reason], count)
    yield associations
    yield CounterMetricFamily(
        "ctdenoise_instances_conflicting",
        "Instances under a UID that another instance had; kept apart.",
        value=reception.conflicts,
    )


class _Moment:
    """Gauges that were made for one answer.

    Args:
        metrics: The gauges.
    """

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """The gauges."""
        return self._metrics


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))

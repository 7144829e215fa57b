"""The metrics: their text is what Prometheus reads, and they count what happened."""

from __future__ import annotations

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ctdenoise.jobs.exposition import MOST_SENDERS, LedgerFacts, ServiceMetrics
from ctdenoise.jobs.facts import ReceptionFacts
from tests.status_service import facts

LEDGER = LedgerFacts(
    counts={"ready": 3, "done": 12}, oldest_ready=1000.0, last_success=1500.0, is_writable=True
)


def read(metrics: ServiceMetrics, service=None, ledger=LEDGER, now=1600.0) -> dict:
    """Values by name and labels, by the library's own parser."""
    text = metrics.text(service or facts(), ledger, now=now).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_happened_is_counted():
    metrics = ServiceMetrics("1.2.3")
    for size in (1000, 2000):
        metrics.received("CT1", size_bytes=size)
    metrics.processed(seconds=41.0, slices=312)
    metrics.ended("done")
    metrics.sent("archive", 312)
    metrics.send_failed("archive", "transient")
    values = read(metrics)
    assert values["ctdenoise_instances_received_total", ("sender", "CT1")] == 2
    assert values["ctdenoise_received_bytes_total",] == 3000
    assert values["ctdenoise_processing_seconds_count",] == 1
    assert values["ctdenoise_processing_seconds_bucket", ("le", "30.0")] == 0
    assert values["ctdenoise_processing_seconds_bucket", ("le", "60.0")] == 1
    assert values["ctdenoise_slices_processed_total",] == 312
    assert values["ctdenoise_studies_ended_total", ("outcome", "done")] == 1
    assert values["ctdenoise_instances_sent_total", ("destination", "archive")] == 312
    failures = ("ctdenoise_send_failures_total", ("destination", "archive"), ("kind", "transient"))
    assert values[failures] == 1


def test_what_may_be_alerted_on_is_there_before_it_happens():
    """A counter that appears with its first event has no increase to alert on."""
    values = read(ServiceMetrics("1.2.3", destinations=("archive",)))
    for outcome in ("done", "refused", "dead-letter"):
        assert values["ctdenoise_studies_ended_total", ("outcome", outcome)] == 0
    for kind in ("transient", "final"):
        name = "ctdenoise_send_failures_total"
        assert values[name, ("destination", "archive"), ("kind", kind)] == 0


def test_every_state_has_its_number_even_if_it_is_none():
    values = read(ServiceMetrics("1.2.3"))
    assert values["ctdenoise_jobs", ("state", "ready")] == 3
    assert values["ctdenoise_jobs", ("state", "dead-letter")] == 0


def test_ages_are_those_at_the_time_of_asking():
    metrics = ServiceMetrics("1.2.3")
    assert read(metrics)["ctdenoise_oldest_waiting_seconds",] == 600
    assert read(metrics, now=900.0)["ctdenoise_oldest_waiting_seconds",] == 0  # the clock was set
    empty = LedgerFacts({}, None, None, is_writable=False)
    values = read(metrics, ledger=empty)
    assert values["ctdenoise_oldest_waiting_seconds",] == 0
    assert values["ctdenoise_last_success_timestamp_seconds",] == 0
    assert values["ctdenoise_ledger_writable",] == 0


def test_the_service_is_described():
    values = read(ServiceMetrics("1.2.3"), facts(is_draining=True))
    info = next(key for key in values if key[0] == "ctdenoise_build_info")
    assert ("version", "1.2.3") in info
    assert values["ctdenoise_draining",] == 1
    assert values["ctdenoise_dispatcher_alive",] == 1
    assert values["ctdenoise_workers_busy",] == 1
    assert values["ctdenoise_destination_failing", ("destination", "archive")] == 0
    assert values["ctdenoise_entrance_open", ("entrance", "watch folder")] == 1
    assert values["process_resident_memory_bytes",] > 1e6


def test_what_senders_were_refused_is_told_as_the_receiver_counts_it():
    refused = ReceptionFacts({"full": 3, "mismatch": 0}, {"called-ae": 2}, conflicts=1)
    values = read(ServiceMetrics("1.2.3"), facts(reception=refused))
    assert values["ctdenoise_instances_turned_away_total", ("reason", "full")] == 3
    assert values["ctdenoise_instances_turned_away_total", ("reason", "mismatch")] == 0
    assert values["ctdenoise_associations_refused_total", ("reason", "called-ae")] == 2
    assert values["ctdenoise_instances_conflicting_total",] == 1


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("  CT1 ", "CT1"),
        ("", "unknown"),
        ('a"b\\c\nd', "a_b_c_d"),
        ("M\xfcller^Max", "M_ller_Max"),
        ("x" * 40, "x" * 16),
    ],
)
def test_titles_are_cut_down_to_what_a_title_may_hold(title, label):
    metrics = ServiceMetrics("1.2.3")
    metrics.received(title, size_bytes=1)
    assert read(metrics)["ctdenoise_instances_received_total", ("sender", label)] == 1


def test_the_number_of_senders_is_bounded():
    metrics = ServiceMetrics("1.2.3")
    for number in range(MOST_SENDERS + 7):
        metrics.received(f"CT{number}", size_bytes=1)
    metrics.received("CT0", size_bytes=1)
    senders = {key: v for key, v in read(metrics).items() if "instances_received_total" in key[0]}
    assert len(senders) == MOST_SENDERS + 1
    assert senders["ctdenoise_instances_received_total", ("sender", "other")] == 7
    assert senders["ctdenoise_instances_received_total", ("sender", "CT0")] == 2


def test_studies_of_the_last_hour_are_known(monkeypatch):
    metrics = ServiceMetrics("1.2.3")
    start = time.monotonic()
    for after in (0, 1800, 4000):
        monkeypatch.setattr(time, "monotonic", lambda after=after: start + after)
        metrics.ended("done")
        metrics.ended("refused")
    assert metrics.done_within(3600) == 2


def test_two_services_in_one_process_do_not_mix():
    one, other = ServiceMetrics("1"), ServiceMetrics("2")
    one.ended("done")
    assert read(other)["ctdenoise_studies_ended_total", ("outcome", "done")] == 0

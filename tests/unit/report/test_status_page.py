"""Words and numbers of the status page."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest

from ctdenoise.report.status_page import (
    JobPage,
    ShownJob,
    ShownSeries,
    clock_text,
    duration_text,
    job_html,
    style_hashes,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (1, "1 s"),
        (4.25, "4.2 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (356_400, "4 d 3 h"),
    ],
)
def test_durations_are_told_in_their_largest_units(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "2026-11-22 13:05:09 +00:00"),
        ("Europe/Berlin", "2026-11-22 14:05:09 +01:00"),
        ("Asia/Kolkata", "2026-11-22 18:35:09 +05:30"),
        ("America/St_Johns", "2026-11-22 09:35:09 -03:30"),
    ],
)
def test_times_carry_the_offset_of_the_server(zone, text, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert clock_text(1_795_352_709) == text
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_policy_names_the_style_as_a_browser_hashes_it():
    style = "\nbody { color: red }\n"
    expected = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert style_hashes(f"<head><style>{style}</style></head>") == (f"'sha256-{expected}'",)


def test_a_long_id_is_shortened_and_a_short_one_is_not():
    assert ShownJob("a" * 28, "", "done", 0, 0).short_id == "a" * 28
    assert ShownJob("a" * 34, "", "done", 0, 0).short_id == "a" * 26 + "\N{HORIZONTAL ELLIPSIS}"


def test_figures_of_a_job_are_those_of_the_series_that_were_made():
    job = ShownJob(
        "a", "", "done", 0, 0,
        series=(
            ShownSeries(1, status="done", rule="one", slices=10, seconds=2.0),
            ShownSeries(2, status="skipped", rule="two", slices=99),
            ShownSeries(3, status="kept", rule="one", slices=5),
        ),
    )  # fmt: skip
    assert (job.slices, job.seconds, job.rules) == (15, 2.0, "one")


def test_noise_that_was_not_measured_is_no_number():
    now = 1_795_352_709
    job = ShownJob("a", "", "done", now, now, series=(ShownSeries(1, noise_before_hu=12.34),))
    page = job_html(JobPage(now, "1.2.3", 0, job, ()))
    assert "12.3 \N{RIGHTWARDS ARROW} \N{EN DASH}" in page
    assert "None" not in page

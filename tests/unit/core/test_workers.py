"""Jobs in processes: every result once, lost processes told, nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from ctdenoise.core.workers import Lost, Service, results_of


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_has_its_result(workers):
    found = dict(results_of([-3, 4, -5, 6], Service(int, abs), workers=workers))
    assert found == {0: 3, 1: 4, 2: 5, 3: 6}
    assert multiprocessing.active_children() == []


def test_a_process_that_is_lost_loses_its_own_job_only():
    found = dict(results_of([7, 9], Service(int, os._exit), workers=1))
    assert found == {0: Lost(7), 1: Lost(9)}


def test_jobs_that_run_are_stopped_when_nobody_listens():
    begun = time.perf_counter()
    results = results_of([0.0, 300.0, 300.0], Service(int, time.sleep), workers=2)
    assert next(results) == (0, None)
    results.close()
    assert time.perf_counter() - begun < 60
    assert multiprocessing.active_children() == []


class _Slow:
    """Takes a while to be taken apart; what is raised meanwhile is lost."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __del__(self) -> None:
        time.sleep(self._seconds)


def take_apart_then_wait(seconds: float) -> None:
    thing = _Slow(seconds)
    del thing
    time.sleep(300 if seconds else 0.7)


def test_a_job_is_stopped_though_the_signal_came_while_an_object_was_taken_apart(capfd):
    begun = time.perf_counter()
    jobs = [0.0, 5.0, 0.0]
    results = results_of(jobs, Service(int, take_apart_then_wait), workers=2)
    assert next(results) == (0, None)
    assert next(results) == (2, None)  # by now the other process works on the second job
    results.close()
    assert time.perf_counter() - begun < 60
    assert multiprocessing.active_children() == []
    assert "Traceback" not in capfd.readouterr().err

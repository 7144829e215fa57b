"""kill -9 at random moments, of the server and of its workers: nothing lost, twice or half.

`CTDENOISE_KILLS` gives another number of kills than the few that every run of the tests can afford;
`tests/perf/study_faults.py` makes the figures of the documentation.
"""

from __future__ import annotations

import os
import signal

from tests.pacs.destination import destination
from tests.pacs.kill_session import Plan, run_session
from tests.pacs.service_process import Service, end, wait_until
from tests.pacs.service_settings import service_settings

KILLS = int(os.environ.get("CTDENOISE_KILLS", "3"))

QUIET_S = 4.0
"""Longer than a scanner takes to come back after a restart: else half a study counts as complete,
and is made again when the rest has come."""


def test_nothing_is_lost_twice_or_half_whenever_the_server_and_its_workers_are_killed(tmp_path):
    plan = Plan(server_kills=KILLS, worker_kills=KILLS, longest_life_s=6.0)
    with destination(tmp_path / "destination") as place:
        report = run_session(tmp_path, service_settings(place, quiet_s=QUIET_S), place, plan)
    assert report.problems == ()
    assert report.studies > 0
    assert report.twice <= report.server_kills  # the one instance that was on its way


def test_a_server_whose_worker_is_killed_while_it_starts_gets_ready_all_the_same(tmp_path):
    with destination(tmp_path / "destination") as place:
        running = Service(tmp_path / "service", service_settings(place))
        try:
            running.start(ready=False)
            wait_until(lambda: bool(running.workers()), what="there is a worker")
            os.kill(running.workers()[0], signal.SIGKILL)
            wait_until(running.is_ready, what="the server is ready")
        finally:
            end(running)

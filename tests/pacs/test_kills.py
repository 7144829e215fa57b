"""kill -9 at random moments, of the server and of its workers: nothing lost, twice or half.

`CTDENOISE_KILLS` gives another number of kills than the few that every run of the tests can afford;
`tests/perf/study_faults.py` makes the figures of the documentation.
"""

from __future__ import annotations

import os

from tests.pacs.destination import destination
from tests.pacs.kill_session import Plan, run_session
from tests.pacs.service_settings import service_settings

KILLS = int(os.environ.get("CTDENOISE_KILLS", "5"))


def test_nothing_is_lost_twice_or_half_whenever_the_server_and_its_workers_are_killed(tmp_path):
    plan = Plan(server_kills=KILLS, worker_kills=KILLS)
    with destination(tmp_path / "destination") as place:
        report = run_session(tmp_path, service_settings(place), place, plan)
    assert report.problems == ()
    assert report.studies > 0
    assert report.twice <= report.server_kills  # the one instance that was on its way

"""The clock jumps by a day: nothing is thrown away early, nothing waits for a day."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pacs.destination import destination
from tests.pacs.fault_bench import Serving, serving
from tests.pacs.recording import Behaviour
from tests.pacs.service_process import wait_until
from tests.pacs.service_settings import service_settings

JUMPING = Path(__file__).parent / "jumping_clock"
DAY_S = 86_400


class Clock:
    """The wall clock of a server, which can be set.

    Args:
        path: Where its offset is written, in seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.off_by(0)

    def off_by(self, seconds: int) -> None:
        """Jump to so far from the true time."""
        beside = self._path.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.rename(self._path)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that goes by this clock."""
        path = os.pathsep.join(filter(None, (str(JUMPING), os.environ.get("PYTHONPATH"))))
        return {"PYTHONPATH": path, "CTDENOISE_TEST_CLOCK": str(self._path)}


@pytest.fixture(scope="module")
def clock(tmp_path_factory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "offset")


def test_the_clock_of_a_process_jumps_and_its_intervals_do_not(clock):
    clock.off_by(DAY_S)
    code = "import time as t; a = t.monotonic(); t.sleep(0.01); print(t.time(), t.monotonic() - a)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **clock.environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    clock.off_by(0)
    assert float(said[0]) == pytest.approx(time.time() + DAY_S, abs=60)
    assert float(said[1]) < 60


@pytest.fixture(scope="module")
def bench(tmp_path_factory, clock) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("service")
    with (
        destination(folder / "destination") as place,
        serving(
            folder, service_settings(place, quiet_s=3.0), place, environment=clock.environment
        ) as running,
    ):
        yield running


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S], ids=["a day ahead", "a day back"])
@pytest.mark.parametrize("moment", ["quiet", "back-off"])
def test_nothing_waits_for_a_day_and_nothing_is_thrown_away(bench, clock, jump, moment):
    name = f"{moment} {jump}"
    if moment == "back-off":
        bench.place.behave(Behaviour(reject="busy"))
    study = bench.sent(name)
    if moment == "back-off":
        wait_until(
            lambda: any(job.state == "made" and job.reason for job in bench.jobs(study)),
            what="sending failed once",
        )
    clock.off_by(jump)
    bench.place.behave(Behaviour())
    bench.until(study, "done", timeout_s=60)
    clock.off_by(0)
    found = bench.judged()
    assert (found.problems, found.twice) == ((), 0)


def test_the_server_starts_in_the_past_and_knows_what_it_did(bench, clock):
    clock.off_by(-DAY_S)
    bench.running.stop()
    before = len(bench.place.deliveries())
    bench.running.start()
    study = bench.sent("after a start in the past")
    bench.until(study, "done", timeout_s=60)
    clock.off_by(0)
    found = bench.judged()
    assert (found.problems, found.twice) == ((), 0)
    assert len(bench.place.deliveries()) == before + 8

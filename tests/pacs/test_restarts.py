"""SIGTERM, a damaged ledger: the server ends in time, starts again, nothing is lost or twice.

`CTDENOISE_FAULTS=all` tries more phases and damages; every one costs a start of the server.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pacs.destination import destination
from tests.pacs.fault_bench import Serving, serving
from tests.pacs.oracle import repeated
from tests.pacs.recording import Behaviour
from tests.pacs.sent_studies import SentStudy
from tests.pacs.service_process import wait_until
from tests.pacs.service_settings import service_settings

STOP_S = 10.0
GRACE_S = 60.0  # of a slow machine, beside what the settings allow
ALL = os.environ.get("CTDENOISE_FAULTS") == "all"


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("service")
    with (
        destination(folder / "destination") as place,
        serving(folder, service_settings(place, quiet_s=2.0), place) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _runs(bench: Serving) -> None:
    process = bench.running.process
    if process is not None and process.poll() is not None:
        bench.running.start()


def waiting(bench: Serving, name: str) -> SentStudy:
    """Accepted, and not complete yet."""
    return bench.sent(name)


def working(bench: Serving, name: str) -> SentStudy:
    """Being worked on."""
    study = bench.sent(name, slices=60)
    bench.until(study, "running", "made", "sending", "done")
    return study


def sending(bench: Serving, name: str) -> SentStudy:
    """Being sent to a destination that takes its time."""
    bench.place.behave(Behaviour(delay_s=0.5))
    before = len(bench.place.deliveries())
    study = bench.sent(name, slices=16)
    wait_until(lambda: len(bench.place.deliveries()) > before + 2, what="some of it is sent")
    return study


def stalled(bench: Serving, name: str) -> SentStudy:
    """Being sent to a destination that does not answer."""
    before = len(bench.place.deliveries())
    bench.place.behave(Behaviour(stall_at=1))
    study = bench.sent(name)
    wait_until(lambda: len(bench.place.deliveries()) > before + 1, what="it hangs")
    return study


def finished(bench: Serving, name: str) -> SentStudy:
    """Done."""
    study = bench.sent(name)
    bench.until(study, "done")
    return study


PHASES: tuple[Callable[[Serving, str], SentStudy], ...] = (
    working,
    stalled,
    *((waiting, sending, finished) if ALL else ()),
)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
def test_told_to_stop_it_ends_in_time_and_goes_on_where_it_was(bench, phase):
    twice = repeats(bench)
    study = phase(bench, f"stopped while {phase.__name__}")
    assert bench.running.stop(STOP_S + GRACE_S) == 0, bench.running.said()
    bench.place.behave(Behaviour())
    bench.running.start()
    bench.until(study, "done")
    found = bench.judged()
    assert found.problems == ()
    assert found.twice <= twice + (phase is stalled)  # what a stalled peer kept and did not say


def repeats(bench: Serving) -> int:
    return repeated(bench.place.deliveries())


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garbage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 * 3] = os.urandom(4096 * 2)
    path.write_bytes(data)


def no_head(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


DAMAGES = (
    (truncated, "stopped"),
    (garbage, "killed"),
    (deleted, "stopped"),
    *(((no_head, "killed"), (emptied, "stopped"), (deleted, "killed")) if ALL else ()),
)


@pytest.mark.parametrize(
    ("damage", "how"), DAMAGES, ids=lambda value: getattr(value, "__name__", value)
)
def test_after_damage_to_the_ledger_nothing_is_lost_or_sent_as_something_else(bench, damage, how):
    done = bench.sent(f"done before {damage.__name__} {how}")
    bench.until(done, "done")
    waits = bench.sent(f"waiting at {damage.__name__} {how}")
    before = repeats(bench)
    if how == "stopped":
        bench.running.stop()
    else:
        bench.running.kill()
    for left in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (bench.running.state / left).unlink(missing_ok=True)
    damage(bench.running.state / "ledger.sqlite")
    bench.running.start()
    later = bench.sent(f"after {damage.__name__} {how}")
    for study in (done, waits, later):
        bench.until(study, "done")
    found = bench.judged()
    assert found.problems == ()
    if (damage, how) == (truncated, "stopped"):  # its copy was made when it stopped
        assert found.twice == before


def test_a_ledger_that_cannot_be_restored_is_refused_in_words(tmp_path):
    with (
        destination(tmp_path / "destination") as place,
        serving(tmp_path, service_settings(place), place) as bench,
    ):
        running = bench.running
        bench.until(bench.sent("only"), "done")
        running.stop()
        shutil.rmtree(running.state / "backup")
        garbage(running.state / "ledger.sqlite")
        before = sorted(path.name for path in (running.state / "inbox").rglob("*.dcm"))
        running.start(ready=False)
        assert running.process.wait(120) == 3
        assert "ledger" in running.said()
        assert "Traceback" not in running.said()
        assert before == sorted(path.name for path in (running.state / "inbox").rglob("*.dcm"))

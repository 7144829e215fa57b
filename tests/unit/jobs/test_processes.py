"""Units in worker processes: each is told of once, whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ctdenoise.config.executor import ExecutorSettings, LimitSettings, ProcessesSettings
from ctdenoise.jobs.executors import build_executor
from ctdenoise.jobs.work import Executor, Failure, Finished, WorkUnit
from tests.unit.jobs import work_samples as samples

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")

DEADLINE_S = 120.0


@contextmanager
def workers(count: int = 1, **changes: Any) -> Iterator[Executor]:
    prepare = changes.pop("prepare", None)
    limits = LimitSettings(**changes.pop("limits", {}))
    niceness = changes.pop("niceness", 0)
    place = ProcessesSettings(workers=count, **changes)
    settings = ExecutorSettings(place=place, limits=limits, niceness=niceness)
    with closing(build_executor(settings, prepare=prepare)) as executor:
        yield executor


def results(executor: Executor, work: Callable[[Any], Any], *arguments: Any) -> dict[str, Finished]:
    for number, argument in enumerate(arguments):
        executor.submit(WorkUnit(str(number), work, argument))
    return gathered(executor, len(arguments))


def gathered(executor: Executor, count: int) -> dict[str, Finished]:
    found: dict[str, Finished] = {}
    end = time.monotonic() + DEADLINE_S
    while len(found) < count and time.monotonic() < end:
        for one in executor.finished(end - time.monotonic()):
            assert one.id not in found
            found[one.id] = one
    assert len(found) == count
    return found


def only(executor: Executor, work: Callable[[Any], Any], argument: Any = None) -> Finished:
    return results(executor, work, argument)["0"]


def wait_for(path: Path) -> str:
    end = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    return path.read_text()


def require_gone(*processes: int) -> None:
    end = time.monotonic() + DEADLINE_S
    for process in processes:
        while is_running(process):
            assert time.monotonic() < end
            time.sleep(0.01)


def is_running(process: int) -> bool:
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("count", [1, 2])
def test_every_unit_has_its_result(count):
    with workers(count) as executor:
        found = results(executor, samples.double, *range(20))
    assert {int(name): one.result for name, one in found.items()} == {n: 2 * n for n in range(20)}
    assert all(one.failure is None for one in found.values())


def test_what_is_raised_becomes_a_failure_that_names_nobody():
    with workers() as executor:
        refused = only(executor, samples.refuse).failure
        fault = only(executor, samples.fault).failure
        full = only(executor, samples.no_disk).failure
    words = "2 slices are missing: after the first; after the second"
    assert refused == Failure("raised", words, final=True)
    assert fault is not None
    assert fault.words.startswith("unexpected ValueError in work_samples.py, line ")
    assert "Doe" not in fault.words
    assert not fault.final
    assert full == Failure("raised", "the disk is full", final=False)


@pytest.mark.parametrize("work", [samples.panic, samples.leave, samples.lambda_of])
def test_a_panic_an_exit_and_a_result_that_cannot_travel_end_the_unit_only(work):
    with workers() as executor:
        before = only(executor, samples.process_id).result
        failure = only(executor, work).failure
        after = only(executor, samples.process_id).result
    assert failure is not None
    assert failure.kind == "raised"
    assert before == after


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_lost_process_loses_its_own_unit_only(number):
    with workers() as executor:
        lost = only(executor, samples.end_by, number)
        assert only(executor, samples.double, 4).result == 8
    assert lost.failure is not None
    assert lost.failure.kind == "lost"
    assert number.name in lost.failure.words
    assert not lost.failure.final


def test_a_unit_that_takes_too_long_may_clean_up_and_its_children_are_ended(tmp_path):
    note = samples.Note(tmp_path / "ids", 300.0)
    with workers(limits={"seconds": 2.0}) as executor:
        finished = only(executor, samples.wait_with_child, note)
    assert finished.failure == Failure("timeout", "it took longer than 2 s and was stopped")
    assert (tmp_path / "ids.stopped").exists()
    require_gone(*map(int, wait_for(note.path).split()))


def test_a_unit_that_does_not_hear_is_ended_with_its_children(tmp_path):
    note = samples.Note(tmp_path / "ids", 300.0)
    with workers(limits={"seconds": 1.0}) as executor:
        finished = only(executor, samples.deaf, note)
    assert finished.failure is not None
    assert finished.failure.kind == "timeout"
    require_gone(*map(int, wait_for(note.path).split()))


def test_time_for_a_unit_does_not_count_the_start_of_its_process():
    with workers(limits={"seconds": 2.0}, prepare=slow_prepare) as executor:
        assert only(executor, samples.double, 2).result == 4


def slow_prepare(seat: int) -> None:
    time.sleep(2.5)


@pytest.mark.parametrize("work", [samples.hold_and_wait, samples.child_holds_and_waits])
def test_too_much_memory_of_a_unit_or_its_child_is_a_failure_in_words(work):
    with workers(limits={"memory_mb": 256}) as executor:
        finished = only(executor, work, 600)
        assert only(executor, samples.hold, 10).result == 1
    words = "it took more than 256 MB of memory and was stopped"
    assert finished.failure == Failure("memory", words)


def test_memory_that_is_never_given_is_a_failure_in_words():
    with workers(limits={"memory_mb": 64}) as executor:
        failure = only(executor, samples.hold, 20_000).failure
    assert failure == Failure("memory", "there was not enough memory for it")


def test_a_file_that_grows_too_large_fails_the_unit(tmp_path):
    with workers(limits={"file_mb": 1}) as executor:
        finished = only(executor, samples.write_much, samples.Note(tmp_path / "large"))
    assert finished.failure is not None
    assert (tmp_path / "large").stat().st_size <= 1_000_000


def test_a_process_is_replaced_after_some_units_and_when_it_grew():
    with workers(studies_each=2) as executor:
        found = results(executor, samples.process_id, *range(6))
    assert len({one.result for one in found.values()}) == 3
    with workers(grown_mb=100) as executor:
        processes = [only(executor, samples.keep, size).result for size in (10, 200, 10, 10)]
    assert processes[0] == processes[1] != processes[2] == processes[3]


def test_each_process_is_prepared_with_a_number_of_its_own():
    with workers(2, prepare=samples.prepare) as executor:
        found = results(executor, samples.seat_of, *range(4))
    assert {one.result for one in found.values()} == {"0", "1"}


def test_what_goes_wrong_while_a_process_gets_ready_is_told_in_the_failure():
    with workers(prepare=samples.unlucky_prepare) as executor:
        failure = only(executor, samples.double, 1).failure
    assert failure == Failure("raised", "seat 0 has no model", final=True)


def test_processes_give_way_and_leave_no_core():
    with workers(niceness=7) as executor:
        assert only(executor, samples.nice_and_core).result == (os.nice(0) + 7, (0, 0))


def test_closing_stops_what_runs_in_order(tmp_path):
    note = samples.Note(tmp_path / "ids", 300.0)
    with workers() as executor:
        executor.submit(WorkUnit("0", samples.wait_with_child, note))
        ids = wait_for(note.path)
        assert executor.finished(0.0) == ()
    assert (tmp_path / "ids.stopped").exists()
    require_gone(*map(int, ids.split()))


PARENT = """
import sys, threading
from pathlib import Path
from ctdenoise.config.executor import ExecutorSettings, ProcessesSettings
from ctdenoise.jobs.executors import build_executor
from ctdenoise.jobs.work import WorkUnit
from tests.unit.jobs import work_samples as samples

executor = build_executor(ExecutorSettings(place=ProcessesSettings(workers=1)))
executor.submit(WorkUnit("0", samples.wait_with_child, samples.Note(Path(sys.argv[1]), 300.0)))
threading.Event().wait()
"""


def test_workers_and_their_children_end_when_the_parent_is_killed(tmp_path):
    note = tmp_path / "ids"
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", PARENT, str(note)], cwd=root) as parent:
        ids = wait_for(note)
        parent.kill()
    require_gone(*map(int, ids.split()))
    assert note.with_suffix(".stopped").exists()

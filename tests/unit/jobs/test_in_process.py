"""Units done in this process: the same promises, but for limits."""

from __future__ import annotations

from contextlib import closing

import pytest

from ctdenoise.config.executor import ExecutorSettings
from ctdenoise.jobs.executors import build_executor
from ctdenoise.jobs.work import WorkUnit
from tests.unit.jobs import work_samples as samples


def test_units_are_done_one_by_one_when_they_are_asked_for():
    with closing(build_executor(ExecutorSettings())) as executor:
        assert executor.capacity == 1
        assert executor.finished(0.0) == ()
        for number in range(3):
            executor.submit(WorkUnit(str(number), samples.double, number))
        found = [one for _ in range(3) for one in executor.finished(0.0)]
        assert [(one.id, one.result) for one in found] == [("0", 0), ("1", 2), ("2", 4)]
        assert executor.finished(0.0) == ()


@pytest.mark.parametrize("work", [samples.refuse, samples.panic, samples.leave])
def test_a_unit_that_fails_does_not_end_the_program(work):
    with closing(build_executor(ExecutorSettings())) as executor:
        executor.submit(WorkUnit("0", work, None))
        (finished,) = executor.finished(0.0)
    assert finished.failure is not None
    assert finished.failure.kind == "raised"


def test_ctrl_c_is_for_the_program():
    with closing(build_executor(ExecutorSettings())) as executor:
        executor.submit(WorkUnit("0", stopped, None))
        with pytest.raises(KeyboardInterrupt):
            executor.finished(0.0)


def stopped(_: object) -> None:
    raise KeyboardInterrupt

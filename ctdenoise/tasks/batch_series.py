"""Every CT series of one study of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ctdenoise.errors import InputError, StudyError
from ctdenoise.io.study import FoundSeries
from ctdenoise.jobs.performing import one_line
from ctdenoise.tasks.batch_study import StudyResult, StudyTask
from ctdenoise.tasks.every_series import SeriesOutcome, failed, listed_series, write_summary

Outcome = TypeVar("Outcome", bound=SeriesOutcome)


def every_series(
    task: StudyTask,
    folder: Path,
    kind: type[Outcome],
    make: Callable[[FoundSeries, Outcome], Outcome],
) -> list[Outcome]:
    """Make something of every CT series; what is wrong with one does not stop the others.

    What may pass, such as a full disk, fails the study, so that all of it is tried again.

    Args:
        task: The study.
        folder: For the table of its series.
        kind: What becomes of a series.
        make: Makes it.

    Raises:
        StudyError: If none could be made.
    """
    outcomes: list[Outcome] = []
    for outcome, series in listed_series(task.paths, kind):
        if series is None:
            outcomes.append(outcome)
            continue
        try:
            outcomes.append(make(series, outcome))
        except InputError as error:
            outcomes.append(failed(outcome, error.what, series))
    if not any(one.status == "made" for one in outcomes):
        reasons = dict.fromkeys(one.reason for one in outcomes if one.reason)
        raise StudyError(one_line("; ".join(reasons)) or "there is no CT series in it.")
    write_summary(folder, outcomes)
    return outcomes


def summed(outcomes: Sequence[SeriesOutcome], figures: dict[str, float | None]) -> StudyResult:
    """What came of a study by what came of its series.

    Args:
        outcomes: Of each series.
        figures: Of the study.
    """
    made = [one for one in outcomes if one.status == "made"]
    lost = [one for one in outcomes if one.status == "failed"]
    reasons = [f"series {one.number}: {one.reason}" for one in lost]
    return StudyResult(
        len(made), sum(one.slices for one in made), failed="; ".join(reasons), figures=figures
    )


def mean_of(values: Iterable[Any]) -> float | None:
    """The mean of the figures that are known; None if none is.

    Args:
        values: Numbers, or None.
    """
    known = [float(value) for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None

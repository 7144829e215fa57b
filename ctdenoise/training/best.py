"""Which network is kept, and when nothing is gained any more."""

from __future__ import annotations

from ctdenoise.config.training import TrainSettings
from ctdenoise.config.validation import MetricName
from ctdenoise.errors import UsageError
from ctdenoise.training.state import Best, Progressed
from ctdenoise.training.validation import Measured

_LARGER_IS_BETTER: frozenset[MetricName] = frozenset({"psnr_db", "dice"})


def take_note(progressed: Progressed, measured: Measured, settings: TrainSettings) -> bool:
    """Enter a measurement into the course of a run; says whether its network is to be kept.

    Every gain makes a new best network. The patience starts anew only when the value is better by
    more than `least_gain` than the last value that did so: many small gains add up to one that
    counts, and none is lost. With `validation.keep=last` each is kept in turn.

    Args:
        progressed: The run; `best`, `counted` and `checks_without_gain` are brought up to date.
        measured: What was measured after its last step.
        settings: The metric and what counts as a gain.

    Raises:
        UsageError: If the metric has no value.
    """
    value = metric_value(measured, settings.validation.metric)
    stopping = settings.early_stopping
    best, counted = progressed.best, progressed.counted
    sign = 1.0 if settings.validation.metric in _LARGER_IS_BETTER else -1.0
    least = 0.0 if stopping is None else stopping.least_gain
    if counted is None or sign * (value - counted) > least:
        progressed.counted, progressed.checks_without_gain = value, 0
    else:
        progressed.checks_without_gain += 1
    is_better = best is None or sign * (value - best.value) > 0
    if not is_better and settings.validation.keep == "best":
        return False
    progressed.best = Best(
        progressed.step,
        value,
        measured.rmse_hu,
        measured.baseline_rmse_hu,
        measured.dice,
        measured.class_dice,
    )
    return True


def metric_value(measured: Measured, metric: MetricName) -> float:
    """The value of a named metric.

    Raises:
        UsageError: If it was not measured: no validation slice shows a class.
    """
    value: float | None = getattr(measured, metric)
    if value is None:
        raise UsageError(
            "the validation slices show none of the classes, so there is no Dice to judge by.",
            where="validation.metric",
            fix="Judge by rmse_hu, or name other patients in validation.patients.",
        )
    return value

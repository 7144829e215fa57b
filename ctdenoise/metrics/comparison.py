"""Figures of several methods on the same images, with the error that the few images leave.

A figure of one image is what `evaluate` gives. Over several images it is the mean of the patients,
each the mean of its images. Its standard error is the jackknife's: with n units and the figure t(i)
without unit i, sqrt((n - 1) / n sum (t(i) - mean t)^2), which for a mean is the usual s / sqrt(n).
Units are patients where there are two or more, else the slices of the only image. The difference of
two methods has a standard error of its own, by the differences of their t(i): both met the same
images. With two patients or more a figure also has the interval of `metrics.statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.metrics.fidelity import DifferenceSums
from ctdenoise.metrics.noise_texture import TextureFigures
from ctdenoise.metrics.statistics import FEWEST_PATIENTS, mean_interval, words_about_test
from ctdenoise.metrics.table import Better, Evaluation, Metric


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A number and what it would be without each of the units that it comes from.

    Args:
        metric: The number with its conventions.
        without_one: The number without each unit, float64 [unit]; empty where that is unknown.
        patients: The number of each patient; empty for a single image.
    """

    metric: Metric
    without_one: DoubleArray
    patients: Mapping[str, float] = field(default_factory=dict)

    @property
    def standard_error(self) -> float | None:
        """By the jackknife; None with fewer than two units."""
        return jackknife_error(self.without_one)


Figures = Mapping[str, Figure]
"""Figures of one method by their key."""


def jackknife_error(without_one: DoubleArray) -> float | None:
    """Standard error of a number from its values without each unit; None if it cannot be told."""
    count = without_one.size
    if count < 2 or not np.isfinite(without_one).all():
        return None
    spread = np.square(without_one - without_one.mean()).sum()
    return math.sqrt((count - 1) / count * float(spread))


def difference_error(one: Figure, other: Figure) -> float | None:
    """Standard error of the difference of two methods on the same units; None if unknown."""
    if one.without_one.shape != other.without_one.shape:
        return None
    return jackknife_error(one.without_one - other.without_one)


def figures_of(evaluation: Evaluation, texture: TextureFigures) -> dict[str, Figure]:
    """The figures of one image, with their values without each slice.

    Args:
        evaluation: Of the image against its reference.
        texture: Of its noise.
    """
    found: dict[str, Figure] = {}
    for metric in evaluation.metrics:
        if metric.key not in ("noise_reference", "noise_test"):
            found[metric.key] = Figure(metric, _without_slices(evaluation, metric.key))
    for name in ("reference", "test"):
        key = f"noise_{name}"
        found[key] = Figure(evaluation[key], _UNKNOWN)
    for metric, without_one in texture.figures():
        found[metric.key] = Figure(metric, without_one)
    return found


_UNKNOWN: DoubleArray = np.zeros(0)


def _without_slices(evaluation: Evaluation, key: str) -> DoubleArray:
    kind, _, tissue = key.partition("_")
    of: dict[str, Callable[[DifferenceSums], float | None]] = {
        "rmse": lambda sums: sums.rmse,
        "mae": lambda sums: sums.mae,
        "bias": lambda sums: sums.bias,
    }
    if kind in of:
        parts = evaluation.tissues[tissue] if tissue else evaluation.body
        return _pooled_without_one(parts, of[kind])
    column = evaluation.slices.columns.get(key)
    if column is None:
        return _UNKNOWN
    values = np.array([value for value in column if value is not None])
    return _means_without_one(values)


def _pooled_without_one(
    parts: Sequence[DifferenceSums], value: Callable[[DifferenceSums], float | None]
) -> DoubleArray:
    counted = [part for part in parts if part.count]
    if len(counted) < 2:
        return _UNKNOWN
    total = sum(counted, DifferenceSums())
    found = [value(total - part) for part in counted]
    return np.array([np.nan if one is None else one for one in found])


def _means_without_one(values: DoubleArray) -> DoubleArray:
    if values.size < 2:
        return _UNKNOWN
    with np.errstate(invalid="ignore"):  # infinite: an identical slice
        means: DoubleArray = (values.sum() - values) / (values.size - 1)
    return means


def over_patients(
    images: Sequence[tuple[str, Figures]], settings: StatisticsSettings
) -> dict[str, Figure]:
    """The figures of a method over all its images.

    Args:
        images: Patient and figures of each image; one patient may have several.
        settings: How intervals are found.

    Returns:
        For one image its own figures. Otherwise means over patients, each the mean of its images,
        with their intervals; a figure that some patient lacks is left out of the mean, and the
        reduction says over how many patients it is.
    """
    patients: dict[str, list[Figures]] = {}
    for patient, figures in images:
        patients.setdefault(patient, []).append(figures)
    if len(images) == 1:
        return dict(images[0][1])
    keys = dict.fromkeys(key for _, figures in images for key in figures)
    return {key: _over(key, patients, settings) for key in keys}


def _over(
    key: str, patients: Mapping[str, Sequence[Figures]], settings: StatisticsSettings
) -> Figure:
    everywhere = (figures for images in patients.values() for figures in images)
    first = next(figures[key] for figures in everywhere if key in figures)
    means: dict[str, float] = {}
    for patient, images in patients.items():
        values = [_number(figures.get(key)) for figures in images]
        known = [value for value in values if value is not None]
        if known:
            means[patient] = sum(known) / len(known)
    count = len(means)
    reduction = f"{first.metric.reduction}; mean of {count} patient{'s' if count != 1 else ''}"
    value = sum(means.values()) / count if means else None
    numbers = np.array(list(means.values()))
    metric = replace(
        first.metric,
        value=value,
        reduction=reduction,
        note="" if value is not None else first.metric.note,
        interval=mean_interval(
            numbers, seed=settings.seed, samples=settings.samples, level=settings.level
        ),
    )
    return Figure(metric, _means_without_one(numbers), means)


def _number(figure: Figure | None) -> float | None:
    return None if figure is None else figure.metric.value


def clear_best(figures: Sequence[Figure | None]) -> int | None:
    """Which of several methods is the best in a figure, if that is clear.

    It is where the best differs from every other by more than the standard error of the difference.

    Args:
        figures: The same figure of each method; None where a method lacks it.

    Returns:
        Its place; None where nothing is best, or another is equal within the standard error, or no
        standard error is known.
    """
    known = {
        place: score
        for place, figure in enumerate(figures)
        if figure is not None
        for score in [_score(figure.metric)]
        if score is not None
    }
    if len(known) < 2:
        return None
    best = min(known, key=lambda place: known[place])
    winner = figures[best]
    for place, score in known.items():
        other = figures[place]
        if place == best or winner is None or other is None:
            continue
        error = _score_error(winner, other)
        if error is None or score - known[best] <= error:
            return None
    return best


def _score(metric: Metric) -> float | None:
    """The value turned such that less is better; None where nothing is better."""
    if metric.value is None or metric.better == "neither":
        return None
    return _turned(metric.better, metric.value)


def _turned(better: Better, value: float) -> float:
    return abs(value) if better == "near zero" else -value if better == "higher" else value


def _score_error(one: Figure, other: Figure) -> float | None:
    """Standard error of the difference of two scores."""
    if one.metric.better != "near zero":
        return difference_error(one, other)
    if one.without_one.shape != other.without_one.shape:
        return None
    return jackknife_error(np.abs(one.without_one) - np.abs(other.without_one))


def words_about(patients: int, slices: int) -> str:
    """What the number of patients allows to say.

    Args:
        patients: How many were measured.
        slices: How many slices of them in all.
    """
    if patients == 1:
        return (
            f"One patient, {slices} slice{'s' if slices != 1 else ''}: "
            "the standard errors are over its slices, which are alike. They say how "
            "much the slices scatter, and nothing about other patients."
            if slices > 1
            else "One slice of one patient: there is no standard error, and nothing is marked."
        )
    few = f" {words_about_test(patients)}." if patients < FEWEST_PATIENTS else ""
    return (
        f"{patients} patients, {slices} slices: standard errors and intervals are over patients."
        f"{few}"
    )


def as_json(figure: Figure) -> dict[str, JsonValue]:
    """Plain JSON with the standard error."""
    error = figure.standard_error
    return {**figure.metric.as_json(), "standard_error": error}

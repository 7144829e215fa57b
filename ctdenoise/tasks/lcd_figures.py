"""What the study of low contrast found, as figures, curves and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.lcd import LcdInsertSettings, LcdSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.cho import ChoResult, auc_of, cho_of_responses
from ctdenoise.metrics.dose_equivalence import (
    DoseCurve,
    EquivalentDose,
    Responses,
    Squares,
    equivalent_dose,
    fitted_curve,
)
from ctdenoise.metrics.measured import Axis, Curve, HeatMap, Measured
from ctdenoise.metrics.table import Conventions, Interval, Metric

DOSE = Axis("Dose", "%")
DPRIME = Axis("Detectability d'")
AUC = Axis("Area under the ROC curve")


@dataclass(frozen=True, slots=True, eq=False)
class TaskFigures:
    """One rod at every dose.

    Args:
        insert: The rod.
        doses: Fractions of the full dose, rising.
        plain: d'^2 of the images as reconstructed, at each dose.
        denoised: d'^2 of the denoised ones, drawn again together with them.
        plain_responses: What they were made from.
        denoised_responses: The same after the denoiser.
    """

    insert: LcdInsertSettings
    doses: tuple[float, ...]
    plain: tuple[Squares, ...]
    denoised: tuple[Squares, ...]
    plain_responses: tuple[Responses, ...]
    denoised_responses: tuple[Responses, ...]

    @property
    def dose_array(self) -> DoubleArray:
        """The doses, float64."""
        return np.array(self.doses)

    def curve(self) -> DoseCurve:
        """d'^2 of the images as reconstructed, against dose."""
        estimates = np.array([one.estimate for one in self.plain])
        return fitted_curve(self.dose_array, estimates, self.plain[0].counts)

    def equivalents(self) -> tuple[EquivalentDose, ...]:
        """The equivalent dose of the denoised images at each dose."""
        return tuple(
            equivalent_dose(one, self.plain, self.dose_array, at)
            for at, one in enumerate(self.denoised)
        )


def figures_of(tasks: Sequence[TaskFigures], settings: LcdSettings, name: str) -> Measured:
    """Everything that is shown.

    Args:
        tasks: What was found of each rod.
        settings: How.
        name: Of the denoiser.
    """
    metrics: list[Metric] = []
    curves: list[Curve] = []
    equivalents = []
    for task in tasks:
        before, after = _results(task.plain_responses), _results(task.denoised_responses)
        equal = task.equivalents()
        equivalents.append(equal)
        for index, dose in enumerate(task.doses):
            shown = _Shown(task, settings, dose)
            metrics += [
                shown.detectability("dprime", "Detectability d'", after[index]),
                shown.detectability("dprime_input", "Detectability d' of the input", before[index]),
                shown.ratio(task.plain[index], task.denoised[index]),
                shown.equivalent(equal[index]),
            ]
        metrics.append(_law(task, settings))
        curves += _curves(task, before, after, name)
    tables = (_ratio_table(tasks), _dose_table(tasks, equivalents))
    return Measured(tuple(metrics), tuple(curves), tables)


def _results(responses: Sequence[Responses]) -> list[ChoResult]:
    results = []
    for one in responses:
        channels = one.counts[2]
        flat = (one.present.reshape(-1, channels), one.absent.reshape(-1, channels))
        results.append(cho_of_responses(*flat, f"{channels} channels"))
    return results


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """Figures of one rod at one dose, with their conventions."""

    task: TaskFigures
    settings: LcdSettings
    dose: float

    @property
    def _conventions(self) -> Conventions:
        n1, n0, p = self.task.plain[0].counts
        mean = ", mean of each region removed" if self.settings.removes_mean else ""
        return Conventions(
            window="none",
            mask=f"regions of {self.settings.region_mm:g} mm, {n1} with the signal, {n0} without",
            reduction=f"channelised Hotelling observer, {self.settings.observer}, "
            f"{p} channels{mean}",
        )

    def _key(self, what: str) -> str:
        return f"{what}[{self.task.insert.name}, {100 * self.dose:g} %]"

    @property
    def _at(self) -> tuple[tuple[str, float], ...]:
        insert = self.task.insert
        return (
            ("contrast_hu", insert.hu),
            ("diameter_mm", insert.diameter_mm),
            ("dose_percent", 100 * self.dose),
        )

    @property
    def _drawn(self) -> str:
        return f"slices drawn again, {self.settings.draws} draws"

    def detectability(self, what: str, title: str, result: ChoResult) -> Metric:
        return Metric(
            key=self._key(what),
            title=title,
            value=result.dprime,
            unit="",
            better="higher",
            description="How well an observer tells regions with the rod from those without, in "
            "standard deviations; unbiased.",
            note=result.note,
            interval=result.interval,
            at=self._at,
            **self._conventions,
        )

    def ratio(self, plain: Squares, denoised: Squares) -> Metric:
        ratio, low, high = _ratio(plain, denoised)
        return Metric(
            key=self._key("dprime_ratio"),
            title="Detectability over that of the input",
            value=ratio,
            unit="",
            better="higher",
            description="d' after the denoiser over d' before, on the same noise; below 1 it hides "
            "what the scan showed.",
            note="" if ratio is not None else "the rod is not detectable in the input",
            interval=None if ratio is None else Interval(low, high, self._drawn),
            at=self._at,
            **self._conventions,
        )

    def equivalent(self, equal: EquivalentDose) -> Metric:
        return Metric(
            key=self._key("dose_equivalent"),
            title="Dose at which the input shows as much",
            value=None if equal.value is None else 100 * equal.value,
            unit="%",
            better="higher",
            description="Filtered back-projection without the denoiser has the same d' at this "
            "dose.",
            note=equal.words,
            interval=Interval(100 * equal.low, 100 * equal.high, self._drawn),
            at=self._at,
            **self._conventions,
        )


def _ratio(plain: Squares, denoised: Squares) -> tuple[float | None, float, float]:
    """Detectability after over before, with its interval; None where there was none before."""
    if plain.estimate <= 0:
        return None, 0.0, float("inf")
    over, under = np.maximum(denoised.draws, 0.0), np.maximum(plain.draws, 0.0)
    nothing = np.where(over > 0, np.inf, 1.0)  # neither shows it: neither is better
    drawn = np.sqrt(np.divide(over, under, out=nothing, where=under > 0))
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975], method="nearest"))
    return float(np.sqrt(max(denoised.estimate, 0.0) / plain.estimate)), low, high


def _law(task: TaskFigures, settings: LcdSettings) -> Metric:
    curve = task.curve()
    follows = curve.kind == "square root"
    return Metric(
        key=f"dose_law[{task.insert.name}]",
        title="Does d' of the input go as the square root of the dose?",
        value=curve.p_value,
        unit="",
        window="none",
        mask=f"doses of {', '.join(f'{100 * dose:g}' for dose in task.doses)} %",
        reduction=f"chi-squared test, {settings.observer}",
        better="neither",
        description="How often data lie so far from the law of quantum noise, if it holds.",
        note="the law holds: equivalent doses follow it"
        if follows
        else "the law does not hold: equivalent doses are interpolated between the measured ones",
        at=(("contrast_hu", task.insert.hu), ("diameter_mm", task.insert.diameter_mm)),
    )


def _curves(
    task: TaskFigures, before: list[ChoResult], after: list[ChoResult], name: str
) -> list[Curve]:
    percent = 100 * task.dose_array
    dense = np.linspace(task.doses[0], task.doses[-1], 61)
    curve = task.curve()
    fit = np.sqrt(curve.square_at(dense))
    curves = []
    for key, axis, of in (("dprime", DPRIME, np.asarray), ("auc", AUC, _aucs)):
        whole = f"{key}[{task.insert.name}]"
        for results, what in ((before, "FBP"), (after, name)):
            values, low, high = (
                of(np.array(column))
                for column in zip(*(_with_ends(one) for one in results), strict=True)
            )
            curves.append(Curve(whole, what, percent, values, DOSE, axis, low, high))
        law = f"the square root of the dose (p = {curve.p_value:.2g})"
        is_law = curve.kind == "square root"
        note = f"The fitted curve goes as {law}" if is_law else f"Interpolated: not {law}"
        curves.append(Curve(whole, "FBP, fitted", 100 * dense, of(fit), DOSE, axis, note=note))
    return curves


def _with_ends(result: ChoResult) -> tuple[float, float, float]:
    return result.dprime, result.interval.low, result.interval.high


def _aucs(dprimes: DoubleArray) -> DoubleArray:
    return np.array([auc_of(float(dprime)) for dprime in dprimes])


def _ratio_table(tasks: Sequence[TaskFigures]) -> HeatMap:
    cells = [
        [_ratio(*pair) for pair in zip(task.plain, task.denoised, strict=True)] for task in tasks
    ]
    values = np.array([[np.nan if one is None else one for one, _, _ in row] for row in cells])
    low, high = (np.array([[cell[end] for cell in row] for row in cells]) for end in (1, 2))
    return _table(
        tasks,
        "dprime_ratio",
        "Detectability after the denoiser over before",
        (values, low, high),
        ideal=1.0,
    )


def _dose_table(
    tasks: Sequence[TaskFigures], equivalents: Sequence[tuple[EquivalentDose, ...]]
) -> HeatMap:
    values = np.array(
        [[np.nan if one.value is None else one.value for one in row] for row in equivalents]
    )
    low, high = (
        np.array([[getattr(one, end) for one in row] for row in equivalents])
        for end in ("low", "high")
    )
    return _table(
        tasks,
        "dose_equivalent",
        "Dose at which images without the denoiser show as much",
        (100 * values, 100 * low, 100 * high),
        unit="%",
    )


def _table(
    tasks: Sequence[TaskFigures],
    key: str,
    title: str,
    cells: tuple[DoubleArray, DoubleArray, DoubleArray],
    *,
    unit: str = "",
    ideal: float | None = None,
) -> HeatMap:
    values, low, high = cells
    return HeatMap(
        key=key,
        title=title,
        rows=Axis("Rod"),
        row_names=tuple(task.insert.name for task in tasks),
        columns=DOSE,
        column_names=tuple(f"{100 * dose:g} %" for dose in tasks[0].doses),
        values=values,
        unit=unit,
        better="higher",
        ideal=ideal,
        low=low,
        high=high,
    )

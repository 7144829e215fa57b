"""How far methods differ on the same patients, and whether that may be chance.

Every method is compared with every other, and with the low dose itself, in a few figures. Each
patient gives one difference: the interval of their mean is the bootstrap's, their test Wilcoxon's.
All tests of a condition are one family, and Holm's method corrects for how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.metrics.comparison import Figure, Figures
from ctdenoise.metrics.statistics import holm, mean_interval, signed_rank_p, words_about_test
from ctdenoise.metrics.table import Interval, Metric


@dataclass(frozen=True, slots=True)
class Contrast:
    """One method less another in one figure, over the patients that both were applied to.

    Args:
        metric: The figure, as the first of both methods has it.
        one: Place of the method that is subtracted from.
        other: Place of the method that is subtracted.
        patients: How many.
        difference: Mean of the patients' differences.
        interval: Of that mean.
        p_value: Two-sided, of the signed-rank test alone; None where it was not made.
        p_holm: Corrected for all tests of the condition; None as above.
        note: Why there was no test, or why none could be significant.
    """

    metric: Metric
    one: int
    other: int
    patients: int
    difference: float
    interval: Interval | None
    p_value: float | None
    p_holm: float | None = None
    note: str = ""

    @property
    def better(self) -> int | None:
        """Place of the method that is better, if that is no matter of chance.

        The corrected p is below 1 - level, and the difference has a good direction.
        """
        level = 0.95 if self.interval is None else self.interval.level
        if self.p_holm is None or self.p_holm >= 1 - level or not self.difference:
            return None
        if self.metric.better not in ("lower", "higher"):
            return None
        is_one = (self.difference < 0) == (self.metric.better == "lower")
        return self.one if is_one else self.other

    def as_json(self, names: Sequence[str]) -> dict[str, JsonValue]:
        """Plain JSON.

        Args:
            names: Of all methods.
        """
        return {
            "key": self.metric.key,
            "unit": self.metric.unit,
            "method": names[self.one],
            "less": names[self.other],
            "patients": self.patients,
            "difference": self.difference,
            "interval": None if self.interval is None else self.interval.as_json(),
            "p": self.p_value,
            "p_holm": self.p_holm,
            "better": None if self.better is None else names[self.better],
            "note": self.note,
        }

    def as_row(self, names: Sequence[str]) -> dict[str, JsonValue]:
        """The same for CSV, without groups.

        Args:
            names: Of all methods.
        """
        found = self.as_json(names)
        del found["interval"]
        ends = (None, None) if self.interval is None else (self.interval.low, self.interval.high)
        return {**found, "low": ends[0], "high": ends[1]}


def contrasts_of(rows: Sequence[Figures], settings: StatisticsSettings) -> tuple[Contrast, ...]:
    """All pairs of methods of a condition in the figures that are tested.

    Args:
        rows: Figures of each method over the patients, as of `over_patients`.
        settings: Which figures, and how intervals are found. A figure without two common patients
            is left out.
    """
    found = list(_uncorrected(rows, settings))
    tested = [one for one in found if one.p_value is not None]
    corrected = iter(holm([one.p_value for one in tested if one.p_value is not None]))
    return tuple(
        replace(
            one,
            p_holm=None if one.p_value is None else next(corrected),
            note=words_about_test(one.patients, max(1, len(tested))),
        )
        for one in found
    )


def _uncorrected(rows: Sequence[Figures], settings: StatisticsSettings) -> Iterator[Contrast]:
    for key in settings.tested:
        for other, one in combinations(range(len(rows)), 2):
            pair = rows[one].get(key), rows[other].get(key)
            if pair[0] is None or pair[1] is None:
                continue
            contrast = _contrast(pair[0], pair[1], (one, other), settings)
            if contrast is not None:
                yield contrast


def _contrast(
    one: Figure, other: Figure, places: tuple[int, int], settings: StatisticsSettings
) -> Contrast | None:
    common = [patient for patient in one.patients if patient in other.patients]
    differences = np.array([one.patients[p] - other.patients[p] for p in common])
    if differences.size < 2 or not math.isfinite(differences.sum()):
        return None
    return Contrast(
        one.metric,
        places[0],
        places[1],
        len(common),
        float(differences.mean()),
        mean_interval(
            differences, seed=settings.seed, samples=settings.samples, level=settings.level
        ),
        signed_rank_p(differences),
    )

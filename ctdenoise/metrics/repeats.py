"""Figures of trainings that were repeated with other seeds: mean, spread, and paired differences.

One training says little about a variant, since another seed gives other first weights and patches.
Over n repeats a figure is its mean, with the standard deviation (n - 1 in the denominator) as its
spread. Variants are compared over the seeds that both were trained with, seed by seed.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over repeats.

    Args:
        mean: Over the repeats that have it.
        deviation: Standard deviation; None with a single repeat.
        count: How many repeats have it.
    """

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of an ablation.

    Args:
        name: What to call it.
        repeats: Figures of each repeat, by key; a figure that a repeat lacks is left out.
        parameters: Weights and biases; None where unknown.
        curve: Step and validation RMSE, HU, mean over the repeats.
        steps: Updates of the weights; None where unknown.
        seeds: Of each repeat, each once; empty where unknown.
    """

    name: str
    repeats: tuple[Mapping[str, float], ...]
    parameters: int | None = None
    curve: tuple[tuple[int, float], ...] = ()
    steps: int | None = None
    seeds: tuple[int, ...] = ()

    def spread(self, key: str) -> Spread | None:
        """A figure over the repeats; None if none has it."""
        return spread_of([one[key] for one in self.repeats if key in one])

    def difference(self, key: str, base: Variant) -> Spread | None:
        """This variant minus another in a figure, seed by seed; None if none can be paired.

        Where seeds are unknown, the repeats of variants with as many are paired in their order.
        """
        return spread_of(
            [
                one[key] - other[key]
                for one, other in self._paired(base)
                if key in one and key in other
            ]
        )

    def _paired(self, base: Variant) -> list[tuple[Mapping[str, float], Mapping[str, float]]]:
        """Repeats of this variant and of another that belong together."""
        if self.seeds and base.seeds:
            others = dict(zip(base.seeds, base.repeats, strict=True))
            own = zip(self.seeds, self.repeats, strict=True)
            return [(one, others[seed]) for seed, one in own if seed in others]
        if len(self.repeats) != len(base.repeats):
            return []
        return list(zip(self.repeats, base.repeats, strict=True))


def spread_of(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation of some values; None of none."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> tuple[tuple[int, float], ...]:
    """The mean of curves at the steps that all of them have."""
    values = [dict(curve) for curve in curves]
    if not values:
        return ()
    steps = sorted(set.intersection(*(set(one) for one in values)))
    return tuple((step, statistics.fmean(one[step] for one in values)) for step in steps)

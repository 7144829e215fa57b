"""Mean and spread of each labelled organ before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray, HuArray, LabelArray
from ctdenoise.metrics.table import Better, Interval, Metric
from ctdenoise.metrics.transfer import percentile_interval, resampled, weighted_ratio

FEWEST_VOXELS = 500
"""With fewer voxels an organ has no row."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Sums over the voxels of an organ.

    Args:
        slices: Count, values before and after, squares before and after, [slice, 5]; slices
            without the organ are left out.
    """

    slices: DoubleArray

    @classmethod
    def of(cls, before: HuArray, after: HuArray, labels: LabelArray, number: int) -> _Sums:
        rows = []
        for one, other, mask in zip(before, after, labels == number, strict=True):
            inside = [image[mask].astype(np.float64) for image in (one, other)]
            rows.append(
                [
                    float(np.count_nonzero(mask)),
                    *(float(values.sum()) for values in inside),
                    *(float(np.square(values).sum()) for values in inside),
                ]
            )
        table = np.array(rows)
        return cls(table[table[:, 0] > 0])


def organ_changes(
    before: HuArray,
    after: HuArray,
    labels: LabelArray,
    names: Mapping[int, str],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[Metric]:
    """Figures of every organ that is large enough.

    Args:
        before: HU, [z, y, x].
        after: The same slices.
        labels: Class of each voxel; 0 is background.
        names: Name of each class.
        draws: How often the slices are drawn again for an interval.
        rng: Draws them.
    """
    for number in sorted(set(np.unique(labels).tolist()) - {0}):
        sums = _Sums.of(before, after, labels, number)
        if len(sums.slices) and sums.slices[:, 0].sum() >= FEWEST_VOXELS:
            name = names.get(number, f"class {number}")
            yield from _figures(sums.slices, name, draws, rng)


def organs_without_figures(labels: LabelArray, names: Mapping[int, str]) -> str:
    """Why some organs, or all of them, have no figures: words for people, empty if all have.

    Args:
        labels: Class of each voxel; 0 is background.
        names: Name of each class.
    """
    numbers, counts = np.unique(labels[labels > 0], return_counts=True)
    if not len(numbers):
        return "no voxel is labelled on the slices that were judged"
    small = [
        names.get(int(number), f"class {number}")
        for number, count in zip(numbers, counts, strict=True)
        if count < FEWEST_VOXELS
    ]
    if not small:
        return ""
    return f"fewer than {FEWEST_VOXELS} voxels on the slices that were judged: {', '.join(small)}"


def _figures(
    slices: DoubleArray, name: str, draws: int, rng: np.random.Generator
) -> Iterator[Metric]:
    count, before, after, before2, after2 = slices.sum(axis=0)
    weights = resampled(len(slices), draws, rng)
    ends = percentile_interval(weighted_ratio(weights, slices[:, 2] - slices[:, 1], slices[:, 0]))
    method = f"bootstrap over {len(slices)} slices, {draws} draws"
    interval = None if ends is None else Interval(*ends, method)
    mask, voxels = f"{name}, {count:.0f} voxels", max(count, 1.0)
    for when, total, squares in (("input", before, before2), ("output", after, after2)):
        mean = total / voxels
        spread = float(np.sqrt(max(squares / voxels - mean**2, 0.0)))
        yield _metric(f"organ_hu[{name}, {when}]", f"Mean of {name}, {when}", float(mean), mask)
        yield _metric(f"organ_sd[{name}, {when}]", f"SD in {name}, {when}", spread, mask)
    yield _metric(
        f"organ_drift[{name}]",
        f"Drift of {name}",
        float((after - before) / voxels),
        mask,
        better="near zero",
        interval=interval,
    )


def _metric(
    key: str,
    title: str,
    value: float,
    mask: str,
    *,
    better: Better = "neither",
    interval: Interval | None = None,
) -> Metric:
    return Metric(
        key,
        title,
        value,
        "HU",
        window="none",
        mask=mask,
        reduction="all voxels of the slices that were judged",
        better=better,
        description=f"{title}: voxels with this label, whatever noise and texture they hold.",
        interval=interval,
    )

"""A test volume against its reference: every number with its conventions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.evaluation import EvaluateSettings, WindowSettings
from ctdenoise.core.arrays import BoolArray, LabelArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.noise_level import sampled_slices
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.evaluation_metrics import Sums, metrics_of
from ctdenoise.metrics.grids import require_same_grid
from ctdenoise.metrics.slice_figures import (
    DIFFERENCE_EDGES,
    SliceFigures,
    SlicePair,
    slice_figures,
)
from ctdenoise.metrics.table import Evaluation, Histogram, SliceTable

Each = Callable[[Callable[[SlicePair], SliceFigures], Iterable[SlicePair]], Iterable[SliceFigures]]
"""Applies a function to each item, in order: `map`, or that of some threads."""


@dataclass(frozen=True, slots=True, eq=False)
class Organs:
    """Which voxels of the reference belong to which organ.

    Args:
        labels: Class of each voxel, uint8 [z, y, x].
        names: Name of each class, background first.
    """

    labels: LabelArray
    names: tuple[str, ...]


def evaluate(
    reference: CTVolume,
    test: CTVolume,
    settings: EvaluateSettings | None = None,
    *,
    body: BoolArray | None = None,
    organs: Organs | None = None,
    before: CTVolume | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Compare a test volume with its reference, slice by slice.

    Differences are test minus reference, in float64, and never clipped except in the windows of
    PSNR and SSIM. Voxels that are padding in any volume never count.

    Args:
        reference: The full-dose volume, or the known truth.
        test: The volume to judge.
        settings: Which windows; the defaults if None.
        body: Body mask of the reference, where the caller has it already.
        organs: Label map of the reference; None for no figures of organs.
        before: The volume that the test was made from; None where it is not there.
        progress: Told about every slice.

    Returns:
        The numbers. Those that cannot be computed (no body, no soft tissue) are None with a note.

    Raises:
        GeometryError: If the grids differ.
    """
    for one in (test, before):
        if one is not None:
            require_same_grid(reference.geometry, one.geometry)
    if body is None:
        body = body_mask(reference.hu, reference.padding)
    evaluator = Evaluator(
        reference.geometry, settings or EvaluateSettings(), () if organs is None else organs.names
    )
    with (
        progress.stage("Comparing", reference.shape[0]) as advance,
        in_threads(evaluator.settings) as each,
    ):
        pairs = evaluator.pairs(
            range(reference.shape[0]),
            reference,
            test,
            body,
            labels=None if organs is None else organs.labels,
            before=before,
        )
        evaluator.add(pairs, each, advance)
    return evaluator.evaluation()


def unique_windows(settings: EvaluateSettings) -> tuple[WindowSettings, ...]:
    """The windows of the settings, each once."""
    return tuple(dict.fromkeys(settings.windows))


@contextmanager
def in_threads(settings: EvaluateSettings) -> Iterator[Each]:
    """A `map` over as many threads as the settings say.

    The filters of numpy and scipy let other threads work meanwhile.
    """
    if settings.threads == 1:
        yield map
        return
    with ThreadPoolExecutor(settings.threads or _processors()) as pool:
        yield pool.map


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Evaluator:
    """Compares a test with its reference while their slices go by.

    Args:
        geometry: Grid of both.
        settings: Which windows.
        organs: Name of each class of the label map, background first; empty for none.
    """

    def __init__(
        self, geometry: Geometry, settings: EvaluateSettings, organs: Sequence[str] = ()
    ) -> None:
        self.settings = settings
        self._geometry = geometry
        self._windows = unique_windows(settings)
        self._sums = Sums(tuple(organs))
        self._sample = frozenset(sampled_slices(geometry.slices))

    def pairs(
        self,
        places: Sequence[int],
        reference: CTVolume,
        test: CTVolume,
        body: BoolArray,
        *,
        labels: LabelArray | None = None,
        before: CTVolume | None = None,
    ) -> Iterator[SlicePair]:
        """The slices of a block, ready to be compared.

        Args:
            places: Where in the scan they are.
            reference: The slices of the reference.
            test: Those of the test.
            body: Body of the reference in them.
            labels: Classes of the reference in them; None for none.
            before: The slices that the test was made from; None where they are not there.
        """
        volumes = [one for one in (reference, test, before) if one is not None]
        masks = [one.padding for one in volumes if one.padding is not None]
        for index, place in enumerate(places):
            yield SlicePair(
                reference.hu[index],
                test.hu[index],
                np.logical_or.reduce([mask[index] for mask in masks]) if masks else None,
                body[index],
                self._geometry.pixel_spacing_mm,
                None if labels is None else labels[index],
                None if before is None else before.hu[index],
                place in self._sample,
            )

    def add(self, pairs: Iterable[SlicePair], each: Each, advance: Callable[[int], None]) -> None:
        """Compare some slices, in their order.

        Args:
            pairs: As of `pairs`.
            each: How to apply a function to each of them.
            advance: Told about every slice.
        """
        for figures in each(self._figures, pairs):
            self._sums.add(figures)
            advance(1)

    def _figures(self, pair: SlicePair) -> SliceFigures:
        return slice_figures(pair, self._windows, with_vif=self.settings.vif)

    @property
    def worst(self) -> int | None:
        """The slice with the highest RMSE so far; None without a body."""
        found = [(one.rmse, n) for n, one in enumerate(self._sums.slices) if one.rmse is not None]
        return max(found)[1] if found else None

    def evaluation(self) -> Evaluation:
        """The numbers, when all slices went by."""
        sums = self._sums
        along = self._geometry.along_normal_mm()
        return Evaluation(
            tuple(metrics_of(sums, self._windows, self._geometry.pixel_spacing_mm)),
            SliceTable(tuple((along - along[0]).tolist()), sums.columns()),
            Histogram(DIFFERENCE_EDGES, sums.histogram),
            tuple(sums.slices),
            {name: tuple(found) for name, found in sums.by_tissue.items()},
        )

"""The patches of a plan, cut out of the volumes a whole batch at once.

Turning and mirroring are part of the index arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import FloatArray
from ctdenoise.io.pair_images import LARGEST_HU, PADDING_HU, SMALLEST_HU, StoredArray
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.own_noise import MoreOwnNoise
from ctdenoise.simulation.patch_noise import Places
from ctdenoise.training.changes import PatchChanges
from ctdenoise.training.expected_noise import ExpectedNoise
from ctdenoise.training.indexing import IndexArray, patch_steps
from ctdenoise.training.plans import BatchPlan, PatchSource
from ctdenoise.training.symmetries import turned


@dataclass(frozen=True, slots=True, eq=False)
class StoredBatch:
    """A gathered batch as stored.

    Args:
        low: Low-dose patches, int16 HU [batch, y, x].
        full: Full-dose patches, like `low`.
        labels: Class of each pixel, uint8 [batch, y, x], or None.
        noise: Standard deviation of the noise to remove, HU, float32 [batch, y, x], or None.
        changes: What is done to the patches afterwards; None where nothing is.
        target_hu: What a lesson makes the target, HU, float32 [batch, y, x]; None for `full`.
        weight: How much each pixel counts then, float32 [batch, y, x]; None with it.
        beside: The low dose at the same place in the slices before, then in those after, int16 HU
            [batch, slice, y, x]; None for networks that see one slice alone.
    """

    low: StoredArray
    full: StoredArray
    labels: npt.NDArray[np.uint8] | None
    noise: FloatArray | None = None
    changes: PatchChanges | None = None
    target_hu: FloatArray | None = None
    weight: FloatArray | None = None
    beside: StoredArray | None = None


class GatherPatches:
    """Cuts the patches of a plan out of the volumes, turned as planned.

    Args:
        sources: The series that the plan counts.
        size: Edge of what is cut out, pixels (`PatchSettings.window`).
    """

    def __init__(self, sources: Sequence[PatchSource], size: int) -> None:
        self.sources = tuple(sources)
        self.size = size

    def __call__(self, plan: BatchPlan) -> StoredBatch:
        """The patches of a plan, in its order."""
        shape = (len(plan.source), self.size, self.size)
        around = self.sources[0].around
        slices = 1 if around is None else around.shape[1]
        seen = np.empty((shape[0], slices, *shape[1:]), dtype=np.int16)
        low = seen[:, slices // 2]
        full = np.empty(shape, dtype=np.int16)
        labelled = self.sources[0].labels is not None
        labels = np.empty(shape, dtype=np.uint8) if labelled else None
        told = self.sources[0].expected is not None
        noise = np.empty(shape, dtype=np.float32) if told else None
        for number in np.unique(plan.source):
            source = self.sources[number]
            chosen = np.flatnonzero(plan.source == number)
            index = self._index(plan, chosen, source.full.shape)
            full[chosen] = np.take(source.full.reshape(-1), index)
            self._fill(seen, full, source, plan, chosen, index)
            if noise is not None and source.expected is not None:
                for patch in chosen:
                    noise[patch] = self._expected(source.expected, plan, patch)
            if labels is not None and source.labels is not None and source.classes is not None:
                labels[chosen] = source.classes[np.take(source.labels.reshape(-1), index)]
        target_hu, weight = None, None
        if self.sources[0].lesson is not None:
            target_hu, weight = self._taught(low, full, plan)
        beside = None if around is None else np.delete(seen, slices // 2, axis=1)
        return StoredBatch(low, full, labels, noise, plan.changes, target_hu, weight, beside)

    def _fill(
        self,
        seen: StoredArray,
        full: StoredArray,
        source: PatchSource,
        plan: BatchPlan,
        chosen: IndexArray,
        index: IndexArray,
    ) -> None:
        """Fill in the low dose of the chosen patches of a source, [patch, slice, y, x]."""
        where, shown = index[:, None], full[chosen][:, None]
        if source.around is not None:
            z = plan.z[chosen]
            pixels = (source.around[z] - z[:, None]) * (source.full.size // len(source.full))
            where = where + pixels[:, :, None, None]
            shown = np.take(source.full.reshape(-1), where)
        if source.fresh is not None:
            seen[chosen] = self._with_noise(shown, source.fresh, plan, chosen, source.around)
            return
        for dose in np.unique(plan.dose[chosen]):
            same = plan.dose[chosen] == dose
            seen[chosen[same]] = np.take(source.low[dose].reshape(-1), where[same])

    def _taught(
        self, low: StoredArray, full: StoredArray, plan: BatchPlan
    ) -> tuple[FloatArray, FloatArray]:
        """Target, HU, and weight by the lessons of the sources; `low` becomes what they show."""
        target_hu, weight = np.empty(low.shape, np.float32), np.empty(low.shape, np.float32)
        for patch, number in enumerate(plan.source):
            lesson = self.sources[number].lesson
            if lesson is not None:
                place = plan.place(patch, self.size)
                taught = lesson.taught(low[patch], full[patch], place)
                low[patch], target_hu[patch], weight[patch] = taught
        return target_hu, weight

    def _with_noise(
        self,
        full: StoredArray,
        fresh: FreshNoise | MoreOwnNoise,
        plan: BatchPlan,
        chosen: IndexArray,
        around: IndexArray | None,
    ) -> StoredArray:
        """Full-dose patches, [patch, slice, y, x], with the noise of the seeds of their plan."""
        places = Places(plan.z[chosen], plan.row[chosen], plan.column[chosen], self.size)
        doses, seeds = plan.dose_fraction[chosen].tolist(), plan.noise_seed[chosen].tolist()
        if around is None:
            drawn = fresh.draw_all(places, doses, seeds)
        else:
            drawn = fresh.draw_around(places, around[places.z], doses, seeds)
        symmetries = np.repeat(plan.symmetry[chosen], full.shape[1]).tolist()
        flat = drawn.reshape(-1, self.size, self.size)
        noise = np.array([turned(*each) for each in zip(flat, symmetries, strict=True)])
        noise = noise.reshape(full.shape)
        low = np.clip(np.rint(full + noise), SMALLEST_HU, LARGEST_HU).astype(np.int16)
        return np.where(full == PADDING_HU, full, low)

    def _expected(self, expected: ExpectedNoise, plan: BatchPlan, patch: np.int64) -> FloatArray:
        """Standard deviation of the noise of a patch, HU, turned as planned."""
        noise = expected.of(
            int(plan.z[patch]),
            (int(plan.row[patch]), int(plan.column[patch])),
            self.size,
            low=int(plan.dose[patch]),
            dose=float(plan.dose_fraction[patch]),
        )
        return turned(noise, int(plan.symmetry[patch]))

    def _index(
        self, plan: BatchPlan, chosen: IndexArray, shape: tuple[int, ...]
    ) -> npt.NDArray[np.int64]:
        """Place of every pixel of the chosen patches in the flat volume, [patch, y, x]."""
        _, rows, columns = shape
        first = (plan.z[chosen] * rows + plan.row[chosen]) * columns + plan.column[chosen]
        found = patch_steps(first, columns, plan.symmetry[chosen], self.size)
        start, along_y, along_x = (each[:, None, None] for each in found)
        steps = np.arange(self.size)
        index: npt.NDArray[np.int64] = start + along_y * steps[:, None] + along_x * steps
        return index

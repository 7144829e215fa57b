"""Batches of patches: drawn first, gathered second.

`BatchPlans` draws where each patch of a step comes from, from the seed and the step alone, so a
resumed run sees what an uninterrupted one would have seen. `GatherPatches` reads a whole batch at
once from the memory-mapped volumes; turning and mirroring are part of the index arithmetic.
`ToNetworkScale` makes tensors. They are the data and the transforms of a `monai.data.Dataset`, so
further MONAI transforms on a `PatchBatch` can follow.

This is the file by which MONAI enters training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from monai.data import Dataset, get_track_meta, set_track_meta
from monai.transforms import Compose
from torch import Tensor

from ctdenoise.config.training import PatchSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.randomness import stream
from ctdenoise.core.units import AIR_HU
from ctdenoise.errors import SettingsError, listed
from ctdenoise.io.pair_images import LARGEST_HU, PADDING_HU, SMALLEST_HU, StoredArray
from ctdenoise.losses.build import Target
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.training.expected_noise import ExpectedNoise
from ctdenoise.training.labels import ClassTable
from ctdenoise.training.shares import ShareOfPlans
from ctdenoise.training.symmetries import SYMMETRIES, turned

PLACES = 8
"""Places drawn for each patch; the first with enough body is taken."""

PROBES = 8
"""Body is looked for on a grid of this many points along each edge of a patch."""

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PatchSource:
    """Slices of one series that patches are cut from.

    Args:
        full: Full dose, int16 HU [z, y, x], contiguous.
        low: Low doses, like `full`.
        classes: Class of each pixel from labels, or None where labels are not used.
        labels: Label of each pixel, uint8 [z, y, x]; None where labels are not used.
        fresh: Draws new noise for every patch; None where the low doses are used.
        expected: How noisy each patch is; None for networks that are not told.
    """

    full: StoredArray
    low: tuple[StoredArray, ...]
    labels: npt.NDArray[np.uint8] | None = None
    classes: ClassTable | None = None
    fresh: FreshNoise | None = None
    expected: ExpectedNoise | None = None


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """Where the patches of one step come from; every array is int64 [batch].

    Args:
        source: Which series.
        dose: Which of its low doses.
        z: Slice.
        row: First row.
        column: First column.
        symmetry: How the patch is turned, 0 to 7 (see `symmetries`).
        dose_fraction: Dose of fresh noise, float64 [batch]; NaN where the low doses are used.
        noise_seed: Seed of fresh noise.
    """

    source: IndexArray
    dose: IndexArray
    z: IndexArray
    row: IndexArray
    column: IndexArray
    symmetry: IndexArray
    dose_fraction: npt.NDArray[np.float64]
    noise_seed: IndexArray


# Batches are no tuples: MONAI takes tuples apart.


@dataclass(frozen=True, slots=True, eq=False)
class PatchBatch:
    """What one training step sees.

    Args:
        low: Low-dose patches in network scale, float32 [batch, 1, y, x].
        target: Full-dose patches and, if used, labels.
        noise: Standard deviation of the noise of `low`, like it; None for networks not told.
    """

    low: Tensor
    target: Target
    noise: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """What the network is given, [batch, channel, y, x]."""
        return self.low if self.noise is None else torch.cat((self.low, self.noise), dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class StoredBatch:
    """A gathered batch as stored.

    Args:
        low: Low-dose patches, int16 HU [batch, y, x].
        full: Full-dose patches, like `low`.
        labels: Class of each pixel, uint8 [batch, y, x], or None.
        noise: Standard deviation of the noise of `low`, HU, float32 [batch, y, x], or None.
    """

    low: StoredArray
    full: StoredArray
    labels: npt.NDArray[np.uint8] | None
    noise: FloatArray | None = None


class BatchPlans(Sequence[BatchPlan]):
    """The plan of every step, drawn when asked for.

    A series is drawn in proportion to its training slices, a dose evenly among the series' low
    doses.

    Args:
        sources: The series.
        settings: Size of a patch, what counts as body.
        batch_size: Patches in a step.
        steps: Number of plans.
        seed: The run's seed; a plan depends on it, its step and the series, nothing else.
        doses: Range of doses of fresh noise; None where the low doses are used.

    Raises:
        SettingsError: If a patch does not fit into a series.
    """

    def __init__(
        self,
        sources: Sequence[PatchSource],
        settings: PatchSettings,
        *,
        batch_size: int,
        steps: int,
        seed: int,
        doses: tuple[float, float] | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self.settings = settings
        self.doses = doses
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self._shapes = np.array([source.full.shape for source in self.sources], dtype=np.int64)
        self._doses = np.array([len(source.low) for source in self.sources], dtype=np.int64)
        self._slices_before = np.cumsum(self._shapes[:, 0])
        small = sorted({f"{y} x {x}" for _, y, x in self._shapes if min(y, x) < settings.size})
        if small:
            raise SettingsError(
                f"patches of {settings.size} pixels do not fit into slices of:\n{listed(small)}",
                where="patches.size",
                fix="Make the patches smaller, or leave these series out.",
            )

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> BatchPlan:  # type: ignore[override]  # no slices of plans
        rng = stream(self.seed, "patches", step)
        count, size = self.batch_size, self.settings.size
        pick = rng.integers(0, self._slices_before[-1], count)
        source = np.searchsorted(self._slices_before, pick, side="right")
        dose = rng.integers(0, self._doses[source])
        symmetry = rng.integers(0, SYMMETRIES, count)
        slices, rows, columns = self._shapes[source].T[:, :, None]
        z = rng.integers(0, np.broadcast_to(slices, (count, PLACES)))
        row = rng.integers(0, np.broadcast_to(rows - size + 1, (count, PLACES)))
        column = rng.integers(0, np.broadcast_to(columns - size + 1, (count, PLACES)))
        body = self._body_share(source, z, row, column)
        enough = body >= self.settings.least_body
        place = np.where(enough.any(axis=1), enough.argmax(axis=1), body.argmax(axis=1))
        which = (np.arange(count), place)
        if not self.settings.augment:
            symmetry = np.zeros_like(symmetry)
        fraction, noise_seed = np.full(count, np.nan), np.zeros(count, np.int64)
        if self.doses is not None:
            lowest, highest = np.log(self.doses)
            fraction = np.exp(rng.uniform(lowest, highest, count))
            noise_seed = rng.integers(0, 2**63 - 1, count)
        places = (z[which], row[which], column[which])
        return BatchPlan(source, dose, *places, symmetry, fraction, noise_seed)

    def _body_share(
        self, source: IndexArray, z: IndexArray, row: IndexArray, column: IndexArray
    ) -> npt.NDArray[np.float64]:
        """Share of body in each place, measured on a coarse grid, [batch, place]."""
        probes = np.linspace(0, self.settings.size - 1, PROBES).round().astype(np.int64)
        share = np.empty(z.shape)
        for number in np.unique(source):
            full = self.sources[number].full
            _, rows, columns = full.shape
            chosen = source == number
            first = (z[chosen] * rows + row[chosen]) * columns + column[chosen]
            grid = probes[:, None] * columns + probes
            values = np.take(full.reshape(-1), first[:, :, None, None] + grid)
            share[chosen] = (values > self.settings.body_above_hu).mean(axis=(2, 3))
        return share


class GatherPatches:
    """Cuts the patches of a plan out of the volumes, turned as planned.

    Args:
        sources: The series that the plan counts.
        size: Edge of a patch, pixels.
    """

    def __init__(self, sources: Sequence[PatchSource], size: int) -> None:
        self.sources = tuple(sources)
        self.size = size

    def __call__(self, plan: BatchPlan) -> StoredBatch:
        """The patches of a plan, in its order."""
        shape = (len(plan.source), self.size, self.size)
        low = np.empty(shape, dtype=np.int16)
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
            if source.fresh is not None:
                for patch in chosen:
                    low[patch] = self._with_noise(full[patch], source.fresh, plan, patch)
            if noise is not None and source.expected is not None:
                for patch in chosen:
                    noise[patch] = self._expected(source.expected, plan, patch)
            for dose in () if source.fresh is not None else np.unique(plan.dose[chosen]):
                same = plan.dose[chosen] == dose
                low[chosen[same]] = np.take(source.low[dose].reshape(-1), index[same])
            if labels is not None and source.labels is not None and source.classes is not None:
                labels[chosen] = source.classes[np.take(source.labels.reshape(-1), index)]
        return StoredBatch(low, full, labels, noise)

    def _with_noise(
        self, full: StoredArray, fresh: FreshNoise, plan: BatchPlan, patch: np.int64
    ) -> StoredArray:
        """A full-dose patch, turned as planned, with the noise that its plan holds the seed of."""
        noise = fresh.draw(
            int(plan.z[patch]),
            (int(plan.row[patch]), int(plan.column[patch])),
            self.size,
            dose=float(plan.dose_fraction[patch]),
            seed=int(plan.noise_seed[patch]),
        )
        noise = turned(noise, int(plan.symmetry[patch]))
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
        symmetry = plan.symmetry[chosen]
        mirror_rows, mirror_columns = symmetry & 1 == 1, symmetry & 2 == 2
        transpose = symmetry & 4 == 4
        last = self.size - 1
        first = (plan.z[chosen] * rows + plan.row[chosen]) * columns + plan.column[chosen]
        first = first + mirror_rows * (last * columns) + mirror_columns * last
        along_y = np.where(mirror_rows, -columns, columns)
        along_x = np.where(mirror_columns, -1, 1)
        along_y, along_x = (
            np.where(transpose, along_x, along_y),
            np.where(transpose, along_y, along_x),
        )
        steps = np.arange(self.size)
        index: npt.NDArray[np.int64] = (
            first[:, None, None]
            + along_y[:, None, None] * steps[:, None]
            + along_x[:, None, None] * steps
        )
        return index


class ToNetworkScale:
    """Stored patches as tensors on a device, in network scale.

    Padding becomes air in both images, as it does when a network is used.

    Args:
        hu_range: The network's scale.
        device: Where the tensors go; integers travel, scaling is done there.
    """

    def __init__(self, hu_range: HuRange, device: torch.device) -> None:
        self.hu_range = hu_range
        self.device = device

    def __call__(self, batch: StoredBatch) -> PatchBatch:
        """The batch as tensors."""
        labels = None if batch.labels is None else self.moved(batch.labels).long()
        low = self.scaled(batch.low)
        noise = None if batch.noise is None else self.noise(batch.noise)
        return PatchBatch(low, Target(self.scaled(batch.full), labels, low), noise)

    def noise(self, noise_hu: FloatArray) -> Tensor:
        """Standard deviations as float32 [batch, 1, y, x] in network scale.

        Args:
            noise_hu: HU, float32 [batch, y, x].
        """
        return (self.moved(noise_hu) * (1.0 / self.hu_range.width_hu))[:, None]

    def scaled(self, stored: StoredArray) -> Tensor:
        """Stored slices as float32 [batch, 1, y, x] in network scale.

        Args:
            stored: int16 HU [batch, y, x].
        """
        values = self.moved(stored)
        hu = values.float().masked_fill_(values == PADDING_HU, AIR_HU)
        return self.hu_range.to_network(hu)[:, None]

    def moved(self, array: npt.NDArray[np.generic]) -> Tensor:
        """An array as a tensor on the device."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor


class PatchBatches(Sequence[PatchBatch]):
    """One batch for every step, through a MONAI dataset.

    Args:
        plans: What to cut in each step.
        hu_range: The network's scale.
        device: Where the tensors go.
        transforms: Further transforms of a `PatchBatch`, MONAI's or others, applied in order.
    """

    def __init__(
        self,
        plans: BatchPlans | ShareOfPlans,
        hu_range: HuRange,
        device: torch.device,
        transforms: Sequence[Callable[[PatchBatch], PatchBatch]] = (),
    ) -> None:
        gather = GatherPatches(plans.sources, plans.settings.size)
        steps = Compose([gather, ToNetworkScale(hu_range, device), *transforms])
        self.dataset = Dataset(plans, steps)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, step: int) -> PatchBatch:  # type: ignore[override]  # no slices of batches
        with plain_tensors():
            return cast("PatchBatch", self.dataset[step])


@contextmanager
def plain_tensors() -> Iterator[None]:
    """MONAI without metadata on its tensors, inside the block only."""
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)

"""Where the patches of every step come from, drawn before anything is read.

A plan depends on the seed and its step alone, so a resumed run sees what an uninterrupted one would
have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctdenoise.config.training import PatchSettings
from ctdenoise.core.randomness import stream
from ctdenoise.errors import SettingsError, listed
from ctdenoise.io.pair_images import StoredArray
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.own_noise import MoreOwnNoise
from ctdenoise.training.changes import PatchChanges
from ctdenoise.training.expected_noise import ExpectedNoise
from ctdenoise.training.indexing import IndexArray
from ctdenoise.training.labels import ClassTable
from ctdenoise.training.lessons import Lesson, Place
from ctdenoise.training.symmetries import SYMMETRIES

PLACES = 8
"""Places drawn for each patch; the first with enough body is taken."""

PROBES = 8
"""Body is looked for on a grid of this many points along each edge of a patch."""


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
        lesson: Makes the target; None where it is the full dose.
        around: The slices that form one input around each slice, int64 [slice, channel], of an odd
            number of channels (`core.neighbours`); None for networks that see each slice alone.
    """

    full: StoredArray
    low: tuple[StoredArray, ...]
    labels: npt.NDArray[np.uint8] | None = None
    classes: ClassTable | None = None
    fresh: FreshNoise | MoreOwnNoise | None = None
    expected: ExpectedNoise | None = None
    lesson: Lesson | None = None
    around: IndexArray | None = None

    @property
    def is_stored(self) -> bool:
        """Whether all that patches show is stored, and nothing is computed for each."""
        return self.fresh is None and self.expected is None and self.lesson is None


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """Where the patches of one step come from; every array is int64 [batch].

    Args:
        source: Which series.
        dose: Which of its low doses.
        z: Slice.
        row: First row of the window that is cut out (`PatchSettings.window`).
        column: First column.
        symmetry: How the patch is turned, 0 to 7 (see `symmetries`).
        dose_fraction: Dose of fresh noise, float64 [batch]; NaN where the low doses are used.
        noise_seed: Seed of fresh noise and of lessons.
        changes: What is done to the patches afterwards; None where nothing is.
    """

    source: IndexArray
    dose: IndexArray
    z: IndexArray
    row: IndexArray
    column: IndexArray
    symmetry: IndexArray
    dose_fraction: npt.NDArray[np.float64]
    noise_seed: IndexArray
    changes: PatchChanges | None = None

    def place(self, patch: int, size: int) -> Place:
        """Where a patch lies, for its lesson.

        Args:
            patch: Its number in the batch.
            size: Edge, pixels.
        """
        return Place(
            z=int(self.z[patch]),
            corner=(int(self.row[patch]), int(self.column[patch])),
            size=size,
            low=int(self.dose[patch]),
            dose=float(self.dose_fraction[patch]),
            symmetry=int(self.symmetry[patch]),
            seed=int(self.noise_seed[patch]),
        )


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
        self._has_lessons = any(source.lesson is not None for source in self.sources)
        self._shapes = np.array([source.full.shape for source in self.sources], dtype=np.int64)
        self._doses = np.array([len(source.low) for source in self.sources], dtype=np.int64)
        self._slices_before = np.cumsum(self._shapes[:, 0])
        window = settings.window
        small = sorted({f"{y} x {x}" for _, y, x in self._shapes if min(y, x) < window})
        if small:
            scaled = f" scaled from up to {window} pixels" if settings.scales else ""
            raise SettingsError(
                f"patches of {settings.size} pixels{scaled} do not fit into slices of:\n"
                f"{listed(small)}",
                where="patches.size",
                fix="Make the patches smaller, or leave these series out.",
            )

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> BatchPlan:  # type: ignore[override]  # no slices of plans
        rng = stream(self.seed, "patches", step)
        count, size = self.batch_size, self.settings.window
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
        if self.doses is not None or self._has_lessons:
            noise_seed = rng.integers(0, 2**63 - 1, count)
        places = (z[which], row[which], column[which])
        changes = self._changes(step)
        return BatchPlan(source, dose, *places, symmetry, fraction, noise_seed, changes)

    def seeds(self, step: int) -> IndexArray:
        """A seed for every patch of a step, for random transforms that follow, [batch]."""
        return stream(self.seed, "transforms", step).integers(0, 2**32, self.batch_size)

    def _changes(self, step: int) -> PatchChanges | None:
        """Scales and jitter, from a stream of their own: places and noise are as without them."""
        settings = self.settings
        if not (settings.scales or settings.jitter_hu or settings.jitter_gain):
            return None
        rng = stream(self.seed, "patch changes", step)
        where, gain, offset = rng.random((3, self.batch_size))
        smallest, largest = np.log([settings.smallest_scale, settings.largest_scale])
        return PatchChanges(
            size=settings.size,
            scale=np.exp(smallest + where * (largest - smallest)) if settings.scales else None,
            gain=1 + settings.jitter_gain * (2 * gain - 1),
            offset_hu=settings.jitter_hu * (2 * offset - 1),
        )

    def _body_share(
        self, source: IndexArray, z: IndexArray, row: IndexArray, column: IndexArray
    ) -> npt.NDArray[np.float64]:
        """Share of body in each place, measured on a coarse grid, [batch, place]."""
        probes = np.linspace(0, self.settings.window - 1, PROBES).round().astype(np.int64)
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

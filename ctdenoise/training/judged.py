"""Held-out slices that judge a network where nobody has a full dose without noise.

They are made like what is trained on, once and for all: the network is judged by the risk that
training makes small. It is the squared error against the image without noise, plus the variance of
the target's noise, which no network changes: differences between two networks are differences of
their true errors, as far as the noise of input and target is uncorrelated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctdenoise.config.networks import slices_seen
from ctdenoise.config.supervision import SupervisionSettings, needs_pairs
from ctdenoise.config.training import PairNoiseSettings, TrainSettings
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.io.pair_images import LARGEST_HU, PADDING_HU, SMALLEST_HU
from ctdenoise.metrics.noise_map import SLICES_BESIDE
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.plans import BatchPlan
from ctdenoise.training.sources import Sources, doses_drawn
from ctdenoise.training.split import SliceRange
from ctdenoise.training.validation import ValidationSlice, centre, places

FULL_DOSE = "the full dose"
"""What judges where pairs are learnt from as they are."""


def what_judges(supervision: SupervisionSettings) -> str:
    """What `val_rmse_hu` compares the denoised slices with, for people."""
    match supervision.name:
        case "pairs":
            return FULL_DOSE
        case "noisy_target":
            return "the full dose, corrected for its own noise; what is left of it counts as error"
        case "recorrupted":
            return "the held-out scan with its noise changed; that noise counts as error"
        case "noise2sim":
            return "the slice beside, where both agree; its noise counts as error"
        case "noise2void":
            return "the hidden pixels; their noise counts as error"


def judged_slices(
    ranges: Sequence[SliceRange],
    settings: TrainSettings,
    sources: Sources,
    *,
    multiple_of: int,
    seed: int,
) -> tuple[ValidationSlice, ...]:
    """The slices to measure: spread evenly, low doses in turn, a square at the centre.

    Args:
        ranges: The held-out slices.
        settings: Of the run.
        sources: Of the run; what was measured for them is not measured again.
        multiple_of: What the network asks sizes to be a multiple of.
        seed: Of the run; decides the noise.
    """
    if needs_pairs(settings.supervision):
        # Their twins judge, the same each time, as they do where the target is not corrected.
        settings = settings.replaced(noise=PairNoiseSettings())
        sources = Sources(settings)
    doses = doses_drawn(settings)
    found = list(places(ranges, settings.validation.slices))
    chosen = []
    for number, (part, z) in enumerate(found):
        dose = np.nan
        if doses is not None:
            share = (number + 0.5) / len(found)
            dose = float(doses[0] * (doses[1] / doses[0]) ** share)
        noise_seed = draw_seed(stream(seed, "validation", number))
        chosen.append(
            _judged(part, z, sources, settings, number, dose, noise_seed, multiple_of=multiple_of)
        )
    return tuple(chosen)


def _judged(  # noqa: PLR0913 - what was chosen and drawn for one slice
    part: SliceRange,
    z: int,
    sources: Sources,
    settings: TrainSettings,
    number: int,
    dose: float,
    seed: int,
    *,
    multiple_of: int,
) -> ValidationSlice:
    apart = sources.slices_beside(part)
    z = min(max(z, part.start + apart), max(part.start, part.stop - 1 - apart))
    # The noise is measured in a few slices, as it is when a network is put to work.
    beside = apart + max(SLICES_BESIDE, slices_seen(settings.network) // 2)
    slab = SliceRange(part.files, max(part.start, z - beside), min(part.stop, z + beside + 1))
    source = sources.of(slab)
    _, rows, columns = part.files.shape
    side = centre(min(rows, columns), settings.validation.crop, multiple_of)
    size = side.stop - side.start
    one = np.ones(1, np.int64)
    plan = BatchPlan(
        source=0 * one,
        dose=number % len(source.low) * one,
        z=(z - slab.start - apart) * one,
        row=(rows - size) // 2 * one,
        column=(columns - size) // 2 * one,
        symmetry=0 * one,
        dose_fraction=dose * np.ones(1),
        noise_seed=seed * one,
    )
    batch = GatherPatches([source], size)(plan)
    shown = None if batch.beside is None else batch.beside[0]
    if batch.target_hu is None or batch.weight is None:
        return ValidationSlice(batch.low[0], batch.full[0], beside=shown)
    target = np.clip(np.rint(batch.target_hu[0]), SMALLEST_HU, LARGEST_HU).astype(np.int16)
    return ValidationSlice(
        low=batch.low[0],
        full=np.where(batch.full[0] == PADDING_HU, np.int16(PADDING_HU), target),
        noise=None if batch.noise is None else batch.noise[0],
        weight=batch.weight[0],
        beside=shown,
    )

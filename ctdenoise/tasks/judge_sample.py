"""Some slices of a scan, denoised: a judgement needs no more, and memory does not grow with a scan.

The denoiser is settled on the scan as `infer` settles it; then the slices that were picked, evenly
spread, are read with as many neighbours as the denoiser looks at, and denoised one by one. Each has
the voxels that `infer` would give it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import BoolArray, LabelArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.progress import Progress
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.method import Block, Sample
from ctdenoise.io.read import SeriesReader
from ctdenoise.tasks.infer_blocks import read_sample


@dataclass(frozen=True, slots=True, eq=False)
class JudgedScan:
    """Some slices of a scan before and after.

    Args:
        before: As they were read.
        after: The same, denoised.
        body: Where the body is, [z, y, x].
        places: Which slices of the scan they are, counted from 0.
        slices: How many the scan has.
        labels: Class of every voxel, where somebody labels them; None otherwise.
        truth: What the slices would be without noise, or with less; None where unknown.
    """

    before: CTVolume
    after: CTVolume
    body: BoolArray
    places: tuple[int, ...]
    slices: int
    labels: LabelArray | None = None
    truth: CTVolume | None = None


def judged_places(slices: int, most: int) -> list[int]:
    """The slices that are denoised: evenly spread, each in the middle of its stretch of the scan.

    Args:
        slices: How many there are.
        most: How many to take.
    """
    if slices <= most:
        return list(range(slices))
    return [int(place) for place in (np.arange(most) + 0.5) * slices / most]


def denoised_slices(
    reader: SeriesReader,
    denoiser: Denoiser,
    places: Sequence[int],
    *,
    with_labels: bool,
    sample: Sample | None = None,
    progress: Progress,
) -> tuple[CTVolume, CTVolume, LabelArray | None]:
    """Slices of a scan before and after, and what the denoiser labels them with.

    Args:
        reader: The scan, open for reading.
        denoiser: What denoises.
        places: Which slices, ascending.
        with_labels: Whether every voxel is to be labelled.
        sample: Slices that the denoiser is settled on; read if None.
        progress: Told about every slice.

    Raises:
        StudyError: If the scan cannot be read right.
    """
    measured = read_sample(reader, denoiser.context) if sample is None else sample
    denoising = denoiser.settle(measured, reader, labels=with_labels)
    before = reader.read(list(places))
    hu = np.empty_like(before.hu)
    labels: LabelArray | None = np.zeros(before.shape, dtype=np.uint8) if with_labels else None
    with progress.stage(f"Denoising ({denoiser.name})", len(places)) as advance:
        for number, place in enumerate(places):
            block = _block(reader, before, number, place, denoiser.context)
            denoised = denoising.denoise(block)
            hu[number] = denoised.volume.hu[0]
            if labels is not None and denoised.estimates.labels is not None:
                labels[number] = denoised.estimates.labels[0]
            advance()
    return before, before.with_hu(hu, denoising.step), labels


def _block(reader: SeriesReader, before: CTVolume, number: int, place: int, context: int) -> Block:
    """One slice with those around it."""
    if context == 0:
        return Block(before.select([number]), place, slice(0, 1))
    first = max(0, place - context)
    around = slice(first, min(reader.shape[0], place + context + 1))
    return Block(reader.read(around), first, slice(place - first, place - first + 1))


def bodies(volume: CTVolume) -> BoolArray:
    """Where the body is in each slice."""
    return body_mask(volume.hu, volume.padding)

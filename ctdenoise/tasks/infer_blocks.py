"""Reading a series in blocks for a denoiser: no slice is read twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.method import Block, Sample, plan_blocks, sample_places
from ctdenoise.io.read import SeriesReader

_Known = dict[int, tuple[CTVolume, int]]
"""Slices of the series that are in memory: a volume, and the place in it."""


def read_sample(series: SeriesReader, context: int = 0) -> Sample:
    """The slices of a series that are measured before it is denoised.

    Args:
        series: Open for reading.
        context: Slices on either side that the denoiser looks at.

    Raises:
        StudyError: If they cannot be read right.
    """
    places = sample_places(series.shape[0], context)
    whole = len(places) == series.shape[0]
    return Sample(series.read(slice(None) if whole else places), tuple(places))


def read_blocks(
    series: SeriesReader, sample: Sample, *, size: int, context: int
) -> Iterator[Block]:
    """All slices of a series, in order, in blocks.

    What is in memory already is not read again: slices of the sample, and those that two blocks
    share as context.

    Args:
        series: Open for reading.
        sample: Slices of it that were read before.
        size: Slices of a block; the last may have fewer.
        context: Slices around each block, as far as there are any.

    Raises:
        StudyError: If the series cannot be read right.
    """
    slices = series.shape[0]
    sampled: _Known = {index: (sample.volume, at) for at, index in enumerate(sample.places)}
    shared: _Known = {}
    for plan in plan_blocks(slices, size=size, context=context):
        if len(sampled) == slices:
            volume = sample.volume.select(plan.outer)
        else:
            volume = _read(series, range(plan.outer.start, plan.outer.stop), sampled | shared)
        yield Block(volume, plan.outer.start, plan.inner)
        first = plan.outer.start
        kept = range(max(first, plan.outer.stop - 2 * context), plan.outer.stop)
        shared = {index: (volume, index - first) for index in kept}


def _read(series: SeriesReader, wanted: range, known: _Known) -> CTVolume:
    missing = [index for index in wanted if index not in known]
    if len(missing) == len(wanted):
        return series.read(slice(wanted.start, wanted.stop))
    if missing:
        read = series.read(missing)
        known = known | {index: (read, at) for at, index in enumerate(missing)}
    hu: HuArray = np.empty((len(wanted), *series.shape[1:]), dtype=np.float32)
    padding: BoolArray = np.zeros(hu.shape, dtype=np.bool_)
    for place, index in enumerate(wanted):
        volume, at = known[index]
        hu[place] = volume.hu[at]
        if volume.padding is not None:
            padding[place] = volume.padding[at]
    return CTVolume(
        hu,
        series.geometry.select(list(wanted)),
        series.acquisition.select(list(wanted)),
        None if series.source is None else series.source.select(list(wanted)),
        series.history,
        padding,
    )

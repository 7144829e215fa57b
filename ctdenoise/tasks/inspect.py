"""`ctdenoise inspect`: what lies in a folder, and what of it can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.read import open_series
from ctdenoise.io.study import FoundSeries, find_series, named_series
from ctdenoise.tasks.inspect_report import NoiseFacts, SliceNoise

NOISE_SLICES = 8
"""Slices of a series that noise is measured in, evenly spread."""


def run(path: Path) -> tuple[FoundSeries, ...]:
    """Every series below a folder or in a file, readable or not, from headers alone.

    Args:
        path: A folder, a DICOM file or a NIfTI file.

    Raises:
        StudyError: If there is no DICOM or NIfTI at all.
    """
    return find_series(path)


def named(found: tuple[FoundSeries, ...], wanted: str, *, where: Path) -> FoundSeries:
    """The series that a name fits, readable or not; see `named_series`.

    Args:
        found: Series of a folder.
        wanted: Its number, the end of its UID or a part of its description.
        where: The folder, for the message.

    Raises:
        UsageError: If nothing or more than one thing fits.
    """
    return named_series(found, wanted, where=where)


def measure_noise(series: FoundSeries) -> NoiseFacts:
    """Noise of a series in soft tissue, from at most NOISE_SLICES of its slices.

    Args:
        series: A found series.
    """
    if not series.readable:
        return NoiseFacts(None, "the series cannot be read")
    try:
        with open_series(series) as reader:
            indices = spread(reader.geometry.slices, NOISE_SLICES)
            sample = reader.read(indices)
            along = reader.geometry.along_normal_mm()[indices]
    except CTDenoiseError as error:
        return NoiseFacts(None, str(error))
    slices = tuple(
        _noise_of_slice(sample.select([place]), index + 1, float(position))
        for place, (index, position) in enumerate(zip(indices, along, strict=True))
    )
    level = noise_level_hu(sample.hu, sample.padding, sample.geometry.pixel_spacing_mm)
    reason = slices[len(slices) // 2].reason or "too little soft tissue" if level is None else ""
    return NoiseFacts(level, reason, slices)


def _noise_of_slice(sample: CTVolume, number: int, position_mm: float) -> SliceNoise:
    body = body_mask(sample.hu, sample.padding)
    if not body.any():
        return SliceNoise(number, position_mm, None, "no body in it")
    spacing = sample.geometry.pixel_spacing_mm
    level = noise_level_hu(sample.hu, sample.padding, spacing, body=body)
    reason = "" if level is not None else "too little soft tissue (-30 to 200 HU) without edges"
    return SliceNoise(number, position_mm, level, reason)


def spread(slices: int, most: int) -> list[int]:
    """Indices of slices evenly spread over a stack, the outermost left out where there are many.

    Args:
        slices: How many there are.
        most: How many to take.
    """
    if slices <= most:
        return list(range(slices))
    edge = slices / (2 * most)
    return [int(index) for index in np.linspace(edge, slices - 1 - edge, most).round()]

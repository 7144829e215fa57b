"""Power spectra of small patches of a scan, with the anatomy taken out where it can be.

Half the sum and half the difference of two neighbouring slices a and b hold the same noise,
independent of each other where both slices are equally noisy. The difference is nearly free of
anatomy; the sum shows where the anatomy is flat. So patches are chosen by the sum and measured in
the difference: choosing them does not bias the measurement.

What two neighbouring slices share of their noise (interpolation along z, overlap) is missing in the
difference: its power is 1 - r, that of the sum 1 + r, for the correlation r. At high frequencies,
where anatomy has no power, their ratio tells r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.scanner import PixelGrid

Array = npt.NDArray[Any]
"""Slices of values or masks."""

PATCH_SIDES_MM = (18.0, 13.0, 9.0)
"""Sides of patches to try: large ones show the texture of noise, small ones lie inside organs."""

SMALLEST_PATCH_PIXELS = 8

TISSUE_HU = (-160.0, 250.0)
"""Mean of a patch: fat, water, organs; not lung, whose vessels are everywhere, nor bone."""

_SMOOTHING_PATCHES = 2.5
"""Reach, in steps of half a patch, over which expected noise is averaged: it varies smoothly."""

_FEWEST_FOR_A_COURSE = 60
"""Patches to which six coefficients are fitted without following their noise."""


class Patches(NamedTuple):
    """Where the patches of soft tissue in pairs of slices lie.

    Args:
        side: Pixels along each side; patches overlap by half.
        chosen: Which patches hold soft tissue alone, [pair, row of patches, column of patches].
        radius_mm: Distance of each chosen patch from the isocentre, [patch].
    """

    side: int
    chosen: BoolArray
    radius_mm: DoubleArray

    @property
    def pair(self) -> npt.NDArray[np.intp]:
        """The pair that each patch lies in, [patch]."""
        return np.nonzero(self.chosen)[0]


def patches_of(sample: CTVolume, grid: PixelGrid, *, side_mm: float, radius_mm: float) -> Patches:
    """The patches of soft tissue in pairs of slices.

    Args:
        sample: Slices, two and two neighbours; a single slice is its own neighbour.
        grid: Their pixels.
        side_mm: Side of a patch.
        radius_mm: Of the scan field; patches that reach beyond are left out.
    """
    first, second = pairs_of(sample.hu)
    bodies = pairs_of(body_mask(sample.hu, sample.padding))
    side = patch_side(grid, side_mm)
    whole = _windows(bodies[0] & bodies[1], side).all(axis=(-2, -1))
    mean = _windows(first + second, side).mean(axis=(-2, -1)) / 2
    low, high = TISSUE_HU
    centre = np.broadcast_to(_windows(grid.radius_mm()[None], side).mean(axis=(-2, -1)), mean.shape)
    chosen = whole & (mean > low) & (mean < high) & (centre < radius_mm - side_mm)
    return Patches(side, chosen, centre[chosen])


def patch_side(grid: PixelGrid, side_mm: float) -> int:
    """Side of a patch in pixels; even, and quick to transform."""
    spacing = float(np.sqrt(grid.row_spacing_mm * grid.column_spacing_mm))
    half = max(SMALLEST_PATCH_PIXELS // 2, round(side_mm / spacing / 2))
    return 2 * int(fft.next_fast_len(half, real=True))


def pairs_of(slices: Array) -> tuple[Array, Array]:
    """First and second slices of the pairs in a sample; an odd last one is left out."""
    if len(slices) == 1:
        return slices, slices
    count = len(slices) // 2 * 2
    return slices[:count:2], slices[1:count:2]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Radial power spectra of patches, HU^2 mm^2.

    Args:
        power: [patch, frequency].
        frequency_per_mm: Mean frequency of each ring, 1/mm, [frequency].
        modes: Independent Fourier modes in each ring, [frequency].
    """

    power: FloatArray
    frequency_per_mm: DoubleArray
    modes: DoubleArray


def spectra_of(images: HuArray, patches: Patches, grid: PixelGrid) -> Spectra:
    """Radial power spectra of the patches of images [pair, y, x].

    A plane is subtracted from each patch and a Hann window laid over it.
    """
    side = patches.side
    rings = _rings(side, grid.row_spacing_mm, grid.column_spacing_mm)
    cell = grid.row_spacing_mm * grid.column_spacing_mm / side**2
    parts = []
    for image, chosen in zip(images, patches.chosen, strict=True):
        residual = _without_plane(_windows(image[None], side)[0][chosen]) * rings.window
        spectrum = fft.rfft2(residual)
        power = spectrum.real**2 + spectrum.imag**2
        parts.append(
            power.reshape(len(power), len(rings.average)) @ rings.average * np.float32(cell)
        )
    return Spectra(np.concatenate(parts), rings.frequency_per_mm, rings.modes)


def smoothed(values: FloatArray, patches: Patches) -> DoubleArray:
    """A quantity of each patch, [patch], averaged over the patches around it.

    What is averaged is its ratio to a course common to all slices, the exponential of a polynomial
    of second degree: a plain mean over the patches around would lie too high at the rim of the
    body, where all of them lie on the side of the stronger noise.
    """
    course = _course(np.asarray(values, dtype=np.float64), patches)
    weights = np.zeros(patches.chosen.shape)
    field = np.zeros(patches.chosen.shape)
    weights[patches.chosen] = 1.0
    field[patches.chosen] = values / course
    reach = (0.0, _SMOOTHING_PATCHES, _SMOOTHING_PATCHES)
    total = ndimage.gaussian_filter(field, reach)[patches.chosen]
    return np.asarray(course * total / ndimage.gaussian_filter(weights, reach)[patches.chosen])


def _course(values: DoubleArray, patches: Patches) -> DoubleArray:
    """The smooth course of a positive quantity over the image, [patch]."""
    if len(values) < _FEWEST_FOR_A_COURSE or values.min() <= 0:
        return np.ones(len(values))
    _, row, column = np.nonzero(patches.chosen)
    y, x = (
        2 * at / (size - 1) - 1
        for at, size in zip((row, column), patches.chosen.shape[1:], strict=True)
    )
    design = np.column_stack([np.ones(len(values)), x, y, x * x, x * y, y * y])
    solution = np.linalg.lstsq(design, np.log(values), rcond=None)[0]
    return np.asarray(np.exp(design @ solution))


def _windows(images: Array, side: int) -> Array:
    """Views of patches, [pair, row of patches, column of patches, y, x], that overlap by half."""
    views = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    return views[:, :: side // 2, :: side // 2]


def _without_plane(patches: HuArray) -> FloatArray:
    side = patches.shape[-1]
    ramp = (np.arange(side) - (side - 1) / 2).astype(np.float32)
    ramp /= np.sqrt(np.mean(ramp**2))
    residual = patches - patches.mean(axis=(1, 2), keepdims=True)
    along_y = residual.mean(axis=2) @ ramp / np.float32(side)
    along_x = residual.mean(axis=1) @ ramp / np.float32(side)
    residual -= along_y[:, None, None] * ramp[:, None]
    residual -= along_x[:, None, None] * ramp
    return np.asarray(residual, dtype=np.float32)


_PADDING = 4
"""Frequencies between those of a patch, where its window is known as well."""


class _Rings(NamedTuple):
    window: FloatArray
    average: FloatArray
    frequency_per_mm: DoubleArray
    modes: DoubleArray


@lru_cache(maxsize=8)
def _rings(side: int, row_spacing_mm: float, column_spacing_mm: float) -> _Rings:
    """Hann window of mean square 1, and the matrix that averages rings of frequencies."""
    hann = np.hanning(side + 2)[1:-1]
    window = np.outer(hann, hann)
    window /= np.sqrt(np.mean(window**2))
    down, across = np.fft.fftfreq(side, row_spacing_mm), np.fft.rfftfreq(side, column_spacing_mm)
    radius = np.hypot(down[:, None], across).ravel()
    # Inner columns of a real transform stand for their conjugates as well.
    weight = np.broadcast_to(
        np.where(across * column_spacing_mm % 0.5 == 0, 1, 2), (side, len(across))
    )
    width = 1 / (side * np.sqrt(row_spacing_mm * column_spacing_mm))
    ring = np.rint(radius / width).astype(int)
    count = int(ring.max())
    member = ring[:, None] == np.arange(1, count + 1)
    share = member * weight.ravel()[:, None]
    kept = share.sum(axis=0) > 0
    share, total = share[:, kept], share.sum(axis=0)[kept]
    average = share / total
    return _Rings(
        window.astype(np.float32), average.astype(np.float32), radius @ average, total / 2
    )


@lru_cache(maxsize=8)
def leakage(
    side: int, row_spacing_mm: float, column_spacing_mm: float, highest_per_mm: float, points: int
) -> DoubleArray:
    """Power that isotropic noise of each frequency sends into each ring, [ring, frequency].

    The expected spectrum of a windowed patch is the spectrum of the noise convolved with that of
    the window; frequencies above those of the pixels are folded back.

    Args:
        side: Pixels along each side of a patch.
        row_spacing_mm: Distance of rows.
        column_spacing_mm: Distance of columns.
        highest_per_mm: Highest of the evenly spaced frequencies, which begin at 0.
        points: Their number.
    """
    rings = _rings(side, row_spacing_mm, column_spacing_mm)
    padded = _PADDING * side
    window = np.abs(np.fft.fft2(rings.window.astype(np.float64), (padded, padded))) ** 2
    response = np.fft.fft2(window / window.sum())
    # Three periods of the frequencies of the pixels catch what is folded back.
    turns = (np.arange(3 * padded) - 3 * padded // 2) / padded
    radius = np.hypot(turns[:, None] / row_spacing_mm, turns / column_spacing_mm)
    place = radius / (highest_per_mm / (points - 1))
    index = np.minimum(place.astype(int), points)
    upper = np.where(place < points, place - index, 0.0)
    rows = (np.arange(3 * padded) - 3 * padded // 2) % padded
    cell = rows[:, None] * padded + rows
    folded = np.zeros((points + 2, padded * padded))
    np.add.at(folded, (index.ravel(), cell.ravel()), 1 - upper.ravel())
    np.add.at(folded, (index.ravel() + 1, cell.ravel()), upper.ravel())
    seen = np.fft.ifft2(
        np.fft.fft2(folded[:points].reshape(points, padded, padded)) * response
    ).real
    half = seen[:, ::_PADDING, ::_PADDING][:, :, : side // 2 + 1].reshape(points, -1)
    return np.asarray((half @ rings.average.astype(np.float64)).T)

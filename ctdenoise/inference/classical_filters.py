"""Classical noise filters that know the noise of CT: it changes over the slice, and it is grainy.

Textbook filters and their libraries (scikit-image's among them) take one standard deviation for
white noise. Told the truth about CT noise, which is a map and a correlation by lag, each needs
little more:

* The square of the difference of two pixels is (s1^2 + s2^2) (1 - r) on average where only noise
  differs, for the standard deviations s1, s2 around both and the correlation r at their lag. White
  noise of one size has r = 0 and 2 s^2. Distances are divided by it, so that grain is not taken for
  likeness: neighbours share their noise and look more alike than they are.
* Total variation is weighed by the noise around each pixel.
* A Gaussian is as wide as the wanted noise asks for, which for grainy noise is wider.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.inference import classical_kernels as kernels
from ctdenoise.inference.classical_kernels import ShiftArray
from ctdenoise.metrics.noise_correlation import NoiseCorrelation

LEAST_NOISE_HU = 1e-3
"""Noise is taken for no less: exact phantoms have none, and differences are divided by it."""

_LEAST_DIFFERENCE = 0.02
"""1 - r is taken for no less: it is measured to a few per cent, and distances are divided by it."""

_TRUNCATE = 5.0  # standard deviations at which a Gaussian ends

_WEIGHT_POWER = 8
"""Of the weight in the kernel: (1 - x / 8)^8 is close to exp(-x), and vectors can compute it."""


@dataclass(frozen=True, slots=True, eq=False)
class LikenessTable:
    """What surroundings of pixels are compared by.

    Args:
        shifts: From a pixel to others, (y, x), int64 [shift, 2].
        inverse: 1 over the expected distance of noise at each shift, float64.
        spread: Standard deviation of the distance that noise alone gives at each shift, float64.
        patch: Pixels on each side of a pixel that belong to its surroundings.
        reach: Largest shift.
    """

    shifts: ShiftArray
    inverse: DoubleArray
    spread: DoubleArray
    patch: int
    reach: int


def likeness_table(correlation: NoiseCorrelation, *, patch: int, reach: int) -> LikenessTable:
    """How far noise makes equal surroundings differ, for every shift of a square window.

    The distance is the mean over a patch of n pixels of d^2 / (2 (1 - r)), where d is the
    difference of noise of unit variance at the shift t. It is 1 on average, and for Gaussian noise
    its variance is 2 / n^2 times the sum over all pairs of pixels of c^2, the correlation of d:
    c(u) = (2 r(u) - r(u + t) - r(u - t)) / (2 (1 - r(t))).

    Args:
        correlation: Of the noise.
        patch: Pixels on each side of a pixel that belong to its surroundings.
        reach: Largest shift along each axis.
    """
    axis = np.arange(-reach, reach + 1)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    shifts = grid[np.any(grid != 0, axis=1)]
    difference = np.maximum(1 - correlation.at(shifts[:, 0], shifts[:, 1]), _LEAST_DIFFERENCE)
    edge = 2 * patch + 1
    lag = np.arange(1 - edge, edge)
    y, x = lag[:, None], lag[None, :]
    pairs = np.outer(edge - np.abs(lag), edge - np.abs(lag))
    own = 2 * correlation.at(y, x)
    spread = []
    for (down, right), scale in zip(shifts, difference, strict=True):
        across = correlation.at(y + down, x + right) + correlation.at(y - down, x - right)
        spread.append(2 * (pairs * np.square((own - across) / (2 * scale))).sum() / edge**4)
    return LikenessTable(
        shifts.astype(np.int64), 1 / difference, np.sqrt(np.array(spread)), patch, reach
    )


def non_local_means(
    image: HuArray, sd_hu: FloatArray, table: LikenessTable, *, tolerance: float
) -> HuArray:
    """Means of pixels with like surroundings (Buades, Coll, Morel, CVPR 2005).

    The distance of two surroundings is 1 where only noise differs (see `likeness_table`). What is
    beyond that is measured in standard deviations of what noise does to it, e, and the weight is
    (1 - e / (8 tolerance))^8, which is close to exp(-e / tolerance) and ends at 8 tolerances. The
    pixel itself has the weight 1.

    Args:
        image: HU, [y, x].
        sd_hu: Standard deviation of the noise of each pixel, HU, [y, x].
        table: What to compare, for the noise of the image.
        tolerance: Standard deviations.
    """
    margin = table.reach + table.patch
    return np.asarray(
        kernels.non_local_means(
            _padded(image, margin),
            np.square(_padded(np.maximum(sd_hu, LEAST_NOISE_HU), margin)),
            table.shifts,
            table.inverse,
            1 / (_WEIGHT_POWER * tolerance * table.spread),
            table.patch,
        )
    )


def bilateral(
    image: HuArray,
    sd_hu: FloatArray,
    correlation: NoiseCorrelation,
    *,
    width: tuple[float, float],
    tolerance: float,
) -> HuArray:
    """Means of near pixels of like value (Tomasi and Manduchi, ICCV 1998).

    The weight is a Gaussian of the distance times exp(-d^2 / (2 k^2)), where d^2 is the square of
    the difference over what is expected of it where only noise differs, and k the tolerance.

    Args:
        image: HU, [y, x].
        sd_hu: Standard deviation of the noise of each pixel, HU, [y, x].
        correlation: Of the noise.
        width: Standard deviation of the Gaussian along (y, x), pixels.
        tolerance: In standard deviations of a difference of noise.
    """
    reach = max(1, round(2.5 * max(width)))
    axis = np.arange(-reach, reach + 1)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    near = np.exp(-0.5 * np.square(grid / np.maximum(width, 1e-3)).sum(axis=1))
    used = np.any(grid != 0, axis=1) & (near > 1e-3)
    shifts, near = grid[used].astype(np.int64), near[used]
    difference = np.maximum(1 - correlation.at(shifts[:, 0], shifts[:, 1]), _LEAST_DIFFERENCE)
    return np.asarray(
        kernels.bilateral(
            _padded(image, reach),
            np.square(_padded(np.maximum(sd_hu, LEAST_NOISE_HU), reach)),
            shifts,
            near,
            1 / (2 * tolerance**2 * difference),
            reach,
        )
    )


def gaussian(image: HuArray, *, width: tuple[float, float]) -> HuArray:
    """The image convolved with a Gaussian; edges are mirrored.

    Args:
        image: HU, [y, x].
        width: Standard deviation along (y, x), pixels.
    """
    return np.asarray(ndimage.gaussian_filter(image, width, mode="mirror", truncate=_TRUNCATE))


def gaussian_transfer(width: tuple[float, float], shape: tuple[int, int]) -> DoubleArray:
    """What a Gaussian leaves of each frequency, [fy, fx] as `numpy.fft.fftfreq`.

    That of the sampled Gaussian: exp(-2 (pi s f)^2) where s is a pixel or more.

    Args:
        width: Standard deviation along (y, x), pixels.
        shape: Rows and columns.
    """
    along = []
    for one, size in zip(width, shape, strict=True):
        reach = np.arange(-int(_TRUNCATE * one + 0.5), int(_TRUNCATE * one + 0.5) + 1)
        weights = np.exp(-0.5 * np.square(reach / max(one, 1e-6)))
        waves = np.cos(2 * np.pi * np.outer(np.fft.fftfreq(size), reach))
        along.append(waves @ weights / weights.sum())
    return np.asarray(np.multiply.outer(*along))


def gaussian_width_mm(
    correlation: NoiseCorrelation, left: float, pixel_spacing_mm: tuple[float, float]
) -> float:
    """Standard deviation of the Gaussian that leaves a share of the noise, mm.

    Args:
        correlation: Of the noise.
        left: Share of the standard deviation, between 0 and 1.
        pixel_spacing_mm: Distance between rows, then between columns.
    """
    shape = (128, 128)
    low, high = 0.0, 20.0 * max(pixel_spacing_mm)
    for _ in range(40):
        middle = (low + high) / 2
        width = (middle / pixel_spacing_mm[0], middle / pixel_spacing_mm[1])
        if correlation.left_after(gaussian_transfer(width, shape)) > left:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _padded(image: FloatArray, margin: int) -> FloatArray:
    return np.ascontiguousarray(np.pad(image, margin, mode="symmetric"), dtype=np.float32)

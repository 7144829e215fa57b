"""How the noise of neighbouring pixels hangs together, measured from the pixels of a scan.

Reconstruction filters make CT noise grainy: what one pixel has too much, its neighbours have too
much as well. A filter that takes this noise for white takes its grain for structure.

The noise is looked at in the flattest patches of soft tissue, as by `metrics.nps`, each pixel
divided by the noise around it (`metrics.noise_map`). The correlation by lag is the inverse
Fourier transform of their mean power spectrum. A patch of n pixels has n - t pairs at the lag t,
and by the wrap of the transform t pairs at the lag n - t, which are few and far apart: what is
found at each lag is divided by the share (n - t) / n along both axes. Very smooth noise seems a
little less so: the surfaces that are subtracted take its coarsest part, and so does the choice of
the flattest patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.units import AIR_HU
from ctdenoise.metrics.hu_accuracy import SMOOTHING_MM, tissue_masks
from ctdenoise.metrics.noise_map import NoiseMap
from ctdenoise.metrics.nps import (
    FlatPatch,
    PowerSums,
    candidates,
    flattest,
    patches_at,
    power_of,
)

PATCH_SIDES = (32, 24, 16)
"""Sides of the patches, pixels: the first of which soft tissue holds enough."""

_LEAST_NOISE_HU = 1e-3  # exact phantoms have none, and pixels are divided by it


@dataclass(frozen=True, slots=True, eq=False)
class NoiseCorrelation:
    """Correlation of the noise of two pixels by their distance.

    Args:
        by_lag: float64 [2 r + 1, 2 r + 1]; the lag (0, 0), in the middle, has the correlation 1.
            Beyond r pixels there is none.
        patches: How many patches it was measured in; 0 where it is assumed to be white.
    """

    by_lag: DoubleArray
    patches: int

    @property
    def reach(self) -> int:
        """The largest lag along each axis, pixels."""
        return len(self.by_lag) // 2

    def at(self, rows: npt.ArrayLike, columns: npt.ArrayLike) -> DoubleArray:
        """The correlation at some lags.

        Args:
            rows: Lags along y, pixels, whole numbers.
            columns: Lags along x, of a shape that fits that of `rows`.
        """
        y, x = np.broadcast_arrays(np.asarray(rows), np.asarray(columns))
        inside = (np.abs(y) <= self.reach) & (np.abs(x) <= self.reach)
        y, x = (np.where(inside, lag, 0) + self.reach for lag in (y, x))
        return np.asarray(np.where(inside, self.by_lag[y, x], 0.0), dtype=np.float64)

    def power(self, shape: tuple[int, int]) -> DoubleArray:
        """Power spectrum of noise of unit variance, float64 [fy, fx] as `numpy.fft.fftfreq`.

        Its mean is 1. Noise of this spectrum is white noise times its square root.

        Args:
            shape: Rows and columns of the image.
        """
        image = np.zeros(shape)
        lags = np.arange(-self.reach, self.reach + 1)
        rows, columns = (np.broadcast_to(lags % size, lags.shape) for size in shape)
        np.add.at(image, np.ix_(rows, columns), self.by_lag)
        power = np.maximum(np.fft.fft2(image).real, 0.0)
        return np.asarray(power / power.mean())

    def left_after(self, transfer: DoubleArray) -> float:
        """Share of the standard deviation of the noise that a linear filter leaves.

        Args:
            transfer: Its transfer function, [fy, fx] as `numpy.fft.fftfreq`.
        """
        power = self.power((transfer.shape[0], transfer.shape[1]))
        return float(np.sqrt((power * np.square(transfer)).mean()))


WHITE = NoiseCorrelation(np.ones((1, 1)), 0)
"""No correlation at all."""


def measured_correlation(
    hu: npt.NDArray[np.generic],
    padding: BoolArray | None,
    pixel_spacing_mm: tuple[float, float],
    noise: NoiseMap,
) -> NoiseCorrelation:
    """The correlation of the noise of some slices.

    Args:
        hu: Hounsfield units, any type of number, [z, y, x].
        padding: True outside the reconstruction circle, indexed like `hu`; None for nowhere.
        pixel_spacing_mm: Distance between rows, then between columns.
        noise: Standard deviation of the noise of the same slices.

    Returns:
        The correlation; `WHITE` where there is too little flat soft tissue or no noise.
    """
    parts = [_soft_tissue(hu, padding, index, pixel_spacing_mm) for index in range(len(hu))]
    size = [max(1, round(SMOOTHING_MM / one)) for one in pixel_spacing_mm]
    smooth = [ndimage.uniform_filter(image, size=size, mode="nearest") for image, _ in parts]
    for side in PATCH_SIDES:
        found: list[FlatPatch] = []
        for index, (_, soft) in enumerate(parts):
            found += candidates(smooth[index], soft, index=index, side=side)
        chosen = flattest(found)
        if chosen:
            return _by_lag(_power([image for image, _ in parts], chosen, side, noise), side)
    return WHITE


def _soft_tissue(
    hu: npt.NDArray[np.generic],
    padding: BoolArray | None,
    index: int,
    pixel_spacing_mm: tuple[float, float],
) -> tuple[DoubleArray, BoolArray]:
    """A slice, padding set to air, and where it shows soft tissue."""
    image = np.array(hu[index], dtype=np.float64)
    outside = None if padding is None else padding[index]
    if outside is not None:
        image[outside] = AIR_HU
    body = body_mask(image.astype(np.float32), outside)
    return image, tissue_masks(image, body, pixel_spacing_mm=pixel_spacing_mm)["soft"]


def _power(
    images: list[DoubleArray], chosen: tuple[FlatPatch, ...], side: int, noise: NoiseMap
) -> PowerSums:
    """Summed power of the patches in units of the noise around them; one pixel is one unit."""
    total = PowerSums(0, np.zeros((side, side)), (1.0, 1.0))
    for patch in chosen:
        cut = patches_at(images[patch.index], [patch.corner], side)
        around = noise.at(patch.index, patch.corner, (side, side)).astype(np.float64)
        total = total + power_of(
            cut / np.maximum(around, _LEAST_NOISE_HU), pixel_spacing_mm=(1.0, 1.0)
        )
    return total


def _by_lag(power: PowerSums, side: int) -> NoiseCorrelation:
    """The correlation that belongs to a mean power spectrum."""
    covariance = np.fft.ifft2(power.spectrum).real
    if covariance[0, 0] <= 0:
        return WHITE
    lags = np.arange(1 - side // 2, side // 2)
    share = 1 - np.abs(lags) / side
    by_lag = covariance[np.ix_(lags, lags)] / (covariance[0, 0] * np.outer(share, share))
    return NoiseCorrelation(np.clip(by_lag, -1.0, 1.0), power.count)

"""Noise that has a direction: streaks, seen in the angles of its power spectrum and in its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.nps import PowerSums

WEDGES = 12
"""Sectors of 15 degrees that half of the spectrum is cut into; the other half is its mirror."""

_MEAN_LARGEST_OF_TWELVE = 1.629
"""Mean of the largest of twelve independent standard normal numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Anisotropy:
    """How the power of noise depends on the direction of its waves.

    Args:
        wedges: Power in each wedge over that of noise of the same radial spectrum without a
            direction. The first wedge is that of waves around the x axis, whose stripes run along
            y; angles grow towards y.
        by_chance: What `value` is on average for as many patches of noise without a direction.
    """

    wedges: DoubleArray
    by_chance: float

    @property
    def value(self) -> float:
        """A = max / mean over the wedges; 1 for noise without a direction."""
        return float(self.wedges.max() / self.wedges.mean())


def angular_anisotropy(sums: PowerSums) -> Anisotropy | None:
    """How the power of noise depends on direction, up to the Nyquist frequency.

    A wedge holds other frequencies than its neighbour, since points lie on a square grid: its power
    is divided by that of the rings of its points, so that texture is not taken for direction.

    Args:
        sums: Power of patches.

    Returns:
        None where there is no noise.
    """
    rows, columns = sums.power.shape
    fy = np.fft.fftfreq(rows, sums.pixel_spacing_mm[0])[:, None]
    fx = np.fft.fftfreq(columns, sums.pixel_spacing_mm[1])
    radius = np.hypot(fy, fx).ravel()
    rings = sums.radial()
    if not rings.power.sum() > 0:
        return None
    even = np.interp(radius, rings.frequency_per_mm, rings.power)
    used = (radius > 0) & (radius <= 1 / (2 * max(sums.pixel_spacing_mm)) * (1 + 1e-9))
    angle = np.mod(np.arctan2(fy, fx), np.pi).ravel()
    # Half a wedge of turning puts both axes in the middle of a wedge.
    number = np.floor(angle / (np.pi / WEDGES) + 0.5).astype(np.intp) % WEDGES
    power = np.bincount(number[used], sums.spectrum.ravel()[used], minlength=WEDGES)
    expected = np.bincount(number[used], even[used], minlength=WEDGES)
    squares = np.bincount(number[used], np.square(even[used]), minlength=WEDGES)
    errors = np.sqrt(2 * squares / sums.count) / expected  # a point and its mirror are one
    chance = 1 + _MEAN_LARGEST_OF_TWELVE * float(np.sqrt(np.square(errors).mean()))
    return Anisotropy(power / expected, chance)


def artefact_index_hu(deviation_hu: float, reference_hu: float) -> float:
    """AI = sqrt(SD^2 - SD_ref^2), HU: what streaks add to the noise; zero if they add none.

    Args:
        deviation_hu: Standard deviation where the streaks are.
        reference_hu: Where there are none, at the same dose and depth.
    """
    return float(np.sqrt(max(deviation_hu**2 - reference_hu**2, 0.0)))

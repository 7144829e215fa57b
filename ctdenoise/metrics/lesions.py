"""Lesions as a scanner would show them, on the pixels of a scan.

A pixel of a scan is a point sample of what the system makes of the object, so a lesion is computed
from its transform and never drawn. The transform of a disc of radius R is

    pi R^2 * 2 J1(2 pi R f) / (2 pi R f)

(Bracewell, "The Fourier Transform and Its Applications", chapter 12). A slice that is T thick
shows the mean of an ellipsoid over its thickness, a sum of discs; an ellipse is a disc on stretched
axes. The task transfer function of the system multiplies this, and the image is summed with all
frequencies up to three times the Nyquist frequency of the pixels, so that it has the aliases that
point samples have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import fft, special

from ctdenoise.core.arrays import DoubleArray

Form = Literal["ellipsoid", "rod"]
"""An ellipsoid is as thick as it is wide; a rod goes through all slices."""

TYPICAL_F50_PER_MM = 0.4
"""Where the task transfer function of a soft body kernel is a half: 0.30 to 0.37 with Mercury
phantoms on a Siemens Force and up to 0.45 with standard kernels."""

F50_OVER_MEAN_FREQUENCY = float(2 * np.sqrt(2 * np.log(2) / np.pi))
"""f50 of the transfer function over the mean frequency of the noise, 1.33: see
`f50_of_noise_per_mm`."""

_FINER = 3  # samples per pixel along each axis while an image is computed
_PADDED = 2  # sides of the image around which it repeats
_LAYERS = 32  # discs of an ellipsoid
_TABLE_STEP = 1 / 512  # of the product of radius and frequency
_NOTHING = 1e-9  # of a transfer function


@dataclass(frozen=True, slots=True)
class Lesion:
    """A thing of one attenuation, before a scanner sees it.

    Args:
        diameter_mm: Geometric mean of its two diameters in the slice, mm; also its thickness.
        elongation: Its longer diameter over the shorter one.
        angle_degrees: From the direction along a row to its longer diameter.
        softness_mm: Standard deviation of the Gaussian that makes its border soft; 0 for a sharp
            one.
        form: How it goes on beyond the slice.
    """

    diameter_mm: float
    elongation: float = 1.0
    angle_degrees: float = 0.0
    softness_mm: float = 0.0
    form: Form = "ellipsoid"

    @property
    def axes_mm(self) -> tuple[float, float]:
        """Its longer and its shorter half axis in the slice, mm."""
        stretch = float(np.sqrt(self.elongation))
        return self.diameter_mm / 2 * stretch, self.diameter_mm / 2 / stretch

    def along(self, y: DoubleArray, x: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Coordinates along its longer and its shorter axis.

        Args:
            y: Along columns.
            x: Along rows.
        """
        angle = np.deg2rad(self.angle_degrees)
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


@dataclass(frozen=True, slots=True)
class SystemBlur:
    """What a scanner makes of a point.

    Args:
        f50_per_mm: Where the task transfer function exp(-ln 2 (f / f50)^2) is a half, 1/mm.
        slice_thickness_mm: What a slice averages over, mm.
    """

    f50_per_mm: float
    slice_thickness_mm: float

    def transfer(self, frequency_per_mm: DoubleArray) -> DoubleArray:
        """The task transfer function in the slice.

        Args:
            frequency_per_mm: Distance from the origin, 1/mm.
        """
        return np.asarray(np.exp(-np.log(2) * (frequency_per_mm / self.f50_per_mm) ** 2))


def f50_of_noise_per_mm(mean_frequency_per_mm: float) -> float:
    """Where the transfer function of filtered back-projection is a half, by the noise it makes.

    With a kernel A the noise power is f A^2, and A is the transfer function, as far as the ramp
    goes. If A = exp(-f^2 / (2 f0^2)), the mean frequency of this noise is f0 sqrt(pi) / 2 and A is
    a half at f0 sqrt(2 ln 2). Focal spot and detector blur objects and not noise, so the true f50
    lies a little lower; iterative reconstruction makes noise coarser than objects, and it lies
    higher. Where it is known, state it.

    Args:
        mean_frequency_per_mm: Of the noise power spectrum, 1/mm.
    """
    return F50_OVER_MEAN_FREQUENCY * mean_frequency_per_mm


def lesion_image(
    lesion: Lesion,
    blur: SystemBlur,
    *,
    side: int,
    pixel_spacing_mm: tuple[float, float],
    away: tuple[float, float] = (0.0, 0.0),
    offset_mm: float = 0.0,
) -> DoubleArray:
    """A lesion of 1 HU in air of 0 HU, as a slice shows it, HU, float64 [y, x].

    Args:
        lesion: What it is.
        blur: What the scanner makes of it.
        side: Pixels along each side, odd; the lesion lies at the middle pixel.
        pixel_spacing_mm: Distance between rows, then between columns.
        away: Distance of its centre from that of the middle pixel along (rows, columns), pixels.
        offset_mm: Distance of the middle of the slice from that of the lesion.
    """
    size = _PADDED * side
    finer = _FINER * size
    fy = fft.fftfreq(finer, pixel_spacing_mm[0] / _FINER)[:, None]
    fx = fft.rfftfreq(finer, pixel_spacing_mm[1] / _FINER)
    spectrum = lesion_spectrum(lesion, blur, fy, fx, offset_mm=offset_mm)
    rows, columns = (
        (side // 2 + part) * spacing for part, spacing in zip(away, pixel_spacing_mm, strict=True)
    )
    phase = np.exp(-2j * np.pi * (fy * rows)) * np.exp(-2j * np.pi * (fx * columns))
    cell = pixel_spacing_mm[0] * pixel_spacing_mm[1] / _FINER**2
    image = fft.irfft2(spectrum * phase, (finer, finer)) / cell
    return np.asarray(image[: _FINER * side : _FINER, : _FINER * side : _FINER])


def lesion_spectrum(
    lesion: Lesion,
    blur: SystemBlur,
    fy: DoubleArray,
    fx: DoubleArray,
    *,
    offset_mm: float = 0.0,
) -> DoubleArray:
    """The two-dimensional transform of a lesion of 1 HU as a slice shows it, HU mm^2.

    Args:
        lesion: What it is.
        blur: What the scanner makes of it.
        fy: Frequencies along columns, 1/mm.
        fx: Frequencies along rows, 1/mm, of a shape that fits.
        offset_mm: Distance of the middle of the slice from that of the lesion.
    """
    frequency = np.hypot(fy, fx)
    transfer = blur.transfer(frequency)
    transfer *= np.exp(-2 * (np.pi * lesion.softness_mm * frequency) ** 2)
    seen = transfer > _NOTHING
    longer, shorter = lesion.axes_mm
    along, across = lesion.along(*np.broadcast_arrays(fy, fx))
    product = np.hypot(longer * along, shorter * across)[seen]
    table = _discs(
        0.0 if lesion.form == "rod" else lesion.diameter_mm / 2,
        blur.slice_thickness_mm,
        lesion.softness_mm,
        offset_mm,
        int(np.ceil(product.max(initial=0.0) / _TABLE_STEP)) + 2,
    )
    spectrum = np.zeros(frequency.shape)
    values = np.interp(product, np.arange(len(table)) * _TABLE_STEP, table)
    spectrum[seen] = np.pi * longer * shorter * values * transfer[seen]
    return spectrum


def shown_share(lesion: Lesion, blur: SystemBlur, *, offset_mm: float = 0.0) -> float:
    """What of the middle of a lesion a slice shows: 1 for a large one, less if small or thin.

    Args:
        lesion: What it is.
        blur: What the scanner makes of it.
        offset_mm: Distance of the middle of the slice from that of the lesion.
    """
    image = lesion_image(lesion, blur, side=129, pixel_spacing_mm=(0.25, 0.25), offset_mm=offset_mm)
    return float(image[64, 64])


@lru_cache(maxsize=256)
def _discs(
    depth_mm: float, thickness_mm: float, softness_mm: float, offset_mm: float, points: int
) -> DoubleArray:
    """Transform of the unit discs that a slice sums up, over pi, by radius times frequency.

    Args:
        depth_mm: Half axis across the slices; 0 for a rod.
        thickness_mm: Of the slice.
        softness_mm: Of the border, across the slices.
        offset_mm: Distance of the slice from the lesion.
        points: How many values.
    """
    product = np.arange(points) * _TABLE_STEP
    if depth_mm == 0:
        return _jinc(np.asarray(product, dtype=np.float64))
    node, weight = np.polynomial.legendre.leggauss(_LAYERS)
    reach = 0.0 if softness_mm else thickness_mm / 2
    low, high = -depth_mm, depth_mm
    if reach:
        low, high = max(low, offset_mm - reach), min(high, offset_mm + reach)
    if high <= low:
        return np.zeros(points)
    depth = (low + high) / 2 + (high - low) / 2 * node
    share = weight * (high - low) / 2 / thickness_mm
    if softness_mm:
        begin, end = (
            (depth - offset_mm + half) / softness_mm
            for half in (-thickness_mm / 2, thickness_mm / 2)
        )
        share = share * (special.ndtr(end) - special.ndtr(begin))
    radius = np.sqrt(1 - (depth / depth_mm) ** 2)
    total = np.zeros(points)
    for one, part in zip(radius.tolist(), share.tolist(), strict=True):
        total += part * one**2 * _jinc(np.asarray(one * product, dtype=np.float64))
    return total


def _jinc(product: DoubleArray) -> DoubleArray:
    """2 J1(2 pi x) / (2 pi x), 1 at 0."""
    angle = 2 * np.pi * product
    safe = np.where(angle > 0, angle, 1.0)
    return np.asarray(np.where(angle > 0, 2 * special.j1(safe) / safe, 1.0))

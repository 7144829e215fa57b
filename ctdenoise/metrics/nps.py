"""The noise power spectrum of flat areas: its size, its texture, and how both changed.

NPS(fx, fy) = dx dy / (Nx Ny) < |DFT(I - P)|^2 > over patches I of Nx by Ny pixels, where P is the
polynomial that fits a patch best; HU^2 mm^2 (AAPM TG-233). What the polynomial takes of white noise
is given back: the mean is multiplied by N / (N - n) for N pixels and n coefficients. No window is
laid over the patches, so that the sum over all frequencies is the variance of what is left.

In one dimension the spectrum is the mean over rings of the width 1 / (N d), from half a ring to the
Nyquist frequency; the corners beyond do not count. Its mean frequency fav = sum f NPS / sum NPS is
TG-233's; its peak frequency is that of the highest of the rings after a mean over three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import InputError

_NOTHING = 1e-12  # of the square of a typical CT number: rounding, not noise


@dataclass(frozen=True, slots=True, eq=False)
class RadialSpectrum:
    """A noise power spectrum along the distance from the origin.

    Args:
        frequency_per_mm: Mean frequency of each ring, 1/mm.
        power: Mean power of each ring, HU^2 mm^2.
        modes: Points of the two-dimensional spectrum in each ring.
    """

    frequency_per_mm: DoubleArray
    power: DoubleArray
    modes: DoubleArray

    @property
    def mean_frequency_per_mm(self) -> float | None:
        """The frequency fav = sum f NPS / sum NPS, 1/mm; None where there is no noise."""
        total = float(self.power.sum())
        if total <= 0:
            return None
        return float((self.frequency_per_mm * self.power).sum()) / total

    @property
    def peak_frequency_per_mm(self) -> float | None:
        """Frequency of the highest ring after a mean over three, 1/mm; None without noise."""
        if self.power.sum() <= 0:
            return None
        ends = np.pad(self.power, 1, mode="edge")
        smooth = (ends[:-2] + ends[1:-1] + ends[2:]) / 3
        return float(self.frequency_per_mm[int(np.argmax(smooth))])


@dataclass(frozen=True, slots=True, eq=False)
class PowerSums:
    """Sums of the power of patches; those of two sets of patches can be added.

    Args:
        count: Number of patches.
        power: Sum of their two-dimensional spectra, HU^2 mm^2, float64 [fy, fx] in the order of
            `numpy.fft.fftfreq`.
        pixel_spacing_mm: Along (rows, columns).
    """

    count: int
    power: DoubleArray
    pixel_spacing_mm: tuple[float, float]

    def __add__(self, other: PowerSums) -> PowerSums:
        return PowerSums(self.count + other.count, self.power + other.power, self.pixel_spacing_mm)

    def __sub__(self, other: PowerSums) -> PowerSums:
        return PowerSums(self.count - other.count, self.power - other.power, self.pixel_spacing_mm)

    @property
    def spectrum(self) -> DoubleArray:
        """The mean spectrum, HU^2 mm^2 [fy, fx].

        Raises:
            InputError: If there is no patch.
        """
        if self.count < 1:
            raise InputError("A noise power spectrum needs at least one patch.")
        return self.power / self.count

    @property
    def variance_hu2(self) -> float:
        """Sum of the spectrum over all frequencies, HU^2: the variance of the noise."""
        rows, columns = self.power.shape
        cell: float = self.pixel_spacing_mm[0] * rows * self.pixel_spacing_mm[1] * columns
        return float(self.spectrum.sum()) / cell

    def radial(self) -> RadialSpectrum:
        """The spectrum along the distance from the origin."""
        weights, frequency, modes = _rings(self.power.shape[0], self.pixel_spacing_mm)
        return RadialSpectrum(frequency, weights @ self.spectrum.ravel(), modes)

    @property
    def ring_errors(self) -> DoubleArray:
        """Relative standard error of each ring of `radial`: 1 / sqrt(patches * points / 2).

        A point and its mirror are one; patches count as independent, which overlapping ones are
        not.
        """
        _, _, modes = _rings(self.power.shape[0], self.pixel_spacing_mm)
        return np.asarray(1 / np.sqrt(self.count * modes / 2))

    @property
    def centroid_per_mm(self) -> float | None:
        """Mean frequency weighted by the two-dimensional power up to Nyquist; None without noise.

        It is higher than `RadialSpectrum.mean_frequency_per_mm`, TG-233's, because rings of high
        frequency have more points: name it where you state it.
        """
        radial = self.radial()
        weight = radial.power * radial.modes
        total = float(weight.sum())
        return float((radial.frequency_per_mm * weight).sum()) / total if total > 0 else None

    def centred(self) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Frequencies along y and x, 1/mm, and the mean spectrum [fy, fx], zero in the middle."""
        fy, fx = (
            np.fft.fftshift(np.fft.fftfreq(points, spacing))
            for points, spacing in zip(self.power.shape, self.pixel_spacing_mm, strict=True)
        )
        return fy, fx, np.fft.fftshift(self.spectrum)


def power_of(
    patches: DoubleArray, *, pixel_spacing_mm: tuple[float, float], order: int = 2
) -> PowerSums:
    """The summed power of patches after a polynomial was taken from each.

    Args:
        patches: Square patches, HU, float64 [patch, y, x]; none is allowed.
        pixel_spacing_mm: Along (rows, columns).
        order: Of the polynomial: 0 takes the mean, 1 a plane, 2 a quadratic surface.

    Raises:
        InputError: If the patches are not square, too small for the polynomial, or the order is
            unknown.
    """
    side = patches.shape[-1]
    if patches.ndim != 3 or patches.shape[1] != side or side < 4:
        raise InputError(f"Patches must be squares of at least 4 pixels, not {patches.shape[1:]}.")
    basis = _polynomials(side, order)
    flat = patches.reshape(len(patches), side * side)
    scale = max(1.0, float(np.square(flat).mean())) if flat.size else 1.0
    residual = flat - (flat @ basis) @ basis.T
    residual[np.square(residual).mean(axis=1) < _NOTHING * scale] = 0.0
    power = np.square(np.abs(np.fft.fft2(residual.reshape(patches.shape)))).sum(axis=0)
    cell = pixel_spacing_mm[0] * pixel_spacing_mm[1] / side**2
    given_back = side**2 / (side**2 - basis.shape[1])
    return PowerSums(len(patches), power * (cell * given_back), pixel_spacing_mm)


def patches_at(image: DoubleArray, corners: Sequence[tuple[int, int]], side: int) -> DoubleArray:
    """Patches of a slice, float64 [patch, y, x].

    Args:
        image: Indexed [y, x].
        corners: First row and column of each.
        side: Pixels along each side.
    """
    parts = [image[y : y + side, x : x + side] for y, x in corners]
    return np.stack(parts) if parts else np.zeros((0, side, side))


@dataclass(frozen=True, slots=True)
class FlatPatch:
    """A patch that lies in one tissue.

    Args:
        index: Its slice.
        corner: First row and column.
        relief_hu: Standard deviation of what is left in the smoothed patch after a quadratic
            surface was taken from it: anatomy, and a little noise.
    """

    index: int
    corner: tuple[int, int]
    relief_hu: float


def candidates(smooth: DoubleArray, inside: BoolArray, *, index: int, side: int) -> list[FlatPatch]:
    """Every patch of a slice that lies in a tissue as a whole; patches overlap by half.

    Args:
        smooth: The slice, its noise averaged out as far as it goes, HU [y, x].
        inside: Where the tissue is, [y, x].
        index: Number of the slice.
        side: Pixels along each side.
    """
    step = max(1, side // 2)
    basis = _polynomials(side, 2)
    found = []
    for y in range(0, smooth.shape[0] - side + 1, step):
        for x in range(0, smooth.shape[1] - side + 1, step):
            if inside[y : y + side, x : x + side].all():
                patch = smooth[y : y + side, x : x + side].reshape(-1).astype(np.float64)
                left = patch - basis @ (basis.T @ patch)
                found.append(FlatPatch(index, (y, x), float(np.sqrt(np.square(left).mean()))))
    return found


FLAT_SHARE = 0.1
"""The share of the patches, those with the least anatomy, in which noise is measured."""

FEWEST_PATCHES = 8
"""With fewer there is no spectrum: a ring of it would be uncertain by more than ten per cent."""

WANTED_PATCHES = 24
"""If the share holds fewer, the flattest so many are taken."""


def flattest(found: Sequence[FlatPatch]) -> tuple[FlatPatch, ...]:
    """The patches with the least anatomy, in the order of their slices; none if too few are there.

    Args:
        found: All candidates of a volume.
    """
    if len(found) < FEWEST_PATCHES:
        return ()
    count = min(len(found), max(WANTED_PATCHES, round(FLAT_SHARE * len(found))))
    chosen = sorted(found, key=lambda patch: patch.relief_hu)[:count]
    return tuple(sorted(chosen, key=lambda patch: (patch.index, patch.corner)))


@lru_cache(maxsize=8)
def _polynomials(side: int, order: int) -> DoubleArray:
    """An orthonormal basis of the polynomials of two variables, float64 [pixel, coefficient]."""
    if order not in (0, 1, 2):
        raise InputError(f"A polynomial of order {order} is not supported; take 0, 1 or 2.")
    axis = np.linspace(-1, 1, side)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    terms = [y**i * x**j for i in range(order + 1) for j in range(order + 1 - i)]
    basis, _ = np.linalg.qr(np.stack([term.ravel() for term in terms], axis=1))
    return np.asarray(basis, dtype=np.float64)


@lru_cache(maxsize=8)
def _rings(
    side: int, pixel_spacing_mm: tuple[float, float]
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Weights of the mean over each ring [ring, point], its mean frequency, its points."""
    fy, fx = (np.fft.fftfreq(side, spacing) for spacing in pixel_spacing_mm)
    radius = np.hypot(fy[:, None], fx).ravel()
    width = 1 / (side * min(pixel_spacing_mm))
    nyquist = 1 / (2 * max(pixel_spacing_mm))
    number = np.floor(radius / width - 0.5).astype(int)
    counted = (number >= 0) & (radius <= nyquist * (1 + 1e-9))
    rings = [np.flatnonzero(counted & (number == ring)) for ring in np.unique(number[counted])]
    weights = np.zeros((len(rings), len(radius)))
    for row, points in zip(weights, rings, strict=True):
        row[points] = 1 / len(points)
    return weights, weights @ radius, np.array([float(len(points)) for points in rings])

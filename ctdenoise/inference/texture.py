"""Which share of what a method takes away is taken at each frequency: noise keeps its texture.

Methods take fine noise best, so what they leave is coarse: its power spectrum has another shape
than that of the scan. With the spectra S_n of the noise, S_r of what is removed and C, the real
part of their cross-spectrum, what is left when the share H of the removed part is taken has the
spectrum

    S(f) = S_n(f) - 2 H(f) C(f) + H(f)^2 S_r(f).

A plain mixture has H = s, the strength. Here H is chosen instead so that S has the same sum, which
is the same noise level, and is as near to a wanted shape as can be:

    S(f) = max(c D(f), S_least(f)),    D = S_plain^(1 - t) S_n^t,

with t the texture that is asked for (1: the shape of the scan's own noise), c the number that makes
the sum right, and S_least what is left with the best share between 0 and 1: nobody can take more.
It is the lowest one that makes all frequencies where noise can be taken away alike (in the theory
of channels the same construction is called water-filling).

All spectra are measured in flat soft tissue of the scan itself. H is a real function of the
distance from the origin in cycles per mm, so the filter has no phase and pixels need not be square;
between 0 and 1, so every frequency of the result is a mixture of the scan and the method's image,
and nothing is enhanced; equal to the strength at frequency 0, so that the mean of a slice drifts
no more than in a plain mixture; and straight between frequencies 1/(32 pixels) apart, so that its
kernel fades with the square of the distance in units of 32 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.noise_texture import flat_areas
from ctdenoise.metrics.nps import PowerSums, patches_at, power_of

SIDE = 32
"""Pixels along each side of the patches whose spectra are measured, and the reach of the filter."""

_DECIMALS = 4  # of the shares: what is recorded is what is applied
_FAINT = 1e-3  # of the highest power: frequencies with less say nothing about shares
_HALVINGS = 60

_STEEPNESS = 4.0
"""Exponent of the high-pass: 2 for what a Gaussian leaves out. Steeper, it keeps as much of a
lesion for less noise: noise grows with the frequency where the spectrum of a lesion falls."""

_PASSED = 2.0
"""Beyond this many times its middle, a high-pass lets everything pass: all but 2^-16."""

_STEPS = 81


@dataclass(frozen=True, slots=True)
class Shares:
    """The share of what a method takes away that is taken, by frequency.

    Args:
        frequency_per_mm: Ascending from 0, 1/mm; between them it is a straight line, and constant
            beyond the last.
        share: From 0 to 1, at each of them.
    """

    frequency_per_mm: tuple[float, ...]
    share: tuple[float, ...]

    def at(self, frequency_per_mm: DoubleArray) -> DoubleArray:
        """The share at some frequencies.

        Args:
            frequency_per_mm: Distance from the origin, 1/mm.
        """
        shares: DoubleArray = np.interp(frequency_per_mm, self.frequency_per_mm, self.share)
        return shares

    @classmethod
    def above(cls, strength: float, keep_below_per_mm: float) -> Shares:
        """A strength at high frequencies, and less and less towards frequency 0.

        Args:
            strength: From 0 to 1.
            keep_below_per_mm: Where half of it is taken, 1/mm, above 0.
        """
        return cls((0.0,), (strength,)).keeping(keep_below_per_mm)

    def keeping(self, below_per_mm: float) -> Shares:
        """The same, times a high-pass: 1 - 2^-(f / below)^4.

        Args:
            below_per_mm: Where half of each share stays, 1/mm, above 0.
        """
        steps = np.linspace(0.0, _PASSED * below_per_mm, _STEPS)
        frequency = np.unique(np.concatenate((steps, self.frequency_per_mm)))
        share = self.at(frequency) * (1 - np.exp2(-((frequency / below_per_mm) ** _STEEPNESS)))
        return Shares(
            tuple(round(float(f), _DECIMALS) for f in frequency),
            tuple(round(float(h), _DECIMALS) for h in share),
        )

    def taken(self, removed_hu: HuArray, pixel_spacing_mm: tuple[float, float]) -> HuArray:
        """What is taken of what a method would take away, float32 [z, y, x], HU.

        Slices are continued by their mirror image, in which a filter without phase is a product of
        cosine transforms. Each is transformed alone, so that it does not matter which others are
        given with it.

        Args:
            removed_hu: What the method would take away, [z, y, x]; 0 at padding.
            pixel_spacing_mm: Along (rows, columns).
        """
        rows, columns = removed_hu.shape[1:]
        gain = _gain(self, (rows, columns), pixel_spacing_mm)
        taken: HuArray = np.empty_like(removed_hu)
        for index, image in enumerate(removed_hu):
            waves = fft.dctn(image, norm="ortho")
            taken[index] = fft.idctn(waves * gain, norm="ortho")
        return taken


@lru_cache(maxsize=4)
def _gain(shares: Shares, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> FloatArray:
    """The share at the frequencies k / (2 N d) of the cosines of an image."""
    rows, columns = (np.arange(n) / (2 * n * d) for n, d in zip(shape, spacing_mm, strict=True))
    return shares.at(np.hypot(rows[:, None], columns)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPower:
    """Power spectra in flat soft tissue.

    Args:
        noise: Of the scan.
        removed: Of what a method takes away.
        left: Of the method's image.
    """

    noise: PowerSums
    removed: PowerSums
    left: PowerSums

    def shares(self, strength: float, texture: float) -> Shares | None:
        """The shares that leave the noise of a plain mixture, and its texture as it is asked for.

        Args:
            strength: Share of the plain mixture, above 0.
            texture: 0 for the shape of the plain mixture's spectrum, 1 for that of the scan.

        Returns:
            The shares; None where nothing is removed, or nothing is there.
        """
        rings = self.noise.radial()
        noise, removed, left = (one.radial().power for one in (self.noise, self.removed, self.left))
        heard = (noise > _FAINT * noise.max()) & (removed > _FAINT**2 * noise.max())
        if not heard.any():
            return None
        noise, removed, left = noise[heard], removed[heard], left[heard]
        frequency = (0.0, *(float(f) for f in rings.frequency_per_mm[heard]))
        best = (noise + removed - left) / (2 * removed)  # the share that leaves the least
        most = np.clip(best, 0.0, 1.0)
        plain = noise + removed * (strength**2 - 2 * strength * best)
        shape = np.maximum(plain, 0.0) ** (1 - texture) * noise**texture

        def shares(factor: float) -> Shares:
            wanted = np.minimum(factor * shape, noise)
            root = np.sqrt(np.maximum(best**2 - (noise - wanted) / removed, 0.0))
            share = np.clip(best - root, 0.0, most)
            return Shares(frequency, (strength, *(float(h) for h in share)))

        same = self._variance(Shares((0.0,), (strength,)))
        low, high = 0.0, float((noise / np.maximum(shape, 1e-30 * noise)).max())
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self._variance(shares(middle)) < same:
                low = middle
            else:
                high = middle
        found = shares(high)
        return Shares(
            tuple(round(f, _DECIMALS) for f in found.frequency_per_mm),
            tuple(round(h, _DECIMALS) for h in found.share),
        )

    def _variance(self, shares: Shares) -> float:
        """Variance that is left with some shares, over any constant."""
        rows, columns = (np.fft.fftfreq(SIDE, spacing) for spacing in self.noise.pixel_spacing_mm)
        share = shares.at(np.hypot(rows[:, None], columns))
        cross = (self.noise.power + self.removed.power - self.left.power) / 2
        return float((self.noise.power - 2 * share * cross + share**2 * self.removed.power).sum())


def measured_power(before: CTVolume, after: CTVolume, body: BoolArray) -> MeasuredPower | None:
    """Spectra of some slices, measured where the method's image is flattest.

    That image is the least noisy thing known of the anatomy: patches chosen in the scan itself
    would be chosen for their noise.

    Args:
        before: Slices of the scan.
        after: The method's own image of them.
        body: Their body mask, [z, y, x].

    Returns:
        The spectra; None where there is too little soft tissue.
    """
    areas = flat_areas(after, body, side=SIDE, truth="scan")
    if not areas.patches:
        return None
    spacing = before.geometry.pixel_spacing_mm
    sums: list[list[PowerSums]] = []
    for index in sorted({patch.index for patch in areas.patches}):
        corners = [patch.corner for patch in areas.patches if patch.index == index]
        noise, left = (
            patches_at(one.hu[index].astype(np.float64), corners, SIDE) for one in (before, after)
        )
        parts = (noise, noise - left, left)
        sums.append([power_of(part, pixel_spacing_mm=spacing) for part in parts])
    first, *others = sums
    for other in others:
        first = [one + more for one, more in zip(first, other, strict=True)]
    return MeasuredPower(*first)

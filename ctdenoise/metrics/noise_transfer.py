"""What a denoiser does to noise: which frequencies it takes, and how much coarser the rest is.

Noise of images with a background that is not flat is what repeats of the same scan do not share.
Slices of one scan are no repeats: neighbouring slices share noise, and their difference holds too
little of it (a fifth less in a real scan).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.nps import PowerSums
from ctdenoise.metrics.transfer import percentile_interval, weighted_ratio


def repeat_noise(repeats: DoubleArray) -> DoubleArray:
    """The noise of each of K repeats: (I_k - mean) sqrt(K / (K - 1)).

    The factor gives back what the mean took, so that power and variance are right on average.

    Args:
        repeats: Scans of the same thing with independent noise, [repeat, ...].

    Raises:
        InputError: If there is only one.
    """
    count = len(repeats)
    if count < 2:
        raise InputError("Noise by repeats needs at least two of them.")
    return np.asarray((repeats - repeats.mean(axis=0)) * np.sqrt(count / (count - 1)))


def difference_noise(one: DoubleArray, other: DoubleArray) -> DoubleArray:
    """The noise of one of two repeats: (I_1 - I_2) / sqrt(2).

    Args:
        one: A scan.
        other: A repeat of it; not the next slice.

    Raises:
        InputError: If they differ in shape.
    """
    if one.shape != other.shape:
        raise InputError(f"Repeats of {one.shape} and {other.shape} voxels cannot be subtracted.")
    return np.asarray((one - other) / np.sqrt(2))


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSamples:
    """Radial noise power of slices or repeats, to be resampled.

    Args:
        total: Sums over all samples.
        frequency_per_mm: Mean frequency of each ring, 1/mm.
        power: Summed power of the patches of each sample in each ring, HU^2 mm^2 [sample, ring].
        variance_hu2: Summed variance of the patches of each sample, HU^2 [sample].
        patches: How many each sample has, [sample].
    """

    total: PowerSums
    frequency_per_mm: DoubleArray
    power: DoubleArray
    variance_hu2: DoubleArray
    patches: DoubleArray

    def radial_power(self, weights: DoubleArray) -> DoubleArray:
        """Mean spectrum of weighted samples, HU^2 mm^2 [..., ring].

        Args:
            weights: Of each sample, [..., sample].
        """
        return weighted_ratio(weights, self.power, self.patches)

    def mean_frequency(self, weights: DoubleArray) -> DoubleArray:
        """The frequency fav of weighted samples, 1/mm [...]; NaN without noise.

        Args:
            weights: Of each sample, [..., sample].
        """
        return weighted_ratio(weights, self.power @ self.frequency_per_mm, self.power.sum(axis=-1))

    def deviation_hu(self, weights: DoubleArray) -> DoubleArray:
        """Standard deviation of the noise of weighted samples, HU [...].

        Args:
            weights: Of each sample, [..., sample].
        """
        variance = weighted_ratio(weights, self.variance_hu2, self.patches)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def noise_samples(sums: Sequence[PowerSums]) -> NoiseSamples:
    """Radial noise power of slices or repeats.

    Args:
        sums: Of each sample, all with patches of the same size.

    Raises:
        InputError: If there is none, or one without a patch.
    """
    if not sums or not all(one.count for one in sums):
        raise InputError("Noise needs samples, and each of them a patch.")
    total = sums[0]
    for one in sums[1:]:
        total = total + one
    radials = [one.radial() for one in sums]
    return NoiseSamples(
        total,
        radials[0].frequency_per_mm,
        np.stack([one.count * radial.power for one, radial in zip(sums, radials, strict=True)]),
        np.array([one.count * one.variance_hu2 for one in sums]),
        np.array([float(one.count) for one in sums]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class NoiseChange:
    """Noise after a denoiser against that before.

    Args:
        frequency_per_mm: Mean frequency of each ring, 1/mm.
        transfer: NPS after over NPS before, in each ring; NaN where there was none before.
        transfer_low: Lower end of its 95 % band; None without resampling.
        transfer_high: Upper end.
        fav_shift_percent: Change of fav in per cent of that before; negative is coarser. None
            without noise.
        fav_shift_interval: Its 95 % interval; None without resampling.
        noise_ratio: Standard deviation after over that before; None without noise before.
        noise_ratio_interval: Its 95 % interval.
    """

    frequency_per_mm: DoubleArray
    transfer: DoubleArray
    transfer_low: DoubleArray | None
    transfer_high: DoubleArray | None
    fav_shift_percent: float | None
    fav_shift_interval: tuple[float, float] | None
    noise_ratio: float | None
    noise_ratio_interval: tuple[float, float] | None


def noise_change(
    after: NoiseSamples, before: NoiseSamples, *, resamplings: DoubleArray | None = None
) -> NoiseChange:
    """What became of the noise: the linear transfer of its power, its size and its texture.

    Args:
        after: Noise of denoised samples.
        before: That of the same samples before, in the same order.
        resamplings: How often each sample counts in each resampling, as by `transfer.resampled`;
            what both share cancels.

    Raises:
        InputError: If the samples do not match.
    """
    if after.power.shape != before.power.shape:
        raise InputError("Noise before and after was measured in different samples or patches.")
    everything = np.ones(len(before.power))
    transfer, shift, ratio = _changes(after, before, everything)
    if resamplings is None or not len(resamplings):
        bands: tuple[DoubleArray | None, DoubleArray | None] = (None, None)
        shifts = ratios = np.empty(0)
    else:
        transfers, shifts, ratios = _changes(after, before, resamplings)
        low, high = np.quantile(transfers, (0.025, 0.975), axis=0)
        bands = (np.maximum(low, 0.0), high)
    return NoiseChange(
        before.frequency_per_mm,
        transfer,
        *bands,
        float(shift) if np.isfinite(shift) else None,
        percentile_interval(shifts),
        float(ratio) if np.isfinite(ratio) else None,
        percentile_interval(ratios),
    )


def _changes(
    after: NoiseSamples, before: NoiseSamples, weights: DoubleArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        transfer = after.radial_power(weights) / before.radial_power(weights)
        shift = 100 * (after.mean_frequency(weights) / before.mean_frequency(weights) - 1)
        ratio = after.deviation_hu(weights) / before.deviation_hu(weights)
    return transfer, np.asarray(shift), np.asarray(ratio)

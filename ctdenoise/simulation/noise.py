"""Quantum and electronic noise of every ray, drawn where it is used.

A ray with line integral p counts N = N0 exp(-p) photons on average at full dose, and a N at the
dose fraction a. What the log data of the twin have to gain is

    delta p = -ln( max(a N + d, floor) / (a N) )

where d has mean zero, the variance ``a (1 - a) N + (1 - a^2) sigma_e^2`` (so that together with
the noise the scan holds, scaled by a, it makes up ``a N + sigma_e^2``) and the third cumulant
``a (1 - a^2) N``. Where few photons are left the logarithm of the scan's own noise matters too:
rays below a threshold draw that noise h as well,

    delta p = ln( max(N + h, floor) / N ) - ln( max(a (N + h) + d, floor) / (a N) ).

The draw is a function of (seed, slice key, view, channel) alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float32, int32, prange, uint32

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.scanner import Fan
from ctdenoise.simulation.vectors import (
    LANES,
    float_bits,
    float_from_bits,
    inlined,
    parallel_kernel,
)

Keys = npt.NDArray[np.uint32]

Scalar = Any
"""A float32 or uint32 scalar of numba, whose constructors have no types."""

Spread = tuple[Scalar, Scalar, Scalar]
"""Variance per photon, constant variance, third cumulant per photon."""

Rules = tuple[Scalar, Scalar, Scalar, Spread, Spread]
"""Dose fraction, floor, counts below which a ray is starved, added spread, spread of the scan."""

LEAST_COUNTS = np.float32(1e-3)
"""Expected counts are never less: keeps ratios finite behind metal."""

_SECOND = np.uint32(0x9E3779B9)
_THIRD = np.uint32(0x85EBCA6B)
_FOURTH = np.uint32(0xC2B2AE35)
"""Odd constants that separate the random words of one ray."""


class NoiseStatistics(NamedTuple):
    """The distribution of d, on the scale of the twin's counts.

    Variance ``linear * N + constant``, third cumulant ``cubic * N``.
    """

    dose_fraction: float
    linear: float
    constant: float
    cubic: float
    floor: float
    dual_below: float
    """Rays with fewer expected counts in the twin draw the scan's own noise as well."""
    electronic_variance: float
    """Of the scan."""

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to draw: a twin of the full dose."""
        return self.linear == 0.0 and self.constant == 0.0


NO_NOISE = NoiseStatistics(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
"""What a twin of the full dose gains."""


def added_noise(
    dose_fraction: float, *, electronic_noise: float, floor: float, dual_below: float
) -> NoiseStatistics:
    """Noise that a scan lacks to be one of less dose.

    Args:
        dose_fraction: Dose of the twin over that of the scan, a in (0, 1].
        electronic_noise: Standard deviation sigma_e, quanta.
        floor: Least counts before the logarithm.
        dual_below: Expected counts of the twin below which the scan's own noise is drawn too.
    """
    a, electronic_variance = dose_fraction, electronic_noise**2
    return NoiseStatistics(
        a,
        a * (1 - a),
        (1 - a**2) * electronic_variance,
        a * (1 - a**2),
        floor,
        dual_below,
        electronic_variance,
    )


def native_noise(dose_fraction: float, *, electronic_noise: float, floor: float) -> NoiseStatistics:
    """All the noise of a scan at a dose: what a noise-free image lacks.

    Args:
        dose_fraction: Dose over the full dose, a in (0, 1].
        electronic_noise: Standard deviation sigma_e, quanta.
        floor: Least counts before the logarithm.
    """
    a, electronic_variance = dose_fraction, electronic_noise**2
    return NoiseStatistics(a, a, electronic_variance, a, floor, 0.0, electronic_variance)


def slice_keys(names: Sequence[bytes]) -> Keys:
    """Two random words for each slice, [2, slice], from whatever tells it from all others.

    Args:
        names: Seed, dose, position and content of each slice, as bytes.
    """
    words = [hashlib.blake2b(name, digest_size=8).digest() for name in names]
    pairs = np.frombuffer(b"".join(words), dtype="<u4").reshape(-1, 2)
    return np.ascontiguousarray(pairs.T)


def lane_keys(keys: Keys, lanes: int) -> Keys:
    """The words of slices, [2, slice], laid out for vectors: [vector, 2, LANES], flat."""
    padded = np.zeros((2, lanes), np.uint32)
    padded[:, : keys.shape[1]] = keys
    return np.ascontiguousarray(padded.reshape(2, -1, LANES).swapaxes(0, 1)).reshape(-1)


class Upsampling(NamedTuple):
    """Where fine views and channels lie between the coarse ones; linear weights of the upper."""

    this_view: npt.NDArray[np.int64]
    next_view: npt.NDArray[np.int64]
    view_fraction: FloatArray
    channel: npt.NDArray[np.int64]
    channel_fraction: FloatArray


def upsampling(coarse: Fan, fine: Fan) -> Upsampling:
    """How to interpolate a coarse sinogram to the rays of a finer fan of the same opening."""
    view = np.arange(fine.views) * (coarse.views / fine.views)
    lower = np.floor(view).astype(np.int64)
    channel = np.linspace(0, coarse.channels - 1, fine.channels)
    left = np.minimum(channel.astype(np.int64), coarse.channels - 2)
    return Upsampling(
        lower,
        (lower + 1) % coarse.views,
        (view - lower).astype(np.float32),
        left,
        (channel - left).astype(np.float32),
    )


@inlined
def _exponential(x: Scalar) -> Scalar:
    """exp(x) to 4e-6: 2^n times a polynomial in the rest."""
    y = max(x * float32(1.44269504), float32(-126.0))
    whole = int32(y + float32(127.0)) - int32(127)  # floor, in single precision
    f = y - float32(whole)
    p = float32(0.00961813) + f * (float32(0.00133336) + f * float32(0.00015469))
    p = float32(0.24022651) + f * (float32(0.05550411) + f * p)
    p = float32(1.0) + f * (float32(0.69314718) + f * p)
    return float_from_bits(int32(float_bits(p) + (whole << int32(23))))


@inlined
def _logarithm(x: Scalar) -> Scalar:
    """ln(x) for normal x > 0: exponent, and the odd series of the mantissa around 1."""
    bits = float_bits(x)
    exponent = float32((bits >> int32(23)) - int32(127))
    mantissa = float_from_bits(int32((bits & int32(0x7FFFFF)) | int32(0x3F800000)))
    big = mantissa > float32(1.41421356)
    mantissa = float32(0.5) * mantissa if big else mantissa
    exponent = exponent + (float32(1.0) if big else float32(0.0))
    s = (mantissa - float32(1.0)) / (mantissa + float32(1.0))
    t = s * s
    series = float32(1 / 5) + t * (float32(1 / 7) + t * float32(1 / 9))
    series = float32(1.0) + t * (float32(1 / 3) + t * series)
    return exponent * float32(0.69314718056) + float32(2.0) * s * series


@inlined
def _scramble(x: Scalar) -> Scalar:
    """A bijective hash of 32 bits: two rounds of xor-shift and odd multiplication."""
    x ^= x >> uint32(16)
    x = uint32(x * uint32(0x21F0AAAD))
    x ^= x >> uint32(15)
    x = uint32(x * uint32(0x735A2D97))
    x ^= x >> uint32(15)
    return x


@inlined
def _sine_cosine(turns: Scalar) -> tuple[Scalar, Scalar]:
    """Sine and cosine of a fraction of a turn in [0, 1)."""
    quarters = turns * float32(4.0)
    nearest = int32(quarters + float32(0.5))
    r = (quarters - float32(nearest)) * float32(1.57079633)
    t = r * r
    s = float32(1 / 120) + t * float32(-1 / 5040)
    s = r * (float32(1.0) + t * (float32(-1 / 6) + t * s))
    c = float32(1 / 24) + t * (float32(-1 / 720) + t * float32(1 / 40320))
    c = float32(1.0) + t * (float32(-0.5) + t * c)
    quadrant = nearest & int32(3)
    swapped = (quadrant & int32(1)) != 0
    sine = c if swapped else s
    cosine = s if swapped else c
    sine = -sine if (quadrant & int32(2)) != 0 else sine
    cosine = -cosine if ((quadrant + int32(1)) & int32(2)) != 0 else cosine
    return sine, cosine


@inlined
def _normal_pair(first: Scalar, second: Scalar) -> tuple[Scalar, Scalar]:
    """Two independent standard normal numbers from two random words (Box and Muller)."""
    uniform = (float32(first >> uint32(8)) + float32(0.5)) * float32(5.9604645e-08)
    turns = float32(second >> uint32(8)) * float32(5.9604645e-08)
    radius = math.sqrt(float32(-2.0) * _logarithm(uniform))
    sine, cosine = _sine_cosine(turns)
    return radius * sine, radius * cosine


@inlined
def _skewed(normal: Scalar, mean: Scalar, spread: Spread) -> Scalar:
    """The change d of counts N: a Gaussian given a third cumulant (Cornish and Fisher)."""
    linear, constant, cubic = spread
    variance = linear * mean + constant
    tilt = cubic * mean / variance * float32(1 / 6)
    return math.sqrt(variance) * normal + tilt * (normal * normal - float32(1.0))


@inlined
def _log_change(
    mean: Scalar, normal: Scalar, dose: Scalar, floor: Scalar, spread: Spread
) -> Scalar:
    """Log change of a ray, the scan's own noise left as it is."""
    expected = dose * mean
    change = _skewed(normal, mean, spread)
    return -_logarithm(max(expected + change, floor) / expected)


@inlined
def _dual_log_change(
    mean: Scalar,
    normals: tuple[Scalar, Scalar],
    dose: Scalar,
    floor: Scalar,
    spreads: tuple[Spread, Spread],
) -> Scalar:
    """Log change of a starved ray, the scan's own noise drawn as well."""
    scan = mean + _skewed(normals[1], mean, spreads[1])
    twin = dose * scan + _skewed(normals[0], mean, spreads[0])
    return _logarithm(max(scan, floor) / mean) - _logarithm(max(twin, floor) / (dose * mean))


@inlined
def _expected_counts(
    coarse: FloatArray, sampling: Upsampling, view: int, photons: FloatArray, counts: FloatArray
) -> None:
    """Full-dose counts of a view, [channel, lane] flat, from the coarse line integrals."""
    channels = sampling.channel.shape[0]
    lanes = coarse.shape[2]
    upper, lower = sampling.view_fraction[view], float32(1.0) - sampling.view_fraction[view]
    below = coarse[sampling.this_view[view]].reshape(-1)
    above = coarse[sampling.next_view[view]].reshape(-1)
    for channel in range(channels):
        at = sampling.channel[channel] * lanes
        right = sampling.channel_fraction[channel]
        left = float32(1.0) - right
        for lane in range(lanes):
            p = lower * (left * below[at + lane] + right * below[at + lanes + lane])
            p += upper * (left * above[at + lane] + right * above[at + lanes + lane])
            mean = photons[lane] * _exponential(-p)
            counts[channel * lanes + lane] = max(mean, LEAST_COUNTS)


@inlined
def _draw_pair(
    ray: int, at: tuple[int, int], counts: FloatArray, keys: Keys, rules: Rules, out: FloatArray
) -> None:
    """Log change of two channels of a view, which share a pair of normal numbers in each lane.

    Whole vectors in a buffer of their own: the compiler need not fear that arrays overlap, and a
    lane is computed in one way wherever it stands.
    """
    first, second = at
    dose, floor, _, added, _ = rules
    ray_a, ray_b = _scramble(uint32(ray)), _scramble(uint32(ray) ^ _SECOND)
    work = np.empty(2 * LANES, np.float32)
    for block in range(0, keys.shape[0] // 2, LANES):
        for lane in range(LANES):
            work[lane] = counts[first + block + lane]
            work[LANES + lane] = counts[second + block + lane]
        for lane in range(LANES):
            one = _scramble(ray_a + keys[2 * block + lane])
            two = _scramble(ray_b + keys[2 * block + LANES + lane])
            normal_one, normal_two = _normal_pair(one, two)
            work[lane] = _log_change(work[lane], normal_one, dose, floor, added)
            work[LANES + lane] = _log_change(work[LANES + lane], normal_two, dose, floor, added)
        for lane in range(LANES):
            out[first + block + lane] = work[lane]
            out[second + block + lane] = work[LANES + lane]


@inlined
def _draw_starved(
    ray: int, at: tuple[int, int], counts: FloatArray, keys: Keys, rules: Rules, out: FloatArray
) -> None:
    """Log change of those lanes of two channels that are starved; the others are left alone."""
    first, second = at
    dose, floor, threshold, added, scan = rules
    both = (added, scan)
    ray_a, ray_b = _scramble(uint32(ray)), _scramble(uint32(ray) ^ _SECOND)
    for lane in range(keys.shape[0] // 2):
        one, two = counts[first + lane], counts[second + lane]
        if min(one, two) * dose >= threshold:
            continue
        key = lane + lane // LANES * LANES
        words = _scramble(ray_a + keys[key]), _scramble(ray_b + keys[key + LANES])
        normal_one, normal_two = _normal_pair(words[0], words[1])
        others = _scramble(words[0] ^ _THIRD), _scramble(words[1] ^ _FOURTH)
        scan_one, scan_two = _normal_pair(others[0], others[1])
        if one * dose < threshold:
            normals = (normal_one, scan_one)
            out[first + lane] = _dual_log_change(one, normals, dose, floor, both)
        if two * dose < threshold:
            normals = (normal_two, scan_two)
            out[second + lane] = _dual_log_change(two, normals, dose, floor, both)


@parallel_kernel
def draw_log_noise(
    coarse: FloatArray,
    sampling: Upsampling,
    photons: FloatArray,
    statistics: NoiseStatistics,
    keys: Keys,
    weights: FloatArray,
    out: FloatArray,
) -> None:
    """Noise of the log data of every ray.

    Args:
        coarse: Line integrals on few rays, [view, channel, lane].
        sampling: `Upsampling` from them to all rays.
        photons: N0 at full dose, [lane].
        statistics: `NoiseStatistics`.
        keys: Two random words for each lane, as `lane_keys` lays them out.
        weights: Factor on each channel, [channel].
        out: Receives weight times delta p, [view, channel, lane].
    """
    views, channels, lanes = out.shape
    half = (channels + 1) // 2
    for view in prange(views):
        added = (
            float32(statistics.linear),
            float32(statistics.constant),
            float32(statistics.cubic),
        )
        scan = (float32(1.0), float32(statistics.electronic_variance), float32(1.0))
        dose, floor = float32(statistics.dose_fraction), float32(statistics.floor)
        rules = (dose, floor, float32(statistics.dual_below), added, scan)
        counts = np.empty(channels * lanes, np.float32)
        _expected_counts(coarse, sampling, view, photons, counts)
        target = out[view].reshape(-1)
        # An odd channel in the middle is its own partner, and keeps the second of its numbers.
        for channel in range(half):
            at = (channel * lanes, (channels - 1 - channel) * lanes)
            ray = view * channels + channel
            _draw_pair(ray, at, counts, keys, rules, target)
            starved = 0
            for lane in range(lanes):
                starved += counts[at[0] + lane] * dose < rules[2]
                starved += counts[at[1] + lane] * dose < rules[2]
            if starved > 0:
                _draw_starved(ray, at, counts, keys, rules, target)
        for channel in range(channels):
            weight = weights[channel]
            for lane in range(channel * lanes, (channel + 1) * lanes):
                target[lane] *= weight

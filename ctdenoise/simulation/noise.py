"""Quantum and electronic noise of every ray, drawn where it is used.

A ray with line integral p counts N = N0 exp(-p) photons on average at full dose, and a N at the
dose fraction a. What the log data of the twin have to gain is

    delta p = -ln( max(a N + d, floor) / (a N) )

where d has mean zero, the variance ``a (1 - a) N + (1 - a^2) sigma_e^2`` (so that together with
the noise the scan holds, scaled by a, it makes up ``a N + sigma_e^2``) and the third cumulant
``a (1 - a^2) N``. Where few photons are left the logarithm of the scan's own noise matters too:
rays below a threshold draw that noise h as well,

    delta p = ln( max(N + h, floor) / N ) - ln( max(a (N + h) + d, floor) / (a N) ).

The draw is a function of (seed, slice key, view, channel) alone. So that rounding is the same
wherever a slice stands, no operation is reordered; the loops compute on whole vectors in a small
buffer of their own, so that the compiler need not ask at run time whether arrays overlap.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numba import float32, prange, uint32

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.elementary import (
    Scalar,
    exponential,
    logarithm,
    normal_pair,
    scramble,
)
from ctdenoise.simulation.overlap import Layers
from ctdenoise.simulation.vectors import LANES, exactly_inlined, multiply_add, parallel_kernel

Keys = npt.NDArray[np.uint32]

Spread = tuple[Scalar, Scalar, Scalar]
"""Variance per photon, constant variance, third cumulant per photon."""

Numbers = tuple[FloatArray, FloatArray]
"""Normal numbers of a pair of rays: of every layer, and of every lane."""

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


class Upsampling(NamedTuple):
    """Where fine views and channels lie between the coarse ones; linear weights of the upper."""

    this_view: npt.NDArray[np.int64]
    next_view: npt.NDArray[np.int64]
    view_fraction: FloatArray
    channel: npt.NDArray[np.int64]
    channel_fraction: FloatArray


class Rays(Protocol):
    """The rays of a whole turn: every view has the same channels, evenly spread."""

    @property
    def views(self) -> int:
        """Views in a turn."""
        ...

    @property
    def channels(self) -> int:
        """Channels of a view."""
        ...


def upsampling(coarse: Rays, fine: Rays) -> Upsampling:
    """How to interpolate a coarse sinogram to finer rays of the same opening."""
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


@exactly_inlined
def _skewed(normal: Scalar, mean: Scalar, spread: Spread) -> Scalar:
    """The change d of counts N: a Gaussian given a third cumulant (Cornish and Fisher)."""
    linear, constant, cubic = spread
    variance = multiply_add(linear, mean, constant)
    tilt = cubic * mean / variance * float32(1 / 6)
    skew = tilt * multiply_add(normal, normal, float32(-1.0))
    return multiply_add(math.sqrt(variance), normal, skew)


@exactly_inlined
def _log_change(
    mean: Scalar, normal: Scalar, dose: Scalar, floor: Scalar, spread: Spread
) -> Scalar:
    """Log change of a ray, the scan's own noise left as it is."""
    expected = dose * mean
    change = _skewed(normal, mean, spread)
    return -logarithm(max(expected + change, floor) / expected)


@exactly_inlined
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
    return logarithm(max(scan, floor) / mean) - logarithm(max(twin, floor) / (dose * mean))


@exactly_inlined
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
            mean = photons[lane] * exponential(-p)
            counts[channel * lanes + lane] = max(mean, LEAST_COUNTS)


@exactly_inlined
def _draw_layers(
    words: tuple[Scalar, Scalar], keys: Keys, of_scan: bool, normals: FloatArray
) -> None:
    """Two normal numbers of each layer for a pair of rays, [ray of the pair, layer] flat.

    The noise of the scan has numbers of its own, drawn from the words of the added noise.
    """
    layers = keys.shape[0] // 2
    work = np.empty(2 * LANES, np.float32)
    for block in range(0, layers, LANES):
        for lane in range(LANES):
            one = scramble(words[0] + keys[2 * block + lane])
            two = scramble(words[1] + keys[2 * block + LANES + lane])
            if of_scan:
                one, two = scramble(one ^ _THIRD), scramble(two ^ _FOURTH)
            work[lane], work[LANES + lane] = normal_pair(one, two)
        for lane in range(LANES):
            normals[block + lane] = work[lane]
            normals[layers + block + lane] = work[LANES + lane]


@exactly_inlined
def _mix_layers(
    normals: FloatArray, weights: FloatArray, layers: int, lanes: int, mixed: FloatArray
) -> None:
    """Weighted sums of neighbouring layers, [ray of the pair, lane] flat."""
    reach = weights.shape[0] // lanes
    work = np.empty(3 * LANES, np.float32)
    for part in range(2):
        for block in range(0, lanes, LANES):
            at = part * layers + block
            for lane in range(LANES):
                work[lane] = float32(0.0)
            for ahead in range(reach):
                for lane in range(LANES):
                    work[LANES + lane] = weights[ahead * lanes + block + lane]
                    work[2 * LANES + lane] = normals[at + lane + ahead]
                for lane in range(LANES):
                    work[lane] = multiply_add(
                        work[LANES + lane], work[2 * LANES + lane], work[lane]
                    )
            for lane in range(LANES):
                mixed[part * lanes + block + lane] = work[lane]


@exactly_inlined
def _draw_normals(ray: int, layers: Layers, of_scan: bool, numbers: Numbers) -> None:
    """Standard normal numbers of a pair of rays in every lane, into the second of `numbers`."""
    keys, weights = layers
    drawn, mixed = numbers
    words = scramble(uint32(ray)), scramble(uint32(ray) ^ _SECOND)
    lanes = mixed.shape[0] // 2
    if weights.shape[0] == lanes:
        _draw_layers(words, keys, of_scan, mixed)
    else:
        _draw_layers(words, keys, of_scan, drawn)
        _mix_layers(drawn, weights, keys.shape[0] // 2, lanes, mixed)


@exactly_inlined
def _change_pair(
    at: tuple[int, int], counts: FloatArray, normals: FloatArray, rules: Rules, out: FloatArray
) -> None:
    """Log change of two channels of a view."""
    first, second = at
    dose, floor, _, added, _ = rules
    lanes = normals.shape[0] // 2
    work = np.empty(4 * LANES, np.float32)
    for block in range(0, lanes, LANES):
        for lane in range(LANES):
            work[lane] = counts[first + block + lane]
            work[LANES + lane] = counts[second + block + lane]
            work[2 * LANES + lane] = normals[block + lane]
            work[3 * LANES + lane] = normals[lanes + block + lane]
        for lane in range(2 * LANES):
            work[lane] = _log_change(work[lane], work[2 * LANES + lane], dose, floor, added)
        for lane in range(LANES):
            out[first + block + lane] = work[lane]
            out[second + block + lane] = work[LANES + lane]


@exactly_inlined
def _change_starved(
    at: int, counts: FloatArray, both: tuple[FloatArray, FloatArray], rules: Rules, out: FloatArray
) -> None:
    """Log change of the starved lanes of a channel; the others are left alone.

    `both` holds, for this channel, the normal numbers of the added noise and of the scan's own.
    """
    dose, floor, threshold, added, scan = rules
    work = np.empty(3 * LANES, np.float32)
    for block in range(0, both[0].shape[0], LANES):
        for lane in range(LANES):
            work[lane] = counts[at + block + lane]
            work[LANES + lane] = both[0][block + lane]
            work[2 * LANES + lane] = both[1][block + lane]
        for lane in range(LANES):
            normals = work[LANES + lane], work[2 * LANES + lane]
            work[lane] = _dual_log_change(work[lane], normals, dose, floor, (added, scan))
        for lane in range(LANES):
            starved = counts[at + block + lane] * dose < threshold
            out[at + block + lane] = work[lane] if starved else out[at + block + lane]


@exactly_inlined
def _is_starved(at: int, counts: FloatArray, lanes: int, rules: Rules) -> Any:
    """Whether any lane of a channel is starved."""
    least = counts[at]
    for lane in range(1, lanes):
        least = min(least, counts[at + lane])
    return least * rules[0] < rules[2]


@parallel_kernel
def draw_log_noise(
    coarse: FloatArray,
    sampling: Upsampling,
    photons: FloatArray,
    statistics: NoiseStatistics,
    layers: Layers,
    weights: FloatArray,
    out: FloatArray,
) -> None:
    """Noise of the log data of every ray.

    Args:
        coarse: Line integrals on few rays, [view, channel, lane].
        sampling: `Upsampling` from them to all rays.
        photons: N0 at full dose, [lane].
        statistics: `NoiseStatistics`.
        layers: `Layers` of random numbers.
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
        drawn = np.empty(layers.keys.shape[0], np.float32)
        normals, of_scan = np.empty(2 * lanes, np.float32), np.empty(2 * lanes, np.float32)
        _expected_counts(coarse, sampling, view, photons, counts)
        target = out[view].reshape(-1)
        # An odd channel in the middle is its own partner, and keeps the second of its numbers.
        for channel in range(half):
            at = (channel * lanes, (channels - 1 - channel) * lanes)
            ray = view * channels + channel
            _draw_normals(ray, layers, False, (drawn, normals))
            _change_pair(at, counts, normals, rules, target)
            if _is_starved(at[0], counts, lanes, rules) or _is_starved(at[1], counts, lanes, rules):
                _draw_normals(ray, layers, True, (drawn, of_scan))
                both = (normals[:lanes], of_scan[:lanes])
                _change_starved(at[0], counts, both, rules, target)
                both = (normals[lanes:], of_scan[lanes:])
                _change_starved(at[1], counts, both, rules, target)
        for channel in range(channels):
            weight = weights[channel]
            for lane in range(channel * lanes, (channel + 1) * lanes):
                target[lane] *= weight

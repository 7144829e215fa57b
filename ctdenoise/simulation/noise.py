"""Quantum and electronic noise of every ray, drawn where it is used.

A ray with line integral p counts N = N0 exp(-p) photons on average at full dose, and a N at the
dose fraction a. What the log data of the twin have to gain is

    delta p = -ln( max(a N + d, floor) / (a N) )

where d has mean zero, the variance ``a (1 - a) N + (1 - a^2) sigma_e^2`` (so that together with
the noise the scan holds, scaled by a, it makes up ``a N + sigma_e^2``) and the third cumulant
``a (1 - a^2) N``. Where few photons are left, counts are not Gaussian and the logarithm bends the
scan's own noise too: rays below a threshold take mean, variance and third cumulant of delta p from
a table, the exact ones of a scan at the low dose less those of one at full dose (`few_counts`).

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
from numba import float32, int32, prange

from ctdenoise.core.arrays import FloatArray
from ctdenoise.simulation.elementary import (
    Scalar,
    exponential,
    logarithm,
)
from ctdenoise.simulation.few_counts import LEAST_COUNTS, STEP_BITS, TABLE_START, drawing_table
from ctdenoise.simulation.layered_normals import draw_normals
from ctdenoise.simulation.overlap import Layers
from ctdenoise.simulation.vectors import (
    LANES,
    exactly_inlined,
    float_bits,
    multiply_add,
    parallel_kernel,
)

Keys = npt.NDArray[np.uint32]

Spread = tuple[Scalar, Scalar, Scalar]
"""Variance per photon, constant variance, third cumulant per photon."""

Rules = tuple[Scalar, Scalar, Scalar, Spread]
"""Dose fraction, floor, counts below which a ray is starved, spread of the added noise."""

QUIET_NOISE = 10.0
"""Electronic noise, quanta, from which on the threshold of starved rays grows with it: the noise is
then a tenth of the counts there, as that of 100 photons is."""

_TABLE_START = int(TABLE_START.view(np.int32))
_STEP_MASK = 2**STEP_BITS - 1
_STEP_PART = 2.0**-STEP_BITS


class NoiseStatistics(NamedTuple):
    """The distribution of d, on the scale of the twin's counts.

    Variance ``linear * N + constant``, third cumulant ``cubic * N``.
    """

    dose_fraction: float
    linear: float
    constant: float
    cubic: float
    floor: float
    starved_below: float
    """Rays with fewer expected counts in the twin are drawn with exact moments."""
    electronic_noise: float
    """Of the scan and of the twin."""

    @property
    def scan_holds_noise(self) -> bool:
        """Whether the noise of the full dose is there already."""
        return self.linear < self.dose_fraction

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
        dual_below: Expected counts of the twin below which log data get exact moments; as many
            times more as the electronic noise is over `QUIET_NOISE`.
    """
    a = dose_fraction
    return NoiseStatistics(
        a,
        a * (1 - a),
        (1 - a**2) * electronic_noise**2,
        a * (1 - a**2),
        floor,
        _starved_below(dual_below, electronic_noise),
        electronic_noise,
    )


def native_noise(
    dose_fraction: float, *, electronic_noise: float, floor: float, dual_below: float = 0.0
) -> NoiseStatistics:
    """All the noise of a scan at a dose: what a noise-free image lacks.

    Args:
        dose_fraction: Dose over the full dose, a in (0, 1].
        electronic_noise: Standard deviation sigma_e, quanta.
        floor: Least counts before the logarithm.
        dual_below: As for `added_noise`; 0 for counts that are Gaussian with a third cumulant
            throughout.
    """
    a, below = dose_fraction, _starved_below(dual_below, electronic_noise)
    return NoiseStatistics(a, a, electronic_noise**2, a, floor, below, electronic_noise)


def _starved_below(dual_below: float, electronic_noise: float) -> float:
    return dual_below * max(1.0, electronic_noise / QUIET_NOISE)


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
def _starved_log_change(mean: Scalar, normal: Scalar, table: FloatArray) -> Scalar:
    """Log change of a starved ray: a quadratic in a normal number, whose terms are tabulated."""
    offset = float_bits(mean) - int32(_TABLE_START)
    row = min(offset >> int32(STEP_BITS), int32(table.shape[0] // 3 - 2))
    part = float32(offset & int32(_STEP_MASK)) * float32(_STEP_PART)
    at = 3 * row
    shift = multiply_add(part, table[at + 3] - table[at], table[at])
    b = multiply_add(part, table[at + 4] - table[at + 1], table[at + 1])
    c = multiply_add(part, table[at + 5] - table[at + 2], table[at + 2])
    return shift + multiply_add(multiply_add(c, normal, b), normal, -c)


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
def _change_pair(
    at: tuple[int, int], counts: FloatArray, normals: FloatArray, rules: Rules, out: FloatArray
) -> None:
    """Log change of two channels of a view."""
    first, second = at
    dose, floor, _, added = rules
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
    at: int,
    counts: FloatArray,
    normals: FloatArray,
    rules: Rules,
    table: FloatArray,
    out: FloatArray,
) -> None:
    """Log change of the starved lanes of a channel; the others are left alone.

    `normals` holds the numbers of this channel.
    """
    dose, _, threshold, _ = rules
    work = np.empty(2 * LANES, np.float32)
    for block in range(0, normals.shape[0], LANES):
        for lane in range(LANES):
            work[lane] = counts[at + block + lane]
            work[LANES + lane] = normals[block + lane]
        for lane in range(LANES):
            work[lane] = _starved_log_change(work[lane], work[LANES + lane], table)
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
    curves = starved_table(statistics), weights
    _draw_log_noise(coarse, sampling, photons, statistics, layers, curves, out)


def starved_table(statistics: NoiseStatistics) -> FloatArray:
    """What starved rays are drawn with, see `few_counts.drawing_table`."""
    return drawing_table(
        statistics.dose_fraction,
        statistics.electronic_noise,
        statistics.floor,
        statistics.starved_below / statistics.dose_fraction,
        statistics.scan_holds_noise,
    )


@parallel_kernel
def _draw_log_noise(
    coarse: FloatArray,
    sampling: Upsampling,
    photons: FloatArray,
    statistics: NoiseStatistics,
    layers: Layers,
    curves: tuple[FloatArray, FloatArray],
    out: FloatArray,
) -> None:
    table, weights = curves
    views, channels, lanes = out.shape
    half = (channels + 1) // 2
    for view in prange(views):
        added = (
            float32(statistics.linear),
            float32(statistics.constant),
            float32(statistics.cubic),
        )
        dose, floor = float32(statistics.dose_fraction), float32(statistics.floor)
        rules = (dose, floor, float32(statistics.starved_below), added)
        counts = np.empty(channels * lanes, np.float32)
        drawn = np.empty(layers.keys.shape[0], np.float32)
        normals = np.empty(2 * lanes, np.float32)
        _expected_counts(coarse, sampling, view, photons, counts)
        target = out[view].reshape(-1)
        # An odd channel in the middle is its own partner, and keeps the second of its numbers.
        for channel in range(half):
            at = (channel * lanes, (channels - 1 - channel) * lanes)
            ray = view * channels + channel
            draw_normals(ray, layers, (drawn, normals))
            _change_pair(at, counts, normals, rules, target)
            if _is_starved(at[0], counts, lanes, rules):
                _change_starved(at[0], counts, normals[:lanes], rules, table, target)
            if _is_starved(at[1], counts, lanes, rules):
                _change_starved(at[1], counts, normals[lanes:], rules, table, target)
        for channel in range(channels):
            weight = weights[channel]
            for lane in range(channel * lanes, (channel + 1) * lanes):
                target[lane] *= weight

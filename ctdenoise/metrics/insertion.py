"""What becomes of lesions that are put into a scan: the paired response of a denoiser.

With a scan x, a lesion s and a denoiser D the response is r = D(x + s) - D(x): the noise is the
same in both, so nearly all of it cancels, and what is left is what the denoiser shows of the
lesion (compare Larsson, Bath and Thilander-Klang, "Nonlinear deviation", Journal of Medical Imaging
2023, who look at differences of images with and without an object). A linear filter gives the
filtered lesion, exactly; the identity gives s.

The contrast recovery is the mean of r over the core of the lesion over that of s. The core is where
the distance from the centre, in units of the radius, is at most a half, and at least the pixels
within one pixel of the centre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.metrics.lesions import Lesion
from ctdenoise.metrics.table import Interval

CORE = 0.5
"""Radius of the core over that of the lesion."""

AROUND = 0.02
"""Where a lesion has less than this of its peak, nothing of it should be seen."""

INSIDE = 0.5
"""Where it has more than this, it is."""

RING_PER_MM = 0.05
"""Width of the rings in which a response is compared with its lesion, 1/mm."""

RINGS = 16

_FOOT = 0.1
_LEAST_POWER = 1e-3  # of the strongest ring: the zeros of a disc's transform say nothing


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What a denoiser shows of one lesion.

    Args:
        recovery: Contrast over that of the lesion.
        leakage: Root mean square around the lesion over that inside.
        displacement_mm: Distance of its centre of mass from that of the lesion; NaN where less than
            a quarter of it is left.
        cross: Real part of the spectrum of r times the conjugate of that of s, by ring.
        power: Square of the spectrum of s, by ring.
    """

    recovery: float
    leakage: float
    displacement_mm: float
    cross: DoubleArray
    power: DoubleArray


def core_of(
    lesion: Lesion, side: int, pixel_spacing_mm: tuple[float, float], away: tuple[float, float]
) -> BoolArray:
    """The core of a lesion in its image; arguments as for `lesions.lesion_image`."""
    rows, columns = (
        (np.arange(side) - side // 2 - part) * spacing
        for part, spacing in zip(away, pixel_spacing_mm, strict=True)
    )
    y, x = np.broadcast_arrays(rows[:, None], columns)
    along, across = lesion.along(y, x)
    longer, shorter = lesion.axes_mm
    near: BoolArray = np.hypot(along / longer, across / shorter) <= CORE
    least: BoolArray = np.hypot(y, x) <= max(pixel_spacing_mm)
    return near | least


def response(
    change: DoubleArray,
    inserted: DoubleArray,
    core: BoolArray,
    pixel_spacing_mm: tuple[float, float],
) -> Response:
    """What a denoiser shows of a lesion.

    Args:
        change: r = D(x + s) - D(x), HU, [y, x].
        inserted: s, HU, of the same shape; not 0 everywhere.
        core: Core of the lesion, of the same shape.
        pixel_spacing_mm: Distance between rows, then between columns.
    """
    seen = np.abs(inserted)
    peak = seen.max()
    inside, around = seen >= INSIDE * peak, seen < AROUND * peak
    recovery = float(change[core].mean() / inserted[core].mean())
    strength = float(np.sqrt(np.square(change[inside]).mean()))
    spread = float(np.sqrt(np.square(change[around]).mean())) if around.any() else 0.0
    cross, power = _by_ring(change, inserted, pixel_spacing_mm)
    return Response(
        recovery,
        spread / strength if strength > 0 else np.nan,
        _displacement_mm(change, inserted, pixel_spacing_mm) if recovery > 0.25 else np.nan,
        cross,
        power,
    )


def _displacement_mm(
    change: DoubleArray,
    inserted: DoubleArray,
    pixel_spacing_mm: tuple[float, float],
) -> float:
    """Distance between the centres of mass of what rises above a tenth of the peak."""
    sign = np.sign(inserted.sum())
    centres = []
    for image in (change, inserted):
        above = sign * image
        weight = np.maximum(above - _FOOT * above.max(), 0)
        total = weight.sum()
        centres.append(
            [
                float((weight.sum(axis=1 - axis) * np.arange(weight.shape[axis])).sum() / total)
                for axis in (0, 1)
            ]
        )
    rows, columns = (
        (one - other) * spacing
        for one, other, spacing in zip(*centres, pixel_spacing_mm, strict=True)
    )
    return float(np.hypot(rows, columns))


def _by_ring(
    change: DoubleArray, inserted: DoubleArray, pixel_spacing_mm: tuple[float, float]
) -> tuple[DoubleArray, DoubleArray]:
    # Zeros around the images make the rings dense enough to have points in each.
    size = [
        max(2 * n, int(np.ceil(4 / (RING_PER_MM * d))))
        for n, d in zip(inserted.shape, pixel_spacing_mm, strict=True)
    ]
    fy = np.fft.fftfreq(size[0], pixel_spacing_mm[0])[:, None]
    fx = np.fft.rfftfreq(size[1], pixel_spacing_mm[1])
    ring = np.floor(np.hypot(fy, fx) / RING_PER_MM).astype(np.intp).ravel()
    ring = np.minimum(ring, RINGS)
    one, other = (np.fft.rfft2(image, size).ravel() for image in (change, inserted))
    cross, power = (
        np.bincount(ring, weight, minlength=RINGS + 1)[:RINGS].astype(np.float64)
        for weight in ((one * other.conj()).real, np.square(np.abs(other)))
    )
    return cross, power


def ring_frequencies_per_mm() -> DoubleArray:
    """The middle of each ring, 1/mm."""
    return np.asarray((np.arange(RINGS) + 0.5) * RING_PER_MM, dtype=np.float64)


def response_transfer(responses: Sequence[Response]) -> DoubleArray:
    """How much a denoiser passes of some lesions, by ring; NaN where they have next to nothing.

    The real number R that makes |F(r) - R F(s)|^2 least in each ring. Of a linear filter it is the
    transfer function.

    Args:
        responses: At least one.
    """
    cross = np.sum([one.cross for one in responses], axis=0)
    power = np.sum([one.power for one in responses], axis=0)
    known = power > _LEAST_POWER * power.max()
    return np.asarray(np.where(known, cross / np.where(known, power, 1.0), np.nan))


FEWEST_TO_RESAMPLE = 6
"""With fewer slices resampling has too little to choose from."""


def clustered_mean(
    values: DoubleArray, clusters: Sequence[int], *, draws: int, rng: np.random.Generator
) -> tuple[float, Interval | None]:
    """The mean of some values, and where it lies if whole clusters of them are drawn again.

    The percentiles of the bootstrap are taken a little farther out than 2.5 and 97.5 %, at
    Phi(+-sqrt(m / (m - 1)) t), with t the quantile of Student's distribution with m - 1 degrees of
    freedom for m clusters: few clusters spread too little (the expanded percentile interval;
    Hesterberg, "What Teachers Should Know About the Bootstrap", American Statistician 69, 2015).
    That is still too short for fewer than six: theirs is Student's, by the ratio estimator.

    Args:
        values: One for each lesion, float64 [lesion].
        clusters: Slice of each.
        draws: How often clusters are drawn.
        rng: Source of randomness.

    Returns:
        The mean, and its interval; None with fewer than three clusters.
    """
    mean = float(values.mean())
    _, number = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(number, values)
    counts = np.bincount(number).astype(np.float64)
    size = len(counts)
    if size < 3:
        return mean, None
    if size < FEWEST_TO_RESAMPLE:
        left = sums - mean * counts
        error = math.sqrt(size / (size - 1) * float(left @ left)) / float(counts.sum())
        reach = float(stats.t.ppf(0.975, size - 1)) * error
        return mean, Interval(mean - reach, mean + reach, f"Student's t over {size} slices")
    times = rng.multinomial(size, np.full(size, 1 / size), size=draws)
    means = (times @ sums) / (times @ counts)
    outer = stats.norm.cdf(np.sqrt(size / (size - 1)) * stats.t.ppf(0.025, size - 1))
    low, high = np.quantile(means, [outer, 1 - outer])
    method = f"bootstrap over {size} slices, {draws} draws, expanded percentiles"
    return mean, Interval(min(float(low), mean), max(float(high), mean), method)

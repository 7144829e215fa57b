"""The task transfer function: how sharp an edge of a certain contrast is, at a certain noise.

A circular insert is looked at (AAPM TG-233; Richard et al., Med Phys 39, 4115, 2012): its pixels by
their distance from its centre make an edge spread function, whose slope is a line spread function
with the Fourier transform TTF(f). What a denoiser keeps of an edge depends on its contrast and on
the noise around it, so a TTF belongs to both.

Noise makes f50 uncertain by about 70 % / CNR_tot for inserts of 10 mm radius and 95 % / CNR_tot for
6 mm, where CNR_tot is the contrast over the noise that is left in the mean of all slices. For
independent slices that is the contrast over the noise of one, times the root of their number;
neighbouring slices of a scan are not independent, and count for less.

A paired response r = D(x + s) - D(x) of a denoiser D to an inserted disc s is measured like any
image: it has hardly any noise, also where the contrast is low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.circular_edge import (
    CircularEdge,
    EdgeRegion,
    edge_profile,
    edge_region,
    found_edge,
)
from ctdenoise.metrics.transfer import crossing, frequencies, transfer_of_edge

LEAST_CNR_TOTAL = 5.0
"""Below this there is no transfer function: its f50 would be uncertain by a fifth."""

SAFE_CNR_TOTAL = 15.0
"""Below this f50 is uncertain by more than five per cent."""

Located = Literal["fitted", "given"]
"""Whether the circle is fitted to the images first, or known as it is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Ttf:
    """The task transfer function of a circular edge.

    Args:
        frequency_per_mm: From zero to the Nyquist frequency, 1/mm.
        values: 1 at zero; NaN where there is too much noise.
        edge: The circle as it was found or given.
        contrast_hu: Inside minus outside, HU.
        noise_hu: Standard deviation of the pixels outside, in one slice, HU.
        cnr_total: Contrast over the noise that is left in the mean of the slices; infinite where
            there is none.
        f50_draws: f50 of each resampling of the slices, 1/mm; NaN where it has none. Empty where
            none was asked for.
        f10_draws: The same of f10.
        low: Lower end of the 95 % band of the values; None without resampling.
        high: Its upper end.
    """

    frequency_per_mm: DoubleArray
    values: DoubleArray
    edge: CircularEdge
    contrast_hu: float
    noise_hu: float
    cnr_total: float
    f50_draws: DoubleArray
    f10_draws: DoubleArray
    low: DoubleArray | None = None
    high: DoubleArray | None = None

    @property
    def f50_per_mm(self) -> float | None:
        """Where the TTF falls below a half; None where it does not up to Nyquist."""
        return crossing(self.frequency_per_mm, self.values, 0.5)

    @property
    def f10_per_mm(self) -> float | None:
        """Where the TTF falls below a tenth; None where it does not up to Nyquist."""
        return crossing(self.frequency_per_mm, self.values, 0.1)

    @property
    def f50_interval_per_mm(self) -> tuple[float, float] | None:
        """95 % interval of f50 by the bootstrap over slices; None if it has none."""
        return percentile_interval(self.f50_draws)

    @property
    def f10_interval_per_mm(self) -> tuple[float, float] | None:
        """95 % interval of f10 by the bootstrap over slices; None if it has none."""
        return percentile_interval(self.f10_draws)

    @property
    def trust(self) -> Literal["good", "uncertain", "refused"]:
        """Whether the noise allows for a transfer function."""
        if not self.cnr_total >= LEAST_CNR_TOTAL:
            return "refused"
        return "good" if self.cnr_total >= SAFE_CNR_TOTAL else "uncertain"

    @property
    def note(self) -> str:
        """What to tell people of its trust; empty where there is nothing to tell."""
        match self.trust:
            case "refused":
                return f"CNR_tot {self.cnr_total:.1f} is below {LEAST_CNR_TOTAL:g}: too much noise"
            case "uncertain":
                return f"uncertain: CNR_tot {self.cnr_total:.1f} is below {SAFE_CNR_TOTAL:g}"
            case _:
                return ""


def ttf(
    stack: DoubleArray,
    edge: CircularEdge,
    *,
    pixel_spacing_mm: tuple[float, float],
    located: Located = "fitted",
    valid: BoolArray | None = None,
    resamplings: DoubleArray | None = None,
) -> Ttf:
    """The task transfer function of a circular edge.

    Args:
        stack: Slices or repeats of the same insert, or paired responses to it, HU [slice, y, x].
        edge: Where it is; to within a third of its reach if it is to be fitted.
        pixel_spacing_mm: Along (rows, columns).
        located: "fitted" finds the circle in the mean of the slices first. What is known exactly is
            better "given" where the contrast is low.
        valid: False where pixels must not count: padding, neighbouring inserts; [y, x].
        resamplings: How often each slice counts in each resampling, [resampling, slice], as by
            `resampled`. Give the same to two stacks to compare them in pairs.

    Raises:
        InputError: If the images do not fit, too few pixels can be used, or no circle is found near
            the one that was given.
    """
    if stack.ndim != 3 or not len(stack) or not np.isfinite(stack).all():
        raise InputError("A transfer function needs a stack of slices [slice, y, x] of numbers.")
    shape: tuple[int, int] = stack.shape[1:]
    region = edge_region(edge, shape, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
    nyquist = 1 / (2 * max(pixel_spacing_mm))
    frequency = frequencies(nyquist)
    contrast, noise, total = _contrast(stack, region)
    if total >= LEAST_CNR_TOTAL and located == "fitted":
        mean = stack.mean(axis=0, dtype=np.float64)
        edge = found_edge(mean, edge, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
        region = edge_region(edge, shape, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
        contrast, noise, total = _contrast(stack, region)
    if not total >= LEAST_CNR_TOTAL:
        nothing = np.full_like(frequency, np.nan)
        return Ttf(frequency, nothing, edge, contrast, noise, total, np.empty(0), np.empty(0))
    profile = edge_profile(stack, region, pixel_spacing_mm=pixel_spacing_mm)

    def transfer(weights: DoubleArray) -> DoubleArray:
        spread = profile.edge_spread(weights)
        return transfer_of_edge(spread, profile.x_mm, frequency, half_width_mm=edge.reach)

    values = transfer(np.ones(len(stack)))
    if resamplings is None:
        return Ttf(frequency, values, edge, contrast, noise, total, np.empty(0), np.empty(0))
    curves = transfer(resamplings)
    low, high = np.quantile(curves, (0.025, 0.975), axis=0)
    f50, f10 = (_crossings(frequency, curves, level) for level in (0.5, 0.1))
    return Ttf(frequency, values, edge, contrast, noise, total, f50, f10, low, high)


def resampled(slices: int, count: int, rng: np.random.Generator) -> DoubleArray:
    """How often each slice is drawn in each resampling with replacement, [resampling, slice].

    Fewer than four slices say nothing about their own spread, and are not resampled; the slices
    are taken as independent, which those of a scan with overlapping slices are not.

    Args:
        slices: How many there are.
        count: Resamplings; none where there are too few slices.
        rng: Source of randomness.
    """
    if slices < _FEWEST_SLICES:
        return np.empty((0, slices))
    draws = rng.multinomial(slices, np.full(slices, 1 / slices), size=count)
    # The spread of means over resamplings is too narrow by the root of (n - 1) / n, and the middle
    # 95 % of it are those of a normal distribution where Student's belongs: draws are moved away
    # from their mean by as much (Hesterberg, Am Stat 69, 371, 2015).
    student = stats.t.ppf(0.975, slices - 1) / stats.norm.ppf(0.975)
    return np.asarray(1 + (draws - 1) * (student * np.sqrt(slices / (slices - 1))))


_FEWEST_SLICES = 4


def percentile_interval(draws: DoubleArray) -> tuple[float, float] | None:
    """The middle 95 % of resamplings; None without any, or where one in forty has no value.

    Args:
        draws: One value of each resampling; NaN where it has none.
    """
    known = draws[np.isfinite(draws)]
    if not known.size or known.size < 0.975 * draws.size:
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def f50_ratio(after: Ttf, before: Ttf) -> tuple[float | None, tuple[float, float] | None]:
    """The f50 of one TTF over that of another, and its 95 % interval.

    Args:
        after: Such as that of denoised images.
        before: Of the same slices before; with the same resamplings, so that what both share
            cancels.

    Returns:
        None for what is not known: an f50 beyond Nyquist, too much noise, no resampling.
    """
    over, under = after.f50_per_mm, before.f50_per_mm
    if over is None or under is None:
        return None, None
    if after.f50_draws.shape != before.f50_draws.shape:
        return over / under, None
    return over / under, percentile_interval(after.f50_draws / before.f50_draws)


def _contrast(stack: DoubleArray, region: EdgeRegion) -> tuple[float, float, float]:
    """Contrast, noise of one slice, and contrast over the noise of the mean slice."""
    values = region.values(stack)
    contrast = float(values[:, region.inside].mean() - values[:, region.outside].mean())
    outside = values[:, region.outside]
    noise = float(np.sqrt(outside.var(axis=1, ddof=1).mean()))
    left = float(outside.mean(axis=0).std(ddof=1))
    if contrast == 0:
        return contrast, noise, 0.0
    return contrast, noise, abs(contrast) / left if left > 0 else np.inf


def _crossings(frequency: DoubleArray, curves: DoubleArray, level: float) -> DoubleArray:
    found = [crossing(frequency, curve, level) for curve in curves]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)

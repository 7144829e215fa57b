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

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.circular_edge import (
    CircularEdge,
    EdgeRegion,
    edge_region,
    found_edge,
)
from ctdenoise.metrics.edge_profile import profile_across
from ctdenoise.metrics.transfer import (
    Transfer,
    frequencies,
    measured_transfer,
    transfer_of_edge,
)

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
        transfer: The function, up to the Nyquist frequency; NaN where there is too much noise.
        edge: The circle as it was found or given.
        contrast_hu: Inside minus outside, HU.
        noise_hu: Standard deviation of the pixels outside, in one slice, HU.
        cnr_total: Contrast over the noise that is left in the mean of the slices; infinite where
            there is none.
    """

    transfer: Transfer
    edge: CircularEdge
    contrast_hu: float
    noise_hu: float
    cnr_total: float

    @property
    def frequency_per_mm(self) -> DoubleArray:
        """From zero to the Nyquist frequency, 1/mm."""
        return self.transfer.frequency_per_mm

    @property
    def values(self) -> DoubleArray:
        """1 at zero; NaN where there is too much noise."""
        return self.transfer.values

    @property
    def f50_per_mm(self) -> float | None:
        """Where the TTF falls below a half; None where it does not up to Nyquist."""
        return self.transfer.f50_per_mm

    @property
    def f10_per_mm(self) -> float | None:
        """Where the TTF falls below a tenth; None where it does not up to Nyquist."""
        return self.transfer.f10_per_mm

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
            `transfer.resampled`. Give the same to two stacks to compare them in pairs.

    Raises:
        InputError: If the images do not fit, too few pixels can be used, or no circle is found near
            the one that was given.
    """
    if stack.ndim != 3 or not len(stack) or not np.isfinite(stack).all():
        raise InputError("A transfer function needs a stack of slices [slice, y, x] of numbers.")
    shape: tuple[int, int] = stack.shape[1:]
    region = edge_region(edge, shape, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
    frequency = frequencies(1 / (2 * max(pixel_spacing_mm)))
    contrast, noise, total = _contrast(stack, region)
    if total >= LEAST_CNR_TOTAL and located == "fitted":
        mean = stack.mean(axis=0, dtype=np.float64)
        edge = found_edge(mean, edge, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
        region = edge_region(edge, shape, pixel_spacing_mm=pixel_spacing_mm, valid=valid)
        contrast, noise, total = _contrast(stack, region)
    if not total >= LEAST_CNR_TOTAL:
        none = Transfer(frequency, np.full_like(frequency, np.nan), np.empty(0), np.empty(0))
        return Ttf(none, edge, contrast, noise, total)
    profile = profile_across(
        region.values(stack),
        region.from_edge_mm,
        reach_mm=edge.reach,
        pixel_mm=float(np.sqrt(pixel_spacing_mm[0] * pixel_spacing_mm[1])),
    )

    def of_weights(weights: DoubleArray) -> DoubleArray:
        spread = profile.edge_spread(weights)
        return transfer_of_edge(spread, profile.x_mm, frequency, half_width_mm=edge.reach)

    transfer = measured_transfer(frequency, of_weights, samples=len(stack), resamplings=resamplings)
    return Ttf(transfer, edge, contrast, noise, total)


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

"""From the spread of an edge or a line to a transfer function, and the frequencies it ends at.

T(f) = |sum L(x) w(x) exp(-2 pi i f x)| / |sum L(x) w(x)|, for a line spread function L and a window
w that is flat over the middle half and falls to zero as a cosine (a Tukey window of 50 %). A Hann
window over the same width narrows the spread and makes a circular edge of 5 mm radius seem up to
six per cent sharper than it is.
"""

from __future__ import annotations

import numpy as np

from ctdenoise.core.arrays import DoubleArray

STEPS_TO_NYQUIST = 512
"""Frequencies that a transfer function is given at, beside zero."""


def frequencies(nyquist_per_mm: float) -> DoubleArray:
    """Where a transfer function is given: from zero to the Nyquist frequency, 1/mm.

    Args:
        nyquist_per_mm: Half of one over the distance of the samples.
    """
    return np.linspace(0.0, nyquist_per_mm, STEPS_TO_NYQUIST + 1)


def flat_top(x_mm: DoubleArray, half_width_mm: float) -> DoubleArray:
    """The window w: one over the middle half, a cosine to zero at the ends.

    Args:
        x_mm: Distance from the edge or the line.
        half_width_mm: Where it becomes zero.
    """
    fall = np.clip(2 * np.abs(x_mm) / half_width_mm - 1, 0.0, 1.0)
    return np.asarray(0.5 * (1 + np.cos(np.pi * fall)))


def transfer_of_line(
    spread: DoubleArray, x_mm: DoubleArray, frequency_per_mm: DoubleArray
) -> DoubleArray:
    """The transfer function of line spread functions, 1 at zero, [..., frequency].

    Args:
        spread: Sampled at equal distances and windowed already, [..., sample].
        x_mm: Where the samples lie.
        frequency_per_mm: Where it is wanted, zero first.
    """
    waves = np.exp(-2j * np.pi * np.outer(x_mm, frequency_per_mm))
    strength = np.abs(spread @ waves)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(strength / strength[..., :1])


def transfer_of_edge(
    edge: DoubleArray,
    x_mm: DoubleArray,
    frequency_per_mm: DoubleArray,
    *,
    half_width_mm: float,
) -> DoubleArray:
    """The transfer function of edge spread functions, 1 at zero, [..., frequency].

    The line spread is the central difference of the edge spread. That, and the mean over each bin
    of the width b, multiply the transfer function by sinc(2 f b) sinc(f b); it is divided by both.

    Args:
        edge: Means over bins of equal width, [..., bin].
        x_mm: Centres of the bins.
        frequency_per_mm: Where it is wanted, zero first.
        half_width_mm: Where the window ends.
    """
    width = float(x_mm[1] - x_mm[0])
    spread = np.gradient(edge, width, axis=-1) * flat_top(x_mm, half_width_mm)
    lost = np.sinc(frequency_per_mm * width) * np.sinc(2 * frequency_per_mm * width)
    return transfer_of_line(spread, x_mm, frequency_per_mm) / lost


def crossing(frequency_per_mm: DoubleArray, values: DoubleArray, level: float) -> float | None:
    """The first frequency at which a curve falls below a level, linearly interpolated, 1/mm.

    Args:
        frequency_per_mm: Increasing.
        values: Of the curve; those that are not numbers have no crossing.
        level: Such as 0.5.

    Returns:
        None where the curve does not fall so far up to the last frequency.
    """
    below = np.flatnonzero(values < level)
    if not below.size or not below[0] or not np.isfinite(values[: below[0]]).all():
        return None
    after = int(below[0])
    before = after - 1
    share = (values[before] - level) / (values[before] - values[after])
    step = frequency_per_mm[after] - frequency_per_mm[before]
    return float(frequency_per_mm[before] + share * step)

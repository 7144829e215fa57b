"""The modulation transfer function of a thin wire across the slices, or of a bead.

Every pixel counts at its own distance from the centre, which is found to a fraction of a pixel:

    MTF(f) = abs(sum v w J0(2 pi f r)) / abs(sum v w),

the Hankel transform of the point spread function, where v is the pixel less the background and w a
window. For an image without aliasing the sum is the integral, exactly; a wire that is slightly
tilted against the slices averages aliasing out, because every slice samples it elsewhere. The
background is a plane that is fitted to the ring around the point: an offset that remained would
lift or lower the lowest frequencies, by which all others are divided. A wire of the diameter d
multiplies the function by 2 J1(pi d f) / (pi d f), which is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.transfer import (
    Transfer,
    flat_top,
    frequencies,
    measured_transfer,
)

_BACKGROUND_FROM = 0.7  # of the reach: the ring outside of this holds no point, only background
_LEAST_PEAK = 5.0  # standard deviations of the background that a point must rise above it


@dataclass(frozen=True, slots=True)
class Point:
    """A wire across the slices, or a bead.

    Args:
        centre: Row and column, pixels, to within two.
        reach_mm: How far around it pixels are looked at; nothing else may be there.
        diameter_mm: Of the wire; zero for one that is too thin to matter.

    Raises:
        InputError: If the reach is not positive or not wider than the wire.
    """

    centre: tuple[float, float]
    reach_mm: float = 8.0
    diameter_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.diameter_mm < self.reach_mm:
            raise InputError(
                f"A wire of {self.diameter_mm} mm cannot be looked at over {self.reach_mm} mm."
            )


def point_transfer(
    stack: DoubleArray,
    point: Point,
    *,
    pixel_spacing_mm: tuple[float, float],
    resamplings: DoubleArray | None = None,
) -> Transfer:
    """The modulation transfer function of a wire or a bead, up to Nyquist.

    Args:
        stack: Slices or repeats, HU [slice, y, x]; the wire may be at another place in each.
        point: Where it is.
        pixel_spacing_mm: Along (rows, columns).
        resamplings: How often each slice counts in each resampling, as by `transfer.resampled`.

    Raises:
        InputError: If a slice shows no point there, or the image ends too near to it.
    """
    if stack.ndim != 3 or not len(stack) or not np.isfinite(stack).all():
        raise InputError("A point needs a stack of slices [slice, y, x] of numbers.")
    frequency = frequencies(1 / (2 * max(pixel_spacing_mm)))
    strengths = np.stack(
        [_hankel(image.astype(np.float64), point, pixel_spacing_mm, frequency) for image in stack]
    )
    argument = np.pi * point.diameter_mm * frequency
    safe = np.where(argument > 0, argument, 1.0)
    of_wire = np.where(argument > 0, 2 * special.j1(safe) / safe, 1.0)

    def of_weights(weights: DoubleArray) -> DoubleArray:
        total = weights @ strengths
        return np.asarray(np.abs(total / total[..., :1]) / of_wire)

    return measured_transfer(frequency, of_weights, samples=len(stack), resamplings=resamplings)


def _hankel(
    image: DoubleArray,
    point: Point,
    spacing_mm: tuple[float, float],
    frequency_per_mm: DoubleArray,
) -> DoubleArray:
    """The Hankel transform of the point spread function in one slice, in HU mm^2."""
    rows = (np.arange(image.shape[0]) - point.centre[0]) * spacing_mm[0]
    columns = (np.arange(image.shape[1]) - point.centre[1]) * spacing_mm[1]
    if min(-rows[0], rows[-1], -columns[0], columns[-1]) < point.reach_mm:
        raise InputError("The image ends too near to a point.", fix="Choose a shorter reach.")
    near = np.hypot(rows[:, None], columns) <= point.reach_mm
    y, x = (grid[near] for grid in np.meshgrid(rows, columns, indexing="ij"))
    values = image[near]
    ring = np.hypot(y, x) > _BACKGROUND_FROM * point.reach_mm
    plane = np.stack([np.ones_like(y), y, x], axis=1)
    level = np.linalg.lstsq(plane[ring], values[ring], rcond=None)[0]
    values = values - plane @ level
    noise = float(values[ring].std())
    if np.abs(values[~ring]).max() <= _LEAST_PEAK * noise:
        raise InputError("No point was found near the place that was given.")
    y0, x0 = _centre(values, y, x, max(spacing_mm))
    distance = np.hypot(y - y0, x - x0)
    weighted = values * flat_top(distance, point.reach_mm)
    waves = special.j0(2 * np.pi * np.outer(distance, frequency_per_mm))
    return np.asarray(weighted @ waves) * (spacing_mm[0] * spacing_mm[1])


def _centre(
    values: DoubleArray, y: DoubleArray, x: DoubleArray, pixel_mm: float
) -> tuple[float, float]:
    """Centre of the Gaussian that fits a point best, mm."""
    top = int(np.argmax(np.abs(values)))
    wanted = values / values[top]

    def residual(free: DoubleArray) -> DoubleArray:
        square = (y - free[0]) ** 2 + (x - free[1]) ** 2
        return np.asarray(free[3] * np.exp(-square / (2 * free[2] ** 2)) - wanted)

    start = np.array([y[top], x[top], pixel_mm, 1.0])
    fit = optimize.least_squares(residual, start)
    return float(fit.x[0]), float(fit.x[1])

"""Structure that a denoiser shows where its input has none.

A template of the size of a lesion, less the ring around it, is laid over every calm place of the
input and of the output. It gives an apparent contrast: of a lesion of C HU it is C, of an even or
evenly rising background 0, and of noise whatever noise makes there. With a_in and a_out at a place,
whatever lies between the least and the largest of 0 and of the a_in within 3 mm is explained by the
input: noise or structure that was there was kept, removed, kept in part, or blurred. What goes
beyond is the excess

    e = distance of a_out from the interval of 0 and of all a_in within 3 mm,

contrast that the input has neither as noise nor as structure. An excess of more than z standard
deviations of a_in counts as false structure.

Linear filters cannot be accused. After a blur, a_out is a weighted mean of the a_in around, so one
that reaches no farther than 3 mm has no excess at all, whatever the image. For any transfer
function between 0 and 1 it is rare: let Gaussian noise give a_in the variance 1; then a_out has a
variance of at most c, their covariance, and a_out - a_in one of at most 1 - c, and the two are not
positively correlated. An excess above z > 0 asks for a_out > z and a_out - a_in > z, which by
Slepian's inequality is no likelier than Q(z / sqrt(c)) Q(z / sqrt(1 - c)) <= Q(z sqrt(2))^2, with Q
the tail of the normal distribution; it is twice that with both signs: 1.1e-5 at z = 2. Denoisers
that adapt to the image may do a little more, and whether they do is what is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal, stats

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.lesions import Lesion, SystemBlur, lesion_image
from ctdenoise.metrics.table import Interval

RING_MM = 3.0
"""Width of the ring around a lesion, at least; it begins one millimetre outside."""

REACH_MM = 3.0
"""Half the side of the square of places whose contrast explains that of the place in its middle."""

_GAP_MM = 1.0
_FEWEST = 200  # pixels of calm places from which a standard deviation is taken
_LEAST_NOISE_HU = 1e-3  # of exact phantoms, which have none
_ROBUST = 1.4826  # standard deviation of a normal variable over its median absolute deviation


@dataclass(frozen=True, slots=True)
class FalseStructure:
    """A spot in the output that the input does not explain.

    Args:
        place: Slice of the scan.
        row: Of its middle, pixels.
        column: Of its middle, pixels.
        diameter_mm: Of the template that it answers to most.
        excess_hu: Contrast that the input does not have, with its sign.
        deviations: The same over what noise does to the template in the input.
    """

    place: int
    row: int
    column: int
    diameter_mm: float
    excess_hu: float
    deviations: float


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """A slice before and after, and where nothing should be seen.

    Args:
        place: Slice of the scan.
        before: HU, [y, x]; padding set to air.
        after: HU, [y, x].
        depth_mm: Distance of each pixel from the border of the calm part of its tissue, 0 outside,
            [y, x]; see `insertion_places.calm_part`.
    """

    place: int
    before: DoubleArray
    after: DoubleArray
    depth_mm: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class SignalAbsent:
    """What a search for false structure found.

    Args:
        found: Each spot, the strongest first.
        area_cm2: Area that was searched.
        noise_hu: Standard deviation of the apparent contrast in the input, by diameter of the
            template; sizes without enough room are left out.
        least_deviations: From how many of these an excess counts.
    """

    found: tuple[FalseStructure, ...]
    area_cm2: float
    noise_hu: Mapping[float, float]
    least_deviations: float

    @property
    def per_100_cm2(self) -> float | None:
        """Spots per 100 square centimetres; None where nothing was searched."""
        return 100 * len(self.found) / self.area_cm2 if self.area_cm2 > 0 else None

    @property
    def interval(self) -> Interval | None:
        """Where the rate lies; None where nothing was searched."""
        if self.area_cm2 <= 0:
            return None
        low, high = poisson_interval(len(self.found))
        method = f"exact, Poisson, {len(self.found)} in {self.area_cm2:.0f} cm\N{SUPERSCRIPT TWO}"
        return Interval(100 * low / self.area_cm2, 100 * high / self.area_cm2, method)


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of the mean of a Poisson count (Garwood, Biometrika 28, 1936).

    Args:
        count: What was counted.
        level: Share of such intervals that hold the mean, at least.
    """
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(stats.chi2.ppf(1 - tail, 2 * count + 2)) / 2


def linear_bound(least_deviations: float) -> float:
    """Probability that a place counts as false structure after any linear filter, at most.

    Args:
        least_deviations: From how many standard deviations an excess counts.
    """
    return float(2 * stats.norm.sf(np.sqrt(2) * least_deviations) ** 2)


def template_reach_mm(diameter_mm: float) -> float:
    """Radius of the template of a lesion, its ring included, mm."""
    return diameter_mm / 2 + _GAP_MM + max(RING_MM, diameter_mm / 2)


def contrast_template(
    diameter_mm: float, blur: SystemBlur, pixel_spacing_mm: tuple[float, float]
) -> DoubleArray:
    """Weights whose sum over an image is the contrast of a lesion in their middle, [y, x].

    Those of a constant and of a plane are 0.

    Args:
        diameter_mm: Of the lesion.
        blur: What the scanner makes of it.
        pixel_spacing_mm: Distance between rows, then between columns.
    """
    inner, outer = diameter_mm / 2 + _GAP_MM, template_reach_mm(diameter_mm)
    side = 2 * int(np.ceil(outer / min(pixel_spacing_mm))) + 1
    lesion = lesion_image(Lesion(diameter_mm), blur, side=side, pixel_spacing_mm=pixel_spacing_mm)
    rows, columns = ((np.arange(side) - side // 2) * one for one in pixel_spacing_mm)
    radius = np.hypot(rows[:, None], columns)
    weights = np.where(radius <= inner, lesion, 0.0)
    ring = (radius > inner) & (radius <= outer)
    weights[ring] = -weights.sum() / np.count_nonzero(ring)
    return np.asarray(weights / (weights * lesion).sum())


def signal_absent(
    backgrounds: Sequence[Background],
    blur: SystemBlur,
    pixel_spacing_mm: tuple[float, float],
    *,
    diameters_mm: Sequence[float],
    least_deviations: float,
) -> SignalAbsent:
    """Search slices for structure that their input does not explain.

    Args:
        backgrounds: Slices before and after.
        blur: What the scanner makes of a point.
        pixel_spacing_mm: Distance between rows, then between columns.
        diameters_mm: Sizes of what is looked for.
        least_deviations: From how many standard deviations of the apparent contrast in the input an
            excess counts.
    """
    found: list[FalseStructure] = []
    noise_hu: dict[float, float] = {}
    searched = [np.zeros(one.before.shape, np.bool_) for one in backgrounds]
    for diameter in diameters_mm:
        template = contrast_template(diameter, blur, pixel_spacing_mm)[::-1, ::-1]
        reach_mm = template_reach_mm(diameter)
        places = [one.depth_mm > reach_mm for one in backgrounds]
        if sum(int(np.count_nonzero(one)) for one in places) < _FEWEST:
            continue
        contrasts = [
            [signal.oaconvolve(image, template, "same") for image in (one.before, one.after)]
            for one in backgrounds
        ]
        inputs = np.concatenate([a[0][at] for a, at in zip(contrasts, places, strict=True)])
        noise = _ROBUST * float(np.median(np.abs(inputs - np.median(inputs))))
        noise_hu[diameter] = noise
        for number, (one, (before, after), at) in enumerate(
            zip(backgrounds, contrasts, places, strict=True)
        ):
            searched[number] |= at
            found += _spots(
                one.place,
                np.where(at, excess(before, after, pixel_spacing_mm), 0.0),
                diameter,
                max(noise, _LEAST_NOISE_HU),
                least_deviations,
                pixel_spacing_mm,
            )
    pixel_cm2 = pixel_spacing_mm[0] * pixel_spacing_mm[1] / 100
    area_cm2 = sum(int(np.count_nonzero(one)) for one in searched) * pixel_cm2
    return SignalAbsent(_strongest(found, pixel_spacing_mm), area_cm2, noise_hu, least_deviations)


def excess(
    before: DoubleArray, after: DoubleArray, pixel_spacing_mm: tuple[float, float]
) -> DoubleArray:
    """How far apparent contrasts lie outside of what the input explains, with their sign, HU.

    Args:
        before: Apparent contrasts in the input, [y, x].
        after: In the output.
        pixel_spacing_mm: Distance between rows, then between columns.
    """
    size = [2 * int(REACH_MM / one) + 1 for one in pixel_spacing_mm]
    highest = np.maximum(ndimage.maximum_filter(before, size), 0.0)
    lowest = np.minimum(ndimage.minimum_filter(before, size), 0.0)
    above, below = np.maximum(after - highest, 0.0), np.minimum(after - lowest, 0.0)
    return np.asarray(above + below)


def _spots(
    place: int,
    excess_hu: DoubleArray,
    diameter_mm: float,
    noise_hu: float,
    least: float,
    pixel_spacing_mm: tuple[float, float],
) -> list[FalseStructure]:
    """The places of a slice where the excess is highest around and counts."""
    heights = np.abs(excess_hu) / noise_hu
    size = [2 * max(1, round(diameter_mm / 2 / one)) + 1 for one in pixel_spacing_mm]
    if not heights.max() > least:
        return []
    highest = (heights == ndimage.maximum_filter(heights, size)) & (heights > least)
    return [
        FalseStructure(
            place, int(y), int(x), diameter_mm, float(excess_hu[y, x]), float(heights[y, x])
        )
        for y, x in np.argwhere(highest)
    ]


def _strongest(
    found: Sequence[FalseStructure], pixel_spacing_mm: tuple[float, float]
) -> tuple[FalseStructure, ...]:
    """The strongest of the spots that overlap, of whatever size and sign."""
    kept: list[FalseStructure] = []
    for one in sorted(found, key=lambda spot: -spot.deviations):
        apart = (
            one.place != two.place
            or np.hypot(
                (one.row - two.row) * pixel_spacing_mm[0],
                (one.column - two.column) * pixel_spacing_mm[1],
            )
            > (one.diameter_mm + two.diameter_mm) / 2 + RING_MM
            for two in kept
        )
        if all(apart):
            kept.append(one)
    return tuple(kept)

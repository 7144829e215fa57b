"""The noise around every pixel of a scan, measured from its pixels alone.

The standard deviation of CT noise changes slowly over a slice and along the patient; anatomy does
not. So its shape is measured first, and its size second:

* Two filters that answer to noise and hardly to anatomy: the second difference along rows of the
  second difference along columns (Immerkaer, "Fast noise variance estimation", Computer Vision and
  Image Understanding 64, 1996), at a distance at which CT noise is strongest, and the same along
  both diagonals. One is blind to streaks along rows and columns, the other to those along the
  diagonals; where rays pass both shoulders or arms beside the body, most noise is streaks.
* Their root mean square in blocks of a few millimetres, and of the blocks around a place, in its
  slice and those near it, a low quantile: edges, vessels and texture only ever raise a block.
* The filters pass more of sharp noise than of smooth, so what they give is a unit, not HU. In soft
  tissue the noise level is measured in this unit, by its mode (`core.noise_level`): one number for
  the scan, since a scan has one kernel.

Body and air are measured apart, as noise falls from one to the other within a few pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import SOFT_TISSUE_HU, noise_level_hu, patch_pixels
from ctdenoise.core.volume import CTVolume

LAG_MM = 1.2
"""Distance of the differences: they answer most to 0.4 cycles per mm along both directions."""

WINDOW_MM = 30.0
"""Edge of the square of blocks around a place."""

SLICES_BESIDE = 2
"""Slices on either side whose blocks count, as far as they are near."""

BESIDE_MM = 10.0
"""How far those may be: farther away, another part of the body has another noise."""

QUANTILE = 0.25
"""Which of the blocks is taken: of a window of lung, fewer than this are free of vessels."""

DIFFERENCE_MM = 6.0
"""Standard deviation of the Gaussian that averages squares of the difference of two images."""

FEWEST_BLOCKS = 8
"""A window with fewer blocks takes the value of the nearest that has enough."""

_LEAST_UNIT_HU = 1e-3  # exact phantoms have no noise: nothing is divided by less
_EVERY_HU = (-np.inf, np.inf)
_WHITE_GAIN = 1.5  # of a filter: square root of the sum of the squares of its nine weights
_HALF = float(np.sqrt(0.5))
_DIRECTIONS = (((1.0, 0.0), (0.0, 1.0)), ((_HALF, _HALF), (_HALF, -_HALF)))
_ROUNDING_MM = 0.05  # of slice positions: 10 mm away is still near
_STRIDE = 2  # blocks between the places where windows lie


@dataclass(frozen=True, slots=True, eq=False)
class NoiseMap:
    """Standard deviation of the noise of some slices, on a coarse grid.

    Args:
        sd_hu: HU, float32, [slice, y, x], coarse pixels.
        first: Place of the middle of the first coarse pixel along each axis, pixels.
        step: Pixels from one coarse pixel to the next.
        level_hu: Noise level in soft tissue, HU; of the body as a whole where there is too little.
    """

    sd_hu: FloatArray
    first: float
    step: float
    level_hu: float

    def at(self, index: int, place: tuple[int, int], shape: tuple[int, int]) -> FloatArray:
        """The map of a part of a slice, HU, float32 [y, x]; interpolated.

        Args:
            index: Slice.
            place: First row and column.
            shape: Rows and columns.
        """
        coarse = self.sd_hu[index]
        below, above, part = self._around(place[0], shape[0], coarse.shape[0])
        rows = coarse[below] + part[:, None] * (coarse[above] - coarse[below])
        below, above, part = self._around(place[1], shape[1], coarse.shape[1])
        fine: FloatArray = rows[:, below] + part * (rows[:, above] - rows[:, below])
        return fine

    def _around(
        self, start: int, count: int, size: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
        """Coarse pixels on both sides of fine ones, and how far each fine one is between them."""
        at = np.clip((np.arange(start, start + count) - self.first) / self.step, 0, size - 1)
        below = at.astype(np.int64)
        above = np.minimum(below + 1, size - 1)
        return below, above, (at - below).astype(np.float32)


def noise_of(volume: CTVolume) -> NoiseMap:
    """The noise of a volume around every pixel, measured from the pixels; see `measured_noise`.

    Args:
        volume: Slices of a scan.
    """
    geometry = volume.geometry
    return measured_noise(
        volume.hu, volume.padding, geometry.pixel_spacing_mm, geometry.along_normal_mm()
    )


def measured_noise(
    hu: npt.NDArray[np.generic],
    padding: BoolArray | None,
    pixel_spacing_mm: tuple[float, float],
    along_mm: npt.ArrayLike | None = None,
) -> NoiseMap:
    """The noise of a scan around every pixel, measured from the pixels.

    Args:
        hu: Hounsfield units, any type of number, [z, y, x].
        padding: True outside the reconstruction circle, indexed like `hu`; None for nowhere.
        pixel_spacing_mm: Distance between rows, then between columns.
        along_mm: Place of each slice along the normal, mm, ascending [z]; None where all are near.
    """
    size = patch_pixels(pixel_spacing_mm)
    places = np.zeros(len(hu)) if along_mm is None else np.asarray(along_mm, dtype=np.float64)
    body = np.zeros(hu.shape, dtype=np.bool_)
    in_body, in_air = [], []
    for index, stored in enumerate(hu):
        image = stored.astype(np.float32)
        outside = None if padding is None else padding[index]
        body[index] = body_mask(image, outside)
        of_body, of_air = _blocks(image, body[index], outside, pixel_spacing_mm, size)
        in_body.append(of_body)
        in_air.append(of_air)
    reach = max(1, round(WINDOW_MM / 2 / (size * float(np.sqrt(np.prod(pixel_spacing_mm))))))
    unit = _joined(np.array(in_body), np.array(in_air), reach, places)
    shape = NoiseMap(unit, (size - 1) / 2, size * _STRIDE, 1.0)
    factor = _units(hu, padding, pixel_spacing_mm, body, shape)
    level = noise_level_hu(hu, padding, pixel_spacing_mm, body=body)
    if level is None:
        level = factor * float(np.median(unit))
    return NoiseMap((factor * unit).astype(np.float32), shape.first, shape.step, level)


def _blocks(
    image: FloatArray,
    body: BoolArray,
    outside: BoolArray | None,
    pixel_spacing_mm: tuple[float, float],
    size: int,
) -> tuple[DoubleArray, DoubleArray]:
    """Root mean square of the filtered blocks of a slice, [y, x]: of those in the body, and in air.

    Blocks of the other kind, of both or with padding are NaN.
    """
    rows, columns = (max(1, n // size) for n in image.shape)
    power = np.zeros((rows, columns))
    reach = [1, 1]  # how far the filters see out of a block
    for steps in _steps(pixel_spacing_mm):
        filtered = image
        for step in steps:
            filtered = _second_difference(filtered, step)
        blocks = _in_blocks(np.square(filtered), rows, columns, size)
        power += blocks.mean(axis=(1, 3), dtype=np.float64) / len(_DIRECTIONS)
        reach = [max(r, sum(abs(step[axis]) for step in steps)) for axis, r in enumerate(reach)]
    root = np.sqrt(power) / _WHITE_GAIN
    counted = np.ones(image.shape, np.bool_) if outside is None else ~outside
    if outside is not None and outside.any():
        around = np.ones([2 * pixels + 1 for pixels in reach], np.bool_)
        counted = ~np.asarray(ndimage.binary_dilation(outside, around))
    usable = _in_blocks(counted, rows, columns, size).all(axis=(1, 3))
    share = _in_blocks(body, rows, columns, size).mean(axis=(1, 3))
    return (
        np.where(usable & (share == 1), root, np.nan),
        np.where(usable & (share == 0), root, np.nan),
    )


def _steps(pixel_spacing_mm: tuple[float, float]) -> Iterator[list[tuple[int, int]]]:
    """Both differences of each filter: rows and columns to step, on a grid of such pixels."""
    for pair in _DIRECTIONS:
        yield [
            (
                _whole(LAG_MM * direction[0], pixel_spacing_mm[0]),
                _whole(LAG_MM * direction[1], pixel_spacing_mm[1]),
            )
            for direction in pair
        ]


def _whole(length_mm: float, spacing_mm: float) -> int:
    """A length in whole pixels: one at least, unless it is 0."""
    return int(np.sign(length_mm)) * max(1, round(abs(length_mm) / spacing_mm))


def _second_difference(image: FloatArray, step: tuple[int, int]) -> FloatArray:
    """Each pixel less the mean of the two that lie a step away; edges are mirrored."""
    rows, columns = abs(step[0]), abs(step[1])
    padded = np.pad(image, [(rows, rows), (columns, columns)], mode="symmetric")
    sides = [
        padded[
            rows + sign * step[0] : rows + sign * step[0] + image.shape[0],
            columns + sign * step[1] : columns + sign * step[1] + image.shape[1],
        ]
        for sign in (-1, 1)
    ]
    difference: FloatArray = image - np.float32(0.5) * (sides[0] + sides[1])
    return difference


def _in_blocks(
    values: npt.NDArray[np.generic], rows: int, columns: int, size: int
) -> npt.NDArray[np.generic]:
    cut = values[: rows * size, : columns * size]
    return cut.reshape(rows, cut.shape[0] // rows, columns, cut.shape[1] // columns)


def _joined(
    in_body: DoubleArray, in_air: DoubleArray, reach: int, along_mm: DoubleArray
) -> FloatArray:
    """The unit of every place: that of the body in the body, that of air elsewhere."""
    body = _low_quantile(in_body, reach, along_mm)
    air = _low_quantile(in_air, reach, along_mm)
    inside = ~np.isnan(in_body)
    outside = ~np.isnan(in_air)
    near = np.array(
        [_share(one) >= _share(other) for one, other in zip(inside, outside, strict=True)]
    )
    unit = np.where(near[:, ::_STRIDE, ::_STRIDE], body, air)
    return np.maximum(unit, _LEAST_UNIT_HU).astype(np.float32)


def _share(blocks: BoolArray) -> DoubleArray:
    """Share of such blocks around each block."""
    share: DoubleArray = ndimage.uniform_filter(blocks.astype(np.float64), 3, mode="nearest")
    return share


def _low_quantile(blocks: DoubleArray, reach: int, along_mm: DoubleArray) -> DoubleArray:
    """A low quantile of the blocks around every second block of every second row, smoothed.

    Args:
        blocks: [slice, y, x]; NaN does not count.
        reach: Blocks on each side that belong to a window.
        along_mm: Place of each slice along the normal, mm, ascending.
    """
    slices = len(blocks)
    padded = np.pad(blocks, [(0, 0), (reach, reach), (reach, reach)], constant_values=np.nan)
    found = []
    for index in range(slices):
        first, last = max(0, index - SLICES_BESIDE), min(slices, index + SLICES_BESIDE + 1)
        near = np.abs(along_mm[first:last] - along_mm[index]) <= BESIDE_MM + _ROUNDING_MM
        part = padded[first:last][near]
        edge = 2 * reach + 1
        windows = np.lib.stride_tricks.sliding_window_view(part, (edge, edge), axis=(1, 2))
        windows = windows[:, ::_STRIDE, ::_STRIDE].transpose(1, 2, 0, 3, 4)
        ordered = np.sort(windows.reshape(*windows.shape[:2], -1), axis=-1)
        count = np.count_nonzero(~np.isnan(ordered), axis=-1)
        place = np.maximum(np.floor(QUANTILE * count).astype(np.int64) - 1, 0)
        value = np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0]
        found.append(np.where(count >= FEWEST_BLOCKS, value, np.nan))
    return _filled(np.array(found))


def _filled(values: DoubleArray) -> DoubleArray:
    """NaN replaced by the nearest value, and each slice smoothed over a coarse pixel."""
    missing = np.isnan(values)
    if missing.all():
        return np.zeros(values.shape)
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled = values[tuple(nearest)]
    smooth: DoubleArray = ndimage.gaussian_filter(filled, (0, 0.7, 0.7), mode="nearest")
    return smooth


def _units(
    hu: npt.NDArray[np.generic],
    padding: BoolArray | None,
    pixel_spacing_mm: tuple[float, float],
    body: BoolArray,
    shape: NoiseMap,
) -> float:
    """Noise of the scan over the unit: in soft tissue; in the body; anywhere; or of white noise."""

    def unit(index: int) -> FloatArray:
        return shape.at(index, (0, 0), (hu.shape[1], hu.shape[2]))

    for mask, tissue_hu in (
        (body, SOFT_TISSUE_HU),
        (body, _EVERY_HU),
        (np.ones_like(body), _EVERY_HU),
    ):
        level = noise_level_hu(
            hu, padding, pixel_spacing_mm, body=mask, unit=unit, tissue_hu=tissue_hu
        )
        if level is not None:
            return level
    return 1.0


def difference_map(
    low: npt.NDArray[np.generic],
    full: npt.NDArray[np.generic],
    padding: BoolArray,
    pixel_spacing_mm: tuple[float, float],
    along_mm: npt.ArrayLike | None = None,
) -> NoiseMap:
    """The noise that one image has and another of the same anatomy has not.

    Squares of the difference are averaged over some millimetres of the slice and over the slices
    beside it, as far as they are near.

    Args:
        low: HU, [z, y, x].
        full: HU, of the same shape.
        padding: True outside the reconstruction circle, of the same shape.
        pixel_spacing_mm: Distance between rows, then between columns.
        along_mm: Place of each slice along the normal, mm, ascending [z]; None where all are near.
    """
    size = patch_pixels(pixel_spacing_mm)
    rows, columns = (max(1, n // size) for n in low.shape[1:])
    powers, shares = [], []
    for index in range(len(low)):
        counted = (~padding[index]).astype(np.float64)
        squares = np.square(low[index].astype(np.float64) - full[index]) * counted
        powers.append(_in_blocks(squares, rows, columns, size).mean(axis=(1, 3)))
        shares.append(_in_blocks(counted, rows, columns, size).mean(axis=(1, 3)))
    spread = [0.0, *(DIFFERENCE_MM / (size * spacing) for spacing in pixel_spacing_mm)]
    beside = _weights_beside(len(low), along_mm)
    power, share = (
        np.tensordot(beside, ndimage.gaussian_filter(np.array(each), spread, mode="nearest"), 1)
        for each in (powers, shares)
    )
    sd_hu = np.sqrt(power / np.maximum(share, 1e-3)).astype(np.float32)
    return NoiseMap(sd_hu, (size - 1) / 2, size, float(np.median(sd_hu)))


def _weights_beside(slices: int, along_mm: npt.ArrayLike | None) -> DoubleArray:
    """How much each slice counts for each: a Gaussian of one slice, cut where they are far."""
    number = np.arange(slices)
    weights = np.exp(-0.5 * np.subtract.outer(number, number).astype(np.float64) ** 2)
    if along_mm is not None:
        apart_mm = np.abs(np.subtract.outer(np.asarray(along_mm), np.asarray(along_mm)))
        weights[apart_mm > BESIDE_MM + _ROUNDING_MM] = 0
    shares: DoubleArray = weights / weights.sum(axis=1, keepdims=True)
    return shares

"""What share of the fine detail of edges was removed with the noise, without a reference.

What is removed from an image is noise, and structure where the denoiser blurs. They are told apart
by an instrument, as econometrics calls it: something that knows the structure and is independent of
the noise.

* The detail of the image, and of what was removed, is their high band (1 - B)^2, with B a binomial
  blur of a standard deviation of one pixel.
* The coarse image, its low band (a Gaussian with a standard deviation of two pixels), says where
  edges are: at a signed distance u = -s^2 L''/L' from a place, with the contrast
  C = sqrt(2 pi) s |L'| exp(u^2 / 2 s^2), for an ideal step. Hence it predicts what the detail of
  the edge looks like, up to a factor: q = C u exp(-u^2 / 2).
* Stationary noise in two bands that do not overlap is uncorrelated, and independent if it is
  Gaussian, whatever non-linear function q of one of them is taken. So sum(q times high band of the
  noise) is 0 on average, and

      loss = sum(q d) / sum(q x)

  over the high bands d of what was removed and x of the image is the share of the structure that
  was removed: 0 for whatever removes noise alone, 1 - H for a linear filter of response H in that
  band, negative where edges were sharpened. The noise that a denoiser leaves or takes near edges
  makes it more or less certain and shifts nothing.

It says nothing about structure too faint to make an edge in the coarse image.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.regions import shrunk
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside
from ctdenoise.metrics.ratio import RatioSums

CELL_MM = 0.7
"""Pixels much smaller than this are joined: a scanner resolves no more."""

LEAST_CONTRAST_HU = 120.0
"""Edges of less contrast are too few and too uncertain."""

DENSEST_HU = 1500.0
"""Beyond it is metal, whose streaks are neither edges nor noise."""

_SIGMA = 2.0  # of the low band, pixels
_REACH = 3.0  # pixels from an edge
_ABOVE_NOISE = 6.0  # gradient of an edge over the usual one
_RIM = 4  # pixels at the skin that do not count
_CLUSTER = 32  # pixels along the side of a cluster
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def edge_loss(
    before: FloatArray,
    removed: FloatArray,
    body: BoolArray,
    *,
    pixel_spacing_mm: tuple[float, float],
) -> RatioSums:
    """Sums whose ratio is the share of the fine detail of edges that was removed from a slice.

    Args:
        before: HU, [y, x]; air at padding.
        removed: Before less after, HU, [y, x].
        body: Where the body is.
        pixel_spacing_mm: Along (rows, columns).
    """
    side = cell_pixels(pixel_spacing_mm, CELL_MM)
    inside = shrunk(cells_inside(body, side), _RIM)
    if not inside.any():
        return RatioSums()
    area = _around(inside)
    inside = inside[area]
    image, taken = cell_means(before, side)[area], cell_means(removed, side)[area]
    places, pattern = _edges(image, inside)
    if not places.size:
        return RatioSums()
    columns = -(-inside.shape[1] // _CLUSTER)
    rows, cols = np.divmod(places, inside.shape[1])
    cluster = rows // _CLUSTER * columns + cols // _CLUSTER
    numerator, denominator = (
        np.bincount(cluster, weights=pattern * _high_band(band).ravel()[places]).astype(np.float64)
        for band in (taken, image)
    )
    return RatioSums.of(numerator, denominator)


def _around(mask: BoolArray) -> tuple[slice, slice]:
    """The rectangle around a mask, with room for the filters."""
    room = 12
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(0, int(rows[0]) - room), int(rows[-1]) + room + 1),
        slice(max(0, int(columns[0]) - room), int(columns[-1]) + room + 1),
    )


def _high_band(image: FloatArray) -> FloatArray:
    once = _blurred(image)
    band: FloatArray = image - 2 * once + _blurred(once)
    return band


def _blurred(image: FloatArray) -> FloatArray:
    for axis in (0, 1):
        image = np.asarray(ndimage.correlate1d(image, _BINOMIAL, axis=axis, mode="nearest"))
    return image


def _edges(
    image: FloatArray, inside: BoolArray
) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], FloatArray]:
    """Flat indices of the pixels at edges, and what their detail looks like up to a factor."""
    low = np.asarray(ndimage.gaussian_filter(image, _SIGMA, mode="nearest", truncate=3.0))
    up = np.zeros_like(low)
    across = np.zeros_like(low)
    up[1:-1] = low[2:] - low[:-2]
    across[:, 1:-1] = low[:, 2:] - low[:, :-2]
    slope = np.hypot(up, across) / 2
    usual = float(np.median(slope[inside])) / 1.1774  # of a Rayleigh distribution
    steep = max(_ABOVE_NOISE * usual, LEAST_CONTRAST_HU / (np.sqrt(2 * np.pi) * _SIGMA) / 3)
    chosen = inside & (slope > steep) & (low < DENSEST_HU)
    chosen[[0, -1]] = False
    chosen[:, [0, -1]] = False
    places = np.flatnonzero(chosen)
    flat, stride = low.ravel(), low.shape[1]

    def at(rows: int, columns: int) -> FloatArray:
        shifted: FloatArray = flat[places + rows * stride + columns]
        return shifted

    by_y, by_x = up.ravel()[places] / 2, across.ravel()[places] / 2
    steepness = slope.ravel()[places]
    middle = at(0, 0)
    curvature = (
        by_y**2 * (at(1, 0) - 2 * middle + at(-1, 0))
        + by_x**2 * (at(0, 1) - 2 * middle + at(0, -1))
        + by_y * by_x * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 2
    ) / np.maximum(steepness, 1e-6) ** 2
    distance = -(_SIGMA**2) * curvature / np.maximum(steepness, 1e-6)
    near = np.abs(distance) < _REACH
    places, steepness, distance = places[near], steepness[near], distance[near]
    square = np.square(distance)
    contrast = np.sqrt(2 * np.pi) * _SIGMA * steepness * np.exp(square / (2 * _SIGMA**2))
    enough = contrast >= LEAST_CONTRAST_HU
    pattern = contrast * distance * np.exp(-square / 2)
    return places[enough], pattern[enough].astype(np.float32)

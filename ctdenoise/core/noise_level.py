"""The global noise level of a scan: one number in HU, measured in the patient.

Christianson et al., "Automated technique to measure noise in clinical CT examinations", AJR 2015:
the standard deviation of many small patches of soft tissue, and its most frequent value. Edges and
vessels only make the tail longer.

Three things are added, each from theory:

* A plane is subtracted from each patch, so that slow changes of anatomy and cupping do not count.
* Neighbouring pixels of CT noise are correlated, so the plane takes more of it than 3 of N degrees
  of freedom. With correlation matrix C and projection R = 1 - P onto what the plane leaves, the
  mean square of a patch is sigma^2 trace(R C)/N on average. C follows from NPS ~ f exp(-(f/f0)^2),
  the shape of filtered back-projection, with f0 chosen so that the lag-one correlation inside the
  patches is the measured one.
* The mode of an SD lies below its root mean square, by sqrt(1 - 1/n) for n degrees of freedom;
  Satterthwaite's n = trace(R C)^2 / trace(R C R C) counts those that the correlation leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.body import body_mask

PATCH_MM = 6.0
"""Side of a patch (Christianson 2015)."""

SMALLEST_PATCH_PIXELS = 5

SOFT_TISSUE_HU = (-30.0, 200.0)
"""Mean of a patch of soft tissue: water, muscle and organs with or without contrast, but not fat,
which lies at the rim of the body where the noise is lower."""

FEWEST_PATCHES = 20
"""With fewer patches there is no mode to speak of."""

MOST_SLICES = 64
"""More slices than this are sampled evenly: the mode does not change and the time does."""

_CONSTANT_HU = 1e-3  # a patch with less has no noise at all: air or water of an exact phantom
_BIN = 0.01  # of the histogram of SDs, and its smoothing, relative to their 20th percentile
_BANDWIDTH = 0.06
_LARGEST = 6.0
_NEAR_MODE = 0.15  # patches within 15 % of the mode hold noise and little else
_CUTOFFS_PER_PIXEL = np.geomspace(0.08, 1.2, 40)  # f0 of the family of spectra, cycles per pixel


def noise_level_hu(
    hu: npt.NDArray[np.generic],
    padding: BoolArray | None = None,
    pixel_spacing_mm: float | tuple[float, float] = 0.75,
    *,
    body: BoolArray | None = None,
    unit: Callable[[int], FloatArray] | None = None,
    tissue_hu: tuple[float, float] = SOFT_TISSUE_HU,
) -> float | None:
    """The noise magnitude in the soft tissue of a patient or phantom, HU.

    Args:
        hu: Hounsfield units, any type of number, indexed [z, y, x] or [y, x].
        padding: True outside the reconstruction circle, indexed like `hu`.
        pixel_spacing_mm: Distance between pixels, one number or (row, column).
        body: The body mask, where the caller has it already; indexed like `hu`.
        unit: For the index of a slice, what the noise of each pixel is divided by, HU [y, x],
            positive; the result is then a multiple of it. None for HU.
        tissue_hu: Mean of the patches that count.

    Returns:
        The standard deviation of the noise, or None where there is too little soft tissue.
    """
    stack = hu[None] if hu.ndim == 2 else hu
    parts: list[DoubleArray] = []
    for index in sampled_slices(len(stack)):
        image = stack[index].astype(np.float32, copy=False)
        outside = None if padding is None else padding.reshape(stack.shape)[index]
        inside = body_mask(image, outside) if body is None else body.reshape(stack.shape)[index]
        of_slice = None if unit is None else unit(index)
        parts.append(
            noise_patches(image, inside, pixel_spacing_mm, unit=of_slice, tissue_hu=tissue_hu)
        )
    return level_of_patches(parts, pixel_spacing_mm)


def sampled_slices(count: int) -> tuple[int, ...]:
    """Which of so many slices the noise level is measured in: 64 at most, evenly spread."""
    if count <= MOST_SLICES:
        return tuple(range(count))
    places = np.unique(np.linspace(0, count - 1, MOST_SLICES).round().astype(int))
    return tuple(int(place) for place in places)


def noise_patches(
    image: HuArray,
    inside: BoolArray,
    pixel_spacing_mm: float | tuple[float, float],
    *,
    unit: FloatArray | None = None,
    tissue_hu: tuple[float, float] = SOFT_TISSUE_HU,
) -> DoubleArray:
    """What one slice says about the noise level; see `level_of_patches`.

    Args:
        image: Hounsfield units [y, x].
        inside: Patches lie wholly inside, indexed like the image.
        pixel_spacing_mm: Distance between pixels, one number or (row, column).
        unit: What the noise of each pixel is divided by, HU [y, x]; None for HU.
        tissue_hu: Mean of the patches that count.

    Returns:
        Mean square and lag-one product of every patch, float64 [2, patch].
    """
    size = patch_pixels(pixel_spacing_mm)
    parts = list(_slice_statistics(image, inside, size, unit, tissue_hu)) if inside.any() else []
    return np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))


def level_of_patches(
    parts: Sequence[DoubleArray], pixel_spacing_mm: float | tuple[float, float]
) -> float | None:
    """The noise level of some slices.

    Args:
        parts: Of each slice, as `noise_patches` gives them.
        pixel_spacing_mm: As there.

    Returns:
        HU, or a multiple of the unit; None with too few patches.
    """
    if not parts:
        return None
    return _level(np.concatenate(parts, axis=1), patch_pixels(pixel_spacing_mm))


def patch_pixels(pixel_spacing_mm: float | tuple[float, float]) -> int:
    """Side of a patch in pixels for a pixel spacing."""
    spacing = float(np.sqrt(np.prod(np.broadcast_to(pixel_spacing_mm, 2))))
    return max(SMALLEST_PATCH_PIXELS, round(PATCH_MM / spacing))


def _level(statistics: DoubleArray, size: int) -> float | None:
    """The noise level from the mean square and lag-one product of all patches."""
    mean_square, lag_one = statistics
    if mean_square.size < FEWEST_PATCHES:
        return None
    deviation = np.sqrt(mean_square)
    noisy = deviation > _CONSTANT_HU
    if np.count_nonzero(noisy) < max(FEWEST_PATCHES, noisy.size // 2):
        return 0.0
    mode = _mode(deviation[noisy])
    near = np.abs(deviation / mode - 1) < _NEAR_MODE
    correlation = float(lag_one[near].sum() / mean_square[near].sum())
    return mode / _mode_over_sigma(size, correlation)


def _slice_statistics(
    image: HuArray,
    inside: BoolArray,
    size: int,
    unit: FloatArray | None,
    tissue_hu: tuple[float, float],
) -> Iterator[DoubleArray]:
    """Mean square and lag-one product of the detrended patches of soft tissue in a slice.

    Two sets of patches, the second shifted by half a patch, use the pixels better than one.
    """
    low, high = tissue_hu
    for shift in (0, size // 2):
        rows, columns = ((n - shift) // size for n in image.shape)
        area = np.s_[shift : shift + rows * size, shift : shift + columns * size]
        blocks = (rows, size, columns, size)
        whole = inside[area].reshape(blocks).all(axis=(1, 3))
        patches = image[area].reshape(blocks).swapaxes(1, 2)[whole]
        if not len(patches):
            continue
        means = patches.mean(axis=(1, 2), dtype=np.float64)
        chosen = (means > low) & (means < high)
        residual = _without_plane(patches[chosen].astype(np.float64))
        if unit is not None:
            units = unit[area].reshape(blocks).swapaxes(1, 2)[whole][chosen]
            residual /= units.mean(axis=(1, 2), dtype=np.float64)[:, None, None]
        lag_one = (
            (residual[:, 1:] * residual[:, :-1]).mean(axis=(1, 2))
            + (residual[:, :, 1:] * residual[:, :, :-1]).mean(axis=(1, 2))
        ) / 2
        yield np.stack([(residual**2).mean(axis=(1, 2)), lag_one])


def _without_plane(patches: DoubleArray) -> DoubleArray:
    """Patches [n, y, x] less their least-squares planes."""
    ramp = _ramp(patches.shape[-1])
    residual = patches - patches.mean(axis=(1, 2), keepdims=True)
    along_y = residual.mean(axis=2) @ ramp / len(ramp)
    along_x = residual.mean(axis=1) @ ramp / len(ramp)
    residual -= along_y[:, None, None] * ramp[:, None]
    residual -= along_x[:, None, None] * ramp
    return np.asarray(residual, dtype=np.float64)


def _ramp(size: int) -> DoubleArray:
    """A straight line across a patch, with mean 0 and mean square 1."""
    ramp = np.arange(size) - (size - 1) / 2
    scaled: DoubleArray = ramp / np.sqrt(np.mean(ramp**2))
    return scaled


def _mode(values: DoubleArray) -> float:
    """The value at which the density of values is highest."""
    scale = float(np.percentile(values, 20))
    bins = round(_LARGEST / _BIN)
    histogram, edges = np.histogram(values, bins=bins, range=(0.0, _LARGEST * scale))
    reach = np.arange(-round(4 * _BANDWIDTH / _BIN), round(4 * _BANDWIDTH / _BIN) + 1) * _BIN
    kernel = np.exp(-0.5 * (reach / _BANDWIDTH) ** 2)
    density = np.convolve(histogram, kernel, mode="same")
    peak = int(np.argmax(density))
    return float(edges[peak : peak + 2].mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Family:
    """What patches of one size see of noise with each cut-off, ascending in correlation.

    Args:
        correlations: Lag-one product over mean square inside detrended patches.
        ratios: Mode of the SD of a patch over the true standard deviation.
    """

    correlations: DoubleArray
    ratios: DoubleArray


def _mode_over_sigma(size: int, correlation: float) -> float:
    """Mode of the SD of detrended patches over the true standard deviation of the noise.

    Args:
        size: Side of the patch in pixels.
        correlation: Lag-one product over mean square, measured inside the detrended patches.
    """
    family = _family(size)
    return float(np.interp(correlation, family.correlations, family.ratios))


@lru_cache(maxsize=32)
def _family(size: int) -> _Family:
    moments = [_moments(_correlation(size, float(f0))) for f0 in _CUTOFFS_PER_PIXEL[::-1]]
    correlations = np.array([moment.lag_one / moment.fraction for moment in moments])
    ratios = np.array([np.sqrt(m.fraction * (1 - 1 / m.freedom)) for m in moments])
    return _Family(np.maximum.accumulate(correlations), ratios)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Expected values over detrended patches of unit noise.

    Args:
        fraction: Mean square, trace(R C)/N.
        lag_one: Mean product of neighbours.
        freedom: Effective degrees of freedom, trace(R C)^2 / trace(R C R C).
    """

    fraction: float
    lag_one: float
    freedom: float


def _moments(correlation: DoubleArray) -> _Moments:
    """What detrended patches see of noise with a given correlation.

    With orthonormal plane images b_k and P = sum b_k b_k^T, everything follows from the images
    C b_k: R C R = C - P C - C P + P C P. The matrix C itself is never formed.

    Args:
        correlation: Correlation by lag, indexed [y, x], lags 0 to size - 1.
    """
    size = len(correlation)
    flat, ramp = np.ones(size), _ramp(size)
    planes = np.stack([np.outer(flat, flat), np.outer(ramp, flat), np.outer(flat, ramp)]) / size
    seen = _correlated(planes, correlation)
    inner = np.einsum("kyx,lyx->kl", planes, seen)
    trace = size**2 - np.trace(inner)
    pairs = (size - np.arange(size)) * np.where(np.arange(size) > 0, 2, 1)
    square = pairs @ correlation**2 @ pairs - 2 * np.sum(seen**2) + np.sum(inner**2)
    products = []
    for lag, (one, other) in zip((correlation[1, 0], correlation[0, 1]), _NEIGHBOURS, strict=True):
        cross = planes[one] * seen[other] + seen[one] * planes[other]
        both = np.einsum("kl,kyx,lyx->yx", inner, planes[one], planes[other])
        products.append(float(np.mean(lag - cross.sum(axis=0) + both)))
    return _Moments(float(trace / size**2), float(np.mean(products)), float(trace**2 / square))


_NEIGHBOURS = (
    (np.s_[:, 1:, :], np.s_[:, :-1, :]),
    (np.s_[:, :, 1:], np.s_[:, :, :-1]),
)


def _correlated(images: DoubleArray, correlation: DoubleArray) -> DoubleArray:
    """C applied to images [k, y, x]: a convolution with the correlation, by FFT, without wrap."""
    size = len(correlation)
    lags = np.abs(np.arange(2 * size) - 2 * size * (np.arange(2 * size) > size))
    lags = np.minimum(lags, size - 1)  # lag `size` is met by no pair of pixels
    kernel = correlation[np.ix_(lags, lags)]
    shape = kernel.shape
    product = np.fft.rfft2(images, shape) * np.fft.rfft2(kernel)
    convolved: DoubleArray = np.fft.irfft2(product, shape)[:, :size, :size]
    return convolved


def _correlation(size: int, cutoff: float) -> DoubleArray:
    """Correlation by lag, [y, x], of noise with NPS ~ f exp(-(f/f0)^2) on a grid of pixels.

    Args:
        size: Number of lags along each axis.
        cutoff: f0 in cycles per pixel. What lies above the Nyquist frequency is aliased, as by a
            scanner's grid.
    """
    samples = max(64, 4 * size)  # per cycle per pixel; the sampled correlation repeats after these
    frequency = (np.arange(2 * samples) + 0.5) / samples
    radius = np.hypot(frequency[:, None], frequency)
    spectrum = radius * np.exp(-((radius / cutoff) ** 2))
    waves = np.cos(2 * np.pi * np.outer(np.arange(size), frequency))
    by_lag = waves @ spectrum @ waves.T
    return np.asarray(by_lag / by_lag[0, 0], dtype=np.float64)

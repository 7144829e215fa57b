"""How close two slices are: errors in HU, and PSNR and SSIM with the window they depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self, assert_never

import numpy as np
from scipy import ndimage

from ctdenoise.config.evaluation import SsimConvention, WindowSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.errors import InputError

_REDCNN_REACH = 5  # 11 taps
_REDCNN_SIGMA = 1.5
_UNIFORM_REACH = 3  # 7 taps
_K1, _K2 = 0.01, 0.03  # Wang et al., IEEE Trans. Image Process. 2004


@dataclass(frozen=True, slots=True)
class DifferenceSums:
    """Sums over differences, float64; those of two sets of voxels can be added.

    Args:
        count: Number of voxels.
        total: Sum of the differences, HU.
        absolute: Sum of their absolute values, HU.
        squared: Sum of their squares, HU^2.
    """

    count: int = 0
    total: float = 0.0
    absolute: float = 0.0
    squared: float = 0.0

    @classmethod
    def of(cls, differences: DoubleArray) -> Self:
        """The sums of an array of differences, any shape."""
        return cls(
            differences.size,
            float(differences.sum()),
            float(np.abs(differences).sum()),
            float(np.square(differences).sum()),
        )

    def __add__(self, other: DifferenceSums) -> DifferenceSums:
        return DifferenceSums(
            self.count + other.count,
            self.total + other.total,
            self.absolute + other.absolute,
            self.squared + other.squared,
        )

    def __sub__(self, other: DifferenceSums) -> DifferenceSums:
        return DifferenceSums(
            self.count - other.count,
            self.total - other.total,
            self.absolute - other.absolute,
            max(0.0, self.squared - other.squared),
        )

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared difference, HU; None without voxels."""
        return math.sqrt(self.squared / self.count) if self.count else None

    @property
    def mae(self) -> float | None:
        """Mean absolute difference, HU; None without voxels."""
        return self.absolute / self.count if self.count else None

    @property
    def bias(self) -> float | None:
        """Mean difference, HU; None without voxels."""
        return self.total / self.count if self.count else None


def windowed(
    image: HuArray | DoubleArray, window: WindowSettings, padding: BoolArray | None
) -> DoubleArray:
    """An image clipped to a window, padding set to its lower end.

    Args:
        image: Hounsfield units, indexed [y, x].
        window: The range.
        padding: True outside the reconstruction circle.

    Returns:
        HU, float64 [y, x].
    """
    clipped = np.clip(image.astype(np.float64), window.low_hu, window.high_hu)
    if padding is not None:
        clipped[padding] = window.low_hu
    return clipped


def psnr(
    reference: DoubleArray, test: DoubleArray, *, data_range: float, where: BoolArray | None = None
) -> float:
    """Peak signal-to-noise ratio, dB: 10 log10(data_range^2 / mean squared difference).

    Args:
        reference: Any shape, clipped to a window.
        test: Of the same shape, clipped to the same window.
        data_range: Width of that window. It has no default, since the value depends on it.
        where: Which pixels count; None for all.

    Returns:
        The ratio; infinite if there is no difference, NaN if no pixel counts.

    Raises:
        InputError: If the data range is not positive.
    """
    if not data_range > 0:
        raise InputError(f"A data range of {data_range} is not positive.")
    squares = np.square(test - reference)
    mean = float(np.mean(squares if where is None else squares[where], dtype=np.float64))
    return math.inf if mean == 0 else 10 * math.log10(data_range**2 / mean)


def ssim(
    reference: DoubleArray,
    test: DoubleArray,
    *,
    window: WindowSettings,
    where: BoolArray | None = None,
) -> float:
    """Mean structural similarity of two slices by the convention of a window.

    uniform7: the window is mapped to [0, 1]; scikit-image's default (7 x 7 uniform filter, sample
    covariance, K1 0.01, K2 0.03, data range 1); three pixels at the border do not count.
    redcnn11: raw HU, 11 x 11 Gaussian of sigma 1.5, borders padded with zeros, population
    covariance, every pixel counts; as in the RED-CNN code base.

    Args:
        reference: HU clipped to the window, indexed [y, x].
        test: Of the same shape, clipped to the same window.
        window: Gives the data range and the convention.
        where: Which pixels of the similarity map are averaged; None for all.

    Raises:
        InputError: If the slices are smaller than the filter.
    """
    similarity, counts = _similarity_map(reference, test, window, window.ssim)
    if where is not None:
        counts &= where
    return float(similarity[counts].mean(dtype=np.float64)) if counts.any() else math.nan


def _similarity_map(
    reference: DoubleArray, test: DoubleArray, window: WindowSettings, convention: SsimConvention
) -> tuple[DoubleArray, BoolArray]:
    """The similarity of each pixel and which of them count.

    It is 1 wherever the images agree within the reach of the filter, so it is computed around their
    differences only.
    """
    counts = np.ones(reference.shape, dtype=np.bool_)
    match convention:
        case "uniform7":
            reach = _UNIFORM_REACH
            if min(reference.shape) < 2 * reach + 1:
                raise InputError(f"SSIM needs at least {2 * reach + 1} pixels along each axis.")
            for edge in (np.s_[:reach], np.s_[-reach:]):
                counts[edge] = counts[:, edge] = False
        case "redcnn11":
            reach = _REDCNN_REACH
        case _:
            assert_never(convention)
    similarity = np.ones(reference.shape)
    part = _around_differences(reference != test, 2 * reach)
    if part is not None:
        one, other = reference[part], test[part]
        if convention == "uniform7":
            scaled = ((a - window.low_hu) / window.width_hu for a in (one, other))
            similarity[part] = _uniform_similarity(*scaled)
        else:
            similarity[part] = _redcnn_similarity(one, other, window.width_hu)
    return similarity, counts


def _around_differences(differ: BoolArray, reach: int) -> tuple[slice, slice] | None:
    """The rectangle that holds all differing pixels and some more; at least the filter fits in.

    None where nothing differs.
    """
    found = []
    for axis in (1, 0):
        places = np.flatnonzero(differ.any(axis=axis))
        if not places.size:
            return None
        found.append(slice(max(0, int(places[0]) - reach), int(places[-1]) + reach + 1))
    return found[0], found[1]


def _uniform_similarity(reference: DoubleArray, test: DoubleArray) -> DoubleArray:
    """Similarity of images in [0, 1], 7 x 7 uniform filter, sample covariance.

    Three pixels at each edge are 1: they never count, or the images agree there.
    """
    pixels = (2 * _UNIFORM_REACH + 1) ** 2
    sums = [_box_sums(a) for a in (reference, test, reference**2 + test**2, reference * test)]
    mean_1, mean_2, squares, products = (one / pixels for one in sums)
    to_sample = pixels / (pixels - 1)
    luminance = 2 * mean_1 * mean_2
    powers = mean_1**2 + mean_2**2
    covariance = to_sample * (2 * products - luminance)  # twice the covariance
    variances = to_sample * (squares - powers)
    c1, c2 = _K1**2, _K2**2
    similarity = np.ones(reference.shape)
    inside = slice(_UNIFORM_REACH, -_UNIFORM_REACH)
    similarity[inside, inside] = (
        (luminance + c1) * (covariance + c2) / ((powers + c1) * (variances + c2))
    )
    return similarity


def _box_sums(image: DoubleArray) -> DoubleArray:
    """Sums over the 7 x 7 pixels of every window that lies inside the image."""
    return _sums_of_seven(_sums_of_seven(image).T).T


def _sums_of_seven(image: DoubleArray) -> DoubleArray:
    """Sums over seven rows: pairs, pairs of pairs, and the rest."""
    pairs = image[:-1] + image[1:]
    fours = pairs[:-2] + pairs[2:]
    sums: DoubleArray = fours[:-3] + pairs[4:-1]
    sums += image[6:]
    return sums


def _redcnn_similarity(reference: DoubleArray, test: DoubleArray, data_range: float) -> DoubleArray:
    reach = np.arange(-_REDCNN_REACH, _REDCNN_REACH + 1)
    taps = np.exp(-(reach**2) / (2 * _REDCNN_SIGMA**2))
    taps /= taps.sum()

    def mean(image: DoubleArray) -> DoubleArray:
        rows = ndimage.correlate1d(image, taps, axis=0, mode="constant", cval=0.0)
        both: DoubleArray = ndimage.correlate1d(rows, taps, axis=1, mode="constant", cval=0.0)
        return both

    mean_1, mean_2 = mean(reference), mean(test)
    luminance, powers = 2 * mean_1 * mean_2, mean_1**2 + mean_2**2
    covariance = 2 * mean(reference * test) - luminance  # twice the covariance
    variances = mean(reference**2 + test**2) - powers
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    similarity: DoubleArray = (
        (luminance + c1) * (covariance + c2) / ((powers + c1) * (variances + c2))
    )
    return similarity

"""What one slice of a test says about it: everything that is summed up or averaged afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.evaluation import WindowSettings, window_settings
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray, LabelArray
from ctdenoise.core.noise_level import noise_patches
from ctdenoise.core.units import AIR_HU
from ctdenoise.metrics.fidelity import DifferenceSums, psnr, ssim, windowed
from ctdenoise.metrics.hu_accuracy import box_means, masks_of_means
from ctdenoise.metrics.noise_floor import Levels, levels_of
from ctdenoise.metrics.organs import OrganSums, organ_sums
from ctdenoise.metrics.structure import ProductSums, structure_sums
from ctdenoise.metrics.vif import FEWEST_PIXELS, visual_information_fidelity

DIFFERENCE_EDGES: DoubleArray = np.linspace(-1000.0, 1000.0, 2001)
"""Bins of the differences, HU; the first and the last take what is beyond."""

VIF_WINDOW = window_settings("ldctbench-validation")
"""Both images are clipped to it for VIF, and for the RMSE that stands beside it."""

_AIR_HU = (-np.inf, -900.0)


@dataclass(frozen=True, slots=True, eq=False)
class SlicePair:
    """One slice of the reference and of a test.

    Args:
        reference: HU [y, x].
        test: HU [y, x].
        padding: Pixels that are padding in either; None for none.
        body: Body of the reference.
        pixel_spacing_mm: Along (rows, columns).
        labels: Class of each pixel of the reference, 0 for none; None where no organs are asked.
        before: The image that the test was made from, HU [y, x]; None where it is not there.
        in_sample: Whether noise is measured in this slice.
    """

    reference: HuArray
    test: HuArray
    padding: BoolArray | None
    body: BoolArray
    pixel_spacing_mm: tuple[float, float]
    labels: LabelArray | None = None
    before: HuArray | None = None
    in_sample: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """What one slice says about noise; see `noise_patches`.

    Args:
        reference: In soft tissue of the reference.
        test: In soft tissue of the test.
        air: In the air around the body, of the reference.
    """

    reference: DoubleArray
    test: DoubleArray
    air: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class SliceFigures:
    """Everything that one slice says.

    Args:
        body: Differences in the body.
        tissues: Differences in each tissue, by its name.
        organs: Each organ of the slice, by its class.
        histogram: Differences in the body by size, float64 [bin].
        columns: Figures of the slice by key; None where it has none.
        levels: How often each mean occurs in the reference.
        patches: Noise; None where it is not measured in this slice.
        structure: What was removed against the edges; None where the input is not there.
    """

    body: DifferenceSums
    tissues: Mapping[str, DifferenceSums]
    organs: Mapping[int, OrganSums]
    histogram: DoubleArray
    columns: Mapping[str, float | None]
    levels: Levels
    patches: Patches | None
    structure: ProductSums | None


def slice_figures(
    pair: SlicePair, windows: Sequence[WindowSettings], *, with_vif: bool
) -> SliceFigures:
    """Compare one slice with its reference.

    Args:
        pair: Both of them.
        windows: For PSNR and SSIM.
        with_vif: Whether VIF is computed, too.
    """
    reference, test = (_in_air(image, pair.padding) for image in (pair.reference, pair.test))
    body = pair.body if pair.padding is None else pair.body & ~pair.padding
    spacing = pair.pixel_spacing_mm
    difference = test - reference
    in_body = difference[body]
    means = box_means(reference, pixel_spacing_mm=spacing)
    tissues = masks_of_means(means, body)
    organs: dict[int, OrganSums] = {}
    if pair.labels is not None:
        organs = organ_sums(pair.labels, reference, test, pair.padding, pixel_spacing_mm=spacing)
    structure = None
    if pair.before is not None:
        before = _in_air(pair.before, pair.padding)
        structure = structure_sums(before, test, reference, body, pixel_spacing_mm=spacing)
    return SliceFigures(
        DifferenceSums.of(in_body),
        {name: DifferenceSums.of(difference[mask]) for name, mask in tissues.items()},
        organs,
        _histogram(in_body),
        _columns(reference, test, pair.padding, windows, with_vif=with_vif),
        levels_of(reference, means, body, pair.padding),
        _patches(pair, body) if pair.in_sample else None,
        structure,
    )


def _in_air(image: HuArray, padding: BoolArray | None) -> DoubleArray:
    """An image in float64, padding set to air."""
    values = image.astype(np.float64)
    if padding is not None:
        values[padding] = AIR_HU
    return values


def _histogram(differences: DoubleArray) -> DoubleArray:
    first, last = float(DIFFERENCE_EDGES[0]), float(DIFFERENCE_EDGES[-1])
    inside = np.clip(differences, first, last)
    counts, _ = np.histogram(inside, bins=len(DIFFERENCE_EDGES) - 1, range=(first, last))
    return np.asarray(counts, dtype=np.float64)


def _patches(pair: SlicePair, body: BoolArray) -> Patches:
    around = ~pair.body if pair.padding is None else ~(pair.body | pair.padding)
    spacing = pair.pixel_spacing_mm
    return Patches(
        noise_patches(pair.reference, body, spacing),
        noise_patches(pair.test, body, spacing),
        noise_patches(pair.reference, around, spacing, tissue_hu=_AIR_HU),
    )


def psnr_key(window: WindowSettings) -> str:
    """`psnr[-160,240]`."""
    return f"psnr{window.label}"


def ssim_key(window: WindowSettings) -> str:
    """`ssim[-160,240]`, or `ssim_redcnn11[-160,240]` for another convention than the usual one."""
    convention = "" if window.ssim == "uniform7" else f"_{window.ssim}"
    return f"ssim{convention}{window.label}"


RMSE_KEY = f"rmse{VIF_WINDOW.label}"
VIF_KEY = f"vif{VIF_WINDOW.label}"
EXCHANGED_VIF_KEY = f"vif_exchanged{VIF_WINDOW.label}"


def _columns(
    reference: DoubleArray,
    test: DoubleArray,
    padding: BoolArray | None,
    windows: Sequence[WindowSettings],
    *,
    with_vif: bool,
) -> dict[str, float | None]:
    where = None if padding is None else ~padding
    found: dict[str, float | None] = {}
    for window in windows:
        images = [windowed(image, window, padding) for image in (reference, test)]
        if psnr_key(window) not in found:  # two windows may share a PSNR
            found[psnr_key(window)] = psnr(*images, data_range=window.width_hu, where=where)
        found[ssim_key(window)] = ssim(*images, window=window, where=where)
    if with_vif:
        images = [windowed(image, VIF_WINDOW, padding) for image in (reference, test)]
        squares = np.square(images[1] - images[0])
        counted = squares if where is None else squares[where]
        found[RMSE_KEY] = math.sqrt(counted.mean()) if counted.size else math.nan
        if min(reference.shape) >= FEWEST_PIXELS:
            fidelity = visual_information_fidelity(*images)
            found[VIF_KEY] = fidelity.of_test
            found[EXCHANGED_VIF_KEY] = fidelity.of_reference
    return {
        key: None if value is None or math.isnan(value) else value for key, value in found.items()
    }

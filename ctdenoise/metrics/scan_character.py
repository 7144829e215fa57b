"""What a scan is like for a network: how noisy, with what texture, how bright, of what anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import SOFT_TISSUE_HU, noise_level_hu
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.cells import cell_means, cell_pixels, cells_inside
from ctdenoise.metrics.noise_texture import flat_areas, noise_power
from ctdenoise.metrics.scan_anatomy import CELL_MM, NO_ANATOMY, ScanAnatomy, scan_anatomy

MOST_SLICES = 8
"""So many slices are measured, evenly spread."""

PATCH_MM = 16.0
"""Side of the patches whose noise power spectrum is taken."""

BRIGHT_PERCENT = 90.0
"""Percentile of soft tissue that says how bright it is: organs with contrast medium or without. The
few per cent above are spongy bone in every scan."""

NORMAL_BODY_MM = 300.0
"""Diameter of the body that noise is compared for."""

MU_WATER_PER_MM = 0.0193
"""Linear attenuation of water at 70 keV, which is about the mean of 120 kV behind a body (NIST)."""

_FEWEST_CELLS = 200


@dataclass(frozen=True, slots=True)
class ScanCharacter:
    """What was measured in the pixels of a scan.

    Args:
        noise_hu: Noise level in soft tissue; None where there is too little of it.
        noise_frequency_per_mm: Mean frequency of the noise power spectrum there: what the
            reconstruction kernel makes of the noise, whatever its name; None likewise.
        bright_soft_hu: 90th percentile of soft tissue over 4.5 mm: high with contrast medium.
        densest_hu: Highest mean over 4.5 mm in the body: bone, or metal.
        anatomy: Size of the body, skull, contrast medium.
    """

    noise_hu: float | None = None
    noise_frequency_per_mm: float | None = None
    bright_soft_hu: float | None = None
    densest_hu: float | None = None
    anatomy: ScanAnatomy = NO_ANATOMY


def scan_character(volume: CTVolume, *, most_slices: int = MOST_SLICES) -> ScanCharacter:
    """Measure some slices of a scan.

    Args:
        volume: The scan, or a part of it.
        most_slices: How many slices to measure at most.
    """
    slices = volume.shape[0]
    count = min(slices, most_slices)
    some = volume.select(sorted({int(n) for n in np.linspace(0, slices - 1, count).round()}))
    body = body_mask(some.hu, some.padding)
    noise_hu = noise_level_hu(some.hu, some.padding, some.geometry.pixel_spacing_mm, body=body)
    bright_soft_hu, densest_hu = _brightness(some, body)
    return ScanCharacter(
        noise_hu,
        _noise_frequency(some, body),
        bright_soft_hu,
        densest_hu,
        scan_anatomy(some, body, noise_hu=noise_hu),
    )


def normal_noise_hu(
    noise_hu: float | None, body_mm: float | None, thickness_mm: float | None
) -> float | None:
    """The noise that the same exposure would give in slices of 1 mm of a body of 300 mm, HU.

    Photons grow with the thickness of a slice and fall as exp(-mu d) with the diameter d of a body
    of water, and variance is one over photons. Scanners are set for this figure, so it says whether
    the noise is low for thickness and size: in scans of trunks, heads and water by six scanners it
    was 20 to 43 HU, whatever these were. Larger bodies count as 300 mm: the exposure grows with
    them, so that their noise is that of others.

    Args:
        noise_hu: Noise level in soft tissue; None where it is not known.
        body_mm: Diameter of a disc of the area of the body; None likewise.
        thickness_mm: Of the slices; None likewise.

    Returns:
        None where one of them is not known, or there is no noise.
    """
    if not noise_hu or body_mm is None or thickness_mm is None:
        return None
    smaller_mm = max(0.0, NORMAL_BODY_MM - body_mm)
    return float(noise_hu * np.sqrt(thickness_mm) * np.exp(MU_WATER_PER_MM * smaller_mm / 2))


def _noise_frequency(volume: CTVolume, body: BoolArray) -> float | None:
    side = max(8, cell_pixels(volume.geometry.pixel_spacing_mm, PATCH_MM))
    areas = flat_areas(volume, body, side=side, truth="scan")
    sums = noise_power(volume, volume, areas)
    if not sums:
        return None
    total = sums[0]
    for one in sums[1:]:
        total = total + one
    return total.radial().mean_frequency_per_mm


def _brightness(volume: CTVolume, body: BoolArray) -> tuple[float | None, float | None]:
    side = cell_pixels(volume.geometry.pixel_spacing_mm, CELL_MM)
    found: list[DoubleArray] = []
    for index, image in enumerate(volume.hu):
        seen = image
        if volume.padding is not None:
            seen = np.where(volume.padding[index], np.float32(AIR_HU), image)
        smooth = np.asarray(ndimage.uniform_filter(cell_means(seen, side), 3, mode="nearest"))
        found.append(smooth[cells_inside(body[index], side)].astype(np.float64))
    values = np.concatenate(found)
    soft = values[(values > SOFT_TISSUE_HU[0]) & (values < SOFT_TISSUE_HU[1])]
    return (
        float(np.percentile(soft, BRIGHT_PERCENT)) if soft.size >= _FEWEST_CELLS else None,
        float(values.max()) if values.size >= _FEWEST_CELLS else None,
    )

"""Judge a denoiser by what it makes of lesions that are put into a scan, and of places without.

The scan is settled on once, without lesions: with them it is denoised by the same settled method,
told the same noise. So what is measured is what the method does to lesions, and not what lesions do
to the measurement of noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctdenoise.config.response import ResponseSettings
from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.io.read import SeriesReader
from ctdenoise.metrics.hallucination import Background, signal_absent
from ctdenoise.metrics.lesions import (
    TYPICAL_F50_PER_MM,
    SystemBlur,
    f50_of_noise_per_mm,
)
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.scan_character import scan_character
from ctdenoise.tasks.response_detectability import SIZES_MM, detectability_figures
from ctdenoise.tasks.response_figures import Inserted, absent_figures, insertion_figures
from ctdenoise.tasks.response_places import SOFT, Layout, groups_of, layouts_of
from ctdenoise.tasks.response_slices import Slices
from ctdenoise.tasks.response_study import Study

_F50_LIMITS = (0.15, 1.2)
"""What is believed of an estimate, 1/mm."""

_AROUND_MM = (4.0, 8.0)
"""How far around a lesion its response is looked at: half the distance of two lesions, within
these limits."""


def measure_response(
    denoiser: Denoiser,
    scan: CTVolume | SeriesReader,
    settings: ResponseSettings,
    *,
    labels: LabelArray | None = None,
    names: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Measured:
    """What a denoiser makes of lesions in a scan, and of places where there are none.

    Args:
        denoiser: Any.
        scan: In memory, or a series that is open for reading.
        settings: Which lesions, how many, where.
        labels: Organ of every voxel, [z, y, x]; None for lesions by tissue alone.
        names: Name of each organ, background first.
        progress: Told about every slice that is denoised.

    Raises:
        InputError: If no slice has room for a lesion.
        GeometryError: If the labels do not fit the scan.
    """
    slices = Slices(scan)
    if labels is not None and labels.shape != scan.shape:
        raise GeometryError(
            f"Labels of {labels.shape} voxels do not fit a scan of {scan.shape} [z, y, x]."
        )
    sample = slices.sample(denoiser.context)
    blur, known_by = system_blur(sample.volume, scan.geometry, settings)
    groups = groups_of(settings, names if labels is not None else ())
    around_mm = min(max(settings.apart_mm / 2, _AROUND_MM[0]), _AROUND_MM[1])
    layouts = layouts_of(slices, settings, groups, labels, rim_mm=around_mm)
    if not layouts:
        raise InputError(
            "no slice has flat soft tissue or lung for a lesion.",
            fix="Give a scan of a body or of a phantom, or labels of its organs.",
        )
    settled = denoiser.settle(sample, scan)
    study = Study(slices, settled, denoiser.context, groups, blur, around_mm)
    inserted, backgrounds, crowding = _run(study, layouts, progress)
    absent = signal_absent(
        backgrounds,
        blur,
        scan.geometry.pixel_spacing_mm,
        diameters_mm=settings.absent.diameters_mm,
        least_deviations=settings.absent.least_deviations,
    )
    conditions: dict[str, JsonValue] = {
        "slices": [layout.place + 1 for layout in layouts],
        "lesions": sum(len(layout.sites) for layout in layouts),
        "f50_per_mm": round(blur.f50_per_mm, 3),
        "f50_known_by": known_by,
        "slice_thickness_mm": round(blur.slice_thickness_mm, 3),
        "apart_mm": settings.apart_mm,
        "recovery_changed_by_neighbours": crowding,
        "seed": settings.seed,
        "settled": "once, on the scan without lesions",
    }
    found = Measured(conditions=(("response", conditions),))
    if inserted:
        found += insertion_figures(inserted, groups, draws=settings.draws, seed=settings.seed)
    soft = [one for one in inserted if one.group == SOFT]
    places = {
        size: study.absent(layouts, backgrounds, size)
        for size in sorted({one.diameter_mm for one in soft})
        if SIZES_MM[0] <= size <= SIZES_MM[1]
    }
    found += detectability_figures(soft, places, draws=settings.draws, seed=settings.seed)
    return found + absent_figures(absent)


def _run(
    study: Study, layouts: Sequence[Layout], progress: Progress
) -> tuple[list[Inserted], list[Background], float | None]:
    """Denoise every slice without lesions and with those of each contrast.

    Returns:
        What became of each lesion, the slices before and after, and what lesions do to each other.
    """
    inserted: list[Inserted] = []
    backgrounds: list[Background] = []
    total = sum(study.passes + 1 if layout.sites else 1 for layout in layouts) + 1
    with progress.stage("Inserting lesions", total) as advance:
        for layout in layouts:
            plain = study.denoised(layout.place, ())
            backgrounds.append(study.background(layout, plain))
            advance()
            for number in range(study.passes if layout.sites else 0):
                inserted += study.inserted(layout, plain, number)
                advance()
        crowding = study.crowding(max(layouts, key=lambda one: len(one.sites)))
        advance()
    return inserted, backgrounds, crowding


def system_blur(
    volume: CTVolume, geometry: Geometry, settings: ResponseSettings
) -> tuple[SystemBlur, str]:
    """What the scanner makes of a point, and how it is known.

    Args:
        volume: Slices of the scan.
        geometry: Of the whole scan.
        settings: What is stated of it.
    """
    thickness_mm = (
        settings.slice_thickness_mm
        or volume.acquisition.slice_thickness_mm
        or geometry.slice_spacing_mm
        or 1.0
    )
    if settings.f50_per_mm is not None:
        return SystemBlur(settings.f50_per_mm, thickness_mm), "stated"
    frequency = scan_character(volume).noise_frequency_per_mm
    if frequency is None:
        return SystemBlur(TYPICAL_F50_PER_MM, thickness_mm), "typical: noise cannot be measured"
    f50 = float(np.clip(f50_of_noise_per_mm(frequency), *_F50_LIMITS))
    return SystemBlur(f50, thickness_mm), f"mean frequency of the noise, {frequency:.3f} /mm"

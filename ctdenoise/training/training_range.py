"""Within which limits the pixels lay that a network learnt from, for the checks of `infer`.

Measured in the images and not taken from names: noise level and mean frequency of the noise (which
is what a kernel makes of it), how bright soft tissue is, the densest spot, size, skull, contrast.

Phantoms count for the grid and the noise, which they are drawn for. They do not count for anatomy
where there are scans too: discs of 110 mm with vessels of 900 HU teach a network neither children
nor arteries. And one odd series makes no range: of many, the outermost on each side are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ctdenoise.config.training import TrainSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_derivation import PRODUCT
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.io.pairs import PairFiles
from ctdenoise.metrics.scan_character import (
    MOST_SLICES,
    ScanCharacter,
    normal_noise_hu,
    scan_character,
)
from ctdenoise.training.sources import doses_drawn
from ctdenoise.training.split import SliceRange, TrainingScan

MOST_MEASURED = 240
"""So many slices of all scans are measured, and of all phantoms: of many series fewer each, and of
more series than this some, evenly chosen. Each start of a training waits for it."""

OUTERMOST = 0.025
"""Share of the values on each side that do not count."""

DOSES = 9
"""So many doses stand for those that are drawn evenly in their logarithm, both ends among them."""

_DECIMALS = 3


def training_range(parts: Sequence[SliceRange], settings: TrainSettings) -> dict[str, JsonValue]:
    """Limits of what was met, plain JSON; what cannot be measured is left out.

    Args:
        parts: The slices that are learnt from.
        settings: Which doses are drawn.
    """
    noise: list[float] = []
    frequency: list[float | None] = []
    measured: list[tuple[TrainingScan, ScanCharacter]] = []
    for part, slices in _measured(parts):
        full, lows = _characters(part, slices)
        measured.append((part.files, full))
        noise += _noise_levels(full, lows, part.files, settings)
        # A full dose may be a phantom without noise: its twins show the texture then.
        shown = [one for one in (*lows.values(), full) if one.noise_hu]
        frequency += [one.noise_frequency_per_mm for one in shown[:1]]
    found: dict[str, JsonValue] = {
        "noise_hu": limits_of(noise),
        "noise_frequency_per_mm": limits_of(frequency),
        **_anatomy(measured),
        "slice_spacing_mm": limits_of([part.files.geometry.slice_spacing_mm for part in parts]),
        "manufacturers": _names([part.files.acquisition.manufacturer for part in parts]),
    }
    return {key: value for key, value in found.items() if value}


def _measured(parts: Sequence[SliceRange]) -> Iterator[tuple[SliceRange, int]]:
    """The series that are measured, and how many slices of each."""
    for wanted in (True, False):
        alike = [part for part in parts if is_scan(part.files) == wanted]
        if not alike:
            continue
        slices = max(1, min(MOST_SLICES, MOST_MEASURED // len(alike)))
        count = min(len(alike), MOST_MEASURED)
        for place in np.linspace(0, len(alike) - 1, count).round():
            yield alike[int(place)], slices


def is_scan(files: TrainingScan) -> bool:
    """Whether something was scanned, and not made by this program: phantoms name it as their maker.

    Args:
        files: Of a series.
    """
    return files.acquisition.manufacturer != PRODUCT


def _anatomy(measured: Sequence[tuple[TrainingScan, ScanCharacter]]) -> dict[str, JsonValue]:
    """Limits of the figures of anatomy, of scans alone where there are any, and how many."""
    scans = [one for one in measured if is_scan(one[0])]
    counted = scans or measured
    shown = [full for _, full in counted]
    return {
        "scans": len(scans),
        "phantoms": len(measured) - len(scans),
        "bright_soft_hu": limits_of([one.bright_soft_hu for one in shown]),
        "bright_even_hu": limits_of([one.anatomy.bright_even_hu for one in shown]),
        "densest_hu": limits_of([one.densest_hu for one in shown]),
        "bone_ring_mm": limits_of([one.anatomy.bone_ring_mm for one in shown]),
        "body_mm": limits_of([one.anatomy.body_mm for one in shown]),
        "normal_noise_hu": limits_of(
            [
                normal_noise_hu(full.noise_hu, full.anatomy.body_mm, files.slice_thickness_mm)
                for files, full in scans
            ]
        ),
        "body_parts": _names([files.acquisition.body_part_examined for files, _ in counted]),
    }


def _characters(part: SliceRange, most: int) -> tuple[ScanCharacter, dict[float, ScanCharacter]]:
    """What some slices of a series are like at full dose, and at each stored dose."""
    count = min(most, part.slices)
    ends = np.linspace(part.start, part.stop - 1, 2 * count + 1)[1::2]  # one alone: in the middle
    indices = sorted({int(n) for n in ends.round()})
    arrays = part.files.open()
    lows = {
        low.exposure.dose_fraction: scan_character(_volume(stored, part.files, indices))
        for low, stored in zip(part.files.low, arrays.low, strict=True)
    }
    return scan_character(_volume(arrays.full, part.files, indices)), lows


def _volume(stored: StoredArray, files: TrainingScan, indices: Sequence[int]) -> CTVolume:
    chosen = np.array(stored[list(indices)])
    padding = chosen == PADDING_HU
    return CTVolume(
        hu=chosen.astype(np.float32),
        geometry=files.geometry.select(indices),
        acquisition=files.acquisition.select(indices),
        padding=padding if padding.any() else None,
    )


def _noise_levels(
    full: ScanCharacter,
    lows: dict[float, ScanCharacter],
    files: TrainingScan,
    settings: TrainSettings,
) -> list[float]:
    """Noise levels that the network is shown: of the stored doses, or of some of those drawn.

    What a dose f adds to the variance of the full dose grows as 1/f - 1. For a plain scan the noise
    that there is counts as that of the full dose, and it is what the network is for.
    """
    drawn = doses_drawn(settings)
    if drawn is None:
        levels = [one.noise_hu for one in lows.values()] or [full.noise_hu]
        return [level for level in levels if level is not None]
    own = (full.noise_hu or 0.0) ** 2
    doses = [float(dose) for dose in np.geomspace(*drawn, DOSES)]
    doses += [] if isinstance(files, PairFiles) else [1.0]
    if isinstance(files, PairFiles):
        added = [
            max(0.0, low.noise_hu**2 - own) / (1 / dose - 1)
            for dose, low in lows.items()
            if low.noise_hu is not None and dose < 1
        ]
        each = float(np.mean(added)) if added else None
    else:
        each = own or None
    if each is None:
        return []
    return [float(np.sqrt(own + each * (1 / dose - 1))) for dose in doses]


def limits_of(values: Sequence[float | None]) -> list[float] | None:
    """Least and greatest of what is known, without the outermost of many.

    Args:
        values: None is not known.
    """
    known = sorted(round(value, _DECIMALS) for value in values if value is not None)
    left_out = int(OUTERMOST * len(known))
    return [known[left_out], known[-1 - left_out]] if known else None


def _names(values: Sequence[str | None]) -> list[str]:
    return sorted({value for value in values if value})

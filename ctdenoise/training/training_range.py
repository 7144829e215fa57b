"""Within which limits the pixels lay that a network learnt from, for the checks of `infer`.

Measured in the images and not taken from names: noise level and mean frequency of the noise (which
is what a kernel makes of it), how bright soft tissue is, the densest spot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctdenoise.config.training import TrainSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.io.pairs import PairFiles
from ctdenoise.metrics.scan_character import ScanCharacter, scan_character
from ctdenoise.training.sources import doses_drawn
from ctdenoise.training.split import SliceRange, TrainingScan

MOST_SLICES = 4
"""So many slices of each series are measured."""

_DECIMALS = 3


def training_range(parts: Sequence[SliceRange], settings: TrainSettings) -> dict[str, JsonValue]:
    """Limits of what was met, plain JSON; what cannot be measured is left out.

    Args:
        parts: The slices that are learnt from.
        settings: Which doses are drawn.
    """
    noise: list[float] = []
    frequency: list[float | None] = []
    bright: list[float | None] = []
    densest: list[float | None] = []
    for part in parts:
        full, lows = _characters(part)
        noise += _noise_levels(full, lows, part.files, settings)
        # A full dose may be a phantom without noise: its twins show the texture then.
        shown = [one for one in (*lows.values(), full) if one.noise_hu]
        frequency += [one.noise_frequency_per_mm for one in shown[:1]]
        bright.append(full.bright_soft_hu)
        densest.append(full.densest_hu)
    found: dict[str, JsonValue] = {
        "noise_hu": _limits(noise),
        "noise_frequency_per_mm": _limits(frequency),
        "bright_soft_hu": _limits(bright),
        "densest_hu": _limits(densest),
        "slice_spacing_mm": _limits([part.files.geometry.slice_spacing_mm for part in parts]),
        "body_parts": _names([part.files.acquisition.body_part_examined for part in parts]),
        "manufacturers": _names([part.files.acquisition.manufacturer for part in parts]),
    }
    return {key: value for key, value in found.items() if value}


def _characters(part: SliceRange) -> tuple[ScanCharacter, dict[float, ScanCharacter]]:
    """What some slices of a series are like at full dose, and at each stored dose."""
    count = min(MOST_SLICES, part.slices)
    indices = sorted({int(n) for n in np.linspace(part.start, part.stop - 1, count).round()})
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
    """Noise levels that the network is shown: of the stored doses, or at the ends of those drawn.

    What a dose f adds to the variance of the full dose grows as 1/f - 1. For a plain scan the noise
    that there is counts as that of the full dose, and it is what the network is for.
    """
    drawn = doses_drawn(settings)
    if drawn is None:
        levels = [one.noise_hu for one in lows.values()] or [full.noise_hu]
        return [level for level in levels if level is not None]
    own = (full.noise_hu or 0.0) ** 2
    doses = [*drawn] if isinstance(files, PairFiles) else [*drawn, 1.0]
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


def _limits(values: Sequence[float | None]) -> list[float] | None:
    known = [round(value, _DECIMALS) for value in values if value is not None]
    return [min(known), max(known)] if known else None


def _names(values: Sequence[str | None]) -> list[str]:
    return sorted({value for value in values if value})

"""The noise map that is measured from the pixels, against noise that the simulator added.

Run it as ``python -m tests.perf.study_noise_map FOLDERS``, with folders of pairs that `simulate`
made. The true noise of a low dose is what was added, averaged over 8 mm and five slices, and the
scan's own noise as it is measured in the full dose. Printed are mean and spread of measured over
true in the body, in lung and in soft tissue. Nothing is asserted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.core.body import body_mask
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.io.pairs import PairFiles, find_pairs
from ctdenoise.metrics.noise_map import measured_noise

SLICES = 20
"""The first slices of each pair."""

SMOOTHING_MM = 8.0


def added_power(added: DoubleArray, body: BoolArray, spacing: tuple[float, float]) -> DoubleArray:
    """Mean square of the added noise around each pixel of the body, HU squared, [y, x]."""
    sigma = [SMOOTHING_MM / each for each in spacing]
    inside = body.astype(np.float64)
    power = ndimage.gaussian_filter(np.square(added).mean(axis=0) * inside, sigma)
    share = np.maximum(ndimage.gaussian_filter(inside, sigma), 1e-3)
    return np.asarray(power / share, dtype=np.float64)


def study(files: PairFiles) -> None:
    """Print the rows of a pair."""
    arrays, spacing = files.open(), files.pixel_spacing_mm
    full = np.asarray(arrays.full[:SLICES])
    padding = full == PADDING_HU
    own = measured_noise(full, padding, spacing)
    for stored, file in zip(arrays.low, files.low, strict=True):
        low: StoredArray = np.asarray(stored[:SLICES])
        measured = measured_noise(low, padding, spacing)
        parts: dict[str, list[DoubleArray]] = {"body": [], "lung": [], "soft tissue": []}
        for index in range(2, len(full) - 2, 3):
            near = slice(index - 2, index + 3)
            body = body_mask(full[index].astype(np.float32), padding[index])
            added = low[near].astype(np.float64) - full[near]
            shape = (full.shape[1], full.shape[2])
            own_power = np.square(own.at(index, (0, 0), shape), dtype=np.float64)
            true = np.sqrt(added_power(added, body, spacing) + own_power)
            ratio = measured.at(index, (0, 0), shape)[body] / true[body]
            hu = ndimage.gaussian_filter(full[index].astype(np.float64), 3)[body]
            parts["body"].append(ratio)
            parts["lung"].append(ratio[hu < -500])
            parts["soft tissue"].append(ratio[(hu > -30) & (hu < 200)])
        shown = []
        for ratios in parts.values():
            values = np.concatenate(ratios)
            shown.append(f"{values.mean():.3f} ± {values.std():.3f}" if values.size else "")
        dose, level = file.exposure.dose_fraction, measured.level_hu
        print(f"| {files.folder.name} | {dose:g} | {level:.1f} | {' | '.join(shown)} |", flush=True)


def main() -> None:
    """Measure and print."""
    print("| pair | dose | level, HU | body | lung | soft tissue |")
    for files in find_pairs([Path(folder) for folder in sys.argv[1:]]):
        study(files)


if __name__ == "__main__":
    main()

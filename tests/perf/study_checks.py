"""Planted faults in results, and whether the checks of `infer` find them.

    python -m tests.perf.study_checks FOLDERS [--dose 0.25] [--slices 8]

with folders of pairs that `simulate` made. The low dose is the scan, the full dose the perfect
result: what lies between them is noise and nothing else. The faults are planted in that, or are
what common filters do. Printed is a row for each with the findings and the figures that they rest
on, and at the end the processor time of the checks for each slice. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import FloatArray, HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.checks import check_result
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.io.pairs import PairFiles, find_pairs

Case = tuple[str, HuArray, HuArray]
"""Name, scan and result."""


def volume_of(files: PairFiles, stored: StoredArray, indices: list[int]) -> CTVolume:
    """Some slices of a pair."""
    chosen = np.array(stored[indices])
    padding = chosen == PADDING_HU
    return CTVolume(
        chosen.astype(np.float32),
        files.geometry.select(indices),
        files.acquisition.select(indices),
        padding=padding if padding.any() else None,
    )


def lesion(
    truth: CTVolume, *, diameter_mm: float, contrast_hu: float, place: int = 0
) -> FloatArray:
    """A disc in the most even soft tissue of a slice."""
    image = truth.hu[place]
    smooth = ndimage.uniform_filter(image, 15)
    spread = ndimage.uniform_filter(np.square(image), 15) - np.square(smooth)
    spread[(smooth < 20) | (smooth > 120)] = np.inf
    spread[:40], spread[-40:] = np.inf, np.inf
    row, column = np.unravel_index(int(np.argmin(spread)), spread.shape)
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    spacing = float(np.mean(truth.geometry.pixel_spacing_mm))
    inside = np.hypot(y - row, x - column) * spacing < diameter_mm / 2
    added = np.zeros(truth.shape, np.float32)
    added[place] = contrast_hu * inside
    return added


def cases(scan: CTVolume, truth: CTVolume) -> Iterator[Case]:
    """What must pass, and what must not."""
    low, full = scan.hu, truth.hu
    noise = low - full
    yield "exact removal", low, full
    yield "half of the noise", low, full + noise / 2
    yield "identity", low, low
    for sigma in (0.5, 1.0):
        yield f"Gaussian, {sigma:g} pixel", low, ndimage.gaussian_filter(low, (0, sigma, sigma))
    yield "median, 3 x 3", low, ndimage.median_filter(low, (1, 3, 3))
    sharper = full + 0.3 * (full - ndimage.gaussian_filter(full, (0, 1, 1)))
    yield "exact, edges sharpened by 0.3", low, sharper
    smooth = ndimage.uniform_filter(full, (0, 5, 5))
    for name, limits, drift in (
        ("soft tissue", (-30, 200), 2.0),
        ("soft tissue", (-30, 200), 6.0),
        ("fat", (-150, -30), 4.0),
        ("lung", (-950, -500), 8.0),
    ):
        moved = full + drift * ((smooth > limits[0]) & (smooth < limits[1]))
        yield f"{name} {drift:+g} HU", low, moved.astype(np.float32)
    yield "5 % more noise", low, low + np.float32(0.05) * noise
    yield "15 % more noise", low, low + np.float32(0.15) * noise
    yield "other noise in its place", low, full + np.roll(noise, 17, axis=2)
    blank = full.copy()
    blank[1] = 0
    yield "blank slice", low, blank
    for diameter_mm, contrast_hu in ((5, 40), (8, 20), (8, 40), (8, 80), (12, 20), (12, 40)):
        spot = lesion(truth, diameter_mm=diameter_mm, contrast_hu=contrast_hu)
        yield f"lesion of {diameter_mm} mm, {contrast_hu} HU removed", low + spot, full
    spot = lesion(truth, diameter_mm=8, contrast_hu=80)
    yield "lesion of 8 mm, 80 HU halved", low + spot, full + spot / 2


def main() -> None:
    """Plant, check and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--dose", type=float, default=0.25)
    parser.add_argument("--slices", type=int, default=8)
    arguments = parser.parse_args()
    for files in find_pairs(arguments.folders):
        doses = [low.exposure.dose_fraction for low in files.low]
        which = int(np.argmin(np.abs(np.array(doses) - arguments.dose)))
        count = min(arguments.slices, files.shape[0])
        indices = sorted({int(n) for n in np.linspace(0, files.shape[0] - 1, count).round()})
        arrays = files.open()
        scan = volume_of(files, arrays.low[which], indices)
        truth = volume_of(files, arrays.full, indices)
        print(f"\n{files.folder.name}, dose {doses[which]:g}, {len(indices)} slices")
        print("| result | findings | edge loss | strongest spot | soft tissue, HU | noise |")
        print("|---|---|---|---|---|---|")
        started = time.process_time()
        checked = 0
        for name, before, after in cases(scan, truth):
            report = check_result(replace(scan, hu=before), replace(scan, hu=after))
            checked += len(indices)
            found = ", ".join(f"{one.code} ({one.severity})" for one in report.findings) or "none"
            print(f"| {name} | {found} | {_figures(report.figures)} |", flush=True)
        spent = 1000 * (time.process_time() - started) / checked
        print(f"\n{spent:.0f} ms of processor time for each slice, with planting")


def _figures(figures: dict[str, dict[str, object]]) -> str:
    spots = figures["features"]["strongest"]
    soft = figures["drift"].get("soft", {})
    edge = figures["edge_loss"]
    return " | ".join(
        (
            f"{edge['share']:.3f} ± {edge['standard_error']:.3f}",
            f"{max((abs(one['deviations']) for one in spots), default=0):.1f}",
            f"{soft.get('mean_hu', 0):+.1f}",
            f"{figures['noise_ratio']['ratio']:.2f}",
        )
    )


if __name__ == "__main__":
    main()

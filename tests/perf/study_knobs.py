"""What strength and told noise do to real slices, and what a second pass does.

    python -m tests.perf.study_knobs SCANS... --model MODEL [--first nlm tv gaussian]

For the middle slice of each scan are printed: the noise that is left in soft tissue at strengths of
0 to 1; the change (root mean square) and its mean at a quarter to twice the measured noise; then
the change by the model, at its own strength, of what each first method made of the slice (its own
first pass among them), over the change that the first pass was, and the share of the measured noise
that the model was told. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.read import open_series

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
FACTORS = (0.25, 0.5, 1.0, 2.0)


def middle_of(path: Path) -> CTVolume:
    """The middle slice of a series."""
    with open_series(path) as reader:
        middle = reader.shape[0] // 2
        return reader.read(slice(middle, middle + 1))


def soft_tissue(scan: CTVolume) -> BoolArray:
    """Where means over five pixels are those of soft tissue."""
    smooth = np.stack([ndimage.uniform_filter(image, 5) for image in scan.hu])
    inside: BoolArray = (smooth > -30) & (smooth < 200) & body_mask(scan.hu, scan.padding)
    return inside


def size_of(change: FloatArray) -> float:
    """Root mean square, HU."""
    return float(np.sqrt(np.mean(np.square(change, dtype=np.float64))))


def noise_of(scan: CTVolume) -> float:
    """Noise level, HU; 0 where it cannot be measured."""
    spacing = scan.geometry.pixel_spacing_mm
    return noise_level_hu(scan.hu, scan.padding, spacing) or 0.0


def knobs(name: str, scan: CTVolume, model: str) -> None:
    """Strength and noise factor of one scan."""
    soft = soft_tissue(scan)
    full = load_denoiser(model, InferSettings(strength=1.0))(scan)
    left = [noise_of(replace(scan, hu=scan.hu + s * (full.hu - scan.hu))) for s in STRENGTHS]
    sizes, means = [], []
    for factor in FACTORS:
        settings = InferSettings(strength=1.0, noise_factor=factor)
        changed = (load_denoiser(model, settings)(scan).hu - scan.hu)[soft]
        sizes.append(size_of(changed))
        means.append(float(changed.mean(dtype=np.float64)))
    cells = [f"{one:.1f}" for one in (*left, *sizes)] + [f"{one:+.2f}" for one in means]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def second_passes(name: str, scan: CTVolume, model: str, first: list[str]) -> None:
    """What the model does to slices that were denoised before."""
    soft = soft_tissue(scan)
    for before in [model, *first]:
        once = load_denoiser(before, InferSettings())(scan)
        twice = load_denoiser(model, InferSettings())(replace(once, history=()))
        by_first = size_of((once.hu - scan.hu)[soft])
        by_second = size_of((twice.hu - once.hu)[soft])
        told = twice.history[-1].params.get("noise_caution", 1.0)
        title = "itself" if before == model else before
        print(
            f"| {name} | {title} | {noise_of(scan):.1f} | {noise_of(once):.1f} | {told:.2f} "
            f"| {by_first:.1f} | {by_second:.2f} | {by_second / by_first:.3f} |",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--first", nargs="*", default=["nlm", "tv", "gaussian"])
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    scans = [(path.name, middle_of(path)) for path in given.scans]
    columns = [f"noise at {one}" for one in STRENGTHS]
    columns += [f"change at {one}" for one in FACTORS] + [f"mean at {one}" for one in FACTORS]
    print(f"| scan | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, scan in scans:
        knobs(name, scan, given.model)
    print("\n| scan | first | noise | left | told | first change | second change | ratio |")
    print(f"|{'---|' * 8}")
    for name, scan in scans:
        second_passes(name, scan, given.model, given.first)


if __name__ == "__main__":
    main()

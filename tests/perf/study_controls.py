"""What strength, texture and the named levels leave of noise, its texture and the anatomy.

    python -m tests.perf.study_controls --model MODEL --pairs FOLDERS [--dose 0.25]
        [--slices 6] [--crop 384] [--pictures FOLDER]

with pairs that `simulate` made of phantoms without noise, so that the truth is known. The middle of
evenly spread slices is denoised with each choice. Printed are, of the difference from the truth:

* the noise level in flat soft tissue (32 x 32 pixels less a quadratic surface) and its share of the
  input's;
* mean and peak frequency of its power spectrum, and how far they moved from the input's;
* the root mean square over the body, which is what a mixture costs;

and the processor time of the controls for each slice (of the method's own work nothing). With
`--pictures`, a PNG of each choice is written beside a soft-tissue window. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from PIL import Image

from ctdenoise.config.controls import LEVELS
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.controls import Controls
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.texture import Shares
from ctdenoise.io.pairs import PairFiles, find_pairs, read_pair
from ctdenoise.metrics.noise_texture import flat_areas, noise_power

CHOICES: Mapping[str, Mapping[str, float | str]] = {
    "input": {"strength": 0.0},
    **{f"strength {strength:g}": {"strength": strength} for strength in (0.3, 0.5, 0.7, 1.0)},
    "strength 0.5, texture 0.5": {"strength": 0.5, "texture": 0.5},
    "strength 0.9, texture 1": {"strength": 0.9, "texture": 1.0},
    **{
        f"{level} (strength {s:g}, texture {t:g})": {"strength": level}
        for level, (s, t) in LEVELS.items()
    },
}


def cropped(volume: CTVolume, crop: int) -> CTVolume:
    """The middle of every slice."""
    low = [max(0, (size - crop) // 2) for size in volume.shape[1:]]
    part = np.s_[:, low[0] : low[0] + crop, low[1] : low[1] + crop]
    hu = volume.hu[part]
    grid = volume.geometry
    geometry = replace(grid, rows=hu.shape[1], columns=hu.shape[2])
    padding = None if volume.padding is None else volume.padding[part]
    return replace(volume, hu=hu, geometry=geometry, padding=padding)


def figures_of(result: CTVolume, truth: CTVolume) -> tuple[float, float, float, float]:
    """Noise level, HU; mean and peak frequency, 1/mm; root mean square in the body, HU."""
    body = body_mask(truth.hu, truth.padding)
    areas = flat_areas(truth, body, side=32, truth="exact")
    power = reduce(add, noise_power(result, truth, areas))
    rings = power.radial()
    error = (result.hu - truth.hu)[body].astype(np.float64)
    return (
        power.variance_hu2**0.5,
        rings.mean_frequency_per_mm or 0.0,
        rings.peak_frequency_per_mm or 0.0,
        float(np.sqrt(np.square(error).mean())),
    )


def study(files: PairFiles, options: argparse.Namespace) -> None:
    """Print the rows of a pair."""
    places = np.linspace(2, files.shape[0] - 3, options.slices).round()
    model, pictures = options.model, options.pictures
    for index, low in enumerate(files.low):
        if low.exposure.dose_fraction != options.dose:
            continue
        pair = read_pair(files, index, slices=[int(place) for place in places])
        before, truth = cropped(pair.low, options.crop), cropped(pair.full, options.crop)
        own = figures_of(before, truth)
        dose = low.exposure.dose_fraction
        print(f"\n{files.folder.name}, dose {dose:g}\n")
        print("| | noise, HU | of input | mean 1/mm | moved | peak 1/mm | moved | RMSE, HU | ms |")
        print("|---|---|---|---|---|---|---|---|---|")
        removed = before.hu - load_denoiser(model)(before).hu
        for name, choice in CHOICES.items():
            settings = InferSettings.model_validate(choice)
            result = load_denoiser(model, settings)(before)
            noise, mean, peak, error = figures_of(result, truth)
            row = (
                name,
                f"{noise:.1f}",
                f"{noise / own[0]:.2f}",
                f"{mean:.3f}",
                f"{100 * (mean / own[1] - 1):+.0f} %",
                f"{peak:.3f}",
                f"{100 * (peak / own[2] - 1):+.0f} %",
                f"{error:.2f}",
                f"{1e3 * seconds_of(result, before, removed):.1f}",
            )
            print(f"| {' | '.join(row)} |", flush=True)
            if pictures is not None:
                write_picture(pictures / f"{files.folder.name}_{dose:g}_{name}.png", result, truth)


def seconds_of(result: CTVolume, before: CTVolume, removed: np.ndarray) -> float:
    """Processor time of the controls that made a result, for each slice."""
    params = result.history[-1].params
    pairs = params.get("share_by_frequency_per_mm")
    shares = Shares(*map(tuple, zip(*pairs, strict=True))) if isinstance(pairs, list) else None
    controls = Controls(float(str(params["strength"])), shares)
    started = time.process_time()
    controls.applied(before, removed, range(before.shape[0]))
    return (time.process_time() - started) / before.shape[0]


def write_picture(path: Path, result: CTVolume, truth: CTVolume) -> None:
    """The middle slice, W400/L40, and four times its difference from the truth."""
    middle = result.shape[0] // 2
    image, error = result.hu[middle], result.hu[middle] - truth.hu[middle]
    shown = np.hstack([(image + 160) / 400, 0.5 + 4 * error / 400])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * np.clip(shown, 0, 1)).astype(np.uint8)).save(path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--pairs", nargs="+", type=Path, required=True)
    parser.add_argument("--dose", type=float, default=0.25)
    parser.add_argument("--slices", type=int, default=6)
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    for files in find_pairs(options.pairs):
        study(files, options)


if __name__ == "__main__":
    main()

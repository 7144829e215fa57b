"""What every scan of a folder is told about a network: which flags it gets, and by which figures.

    python -m tests.perf.study_flags SCANS... --model MODEL
    python -m tests.perf.study_flags SCANS... --trained-on PAIRS... [--planted SCAN]

with files or folders of scans, each series below them for itself. They are compared with what a
checkpoint says of its training, or with what a training on folders of pairs that `simulate` made
would write into one (doses of 3 to 97 %). Series that cannot be read are left out; segmentations
and masks too. With --planted the same follows for changes of one scan: metal, an arterial phase,
thick slices, small pixels, little and much noise, other kernels, and what filters made of it.
Printed is a row for each. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from ctdenoise.config.checks import CheckSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan, with_steps
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import CTDenoiseError
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.io.pairs import find_pairs
from ctdenoise.io.read import open_series
from ctdenoise.io.study import find_series
from ctdenoise.metrics.scan_character import MOST_SLICES
from ctdenoise.training.split import SliceRange
from ctdenoise.training.training_range import training_range

SHOWN = (
    ("noise_hu", "noise", 1),
    ("noise_frequency_per_mm", "freq.", 2),
    ("normal_noise_hu", "normal", 0),
    ("body_mm", "body", 0),
    ("bone_ring_mm", "ring", 0),
    ("bright_soft_hu", "soft", 0),
    ("bright_even_hu", "even", 0),
    ("densest_hu", "dense", 0),
)
DOSES = {"noise": {"name": "on_the_fly", "lowest_dose": 0.03, "highest_dose": 0.97}}


def record_of(paths: Sequence[Path]) -> dict[str, JsonValue]:
    """What a training on pairs would say of itself."""
    pairs = find_pairs(paths)
    parts = [SliceRange(files, 0, files.shape[0]) for files in pairs]
    spacing = [one for files in pairs for one in files.pixel_spacing_mm]
    thick = [one for one in (files.slice_thickness_mm for files in pairs) if one is not None]
    return {
        **training_range(parts, TrainSettings.model_validate(DOSES)),
        "pixel_spacing_mm": [min(spacing), max(spacing)],
        "slice_thickness_mm": [min(thick), max(thick)],
        "kvp": [80.0, 140.0],
    }


def scans_below(paths: Sequence[Path]) -> Iterator[tuple[str, CTVolume, Scan]]:
    """Some slices of every series that can be read."""
    for path in paths:
        entries = sorted(path.iterdir()) if path.is_dir() else [path]
        for entry in entries:
            if entry.is_dir() and any(one.suffix == ".gz" for one in entry.iterdir()):
                yield from scans_below([entry])
            elif not entry.name.endswith(("_mask.nii.gz", "_seg.nii.gz")):
                yield from series_of(entry)


def series_of(entry: Path) -> Iterator[tuple[str, CTVolume, Scan]]:
    """The same of one folder or file."""
    try:
        found = [one for one in find_series(entry) if one.readable]
    except CTDenoiseError:
        return
    for series in found:
        number = f" {series.number}" if len(found) > 1 else ""
        # All masks and images of a collection may have one name: that of their folder tells more.
        name = f"{entry.parent.name}/{entry.name}{number}"
        try:
            with open_series(series) as reader:
                places = np.linspace(0, reader.shape[0] - 1, min(MOST_SLICES, reader.shape[0]))
                some = reader.read(sorted({int(place) for place in places.round()}))
                yield name, some, with_steps(reader)
        except CTDenoiseError:
            continue


def row(name: str, volume: CTVolume, scan: Scan, training: Mapping[str, JsonValue]) -> str:
    """A row of the table; a dash where nothing is remarked on."""
    figures = scan_figures(Sample.of(volume), scan)
    found = outside_training(figures, training, CheckSettings())
    cells = []
    for key, _, digits in SHOWN:
        value = figures[key]
        cells.append(f"{value:.{digits}f}" if isinstance(value, int | float) else "")
    flags = []
    for one in found:
        what = one.text.removeprefix("The ").split(" is ")[0].split(" (")[0]
        of = f" ({what})" if one.code == "outside-training" else ""
        flags.append(f"`{one.code}`{of}" if one.severity == "warning" else f"note `{one.code}`")
    return f"| {name} | {' | '.join(cells)} | {', '.join(dict.fromkeys(flags)) or '-'} |"


def disc(volume: CTVolume, *, radius_mm: float, hu: float) -> CTVolume:
    """The scan with a disc in the middle of the body of every slice, its noise as it was."""
    changed = volume.hu.copy()
    rows, columns = np.indices(volume.shape[1:])
    spacing = volume.geometry.pixel_spacing_mm
    for image, body in zip(changed, body_mask(volume.hu, volume.padding), strict=True):
        if body.any():
            row, column = ndimage.center_of_mass(body)
            away = np.hypot((rows - row) * spacing[0], (columns - column) * spacing[1])
            inside = away < radius_mm
            image[inside] += hu - float(np.median(image[inside]))
    return replace(volume, hu=changed)


def planted(volume: CTVolume) -> Iterator[tuple[str, CTVolume]]:
    """A scan as it is, and as other scans are."""
    yield "as it is", volume
    yield "metal of 12 mm", disc(volume, radius_mm=6, hu=3000)
    for hu in (250, 350, 500):
        yield f"aorta of {hu} HU", disc(volume, radius_mm=13, hu=hu)
    thick = replace(volume.acquisition, slice_thickness_mm=10.0)
    yield "stated as 10 mm thick", replace(volume, acquisition=thick)
    spacing = volume.geometry.pixel_spacing_mm
    for pixel in (0.3, 2.0):
        zoomed = ndimage.zoom(volume.hu, (1, spacing[0] / pixel, spacing[1] / pixel), order=1)
        middle = [max(0, size // 2 - 256) for size in zoomed.shape[1:]]
        part = zoomed[:, middle[0] : middle[0] + 512, middle[1] : middle[1] + 512]
        grid = Geometry.axial(part.shape, pixel_spacing_mm=pixel, slice_spacing_mm=3.0)
        yield f"pixels of {pixel} mm", CTVolume(part, grid, volume.acquisition)
    for pixels in (0.7, 1.5):
        blurred = ndimage.gaussian_filter(volume.hu, (0, pixels, pixels))
        yield f"Gaussian blur, {pixels} pixel", replace(volume, hu=blurred)
    sharp = volume.hu + 1.5 * (volume.hu - ndimage.gaussian_filter(volume.hu, (0, 1, 1)))
    yield "sharpened", replace(volume, hu=sharp)
    for name in ("nlm", "tv", "bilateral"):
        made = load_denoiser(name)(volume)
        yield f"denoised by {name}", replace(made, history=())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--model", default=None)
    parser.add_argument("--trained-on", type=Path, nargs="+", default=[])
    parser.add_argument("--planted", type=Path)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    training = record_of(given.trained_on) if given.trained_on else {}
    if given.model is not None:
        training = dict(trained_on(load_denoiser(given.model)) or {})
    training.pop("slice_spacing_mm", None)  # only for networks that look at neighbouring slices
    for key, value in sorted(training.items()):
        print(f"{key}: {value}")
    head = f"| scan | {' | '.join(title for _, title, _ in SHOWN)} | flags |"
    print(f"\n{head}\n|{'---|' * (len(SHOWN) + 2)}")
    for name, volume, scan in scans_below(given.scans):
        print(row(name, volume, scan, training), flush=True)
    if given.planted is not None:
        print(f"\n{head}\n|{'---|' * (len(SHOWN) + 2)}")
        for _, volume, _ in series_of(given.planted):
            middle = volume.shape[0] // 2
            for name, changed in planted(volume.select(slice(middle, middle + 2))):
                print(row(name, changed, changed, training), flush=True)


if __name__ == "__main__":
    main()

"""Figures of phantom scans: real water and a real head, and phantoms whose truth is known.

Run it as ``python tests/perf/study_phantom_scans.py [folder of real CT] [Python with pylinac]``.
The ACR phantom and the Catphan 504 are drawn on 512 x 512 pixels, 2.5 mm slices, blurred by a
Gaussian of 0.8 pixels, given noise of 5 HU, written as DICOM and judged, by pylinac too where it is
named. Nothing is asserted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
from scipy import ndimage

from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.qa import QaSettings
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.nps import patches_at, power_of
from ctdenoise.metrics.ttf import ttf
from ctdenoise.tasks import phantom, qa

ROD, ROD_MM, SQUARE, SIDE = (239.5, 248.9), 9.6, (195, 286), 32


def main() -> None:
    """Print the figures."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/ctdata")
    python = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as folder:
        water(data, Path(folder))
        head(data)
        known(Path(folder), python)


def water(data: Path, folder: Path) -> None:
    """Each day of water against the first."""
    keys = ("mean_hu[centre]", "noise", "nonuniformity", "worst_spot", "nps_fav", "change_noise")
    print("scan date", *keys, "outcome")
    for name in ("imgA", "imgB", "imgC", "qurit_1", "qurit_2"):
        report = qa.run(
            data / "water" / f"{name}.dcm",
            QaSettings(page=False),
            out=folder / name,
            history=folder / "history.jsonl",
        )
        figures = {one.key: one.text for one in report.measured.metrics}
        print(name, report.day.date, *(figures.get(key, "-") for key in keys), report.outcome)


def head(data: Path) -> None:
    """Noise and sharpness of three reconstructions of one head."""
    print(
        "reconstruction, noise in the square insert HU, fav 1/mm, fpeak 1/mm, f50 of the rod 1/mm"
    )
    for name in ("5mm_UB", "1mm_UB", "1mm_YA"):
        volume = read_volume(data / "series" / f"philips_head_phantom_{name}")
        spacing = volume.geometry.pixel_spacing_mm
        heights = volume.geometry.along_normal_mm()
        stack = volume.hu[(heights >= 760) & (heights <= 768)].astype(np.float64)
        corner = (SQUARE[0] - SIDE // 2, SQUARE[1] - SIDE // 2)
        patches = np.concatenate([patches_at(one, [corner], SIDE) for one in stack])
        power = power_of(patches, pixel_spacing_mm=spacing, order=2)
        radial = power.radial()
        edge = CircularEdge(ROD, ROD_MM)
        f50 = [ttf(one[None], edge, pixel_spacing_mm=spacing).f50_per_mm for one in stack]
        print(
            name,
            f"{np.sqrt(power.variance_hu2):.2f} {radial.mean_frequency_per_mm:.3f} "
            f"{radial.peak_frequency_per_mm:.3f} {np.mean([one for one in f50 if one]):.3f}",
        )


def known(folder: Path, python: str | None) -> None:
    """Phantoms of known truth through DICOM."""
    for settings, slices in ((Acr464Settings(), 64), (Catphan504Settings(), 72)):
        place = folder / settings.name
        grid = GridSettings(size=512, slices=slices, slice_spacing_mm=2.5)
        phantom.run(PhantomSettings(phantom=settings, grid=grid), out=place)
        roughen(place / "dicom")
        report = qa.run(
            place / "dicom",
            QaSettings(phantom=settings.name, pylinac=python, page=False),
            out=folder / f"{settings.name}_qa",
        )
        print(settings.name, report.outcome, *report.sentences)
        for one in report.measured.metrics:
            print(f"  {one.key:32s} {one.text:>10s} {one.unit}")


def roughen(folder: Path) -> None:
    """Blur and noise for every file."""
    rng = np.random.default_rng(1)
    for path in sorted(folder.rglob("*.dcm")):
        image = pydicom.dcmread(path)
        slope, intercept = float(image.RescaleSlope), float(image.RescaleIntercept)
        hu = ndimage.gaussian_filter(image.pixel_array * slope + intercept, 0.8)
        noise = ndimage.gaussian_filter(rng.normal(0, 1, hu.shape), 0.6)
        stored = np.rint((hu + 5 * noise / noise.std() - intercept) / slope)
        limits = np.iinfo(image.pixel_array.dtype)
        image.PixelData = np.clip(stored, limits.min, limits.max).astype(limits.dtype).tobytes()
        image.save_as(path)


if __name__ == "__main__":
    main()

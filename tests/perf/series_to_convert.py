"""A DICOM series for `bench_convert.py`: `python series_to_convert.py FOLDER SLICES`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import ScanFacts
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.series_writer import SeriesWriter

LEVELS = 8
"""Different slices; they are used over and over."""


def make_series(folder: Path, slices: int) -> None:
    """A disc of water with 20 HU of noise, 512 x 512 pixels, 1 mm apart."""
    geometry = Geometry.axial((slices, 512, 512), pixel_spacing_mm=0.7, slice_spacing_mm=1.0)
    rng = np.random.default_rng(0)
    axis = (np.arange(512) - 255.5) * 0.7
    inside = axis[:, None] ** 2 + axis[None, :] ** 2 <= 150.0**2
    noise = rng.normal(0.0, 20.0, (LEVELS, 1, 512, 512))
    hu = (np.where(inside, 0.0, -1000.0) + noise).astype(np.float32)
    facts = CTVolume(hu[0], geometry.select([0])).acquisition
    scan = ScanFacts(geometry, facts, None, (Step("phantom", {"name": "water"}),))
    folder.mkdir()
    writer = SeriesWriter(scan, folder)
    for index in range(slices):
        writer.write(CTVolume(hu[index % LEVELS], geometry.select([index])))


if __name__ == "__main__":
    make_series(Path(sys.argv[1]), int(sys.argv[2]))

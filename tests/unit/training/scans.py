"""Scans without pairs, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ctdenoise.core.volume import CTVolume
from ctdenoise.io.nifti import write_nifti
from tests.builders import water_disc


def scan(folder: Path, *, slices=12, size=96, sd_hu=20.0, seed=0, shared=False) -> Path:
    """A noisy disc of water as a NIfTI file; `shared`: neighbours share half of their noise."""
    clean = water_disc(slices=slices, size=size, radius_mm=110.0, pixel_spacing_mm=2.5)
    drawn = np.random.default_rng(seed).normal(0, sd_hu, (slices + 1, size, size))
    noise = (drawn[1:] + drawn[:-1]) / np.sqrt(2) if shared else drawn[1:]
    folder.mkdir(parents=True)
    hu = np.rint(clean.hu + noise).astype(np.float32)
    write_nifti(CTVolume(hu, clean.geometry, clean.acquisition), folder / "volume.nii")
    return folder

"""Pairs of volumes whose differences are known."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume

SHAPE = (3, 96, 96)


def tissue_blocks() -> np.ndarray:
    """A body of soft tissue with blocks of fat, lung, bone and air, HU [z, y, x]."""
    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    hu[:, 8:88, 8:88] = 50.0
    hu[:, 16:40, 16:40] = -100.0
    hu[:, 16:40, 56:80] = -850.0
    hu[:, 56:80, 16:40] = 800.0
    hu[:, 56:80, 56:80] = -1000.0
    return hu


def volume(hu: np.ndarray, *, padding: np.ndarray | None = None) -> CTVolume:
    geometry = Geometry.axial(hu.shape, pixel_spacing_mm=1.0, slice_spacing_mm=2.0)
    return CTVolume(hu.astype(np.float32), geometry, padding=padding)


@pytest.fixture
def reference() -> CTVolume:
    """Exact tissues."""
    return volume(tissue_blocks())

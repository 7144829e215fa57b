"""What tests of reading share: claims about a read volume, and ways to spoil a header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series


def assert_same_place_and_value(read: CTVolume, written: CTVolume) -> None:
    assert read.geometry.matches(written.geometry)
    np.testing.assert_allclose(
        read.geometry.positions_mm, written.geometry.positions_mm, rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal(read.hu, written.hu)


def problems_of(folder: Path) -> str:
    return " | ".join(problem for found in find_series(folder) for problem in found.problems)


def refusal_of(folder: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read_volume(folder)
    return str(caught.value)


def oriented(row: tuple[float, float, float], column: tuple[float, float, float]) -> Geometry:
    """Six slices with these directions of rows and columns."""
    normal = np.cross(row, column)
    positions = np.array([5.0, -7.0, 11.0]) + np.outer(np.arange(6), normal * 2.5)
    return Geometry(40, 36, (0.8, 0.7), row, column, positions)


def without(*keywords: str) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, index: int) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return edit


def with_(**values: object) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit

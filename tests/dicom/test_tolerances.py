"""Each tolerance of reading lies where it is named: just inside is one thing, just outside another.

Those of a missing rescale are in `test_missing_rescale`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ctdenoise.core.geometry import (
    DIRECTION_TOLERANCE,
    PIXEL_SPACING_TOLERANCE_FRACTION,
    POSITION_TOLERANCE_MM,
    SHEAR_TOLERANCE_PIXELS,
    SPACING_TOLERANCE_FRACTION,
    Geometry,
)
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError
from ctdenoise.io.dicom_acquisition import PLANE_TOLERANCE_MM
from ctdenoise.io.dicom_checks import (
    GAP_TOLERANCE_FRACTION,
    NOTED_DRIFT_PIXELS,
    NOTED_TILT_DEGREES,
)
from ctdenoise.io.dicom_parts import LEAST_SLICES_OF_A_PART
from ctdenoise.io.dicom_reader import IMPOSSIBLE_HU, MOST_IMPOSSIBLE_FRACTION
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import FoundSeries, find_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.dicom.reading import refusal_of, without

INSIDE, OUTSIDE = 0.9, 1.1
"""Of a tolerance."""

SIDES = pytest.mark.parametrize("share", [INSIDE, OUTSIDE], ids=["inside", "outside"])

PIXEL_MM = (0.8, 0.7)
"""Of `marked_volume`, between rows and between columns."""


def moved(offsets_mm: np.ndarray) -> CTVolume:
    """Six slices 2.5 mm apart, each moved by [x, y, z]."""
    volume = marked_volume(slices=len(offsets_mm))
    positions = volume.geometry.positions_mm + offsets_mm
    return CTVolume(volume.hu, replace(volume.geometry, positions_mm=positions), volume.acquisition)


def stacks(folder: Path, datasets: list[Dataset]) -> tuple[FoundSeries, ...]:
    series_files(folder, datasets)
    return find_series(folder)


def codes(folder: Path, volume: CTVolume) -> set[str]:
    (series,) = stacks(folder, ct_series(volume))
    return {finding.code for finding in series.notes}


@SIDES
def test_directions_that_differ_by_more_than_the_tolerance_are_two_stacks(
    tmp_path: Path, share: float
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index >= 3:
            dataset.ImageOrientationPatient = [1, f"{share * DIRECTION_TOLERANCE:.6f}", 0, 0, 1, 0]

    found = stacks(tmp_path, ct_series(marked_volume(), edit=edit))
    assert len(found) == (1 if share < 1 else 2)


@SIDES
def test_directions_must_be_orthogonal_within_the_tolerance(tmp_path: Path, share: float) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, f"{share * DIRECTION_TOLERANCE:.6f}", 1, 0]

    (found,) = stacks(tmp_path, ct_series(marked_volume(), edit=edit))
    assert found.readable is (share < 1)


@SIDES
def test_slices_closer_than_the_tolerance_are_at_one_position(tmp_path: Path, share: float) -> None:
    offsets = np.zeros((6, 3))
    offsets[3, 2] = -2.5 + share * POSITION_TOLERANCE_MM
    edit = without("SliceThickness")
    (found,) = stacks(tmp_path, ct_series(moved(offsets), edit=edit))
    assert found.readable is (share > 1)


@SIDES
def test_pixel_spacings_that_differ_by_more_are_two_stacks(tmp_path: Path, share: float) -> None:
    other = PIXEL_MM[1] * (1 + share * PIXEL_SPACING_TOLERANCE_FRACTION)

    def edit(dataset: Dataset, index: int) -> None:
        if index >= 3:
            dataset.PixelSpacing = [str(PIXEL_MM[0]), f"{other:.8f}"]

    found = stacks(tmp_path, ct_series(marked_volume(), edit=edit))
    assert len(found) == (1 if share < 1 else 2)


@SIDES
def test_a_spacing_that_differs_by_more_is_said(tmp_path: Path, share: float) -> None:
    offsets = np.zeros((6, 3))
    offsets[3:, 2] = share * SPACING_TOLERANCE_FRACTION * 2.5
    assert ("uneven-spacing" in codes(tmp_path, moved(offsets))) is (share > 1)


@SIDES
def test_a_gap_near_a_whole_number_of_slices_is_a_missing_one(tmp_path: Path, share: float) -> None:
    offsets = np.zeros((6, 3))
    offsets[3:, 2] = 2.5 * (1 + 2 * share * GAP_TOLERANCE_FRACTION)
    assert ("missing-slices" in codes(tmp_path, moved(offsets))) is (share < 1)


@SIDES
def test_a_tilt_is_said_from_half_a_degree_on(tmp_path: Path, share: float) -> None:
    offsets = np.zeros((6, 3))
    offsets[:, 1] = np.arange(6) * 2.5 * np.tan(np.radians(share * NOTED_TILT_DEGREES))
    assert ("gantry-tilt" in codes(tmp_path, moved(offsets))) is (share > 1)


@SIDES
def test_slices_off_the_line_are_said(tmp_path: Path, share: float) -> None:
    """One slice of many, so that the fitted line stays where the others are."""
    offsets = np.zeros((60, 3))
    offsets[30, 0] = share * NOTED_DRIFT_PIXELS * min(PIXEL_MM) * 60 / 59
    assert ("in-plane-shift" in codes(tmp_path, moved(offsets))) is (share > 1)


@SIDES
def test_a_stack_that_leans_by_more_has_no_affine(share: float) -> None:
    offsets = np.zeros((6, 3))
    offsets[:, 0] = np.arange(6) / 5 * share * SHEAR_TOLERANCE_PIXELS * min(PIXEL_MM)
    geometry: Geometry = moved(offsets).geometry
    if share < 1:
        geometry.affine()
    else:
        with pytest.raises(GeometryError, match="sheared"):
            geometry.affine()


@pytest.mark.parametrize("slices", [LEAST_SLICES_OF_A_PART - 1, LEAST_SLICES_OF_A_PART])
def test_parts_of_too_few_slices_are_not_split_off(tmp_path: Path, slices: int) -> None:
    """Three parts, two of which share their positions: two slices at most at one place."""
    datasets = []
    for part, first_mm in enumerate((0.0, 0.0, 100.0)):
        offsets = np.zeros((slices, 3))
        offsets[:, 2] = first_mm

        def edit(dataset: Dataset, index: int, part: int = part) -> None:
            dataset.SOPInstanceUID = uid("part", part, index)
            dataset.AcquisitionNumber = str(part)

        datasets += ct_series(moved(offsets), edit=edit)
        pixels = np.random.default_rng(part).integers(0, 2000, (slices, 40, 36)).astype("<u2")
        for dataset, words in zip(datasets[-slices:], pixels, strict=True):
            dataset.PixelData = words.tobytes()
    found = stacks(tmp_path, datasets)
    if slices < LEAST_SLICES_OF_A_PART:
        assert [series.readable for series in found] == [False]
    else:
        assert [series.slices for series in found] == [3, 3, 3]


@SIDES
def test_a_centre_of_zeros_off_the_plane_was_never_filled_in(tmp_path: Path, share: float) -> None:
    geometry = Geometry.axial(
        (1, 40, 36),
        pixel_spacing_mm=0.7,
        slice_spacing_mm=1.0,
        first_position_mm=(0.0, 0.0, share * PLANE_TOLERANCE_MM),
    )

    def edit(dataset: Dataset, index: int) -> None:
        dataset.DataCollectionCenterPatient = [0.0, 0.0, 0.0]

    (found,) = stacks(tmp_path, ct_series(marked_volume(geometry=geometry), edit=edit))
    assert (found.acquisition.reconstruction_centre_offset_mm is not None) is (share < 1)


@SIDES
def test_a_slice_with_more_impossible_pixels_is_refused(tmp_path: Path, share: float) -> None:
    volume = marked_volume(slices=1, size=(100, 100))
    hu = np.zeros(volume.shape, np.float32)
    hu.reshape(-1)[: round(share * MOST_IMPOSSIBLE_FRACTION * hu.size)] = IMPOSSIBLE_HU + 1
    hu.reshape(-1)[-500:] = IMPOSSIBLE_HU
    series_files(tmp_path, ct_series(CTVolume(hu, volume.geometry)))
    if share < 1:
        np.testing.assert_array_equal(read_volume(tmp_path).hu, hu)
    else:
        assert "PixelRepresentation is wrong" in refusal_of(tmp_path)

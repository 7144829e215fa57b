"""A rescale that may be wrong is believed only where the pixels show that it is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, series_files
from tests.dicom.reading import refusal_of, with_
from tests.dicom.zoo import axial, zoo_volume


def body(*, without_air: bool = False) -> CTVolume:
    volume = zoo_volume(64)
    hu = np.where(volume.hu < -300, np.float32(-80), volume.hu) if without_air else volume.hu
    return CTVolume(np.asarray(hu), volume.geometry, volume.acquisition)


def codes_of(folder: Path) -> list[str]:
    (found,) = find_series(folder)
    return [finding.code for finding in found.notes if finding.severity == "warning"]


def test_hounsfield_units_of_unspecified_type_are_read_derived_and_noted(tmp_path: Path) -> None:
    written = body()
    source = tmp_path / "source"
    series_files(source, ct_series(written, edit=with_(RescaleType="US")))
    volume = read_volume(source)
    np.testing.assert_array_equal(volume.hu, written.hu)
    assert codes_of(source) == ["unspecified-rescale"]
    write_series(volume.with_hu(volume.hu, Step("denoise", {})), tmp_path / "derived")
    np.testing.assert_array_equal(read_volume(tmp_path / "derived").hu, written.hu)


@pytest.mark.parametrize(
    ("intercept", "without_air"),
    [(0.0, False), (-950.0, False), (-2048.0, False), (-1024.0, True)],
)
def test_values_of_unspecified_type_that_may_be_anything_are_refused(
    tmp_path: Path, intercept: float, without_air: bool
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.RescaleType, dataset.RescaleIntercept = "US", f"{intercept:g}"

    series_files(tmp_path, ct_series(body(without_air=without_air), edit=edit))
    refusal = refusal_of(tmp_path)
    assert "RescaleType is US (unspecified), and its pixels do not show" in refusal
    assert "all 12 slices" in refusal


def test_a_negative_slope_is_read_where_air_is_air(tmp_path: Path) -> None:
    written = body()
    series_files(tmp_path, ct_series(written, slope=-1.0, intercept=3000.0))
    np.testing.assert_array_equal(read_volume(tmp_path).hu, written.hu)
    assert codes_of(tmp_path) == ["negative-slope"]


def test_a_negative_slope_that_turns_the_image_over_is_refused(tmp_path: Path) -> None:
    series_files(tmp_path, ct_series(body(), edit=with_(RescaleSlope="-1")))
    assert "RescaleSlope is negative" in refusal_of(tmp_path)


def test_one_slice_with_a_wrong_intercept_refuses_its_series(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 5:
            dataset.RescaleIntercept = "-24"

    series_files(tmp_path, ct_series(body(), edit=edit))
    refusal = refusal_of(tmp_path)
    assert "RescaleIntercept is not that of the other slices" in refusal
    assert "1 of 12: 0006.dcm" in refusal


def test_another_intercept_that_is_right_is_read_and_noted(tmp_path: Path) -> None:
    written = body()
    usual, another = ct_series(written), ct_series(written, intercept=-8192.0)
    series_files(tmp_path, [*usual[:9], *another[9:]])
    np.testing.assert_array_equal(read_volume(tmp_path).hu, written.hu)
    assert codes_of(tmp_path) == ["another-intercept"]


def test_slices_with_a_slope_and_an_intercept_of_their_own_are_believed(tmp_path: Path) -> None:
    written = body()
    slopes = [0.5 if index % 2 else 1.0 for index in range(12)]
    series_files(tmp_path, ct_series(written, slope=slopes))
    np.testing.assert_array_equal(read_volume(tmp_path).hu, written.hu)
    assert codes_of(tmp_path) == []


@pytest.mark.parametrize(("spacing", "noted"), [("0.0008", True), ("0.8", False), ("80", True)])
def test_an_image_too_small_or_too_large_for_a_patient_is_noted(
    tmp_path: Path, spacing: str, noted: bool
) -> None:
    series_files(
        tmp_path,
        ct_series(zoo_volume(64, geometry=axial(64)), edit=with_(PixelSpacing=[spacing] * 2)),
    )
    assert codes_of(tmp_path) == (["field-of-view"] if noted else [])

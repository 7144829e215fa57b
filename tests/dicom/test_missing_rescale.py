"""A CT without a rescale is taken for Hounsfield units only where its pixels show that they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_file import DamagedFileError
from ctdenoise.io.dicom_hounsfield import (
    AIR_BELOW_HU,
    AIR_HU,
    AIR_TOLERANCE_HU,
    BELOW_AIR_HU,
    LEAST_FRACTION,
    MOST_BELOW_AIR_FRACTION,
    TISSUE_HU,
    require_hounsfield_units,
)
from ctdenoise.io.read import open_series, read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import check_writable
from tests.dicom.builders import ct_series, series_files
from tests.dicom.reading import problems_of, refusal_of
from tests.dicom.zoo import zoo_volume

Change = Callable[[np.ndarray], np.ndarray]


def write_without_rescale(
    folder: Path, *, change: Change = lambda hu: hu, signed: bool = True, only: int | None = None
) -> CTVolume:
    plain = zoo_volume(64)
    stored = change(plain.hu.astype(np.float64)).astype(np.float32)
    volume = CTVolume(stored, plain.geometry, plain.acquisition)

    def edit(dataset: Dataset, index: int) -> None:
        if only is None or index == only:
            del dataset.RescaleSlope, dataset.RescaleIntercept

    series_files(folder, ct_series(volume, intercept=0.0, signed=signed, edit=edit))
    return volume


def test_signed_hounsfield_units_without_a_rescale_are_read_and_noted(tmp_path: Path) -> None:
    volume = write_without_rescale(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, volume.hu)
    (found,) = find_series(tmp_path)
    assert [(n.severity, n.code) for n in found.notes] == [("warning", "no-rescale")]


def test_the_tolerance_is_logged_as_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_without_rescale(tmp_path)
    read_volume(tmp_path)
    (record,) = (r for r in caplog.records if "RescaleSlope" in r.message)
    assert record.levelname == "WARNING"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda hu: hu + 1024, id="intercept -1024 lost"),
        pytest.param(lambda hu: hu + 1000, id="intercept -1000 lost"),
        pytest.param(lambda hu: hu + 8192, id="intercept -8192 lost"),
        pytest.param(lambda hu: hu + 40, id="a small intercept lost"),
        pytest.param(lambda hu: hu * 2, id="slope 0.5 lost"),
        pytest.param(lambda hu: hu / 2, id="slope 2 lost"),
        pytest.param(lambda hu: -hu, id="inverted"),
        pytest.param(lambda hu: np.full_like(hu, 40.0), id="no air"),
        pytest.param(lambda hu: np.full_like(hu, -1000.0), id="nothing but air"),
    ],
)
def test_other_values_without_a_rescale_are_refused_before_a_pixel_is_handed_out(
    tmp_path: Path, change: Change
) -> None:
    write_without_rescale(tmp_path, change=change)
    refusal = refusal_of(tmp_path)
    assert "do not show that they are Hounsfield units" in refusal
    assert "all 12 slices" in refusal


def test_every_block_is_checked_for_itself(tmp_path: Path) -> None:
    def last_slice(hu: np.ndarray) -> np.ndarray:
        hu[11] += 1024
        return hu

    write_without_rescale(tmp_path, change=last_slice)
    with open_series(tmp_path) as reader:
        assert reader.read(slice(0, 6)).shape[0] == 6
        with pytest.raises(StudyError, match="Hounsfield units"):
            reader.read(slice(6, 12))


def test_unsigned_values_without_a_rescale_are_refused(tmp_path: Path) -> None:
    write_without_rescale(tmp_path, change=lambda hu: hu + 1024, signed=False)
    assert "Hounsfield units are unknown" in problems_of(tmp_path)


@pytest.mark.parametrize("spoil", ["slope only", "intercept only", "empty", "no number"])
def test_half_a_rescale_is_refused(tmp_path: Path, spoil: str) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if spoil == "slope only":
            del dataset.RescaleIntercept
        elif spoil == "intercept only":
            del dataset.RescaleSlope
        else:
            dataset.RescaleSlope = dataset.RescaleIntercept = None

    paths = series_files(tmp_path, ct_series(zoo_volume(64), intercept=0.0, signed=True, edit=edit))
    for path in paths if spoil == "no number" else ():
        header = b"\x28\x00\x53\x10DS"
        data = path.read_bytes().replace(header + b"\0\0", header + b"\2\0ab")
        path.write_bytes(data)
    assert "Hounsfield units are unknown" in problems_of(tmp_path)


def test_a_rescale_that_only_some_slices_lack_is_refused(tmp_path: Path) -> None:
    write_without_rescale(tmp_path, only=3)
    assert "1 of 12 slices lack RescaleSlope" in refusal_of(tmp_path)


def test_nothing_can_be_derived_from_it_because_a_derived_image_needs_a_rescale(
    tmp_path: Path,
) -> None:
    write_without_rescale(tmp_path)
    with open_series(tmp_path) as reader, pytest.raises(StudyError, match="Rescale"):
        check_writable(reader)


def pixels(
    *, air: float = AIR_HU, air_share: float = 0.3, tissue: float = 0.0, below_share: float = 0.0
) -> np.ndarray:
    """Ten thousand pixels: some air, some below it, tissue for the rest."""
    hu = np.full(10_000, tissue, np.float32)
    hu[: round(air_share * hu.size)] = air
    hu[hu.size - round(below_share * hu.size) :] = BELOW_AIR_HU - 50
    return hu.reshape(100, 100)


def tissue_pixels(share: float) -> np.ndarray:
    """Air, bone and a share of tissue."""
    hu = pixels(tissue=600.0)
    hu[-1, -1] = 600.0
    hu.reshape(-1)[hu.size - round(share * hu.size) :] = 0.0
    return hu


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (pixels(air=AIR_HU + AIR_TOLERANCE_HU), pixels(air=AIR_HU + AIR_TOLERANCE_HU + 1)),
        (pixels(air=AIR_HU - AIR_TOLERANCE_HU), pixels(air=AIR_HU - AIR_TOLERANCE_HU - 1)),
        (pixels(air_share=LEAST_FRACTION), pixels(air_share=LEAST_FRACTION - 0.001)),
        (
            pixels(below_share=MOST_BELOW_AIR_FRACTION),
            pixels(below_share=MOST_BELOW_AIR_FRACTION + 0.001),
        ),
        (tissue_pixels(LEAST_FRACTION), tissue_pixels(LEAST_FRACTION - 0.001)),
        (pixels(tissue=TISSUE_HU[1] - 1), pixels(tissue=TISSUE_HU[1])),
        (pixels(tissue=TISSUE_HU[0] + 1), pixels(tissue=TISSUE_HU[0])),
    ],
    ids=["air above", "air below", "least air", "under air", "least tissue", "bone", "lung"],
)
def test_each_limit_holds_on_both_sides(inside: np.ndarray, outside: np.ndarray) -> None:
    require_hounsfield_units(inside, None)
    with pytest.raises(DamagedFileError, match="do not show"):
        require_hounsfield_units(outside, None)


def test_padding_is_no_evidence(tmp_path: Path) -> None:
    hu = pixels(below_share=0.2)
    require_hounsfield_units(hu, hu < BELOW_AIR_HU)
    with pytest.raises(DamagedFileError, match="like air"):
        require_hounsfield_units(hu, hu < AIR_BELOW_HU)


REAL = (
    *("series/siemens_chest", "series/ge_abdomen", "series/philips_chest"),
    *("series/philips_head_phantom_5mm_UB", "series/philips_head_phantom_1mm_YA"),
    *("zoo/ge_head_tilt_uneven_gaps", "zoo/siemens_j2k_series"),
)


@pytest.mark.ctdata
@pytest.mark.parametrize("name", REAL)
def test_every_slice_of_real_scans_passes_and_none_of_their_shifted_values(
    ctdata: Path, name: str
) -> None:
    volume = read_volume(ctdata / name)
    for index in range(0, volume.shape[0], 5):
        hu = volume.hu[index]
        padding = None if volume.padding is None else volume.padding[index]
        require_hounsfield_units(hu, padding)
        for wrong in (hu + 1024, hu + 1000, hu * 2, hu / 2, hu - 1024, hu + 62):
            with pytest.raises(DamagedFileError):
                require_hounsfield_units(wrong.astype(np.float32), padding)

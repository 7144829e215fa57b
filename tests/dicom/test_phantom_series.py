"""A series made from scratch is legal, says that it is artificial, and holds what it was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.io.dicom_original import check_new_series
from ctdenoise.io.image_reader import read_image
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.builders import water_disc
from tests.dicom.validators import disagreements, errors_of

PHANTOM = Step("phantom", {"name": "water", "size": 32})
SIMULATE = Step("simulate_low_dose", {"dose_fraction": 0.25, "seed": 3})
DENOISE = Step("denoise", {"model": "redcnn"})


def phantom(**changes: object) -> CTVolume:
    disc = water_disc(slices=3, size=32, noise_hu=4.0)
    acquisition = Acquisition(
        kvp=120.0,
        slice_thickness_mm=3.0,
        exposure_mas=(100.0, 100.0, 90.0),
        convolution_kernel="ramp/soft",
        reconstruction_centre_offset_mm=(2.0, -3.0),
        ctdi_vol_mgy=8.0,
        body_part_examined="CHEST",
        distance_source_to_patient_mm=541.0,
    )
    volume = replace(disc, acquisition=acquisition, history=(PHANTOM,))
    return replace(volume, **changes)


def written(volume: CTVolume, out: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in write_series(volume, out)]


@pytest.mark.validators
@pytest.mark.parametrize("steps", [(), (SIMULATE,), (SIMULATE, DENOISE)])
@pytest.mark.parametrize("padded", [False, True])
def test_a_phantom_series_has_no_error(
    tmp_path: Path, dicom_validators: tuple[str, str], steps: tuple[Step, ...], padded: bool
) -> None:
    volume = phantom(history=(PHANTOM, *steps))
    if padded:
        mask = np.zeros(volume.shape, dtype=bool)
        mask[:, 0] = True
        volume = replace(volume, padding=mask)
    for path in write_series(volume, tmp_path / "out"):
        assert not errors_of(dicom_validators[0], path)


@pytest.mark.validators
def test_a_phantom_and_what_was_made_of_it_are_one_study(
    tmp_path: Path, dicom_validators: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for number, history in enumerate(
        [(PHANTOM,), (PHANTOM, SIMULATE), (PHANTOM, SIMULATE, DENOISE)]
    ):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_700_000_000 + 90_000 * number))
        paths += write_series(phantom(history=history), tmp_path / str(number))
    assert not disagreements(dicom_validators[1], paths)
    datasets = [pydicom.dcmread(path) for path in paths]
    assert len({one.StudyInstanceUID for one in datasets}) == 1
    assert len({one.FrameOfReferenceUID for one in datasets}) == 1
    assert len({one.SeriesInstanceUID for one in datasets}) == 3
    assert len({one.SOPInstanceUID for one in datasets}) == len(datasets)


@pytest.mark.validators
def test_an_image_from_nifti_becomes_a_legal_series(
    tmp_path: Path, dicom_validators: tuple[str, str]
) -> None:
    source = write_nifti(water_disc(slices=3, size=16, noise_hu=9.0), tmp_path / "image.nii")
    volume = read_image(source)
    paths = write_series(volume, tmp_path / "plain")
    paths += write_series(volume.with_step(DENOISE), tmp_path / "denoised")
    for path in paths:
        assert not errors_of(dicom_validators[0], path)
        assert "SyntheticData" not in pydicom.dcmread(path)
    assert not disagreements(dicom_validators[1], paths)
    assert np.array_equal(read_volume(tmp_path / "plain").hu, volume.hu)


def test_voxels_and_places_come_back(tmp_path: Path) -> None:
    volume = phantom()
    write_series(volume, tmp_path / "out")
    back = read_volume(tmp_path / "out")
    assert np.array_equal(back.hu, np.rint(volume.hu))
    assert back.geometry.matches(volume.geometry)
    assert back.acquisition.kvp == 120.0
    assert back.acquisition.exposure_mas == (100.0, 100.0, 90.0)
    assert back.acquisition.convolution_kernel == "ramp/soft"
    assert back.acquisition.reconstruction_centre_offset_mm == pytest.approx((2.0, -3.0))
    assert back.source is not None
    assert back.source.patient_key


def test_an_oblique_uneven_stack_keeps_every_position(tmp_path: Path) -> None:
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 5.0], [0.0, 2.0, 17.123456]])
    tilt = np.radians(15.0)
    geometry = Geometry(
        8,
        8,
        (0.7, 0.9),
        (1.0, 0.0, 0.0),
        (0.0, float(np.cos(tilt)), float(np.sin(tilt))),
        positions,
    )
    hu = np.arange(3 * 64, dtype=np.float32).reshape(3, 8, 8)
    write_series(CTVolume(hu, geometry, history=(PHANTOM,)), tmp_path / "out")
    back = read_volume(tmp_path / "out")
    assert back.geometry.matches(geometry)
    assert np.array_equal(back.hu, hu)


def test_padding_comes_back_as_padding_and_nothing_else_does(tmp_path: Path) -> None:
    volume = phantom()
    hu = np.array(volume.hu)
    hu[0, 5, 5] = -2048.0  # an image voxel on the padding value
    mask = np.zeros(volume.shape, dtype=bool)
    mask[:, 0] = True
    write_series(replace(volume, hu=hu, padding=mask), tmp_path / "out")
    back = read_volume(tmp_path / "out")
    assert np.array_equal(back.padding, mask)
    assert abs(back.hu[0, 5, 5] + 2048.0) == 1.0


def test_a_phantom_says_that_it_is_artificial(tmp_path: Path) -> None:
    for one in written(phantom(), tmp_path / "out"):
        assert one.SyntheticData == "YES"
        assert list(one.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert str(one.PatientName) == "PHANTOM^WATER"
        assert one.PatientID.startswith("CTDENOISE-")
        assert "RESEARCH USE ONLY" in one.ImageComments
        (item,) = one.ContributingEquipmentSequence
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert one.SeriesNumber == 1


def test_a_simulated_phantom_tells_its_dose(tmp_path: Path) -> None:
    one = written(phantom(history=(PHANTOM, SIMULATE)), tmp_path / "out")[2]
    assert list(one.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert one.SeriesDescription == "SIMULATED 25 % RESEARCH USE ONLY Phantom water"
    assert one.Exposure == round(90 * 0.25)
    assert one.CTDIvol == 2.0
    assert one.SeriesNumber == 1001


def test_other_voxels_or_another_phantom_never_share_an_identity(tmp_path: Path) -> None:
    volumes = [
        phantom(),
        phantom(history=(Step("phantom", {"name": "water", "size": 33}),)),
        phantom(history=()),
        replace(phantom(history=()), hu=np.zeros((3, 32, 32), np.float32)),
        phantom().select([0, 1]),
    ]
    uids = [
        one.SOPInstanceUID
        for number, volume in enumerate(volumes)
        for one in written(volume, tmp_path / str(number))
    ]
    assert len(set(uids)) == len(uids)


def test_the_same_phantom_is_written_the_same_to_the_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = write_series(phantom(), tmp_path / "one")
    second = write_series(phantom(), tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_unknown_facts_are_left_empty_and_never_made_up(tmp_path: Path) -> None:
    bare = phantom(acquisition=Acquisition())
    one = written(bare.select([0]), tmp_path / "out")[0]
    for keyword in ("KVP", "SliceThickness", "StudyDate", "PatientBirthDate"):
        assert one[keyword].is_empty, keyword
    for keyword in ("Exposure", "CTDIvol", "ConvolutionKernel", "DataCollectionCenterPatient"):
        assert keyword not in one


def test_a_matrix_that_dicom_cannot_hold_is_refused() -> None:
    geometry = Geometry.axial((1, 1, 65536), pixel_spacing_mm=1.0, slice_spacing_mm=1.0)
    volume = CTVolume(np.zeros(geometry.shape, np.float32), geometry)
    with pytest.raises(InputError, match="65536 pixels"):
        check_new_series(volume)

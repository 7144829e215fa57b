"""What cannot be read right is refused, with every reason, and no slice is ever dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.dicom.reading import problems_of, refusal_of, with_, without


@pytest.fixture
def volume() -> CTVolume:
    return marked_volume(slices=6)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (without("ImagePositionPatient"), "ImagePositionPatient is missing"),
        (without("ImageOrientationPatient"), "ImageOrientationPatient is missing"),
        (without("PixelSpacing"), "PixelSpacing is missing"),
        (without("RescaleSlope"), "Hounsfield units are unknown"),
        (without("RescaleIntercept"), "Hounsfield units are unknown"),
        (with_(RescaleSlope="0"), "RescaleSlope is zero"),
        (with_(RescaleType="HU_MOD"), "RescaleType is HU_MOD"),
        (with_(RescaleSlope=["1", "1"]), "not one number"),
        (with_(RescaleSlope="1e-9"), "all its values lie within 100 HU"),
        (with_(PixelPaddingValue=0, PixelPaddingRangeLimit=4095), "make padding of water"),
        (without("Modality"), "Modality is missing"),
        (with_(Modality="MR"), "Modality is MR"),
        (without("PixelData"), "there are no pixel data"),
        (without("Rows"), "Rows or Columns is missing"),
        (with_(HighBit=13, BitsStored=12), "HighBit 13"),
        (with_(BitsStored=17), "make no sense"),
        (with_(SamplesPerPixel=3), "3 samples per pixel"),
        (with_(PhotometricInterpretation="RGB"), "PhotometricInterpretation is RGB"),
        (with_(Rows=5000, Columns=5000), "more than CT has"),
        (with_(Rows=200), "shorter than its header says"),
        (with_(ModalityLUTSequence=Sequence([Dataset()])), "Modality LUT"),
        (with_(ImageType=["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]), "computed map"),
        (with_(ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]), "not orthogonal"),
    ],
)
def test_what_cannot_be_read_right_is_refused_with_its_reason(
    tmp_path: Path, volume: CTVolume, edit: Callable[[Dataset, int], None], reason: str
) -> None:
    series_files(tmp_path, ct_series(volume, edit=edit))
    assert reason in problems_of(tmp_path)
    assert reason in refusal_of(tmp_path)


def test_every_reason_is_listed_at_once(tmp_path: Path, volume: CTVolume) -> None:
    edit = without("ImagePositionPatient", "RescaleSlope", "Modality")
    series_files(tmp_path, ct_series(volume, edit=edit))
    refusal = refusal_of(tmp_path)
    for reason in ("ImagePositionPatient", "RescaleSlope", "Modality"):
        assert reason in refusal


def test_one_spoiled_slice_refuses_the_series_and_is_named(
    tmp_path: Path, volume: CTVolume
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 4:
            del dataset.ImagePositionPatient

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert "(1 of 6: 0005.dcm)" in refusal_of(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("kept", [0.95, 0.5])
def test_a_truncated_slice_refuses_the_series_and_is_named(
    tmp_path: Path, volume: CTVolume, syntax: str, kept: float
) -> None:
    paths = series_files(tmp_path, ct_series(volume), syntax=syntax)
    for path in paths[1:3]:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * kept)])
    reason = "the file is truncated: its pixel data are incomplete (2 of 6: 0002.dcm, 0003.dcm)"
    assert reason in problems_of(tmp_path)
    assert reason in refusal_of(tmp_path)


@pytest.mark.parametrize("kept", [0, 140, 300, 420, 700])
def test_a_slice_cut_off_in_its_header_refuses_the_series(
    tmp_path: Path, volume: CTVolume, kept: int
) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    paths[2].write_bytes(paths[2].read_bytes()[:kept])
    assert "0003.dcm" in refusal_of(tmp_path)


def test_a_slice_that_lost_what_it_is_refuses_its_series(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 2:
            del dataset.SOPClassUID
            del dataset.Modality

    series_files(tmp_path, ct_series(volume, edit=edit), file_meta=False)
    assert "(1 of 6: 0003.dcm)" in refusal_of(tmp_path)


def test_a_slice_whose_kind_is_spoiled_refuses_its_series(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 2:
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.77"

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert "SOP class is not that of a CT image (1 of 6: 0003.dcm)" in refusal_of(tmp_path)


def test_an_object_without_pixels_beside_the_images_is_listed_apart(
    tmp_path: Path, volume: CTVolume
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.SOPClassUID = "1.3.12.2.1107.5.9.1"  # raw data of a maker
        del dataset.PixelData

    series_files(tmp_path, ct_series(volume))
    (extra, *_) = ct_series(volume, edit=edit)
    extra.SOPInstanceUID = uid("raw")
    series_files(tmp_path / "raw", [extra])
    assert [found.what for found in find_series(tmp_path)] == ["CT", "CT object"]
    assert read_volume(tmp_path).shape == volume.shape


def test_patients_mixed_in_one_series_are_refused(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PatientID = f"P{index % 2}"

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert "2 patients" in refusal_of(tmp_path)


def test_negative_numbers_declared_unsigned_are_refused(tmp_path: Path, volume: CTVolume) -> None:
    series_files(
        tmp_path, ct_series(volume, intercept=0.0, signed=True, edit=with_(PixelRepresentation=0))
    )
    assert "PixelRepresentation is wrong" in refusal_of(tmp_path)

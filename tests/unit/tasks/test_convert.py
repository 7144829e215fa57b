"""`convert`: Hounsfield units and places survive every way from one format to another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from ctdenoise.config.conversion import ConvertSettings
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import (
    GeometryError,
    InputError,
    OutputExistsError,
    StudyError,
    UsageError,
)
from ctdenoise.io.image_files import image_header
from ctdenoise.io.image_values import ValueScale
from ctdenoise.io.image_writer import write_image
from ctdenoise.io.read import read_volume
from ctdenoise.tasks import convert
from tests.builders import water_disc
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.reading import assert_same_place_and_value, oriented
from tests.dicom.validators import disagreements, errors_of

IMAGES = (".nii", ".nii.gz", ".mha", ".nrrd")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A DICOM series with whole Hounsfield units."""
    series_files(tmp_path / "study", ct_series(marked_volume()))
    return tmp_path / "study"


@pytest.mark.parametrize("suffix", IMAGES)
def test_dicom_becomes_an_image_with_the_same_values_at_the_same_points(
    study: Path, tmp_path: Path, suffix: str
) -> None:
    report = convert.run(study, out=tmp_path / f"a{suffix}")
    assert_same_place_and_value(read_volume(report.out), read_volume(study))
    assert (report.dtype, report.largest_rounding_hu) == ("int16", 0.0)
    assert (report.source, report.shape) == ("dicom", (6, 40, 36))


@pytest.mark.parametrize("first", IMAGES)
@pytest.mark.parametrize("second", IMAGES)
def test_images_become_each_other(study: Path, tmp_path: Path, first: str, second: str) -> None:
    convert.run(study, out=tmp_path / f"a{first}")
    report = convert.run(tmp_path / f"a{first}", out=tmp_path / f"b{second}")
    assert_same_place_and_value(read_volume(report.out), read_volume(study))


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
        ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)),
        ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((0.8, 0.6, 0.0), (0.36, -0.48, -0.8)),
    ],
    ids=["coronal", "decubitus", "feet first", "oblique"],
)
@pytest.mark.parametrize("suffix", IMAGES)
def test_every_orientation_survives_the_way_to_an_image_and_back_to_dicom(
    tmp_path: Path,
    row: tuple[float, float, float],
    column: tuple[float, float, float],
    suffix: str,
) -> None:
    volume = marked_volume(geometry=oriented(row, column))
    series_files(tmp_path / "study", ct_series(volume))
    convert.run(tmp_path / "study", out=tmp_path / f"a{suffix}")
    back = convert.run(tmp_path / f"a{suffix}", out=tmp_path / "back")
    assert back.kind == "dicom"
    read = read_volume(back.out)
    np.testing.assert_array_equal(read.hu, volume.hu)
    np.testing.assert_allclose(
        read.geometry.positions_mm, volume.geometry.positions_mm, rtol=0, atol=1e-3
    )
    np.testing.assert_allclose(read.geometry.row_direction, row, atol=1e-5)
    np.testing.assert_allclose(read.geometry.column_direction, column, atol=1e-5)


def test_a_new_series_is_legal_names_nobody_and_takes_the_dicom_settings(
    study: Path, tmp_path: Path, dicom_validators: tuple[str, str]
) -> None:
    convert.run(study, out=tmp_path / "a.mha")
    settings = ConvertSettings(dicom=DicomSettings(series_number=77))
    report = convert.run(tmp_path / "a.mha", out=tmp_path / "new", settings=settings)
    paths = sorted(report.out.iterdir())
    for path in paths:
        dataset = pydicom.dcmread(path)
        assert dataset.PatientName == dataset.PatientID == ""
        assert dataset.SeriesNumber == 77
        assert not errors_of(dicom_validators[0], path)
    assert disagreements(dicom_validators[1], paths) == []


def test_a_rescale_that_float32_holds_is_kept_by_nifti(tmp_path: Path) -> None:
    volume = marked_volume()
    half = replace(volume, hu=volume.hu + np.float32(0.5))
    series_files(tmp_path / "study", ct_series(half, slope=0.5, intercept=-1024.0))
    report = convert.run(tmp_path / "study", out=tmp_path / "a.nii")
    assert report.dtype == "int16"
    np.testing.assert_array_equal(read_volume(report.out).hu, half.hu)
    np.testing.assert_array_equal(nib.load(report.out).get_fdata().T, half.hu)
    for suffix in (".mha", ".nrrd"):
        report = convert.run(tmp_path / "study", out=tmp_path / f"a{suffix}")
        assert report.dtype == "float32"
        np.testing.assert_array_equal(read_volume(report.out).hu, half.hu)


@pytest.mark.parametrize("slopes", [0.3, [1.0, 0.5, 0.25, 1.0, 0.5, 0.125]])
def test_other_rescales_become_floats_so_that_every_value_stays(
    tmp_path: Path, slopes: float | list[float]
) -> None:
    series_files(tmp_path / "study", ct_series(marked_volume(), slope=slopes))
    report = convert.run(tmp_path / "study", out=tmp_path / "a.nii")
    assert report.dtype == "float32"
    np.testing.assert_array_equal(read_volume(report.out).hu, read_volume(tmp_path / "study").hu)


def test_whole_numbers_asked_for_are_within_half_a_step(tmp_path: Path) -> None:
    series_files(tmp_path / "study", ct_series(marked_volume(), slope=0.5, intercept=-1000.25))
    source = read_volume(tmp_path / "study").hu
    settings = ConvertSettings(dtype="int16")
    for suffix in (".nii", ".mha", ".nrrd"):
        report = convert.run(tmp_path / "study", out=tmp_path / f"a{suffix}", settings=settings)
        assert report.dtype == "int16"
        change = np.abs(read_volume(report.out).hu - source).max()
        assert change == pytest.approx(report.largest_rounding_hu, abs=1e-4)
        assert change <= (0.25 if suffix == ".nii" else 0.5)


def test_values_that_int16_cannot_hold_are_widened_or_refused(tmp_path: Path) -> None:
    disc = water_disc()
    hu = np.array(disc.hu)
    hu[1, 5, 5] = 50_000
    source = write_image(
        CTVolume(hu, disc.geometry), tmp_path / "a.mha", scale=ValueScale(np.dtype(np.int32))
    )
    report = convert.run(source, out=tmp_path / "b.nii")
    assert report.dtype == "int32"
    np.testing.assert_array_equal(read_volume(report.out).hu, hu)
    with pytest.raises(InputError, match="do not fit int16"):
        convert.run(source, out=tmp_path / "c.nii", settings=ConvertSettings(dtype="int16"))
    with pytest.raises(InputError, match="do not fit int16"):
        convert.run(source, out=tmp_path / "dicom")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mha", "b.nii"]


def test_floats_stay_floats(tmp_path: Path) -> None:
    disc = water_disc(noise_hu=7.0)
    source = write_image(disc, tmp_path / "a.nrrd", scale=ValueScale(np.dtype(np.float32)))
    report = convert.run(source, out=tmp_path / "b.nii.gz")
    assert report.dtype == "float32"
    np.testing.assert_array_equal(read_volume(report.out).hu, disc.hu)


def tilted(folder: Path) -> Path:
    volume = marked_volume()
    positions = np.array(volume.geometry.positions_mm)
    positions[:, 1] += np.arange(len(positions)) * 0.8
    series_files(folder, ct_series(replace(volume, geometry=_moved(volume, positions))))
    return folder


def _moved(volume: CTVolume, positions: np.ndarray) -> Geometry:
    return replace(volume.geometry, positions_mm=positions)


def test_a_tilted_stack_is_refused_with_the_choices_and_resampled_on_request(
    tmp_path: Path,
) -> None:
    study = tilted(tmp_path / "study")
    with pytest.raises(GeometryError, match="gantry tilt") as caught:
        convert.run(study, out=tmp_path / "a.nii")
    assert "--resample" in str(caught.value)
    assert not (tmp_path / "a.nii").exists()
    settings = ConvertSettings(resample=True)
    report = convert.run(study, out=tmp_path / "a.nii", settings=settings)
    assert report.resampled
    assert report.shape == (6, 45, 36)
    source, read = read_volume(study), read_volume(report.out)
    for index in range(6):  # shifts of whole rows: no value is mixed
        np.testing.assert_array_equal(read.hu[index, index : index + 40], source.hu[index])
        assert (read.hu[index, :index] == -1000).all()


def test_resampling_leaves_a_straight_stack_alone(study: Path, tmp_path: Path) -> None:
    report = convert.run(study, out=tmp_path / "a.nii", settings=ConvertSettings(resample=True))
    assert not report.resampled
    assert_same_place_and_value(read_volume(report.out), read_volume(study))


def test_a_missing_slice_is_refused_and_filled_in_on_request(tmp_path: Path) -> None:
    paths = series_files(tmp_path / "study", ct_series(marked_volume()))
    paths[3].unlink()
    with pytest.raises(GeometryError, match="unevenly spaced"):
        convert.run(tmp_path / "study", out=tmp_path / "a.mha")
    settings = ConvertSettings(resample=True)
    report = convert.run(tmp_path / "study", out=tmp_path / "a.mha", settings=settings)
    assert (report.shape[0], report.interpolated, report.in_gaps) == (6, 1, 1)
    assert report.largest_rounding_hu == 0.5


@pytest.mark.parametrize("kind", ["nifti", "mha", "nrrd"])
def test_a_folder_holds_one_file_of_the_format_asked_for(
    study: Path, tmp_path: Path, kind: str
) -> None:
    settings = ConvertSettings(compress=True)
    report = convert.run(study, out=tmp_path / "out", file_format=kind, settings=settings)
    assert list((tmp_path / "out").iterdir()) == [report.out]
    assert image_header(report.out).kind == kind
    stored = image_header(report.out).stored
    assert stored is not None
    assert stored.packing != "none"


@pytest.mark.parametrize("suffix", [".nii.gz", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_labels_stay_the_whole_numbers_that_they_are(
    tmp_path: Path, suffix: str, dtype: type
) -> None:
    values = np.random.default_rng(2).integers(0, 120, (4, 6, 5)).astype(dtype)
    image = sitk.GetImageFromArray(values)
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    report = convert.run(tmp_path / f"a{suffix}", out=tmp_path / "b.nrrd", labels=True)
    assert "float" not in report.dtype
    written = sitk.ReadImage(str(report.out))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written)[::-1], values)
    np.testing.assert_allclose(written.GetOrigin(), (0, 0, -3))


def test_labels_that_are_no_labels_are_refused(study: Path, tmp_path: Path) -> None:
    disc = water_disc(noise_hu=3.0)
    floats = write_image(disc, tmp_path / "a.mha", scale=ValueScale(np.dtype(np.float32)))
    with pytest.raises(StudyError, match="whole numbers"):
        convert.run(floats, out=tmp_path / "b.nii", labels=True)
    with pytest.raises(UsageError, match="one image file"):
        convert.run(study, out=tmp_path / "b.nii", labels=True)
    with pytest.raises(UsageError, match="no CT series"):
        convert.run(floats, out=tmp_path / "b", labels=True)
    settings = ConvertSettings(resample=True)
    with pytest.raises(UsageError, match="never interpolated"):
        convert.run(floats, out=tmp_path / "b.nii", labels=True, settings=settings)
    assert not (tmp_path / "b.nii").exists()


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("out", {}, "not clear what to write"),
        ("out.mhd", {}, "one file"),
        ("out.nii", {"file_format": "mha"}, "does not fit"),
        ("out", {"file_format": "dicom"}, "DICOM already"),
        ("out.nii", {"settings": ConvertSettings(compress=True)}, r"named \.nii\.gz"),
        ("out.nii", {"settings": ConvertSettings(spacing_mm=1.0)}, "needs --resample"),
    ],
)
def test_what_is_not_clear_is_refused_in_words(
    study: Path, tmp_path: Path, name: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        convert.run(study, out=tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_nothing_is_overwritten(study: Path, tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        convert.run(study, out=tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes() == b"precious"


def test_two_raw_files_under_one_header_are_two_studies(tmp_path: Path) -> None:
    uids = set()
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        values = np.random.default_rng(seed).integers(-1000, 1000, (3, 8, 8)).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(values), str(folder / "a.mhd"))
        report = convert.run(folder, out=folder / "dicom")
        uids.add(pydicom.dcmread(min(report.out.iterdir())).SeriesInstanceUID)
    assert len(uids) == 2


def test_nothing_of_the_patient_is_in_the_image(study: Path, tmp_path: Path) -> None:
    for suffix in (".nii", ".mha", ".nrrd"):
        report = convert.run(study, out=tmp_path / f"a{suffix}")
        data = report.out.read_bytes()
        assert b"Marker" not in data
        assert b"4711" not in data[:1000]


def test_a_transfer_syntax_is_refused_where_no_dicom_is_written(
    study: Path, tmp_path: Path
) -> None:
    settings = ConvertSettings(dicom=DicomSettings(transfer_syntax="rle"))
    with pytest.raises(UsageError, match="none is written"):
        convert.run(study, out=tmp_path / "out.nii", settings=settings)

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import (
    GeometryError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from ctdenoise.io.image_reader import read_image
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import check_writable, write_series, write_volume
from tests.builders import water_disc
from tests.dicom.builders import as_bytes, ct_series, marked_volume, multi_frame, series_files

IDENTITY = Step("denoise", {"model": "identity"})


def from_dicom(folder: Path, *, slices: int = 3) -> CTVolume:
    series_files(folder, ct_series(marked_volume(slices=slices, size=(32, 32))))
    return read_volume(folder)


def test_the_files_are_returned_in_the_order_of_the_slices(tmp_path: Path) -> None:
    volume = from_dicom(tmp_path / "in")
    paths = write_series(volume.with_step(IDENTITY), tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "out/00001.dcm",
        "out/00002.dcm",
        "out/00003.dcm",
    ]
    assert all(path.is_file() for path in paths)
    for index, path in enumerate(paths):
        assert np.array_equal(read_volume(path).hu[0], volume.hu[index])


def test_an_untouched_volume_is_not_written_as_something_new(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was done"):
        write_series(from_dicom(tmp_path / "in"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    volume = from_dicom(tmp_path / "in").with_step(IDENTITY)
    write_series(volume, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for write in (write_series, write_volume):
        with pytest.raises(OutputExistsError):
            write(volume, tmp_path / "out")
    with pytest.raises(OutputExistsError):
        write_volume(volume, tmp_path / "out", file_format="nifti")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_the_source_folder_can_never_be_the_output(tmp_path: Path) -> None:
    volume = from_dicom(tmp_path / "in").with_step(IDENTITY)
    with pytest.raises(OutputExistsError):
        write_series(volume, tmp_path / "in")


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    volume = from_dicom(tmp_path / "in").with_step(IDENTITY)
    written = 0
    write_bytes = Path.write_bytes

    def until_full(path: Path, data: bytes) -> int:
        nonlocal written
        if written == after:
            write_bytes(path, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        written += 1
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", until_full)
    with pytest.raises(OutputError, match="disk is full"):
        write_series(volume, tmp_path / "new" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.filterwarnings(  # nibabel leaves its file to the garbage collector
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("file_format", ["dicom", "nifti"])
def test_a_really_full_disk_leaves_nothing(
    tmp_path: Path, small_disk: Path, file_format: str
) -> None:
    series_files(tmp_path / "in", ct_series(marked_volume(slices=6, size=(200, 200))))
    volume = read_volume(tmp_path / "in").with_step(IDENTITY)
    with pytest.raises(OutputError, match="disk is full"):
        write_volume(volume, small_disk / "out", file_format=file_format)
    assert not any(small_disk.iterdir())


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = from_dicom(tmp_path / "in").with_step(IDENTITY)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctdenoise.io.dicom_writer.encoded", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_series(volume, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_same_is_the_kind_that_was_read(tmp_path: Path) -> None:
    dicom = from_dicom(tmp_path / "in").with_step(IDENTITY)
    (first, *_) = write_volume(dicom, tmp_path / "as_dicom")
    assert first.suffix == ".dcm"
    plain = read_image(write_nifti(water_disc(), tmp_path / "a.nii"))
    assert [path.name for path in write_volume(plain, tmp_path / "as_nifti")] == ["image.nii"]
    packed = read_image(write_nifti(water_disc(), tmp_path / "b.nii.gz"))
    assert [path.name for path in write_volume(packed, tmp_path / "as_gz")] == ["image.nii.gz"]
    (built, *_) = write_volume(water_disc(), tmp_path / "built")
    assert built.suffix == ".dcm"


def test_dicom_can_be_written_as_nifti(tmp_path: Path) -> None:
    volume = from_dicom(tmp_path / "in").with_step(IDENTITY)
    (path,) = write_volume(volume, tmp_path / "out", file_format="nifti")
    assert np.array_equal(read_image(path).hu, volume.hu)
    assert nib.load(path).get_data_dtype() == np.int16


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'png'"):
        write_volume(water_disc(), tmp_path / "out", file_format="png")


def test_what_cannot_be_nifti_is_refused_before_any_work(tmp_path: Path) -> None:
    disc = water_disc(slices=3)
    positions = np.array(disc.geometry.positions_mm)
    positions[2, 2] += 20.0
    uneven = replace(disc, geometry=replace(disc.geometry, positions_mm=positions))
    with pytest.raises(GeometryError):
        check_writable(uneven, "nifti")
    with pytest.raises(GeometryError):
        write_volume(uneven, tmp_path / "out", file_format="nifti")
    assert not (tmp_path / "out").exists()
    check_writable(uneven, "dicom")


def test_what_can_be_written_passes_the_check_without_history(tmp_path: Path) -> None:
    check_writable(from_dicom(tmp_path / "in"))
    check_writable(water_disc())


def test_a_multi_frame_object_becomes_one_again(tmp_path: Path) -> None:
    path = tmp_path / "multi.dcm"
    path.write_bytes(as_bytes(multi_frame(marked_volume(slices=3))))
    volume = read_volume(path)
    check_writable(volume)
    (written,) = write_series(volume.with_step(IDENTITY), tmp_path / "out")
    np.testing.assert_array_equal(read_volume(written).hu, volume.hu)
    write_volume(volume.with_step(IDENTITY), tmp_path / "nifti", file_format="nifti")

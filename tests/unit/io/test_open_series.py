"""A series read in pieces is the series read at once."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from ctdenoise.errors import OutputError, StudyError
from ctdenoise.io.image_labels import LabelReader, read_labels
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import open_series, read_volume
from tests.builders import water_disc
from tests.dicom.builders import as_bytes, ct_series, marked_volume, multi_frame, series_files

PIECES = (slice(0, 2), slice(2, 5), [0, 3, 4], [1])


def assert_pieces_are_the_whole(path: Path) -> None:
    whole = read_volume(path)
    with open_series(path) as reader:
        assert reader.shape == whole.shape
        assert reader.geometry.matches(whole.geometry)
        assert reader.acquisition == whole.acquisition
        for piece in PIECES:
            part, expected = reader.read(piece), whole.select(piece)
            np.testing.assert_array_equal(part.hu, expected.hu)
            assert part.geometry.matches(expected.geometry)
            assert part.source == expected.source
            assert part.acquisition == expected.acquisition
            assert (part.padding is None) == (expected.padding is None)


def test_files_of_one_slice(tmp_path: Path) -> None:
    series_files(tmp_path, ct_series(marked_volume(slices=5)))
    assert_pieces_are_the_whole(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_frames_of_one_file(tmp_path: Path, syntax: str) -> None:
    volume = marked_volume(slices=5)
    dataset = multi_frame(volume, order=[3, 1, 4, 0, 2])
    (tmp_path / "frames").write_bytes(as_bytes(dataset, syntax))
    assert_pieces_are_the_whole(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, volume.hu)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_files(tmp_path: Path, name: str) -> None:
    write_nifti(water_disc(slices=5, noise_hu=9.0), tmp_path / name)
    assert_pieces_are_the_whole(tmp_path / name)


def test_a_file_that_vanishes_between_two_reads_is_named(tmp_path: Path) -> None:
    paths = series_files(tmp_path, ct_series(marked_volume(slices=5)))
    with open_series(tmp_path) as reader:
        reader.read(slice(0, 2))
        for path in paths:
            path.unlink()
        with pytest.raises(StudyError, match="No such file"):
            reader.read(slice(2, 5))


def test_damage_at_the_end_of_a_compressed_file_shows_when_it_is_opened(tmp_path: Path) -> None:
    path = write_nifti(water_disc(noise_hu=9.0), tmp_path / "a.nii.gz")
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # in the checksum of the whole
    path.write_bytes(data)
    with pytest.raises(StudyError, match="damaged"):
        open_series(path)


def test_no_room_to_inflate_is_told_as_such(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_nifti(water_disc(slices=40, size=100), tmp_path / "a.nii.gz")
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    with pytest.raises(OutputError, match="no room to inflate"):
        read_volume(path)


@pytest.mark.parametrize("flip", [1, -1])
def test_labels_read_in_pieces_are_the_labels_read_at_once(tmp_path: Path, flip: int) -> None:
    volume = water_disc(slices=5)
    labels = np.random.default_rng(3).integers(0, 9, volume.shape).astype(np.uint8)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine()
    stored = labels.transpose(2, 1, 0)
    if flip < 0:  # the same voxels, mirrored on disk
        stored = stored[::-1]
        affine = affine @ np.array([[-1, 0, 0, 63], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(stored, affine), tmp_path / "l.nii.gz")
    whole = read_labels(tmp_path / "l.nii.gz", volume.geometry)
    np.testing.assert_array_equal(whole, labels)
    with LabelReader(tmp_path / "l.nii.gz", volume.geometry) as reader:
        for piece in (slice(0, 2), slice(2, 5)):
            np.testing.assert_array_equal(reader.read(piece), labels[piece])

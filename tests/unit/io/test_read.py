"""Volumes from found series, folders and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.builders import water_disc
from tests.dicom.builders import as_bytes, ct_series, marked_volume, series_files, uid


@pytest.fixture
def volume() -> CTVolume:
    return marked_volume(slices=4)


def test_a_volume_knows_where_each_slice_came_from(tmp_path: Path, volume: CTVolume) -> None:
    paths = series_files(tmp_path, ct_series(volume), names=["d", "c", "b", "a"])
    source = read_volume(tmp_path).source
    assert source is not None
    assert source.kind == "dicom"
    assert [instance.path for instance in source.instances] == paths
    uids = [uid("instance", "1", index) for index in range(4)]
    assert [instance.sop_instance_uid for instance in source.instances] == uids
    assert {instance.frame for instance in source.instances} == {None}
    assert source.series_instance_uid == uid("series", "1")
    assert source.study_instance_uid == uid("study")
    assert len(source.patient_key) == 8


def test_a_volume_is_float32_and_read_only(tmp_path: Path, volume: CTVolume) -> None:
    series_files(tmp_path, ct_series(volume))
    read = read_volume(tmp_path)
    assert read.hu.dtype == np.float32
    assert not read.hu.flags.writeable
    assert read.padding is None
    assert read.history == ()


def test_path_text_and_found_series_give_the_same_volume(tmp_path: Path, volume: CTVolume) -> None:
    series_files(tmp_path, ct_series(volume))
    for source in (tmp_path, str(tmp_path), find_series(tmp_path)[0]):
        np.testing.assert_array_equal(read_volume(source).hu, volume.hu)


def test_a_nifti_file_is_read_as_such(tmp_path: Path) -> None:
    disc = water_disc()
    read = read_volume(write_nifti(disc, tmp_path / "disc.nii.gz"))
    assert read.source is not None
    assert read.source.kind == "nifti"
    np.testing.assert_array_equal(read.hu, disc.hu)


def test_a_file_that_vanished_since_it_was_listed_is_refused_by_name(
    tmp_path: Path, volume: CTVolume
) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    found = find_series(tmp_path)[0]
    paths[2].unlink()
    with pytest.raises(StudyError, match=r"1 of 4: 0003\.dcm"):
        read_volume(found)


@pytest.mark.parametrize("change", ["identity", "rescale"])
def test_a_file_that_changed_since_it_was_listed_is_refused(
    tmp_path: Path, volume: CTVolume, change: str
) -> None:
    datasets = ct_series(volume)
    paths = series_files(tmp_path, datasets)
    found = find_series(tmp_path)[0]
    if change == "identity":
        datasets[1].SOPInstanceUID = uid("another")
    else:
        datasets[1].RescaleIntercept = "-1000"
    paths[1].write_bytes(as_bytes(datasets[1]))
    with pytest.raises(StudyError, match="changed since it was listed"):
        read_volume(found)


def test_an_unreadable_found_series_is_refused(tmp_path: Path, volume: CTVolume) -> None:
    datasets = ct_series(volume)
    for dataset in datasets:
        del dataset.RescaleSlope
    series_files(tmp_path, datasets)
    with pytest.raises(StudyError, match="RescaleSlope"):
        read_volume(find_series(tmp_path)[0])


def test_32_bit_stored_values_keep_every_hounsfield_unit(tmp_path: Path, volume: CTVolume) -> None:
    datasets = ct_series(volume, signed=True)
    for index, dataset in enumerate(datasets):
        dataset.BitsAllocated = dataset.BitsStored = 32
        dataset.HighBit = 31
        dataset.PixelData = (volume.hu[index] + 1024).astype("<i4").tobytes()
    series_files(tmp_path, datasets)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, volume.hu)

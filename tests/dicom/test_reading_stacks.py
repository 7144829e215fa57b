"""Copies are dropped, stacks and series are told apart, and nothing is mixed in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import as_bytes, ct_series, marked_volume, series_files, uid
from tests.dicom.reading import assert_same_place_and_value, oriented, refusal_of

SLICES = 6


@pytest.fixture
def volume() -> CTVolume:
    return marked_volume(slices=SLICES)


def test_a_file_that_is_there_twice_is_read_once(tmp_path: Path, volume: CTVolume) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    shutil.copy(paths[2], tmp_path / "copy of something")
    assert_same_place_and_value(read_volume(tmp_path), volume)
    assert "1 files are copies" in " ".join(map(str, find_series(tmp_path)[0].notes))


def test_the_same_instance_in_another_encoding_is_a_copy(tmp_path: Path, volume: CTVolume) -> None:
    datasets = ct_series(volume)
    series_files(tmp_path, datasets)
    (tmp_path / "again").write_bytes(as_bytes(datasets[1], ImplicitVRLittleEndian))
    found = find_series(tmp_path)
    assert [series.readable for series in found] == [True]
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_other_pixels_at_the_same_position_are_refused(tmp_path: Path, volume: CTVolume) -> None:
    datasets = ct_series(volume)
    other = ct_series(marked_volume(seed=9), edit=_new_identity)[3]
    series_files(tmp_path, [*datasets, other])
    assert "lie at the position of another one" in refusal_of(tmp_path)


def test_the_same_instance_with_other_pixels_is_no_copy(tmp_path: Path, volume: CTVolume) -> None:
    other = ct_series(marked_volume(seed=9))[3]
    series_files(tmp_path, [*ct_series(volume), other])
    assert "lie at the position of another one" in refusal_of(tmp_path)


def _new_identity(dataset: Dataset, index: int) -> None:
    dataset.SOPInstanceUID = uid("other instance", index)


@pytest.mark.parametrize(
    ("keyword", "values", "label"),
    [
        ("AcquisitionNumber", ("1", "2"), "acquisition 2"),
        ("ConvolutionKernel", ("SOFT", "BONE"), "kernel BONE"),
        ("AcquisitionTime", ("101212", "101240"), "time 101240"),
        ("NominalPercentageOfCardiacPhase", (30.0, 75.0), "phase % 75.0"),
    ],
)
def test_two_phases_in_one_series_become_two_stacks(
    tmp_path: Path, keyword: str, values: tuple[str, str], label: str
) -> None:
    phases = [marked_volume(seed=seed) for seed in (1, 2)]
    datasets = []
    for phase, value in zip(phases, values, strict=True):

        def edit(dataset: Dataset, index: int, value: str = value) -> None:
            setattr(dataset, keyword, value)
            dataset.SOPInstanceUID = uid("phase", value, index)

        datasets += ct_series(phase, edit=edit)
    series_files(tmp_path, datasets)
    found = find_series(tmp_path)
    assert len(found) == 2
    assert all(series.readable for series in found)
    with pytest.raises(UsageError, match="2 readable series"):
        read_volume(tmp_path)
    second = read_volume(tmp_path, series=label)
    assert_same_place_and_value(second, phases[1])


def test_series_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    volumes = {name: marked_volume(seed=int(name)) for name in ("1", "2")}
    for name, volume in volumes.items():
        names = [f"{name}{index}" for index in range(SLICES)]
        series_files(tmp_path, ct_series(volume, series=name), names=names)
    found = find_series(tmp_path)
    assert [(series.number, series.description) for series in found] == [
        (1, "Series 1"),
        (2, "Series 2"),
    ]
    with pytest.raises(UsageError, match="Series 2"):
        read_volume(tmp_path)
    for series in found:
        uid_end = series.source.series_instance_uid[-8:]
        for wanted in (str(series.number), uid_end, series.description):
            read = read_volume(tmp_path, series=wanted)
            assert_same_place_and_value(read, volumes[str(series.number)])


def test_matrices_and_orientations_of_one_series_become_stacks(tmp_path: Path) -> None:
    parts = [
        marked_volume(slices=4),
        marked_volume(slices=4, size=(48, 48), seed=3),
        marked_volume(geometry=oriented((1, 0, 0), (0, 0, -1)), seed=4),
    ]
    datasets = []
    for part, volume in enumerate(parts):

        def edit(dataset: Dataset, index: int, part: int = part) -> None:
            dataset.SOPInstanceUID = uid("part", part, index)

        datasets += ct_series(volume, edit=edit)
    series_files(tmp_path, datasets)
    found = find_series(tmp_path)
    assert len(found) == 3
    assert len({series.description for series in found}) == 3
    for series in found:
        match = next(v for v in parts if v.geometry.matches(series.geometry))
        assert_same_place_and_value(read_volume(series), match)


def test_a_scout_inside_the_series_is_listed_apart(tmp_path: Path, volume: CTVolume) -> None:
    def scout(dataset: Dataset, index: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dataset.SOPInstanceUID = uid("scout")

    series_files(tmp_path / "a", ct_series(volume))
    series_files(tmp_path / "b", ct_series(marked_volume(slices=1, seed=5), edit=scout))
    found = {series.what: series for series in find_series(tmp_path)}
    assert set(found) == {"CT", "scout"}
    assert not found["scout"].readable
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_other_objects_beside_the_series_are_named(tmp_path: Path, volume: CTVolume) -> None:
    classes = {
        "1.2.840.10008.5.1.4.1.1.66.4": ("SEG", "segmentation"),
        "1.2.840.10008.5.1.4.1.1.88.67": ("SR", "dose report"),
        "1.2.840.10008.5.1.4.1.1.88.33": ("SR", "structured report"),
        "1.2.840.10008.5.1.4.1.1.481.3": ("RTSTRUCT", "RT structure set"),
        "1.2.840.10008.5.1.4.1.1.7": ("OT", "secondary capture"),
        "1.2.840.10008.5.1.4.1.1.128": ("PT", "PT object"),
    }
    series_files(tmp_path, ct_series(volume))
    for number, (sop_class, (modality, _)) in enumerate(classes.items()):
        other = ct_series(marked_volume(slices=1), series=f"9{number}")[0]
        other.SOPClassUID, other.Modality = sop_class, modality
        (tmp_path / f"other{number}").write_bytes(as_bytes(other))
    (tmp_path / "DICOMDIR").write_bytes(as_bytes(ct_series(volume)[0]))
    (tmp_path / "notes.txt").write_text("hello")
    found = find_series(tmp_path)
    assert {s.what for s in found} == {"CT", *(what for _, what in classes.values())}
    assert_same_place_and_value(read_volume(tmp_path), volume)

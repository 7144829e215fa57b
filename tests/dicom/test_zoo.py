"""Every odd study of the zoo is read right, each slice in its place, or refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import FoundSeries, find_series
from ctdenoise.io.write import write_series
from tests.dicom.zoo import Case, Grid, right_slices
from tests.dicom.zoo_cases import CASES, OTHER_OBJECTS
from tests.dicom.zoo_more import MORE_CASES

ALL_CASES = (*CASES, *MORE_CASES)

SIZE = 64
FEWEST_READ_RIGHT = 42
IDENTITY = Step("denoise", {"model": "identity", "strength": 1.0})


def grids_of(volume: CTVolume) -> list[Grid]:
    """One grid for each slice, in its own place."""
    geometry = volume.geometry
    grids = []
    for hu, position in zip(volume.hu, geometry.positions_mm, strict=True):
        affine = np.eye(4)
        affine[:3, 0] = np.array(geometry.row_direction) * geometry.pixel_spacing_mm[1]
        affine[:3, 1] = np.array(geometry.column_direction) * geometry.pixel_spacing_mm[0]
        affine[:3, 2] = geometry.normal
        affine[:3, 3] = position
        grids.append(Grid(hu.T[..., None], affine))
    return grids


def refusal_of(case: Case, folder: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read_volume(folder / case.entry)
    return str(caught.value)


def readable(folder: Path) -> list[FoundSeries]:
    return [series for series in find_series(folder) if series.readable]


def test_the_zoo_is_the_published_one() -> None:
    names = [case.name for case in CASES]
    numbers = [name.split("_")[0] for name in names]
    assert len(set(names)) == len(names) == 46
    assert numbers == sorted([*(f"{n:02d}" for n in range(1, 41) if n != 13), *["13"] * 7])


def test_at_least_42_of_the_46_are_to_be_read_right_and_the_rest_refused() -> None:
    assert sum(bool(case.stacks) for case in CASES) >= FEWEST_READ_RIGHT
    assert all(bool(case.stacks) != bool(case.refused) for case in CASES)


@pytest.mark.parametrize("case", [c for c in ALL_CASES if c.stacks], ids=lambda case: case.name)
def test_what_can_be_read_is_read_right_slice_by_slice(tmp_path: Path, case: Case) -> None:
    truth = case.make(tmp_path, SIZE)
    found = find_series(tmp_path / case.entry)
    volumes = [read_volume(series) for series in found if series.readable]
    assert sorted(volume.shape[0] for volume in volumes) == sorted(case.stacks)
    assert not [series.problems for series in found if series.what == "CT" and series.problems]
    grids = [grid for volume in volumes for grid in grids_of(volume)]
    assert len(grids) == len(truth)
    assert all(len(one.probes) >= 3 for one in truth)
    assert right_slices(truth, grids) == len(truth)
    codes = {finding.code for series in found for finding in series.notes}
    assert set(case.findings) <= codes


@pytest.mark.parametrize("case", [c for c in ALL_CASES if c.refused], ids=lambda case: case.name)
def test_what_cannot_be_read_right_is_refused_in_words(tmp_path: Path, case: Case) -> None:
    case.make(tmp_path, SIZE)
    assert not case.stacks
    refusal = refusal_of(case, tmp_path)
    for words in case.refused:
        assert words in refusal


def test_stacks_of_one_folder_have_names_that_tell_them_apart(tmp_path: Path) -> None:
    for case in CASES:
        if len(case.stacks) < 2:
            continue
        folder = tmp_path / case.name
        folder.mkdir()
        case.make(folder, SIZE)
        names = [series.description for series in readable(folder)]
        assert len(set(names)) == len(names) == len(case.stacks)


def test_objects_beside_the_images_are_listed_apart_by_what_they_are(tmp_path: Path) -> None:
    (mixed,) = (case for case in CASES if case.name == "10_mixed_objects")
    mixed.make(tmp_path, SIZE)
    words = {series.what for series in find_series(tmp_path) if not series.readable}
    assert words == {word for _, word in OTHER_OBJECTS.values()}


@pytest.mark.parametrize("spoil", ["value", "place", "order"])
def test_the_judge_of_a_slice_sees_a_wrong_one(tmp_path: Path, spoil: str) -> None:
    truth = CASES[0].make(tmp_path, SIZE)
    grids = grids_of(read_volume(tmp_path))
    assert right_slices(truth, grids) == 12
    spoilt = []
    for index, grid in enumerate(grids):
        affine = grid.affine.copy()
        if spoil == "place":
            affine[0, 3] += 0.2 * affine[0, 0]
        hu = grid.hu + 1.5 if spoil == "value" else grid.hu
        hu = grids[(index + 1) % 12].hu if spoil == "order" else hu
        spoilt.append(Grid(hu, affine))
    assert right_slices(truth, spoilt) == 0


def derivable(case: Case) -> bool:
    return bool(case.stacks) and case.name != "32_no_rescale"


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # of pydicom, reading what was written
@pytest.mark.parametrize("case", [c for c in ALL_CASES if derivable(c)], ids=lambda case: case.name)
def test_nothing_done_to_what_was_read_is_nothing_done(tmp_path: Path, case: Case) -> None:
    """Frame by frame: same place, and the stored values of the source bit for bit."""
    source = tmp_path / "source"
    source.mkdir()
    case.make(source, SIZE)
    for number, series in enumerate(s for s in find_series(source / case.entry) if s.readable):
        volume = read_volume(series)
        paths = write_series(volume.with_step(IDENTITY), tmp_path / f"derived {number}")
        back = read_volume(paths[0].parent)
        assert np.array_equal(back.hu, volume.hu)
        assert back.geometry.matches(volume.geometry)
        assert volume.source is not None
        assert back.source is not None
        pairs = zip(volume.source.instances, back.source.instances, strict=True)
        for before, after in pairs:
            words = [stored_words(one.path, one.frame) for one in (before, after)]
            assert np.array_equal(*words)


def stored_words(path: Path, frame: int | None) -> np.ndarray:
    """Stored values as pydicom decodes them, bits above BitsStored removed."""
    dataset = pydicom.dcmread(path, force=True)
    if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    words = dataset.pixel_array
    words = words if words.ndim == 2 else words[frame or 0]
    unused = dataset.BitsAllocated - dataset.BitsStored
    return np.right_shift(np.left_shift(words, unused), unused)

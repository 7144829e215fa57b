"""Several images of one place under one SeriesInstanceUID are never mixed into one stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_parts import LEAST_WHOLE_FRACTION, SAME_PLACE_FRACTION
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import ct_series, series_files, uid
from tests.dicom.reading import assert_same_place_and_value, problems_of
from tests.dicom.zoo import axial, zoo_volume

Say = Callable[[Dataset, int], None]
EVERY_2_MM = [2.0 * index for index in range(6)]
BETWEEN_MM = [1.0 + height for height in EVERY_2_MM]


def part(heights_mm: Sequence[float], seed: int) -> CTVolume:
    return zoo_volume(64, seed=seed, geometry=axial(64, heights_mm))


def write(folder: Path, parts: Sequence[tuple[CTVolume, Say]]) -> None:
    for number, (volume, say) in enumerate(parts):

        def edit(dataset: Dataset, index: int, number: int = number, say: Say = say) -> None:
            dataset.SOPInstanceUID = uid("part", number, index)
            dataset.SliceThickness = "2"
            say(dataset, index)

        names = [f"{number}{index:03d}" for index in range(volume.shape[0])]
        series_files(folder, ct_series(volume, edit=edit), names=names)


def says(**values: str) -> Say:
    def say(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return say


@pytest.mark.parametrize(
    ("keyword", "values", "label"),
    [
        ("AcquisitionNumber", ("1", "2"), "acquisition 2"),
        ("ConvolutionKernel", ("B30f", "B70f"), "kernel B70f"),
        ("KVP", ("80", "140"), "kV 140"),
        ("SliceThickness", ("1", "2"), "mm thick 2"),
        ("ImageComments", ("MONO 40 keV", "MONO 70 keV"), "keV 70"),
        ("SeriesDescription", ("phase early", "phase late"), "phase late"),
    ],
)
def test_slices_of_two_images_that_lie_between_each_other_are_told_apart(
    tmp_path: Path, keyword: str, values: tuple[str, str], label: str
) -> None:
    volumes = [part(EVERY_2_MM, 1), part(BETWEEN_MM, 2)]
    ways = [says(**{keyword: value}) for value in values]
    write(tmp_path, list(zip(volumes, ways, strict=True)))
    first, second = find_series(tmp_path)
    assert label in second.description
    assert_same_place_and_value(read_volume(first), volumes[0])
    assert_same_place_and_value(read_volume(second), volumes[1])


def test_thick_slices_among_thin_ones_are_told_apart(tmp_path: Path) -> None:
    thin, thick = part([0.5 + height for height in range(15)], 1), part([0, 5, 10], 2)
    write(tmp_path, [(thin, says(SliceThickness="1")), (thick, says(SliceThickness="5"))])
    assert [series.slices for series in find_series(tmp_path)] == [15, 3]


@pytest.mark.parametrize("missing", [1, 3])
def test_parts_of_which_slices_are_missing_are_told_apart_while_most_are_there(
    tmp_path: Path, missing: int
) -> None:
    heights = [2.0 * index for index in range(10)]
    holed = [height for height in heights if height not in (4.0, 10.0, 14.0)[:missing]]
    whole = (len(heights) - missing) / len(heights) >= LEAST_WHOLE_FRACTION
    write(
        tmp_path,
        [
            (part([1.0 + height for height in heights], 1), says(AcquisitionNumber="1")),
            (part(holed, 2), says(AcquisitionNumber="2")),
        ],
    )
    assert len(find_series(tmp_path)) == (2 if whole else 1)


def test_two_ranges_one_after_the_other_stay_one_stack(tmp_path: Path) -> None:
    neck, chest = part([0, 2, 4, 6], 1), part([8, 10, 12, 14], 2)
    write(tmp_path, [(neck, says(KVP="100")), (chest, says(KVP="120"))])
    (found,) = find_series(tmp_path)
    assert found.slices == 8


def test_a_few_slices_that_were_saved_again_stay_in_their_stack(tmp_path: Path) -> None:
    def say(dataset: Dataset, index: int) -> None:
        if index in (2, 5, 6):
            dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]

    write(tmp_path, [(part([2.0 * index for index in range(10)], 1), say)])
    (found,) = find_series(tmp_path)
    assert found.slices == 10


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_slices_nearer_than_a_part_of_their_thickness_lie_at_one_place(
    tmp_path: Path, share: float
) -> None:
    shift = share * SAME_PLACE_FRACTION * 2.0
    moved = part([height + shift for height in EVERY_2_MM], 2)
    write(tmp_path, [(part(EVERY_2_MM, 1), says()), (moved, says())])
    assert ("lie at the position of another" in problems_of(tmp_path)) is (share < 1)


@pytest.mark.parametrize("keyword", ["AcquisitionTime", "TriggerTime"])
def test_time_points_are_told_apart_by_the_order_of_scanning(tmp_path: Path, keyword: str) -> None:
    """Up, down and up again, each slice with a moment of its own."""
    volumes = [part(EVERY_2_MM, seed) for seed in (1, 2, 3)]

    def scanned(turn: int) -> Say:
        def say(dataset: Dataset, index: int) -> None:
            step = index if turn % 2 == 0 else 5 - index
            setattr(dataset, keyword, f"{100000 + turn * 10 + step}")

        return say

    write(tmp_path, [(volume, scanned(turn)) for turn, volume in enumerate(volumes)])
    found = find_series(tmp_path)
    assert [series.description.split(" | ")[1] for series in found] == [
        f"time point {number} of 3" for number in (1, 2, 3)
    ]
    for series, volume in zip(found, volumes, strict=True):
        assert_same_place_and_value(read_volume(series), volume)


def test_time_points_that_a_position_lacks_are_refused(tmp_path: Path) -> None:
    def say(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionTime = f"1012{10 + index}"

    def later(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionTime = f"1013{10 + index}"

    write(tmp_path, [(part(EVERY_2_MM, 1), say), (part(EVERY_2_MM[:5], 2), later)])
    assert "lie at the position of another" in problems_of(tmp_path)


def test_frames_of_reference_are_named(tmp_path: Path) -> None:
    frames = [says(FrameOfReferenceUID=f"1.2.{number}") for number in (1, 2)]
    ranges = (EVERY_2_MM, [40.0 + height for height in EVERY_2_MM])
    write(tmp_path, [(part(r, 1), say) for r, say in zip(ranges, frames, strict=True)])
    assert [series.description.split(" | ")[1] for series in find_series(tmp_path)] == [
        "frame of reference 1",
        "frame of reference 2",
    ]

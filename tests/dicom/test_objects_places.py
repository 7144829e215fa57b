"""Every frame of a Segmentation or map lies where its source image lies, whatever the stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.tasks import infer
from tests.dicom.builders import ct_series, series_files
from tests.dicom.multi_frames import (
    ENHANCED,
    LEGACY,
    Stored,
    multi_frame_ct,
    object_file,
    small_volume,
)
from tests.dicom.objects import (
    expected_labels,
    frames_over,
    labelling_model,
    lying_over,
    run,
)

PADDED = Stored(slope=(1.0, 0.5, 2.0, 0.25), signed=True, intercept=-24.0, padding_value=-2000)


def enhanced(folder: Path) -> None:
    dataset = multi_frame_ct(small_volume(padded=True), order=[2, 0, 3, 1], stored=PADDED)
    object_file(folder, dataset)


def legacy(folder: Path) -> None:
    object_file(folder, multi_frame_ct(small_volume(), sop_class=LEGACY, order=[3, 1, 0, 2]))


def two_objects(folder: Path) -> None:
    """The slices of one stack, in turns from two objects."""
    volume = small_volume(padded=True)
    for name, order in (("a", [2, 0]), ("b", [1, 3])):
        dataset = multi_frame_ct(volume, order=order, name=name, stored=PADDED)
        object_file(folder, dataset, name)


def compressed(folder: Path) -> None:
    dataset = multi_frame_ct(small_volume(padded=True), order=[1, 0, 2, 3], stored=PADDED)
    object_file(folder, dataset, syntax=pydicom.uid.RLELossless)


def tilted(folder: Path) -> None:
    """Positions that move along a column as well: a sheared stack, unevenly spaced."""

    def edit(dataset, index):
        z = (0.0, 2.5, 6.0, 20.125)[index]
        dataset.ImagePositionPatient = ["-10.5", f"{-30 + 0.31 * z:.4f}", f"{z:g}"]

    volume = small_volume(padded=True)
    series_files(folder, ct_series(volume, padding_value=-2000, signed=True, edit=edit))


def turned_a_little(folder: Path) -> None:
    """Orientations that agree within the tolerance of a stack only."""

    def edit(dataset, index):
        dataset.ImageOrientationPatient = ["1", f"{index * 1e-5:.5f}", "0", "0", "1", "0"]

    series_files(folder, ct_series(small_volume(), edit=edit))


def without_thickness(folder: Path) -> None:
    def edit(dataset, _):
        dataset.SliceThickness = None

    series_files(folder, ct_series(small_volume(), edit=edit))


def stored_with_loss(folder: Path) -> None:
    """Compressed with loss, of which the headers say nothing."""
    object_file(folder, multi_frame_ct(small_volume()), syntax=pydicom.uid.JPEGLSNearLossless)


STUDIES = (
    enhanced,
    legacy,
    two_objects,
    compressed,
    tilted,
    turned_a_little,
    without_thickness,
    stored_with_loss,
)
MULTI_FRAME = STUDIES[:4]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelling_model(tmp_path_factory.mktemp("model") / "model.safetensors")


def made(make: Callable[[Path], None], folder: Path) -> tuple[list[Path], CTVolume]:
    make(folder)
    return sorted(folder.iterdir()), read_volume(folder)


@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_every_voxel_of_a_label_lies_over_its_image(tmp_path, model, make):
    paths, volume = made(make, tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out")
    expected = expected_labels(model, volume)
    assert len({plane.tobytes() for plane in expected}) == len(expected)  # none can be swapped
    frames = list(frames_over(tmp_path / "out" / "segmentation" / "00001.dcm"))
    np.testing.assert_array_equal(lying_over(frames, paths, volume), expected)
    assert all(frame.values.any() for frame in frames)


@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_every_voxel_of_a_map_lies_over_its_image(tmp_path, model, make):
    paths, volume = made(make, tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "pm", noise_map="pm", residual=False)
    run(tmp_path / "study", model, tmp_path / "ct", noise_map="ct", residual=False)
    frames = list(frames_over(tmp_path / "pm" / "noise_map" / "00001.dcm"))
    found = lying_over(frames, paths, volume)
    as_images = read_volume(tmp_path / "ct" / "noise_map")
    image = np.ones(volume.shape, bool) if volume.padding is None else ~volume.padding
    assert found.max() > 20
    np.testing.assert_allclose(found[image] * 0.05, as_images.hu[image], atol=1e-4)
    np.testing.assert_array_equal(as_images.geometry.positions_mm, volume.geometry.positions_mm)
    assert (as_images.padding is None) == (volume.padding is None)


@pytest.mark.parametrize("make", MULTI_FRAME, ids=lambda make: make.__name__)
def test_removed_noise_and_result_of_frames_add_up_to_the_source(tmp_path, model, make):
    paths, volume = made(make, tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out")
    removed = read_volume(tmp_path / "out" / "residual")
    result = read_volume(tmp_path / "out" / "dicom")
    image = np.ones(volume.shape, bool) if volume.padding is None else ~volume.padding
    assert np.abs(removed.hu[image]).max() > 1
    np.testing.assert_array_equal((removed.hu + result.hu)[image], volume.hu[image])
    np.testing.assert_array_equal(removed.geometry.positions_mm, volume.geometry.positions_mm)
    if volume.padding is not None:
        np.testing.assert_array_equal(removed.padding, volume.padding)
    files = sorted((tmp_path / "out" / "residual").iterdir())
    assert len(files) == len(paths)
    for path in files:
        dataset = pydicom.dcmread(path)
        assert dataset.ImageType[3] == "SUBTRACTION"
        assert dataset.SeriesDescription.endswith("[removed noise]")


def test_labels_of_one_stack_of_an_object_refer_to_its_frames_only(tmp_path, model):
    dataset = multi_frame_ct(small_volume(6), order=[5, 0, 4, 1, 3, 2], stacks=[1, 1, 1, 2, 2, 2])
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        stack = int(group.FrameContentSequence[0].StackID)  # the same places in each stack
        z = float((5, 0, 4, 1, 3, 2)[number] % 3)
        group.PlanePositionSequence[0].ImagePositionPatient = ["0", "0", f"{z}"]
        group.FrameContentSequence[0].FrameAcquisitionNumber = stack
    path = object_file(tmp_path / "study", dataset)
    found = find_series(tmp_path / "study")
    assert len(found) == 2
    settings = infer.InferSettings(engine="torch", objects={"noise_map": "pm", "residual": True})
    report = infer.run(
        tmp_path / "study", model=model, settings=settings, out=tmp_path / "out", series="2"
    )
    volume = read_volume(found[1])
    assert report.slices == 3
    frames = list(frames_over(tmp_path / "out" / "segmentation" / "00001.dcm"))
    labels = lying_over(frames, [path], volume)
    np.testing.assert_array_equal(labels, expected_labels(model, volume))


@pytest.mark.parametrize("name", ["segmentation", "noise_map"])
def test_an_object_names_every_image_once(tmp_path, model, name):
    two_objects(tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out", noise_map="pm")
    dataset = pydicom.dcmread(tmp_path / "out" / name / "00001.dcm")
    sources = [pydicom.dcmread(path) for path in sorted((tmp_path / "study").iterdir())]
    expected = {(ENHANCED, source.SOPInstanceUID) for source in sources}
    (series,) = dataset.ReferencedSeriesSequence
    for items in (dataset.SourceImageSequence, series.ReferencedInstanceSequence):
        named = [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items]
        assert len(named) == 2
        assert set(named) == expected

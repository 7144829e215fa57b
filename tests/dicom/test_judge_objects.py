"""Nothing appears beside a derived series that does not lie where, or hold what, it must."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.errors import OutputError
from ctdenoise.io.dicom_judge_objects import ObjectJudge
from ctdenoise.io.dicom_maps import MapSeriesWriter
from ctdenoise.io.read import read_volume
from tests.dicom.objects import expected_labels, labelling_model, run
from tests.dicom.test_objects_places import STUDIES, tilted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelling_model(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("written")
    tilted(folder / "study")
    run(folder / "study", model, folder / "pm", noise_map="pm")
    run(folder / "study", model, folder / "ct", noise_map="ct")
    return folder


def spoil(path: Path, edit: Callable[[Dataset], None]) -> None:
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)


def with_pixel(dataset: Dataset) -> None:
    words = dataset.pixel_array.copy()
    words[20, 20] += 1
    dataset.PixelData = words.tobytes()


def flip_a_voxel(dataset: Dataset) -> None:
    data = bytearray(dataset.PixelData)
    data[77] ^= 4
    dataset.PixelData = bytes(data)


def move_a_frame(dataset: Dataset) -> None:
    place = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    place.ImagePositionPatient = ["-10.5", "-30", "99"]


def swap_references(dataset: Dataset) -> None:
    one, other = (g.DerivationImageSequence for g in dataset.PerFrameFunctionalGroupsSequence[:2])
    groups = dataset.PerFrameFunctionalGroupsSequence
    groups[0].DerivationImageSequence, groups[1].DerivationImageSequence = other, one


def drop_a_frame(dataset: Dataset) -> None:
    frames = list(dataset.PerFrameFunctionalGroupsSequence)[:-1]
    dataset.PerFrameFunctionalGroupsSequence = frames


def another_scale(dataset: Dataset) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.RealWorldValueMappingSequence[0].RealWorldValueSlope = 0.1


def with_values(**values: object) -> Callable[[Dataset], None]:
    def edit(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def negative(dataset: Dataset) -> None:
    words = dataset.pixel_array.copy()
    words[20, 20] = -3
    dataset.PixelData = words.tobytes()


def source_uid(dataset: Dataset) -> None:
    dataset.SeriesInstanceUID = dataset.ReferencedSeriesSequence[0].SeriesInstanceUID


SPOILED = [
    ("segmentation", flip_a_voxel, "labels"),
    ("segmentation", drop_a_frame, "labels"),
    ("segmentation", move_a_frame, "geometry"),
    ("segmentation", swap_references, "geometry"),
    ("segmentation", with_values(PatientID="other"), "other-patient"),
    ("segmentation", with_values(StudyDate="20200101"), "other-study"),
    ("segmentation", with_values(FrameOfReferenceUID="1.2.3"), "frame-of-reference"),
    ("segmentation", source_uid, "identity-reused"),
    ("noise_map pm", another_scale, "map-scale"),
    ("noise_map pm", move_a_frame, "geometry"),
    ("noise_map pm", drop_a_frame, "missing-slice"),
    ("noise_map ct", negative, "map-scale"),
    ("noise_map ct", with_values(RescaleSlope="0.1"), "map-scale"),
    ("noise_map ct", with_values(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]), "image-type"),
    ("residual", with_pixel, "removed-noise"),
    ("residual", with_values(RescaleIntercept="-1024"), "removed-noise"),
    ("residual", with_values(PixelPaddingValue=-2000), "removed-noise"),
    ("residual", with_values(PatientName="Other^Name"), "other-patient"),
]


@pytest.mark.parametrize(
    ("what", "edit", "rule"), SPOILED, ids=lambda one: getattr(one, "__name__", one)
)
def test_a_planted_defect_is_noticed(written, tmp_path, model, what, edit, rule):
    name, _, kind = what.partition(" ")
    out = shutil.copytree(written / (kind or "ct"), tmp_path / "out")
    volume = read_volume(written / "study")
    judge = ObjectJudge(volume.source, DicomSettings())
    paths = sorted((out / name).iterdir())

    def judged() -> None:
        if name == "segmentation":
            judge.judge_segmentation(paths[0], expected_labels(model, volume))
        elif name == "residual":
            judge.judge_removed(paths, sorted((out / "dicom").iterdir()))
        elif kind == "pm":
            judge.judge_parametric_map(paths[0])
        else:
            judge.judge_map(paths)

    judged()
    spoil(paths[0], edit)
    with pytest.raises(OutputError, match=rf"\[{rule}\]"):
        judged()


@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_nothing_is_objected_to_in_what_is_right(tmp_path, model, make):
    make(tmp_path / "study")
    for kind in ("pm", "ct"):
        run(tmp_path / "study", model, tmp_path / kind, noise_map=kind)


def test_nothing_appears_where_removed_noise_is_wrong(written, tmp_path, model, monkeypatch):
    right = MapSeriesWriter.write_difference

    def wrong(self, index, hu, padding):
        right(self, index, hu + np.float32(1), padding)

    monkeypatch.setattr(MapSeriesWriter, "write_difference", wrong)
    with pytest.raises(OutputError, match="removed-noise"):
        run(written / "study", model, tmp_path / "out")
    assert not (tmp_path / "out").exists()

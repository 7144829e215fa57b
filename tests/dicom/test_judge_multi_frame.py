"""The judge reads frames as it reads slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.io.dicom_judge import Expected, judge_series
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import as_bytes, marked_volume, multi_frame
from tests.dicom.deriving import DENOISE, SIMULATE
from tests.dicom.enhanced_builder import enhanced_ct

KINDS = {
    EnhancedCTImageStorage: enhanced_ct,
    LegacyConvertedEnhancedCTImageStorage: multi_frame,
}


def objections(
    folder: Path, kind: str, step: Step, spoil: Callable[[Dataset], None] | None = None
) -> set[str]:
    path = folder / "source.dcm"
    path.write_bytes(as_bytes(KINDS[kind](marked_volume(slices=4), order=[2, 0, 1, 3])))
    volume = read_volume(path)
    changed = volume.with_hu(np.asarray(volume.hu + np.float32(1)), step)
    derived = write_series(changed, folder / "out")
    if spoil is not None:
        dataset = pydicom.dcmread(derived[0])
        spoil(dataset)
        dataset.save_as(derived[0])
    assert volume.source is not None
    slices = [(one.path, one.frame or 0) for one in volume.source.instances]
    return {one.rule for one in judge_series(derived, slices, Expected("ours", DicomSettings()))}


@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_legal_multi_frame_object_breaks_no_rule(tmp_path: Path, kind: str, step: Step) -> None:
    assert objections(tmp_path, kind, step) == set()


def _move(dataset: Dataset) -> None:
    place = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    x, y, z = place.ImagePositionPatient
    place.ImagePositionPatient = [x, y, float(z) + 0.1]


def _rescale(dataset: Dataset) -> None:
    groups = dataset.PerFrameFunctionalGroupsSequence[1]
    groups.PixelValueTransformationSequence[0].RescaleIntercept = "-1010"


def _swap(dataset: Dataset) -> None:
    size = len(dataset.PixelData) // 4
    frames = [dataset.PixelData[index * size : (index + 1) * size] for index in range(4)]
    dataset.PixelData = b"".join([frames[1], frames[0], *frames[2:]])


def _original(dataset: Dataset) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spoil", "rule"),
    [(_move, "geometry"), (_rescale, "storage"), (_swap, "swapped"), (_original, "image-type")],
)
def test_a_defect_of_one_frame_is_noticed(
    tmp_path: Path, kind: str, spoil: Callable[[Dataset], None], rule: str
) -> None:
    assert rule in objections(tmp_path, kind, DENOISE, spoil)

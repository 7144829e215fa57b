"""Multi-frame CT: every frame at its own position, by its own rescale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import as_bytes, marked_volume, multi_frame


@pytest.mark.parametrize(
    "sop_class", [LegacyConvertedEnhancedCTImageStorage, EnhancedCTImageStorage]
)
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_frames_in_any_order_are_read_where_they_lie(
    tmp_path: Path, sop_class: str, order: list[int], syntax: str
) -> None:
    volume = marked_volume(slices=4)
    path = tmp_path / "frames"
    path.write_bytes(as_bytes(multi_frame(volume, order=order, sop_class=sop_class), syntax))
    read = read_volume(path)
    np.testing.assert_array_equal(read.hu, volume.hu)
    assert read.geometry.matches(volume.geometry)
    assert read.source is not None
    frames = [instance.frame for instance in read.source.instances]
    assert frames == [order.index(index) for index in range(4)]


def test_facts_of_the_scan_are_read_from_the_functional_groups(tmp_path: Path) -> None:
    dataset = multi_frame(marked_volume(slices=3), sop_class=EnhancedCTImageStorage)
    exposure, geometry, details = Dataset(), Dataset(), Dataset()
    exposure.ExposureModulationType = "ANGULAR"
    geometry.DistanceSourceToDetector = 1040.0
    geometry.DistanceSourceToDataCollectionCenter = 570.0
    details.FilterType = "HEAD FILTER"
    (shared,) = dataset.SharedFunctionalGroupsSequence
    shared.CTExposureSequence, shared.CTGeometrySequence = [exposure], [geometry]
    shared.CTXRayDetailsSequence = [details]
    (tmp_path / "a").write_bytes(as_bytes(dataset))
    acquisition = read_volume(tmp_path).acquisition
    assert acquisition.exposure_modulation_type == "ANGULAR"
    assert acquisition.filter_type == "HEAD FILTER"
    assert acquisition.distance_source_to_patient_mm == 570.0
    assert acquisition.distance_source_to_detector_mm == 1040.0


def test_each_frame_has_its_own_rescale(tmp_path: Path) -> None:
    volume = marked_volume(slices=3)
    dataset = multi_frame(volume)
    for shift, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PixelValueTransformationSequence[0].RescaleIntercept = str(-1024 + shift)
    (tmp_path / "a").write_bytes(as_bytes(dataset))
    expected = volume.hu + np.arange(3, dtype=np.float32)[:, None, None]
    np.testing.assert_array_equal(read_volume(tmp_path).hu, expected)


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ("PlanePositionSequence", "ImagePositionPatient is missing"),
        ("PixelValueTransformationSequence", "Hounsfield units are unknown"),
    ],
)
def test_a_frame_without_its_functional_group_refuses_the_object(
    tmp_path: Path, group: str, reason: str
) -> None:
    dataset = multi_frame(marked_volume(slices=3))
    delattr(dataset.PerFrameFunctionalGroupsSequence[1], group)
    (tmp_path / "a").write_bytes(as_bytes(dataset))
    with pytest.raises(StudyError, match=reason):
        read_volume(tmp_path)


def test_fewer_functional_groups_than_frames_refuse_the_object(tmp_path: Path) -> None:
    dataset = multi_frame(marked_volume(slices=3))
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:2]
    (tmp_path / "a").write_bytes(as_bytes(dataset))
    assert not find_series(tmp_path)[0].readable


def test_missing_frames_are_a_truncated_object(tmp_path: Path) -> None:
    dataset = multi_frame(marked_volume(slices=3))
    dataset.NumberOfFrames = 4
    dataset.PerFrameFunctionalGroupsSequence.append(dataset.PerFrameFunctionalGroupsSequence[0])
    (tmp_path / "a").write_bytes(as_bytes(dataset))
    with pytest.raises(StudyError, match="shorter than its header says"):
        read_volume(tmp_path)


def test_a_scout_frame_is_kept_out_of_the_volume(tmp_path: Path) -> None:
    volume = marked_volume(slices=4)
    dataset = multi_frame(volume, sop_class=EnhancedCTImageStorage)
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if index == 3 else "VOLUME", "NONE"]
        frame.CTImageFrameTypeSequence = [kind]
    (tmp_path / "a").write_bytes(as_bytes(dataset))
    assert [(found.what, found.slices) for found in find_series(tmp_path)] == [
        ("CT", 3),
        ("scout", 1),
    ]
    np.testing.assert_array_equal(read_volume(tmp_path).hu, volume.hu[:3])

"""Independent validators find nothing in a derived multi-frame object that its source lacks."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.deriving import DENOISE, SIMULATE
from tests.dicom.multi_frames import ENHANCED, LEGACY, multi_frame_ct, object_file, small_volume
from tests.dicom.standard import violations_of
from tests.dicom.validators import disagreements, errors_of

DEGRADE = Step("degrade", {"seed": 1})

pytestmark = pytest.mark.validators

CLASSES = pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY], ids=["enhanced", "legacy"])


@CLASSES
@pytest.mark.parametrize(
    "steps",
    [(DENOISE,), (SIMULATE,), (SIMULATE, DENOISE), (DEGRADE,)],
    ids=["denoised", "simulated", "both", "degraded"],
)
def test_a_derived_object_has_no_error(
    tmp_path: Path, dicom_validators: tuple[str, str], sop_class: str, steps: tuple[Step, ...]
) -> None:
    stacks = [1, 1, 2, 2]
    dataset = multi_frame_ct(small_volume(), sop_class=sop_class, stacks=stacks)
    path = object_file(tmp_path / "source", dataset)
    assert not errors_of(dicom_validators[0], path)
    volume = read_volume(path)
    for step in steps:
        volume = volume.with_step(step)
    paths = write_series(volume, tmp_path / "whole")
    paths += write_series(volume.select([1, 3]), tmp_path / "part")
    for derived in paths:
        assert not errors_of(dicom_validators[0], derived)
        assert not violations_of(derived) - violations_of(path)
    assert not disagreements(dicom_validators[1], [paths[0], path])


@CLASSES
@pytest.mark.parametrize("syntax", ["implicit", "rle", "jpeg-ls", "jpeg2000"])
def test_a_derived_object_is_legal_in_every_transfer_syntax(
    tmp_path: Path, dicom_validators: tuple[str, str], sop_class: str, syntax: str
) -> None:
    """Not deflated, which the validator cannot read."""
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume(), sop_class=sop_class))
    settings = DicomSettings(transfer_syntax=syntax)
    volume = read_volume(path).with_step(DENOISE)
    (derived,) = write_series(volume, tmp_path / "out", settings=settings)
    assert not errors_of(dicom_validators[0], derived)


@pytest.mark.parametrize(
    ("group", "keyword"),
    [
        ("SharedFunctionalGroupsSequence", "PixelMeasuresSequence"),
        ("PerFrameFunctionalGroupsSequence", "FrameContentSequence"),
    ],
)
def test_the_validator_would_notice_a_missing_functional_group(
    tmp_path: Path, dicom_validators: tuple[str, str], group: str, keyword: str
) -> None:
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume()))
    (derived,) = write_series(read_volume(path).with_step(DENOISE), tmp_path / "out")
    dataset = pydicom.dcmread(derived)
    delattr(dataset[group].value[0], keyword)
    dataset.save_as(derived)
    assert errors_of(dicom_validators[0], derived)


@pytest.mark.parametrize("keyword", ["SourceImageEvidenceSequence", "DeviceSerialNumber"])
def test_the_validator_would_notice_what_we_add(
    tmp_path: Path, dicom_validators: tuple[str, str], keyword: str
) -> None:
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume()))
    (derived,) = write_series(read_volume(path).with_step(DENOISE), tmp_path / "out")
    dataset = pydicom.dcmread(derived)
    delattr(dataset, keyword)
    dataset.save_as(derived)
    assert errors_of(dicom_validators[0], derived)

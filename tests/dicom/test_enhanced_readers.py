"""Other people's readers, and a real object: the same Hounsfield units at the same places."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.archive import archived, missing
from tests.dicom.builders import uid
from tests.dicom.deriving import DENOISE, SIMULATE
from tests.dicom.multi_frames import (
    ENHANCED,
    LEGACY,
    Stored,
    multi_frame_ct,
    object_file,
    small_volume,
)
from tests.dicom.readers import Voxels, by_dcm2niix, by_highdicom, by_simpleitk
from tests.dicom.standard import violations_of
from tests.dicom.validators import disagreements, errors_of

SYNTAXES = pytest.mark.parametrize(
    "syntax", ["explicit", "implicit", "deflated", "rle", "jpeg-ls", "jpeg2000"]
)
CLASSES = pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY], ids=["enhanced", "legacy"])


def derived(
    tmp_path: Path, sop_class: str, syntax: str, stored: Stored | None = None
) -> tuple[Path, CTVolume]:
    """An object with other values than its source, written; and what it holds by our reader."""
    dataset = multi_frame_ct(
        small_volume(5), sop_class=sop_class, order=[4, 2, 0, 1, 3], stored=stored
    )
    volume = read_volume(object_file(tmp_path / "source", dataset))
    noise = np.random.default_rng(0).normal(0, 8, volume.shape).astype(np.float32)
    settings = DicomSettings.model_validate({"transfer_syntax": syntax})
    changed = volume.with_hu(volume.hu + noise, DENOISE)
    (path,) = write_series(changed, tmp_path / "out", settings=settings)
    return path, read_volume(path)


def assert_same(voxels: Voxels, ours: CTVolume) -> None:
    values, affine = voxels
    np.testing.assert_allclose(values, ours.hu, rtol=0, atol=1e-3)
    np.testing.assert_allclose(affine, ours.geometry.affine(), rtol=0, atol=1e-5)


@CLASSES
@SYNTAXES
def test_simpleitk_reads_a_derived_object_as_we_do(
    tmp_path: Path, sop_class: str, syntax: str
) -> None:
    path, ours = derived(tmp_path, sop_class, syntax)
    assert_same(by_simpleitk(path.parent), ours)


@CLASSES
@SYNTAXES
@pytest.mark.parametrize("slope", [1.0, (1.0, 0.5, 2.0, 0.25, 1.5)], ids=["one", "each"])
def test_highdicom_reads_a_derived_object_as_we_do(
    tmp_path: Path, sop_class: str, syntax: str, slope: float | tuple[float, ...]
) -> None:
    path, ours = derived(tmp_path, sop_class, syntax, Stored(slope=slope))
    assert_same(by_highdicom(path.parent), ours)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@CLASSES
@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_dcm2niix_reads_a_derived_object_as_we_do(
    tmp_path: Path, sop_class: str, syntax: str
) -> None:
    """Uncompressed: of a compressed object, whoever wrote it, Debian's dcm2niix decodes only
    the first frame."""
    path, ours = derived(tmp_path, sop_class, syntax)
    values, affine = by_dcm2niix(path.parent, tmp_path / "nifti")
    np.testing.assert_allclose(values, ours.hu, rtol=0, atol=1e-3)
    np.testing.assert_allclose(affine, ours.geometry.affine(), rtol=0, atol=2e-3)


@pytest.mark.skipif(bool(missing()), reason=missing() or "there is an archive")
def test_an_archive_returns_derived_objects_as_they_were(tmp_path: Path) -> None:
    sent, written = tmp_path / "sent", []
    for name, sop_class in (("enhanced", ENHANCED), ("legacy", LEGACY)):
        dataset = multi_frame_ct(small_volume(), sop_class=sop_class, name=name)
        dataset.SeriesInstanceUID = uid("series", name)
        path = object_file(sent / name / "source", dataset)
        for step in (DENOISE, SIMULATE):
            folder = sent / name / step.name
            written += write_series(read_volume(path).with_step(step), folder)
    report = archived(sent, tmp_path / "returned")
    assert (report["sent"], report["again"]) == (0, 0)
    assert report["second"]["CountInstances"] == report["second"]["CountSeries"] == 6
    assert report["second"]["CountStudies"] == report["second"]["CountPatients"] == 1
    for path in written:
        ours = pydicom.dcmread(path)
        assert pydicom.dcmread(tmp_path / "returned" / f"{ours.SOPInstanceUID}.dcm") == ours


@pytest.mark.ctdata
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("eCT_Supplemental.dcm", "a computed map"),
        ("CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", "no decoder"),
    ],
)
def test_the_real_objects_are_refused_for_what_they_hold(
    ctdata: Path, name: str, reason: str
) -> None:
    with pytest.raises(StudyError, match=reason):
        read_volume(ctdata / "zoo" / "enhanced_ct" / name)


@pytest.mark.ctdata
@pytest.mark.validators
def test_a_real_object_taken_for_hounsfield_units_comes_back_bit_for_bit_and_gains_no_error(
    ctdata: Path, tmp_path: Path, dicom_validators: tuple[str, str]
) -> None:
    """Its pixels are blood flow; only its words say so, and a copy is made to say HU."""
    dataset = pydicom.dcmread(ctdata / "zoo" / "enhanced_ct" / "eCT_Supplemental.dcm")
    groups = dataset.SharedFunctionalGroupsSequence[0]
    groups.PixelValueTransformationSequence[0].RescaleType = "HU"
    groups.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    (tmp_path / "source").mkdir()
    source = tmp_path / "source" / "object"
    dataset.save_as(source)
    volume = read_volume(source)
    (path,) = write_series(volume.with_step(DENOISE), tmp_path / "out")
    written = pydicom.dcmread(path)
    assert volume.source is not None
    frames = [instance.frame for instance in volume.source.instances]
    assert np.array_equal(written.pixel_array, dataset.pixel_array[frames])
    assert np.array_equal(read_volume(path).hu, volume.hu)
    assert not errors_of(dicom_validators[0], path) - errors_of(dicom_validators[0], source)
    assert not violations_of(path) - violations_of(source)
    assert not disagreements(dicom_validators[1], [path, source])
    assert_same(by_highdicom(path.parent), volume)

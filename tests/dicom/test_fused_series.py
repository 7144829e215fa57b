"""A series fused from several is a legal derived series that names all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.config.fusion import FuseSettings
from ctdenoise.core.provenance import Step
from ctdenoise.errors import InputError, StudyError, UsageError
from ctdenoise.io.manifest import manifest_problems
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from ctdenoise.tasks import check, fuse
from tests.dicom.builders import ct_series, marked_volume, multi_frame, series_files, uid
from tests.dicom.validators import disagreements, errors_of

FRAMES = 3


def scans(folder: Path, *, edits=(), names=None) -> list[Path]:
    """Repeated scans of one position, each a series of one study."""
    volume = marked_volume(slices=5, size=(32, 40))
    folders = []
    for number in range(FRAMES):
        noise = np.random.default_rng(number + 1).integers(-20, 21, volume.shape)
        noisy = replace(volume, hu=(volume.hu + noise).clip(-1000, 2000).astype(np.float32))
        edit = edits[number] if number < len(edits) else None
        datasets = ct_series(noisy, series=str(number + 1), edit=edit)
        folders.append(folder / (names or [f"scan{n}" for n in range(FRAMES)])[number])
        file_names = [f"{number}_{index}.dcm" for index in range(5)]
        series_files(folders[-1], datasets, names=file_names)
    return folders


def fused(folders, out, **options):
    settings = FuseSettings(power=options.pop("power", 4.0))
    return fuse.run(folders, settings, out=out, **options)


def headers(out: Path):
    return [pydicom.dcmread(path) for path in sorted((out / "dicom").iterdir())]


def test_every_source_image_and_series_is_named_the_first_one_first(tmp_path):
    folders = scans(tmp_path)
    fused(folders, tmp_path / "out")
    sources = [read_volume(folder).source for folder in folders]
    for index, header in enumerate(headers(tmp_path / "out")):
        images = [item.ReferencedSOPInstanceUID for item in header.SourceImageSequence]
        assert images == [source.instances[index].sop_instance_uid for source in sources]
        series = {
            item.SeriesInstanceUID: [
                one.ReferencedSOPInstanceUID for one in item.ReferencedInstanceSequence
            ]
            for item in header.ReferencedSeriesSequence
        }
        assert series == {
            source.series_instance_uid: [source.instances[index].sop_instance_uid]
            for source in sources
        }
        assert "fuse: frames 3, power 4" in header.DerivationDescription


def test_the_pixels_are_the_fused_ones(tmp_path):
    folders = scans(tmp_path)
    fused(folders, tmp_path / "out", power=0.0)
    mean = np.mean([read_volume(folder).hu for folder in folders], axis=0, dtype=np.float64)
    np.testing.assert_allclose(read_volume(tmp_path / "out" / "dicom").hu, mean, atol=0.501)


def test_check_finds_no_error_against_the_study(tmp_path):
    study = tmp_path / "study"
    fused(scans(study), tmp_path / "out")
    (one,) = check.run(tmp_path / "out" / "dicom", source=study)
    assert one.is_legal, [str(objection) for objection in one.objections]
    assert one.source_slices == 5
    assert manifest_problems(tmp_path / "out") == []


@pytest.mark.validators
def test_the_validators_find_no_error(tmp_path, dicom_validators):
    folders = scans(tmp_path)
    fused(folders, tmp_path / "out")
    paths = sorted((tmp_path / "out" / "dicom").iterdir())
    for path in paths:
        assert not errors_of(dicom_validators[0], path)
    originals = [path for folder in folders for path in folder.iterdir()]
    assert not disagreements(dicom_validators[1], [*paths, *originals])


def test_series_of_one_folder_are_named(tmp_path):
    scans(tmp_path / "study", names=["."] * FRAMES)
    report = fused([tmp_path / "study"], tmp_path / "out", series=("1", "2", "3"))
    assert report.frames == FRAMES
    with pytest.raises(UsageError, match="one scan"):
        fused([tmp_path / "study"], tmp_path / "other")


def test_other_sources_make_another_identity(tmp_path):
    folders = scans(tmp_path)
    fused(folders, tmp_path / "three")
    fused(folders[:2], tmp_path / "two")
    three, two = headers(tmp_path / "three")[0], headers(tmp_path / "two")[0]
    assert three.SeriesInstanceUID != two.SeriesInstanceUID
    assert three.SOPInstanceUID != two.SOPInstanceUID


def test_a_synthetic_or_lossy_scan_makes_the_result_so(tmp_path):
    def spoil(dataset, index):
        dataset.SyntheticData = "YES"
        dataset.LossyImageCompression = "01"

    fused(scans(tmp_path, edits=(None, spoil)), tmp_path / "out")
    for header in headers(tmp_path / "out"):
        assert header.SyntheticData == "YES"
        assert header.LossyImageCompression == "01"


def test_an_image_file_can_be_written(tmp_path):
    report = fused(scans(tmp_path), tmp_path / "out", file_format="nifti")
    assert report.files == 1
    assert (tmp_path / "out" / "image.nii").is_file()


@pytest.mark.parametrize(
    ("keyword", "told"),
    [("StudyInstanceUID", "another study"), ("FrameOfReferenceUID", "another frame of reference")],
)
def test_scans_of_another_study_or_space_are_refused(keyword, told, tmp_path):
    def spoil(dataset, index):
        setattr(dataset, keyword, uid("other"))

    folders = scans(tmp_path, edits=(None, spoil))
    with pytest.raises(StudyError, match=f"scan 2 is of {told}"):
        fused(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_scan_of_another_patient_or_kernel_is_refused(tmp_path):
    def spoil(dataset, index):
        dataset.ConvolutionKernel = "SHARP"
        dataset.PatientID = "SOMEONE-ELSE"

    with pytest.raises(InputError) as caught:
        fused(scans(tmp_path, edits=(None, None, spoil)), tmp_path / "out")
    assert "scan 3 has another kernel: SHARP" in str(caught.value)
    assert "scan 3 is of another patient" in str(caught.value)
    assert "SOMEONE-ELSE" not in str(caught.value)


def test_multi_frame_objects_are_refused_for_dicom(tmp_path):
    volume = marked_volume(slices=3, size=(16, 16))
    folders = []
    for number in (1, 2):
        folders.append(tmp_path / f"scan{number}")
        dataset = multi_frame(volume)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uid("series", number), uid(number)
        series_files(folders[-1], [dataset])
    with pytest.raises(StudyError, match="multi-frame"):
        fused(folders, tmp_path / "out")


@pytest.mark.ctdata
@pytest.mark.validators
@pytest.mark.parametrize(
    "name", ["series/siemens_chest", "series/ge_abdomen", "series/philips_chest"]
)
def test_real_headers_gain_no_error(ctdata, tmp_path, dicom_validators, name):
    part = read_volume(ctdata / name).select(slice(10, 13))
    folders = []
    for number in range(2):
        noise = np.random.default_rng(number).normal(0.0, 20.0, part.shape).astype(np.float32)
        step = Step("simulate_low_dose", {"dose_fraction": 0.5, "seed": number})
        folders.append(tmp_path / f"scan{number}")
        write_series(part.with_hu(part.hu + noise, step), folders[-1], series_number=70 + number)
    fused(folders, tmp_path / "out")
    (one,) = check.run(tmp_path / "out" / "dicom", source=folders[0])
    assert one.is_legal, [str(objection) for objection in one.objections]
    paths = sorted((tmp_path / "out" / "dicom").iterdir())
    for path, original in zip(paths, sorted(folders[0].iterdir()), strict=True):
        new = errors_of(dicom_validators[0], path) - errors_of(dicom_validators[0], original)
        assert not new

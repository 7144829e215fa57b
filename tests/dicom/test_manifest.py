"""The manifest says what was derived from what, and notices what was changed since."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pydicom
import pytest

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.errors import InputError
from ctdenoise.io.manifest import (
    MANIFEST_FILE,
    SourceFrame,
    manifest_problems,
    read_manifest,
    write_manifest,
)
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import PATIENT_ID, PATIENT_NAME, uid
from tests.dicom.deriving import DENOISE, read_source, rich
from tests.dicom.multi_frames import (
    ENHANCED,
    LEGACY,
    multi_frame_ct,
    object_file,
    small_volume,
)

SETTINGS = DicomSettings(transfer_syntax="rle", series_number=77)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    volume = read_source(tmp_path / "source", edit=rich).with_step(DENOISE)
    write_series(volume, tmp_path / "out" / "dicom", settings=SETTINGS)
    write_manifest(tmp_path / "out", ["dicom"], SETTINGS)
    return tmp_path / "out"


def test_it_names_source_file_and_digest_of_every_instance(out: Path) -> None:
    manifest = read_manifest(out)
    assert manifest.settings == SETTINGS
    (series,) = manifest.series
    first = pydicom.dcmread(out / "dicom" / "00001.dcm")
    assert series.series_instance_uid == first.SeriesInstanceUID
    assert series.study_instance_uid == first.StudyInstanceUID
    assert series.source_series_instance_uids == (uid("series", "1"),)
    for number, one in enumerate(series.instances):
        path = out / one.file
        dataset = pydicom.dcmread(path)
        assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert one.sop_instance_uid == dataset.SOPInstanceUID
        assert one.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
        assert one.sources == (SourceFrame(uid("instance", "1", number)),)
    assert manifest_problems(out) == []


def test_it_says_nothing_about_the_patient_but_uids(out: Path) -> None:
    text = (out / MANIFEST_FILE).read_text()
    for secret in (PATIENT_NAME, "Marker", PATIENT_ID, "ACC42", "20240102", "1950", "Chest"):
        assert secret not in text


def test_a_changed_file_is_noticed(out: Path) -> None:
    path = out / "dicom" / "00002.dcm"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert manifest_problems(out) == ["dicom/00002.dcm was changed since it was written"]


def test_a_missing_file_and_a_stranger_are_noticed(out: Path) -> None:
    (out / "dicom" / "00003.dcm").rename(out / "dicom" / "00004.dcm")
    assert manifest_problems(out) == [
        "dicom/00003.dcm is missing",
        "dicom/00004.dcm is not in the manifest",
    ]


def changed(out: Path, key: str, value: object) -> None:
    values = json.loads((out / MANIFEST_FILE).read_text())
    values["series"][0]["instances"][0][key] = value
    (out / MANIFEST_FILE).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("sop_instance_uid", uid("other"), "another identity"),
        ("sources", [{"sop_instance_uid": uid("other"), "frame": None}], "other source images"),
        ("file", "../source/0001.dcm", "outside its folder"),
        ("file", "/etc/passwd", "outside its folder"),
        ("file", "dicom/00002.dcm", "another identity"),
    ],
)
def test_a_manifest_that_does_not_fit_its_files_is_noticed(
    out: Path, key: str, value: object, told: str
) -> None:
    changed(out, key, value)
    assert any(told in problem for problem in manifest_problems(out))


def test_one_identity_in_two_files_is_noticed(out: Path) -> None:
    values = json.loads((out / MANIFEST_FILE).read_text())
    instances = values["series"][0]["instances"]
    instances.append(instances[0])
    (out / MANIFEST_FILE).write_text(json.dumps(values))
    assert "dicom/00001.dcm: an identity is given twice" in manifest_problems(out)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "\x00", '{"format": "x"}'])
def test_a_damaged_manifest_is_refused(out: Path, text: str) -> None:
    (out / MANIFEST_FILE).write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        manifest_problems(out)


def test_a_manifest_of_a_later_format_is_refused(out: Path) -> None:
    values = json.loads((out / MANIFEST_FILE).read_text())
    (out / MANIFEST_FILE).write_text(json.dumps({**values, "format": 2}))
    with pytest.raises(InputError, match="does not know"):
        read_manifest(out)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no manifest"):
        read_manifest(tmp_path)


def test_two_series_in_one_folder_are_refused(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    write_series(volume, tmp_path / "out" / "dicom", settings=SETTINGS)
    other = write_series(volume, tmp_path / "other")[0]
    other.rename(tmp_path / "out" / "dicom" / "00009.dcm")
    with pytest.raises(InputError, match="several series"):
        write_manifest(tmp_path / "out", ["dicom"], SETTINGS)


@pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY], ids=["enhanced", "legacy"])
def test_each_frame_of_a_multi_frame_object_names_its_source_frame(
    tmp_path: Path, sop_class: str
) -> None:
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume(), sop_class=sop_class))
    volume = read_volume(path.parent).with_step(DENOISE)
    write_series(volume, tmp_path / "out" / "dicom")
    write_manifest(tmp_path / "out", ["dicom"], DicomSettings())
    (series,) = read_manifest(tmp_path / "out").series
    (one,) = series.instances
    assert volume.source is not None
    frames = [(source.sop_instance_uid, source.frame) for source in one.sources]
    expected = [(i.sop_instance_uid, (i.frame or 0) + 1) for i in volume.source.instances]
    assert frames == expected
    assert series.source_series_instance_uids == (volume.source.series_instance_uid,)
    assert manifest_problems(tmp_path / "out") == []

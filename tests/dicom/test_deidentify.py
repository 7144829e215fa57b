"""De-identified studies: nothing of the patient in any byte, everything of the images."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, RLELossless

from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import OutputExistsError, StudyError, UsageError
from ctdenoise.io import deidentify as module
from ctdenoise.io import deidentify_rules
from ctdenoise.io.deidentify_rules import confidentiality_table
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import find_pairs, read_pair, verify_pairs
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import write_series
from ctdenoise.tasks.deidentify import run
from ctdenoise.tasks.infer import run as infer
from tests.dicom.builders import ct_series, marked_volume, multi_frame, series_files, uid
from tests.dicom.deriving import DENOISE, SIMULATE, rich
from tests.dicom.multi_frames import ENHANCED, LEGACY, multi_frame_ct, object_file, small_volume
from tests.dicom.validators import errors_of
from tests.unit.io.test_pairs import make_pair

pytest.importorskip("dicomanonymizer")

MARK = "Zyxmark"
TEXTS = ("AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "DA", "DT", "TM")
NEEDED = {
    *("ImageType", "Modality", "PhotometricInterpretation", "SpecificCharacterSet"),
    *("PatientName", "PatientID", "LongitudinalTemporalInformationModified", "FrameType"),
}
"""Left as they are in the test, because the file could not be read without them."""


def marked(dataset: Dataset, depth: int = 2) -> Dataset:
    """Put the mark into every text element of the dictionary, and into sequences of such."""
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 < 8 or keyword in NEEDED or not keyword or tag >> 16 >= 0x5000:
            continue
        if vr in TEXTS:
            value = {"DA": "19510203", "DT": "19510203", "TM": "111213"}.get(vr, MARK)
            dataset[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
    dataset.add_new(0x00090010, "LO", MARK)
    dataset.add_new(0x00091001, "LO", MARK)
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60003000, "OW", MARK.encode() + b" ")
    if depth:
        for keyword in ("ContributingEquipmentSequence", "RequestAttributesSequence"):
            setattr(dataset, keyword, Sequence([marked(Dataset(), depth - 1)]))
        dataset.SourceImageSequence = Sequence([marked(Dataset(), depth - 1)])
        dataset.SourceImageSequence[0].ReferencedSOPInstanceUID = dataset.get(
            "SOPInstanceUID", "1.2.3.4"
        )
    return dataset


@pytest.fixture(scope="module")
def marked_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the marked series in `study` and its export in `out`."""
    folder = tmp_path_factory.mktemp("marked")
    datasets = ct_series(marked_volume(slices=2))
    for dataset in datasets:
        marked(dataset)
        dataset.PatientName, dataset.PatientID = f"{MARK}^Qwert", f"{MARK}-4711"
        dataset.PatientPosition = "HFS"
        dataset.RescaleType = "HU"
        dataset.BurnedInAnnotation = "NO"
        dataset.LossyImageCompression = "00"
    series_files(folder / "study", datasets)
    run(folder / "study", out=folder / "out")
    return folder


def all_bytes(folder: Path) -> bytes:
    return b"\n".join(
        path.name.encode() + path.read_bytes() for path in folder.rglob("*") if path.is_file()
    )


def test_a_mark_in_every_text_element_at_every_depth_is_in_no_byte(marked_study):
    assert all_bytes(marked_study / "study").lower().count(MARK.lower().encode()) > 5000
    left = all_bytes(marked_study / "out").lower()
    assert MARK.lower().encode() not in left
    assert b"qwert" not in left
    assert b"19510203" not in left
    assert uid("study").encode() not in left


def test_free_words_go_though_no_one_knows_that_they_are_a_name(tmp_path):
    datasets = ct_series(marked_volume(slices=1))
    kept = deidentify_rules._KEPT_TEXTS
    for dataset in datasets:
        marked(dataset)
        dataset.PatientName, dataset.PatientID = "Other^Person", "OTHER-1"
        dataset.PatientPosition, dataset.RescaleType = "HFS", "HU"
        dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
        for item in dataset.iterall():
            if (item.VR == "CS" and item.value == MARK) or item.keyword in kept:
                item.value = "HU" if item.keyword == "RescaleType" else "X1"
    series_files(tmp_path / "study", datasets)
    run(tmp_path / "study", out=tmp_path / "out")
    assert MARK.lower().encode() not in all_bytes(tmp_path / "out").lower()


def test_the_exported_study_reads_to_the_same_voxels_and_grid(marked_study):
    before, after = read_volume(marked_study / "study"), read_volume(marked_study / "out")
    assert np.array_equal(before.hu, after.hu)
    assert before.geometry.matches(after.geometry)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_other_transfer_syntaxes_stay_what_they_are(tmp_path, syntax):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2)), syntax=syntax)
    run(tmp_path / "study", out=tmp_path / "out")
    (first, *_) = sorted((tmp_path / "out").rglob("*.dcm"))
    assert dcmread(first).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read_volume(tmp_path / "study").hu, read_volume(tmp_path / "out").hu)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_are_copied_byte_for_byte(tmp_path, syntax):
    datasets = ct_series(marked_volume(slices=2))
    series_files(tmp_path / "plain", datasets)
    (tmp_path / "study").mkdir()
    for path in sorted((tmp_path / "plain").iterdir()):
        dataset = dcmread(path)
        try:
            dataset.compress(syntax, generate_instance_uid=False)
        except (RuntimeError, ValueError, NotImplementedError) as error:
            pytest.skip(f"no encoder here: {error}")
        dataset.save_as(tmp_path / "study" / path.name)
    run(tmp_path / "study", out=tmp_path / "out")
    before = dcmread(min((tmp_path / "study").iterdir())).PixelData
    after = dcmread(min((tmp_path / "out").rglob("*.dcm"))).PixelData
    assert before == after


def test_multi_frame_objects_keep_every_frame(tmp_path):
    (tmp_path / "study").mkdir()
    volume = marked_volume(slices=4)
    series_files(tmp_path / "study", [multi_frame(volume)])
    run(tmp_path / "study", out=tmp_path / "out")
    assert np.array_equal(read_volume(tmp_path / "out").hu, volume.hu)


def test_a_derived_series_refers_to_its_source_under_new_names(tmp_path):
    series_files(tmp_path / "study" / "full", ct_series(marked_volume()))
    volume = read_volume(tmp_path / "study" / "full")
    write_series(volume.with_hu(volume.hu, SIMULATE), tmp_path / "study" / "low")
    run(tmp_path / "study", out=tmp_path / "out")
    headers = [dcmread(path) for path in sorted((tmp_path / "out").rglob("*.dcm"))]
    full = {h.SOPInstanceUID for h in headers if h.get("SyntheticData") != "YES"}
    low = [h for h in headers if h.get("SyntheticData") == "YES"]
    assert len(full) == len(low) == 6
    referred = {h.SourceImageSequence[0].ReferencedSOPInstanceUID for h in low}
    assert referred == full
    assert {h.StudyInstanceUID for h in headers} == {headers[0].StudyInstanceUID}
    assert all("SIMULATED" in h.SeriesDescription for h in low)


def test_each_export_has_identities_of_its_own_and_a_key_gives_the_same_again(tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2)))
    (tmp_path / "key").write_bytes(bytes(range(32)))
    uids = []
    for name, key in (("a", None), ("b", None), ("c", tmp_path / "key"), ("d", tmp_path / "key")):
        run(tmp_path / "study", out=tmp_path / name, key_file=key)
        header = dcmread(min((tmp_path / name).rglob("*.dcm")))
        uids.append((header.SOPInstanceUID, header.PatientID))
    assert len(set(uids)) == 3
    assert uids[2] == uids[3]


def test_dates_go_or_move_together(tmp_path):
    datasets = ct_series(marked_volume(slices=2))
    for dataset in datasets:
        dataset.SeriesDate = "20240105"  # three days after the study
    series_files(tmp_path / "study", datasets)
    run(tmp_path / "study", out=tmp_path / "removed")
    run(tmp_path / "study", out=tmp_path / "shifted", dates="shift")
    removed, shifted = (
        dcmread(min((tmp_path / name).rglob("*.dcm"))) for name in ("removed", "shifted")
    )
    assert (removed.StudyDate, removed.get("SeriesDate")) == ("", None)
    assert removed.LongitudinalTemporalInformationModified == "REMOVED"
    assert int(shifted.SeriesDate) != 20240105
    days = np.datetime64(iso(shifted.SeriesDate)) - np.datetime64(iso(shifted.StudyDate))
    assert days == np.timedelta64(3, "D")
    assert shifted.PatientBirthDate == ""
    assert shifted.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in shifted.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107"]


def iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}"


def test_what_may_show_words_is_left_out_and_named(tmp_path):
    series_files(tmp_path / "study" / "a", ct_series(marked_volume(slices=3)))
    burned = ct_series(marked_volume(slices=3), series="2")
    for dataset in burned:
        dataset.BurnedInAnnotation = "YES"
    series_files(tmp_path / "study" / "b", burned)
    scout = ct_series(marked_volume(slices=1), series="3")
    scout[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    series_files(tmp_path / "study" / "c", scout)
    report = run(tmp_path / "study", out=tmp_path / "out")
    reasons = {one.number: one.reason for one in report.export.left_out}
    assert "BurnedInAnnotation" in reasons[2]
    assert "not CT images" in reasons[3]
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 3
    record = json.loads((tmp_path / "out" / "deidentify.json").read_text())
    assert len(record["left_out"]) == 2


@pytest.mark.parametrize("leak", ["DerivationDescription", "PatientComments", "private", "uid"])
def test_a_leak_in_the_rules_stops_the_export_before_anything_appears(tmp_path, monkeypatch, leak):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2)))
    honest = deidentify_rules.Rules.applied

    def leaking(self, source):
        clean = honest(self, source)
        if leak == "private":
            clean.add_new(0x00090010, "LO", "something")
        elif leak == "uid":
            clean.ReferencedStudySequence = Sequence([Dataset()])
            clean.ReferencedStudySequence[0].ReferencedSOPInstanceUID = source.SOPInstanceUID
        else:
            setattr(clean, leak, "an innocent word")
        return clean

    monkeypatch.setattr(deidentify_rules.Rules, "applied", leaking)
    with pytest.raises(StudyError, match="would remain"):
        run(tmp_path / "study", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


def test_changed_pixels_stop_the_export(tmp_path, monkeypatch):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2)))
    honest = module._write

    def spoiling(clean, source, target):
        clean.PixelData = bytes(len(source.PixelData))
        honest(clean, source, target)

    monkeypatch.setattr(module, "_write", spoiling)
    with pytest.raises(StudyError, match="pixel data changed"):
        run(tmp_path / "study", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_heads_are_warned_of(tmp_path):
    datasets = ct_series(marked_volume(slices=2, spacing_mm=(10.0, 10.0)))
    series_files(tmp_path / "chest", datasets)
    for dataset in datasets:
        dataset.BodyPartExamined = "HEAD"
    series_files(tmp_path / "head", datasets)
    assert run(tmp_path / "chest", out=tmp_path / "a").faces == ()
    assert run(tmp_path / "head", out=tmp_path / "b").faces == (1,)


def test_nifti_headers_lose_their_words_and_keep_their_voxels(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4) * 50 - 1000, np.eye(4))
    image.header["descrip"], image.header["aux_file"] = MARK, MARK
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", MARK.encode()))
    (tmp_path / "study").mkdir()
    for name in (f"{MARK}.nii", f"{MARK}2.nii.gz"):
        nib.save(image, tmp_path / "study" / name)
    run(tmp_path / "study", out=tmp_path / "out")
    for path in (tmp_path / "out").glob("image_*"):
        again = nib.load(path)
        assert np.array_equal(np.asarray(again.dataobj), np.asarray(image.dataobj))
        assert np.array_equal(again.affine, image.affine)
        assert MARK.encode() not in again.header.binaryblock
        assert not again.header.extensions
    assert len(list((tmp_path / "out").glob("image_*"))) == 2
    assert MARK.encode() not in all_bytes(tmp_path / "out")


def test_a_short_key_and_a_taken_folder_are_refused(tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2)))
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(UsageError, match="16 bytes"):
        run(tmp_path / "study", out=tmp_path / "out", key_file=tmp_path / "key")
    with pytest.raises(OutputExistsError):
        run(tmp_path / "study", out=tmp_path / "study")


def test_the_table_of_the_standard_is_whole():
    table = confidentiality_table()
    assert len(table) > 600
    assert table[0x0010, 0x0010] == "Z"
    assert table[0x0008, 0x0018] == "U"
    assert table[0x0008, 0x2112] == "X/Z/U*"


def test_every_series_that_was_readable_still_is(marked_study):
    assert [series.readable for series in find_series(marked_study / "out")] == [True]


def test_dciodvfy_finds_no_error_that_the_source_did_not_have(tmp_path, dicom_validators):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=1), edit=rich_without_overlays))
    before = errors_of(dicom_validators[0], next((tmp_path / "study").iterdir()))
    for dates in ("remove", "shift"):
        run(tmp_path / "study", out=tmp_path / dates, dates=dates)
        after = errors_of(dicom_validators[0], next((tmp_path / dates).rglob("*.dcm")))
        assert after - before == Counter()


@pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY])
def test_a_multi_frame_object_and_what_is_derived_from_it_gain_no_error(
    tmp_path, dicom_validators, sop_class
):
    source = object_file(
        tmp_path / "study" / "a", multi_frame_ct(small_volume(), sop_class=sop_class)
    )
    write_series(read_volume(source).with_step(DENOISE), tmp_path / "study" / "b")
    run(tmp_path / "study", out=tmp_path / "out")
    exported = sorted((tmp_path / "out").rglob("*.dcm"))
    assert len(exported) == 2
    for path in exported:
        assert errors_of(dicom_validators[0], path) == Counter()


def test_a_training_pair_keeps_its_images_and_loses_the_key_of_its_patient(tmp_path):
    (tmp_path / "study").mkdir()
    write_pairs(tmp_path / "study", [make_pair()])
    report = run(tmp_path / "study", out=tmp_path / "out")
    assert report.pairs == 1
    (before,), (after,) = find_pairs([tmp_path / "study"]), find_pairs([tmp_path / "out"])
    verify_pairs([after])
    assert np.array_equal(read_pair(before).low.hu, read_pair(after).low.hu)
    key = json.loads((tmp_path / "out" / "pair_001" / "pair.json").read_text())["patient_key"]
    assert len(key) == 8
    assert key != "ab12"


def test_the_exported_study_can_be_worked_on(tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=3), edit=rich_without_overlays))
    run(tmp_path / "study", out=tmp_path / "out")
    infer(tmp_path / "out", model="identity", settings=InferSettings(), out=tmp_path / "denoised")
    assert len(list((tmp_path / "denoised").rglob("*.dcm"))) == 3


def test_real_series_keep_their_voxels(ctdata, tmp_path, dicom_validators):
    for name in ("zoo/philips_tilted_with_scout", "zoo/ge_head_tilt_uneven_gaps"):
        out = tmp_path / name.replace("/", "_")
        run(ctdata / name, out=out)
        series = next(series for series in find_series(ctdata / name) if series.readable)
        assert np.array_equal(read_volume(series).hu, read_volume(out).hu)
        first = series.source.instances[0].path
        written = next(path for path in sorted(out.rglob("*.dcm")) if same_pixels(path, first))
        program = dicom_validators[0]
        assert errors_of(program, written) - errors_of(program, first) == Counter()


def rich_without_overlays(dataset: Dataset, index: int) -> None:
    rich(dataset, index)
    for element in list(dataset):
        if element.tag.group >> 8 == 0x60:
            del dataset[element.tag]


def same_pixels(one: Path, other: Path) -> bool:
    return bool(dcmread(one).PixelData == dcmread(other).PixelData)

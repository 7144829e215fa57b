"""Coded words of segments: those of the standard, found by names, or told by the settings."""

from __future__ import annotations

import pydicom
import pytest
from pydantic import ValidationError
from pydicom.sr.codedict import codes

from ctdenoise.config.inference import SegmentSettings
from ctdenoise.errors import SettingsError
from ctdenoise.io.dicom_segments import segment_codes
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.objects import labelling_model, run

ANATOMY, TISSUE = codes.SCT.AnatomicalStructure, codes.SCT.Tissue
ABNORMAL = codes.SCT.MorphologicallyAbnormalStructure
LEFT, RIGHT = codes.CID244.Left, codes.CID244.Right


@pytest.mark.parametrize(
    ("name", "category", "type_", "side", "region"),
    [
        ("liver", ANATOMY, codes.CID7192.Liver, None, None),
        ("lung_left", ANATOMY, codes.CID7192.Lung, LEFT, None),
        ("Right Lung", ANATOMY, codes.CID7192.Lung, RIGHT, None),
        ("lungs", ANATOMY, codes.CID7192.Lung, None, None),
        ("kidney_right", ANATOMY, codes.CID7192.Kidney, RIGHT, None),
        ("lung_upper_lobe_left", ANATOMY, codes.CID7192.UpperLobeOfLung, LEFT, None),
        ("tumour", ABNORMAL, codes.CID7159.Neoplasm, None, None),
        ("lesions", ABNORMAL, codes.CID7159.Lesion, None, None),
        ("liver tumor", ABNORMAL, codes.CID7159.Neoplasm, None, codes.CID7192.Liver),
        ("kidney cyst left", ABNORMAL, codes.CID7159.Cyst, LEFT, codes.CID7192.Kidney),
        ("fat", TISSUE, codes.CID7166.AdiposeTissue, None, None),
        ("class 3", ANATOMY, ANATOMY, None, None),
    ],
)
def test_names_give_the_words_of_the_standard(name, category, type_, side, region):
    found = segment_codes(name)
    assert (found.category, found.type, found.side, found.region) == (category, type_, side, region)


def test_settings_say_what_a_name_does_not():
    settings = {"spot": SegmentSettings(type="nodule", laterality="left")}
    found = segment_codes("spot", settings)
    assert (found.category, found.type, found.side) == (ABNORMAL, codes.CID7159.Nodule, LEFT)


def test_settings_may_give_a_code():
    settings = {"x": SegmentSettings(type="78961009^SCT^Spleen", category="anatomy")}
    found = segment_codes("x", settings)
    assert found.type == codes.CID7192.Spleen


def test_a_side_can_be_taken_away():
    assert segment_codes("left", {"left": SegmentSettings(laterality="none")}).side is None


def test_a_type_that_the_standard_lacks_is_refused():
    with pytest.raises(SettingsError, match="wobble"):
        segment_codes("x", {"x": SegmentSettings(type="wobble")})


@pytest.mark.parametrize("text", ["1^SCT", "1^2^3^4", "^SCT^Liver", "1\\2^SCT^Liver", ""])
def test_what_is_neither_name_nor_code_is_refused(text):
    with pytest.raises(ValidationError):
        SegmentSettings(type=text)


def test_a_segmentation_has_the_words_of_names_and_settings(tmp_path):
    classes = ("background", "spot", "kidney_left", "liver_tumour", "nowhere")
    model = labelling_model(tmp_path / "m.safetensors", classes)
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2, size=(32, 40))))
    run(tmp_path / "study", model, tmp_path / "plain")
    spot = {"spot": {"type": "spleen", "category": "anatomy"}}
    run(tmp_path / "study", model, tmp_path / "told", segments=spot)
    plain, told = (
        pydicom.dcmread(tmp_path / name / "segmentation" / "00001.dcm")
        for name in ("plain", "told")
    )
    assert plain.SOPInstanceUID != told.SOPInstanceUID
    types = [one.SegmentedPropertyTypeCodeSequence[0] for one in told.SegmentSequence]
    assert [one.CodeMeaning for one in types] == [
        "Spleen",
        "Kidney",
        "Neoplasm",
        "Anatomical Structure",
    ]
    (side,) = types[1].SegmentedPropertyTypeModifierCodeSequence
    assert side.CodeMeaning == "Left"
    (region,) = told.SegmentSequence[2].AnatomicRegionSequence
    assert region.CodeMeaning == "Liver"


def test_settings_for_a_label_that_is_none_are_refused_before_any_work(tmp_path):
    model = labelling_model(tmp_path / "m.safetensors")
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2, size=(32, 40))))
    with pytest.raises(SettingsError, match="no label named livr"):
        run(tmp_path / "study", model, tmp_path / "out", segments={"livr": {"type": "liver"}})

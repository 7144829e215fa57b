"""A derived series is new, says what it is, and leaves everything else of its source alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ctdenoise.core.provenance import Step
from ctdenoise.io.dicom_attributes import RULES, TYPE_2, Fate
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.deriving import DENOISE, SIMULATE, derive, read_source, rich


@pytest.fixture(autouse=True)
def fixed_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


UNTOUCHED = [
    *("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("InstanceNumber", "KVP", "AcquisitionNumber", "RescaleSlope", "RescaleIntercept"),
    *("WindowCenter", "BitsStored", "HighBit", "PixelRepresentation", "Exposure", "CTDIvol"),
    "IrradiationEventUID",
]

Edit = Callable[[Dataset, int], None]


def same_element(source: Dataset, derived: Dataset, tag: int) -> bool:
    return tag in source and tag in derived and source[tag].value == derived[tag].value


@pytest.mark.parametrize("step", [DENOISE, SIMULATE])
def test_the_table_says_exactly_what_changes(tmp_path: Path, step: Step) -> None:
    sources, derived = derive(tmp_path, step, edit=rich, change_hu=3.0)
    is_simulated = step is SIMULATE
    fate = {Tag(rule.keyword): rule.fate for rule in RULES}
    may_change = {Fate.REPLACED} | ({Fate.REPLACED_IF_SIMULATED} if is_simulated else set())
    may_go = {Fate.DROPPED} | ({Fate.DROPPED_IF_SIMULATED} if is_simulated else set())
    for source, new in zip(sources, derived, strict=True):
        tags = set(source.keys()) | set(new.keys())
        changed = {tag for tag in tags if not same_element(source, new, tag)}
        for tag in changed:
            if tag.is_private or tag.group in (0x5000, 0x6002, 0x6004) or tag == 0x0028_0120:
                assert tag not in new
            elif tag not in new:
                assert fate[tag] in may_go, tag
            elif tag not in source and fate.get(tag) not in may_change:
                assert new[tag].keyword in TYPE_2
                assert new[tag].is_empty
            elif tag != Tag("RequestAttributesSequence"):  # it lost a private element
                assert fate[tag] in may_change, tag
        for tag in tags:
            assert not (tag in new and fate.get(tag) in may_go), tag


def test_the_table_has_one_row_for_each_attribute() -> None:
    keywords = [rule.keyword for rule in RULES]
    assert len(set(keywords)) == len(keywords)
    assert all(Tag(keyword) for keyword in keywords)
    assert all(rule.reason for rule in RULES)


def test_identities_are_new_and_unlike_those_of_the_source(tmp_path: Path) -> None:
    sources, derived = derive(tmp_path)
    old = {source.SOPInstanceUID for source in sources}
    new = {one.SOPInstanceUID for one in derived}
    assert len(new) == len(derived)
    assert not old & new
    assert len({one.SeriesInstanceUID for one in derived}) == 1
    assert derived[0].SeriesInstanceUID != sources[0].SeriesInstanceUID
    for one in derived:
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        assert one.file_meta.MediaStorageSOPClassUID == one.SOPClassUID
        assert one.SOPInstanceUID.is_valid


def test_patient_study_and_place_stay(tmp_path: Path) -> None:
    sources, derived = derive(tmp_path, edit=rich)
    for source, one in zip(sources, derived, strict=True):
        for keyword in UNTOUCHED:
            assert source[keyword].value == one[keyword].value, keyword


def test_a_derived_image_says_so(tmp_path: Path) -> None:
    sources, derived = derive(tmp_path)
    for source, one in zip(sources, derived, strict=True):
        assert list(one.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
        assert "redcnn" in one.DerivationDescription
        assert [item.CodeValue for item in one.DerivationCodeSequence] == ["113087"]
        (image,) = one.SourceImageSequence
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert image.ReferencedSOPClassUID == source.SOPClassUID
        assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert image.SpatialLocationsPreserved == "YES"
        (series,) = one.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        (instance,) = series.ReferencedInstanceSequence
        assert instance.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert one.SeriesDescription == "Series 1 [ctdenoise]"
        assert one.SeriesNumber == 1001
        assert "SyntheticData" not in one


def test_multi_energy_images_keep_what_their_pixels_are(tmp_path: Path) -> None:
    def virtual_monochromatic(dataset: Dataset, index: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "VMI"]

    _, derived = derive(tmp_path, edit=virtual_monochromatic)
    assert list(derived[0].ImageType) == ["DERIVED", "SECONDARY", "AXIAL", "VMI"]


def test_the_maker_is_this_program_and_the_scanner_contributed(tmp_path: Path) -> None:
    sources, derived = derive(tmp_path, edit=rich)
    one = derived[0]
    assert one.Manufacturer == one.ManufacturerModelName == "ctdenoise"
    assert list(one.SoftwareVersions)[1:] == ["redcnn"]
    assert "StationName" not in one
    injector, scanner = one.ContributingEquipmentSequence
    assert (injector.Manufacturer, injector.StationName) == ("Injector Inc", "INJ1")
    assert scanner.Manufacturer == sources[0].Manufacturer
    assert scanner.DeviceSerialNumber == "SN-77"
    assert list(scanner.SoftwareVersions) == ["v1", "v2"]
    assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"


def test_equipment_that_derived_the_source_is_processing_equipment(tmp_path: Path) -> None:
    def already_derived(dataset: Dataset, index: int) -> None:
        dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]

    _, derived = derive(tmp_path, edit=already_derived)
    (item,) = derived[0].ContributingEquipmentSequence
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"


def test_a_scanner_without_a_name_is_unknown_and_not_left_out(tmp_path: Path) -> None:
    def nameless(dataset: Dataset, index: int) -> None:
        del dataset.Manufacturer

    _, derived = derive(tmp_path, edit=nameless)
    assert derived[0].ContributingEquipmentSequence[0].Manufacturer == "UNKNOWN"


def test_a_series_has_one_moment_everywhere(tmp_path: Path) -> None:
    _, derived = derive(tmp_path)
    keywords = ("SeriesDate", "ContentDate", "InstanceCreationDate")
    assert {one[keyword].value for one in derived for keyword in keywords} == {"20231114"}
    times = ("SeriesTime", "ContentTime", "InstanceCreationTime")
    assert {one[keyword].value for one in derived for keyword in times} == {"221320"}
    assert derived[0].AcquisitionDate == "20240102"


def test_a_simulated_series_cannot_be_taken_for_a_scan(tmp_path: Path) -> None:
    sources, derived = derive(tmp_path, SIMULATE, edit=rich)
    for source, one in zip(sources, derived, strict=True):
        assert one.SyntheticData == "YES"
        assert one.ImageComments == "SIMULATED 25 % RESEARCH USE ONLY breath hold"
        assert one.SeriesDescription == "SIMULATED 25 % RESEARCH USE ONLY Series 1"
        purposes = [
            item.PurposeOfReferenceCodeSequence[0].CodeValue
            for item in one.ContributingEquipmentSequence[1:]
        ]
        assert purposes == ["109101", "109100"]
        assert one.Exposure == round(int(source.Exposure) * 0.25)
        assert one.XRayTubeCurrent == 50
        assert one.ExposureInuAs == 25000
        assert one.CTDIvol == 2.0
        assert one.ExposureTime == source.ExposureTime
        assert "IrradiationEventUID" not in one
        assert [item.CodeValue for item in one.DerivationCodeSequence] == ["113042"]


def test_synthetic_is_inherited_by_what_is_derived_from_it(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", edit=rich)
    write_series(volume.with_step(SIMULATE), tmp_path / "simulated")
    simulated = read_volume(tmp_path / "simulated")
    (path, *_) = write_series(simulated.with_step(DENOISE), tmp_path / "denoised")
    one = pydicom.dcmread(path)
    assert one.SyntheticData == "YES"
    assert one.SeriesDescription == "SIMULATED 25 % RESEARCH USE ONLY Series 1 [ctdenoise]"
    assert one.ImageComments.startswith("SIMULATED 25 %")
    assert one.CTDIvol == 2.0  # scaled once, not again
    purposes = [
        item.PurposeOfReferenceCodeSequence[0].CodeValue
        for item in one.ContributingEquipmentSequence[1:]
    ]
    assert purposes == ["109101", "109100", "109102"]

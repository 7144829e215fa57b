"""What a derived multi-frame object says: every row of its table, frame by frame."""

from __future__ import annotations

import copy
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.io.dicom_attributes import Fate
from ctdenoise.io.dicom_enhanced_attributes import MULTI_FRAME_RULES, MULTI_FRAME_TYPE_1
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import write_series
from tests.dicom.builders import uid
from tests.dicom.deriving import DENOISE, SIMULATE, raw_bytes, rich
from tests.dicom.multi_frames import (
    ENHANCED,
    LEGACY,
    derive_object,
    multi_frame_ct,
    object_file,
    small_volume,
)

CLASSES = pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY], ids=["enhanced", "legacy"])
ACQUIRED = [
    rule.keyword
    for rule in MULTI_FRAME_RULES
    if rule.fate is Fate.KEPT and rule.keyword != "SharedFunctionalGroupsSequence"
]


def groups_of(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The item of a functional group that holds for a frame."""
    for holder in (
        dataset.PerFrameFunctionalGroupsSequence[frame],
        dataset.SharedFunctionalGroupsSequence[0],
    ):
        if keyword in holder:
            return holder[keyword].value[0]
    return None


def everywhere(dataset: Dataset, keyword: str) -> list[object]:
    """Values of an attribute anywhere below the top."""
    found: list[object] = []
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                if keyword in item:
                    found.append(item[keyword].value)
                found += everywhere(item, keyword)
    return found


@CLASSES
def test_a_derived_object_is_new_and_of_the_class_of_its_source(
    tmp_path: Path, sop_class: str
) -> None:
    source, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), sop_class=sop_class))
    assert derived.SOPClassUID == source.SOPClassUID == sop_class
    assert derived.file_meta.MediaStorageSOPClassUID == sop_class
    assert derived.file_meta.MediaStorageSOPInstanceUID == derived.SOPInstanceUID
    assert derived.SOPInstanceUID != source.SOPInstanceUID
    assert derived.SeriesInstanceUID != source.SeriesInstanceUID
    assert derived.SeriesNumber == source.SeriesNumber + 1000
    assert derived.SeriesDescription == "Series 1 [ctdenoise]"
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert raw_bytes(derived, keyword) == raw_bytes(source, keyword)
    assert derived.InstanceNumber == source.InstanceNumber


@CLASSES
@pytest.mark.parametrize(
    ("steps", "contrast"),
    [((DENOISE,), "FILTERED"), ((SIMULATE,), "ADDITION"), ((SIMULATE, DENOISE), "FILTERED")],
    ids=["denoised", "simulated", "both"],
)
def test_every_frame_is_derived_and_primary(
    tmp_path: Path, sop_class: str, steps: tuple[Step, ...], contrast: str
) -> None:
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume(), sop_class=sop_class))
    volume = read_volume(path)
    for step in steps:
        volume = volume.with_step(step)
    derived = pydicom.dcmread(write_series(volume, tmp_path / "derived")[0])
    expected = ["DERIVED", "PRIMARY", "VOLUME", contrast]
    assert derived.ImageType == expected
    assert everywhere(derived, "FrameType") == [expected]


def test_a_multi_energy_frame_stays_one_and_the_object_is_mixed(tmp_path: Path) -> None:
    def of_two_kinds(dataset: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            kind = copy.deepcopy(shared.CTImageFrameTypeSequence[0])
            kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "VMI" if index < 2 else "NONE"]
            frame.CTImageFrameTypeSequence = [kind]
        del shared.CTImageFrameTypeSequence

    _, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), edit=of_two_kinds))
    kinds = [values[3] for values in everywhere(derived, "FrameType")]
    assert kinds == ["VMI", "VMI", "FILTERED", "FILTERED"]
    assert derived.ImageType == ["DERIVED", "PRIMARY", "VOLUME", "MIXED"]


@CLASSES
def test_each_frame_names_its_source_frame_and_what_was_done(
    tmp_path: Path, sop_class: str
) -> None:
    order = [2, 0, 3, 1]
    dataset = multi_frame_ct(small_volume(), sop_class=sop_class, order=order)
    source, derived = derive_object(tmp_path, dataset)
    for index, frame in enumerate(derived.PerFrameFunctionalGroupsSequence):
        (item,) = frame.DerivationImageSequence
        assert "redcnn" in item.DerivationDescription
        (code,) = item.DerivationCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator) == ("113087", "DCM")
        (image,) = item.SourceImageSequence
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert image.ReferencedSOPClassUID == sop_class
        assert image.ReferencedFrameNumber == order.index(index) + 1
        assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert image.SpatialLocationsPreserved == "YES"
    (study,) = derived.SourceImageEvidenceSequence
    assert study.StudyInstanceUID == source.StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    (evidence,) = series.ReferencedSOPSequence
    assert evidence.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert derived.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID


@CLASSES
@pytest.mark.parametrize("keyword", ACQUIRED)
def test_the_functional_groups_of_each_source_frame_are_kept(
    tmp_path: Path, sop_class: str, keyword: str
) -> None:
    order = [2, 0, 3, 1]
    dataset = multi_frame_ct(small_volume(), sop_class=sop_class, order=order)
    source, derived = derive_object(tmp_path, dataset)
    for index in range(4):
        old = groups_of(source, order.index(index), keyword)
        assert groups_of(derived, index, keyword) == old
        assert (old is None) == (sop_class == LEGACY and keyword.startswith("CT"))
    kept = [tag for tag in source.SharedFunctionalGroupsSequence[0] if tag.keyword == keyword]
    assert len(kept) == (keyword in derived.SharedFunctionalGroupsSequence[0])


@CLASSES
def test_the_dose_in_the_functional_groups_is_scaled_where_it_is_simulated(
    tmp_path: Path, sop_class: str
) -> None:
    dataset = multi_frame_ct(small_volume(), sop_class=sop_class)
    source, derived = derive_object(tmp_path, dataset, SIMULATE)
    names = ["Exposure"] if sop_class == LEGACY else ["ExposureInmAs", "XRayTubeCurrentInmA"]
    for keyword in (*names, *([] if sop_class == LEGACY else ["CTDIvol"])):
        old = [float(value) for value in everywhere(source, keyword)]
        assert len(old) == 4
        new = [float(value) for value in everywhere(derived, keyword)]
        assert new == pytest.approx([value / 4 for value in old], abs=0.5)
    assert derived.SyntheticData == "YES"
    assert "SIMULATED 25 %" in derived.ImageComments
    (event,) = everywhere(derived, "IrradiationEventUID")
    assert event not in everywhere(source, "IrradiationEventUID")


def test_the_dose_of_a_denoised_object_is_that_of_the_scan(tmp_path: Path) -> None:
    source, derived = derive_object(tmp_path, multi_frame_ct(small_volume()))
    for keyword in ("ExposureInmAs", "CTDIvol", "IrradiationEventUID"):
        assert everywhere(derived, keyword) == everywhere(source, keyword)
    assert "SyntheticData" not in derived


@CLASSES
def test_the_equipment_is_ours_and_the_scanner_contributed(tmp_path: Path, sop_class: str) -> None:
    source, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), sop_class=sop_class))
    assert derived.Manufacturer == derived.ManufacturerModelName == "ctdenoise"
    scanner = derived.ContributingEquipmentSequence[-1]
    assert scanner.DeviceSerialNumber == source.DeviceSerialNumber
    assert scanner.Manufacturer == source.Manufacturer
    assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    serial = derived.get("DeviceSerialNumber")  # type 1 in Enhanced General Equipment
    assert serial != source.DeviceSerialNumber
    assert bool(serial) == (sop_class == ENHANCED)
    assert derived.get("ContentQualification") == ("RESEARCH" if sop_class == ENHANCED else None)


def test_what_the_tables_drop_is_nowhere_in_the_object(tmp_path: Path) -> None:
    dropped = [rule.keyword for rule in MULTI_FRAME_RULES if rule.fate is Fate.DROPPED]

    def spoil(dataset: Dataset) -> None:
        rich(dataset, 0)
        for keyword in dropped:
            if keyword.endswith("UID") or keyword == "SOPInstanceUIDOfConcatenationSource":
                setattr(dataset, keyword, uid(keyword))
            elif keyword.endswith("Sequence"):
                setattr(dataset, keyword, [Dataset()])
            else:
                setattr(dataset, keyword, "text" if keyword.endswith("Description") else 1)
        for groups in (
            dataset.SharedFunctionalGroupsSequence[0],
            dataset.PerFrameFunctionalGroupsSequence[1].FrameContentSequence[0],
        ):
            groups.add_new((0x0009, 0x0010), "LO", "NESTED PRIVATE")
            groups.add_new((0x0009, 0x1001), "LO", "secret")
        unassigned = Dataset()
        unassigned.StationName, unassigned.SliceLocation = "CT3", "1.5"
        frame = dataset.PerFrameFunctionalGroupsSequence[0]
        frame.UnassignedPerFrameConvertedAttributesSequence = [unassigned]

    _, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), edit=spoil))
    for keyword in dropped:
        assert keyword not in derived, keyword
    # The scanner's station stays in the equipment that contributed.
    assert set(everywhere(derived, "StationName")) == {"CT3", "INJ1"}
    assert len(everywhere(derived, "StationName")) == 2
    assert everywhere(derived, "SliceLocation") == [1.5]
    for keyword in ("SmallestImagePixelValue", "ConversionSourceAttributesSequence"):
        assert not everywhere(derived, keyword)
    text = (tmp_path / "derived" / "00001.dcm").read_bytes()
    assert b"NESTED PRIVATE" not in text
    assert b"secret" not in text


def test_the_conversion_from_single_slices_is_not_that_of_the_derived_object(
    tmp_path: Path,
) -> None:
    source, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), sop_class=LEGACY))
    assert everywhere(source, "SmallestImagePixelValue")
    for keyword in ("SmallestImagePixelValue", "ConversionSourceAttributesSequence"):
        assert not everywhere(derived, keyword)
    for keyword in ("KVP", "ConvolutionKernel"):
        assert everywhere(derived, keyword) == everywhere(source, keyword)


def test_text_is_kept_as_the_bytes_it_is_in_any_character_set(tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎"

    def japanese(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        dataset.PatientName = name
        dataset.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].FrameComments = "山田"

    source, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), edit=japanese))
    assert raw_bytes(derived, "PatientName") == raw_bytes(source, "PatientName")
    assert derived.PatientName == name
    assert everywhere(derived, "FrameComments") == ["山田"]


def test_two_stacks_of_an_object_become_two_series(tmp_path: Path) -> None:
    volume = small_volume(4)
    stacks = [1, 2, 1, 2]

    def at_the_same_places(dataset: Dataset) -> None:
        frames = dataset.PerFrameFunctionalGroupsSequence
        for frame in (1, 3):
            frames[frame].PlanePositionSequence = frames[frame - 1].PlanePositionSequence

    dataset = multi_frame_ct(volume, stacks=stacks, edit=at_the_same_places)
    path = object_file(tmp_path / "source", dataset)
    uids = set()
    for number, found in enumerate(find_series(path)):
        stack = read_volume(found)
        (written,) = write_series(stack.with_step(DENOISE), tmp_path / str(number))
        derived = pydicom.dcmread(written)
        uids |= {derived.SOPInstanceUID, derived.SeriesInstanceUID}
        assert derived.NumberOfFrames == 2
        assert everywhere(derived, "StackID") == [str(number + 1)] * 2
        assert everywhere(derived, "DimensionIndexValues") == [[1, 1], [1, 2]]
        assert everywhere(derived, "InStackPositionNumber") == [1, 2]
        organizations = set(everywhere(derived, "DimensionOrganizationUID"))
        assert len(organizations) == 1
        # The first stack is counted as before, so its indices mean what they meant.
        assert (organizations == {uid("dimensions")}) == (number == 0)
        assert (derived.pixel_array == path_frames(path)[number::2]).all()
    assert len(uids) == 4


def path_frames(path: Path):
    return pydicom.dcmread(path).pixel_array


def test_a_dimension_of_a_private_element_goes_with_the_element(tmp_path: Path) -> None:
    def private_dimension(dataset: Dataset) -> None:
        item = Dataset()
        item.DimensionOrganizationUID = uid("dimensions")
        item.DimensionIndexPointer = Tag(0x2005, 0x1001)
        item.FunctionalGroupPointer = Tag("FrameContentSequence")
        item.DimensionIndexPrivateCreator = "MAKER"
        dataset.DimensionIndexSequence.insert(0, item)
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            content = frame.FrameContentSequence[0]
            content.DimensionIndexValues = [1, *content.DimensionIndexValues]

    _, derived = derive_object(tmp_path, multi_frame_ct(small_volume(), edit=private_dimension))
    assert len(derived.DimensionIndexSequence) == 2
    assert everywhere(derived, "DimensionIndexValues") == [[1, 1], [1, 2], [1, 3], [1, 4]]


def test_every_object_of_a_series_gives_one_though_their_slices_alternate(tmp_path: Path) -> None:
    volume = small_volume(6)
    for number, which in enumerate(([4, 0, 2], [1, 3, 5])):
        part = multi_frame_ct(volume, name=str(number), order=which)
        part.InstanceNumber = number + 1
        object_file(tmp_path / "source", part, name=f"object{number}")
    read = read_volume(tmp_path / "source")
    paths = write_series(read.with_step(DENOISE), tmp_path / "out")
    assert [path.name for path in paths] == ["00001.dcm", "00002.dcm"]
    derived = [pydicom.dcmread(path) for path in paths]
    assert [one.NumberOfFrames for one in derived] == [3, 3]
    assert [one.InstanceNumber for one in derived] == [1, 2]
    assert len({one.SeriesInstanceUID for one in derived}) == 1
    assert len({one.SOPInstanceUID for one in derived}) == 2
    assert (read_volume(tmp_path / "out").hu == volume.hu).all()


def test_the_same_work_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = object_file(tmp_path / "source", multi_frame_ct(small_volume()))
    before = path.read_bytes()
    written = [
        write_series(read_volume(path).with_step(DENOISE), tmp_path / name)[0].read_bytes()
        for name in ("one", "two")
    ]
    assert written[0] == written[1]
    assert path.read_bytes() == before


def test_type_1_is_what_the_written_objects_have(tmp_path: Path) -> None:
    _, derived = derive_object(tmp_path, multi_frame_ct(small_volume()))
    for keyword in MULTI_FRAME_TYPE_1:
        assert not derived[keyword].is_empty


def test_private_elements_are_kept_on_request_and_so_are_their_dimensions(tmp_path: Path) -> None:
    def with_private(dataset: Dataset) -> None:
        content = dataset.PerFrameFunctionalGroupsSequence[2].FrameContentSequence[0]
        content.add_new((0x2005, 0x0010), "LO", "MAKER")
        content.add_new((0x2005, 0x1001), "SH", "phase 3")
        dataset.add_new((0x0009, 0x0010), "LO", "MAKER")
        dataset.add_new((0x0009, 0x1001), "LO", "at the top")

    dataset = multi_frame_ct(small_volume(), edit=with_private)
    settings = DicomSettings(private="keep")
    _, kept = derive_object(tmp_path / "keep", dataset, settings=settings)
    _, dropped = derive_object(tmp_path / "drop", dataset)
    content = kept.PerFrameFunctionalGroupsSequence[2].FrameContentSequence[0]
    assert content[0x2005, 0x1001].value == "phase 3"
    assert kept[0x0009, 0x1001].value == "at the top"
    assert kept.SOPInstanceUID != dropped.SOPInstanceUID
    assert (0x0009, 0x1001) not in dropped


@pytest.mark.parametrize(
    ("step", "settings", "code"),
    [
        (DENOISE, DicomSettings(derivation_code="local"), "NR-DL"),
        (Step("degrade", {"seed": 1}), DicomSettings(), "IMG-PROC"),
    ],
    ids=["denoised", "degraded"],
)
def test_a_local_code_comes_with_its_coding_scheme(
    tmp_path: Path, step: Step, settings: DicomSettings, code: str
) -> None:
    _, derived = derive_object(tmp_path, multi_frame_ct(small_volume()), step, settings=settings)
    for frame in derived.PerFrameFunctionalGroupsSequence:
        (item,) = frame.DerivationImageSequence[0].DerivationCodeSequence
        assert (item.CodeValue, item.CodingSchemeDesignator) == (code, "99CTDENOISE")
    schemes = [item.CodingSchemeDesignator for item in derived.CodingSchemeIdentificationSequence]
    assert schemes == ["99CTDENOISE"]


def test_the_image_type_setting_is_for_single_images(tmp_path: Path) -> None:
    settings = DicomSettings(image_type="SECONDARY")
    _, derived = derive_object(tmp_path, multi_frame_ct(small_volume()), settings=settings)
    assert derived.ImageType[1] == "PRIMARY"

"""A derived series is new, says what it is, and leaves everything else of its source alone."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_attributes import RULES, TYPE_1, TYPE_2, Fate
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import check_writable, write_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid

DENOISE = Step("denoise", {"model": "redcnn", "model_digest": "0123456789ab", "strength": 1.0})
SIMULATE = Step("simulate_low_dose", {"dose_fraction": 0.25, "seed": 1})

UNTOUCHED = [
    *("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("InstanceNumber", "KVP", "AcquisitionNumber", "RescaleSlope", "RescaleIntercept"),
    *("WindowCenter", "BitsStored", "HighBit", "PixelRepresentation", "Exposure", "CTDIvol"),
    "IrradiationEventUID",
]

Edit = Callable[[Dataset, int], None]


@pytest.fixture(autouse=True)
def fixed_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def rich(dataset: Dataset, index: int) -> None:
    """Everything that the table of attributes has a row for, and more."""
    dataset.InstitutionName = "Hospital"
    dataset.StationName = "CT3"
    dataset.DeviceSerialNumber = "SN-77"
    dataset.SoftwareVersions = ["v1", "v2"]
    dataset.DateOfLastCalibration = "20240101"
    dataset.XRayTubeCurrent = "200"
    dataset.ExposureTime = "500"
    dataset.ExposureInuAs = "100000"
    dataset.CTDIvol = 8.0
    dataset.IrradiationEventUID = uid("event")
    dataset.SmallestImagePixelValue = 0
    dataset.LargestImagePixelValue = 4000
    dataset.PerformedProcedureStepID = "PPS1"
    dataset.PerformedProcedureStepDescription = "CT chest"
    dataset.InstanceCreatorUID = uid("creator")
    dataset.ImageComments = "breath hold"
    dataset.RetrieveAETitle = "ARCHIVE"
    icon = Dataset()
    icon.Rows = 2
    dataset.IconImageSequence = Sequence([icon])
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    request.add_new((0x0009, 0x0010), "LO", "NESTED PRIVATE")
    dataset.RequestAttributesSequence = Sequence([request])
    step = Dataset()
    step.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.3"
    step.ReferencedSOPInstanceUID = uid("pps")
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([step])
    earlier = Dataset()
    earlier.Manufacturer = "Injector Inc"
    earlier.StationName = "INJ1"
    dataset.ContributingEquipmentSequence = Sequence([earlier])
    dataset.add_new((0x0009, 0x0010), "LO", "MAKER PRIVATE")
    dataset.add_new((0x0009, 0x1001), "LO", "secret")
    dataset.add_new((0x6000, 0x0010), "US", dataset.Rows)
    dataset.add_new((0x6000, 0x0011), "US", dataset.Columns)
    dataset.add_new((0x6000, 0x0100), "US", 1)
    dataset.add_new((0x6000, 0x0102), "US", 0)
    dataset.add_new((0x6000, 0x3000), "OW", bytes(dataset.Rows * dataset.Columns // 8))
    dataset.add_new((0x6002, 0x0100), "US", 16)
    dataset.add_new((0x6002, 0x0102), "US", 12)
    dataset.add_new((0x5000, 0x3000), "OW", b"\0\0")


def read_source(folder: Path, **options: object) -> CTVolume:
    """A small series on disk, read back."""
    syntax = options.pop("syntax", ExplicitVRLittleEndian)
    volume = options.pop("volume", None) or marked_volume(slices=3, size=(32, 40))
    series_files(folder, ct_series(volume, **options), syntax=syntax)
    return read_volume(folder)


def derive(
    tmp_path: Path, step: Step = DENOISE, *, change_hu: float = 0.0, **options: object
) -> tuple[list[Dataset], list[Dataset]]:
    """Source and derived instances of a small series, slice by slice."""
    volume = read_source(tmp_path / "source", **options)
    hu = np.asarray(volume.hu + np.float32(change_hu))
    paths = write_series(volume.with_hu(hu, step), tmp_path / "derived")
    assert volume.source is not None
    sources = [pydicom.dcmread(one.path) for one in volume.source.instances]
    return sources, [pydicom.dcmread(path) for path in paths]


def raw_bytes(dataset: Dataset, keyword: str) -> bytes:
    return bytes(dataset.get_item(Tag(keyword)).value or b"")


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
            if tag.is_private or tag.group in (0x5000, 0x6002) or tag == 0x0028_0120:
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


SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_the_same_hu_give_the_same_stored_values_in_every_syntax(
    tmp_path: Path, syntax: str, signed: bool
) -> None:
    options = {"syntax": syntax, "signed": signed, "intercept": -24.0 if signed else -1024.0}
    sources, derived = derive(tmp_path, **options)
    for source, one in zip(sources, derived, strict=True):
        assert one.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert np.array_equal(one.pixel_array, source.pixel_array)
        assert "LossyImageCompression" not in one


@pytest.mark.parametrize("slope", [0.1, 0.5, 2.0, (1.0, 0.25, 3.7)])
def test_each_slice_is_stored_on_its_own_scale(
    tmp_path: Path, slope: float | tuple[float, ...]
) -> None:
    sources, derived = derive(tmp_path, slope=slope)
    for source, one in zip(sources, derived, strict=True):
        assert np.array_equal(one.pixel_array, source.pixel_array)
        assert one.RescaleSlope == source.RescaleSlope


def test_new_hu_are_stored_to_half_a_step(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", slope=0.5)
    noise = np.random.default_rng(0).normal(0.0, 30.0, volume.shape).astype(np.float32)
    write_series(volume.with_hu(volume.hu + noise, DENOISE), tmp_path / "out")
    back = read_volume(tmp_path / "out")
    expected = np.clip(volume.hu + noise, -1024.0, None)
    assert np.abs(back.hu - expected).max() <= 0.25 + 1e-4


def test_a_lossy_source_marks_the_derived_images_for_ever(tmp_path: Path) -> None:
    volume = marked_volume(slices=2, size=(16, 16))
    datasets = ct_series(volume)
    folder = tmp_path / "source"
    paths = series_files(folder, datasets)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio"):
            if keyword in dataset:
                del dataset[keyword]
        if "LossyImageCompressionMethod" in dataset:
            del dataset.LossyImageCompressionMethod
        dataset.save_as(path)
    (first, *_) = write_series(read_volume(folder).with_step(DENOISE), tmp_path / "one")
    one = pydicom.dcmread(first)
    assert one.LossyImageCompression == "01"
    assert one.LossyImageCompressionMethod == "ISO_14495_1"
    assert one.LossyImageCompressionRatio > 0
    (second, *_) = write_series(read_volume(tmp_path / "one").with_step(DENOISE), tmp_path / "two")
    two = pydicom.dcmread(second)
    assert two.LossyImageCompression == "01"
    assert two.LossyImageCompressionMethod == "ISO_14495_1"


@pytest.mark.parametrize("signed", [True, False])
def test_padding_comes_back_bit_for_bit_and_no_pixel_joins_it(tmp_path: Path, signed: bool) -> None:
    volume = marked_volume(slices=2, size=(16, 24))
    padding = np.zeros(volume.shape, dtype=bool)
    padding[:, :3] = True
    value, intercept = (-2000, -24.0) if signed else (0, -1024.0)
    source = read_source(
        tmp_path / "source",
        volume=replace(volume, padding=padding),
        padding_value=value,
        signed=signed,
        intercept=intercept,
    )
    assert source.padding is not None
    hu = np.full(source.shape, value + intercept, dtype=np.float32)  # all land on the padding value
    paths = write_series(source.with_hu(hu, DENOISE), tmp_path / "out")
    for index, path in enumerate(paths):
        stored = pydicom.dcmread(path).pixel_array
        assert (stored[source.padding[index]] == value).all()
        assert (stored[~source.padding[index]] != value).all()
    back = read_volume(tmp_path / "out")
    assert np.array_equal(back.padding, source.padding)


def test_overlays_of_their_own_stay_and_those_in_the_pixel_words_go(tmp_path: Path) -> None:
    _, derived = derive(tmp_path, edit=rich)
    assert (0x6000, 0x3000) in derived[0]
    assert not any(tag.group == 0x6002 for tag in list(derived[0].keys()))


def test_private_elements_go_at_every_depth(tmp_path: Path) -> None:
    _, derived = derive(tmp_path, edit=rich)

    def private_tags(dataset: Dataset) -> list[int]:
        found = [tag for tag in list(dataset.keys()) if tag.is_private]
        for element in dataset:
            if element.VR == "SQ":
                found += [tag for item in element.value for tag in private_tags(item)]
        return found

    assert private_tags(derived[0]) == []
    assert derived[0].RequestAttributesSequence[0].RequestedProcedureID == "RP1"


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # of this test's own reading
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize(
    ("character_set", "name", "description"),
    [
        (["", "ISO 2022 IR 87"], b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", b"Chest"),
        ("ISO_IR 192", "M\u00fcller^J\u00f6rg".encode(), "Sch\u00e4del".encode()),
        ("ISO_IR 100", "M\u00fcller^J\u00f6rg".encode("latin1"), "Sch\u00e4del".encode("latin1")),
        ("ISO_IR 999", b"M\xfcller^J", b"Sch\xe4del"),
    ],
    ids=["japanese", "utf-8", "latin-1", "unknown"],
)
def test_names_keep_their_bytes_in_every_character_set(
    tmp_path: Path, character_set: str | list[str], name: bytes, description: bytes, syntax: str
) -> None:
    folder = tmp_path / "source"
    volume = marked_volume(slices=2, size=(8, 8))
    for path in series_files(folder, ct_series(volume), syntax=syntax):
        data = path.read_bytes()
        # Put the bytes in by hand: pydicom would check and encode them again.
        path.write_bytes(_with_text(data, character_set, name, description, syntax))
    source = pydicom.dcmread(folder / "0001.dcm")
    with warnings.catch_warnings(action="error"):  # nothing of ours may warn, and so quote a name
        paths = write_series(read_volume(folder).with_step(DENOISE), tmp_path / "derived")
    one = pydicom.dcmread(paths[0])
    assert raw_bytes(one, "PatientName") == raw_bytes(source, "PatientName")
    assert raw_bytes(one, "PatientName").strip() == name
    assert raw_bytes(one, "StudyDescription").strip() == description
    assert raw_bytes(one, "SeriesDescription").strip() == description + b" [ctdenoise]"


def _with_text(
    data: bytes, character_set: str | list[str], name: bytes, description: bytes, syntax: str
) -> bytes:
    """The file with other bytes in its character set, name and descriptions."""
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset = pydicom.dcmread(io.BytesIO(data))
    for tag in list(dataset.keys()):
        dataset[tag]  # decodes
    names = [character_set] if isinstance(character_set, str) else character_set
    for tag, vr, value in (
        (0x00080005, "CS", "\\".join(names).encode()),
        (0x00081030, "LO", description),
        (0x0008103E, "LO", description),
        (0x00100010, "PN", name),
    ):
        even = value + b" " * (len(value) % 2)
        dataset[tag] = RawDataElement(Tag(tag), vr, len(even), even, 0, implicit, little)
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # an unknown character set is what is tested
        dataset.set_original_encoding(implicit, little, dataset._character_set)
        pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


def test_the_same_volume_is_written_the_same_to_the_last_byte(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", edit=rich).with_step(DENOISE)
    first = write_series(volume, tmp_path / "one")
    second = write_series(volume, tmp_path / "two")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_another_parameter_makes_another_series(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source")
    uids = set()
    for number, strength in enumerate((1.0, 0.5)):
        step = Step("denoise", {"model": "redcnn", "strength": strength})
        (path, *_) = write_series(volume.with_step(step), tmp_path / str(number))
        one = pydicom.dcmread(path)
        uids |= {one.SeriesInstanceUID, one.SOPInstanceUID}
    assert len(uids) == 4


def test_a_part_of_the_stack_is_another_series(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    whole = pydicom.dcmread(write_series(volume, tmp_path / "whole")[0])
    part = pydicom.dcmread(write_series(volume.select([0, 1]), tmp_path / "part")[0])
    assert whole.SeriesInstanceUID != part.SeriesInstanceUID
    assert whole.SOPInstanceUID != part.SOPInstanceUID


def test_a_taken_series_number_is_stepped_over(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    volume = marked_volume(slices=2, size=(8, 8))
    series_files(folder, ct_series(volume, series="1"))
    names = ["other1", "other2"]
    series_files(folder, ct_series(volume, series="1001"), names=names)
    (folder / "notes.txt").write_text("not DICOM")
    source = read_volume(folder, series="1")
    (path, *_) = write_series(source.with_step(DENOISE), tmp_path / "out")
    assert pydicom.dcmread(path).SeriesNumber == 1002


def test_a_series_number_can_be_given(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    (path, *_) = write_series(volume, tmp_path / "out", series_number=77)
    assert pydicom.dcmread(path).SeriesNumber == 77


def test_missing_type_2_attributes_are_added_empty(tmp_path: Path) -> None:
    def bare(dataset: Dataset, index: int) -> None:
        for keyword in TYPE_2:
            if keyword in dataset and keyword != "InstanceNumber":
                del dataset[keyword]

    _, derived = derive(tmp_path, edit=bare)
    for keyword in set(TYPE_2) - {"SeriesNumber", "Manufacturer", "InstanceNumber"}:
        assert derived[0][keyword].is_empty, keyword
    assert derived[0].SeriesNumber == 1000


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID", "SOPClassUID"])
def test_a_source_without_a_type_1_attribute_is_refused_before_any_work(
    tmp_path: Path, keyword: str
) -> None:
    def incomplete(dataset: Dataset, index: int) -> None:
        if index == 1:
            dataset[keyword].value = ""

    folder = tmp_path / "source"
    datasets = ct_series(marked_volume(slices=3, size=(8, 8)))
    paths = series_files(folder, datasets)
    volume = read_volume(folder)
    for index, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        incomplete(dataset, index)
        dataset.save_as(path, enforce_file_format=False)
    with pytest.raises(StudyError, match=f"{keyword} is missing or empty"):
        check_writable(volume)
    with pytest.raises(StudyError, match=keyword):
        write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_reason_for_a_refusal_is_named_at_once_and_without_uids(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    paths = series_files(folder, ct_series(marked_volume(slices=4, size=(8, 8))))
    volume = read_volume(folder)
    for path, keyword in zip(paths, ("FrameOfReferenceUID", "SamplesPerPixel"), strict=False):
        dataset = pydicom.dcmread(path)
        del dataset[keyword]
        dataset.save_as(path)
    paths[2].unlink()
    exchanged = pydicom.dcmread(paths[3])
    exchanged.SOPInstanceUID = uid("another")
    exchanged.save_as(paths[3], enforce_file_format=False)
    with pytest.raises(StudyError) as caught:
        check_writable(volume)
    message = str(caught.value)
    assert "FrameOfReferenceUID is missing" in message
    assert "SamplesPerPixel is missing" in message
    assert "0003.dcm" in message
    assert "the file changed since it was read" in message
    assert uid("another") not in message


def test_a_file_that_changes_under_our_hands_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = read_source(tmp_path / "source").with_step(DENOISE)
    assert volume.source is not None
    path = volume.source.instances[1].path
    exchanged = pydicom.dcmread(path)
    exchanged.SOPInstanceUID = uid("another")
    monkeypatch.setattr("ctdenoise.io.write.check_derivable", lambda *_, **__: None)
    exchanged.save_as(path, enforce_file_format=False)
    with pytest.raises(StudyError, match="changed since it was read"):
        write_series(volume, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_source_files_are_left_alone(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", edit=rich)
    assert volume.source is not None
    before = [one.path.read_bytes() for one in volume.source.instances]
    write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert [one.path.read_bytes() for one in volume.source.instances] == before


def test_the_preamble_is_empty_and_files_are_named_by_number(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    paths = series_files(folder, ct_series(marked_volume(slices=3, size=(8, 8))))
    for path in paths:
        path.write_bytes(b"MZ" + path.read_bytes()[2:])
    written = write_series(read_volume(folder).with_step(DENOISE), tmp_path / "out")
    assert [path.name for path in written] == ["00001.dcm", "00002.dcm", "00003.dcm"]
    for path in written:
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"


def test_type_1_is_what_the_written_instances_have(tmp_path: Path) -> None:
    _, derived = derive(tmp_path)
    for keyword in TYPE_1:
        assert not copy.deepcopy(derived[0])[keyword].is_empty


@pytest.mark.parametrize("keyword", ["Exposure", "XRayTubeCurrent"])
def test_a_dose_that_cannot_be_scaled_is_dropped_and_never_passed_on(
    tmp_path: Path, keyword: str
) -> None:
    folder = tmp_path / "source"
    paths = series_files(folder, ct_series(marked_volume(slices=1, size=(8, 8))))
    volume = read_volume(folder)
    dataset = pydicom.dcmread(paths[0])
    dataset[Tag(keyword)] = RawDataElement(Tag(keyword), "IS", 4, b"high", 0, False, True)
    dataset.save_as(paths[0])
    denoised = pydicom.dcmread(write_series(volume.with_step(DENOISE), tmp_path / "denoised")[0])
    assert raw_bytes(denoised, keyword) == b"high"
    simulated = pydicom.dcmread(write_series(volume.with_step(SIMULATE), tmp_path / "simulated")[0])
    assert keyword not in simulated


def test_a_header_that_cannot_be_copied_is_refused_before_any_work(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (path,) = series_files(folder, ct_series(marked_volume(slices=1, size=(8, 8))))
    volume = read_volume(folder)
    dataset = pydicom.dcmread(path)
    broken = b"\xfe\xff\x00\xe0\x08\x00"  # an item cut short
    tag = Tag("RequestAttributesSequence")
    dataset[tag] = RawDataElement(tag, "SQ", len(broken), broken, 0, False, True)
    dataset.save_as(path)
    with pytest.raises(StudyError, match="cannot be"):
        check_writable(volume)
    with pytest.raises(StudyError, match="cannot be"):
        write_series(volume.with_step(DENOISE), tmp_path / "out")
    assert not (tmp_path / "out").exists()

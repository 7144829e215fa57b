"""What a source may hold that a derived header must carry on, or must not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from ctdenoise.core.provenance import Step
from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import check_writable, write_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.dicom.deriving import DENOISE, SIMULATE, derive, raw_bytes
from tests.dicom.validators import errors_of

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def with_raw(**values: tuple[str, bytes]) -> Callable[[Dataset, int], None]:
    """Elements whose bytes pydicom would not write by itself, as VR and value."""

    def edit(dataset: Dataset, index: int) -> None:
        for keyword, (vr, value) in values.items():
            tag = Tag(keyword)
            even = value + b" " * (len(value) % 2)
            dataset[tag] = RawDataElement(tag, vr, len(even), even, 0, False, True)

    return edit


def derived_from_bytes(
    tmp_path: Path, step: Step = DENOISE, **values: tuple[str, bytes]
) -> tuple[Dataset, Dataset]:
    """Source and derived instance of a slice with elements given as bytes."""
    (path,) = series_files(tmp_path / "source", ct_series(marked_volume(slices=1)))
    dataset = pydicom.dcmread(path)
    with_raw(**values)(dataset, 0)
    for tag in list(dataset.keys()):
        if pydicom.datadict.keyword_for_tag(tag) not in values:
            dataset[tag]  # decodes
    with warnings.catch_warnings(action="ignore"):
        dataset.set_original_encoding(False, True, dataset._character_set)
        dataset.save_as(path)
    volume = read_volume(path.parent).with_step(step)
    (out,) = write_series(volume, tmp_path / "out")
    return pydicom.dcmread(path), pydicom.dcmread(out)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_windows_of_several_values_and_their_names_stay(tmp_path: Path, syntax: str) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1500"]
        dataset.WindowCenterWidthExplanation = ["SOFT", "LUNG"]
        dataset.VOILUTFunction = "SIGMOID"

    sources, derived = derive(tmp_path, edit=edit, syntax=syntax)
    for keyword in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"):
        assert list(derived[0][keyword].value) == list(sources[0][keyword].value)
        assert len(derived[0][keyword].value) == 2
    assert derived[0].VOILUTFunction == "SIGMOID"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_numbers_of_every_kind_survive_another_byte_order(tmp_path: Path, syntax: str) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.add_new("DataCollectionCenterPatient", "FD", [1.5, -2.25, 3.125])
        dataset.add_new("FrameIncrementPointer", "AT", 0x00541001)
        dataset.add_new("TagSpacingFirstDimension", "FD", 0.1)
        dataset.add_new("RecommendedDisplayFrameRateInFloat", "FL", 12.5)
        item = Dataset()
        item.add_new("ReferencedSamplePositions", "UL", [1, 70000])
        item.add_new("RedPaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        item.add_new("RedPaletteColorLookupTableData", "OW", bytes(range(8)))
        dataset.ReferencedImageSequence = Sequence([item])

    _, derived = derive(tmp_path, edit=edit, syntax=syntax)
    one = derived[0]
    assert one.DataCollectionCenterPatient == [1.5, -2.25, 3.125]
    assert one.FrameIncrementPointer == 0x00541001
    assert one.RecommendedDisplayFrameRateInFloat == 12.5
    (item,) = one.ReferencedImageSequence
    assert item.ReferencedSamplePositions == [1, 70000]
    assert list(item.RedPaletteColorLookupTableDescriptor) == [256, 0, 16]
    words = bytes(range(8))
    swapped = b"".join(words[i : i + 2][::-1] for i in range(0, 8, 2))
    expected = swapped if syntax == ExplicitVRBigEndian else words
    assert item.RedPaletteColorLookupTableData == expected  # the same words, in little endian


def test_group_lengths_and_trailing_padding_go(tmp_path: Path) -> None:
    (path,) = series_files(tmp_path / "source", ct_series(marked_volume(slices=1)))
    data = path.read_bytes()
    place = data.index(b"\x08\0\x05\0") if b"\x08\0\x05\0" in data else data.index(b"\x08\0\x08\0")
    length = b"\x08\0\0\0UL\x04\0\x10\x27\0\0"
    padding = b"\xfc\xff\xfc\xffOB\0\0\x08\0\0\0" + bytes(8)
    path.write_bytes(data[:place] + length + data[place:] + padding)
    source = pydicom.dcmread(path)
    assert (0x0008, 0x0000) in source
    assert (0xFFFC, 0xFFFC) in source
    volume = read_volume(path.parent).with_step(DENOISE)
    one = pydicom.dcmread(write_series(volume, tmp_path / "out")[0])
    assert not [tag for tag in list(one.keys()) if tag.element == 0 or tag.group == 0xFFFC]


@pytest.mark.parametrize("syntax", SYNTAXES[:2])
def test_values_longer_than_allowed_are_copied_as_they_are(tmp_path: Path, syntax: str) -> None:
    long_number, long_text = b"0.12345678901234567890", b"x" * 80
    values = {
        "DataCollectionDiameter": ("DS", long_number),
        "ProtocolName": ("LO", long_text),
        "StudyID": ("SH", b"y" * 20),
    }
    source, one = derived_from_bytes(tmp_path, **values)
    for keyword, (_, value) in values.items():
        assert raw_bytes(one, keyword) == raw_bytes(source, keyword)
        assert raw_bytes(one, keyword).strip() == value


@pytest.mark.validators
def test_the_errors_of_overlong_values_are_those_of_the_source(
    tmp_path: Path, dicom_validators: tuple[str, str]
) -> None:
    derived_from_bytes(
        tmp_path,
        DataCollectionDiameter=("DS", b"0.12345678901234567890"),
        ProtocolName=("LO", b"x" * 80),
    )
    before = errors_of(dicom_validators[0], tmp_path / "source" / "0001.dcm")
    after = errors_of(dicom_validators[0], tmp_path / "out" / "00001.dcm")
    assert before  # the validator sees them
    assert not after - before


def test_an_overlong_description_is_cut_and_keeps_what_we_say(tmp_path: Path) -> None:
    _, one = derived_from_bytes(tmp_path, SeriesDescription=("LO", b"x" * 80))
    assert len(one.SeriesDescription) == 64
    assert one.SeriesDescription.endswith(" [ctdenoise]")


@pytest.mark.parametrize(
    ("character_set", "codec", "text"),
    [
        (b"\\ISO 2022 IR 87", "iso2022_jp", "胸部造影" * 15),
        (b"ISO_IR 192", "utf-8", "Schädel 頭部 " * 7),
        (b"ISO_IR 100", "latin-1", "Schädelübersicht " * 4),
        (b"ISO_IR 144", "iso8859_5", "Грудная клетка " * 5),
        (b"GB18030", "gb18030", "胸部增强" * 15),
        (b"ISO_IR 13", "shift_jis", "ｷﾖｳﾌﾞ " * 12),
    ],
)
def test_a_description_in_another_script_is_cut_between_characters(
    tmp_path: Path, character_set: bytes, codec: str, text: str
) -> None:
    source, one = derived_from_bytes(
        tmp_path,
        SIMULATE,
        SpecificCharacterSet=("CS", character_set),
        SeriesDescription=("LO", text.encode(codec)),
        ImageComments=("LT", text.encode(codec)),
    )
    warning = "SIMULATED 25 % RESEARCH USE ONLY "
    assert one.SpecificCharacterSet == source.SpecificCharacterSet
    assert one.SeriesDescription == warning + text[: 63 - len(warning)].strip()
    assert one.ImageComments == (warning + text).strip()
    assert raw_bytes(one, "StudyDescription") == raw_bytes(source, "StudyDescription")


@pytest.mark.parametrize("character_set", [b"ISO_IR 999", b"\\ISO 2022 IR 999", b""])
def test_text_that_no_character_set_explains_cannot_garble_what_we_say(
    tmp_path: Path, character_set: bytes
) -> None:
    with warnings.catch_warnings(action="ignore"):
        _, one = derived_from_bytes(
            tmp_path,
            SIMULATE,
            SpecificCharacterSet=("CS", character_set),
            SeriesDescription=("LO", b"Sch\xe4del"),
            ImageComments=("LT", b"Sch\xe4del"),
        )
    warning = b"SIMULATED 25 % RESEARCH USE ONLY"
    assert raw_bytes(one, "SeriesDescription").startswith(warning)
    assert raw_bytes(one, "ImageComments").startswith(warning)


def test_references_repeat_the_uid_of_the_source_to_the_last_digit(tmp_path: Path) -> None:
    """A component with a leading zero is illegal, but is the name by which the source is found."""

    def edit(dataset: Dataset, index: int) -> None:
        dataset.SOPInstanceUID = "1.2.840.099.1.05"
        dataset.SeriesInstanceUID = "1.2.840.099.2.007"
        dataset.StudyInstanceUID = "1.2.840.099.3"

    with warnings.catch_warnings(action="ignore"):
        series_files(tmp_path / "source", ct_series(marked_volume(slices=1), edit=edit))
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    (path,) = write_series(volume, tmp_path / "out")
    with warnings.catch_warnings(action="ignore"):  # of this test's own reading
        one = pydicom.dcmread(path)
        assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.840.099.1.05"
        assert one.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.840.099.2.007"
        assert one.StudyInstanceUID == "1.2.840.099.3"
    assert one.SOPInstanceUID.is_valid


def test_an_instance_of_another_class_among_the_images_is_refused_by_name(tmp_path: Path) -> None:
    paths = series_files(tmp_path / "source", ct_series(marked_volume(slices=3)))
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    dataset = pydicom.dcmread(paths[1])
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.save_as(paths[1])
    with pytest.raises(StudyError, match="SOP class is not CT Image Storage") as caught:
        check_writable(volume)
    assert "0002.dcm" in str(caught.value)


def test_times_are_given_in_the_time_zone_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # 2023-11-14 22:13:20 UTC

    def edit(dataset: Dataset, index: int) -> None:
        dataset.TimezoneOffsetFromUTC = "+0530"

    _, derived = derive(tmp_path, edit=edit)
    for kind in ("Series", "Content", "InstanceCreation"):
        assert derived[0][f"{kind}Date"].value == "20231115"
        assert derived[0][f"{kind}Time"].value == "034320"
    assert derived[0].TimezoneOffsetFromUTC == "+0530"


def test_deidentification_and_burned_in_text_are_copied_and_never_invented(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "by hand"
        dataset.BurnedInAnnotation = "NO"

    _, derived = derive(tmp_path / "flagged", edit=edit)
    one = derived[0]
    assert (one.PatientIdentityRemoved, one.DeidentificationMethod) == ("YES", "by hand")
    assert one.BurnedInAnnotation == "NO"
    _, derived = derive(tmp_path / "silent")
    for keyword in ("PatientIdentityRemoved", "DeidentificationMethod", "BurnedInAnnotation"):
        assert keyword not in derived[0]


def test_items_of_the_source_are_copied_and_not_completed(tmp_path: Path) -> None:
    """What a nested item lacks is the source's fault; nobody may invent a value for it."""

    def edit(dataset: Dataset, index: int) -> None:
        item = Dataset()
        item.ReferencedSOPInstanceUID = uid("prior")  # without its SOP class
        dataset.ReferencedImageSequence = Sequence([item])

    _, derived = derive(tmp_path, edit=edit)
    (item,) = derived[0].ReferencedImageSequence
    assert list(item.keys()) == [Tag("ReferencedSOPInstanceUID")]


def test_text_of_more_than_64_kilobytes_survives(tmp_path: Path) -> None:
    """In explicit VR its length has no room, so it is written as UN (PS3.5 6.2.2)."""

    def edit(dataset: Dataset, index: int) -> None:
        dataset.add_new("AdditionalPatientHistory", "LT", "h" * 70_000)

    with warnings.catch_warnings(action="ignore"):
        series_files(
            tmp_path / "source",
            ct_series(marked_volume(slices=1), edit=edit),
            syntax=ImplicitVRLittleEndian,
        )
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    one = pydicom.dcmread(write_series(volume, tmp_path / "out")[0])
    assert raw_bytes(one, "AdditionalPatientHistory") == b"h" * 70_000


@pytest.mark.ctdata
def test_slices_without_modality_or_frame_of_reference_are_refused_by_name(
    ctdata: Path, tmp_path: Path
) -> None:
    """zoo/no_modality can be read; what no derived series can lack is named at once."""
    try:
        volume = read_volume(ctdata / "zoo" / "no_modality")
    except StudyError:
        return  # refused earlier
    with pytest.raises(StudyError) as caught:
        check_writable(volume.with_step(DENOISE))
    for keyword in ("Modality", "FrameOfReferenceUID", "HighBit"):
        assert f"{keyword} is missing" in str(caught.value)


@pytest.mark.ctdata
def test_slices_whose_identities_were_taken_away_are_refused_by_name(ctdata: Path) -> None:
    volume = read_volume(ctdata / "zoo" / "siemens_j2k_series").with_step(DENOISE)
    with pytest.raises(StudyError) as caught:
        check_writable(volume)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert f"{keyword} is missing or empty (all 20 slices)" in str(caught.value)


@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
def test_a_kernel_of_two_values_stays_two_values(tmp_path: Path, step: Step) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.ConvolutionKernel = ["I30f", "3"]

    sources, derived = derive(tmp_path, step, edit=edit)
    assert list(derived[0].ConvolutionKernel) == ["I30f", "3"]
    assert raw_bytes(derived[1], "ConvolutionKernel") == raw_bytes(sources[1], "ConvolutionKernel")

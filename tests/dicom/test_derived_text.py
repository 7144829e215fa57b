"""What a derived header copies: bytes of text, overlays, nothing private."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, derive, raw_bytes, rich
from tests.dicom.zoo_cases import CASES


def test_overlays_of_their_own_stay_and_those_in_the_pixel_words_go(tmp_path: Path) -> None:
    _, derived = derive(tmp_path, edit=rich)
    assert (0x6000, 0x3000) in derived[0]
    assert not any(tag.group in (0x6002, 0x6004) for tag in list(derived[0].keys()))


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
        ("ISO_IR 192", b"M\xfcller^J", b"Chest"),
        ("ISO_IR 999", b"M\xfcller^J", b"Sch\xe4del"),
    ],
    ids=["japanese", "utf-8", "latin-1", "no utf-8", "unknown"],
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


def test_a_wrong_vr_is_put_right_and_its_bytes_stay(tmp_path: Path) -> None:
    """Numbers written as another kind of text, and signed padding written as unsigned."""
    (case,) = (case for case in CASES if case.name == "23_bad_vr")
    (tmp_path / "source").mkdir()
    case.make(tmp_path / "source", 64)
    volume = read_volume(tmp_path / "source")
    paths = write_series(volume.with_hu(volume.hu, DENOISE), tmp_path / "derived")
    derived = pydicom.dcmread(paths[0])
    assert [derived[word].VR for word in ("SeriesNumber", "KVP")] == ["IS", "DS"]
    assert derived["PixelPaddingValue"].VR == "SS"
    assert derived.PixelPaddingValue == -2000
    assert raw_bytes(pydicom.dcmread(paths[0]), "KVP") == b"120 "

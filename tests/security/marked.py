"""A study in which everything that tells whose it is can be told from all other text.

Each attribute has a marker of its own, so that a leak says where it came from. `leaks` finds them
in bytes however they are written down.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from tests.dicom.builders import ct_series, series_files

ROOT_UID = "1.2.826.0.1.3680043.8.498.77117711"
TEXT = "ZQMARKER"
BIRTH_DATE, DAY, TIME, ADDED_TIME = "19170913", "19811231", "131719.424242", "131719"
IDEOGRAPHIC, KANA, GREEK, UMLAUT = "麗華山田", "れいかやまだ", "Ζωημαρκ", "Müßzqmark"

DESCRIBING = ("SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments")
"""What describes a scan and not a person, but is typed by people."""

TELLING = (
    "AccessionNumber",
    "AdditionalPatientHistory",
    "AdmittingDiagnosesDescription",
    "AdmissionID",
    "ContentCreatorName",
    "CountryOfResidence",
    "CurrentPatientLocation",
    "DeviceSerialNumber",
    "EthnicGroup",
    "FillerOrderNumberImagingServiceRequest",
    "InstitutionAddress",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "IssuerOfPatientID",
    "MedicalAlerts",
    "MilitaryRank",
    "NameOfPhysiciansReadingStudy",
    "Occupation",
    "OperatorsName",
    "OtherPatientNames",
    "PatientAddress",
    "PatientBirthName",
    "PatientComments",
    "PatientID",
    "PatientInsurancePlanCodeSequence",
    "PatientMotherBirthName",
    "PatientName",
    "PatientReligiousPreference",
    "PatientTelephoneNumbers",
    "PerformedProcedureStepDescription",
    "PerformedProcedureStepID",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "PlacerOrderNumberImagingServiceRequest",
    "ReasonForStudy",
    "ReferringPhysicianName",
    "RegionOfResidence",
    "RequestedProcedureDescription",
    "RequestingPhysician",
    "RequestingService",
    "ScheduledPerformingPhysicianName",
    "StationName",
    "StudyComments",
    "StudyID",
    *DESCRIBING,
)
_PEOPLE = {
    "ISO 2022 IR 87": (["", "ISO 2022 IR 87"], f"{TEXT}^{{}}={IDEOGRAPHIC}={KANA}"),
    "ISO_IR 192": ("ISO_IR 192", f"{TEXT}^{{}}^{GREEK}"),
    "ISO_IR 100": ("ISO_IR 100", f"{TEXT}^{{}}^{UMLAUT}"),
}


def marker_of(keyword: str) -> str:
    """The text of an attribute."""
    return f"{TEXT}{TELLING.index(keyword):03d}"


def marked(dataset: Dataset, index: int, *, charset: str = "ISO 2022 IR 87") -> None:
    """Mark one instance of a series."""
    dataset.SpecificCharacterSet, people = _PEOPLE[charset]
    for keyword in TELLING:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        match dictionary_VR(tag):
            case "SQ":
                item = Dataset()
                item.CodeMeaning = item.CodeValue = marker_of(keyword)
                setattr(dataset, keyword, [item])
            case "PN":
                setattr(dataset, keyword, people.format(marker_of(keyword)))
            case _:
                setattr(dataset, keyword, marker_of(keyword))
    dataset.PatientBirthDate, dataset.PatientBirthTime = BIRTH_DATE, TIME
    dataset.PatientAge, dataset.PatientWeight = "104Y", "77.317"
    for day in ("Study", "Series", "Acquisition", "Content", "InstanceCreation"):
        setattr(dataset, f"{day}Date", DAY)
        setattr(dataset, f"{day}Time", TIME)
    dataset.StudyInstanceUID = f"{ROOT_UID}.1"
    dataset.SeriesInstanceUID = f"{ROOT_UID}.2"
    dataset.SOPInstanceUID = f"{ROOT_UID}.3.{index + 1}"
    dataset.FrameOfReferenceUID = f"{ROOT_UID}.4"
    dataset.add_new(0x00090010, "LO", f"{TEXT}900")
    dataset.add_new(0x00091001, "LT", f"{TEXT}901")
    dataset.add_new(0x00091002, "UN", f"{TEXT}902".encode())


def disc(*, slices: int = 4, size: int = 48) -> CTVolume:
    """A disc of water with some noise."""
    geometry = Geometry.axial(
        (slices, size, size), pixel_spacing_mm=(4.0, 4.0), slice_spacing_mm=2.5
    )
    axis = np.arange(size) - (size - 1) / 2
    inside = axis[:, None] ** 2 + axis**2 < (0.4 * size) ** 2
    noise = np.random.default_rng(3).normal(0, 12, geometry.shape)
    hu = np.where(inside, np.rint(40 + noise), -1000.0).astype(np.float32)
    known = Acquisition(
        manufacturer="Maker",
        kvp=120.0,
        exposure_mas=(100.0,) * slices,
        slice_thickness_mm=2.5,
        convolution_kernel="STANDARD",
    )
    return CTVolume(hu, geometry, known)


def marked_series(*, charset: str = "ISO 2022 IR 87", slices: int = 4) -> list[Dataset]:
    """The instances of a marked study."""

    def edit(dataset: Dataset, index: int) -> None:
        marked(dataset, index, charset=charset)

    return ct_series(disc(slices=slices), edit=edit)


def marked_study(folder: Path, *, charset: str = "ISO 2022 IR 87", slices: int = 4) -> Path:
    """A folder with a marked study, in files and folders that are named after the patient too."""
    inside = folder / f"{TEXT}800^FOLDER" / f"{ROOT_UID}.1"
    datasets = marked_series(charset=charset, slices=slices)
    names = [f"{TEXT}801_{dataset.SOPInstanceUID}.dcm" for dataset in datasets]
    series_files(inside, datasets, names=names)
    return folder


@dataclass(frozen=True)
class Leak:
    """A marker that was found.

    Args:
        where: The file, or the stream.
        marker: Which.
        form: How it was written down.
        around: The text around it.
    """

    where: str
    marker: str
    form: str
    around: str


def markers() -> tuple[str, ...]:
    """All that may not be found."""
    days = [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in (BIRTH_DATE, DAY)]
    people = (IDEOGRAPHIC, KANA, GREEK, UMLAUT)
    return (TEXT, ROOT_UID, BIRTH_DATE, DAY, TIME, *days, *people, "77.317")


def forms_of(marker: str) -> Iterator[tuple[str, bytes]]:
    """A marker in every form in which it may be written down."""
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "iso2022_jp", "euc_jp"):
        try:
            yield encoding, marker.encode(encoding)
        except UnicodeEncodeError:
            continue
    plain = marker.encode()
    yield "upper case", marker.upper().encode()
    yield "lower case", marker.lower().encode()
    yield "hexadecimal", plain.hex().encode()
    yield "HEXADECIMAL", plain.hex().upper().encode()
    yield "JSON", json.dumps(marker).strip('"').encode()
    yield "percent", urllib.parse.quote(marker, safe="").encode()
    yield "repr", repr(plain)[2:-1].encode()
    for skipped in range(3):
        text = base64.b64encode(b"\0" * skipped + plain + b"\0\0\0")
        start = -(-skipped * 8 // 6)
        yield f"base64 at {skipped}", text[start : (skipped + len(plain)) * 8 // 6]


def leaks(data: bytes, where: str, *, allowed: Iterable[str] = ()) -> list[Leak]:
    """Markers in bytes.

    Args:
        data: What was said or written.
        where: Its name.
        allowed: Texts that may be there, such as the path that the user gave.
    """
    for text in allowed:
        data = data.replace(text.encode(), b"")
    found = []
    for marker in markers():
        for form, needle in forms_of(marker):
            place = data.find(needle)
            if place >= 0:
                around = data[max(0, place - 80) : place + 120].decode("utf-8", "backslashreplace")
                found.append(Leak(where, marker, form, around))
                break
    return found


def leaks_below(folder: Path, *, images: bool = True) -> list[Leak]:
    """Markers in the names and the contents of all files of a folder.

    Args:
        folder: Where to look.
        images: Whether DICOM files may hold them: they are the patient's images.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found += leaks(name.encode(), f"the name {name}")
        if path.is_file():
            data = path.read_bytes()
            if not (images and data[128:132] == b"DICM"):
                found += leaks(data, name)
    return found

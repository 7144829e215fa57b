"""What one CT slice says about itself, read once from a classic header or one frame of many."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from ctdenoise.io.dicom_file import DicomHeader, NativePixels, transfer_syntax
from ctdenoise.io.dicom_hounsfield import NEGATIVE_SLOPE, NO_RESCALE, UNSPECIFIED
from ctdenoise.io.dicom_kinds import ENHANCED_CT, LEGACY_ENHANCED_CT, what_it_is
from ctdenoise.io.dicom_values import Floats, HeaderValues


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice; a value that is absent or unreadable is None or empty.

    Args:
        path: The file.
        frame: Zero-based frame of a multi-frame object.
        what: "CT", "scout", "segmentation", ...; only "CT" can become a volume.
        patient, study, series: Digest of the patient and UIDs, to group by.
        person: Digest of name and birth date where there is no PatientID, for nothing but to tell
            two patients apart; never written.
        sop_instance_uid: Identity of the instance.
        sop_class_uid: Kind of the instance.
        modality: As the header says.
        series_number: To sort the list by.
        description: SeriesDescription without control characters.
        frame_of_reference_uid: What the positions refer to.
        image_type: Values of ImageType, or of the frame's FrameType.
        rows, columns, frames: Size of the object.
        samples_per_pixel, photometric_interpretation: Kind of the pixels.
        bits_allocated, bits_stored, high_bit, signed: How a stored value lies in its word.
        pixel_spacing_mm: Between rows, between columns.
        position_mm: Centre of the first pixel, LPS.
        orientation: Row direction, then column direction.
        rescale_slope, rescale_intercept, rescale_type: To Hounsfield units.
        rescale_assumed: Whether slope and intercept are absent and were taken as 1 and 0.
        rescale_doubt: Why the rescale is not believed until the pixels show, as they are read, that
            they are Hounsfield units (`io.dicom_hounsfield`); empty where it is.
        has_modality_lut: Whether a table replaces the linear rescale.
        padding: Smallest and largest stored value that mean "no pixel here".
        syntax: Transfer syntax UID.
        pixel_bytes, has_pixels, truncated, native: See `DicomHeader`.
        lossy: Whether the image was ever compressed with loss.
        sorting: Values that may tell repeated positions apart, by name.
        facts: What `Acquisition` wants, by keyword.
        steps: What this program did to it before, as DerivationDescription tells.
    """

    path: Path
    frame: int | None
    what: str
    patient: str = ""
    person: bytes = field(default=b"", repr=False)
    study: str = ""
    series: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    modality: str = ""
    series_number: int | None = None
    description: str = ""
    frame_of_reference_uid: str = ""
    image_type: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0
    frames: int = 1
    samples_per_pixel: int | None = None
    photometric_interpretation: str = ""
    bits_allocated: int = 0
    bits_stored: int = 0
    high_bit: int | None = None
    signed: bool | None = None
    pixel_spacing_mm: Floats | None = None
    position_mm: Floats | None = None
    orientation: Floats | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str = ""
    rescale_assumed: bool = False
    rescale_doubt: str = ""
    has_modality_lut: bool = False
    padding: tuple[int, int] | None = None
    syntax: str = ""
    pixel_bytes: int | None = None
    has_pixels: bool = False
    truncated: bool = False
    lossy: bool = False
    sorting: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Floats | str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    native: NativePixels | None = field(default=None, compare=False)


def slices_of(path: Path, header: DicomHeader) -> list[SliceHeader]:
    """Every slice of a file: one for a classic image, one per frame for a multi-frame CT.

    Args:
        path: The file.
        header: Its header. Call within `quiet_pydicom`.
    """
    dataset = header.dataset
    top = _slice(path, header, None, HeaderValues(dataset, ()))
    if top.what != "CT" or top.sop_class_uid not in (ENHANCED_CT, LEGACY_ENHANCED_CT):
        return [top]
    values = HeaderValues(dataset, ())
    shared = values.items("SharedFunctionalGroupsSequence")[:1]
    per_frame = values.items("PerFrameFunctionalGroupsSequence")
    if len(per_frame) != top.frames:
        return [top]  # its missing positions make it unreadable, with that reason
    return [
        _slice(path, header, index, HeaderValues(dataset, (groups, *shared)))
        for index, groups in enumerate(per_frame)
    ]


_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


def is_same_slice(header: SliceHeader, dataset: Dataset) -> bool:
    """Whether a file that is read again still is what its header was read from.

    Args:
        header: What was found before.
        dataset: The file now. Call within `quiet_pydicom`.
    """
    values = HeaderValues(dataset, ())
    now: list[object] = [values.whole(word) for word in ("Rows", "Columns", "BitsStored")]
    now += [values.whole("BitsAllocated"), bool(values.whole("PixelRepresentation"))]
    before: list[object] = [header.rows, header.columns, header.bits_stored]
    before += [header.bits_allocated, header.signed]
    if header.frame is None:
        now += [*_rescale(values, absent=header.rescale_assumed)]
        before += [header.rescale_slope, header.rescale_intercept]
        now += [values.floats(keyword, count) for keyword, count in _PLACE.items()]
        before += [header.position_mm, header.orientation, header.pixel_spacing_mm]
    uid = values.text("SOPInstanceUID")
    return now == before and (not uid or uid == header.sop_instance_uid)


def _slice(path: Path, header: DicomHeader, frame: int | None, values: HeaderValues) -> SliceHeader:
    meta = HeaderValues(header.dataset.file_meta, ())
    sop_class = values.text("SOPClassUID") or meta.text("MediaStorageSOPClassUID")
    modality = values.text("Modality").upper()
    image_type = tuple((values.text("FrameType") or values.text("ImageType")).upper().split("/"))
    representation = values.number("PixelRepresentation")
    signed = None if representation is None else bool(representation)
    syntax = str(transfer_syntax(header.dataset))
    high_bit = values.number("HighBit")
    series_number = values.number("SeriesNumber")
    samples = values.number("SamplesPerPixel")
    assumed = frame is None and bool(signed) and _has_no_rescale(header.dataset)
    slope, intercept = _rescale(values, absent=assumed)
    rescale_type = values.text("RescaleType").upper()
    return SliceHeader(
        path=path,
        frame=frame,
        what=what_it_is(sop_class, modality, image_type),
        patient=patient_key(values.text("PatientID"), values.text("IssuerOfPatientID")),
        person=_person(values),
        study=values.text("StudyInstanceUID"),
        series=values.text("SeriesInstanceUID"),
        sop_instance_uid=values.text("SOPInstanceUID") or meta.text("MediaStorageSOPInstanceUID"),
        sop_class_uid=sop_class,
        modality=modality,
        series_number=None if series_number is None else int(series_number),
        description=values.text("SeriesDescription"),
        frame_of_reference_uid=values.text("FrameOfReferenceUID"),
        image_type=image_type,
        rows=values.whole("Rows"),
        columns=values.whole("Columns"),
        frames=max(1, values.whole("NumberOfFrames", 1)),
        samples_per_pixel=None if samples is None else int(samples),
        photometric_interpretation=values.text("PhotometricInterpretation").upper(),
        bits_allocated=values.whole("BitsAllocated"),
        bits_stored=values.whole("BitsStored"),
        high_bit=None if high_bit is None else int(high_bit),
        signed=signed,
        pixel_spacing_mm=values.floats("PixelSpacing", 2),
        position_mm=values.floats("ImagePositionPatient", 3),
        orientation=values.floats("ImageOrientationPatient", 6),
        rescale_slope=slope,
        rescale_intercept=intercept,
        rescale_type=rescale_type,
        rescale_assumed=assumed,
        rescale_doubt=_doubt(slope, rescale_type if frame is None else "", assumed=assumed),
        has_modality_lut="ModalityLUTSequence" in header.dataset,
        padding=_padding(values, signed=bool(signed)),
        syntax=syntax,
        pixel_bytes=header.pixel_bytes,
        has_pixels=header.has_pixels,
        truncated=header.truncated,
        native=header.native,
        lossy=values.text("LossyImageCompression") == "01" or syntax in _LOSSY_SYNTAXES,
        sorting=_sorting(values),
        facts=_facts(values),
        steps=_own_steps(values.text("DerivationDescription")),
    )


def _has_no_rescale(dataset: Dataset) -> bool:
    words = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
    groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    return not any(keyword in dataset for keyword in (*words, *groups))


def _rescale(values: HeaderValues, *, absent: bool) -> tuple[float | None, float | None]:
    """Slope and intercept; 1 and 0 where they are known to be absent."""
    slope, intercept = values.number("RescaleSlope"), values.number("RescaleIntercept")
    return (1.0, 0.0) if absent and slope is None and intercept is None else (slope, intercept)


def _doubt(slope: float | None, rescale_type: str, *, assumed: bool) -> str:
    if assumed:
        return NO_RESCALE
    if rescale_type == "US":
        return UNSPECIFIED
    return NEGATIVE_SLOPE if slope is not None and slope < 0 else ""


_LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{last}" for last in ("50", "51", "53", "55", "81", "91", "203")
)

SORTING_KEYWORDS = (
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "StackID",
    "ImageType",
    "ConvolutionKernel",
    "NominalPercentageOfCardiacPhase",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "FrameAcquisitionDateTime",
    "KVP",
    "SliceThickness",
    "SeriesNumber",
    "ContentTime",
    "TriggerTime",
    "keV",
    "SeriesDescription",
)
"""What may tell stacks of one series apart where positions repeat, in the order of trying."""

_KEV = re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d+)?)[ _]?keV\b", re.IGNORECASE)


def _sorting(values: HeaderValues) -> dict[str, str]:
    """Values to sort by; `keV` is the energy of a monoenergetic image as its texts name it."""
    sorting = {name: values.text(name) for name in SORTING_KEYWORDS if name != "keV"}
    named = _KEV.search(sorting["SeriesDescription"]) or _KEV.search(values.text("ImageComments"))
    return {**sorting, "keV": named[1] if named else ""}


_FACT_NUMBERS = {
    "KVP": 1,
    "Exposure": 1,
    "ExposureInuAs": 1,
    "ExposureInmAs": 1,
    "XRayTubeCurrent": 1,
    "ExposureTime": 1,
    "SliceThickness": 1,
    "DistanceSourceToPatient": 1,
    "DistanceSourceToDetector": 1,
    "DistanceSourceToDataCollectionCenter": 1,
    "ReconstructionDiameter": 1,
    "DataCollectionCenterPatient": 3,
    "CTDIvol": 1,
}
_FACT_TEXTS = (
    *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "BodyPartExamined"),
    *("PatientPosition", "FilterType", "ExposureModulationType", "ContrastBolusAgent"),
    "SyntheticData",
)

NO_IMAGE_STEPS = frozenset(
    ("subtract_from_source", "local_standard_deviation", "state_error", "state_uncertainty")
)
"""Steps after which pixels are no image of the patient: what was removed, or a map of it."""


def _facts(values: HeaderValues) -> dict[str, Floats | str]:
    facts: dict[str, Floats | str] = {}
    for keyword, count in _FACT_NUMBERS.items():
        numbers = values.floats(keyword, count)
        if numbers is not None:
            facts[keyword] = numbers
    for keyword in _FACT_TEXTS:
        text = values.text(keyword)
        if text:
            facts[keyword] = text
    return facts


def _own_steps(description: str) -> tuple[str, ...]:
    """Names of the steps in a DerivationDescription of `io.dicom_derivation`."""
    if not description.startswith("ctdenoise "):
        return ()
    return tuple(part.split(":", 1)[0] for part in description.split("; ")[1:])


def _padding(values: HeaderValues, *, signed: bool) -> tuple[int, int] | None:
    """Range of stored values that mean padding, their sign taken from PixelRepresentation.

    Writers give PixelPaddingValue the wrong VR (63536 as US for -2000 as SS), so the number is
    read as the word it is.
    """
    value = values.number("PixelPaddingValue")
    if value is None:
        return None
    limit = values.number("PixelPaddingRangeLimit")
    bits = values.whole("BitsAllocated") or 16
    ends = [_as_word(int(v), bits, signed=signed) for v in (value, limit) if v is not None]
    return (min(ends), max(ends))


def _as_word(value: int, bits: int, *, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >= 1 << (bits - 1) else value


def _person(values: HeaderValues) -> bytes:
    if values.text("PatientID"):
        return b""
    named = "\x1f".join((values.text("PatientName"), values.text("PatientBirthDate")))
    return hashlib.sha256(named.encode()).digest()


def patient_key(patient_id: str, issuer: str = "") -> str:
    """The first 8 hexadecimal digits of the SHA-256 of a patient's ID and its issuer.

    Args:
        patient_id: PatientID; an empty one gives an empty key.
        issuer: IssuerOfPatientID.
    """
    if not patient_id:
        return ""
    return hashlib.sha256((patient_id + issuer).encode()).hexdigest()[:8]

"""What one CT slice says about itself, read once from a classic header or one frame of many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from ctdenoise.io.dicom_file import DicomHeader, transfer_syntax
from ctdenoise.io.dicom_kinds import ENHANCED_CT, LEGACY_ENHANCED_CT, what_it_is

_FIELD_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "StackID": "FrameContentSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "ReconstructionDiameter": "CTReconstructionSequence",
    "KVP": "CTXRayDetailsSequence",
    "ExposureInmAs": "CTExposureSequence",
    "CTDIvol": "CTExposureSequence",
    "ExposureModulationType": "CTExposureSequence",
    "FilterType": "CTXRayDetailsSequence",
    "DataCollectionCenterPatient": "CTPositionSequence",
    "DistanceSourceToDetector": "CTGeometrySequence",
    "DistanceSourceToDataCollectionCenter": "CTGeometrySequence",
}
"""Where multi-frame objects keep what classic headers hold at the top (PS3.3 C.7.6.16)."""

Floats = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice; a value that is absent or unreadable is None or empty.

    Args:
        path: The file.
        frame: Zero-based frame of a multi-frame object.
        what: "CT", "scout", "segmentation", ...; only "CT" can become a volume.
        patient, study, series: Digest of the patient and UIDs, to group by.
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
        has_modality_lut: Whether a table replaces the linear rescale.
        padding: Smallest and largest stored value that mean "no pixel here".
        syntax: Transfer syntax UID.
        pixel_bytes, has_pixels, truncated: See `DicomHeader`.
        lossy: Whether the image was ever compressed with loss.
        sorting: Values that may tell repeated positions apart, by name.
        facts: What `Acquisition` wants, by keyword.
    """

    path: Path
    frame: int | None
    what: str
    patient: str = ""
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
    has_modality_lut: bool = False
    padding: tuple[int, int] | None = None
    syntax: str = ""
    pixel_bytes: int | None = None
    has_pixels: bool = False
    truncated: bool = False
    lossy: bool = False
    sorting: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Floats | str] = field(default_factory=dict)


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


@cache
def _vr(tag: BaseTag) -> str:
    return dictionary_VR(tag)


def _plain_text(element: object, tag: BaseTag) -> str | list[str] | None:
    """Text of an element that was not converted yet; None where pydicom must convert it.

    Several times faster than converting, which is most of the time of listing a study.
    """
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return None
    vr = element.VR or _vr(tag)
    if vr not in _TEXT_VRS or vr != _vr(tag) or b"\x1b" in element.value:
        return None
    if not element.value.isascii():
        return None
    parts = [part.strip(" \0") for part in element.value.decode("ascii").split("\\")]
    return parts if len(parts) > 1 else parts[0]


_TEXT_VRS = frozenset(("AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"))


class _Values:
    """Reads elements of one frame: from its functional groups, the shared ones, then the top."""

    def __init__(self, dataset: Dataset, groups: Sequence[Dataset]) -> None:
        self._dataset = dataset
        self._groups = groups

    def raw(self, keyword: str) -> object:
        """The value as pydicom gives it; None if absent, empty or unreadable."""
        tag = _tag(keyword)
        for holder in self._holders(keyword):
            if tag not in holder:
                continue
            try:
                element = holder.get_item(tag)
                value = _plain_text(element, tag)
                if value is None:
                    value = holder[tag].value
            except Exception:  # noqa: BLE001, S112 - pydicom raises whatever the bytes provoke
                continue
            if value is not None and value != "":
                return cast("object", value)
        return None

    def _holders(self, keyword: str) -> Iterator[Dataset]:
        group = _FIELD_GROUPS.get(keyword, "")
        for functional in self._groups if group else ():
            for item in functional.get(group) or ():
                yield item
                break
        yield self._dataset

    def floats(self, keyword: str, count: int) -> Floats | None:
        """`count` finite numbers, or None."""
        value = self.raw(keyword)
        items = list(value) if isinstance(value, MutableSequence) else [value]
        try:
            numbers = tuple(float(str(item)) for item in items)
        except (TypeError, ValueError, OverflowError):
            return None
        finite = all(abs(number) < float("inf") for number in numbers)
        return numbers if len(numbers) == count and finite else None

    def number(self, keyword: str) -> float | None:
        """One finite number, or None."""
        values = self.floats(keyword, 1)
        return values[0] if values else None

    def whole(self, keyword: str, otherwise: int = 0) -> int:
        """One integer, or another."""
        value = self.number(keyword)
        return otherwise if value is None or value != int(value) else int(value)

    def text(self, keyword: str) -> str:
        """Text without control characters; several values joined by a slash."""
        value = self.raw(keyword)
        if value is None:
            return ""
        items = value if isinstance(value, MutableSequence) else (value,)
        text = "/".join(map(str, items))
        if not text.isprintable():
            text = "".join(c for c in text if c.isprintable())
        return text.strip()


def slices_of(path: Path, header: DicomHeader) -> list[SliceHeader]:
    """Every slice of a file: one for a classic image, one per frame for a multi-frame CT.

    Args:
        path: The file.
        header: Its header. Call within `quiet_pydicom`.
    """
    dataset = header.dataset
    top = _slice(path, header, None, _Values(dataset, ()))
    if top.what != "CT" or top.sop_class_uid not in (ENHANCED_CT, LEGACY_ENHANCED_CT):
        return [top]
    shared = _items(dataset, "SharedFunctionalGroupsSequence")[:1]
    per_frame = _items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(per_frame) != top.frames:
        return [top]  # its missing positions make it unreadable, with that reason
    return [
        _slice(path, header, index, _Values(dataset, (groups, *shared)))
        for index, groups in enumerate(per_frame)
    ]


def is_same_slice(header: SliceHeader, dataset: Dataset) -> bool:
    """Whether a file that is read again still is what its header was read from.

    Args:
        header: What was found before.
        dataset: The file now. Call within `quiet_pydicom`.
    """
    values = _Values(dataset, ())
    now: list[object] = [values.whole(word) for word in ("Rows", "Columns", "BitsStored")]
    now += [values.whole("BitsAllocated"), bool(values.whole("PixelRepresentation"))]
    before: list[object] = [header.rows, header.columns, header.bits_stored]
    before += [header.bits_allocated, header.signed]
    if header.frame is None:
        now += [values.number("RescaleSlope"), values.number("RescaleIntercept")]
        before += [header.rescale_slope, header.rescale_intercept]
    uid = values.text("SOPInstanceUID")
    return now == before and (not uid or uid == header.sop_instance_uid)


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    value = _Values(dataset, ()).raw(keyword)
    return list(value) if isinstance(value, MutableSequence) else []


def _slice(path: Path, header: DicomHeader, frame: int | None, values: _Values) -> SliceHeader:
    meta = header.dataset.file_meta
    sop_class = values.text("SOPClassUID") or str(meta.get("MediaStorageSOPClassUID", ""))
    modality = values.text("Modality").upper()
    image_type = tuple((values.text("FrameType") or values.text("ImageType")).upper().split("/"))
    representation = values.number("PixelRepresentation")
    signed = None if representation is None else bool(representation)
    syntax = str(transfer_syntax(header.dataset))
    high_bit = values.number("HighBit")
    series_number = values.number("SeriesNumber")
    samples = values.number("SamplesPerPixel")
    return SliceHeader(
        path=path,
        frame=frame,
        what=what_it_is(sop_class, modality, image_type),
        patient=patient_key(values.text("PatientID"), values.text("IssuerOfPatientID")),
        study=values.text("StudyInstanceUID"),
        series=values.text("SeriesInstanceUID"),
        sop_instance_uid=values.text("SOPInstanceUID")
        or str(meta.get("MediaStorageSOPInstanceUID", "")),
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
        rescale_slope=values.number("RescaleSlope"),
        rescale_intercept=values.number("RescaleIntercept"),
        rescale_type=values.text("RescaleType").upper(),
        has_modality_lut="ModalityLUTSequence" in header.dataset,
        padding=_padding(values, signed=bool(signed)),
        syntax=syntax,
        pixel_bytes=header.pixel_bytes,
        has_pixels=header.has_pixels,
        truncated=header.truncated,
        lossy=values.text("LossyImageCompression") == "01" or syntax in _LOSSY_SYNTAXES,
        sorting={name: values.text(name) for name in SORTING_KEYWORDS},
        facts=_facts(values),
    )


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
)
"""What may tell stacks of one series apart where positions repeat, in the order of trying."""

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
    *("PatientPosition", "FilterType", "ExposureModulationType"),
)


def _facts(values: _Values) -> dict[str, Floats | str]:
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


def _padding(values: _Values, *, signed: bool) -> tuple[int, int] | None:
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


def patient_key(patient_id: str, issuer: str = "") -> str:
    """The first 8 hexadecimal digits of the SHA-256 of a patient's ID and its issuer.

    Args:
        patient_id: PatientID; an empty one gives an empty key.
        issuer: IssuerOfPatientID.
    """
    if not patient_id:
        return ""
    return hashlib.sha256((patient_id + issuer).encode()).hexdigest()[:8]

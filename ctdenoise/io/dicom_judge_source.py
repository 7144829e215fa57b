"""Judging a derived slice against the source slice that it was made from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ctdenoise.io.dicom_derivation import TOLD_PARAMETERS
from ctdenoise.io.dicom_judge_instance import Told
from ctdenoise.io.dicom_judge_objections import Objections
from ctdenoise.io.dicom_judge_view import Slice, View, code_of, items_of, keywords, text_value

_PATIENT = keywords(
    "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex OtherPatientIDs "
    "PatientIdentityRemoved DeidentificationMethod"
)
_STUDY = keywords(
    "StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName "
    "StudyDescription"
)
_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
_STORAGE = keywords(
    "BitsAllocated BitsStored HighBit PixelRepresentation SamplesPerPixel RescaleSlope "
    "RescaleIntercept"
)
_STORAGE_TEXT = ("PhotometricInterpretation", "RescaleType")
_WINDOW = ("WindowCenter", "WindowWidth")
_ACQUISITION_NUMBERS = ("KVP", "AcquisitionNumber", "GantryDetectorTilt", "ExposureTime")
_ACQUISITION_TEXT = keywords(
    "ConvolutionKernel AcquisitionDate AcquisitionTime PatientPosition ScanOptions "
    "ContrastBolusAgent BodyPartExamined BurnedInAnnotation"
)
_DOSE = keywords(
    "Exposure ExposureInuAs ExposureInmAs XRayTubeCurrent XRayTubeCurrentInuA XRayTubeCurrentInmA "
    "CTDIvol"
)
_LOSSY_SYNTAXES = frozenset(
    (
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.4.203",
    )
)
_SOURCE_PURPOSES = frozenset((("121322", "DCM"),))
"""CID 7202: Source image for image processing operation."""

_OWN_TEXT = ("DerivationDescription", "SeriesDescription", "SoftwareVersions", "ImageComments")
_TOLERANCE_MM = 1e-3  # what a decimal string of another program may lose
_OWN_WORDS = frozenset(
    (
        *TOLD_PARAMETERS,
        "ctdenoise",
        "denoise",
        "simulate_low_dose",
        "degrade",
        "fuse",
        "phantom",
        "identity",
        "acquisition",
        "simulated",
        "degraded",
        "research",
        "only",
    )
)
"""Words of the derivation's own sentences; a patient may be called so."""

_TOKEN_LEAST = 4  # characters; shorter words stand in any text


@dataclass(frozen=True, slots=True)
class Matched:
    """A derived slice and its source slice.

    Args:
        derived: The derived slice.
        source: The slice at the same place, or the one that it names.
    """

    derived: Slice
    source: Slice


def judge_subject(view: View, source: View, objections: Objections) -> None:
    """Patient, study and frame of reference, as the bytes they are.

    Args:
        view: A derived file.
        source: The file it was derived from.
        objections: Told what is wrong.
    """
    objections.add_each("other-patient", view.path, _changed(view, source, _PATIENT))
    objections.add_each("other-study", view.path, _changed(view, source, _STUDY))
    if view.raw("FrameOfReferenceUID") != source.raw("FrameOfReferenceUID"):
        objections.add("frame-of-reference", view.path)
    is_lossy = source.text("LossyImageCompression") == "01" or source.syntax in _LOSSY_SYNTAXES
    if is_lossy and view.text("LossyImageCompression") != "01":
        objections.add("lossy", view.path)
    same_number = view.integer("SeriesNumber") == source.integer("SeriesNumber")
    same_name = view.text("SeriesDescription") == source.text("SeriesDescription")
    if (same_number and view.integer("SeriesNumber") is not None) or same_name:
        objections.add("series-name", view.path)
    _judge_texts(view, source, objections)


def _changed(view: View, source: View, names: tuple[str, ...]) -> list[str]:
    return [k for k in names if (view.raw(k) or b"") != (source.raw(k) or b"")]


def _judge_texts(view: View, source: View, objections: Objections) -> None:
    tokens = {
        token.lower()
        for keyword in ("PatientName", "PatientID")
        for token in re.split(r"[\^= ]+", source.text(keyword))
        if len(token) >= _TOKEN_LEAST
    }
    texts = {keyword: (view.text(keyword), source.text(keyword)) for keyword in _OWN_TEXT}
    for item in view.items("ContributingEquipmentSequence"):
        if text_value(item, "Manufacturer") == view.text("Manufacturer"):
            texts["ContributionDescription"] = (text_value(item, "ContributionDescription"), "")
    for keyword, (text, old) in texts.items():
        words, known = (set(re.findall(r"[^\s,;:^=]+", one.lower())) for one in (text, old))
        if (words - known - _OWN_WORDS) & tokens:
            objections.add("identity-in-text", view.path, keyword)


def judge_reference(
    derived: Slice, named: Slice | None, place: Slice | None, source: View, objections: Objections
) -> None:
    """Whether the source slice is named, with its purpose, and is the right one.

    Args:
        derived: A derived slice.
        named: The source slice that it names; None where it names none that is there.
        place: The source slice at its own position; None where there is none.
        source: Any file of the source.
        objections: Told what is wrong.
    """
    items = derived.source_images
    if named is None:
        objections.add("source-reference", derived.path)
    elif place is not None and named is not place and not _same_place(derived, named):
        objections.add("wrong-source", derived.path)
    purposes = [
        {code_of(code) for code in items_of(item, "PurposeOfReferenceCodeSequence")}
        for item in items
    ]
    if items and not all(codes & _SOURCE_PURPOSES for codes in purposes):
        objections.add("purpose-of-reference", derived.path)
    series = {
        text_value(item, "SeriesInstanceUID")
        for keyword in ("ReferencedSeriesSequence", "SourceImageEvidenceSequence")
        for outer in derived.view.items(keyword)
        for item in (outer, *items_of(outer, "ReferencedSeriesSequence"))
    }
    if source.text("SeriesInstanceUID") not in series:
        objections.add("series-reference", derived.path)


def _same_place(one: Slice, other: Slice) -> bool:
    return _close(one.position_mm, other.position_mm, _TOLERANCE_MM)


def _close(one: tuple[float, ...], other: tuple[float, ...], tolerance: float) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) <= tolerance for a, b in zip(one, other, strict=True)
    )


def judge_slice(pair: Matched, told: Told, objections: Objections) -> None:
    """Geometry, storage, window, acquisition and dose.

    Args:
        pair: A derived slice and its source.
        told: What the derived file says was done.
        objections: Told what is wrong.
    """
    path = pair.derived.path
    tolerance = 0.0 if objections.maker == "ours" else _TOLERANCE_MM
    moved = [k for k in _GEOMETRY if not _numbers_equal(pair, k, tolerance)]
    moved += [
        k
        for k in ("Rows", "Columns")
        if pair.derived.view.integer(k) != pair.source.view.integer(k)
    ]
    objections.add_each("geometry", path, moved)
    stored = [k for k in _STORAGE if not _numbers_equal(pair, k, 0.0)]
    stored += [k for k in _STORAGE_TEXT if not _texts_equal(pair, k)]
    if pair.derived.padding != pair.source.padding:
        stored.append("PixelPaddingValue")
    if not told.is_of_another_quantity:
        windows = [k for k in _WINDOW if not _numbers_equal(pair, k, 0.0)]
        objections.add_each("storage", path, stored)
        objections.add_each("window", path, windows)
    other = [k for k in _ACQUISITION_NUMBERS if not _numbers_equal(pair, k, 0.0)]
    other += [k for k in _ACQUISITION_TEXT if not _texts_equal(pair, k)]
    objections.add_each("acquisition", path, other)
    _judge_dose(pair, told, objections)


def _numbers_equal(pair: Matched, keyword: str, tolerance: float) -> bool:
    one, other = pair.derived.numbers(keyword), pair.source.numbers(keyword)
    return one == other or _close(one, other, tolerance)


def _texts_equal(pair: Matched, keyword: str) -> bool:
    """Equal bytes; what only one of a classic and a multi-frame object has cannot differ."""
    one, other = pair.derived.text(keyword), pair.source.text(keyword)
    is_converted = pair.derived.view.is_multi_frame != pair.source.view.is_multi_frame
    return one == other or (is_converted and "" in (one, other))


def _judge_dose(pair: Matched, told: Told, objections: Objections) -> None:
    wrong = []
    for keyword in _DOSE:
        new, old = pair.derived.numbers(keyword)[:1], pair.source.numbers(keyword)[:1]
        if not new or (not old and not new):
            continue  # what could not be scaled is left out
        if not old:
            wrong.append(keyword)
            continue
        expected = old[0] * told.dose_fraction
        rounding = 0.5 if keyword in {"Exposure", "ExposureInuAs", "XRayTubeCurrent"} else 0.0
        slack = 1e-4 * abs(expected) + (rounding if told.is_simulated else 0.0)
        if abs(new[0] - expected) > slack:
            wrong.append(keyword)
    event = pair.derived.text("IrradiationEventUID")
    if told.is_simulated and event and event == pair.source.text("IrradiationEventUID"):
        wrong.append("IrradiationEventUID")
    objections.add_each("dose", pair.derived.path, wrong)

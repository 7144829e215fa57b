"""Judging one derived instance by itself: what it says it is, who made it, what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ctdenoise.io.dicom_judge_objections import Objections
from ctdenoise.io.dicom_judge_view import (
    MULTI_FRAME_CLASSES,
    View,
    code_of,
    items_of,
    keywords,
    text_value,
)
from ctdenoise.io.dicom_slice import NO_IMAGE_STEPS

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_PRODUCT = "ctdenoise"
_WORDS = "DerivationDescription"
_LAST_WORDS = "not a new acquisition"

_TYPE_1 = keywords(
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality "
    "ImageType SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored "
    "HighBit PixelRepresentation"
)
_TYPE_1_OF_SLICE = keywords(
    "ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope RescaleIntercept"
)
_TYPE_1_OF_FRAMES = keywords(
    "NumberOfFrames SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence ContentDate "
    "ContentTime InstanceNumber"
)
_TYPE_1_OF_ENHANCED = keywords("DimensionOrganizationSequence DimensionIndexSequence")
_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
_TYPE_2 = keywords(
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber "
    "ReferringPhysicianName StudyID SeriesNumber PositionReferenceIndicator"
)
_TYPE_2_OF_SLICE = keywords(
    "PatientPosition Manufacturer InstanceNumber SliceThickness KVP AcquisitionNumber"
)
"""What the IODs of A.3, A.38 and A.70 require, with the General modules they are made of."""

_CODES = {
    "denoise": frozenset((("113087", "DCM"), ("113088", "DCM"))),
    "simulate_low_dose": frozenset((("113042", "DCM"),)),
}
"""CID 7203: Smoothing or Gaussian blur; Pixel by pixel addition."""

_LOCAL_SCHEME = "99CTDENOISE"
_PURPOSES = frozenset((("109101", "DCM"), ("109102", "DCM"), ("109100", "DCM")))
"""CID 7005: acquisition, processing, synthesizing equipment."""

_SYNTHESIZING = ("109100", "DCM")
_SYNTHETIC = frozenset(("simulate_low_dose", "degrade", "phantom"))

_SCANNER = keywords(
    "StationName DeviceSerialNumber DeviceUID GantryID DateOfLastCalibration TimeOfLastCalibration "
    "SpatialResolution UDISequence"
)
_PERFORMED_STEP = keywords(
    "ReferencedPerformedProcedureStepSequence PerformedProcedureStepID "
    "PerformedProcedureStepStartDate PerformedProcedureStepStartTime "
    "PerformedProcedureStepEndDate PerformedProcedureStepEndTime "
    "PerformedProcedureStepDescription PerformedProtocolCodeSequence"
)
_STALE = keywords(
    "DigitalSignaturesSequence MACParametersSequence EncryptedAttributesSequence IconImageSequence "
    "SmallestImagePixelValue LargestImagePixelValue SmallestPixelValueInSeries "
    "LargestPixelValueInSeries ExtendedOffsetTable SOPAuthorizationDateTime"
)
_SIGNATURES_BEHIND = 0xFFFAFFFA


@dataclass(frozen=True, slots=True)
class Told:
    """What an instance of ours says was done to it.

    Args:
        steps: Names of the steps, oldest first; empty where it says nothing.
        dose_fraction: Simulated dose over the dose of the source; 1 without simulation.
    """

    steps: tuple[str, ...] = ()
    dose_fraction: float = 1.0

    @property
    def is_simulated(self) -> bool:
        """Whether a lower dose was simulated."""
        return "simulate_low_dose" in self.steps

    @property
    def is_of_another_quantity(self) -> bool:
        """Whether the pixels are no longer the image: what was removed, or how much of it."""
        return not NO_IMAGE_STEPS.isdisjoint(self.steps)

    @property
    def is_synthetic(self) -> bool:
        """Whether pixels were made that no scanner measured."""
        return not _SYNTHETIC.isdisjoint(self.steps)


def told_by(view: View) -> Told:
    """What DerivationDescription of our own making says.

    Args:
        view: A derived file.
    """
    parts = _description(view).split("; ")
    if not parts[0].startswith(_PRODUCT):
        return Told()
    steps, fraction = [], 1.0
    for part in parts[1:]:
        name, _, told = part.partition(": ")
        if name == _LAST_WORDS:
            break
        steps.append(name)
        if name == "simulate_low_dose":
            fraction *= _number_after("dose_fraction", told)
    return Told(tuple(steps), fraction)


def _description(view: View) -> str:
    """DerivationDescription, of the image or of its first frame (C.7.6.16.2.6)."""
    first = next(view.slices(), None)
    return view.text(_WORDS) or ("" if first is None else first.text(_WORDS))


def _number_after(name: str, told: str) -> float:
    for part in told.split(", "):
        key, _, value = part.partition(" ")
        if key == name:
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def judge_types(view: View, source: View | None, objections: Objections) -> None:
    """What the information object requires: attributes of type 1 and 2.

    Args:
        view: A derived file.
        source: The file it was derived from; None where it is not at hand.
        objections: Told what is wrong.
    """
    required = [*_TYPE_1, *(_TYPE_1_OF_FRAMES if view.is_multi_frame else ())]
    if view.text("SOPClassUID") == _ENHANCED_CT:
        required += _TYPE_1_OF_ENHANCED
    empty = [keyword for keyword in required if not _has_value(view, keyword)]
    for one in view.slices():
        if not view.is_multi_frame or one.frame == 0:
            empty += [keyword for keyword in _TYPE_1_OF_SLICE if not one.numbers(keyword)]
    if not view.header.has_pixels:
        empty.append("PixelData")
    for keyword in empty:
        is_old = keyword in required and source is not None and not _has_value(source, keyword)
        objections.add("type-1", view.path, keyword, inherited=is_old)
    wanted = [*_TYPE_2, *(() if view.is_multi_frame else _TYPE_2_OF_SLICE)]
    objections.add_each("type-2", view.path, (k for k in wanted if view.raw(k) is None))


def _has_value(view: View, keyword: str) -> bool:
    return bool(view.items(keyword)) if keyword.endswith("Sequence") else bool(view.raw(keyword))


def judge_kind(view: View, objections: Objections, *, value_2: str | None) -> None:
    """SOP class and ImageType.

    Args:
        view: A derived file.
        objections: Told what is wrong.
        value_2: Value 2 of ImageType that was asked for; None for either.
    """
    if view.text("SOPClassUID") not in {_CT_IMAGE, *MULTI_FRAME_CLASSES}:
        objections.add("sop-class", view.path)
    values = view.values("ImageType")
    if values[:1] != ("DERIVED",):
        objections.add("image-type", view.path)
        return
    if view.is_multi_frame:  # PRIMARY whatever was done (C.8.16.1.2)
        allowed, value_3 = {"PRIMARY"}, {"VOLUME", "AXIAL"}
    else:
        allowed, value_3 = {value_2} if value_2 else {"PRIMARY", "SECONDARY"}, {"AXIAL"}
    if not set(values[1:2]) & allowed or not set(values[2:3]) & value_3:
        objections.add("image-type-values", view.path)


def judge_derivation(view: View, told: Told, objections: Objections) -> None:
    """What was done, in words and in one code.

    Args:
        view: A derived file.
        told: What its description says.
        objections: Told what is wrong.
    """
    if objections.maker == "ours":
        complete = _LAST_WORDS in _description(view) and bool(told.steps)
    else:
        complete = bool(_description(view))
    if not complete:
        objections.add("derivation-description", view.path)
    first = next(view.slices(), None)
    place = None if first is None else first.place_of("DerivationCodeSequence")
    codes = [] if place is None else items_of(place, "DerivationCodeSequence")
    expected = _CODES.get(told.steps[-1]) if told.steps else None
    found = [code_of(item) for item in codes]
    if len(found) > 1:
        objections.add("derivation-code", view.path, f"{len(found)} codes")
    elif expected is not None and not (set(found) & expected or _is_local(codes)):
        objections.add("derivation-code", view.path, "another code" if found else "no code")
    elif any(
        "" in code or not text_value(item, "CodeMeaning")
        for code, item in zip(found, codes, strict=True)
    ):
        objections.add("derivation-code", view.path, "an incomplete code")


def _is_local(codes: object) -> bool:
    return isinstance(codes, tuple) and any(code_of(item)[1] == _LOCAL_SCHEME for item in codes)


def judge_equipment(view: View, source: View | None, told: Told, objections: Objections) -> None:
    """Who made it, and who contributed.

    Args:
        view: A derived file.
        source: The file it was derived from; None where it is not at hand.
        told: What its description says.
        objections: Told what is wrong.
    """
    software = view.values("SoftwareVersions")
    named = (view.text("Manufacturer"), view.text("ManufacturerModelName"))
    if named != (_PRODUCT, _PRODUCT) or not software:
        objections.add("equipment", view.path)
    left = [keyword for keyword in _SCANNER if view.raw(keyword) or view.items(keyword)]
    if view.is_multi_frame:  # DeviceSerialNumber is of type 1 there: our own
        old = None if source is None else source.text("DeviceSerialNumber")
        if view.text("DeviceSerialNumber") != old or not old:
            left = [keyword for keyword in left if keyword != "DeviceSerialNumber"]
    objections.add_each("scanner-identity", view.path, left)
    items = view.items("ContributingEquipmentSequence")
    if any(not text_value(item, "Manufacturer") for item in items):
        objections.add("contributing-equipment", view.path, "an item without Manufacturer")
    makers = {
        text_value(item, "Manufacturer"): {
            code_of(code) for code in items_of(item, "PurposeOfReferenceCodeSequence")
        }
        for item in items
    }
    scanner = (source.text("Manufacturer") if source else "") or None
    candidates = {
        name: codes for name, codes in makers.items() if scanner is None or name == scanner
    }
    if not candidates:
        objections.add("contributing-equipment", view.path, "the source's is not there")
    elif not any(codes & _PURPOSES for codes in candidates.values()):
        objections.add("contributing-equipment", view.path, "no purpose")
    if told.is_synthetic and _SYNTHESIZING not in makers.get(_PRODUCT, set()):
        objections.add("contributing-equipment", view.path, "no synthesizing equipment")


def judge_labels(view: View, source: View | None, told: Told, objections: Objections) -> None:
    """What must be said about artificial content.

    Args:
        view: A derived file.
        source: The file it was derived from; None where it is not at hand.
        told: What its description says.
        objections: Told what is wrong.
    """
    inherited = source is not None and source.text("SyntheticData") == "YES"
    if (told.is_synthetic or inherited) and view.text("SyntheticData") != "YES":
        objections.add("synthetic-data", view.path)
    if told.is_simulated:
        for keyword in ("SeriesDescription", "ImageComments"):
            text = view.text(keyword)
            if "SIMULATED" not in text or "RESEARCH USE ONLY" not in text:
                objections.add("simulated-words", view.path, keyword)


def judge_leftovers(view: View, objections: Objections) -> None:
    """What was true of the source instance only.

    Args:
        view: A derived file.
        objections: Told what is wrong.
    """
    objections.add_each(
        "performed-step",
        view.path,
        (k for k in _PERFORMED_STEP if view.raw(k) is not None),
    )
    stale = [keyword for keyword in _STALE if view.raw(keyword) is not None]
    if _SIGNATURES_BEHIND in view.behind_the_pixels:
        stale.append("DigitalSignaturesSequence")
    for tag in list(view.dataset.keys()):
        if 0x5000 <= tag.group <= 0x50FF:
            stale.append("curve")
        elif 0x6000 <= tag.group <= 0x60FF and tag.element == 0x0100:
            bits = view.dataset[tag].value
            if bits not in (None, 1):
                stale.append("overlay in the pixel words")
    objections.add_each("stale-elements", view.path, stale)


def judge_dates(view: View, source: View | None, objections: Objections) -> None:
    """Dates of series, content and instance: not before the source, not after tomorrow.

    Args:
        view: A derived file.
        source: The file it was derived from; None where it is not at hand.
        objections: Told what is wrong.
    """
    tomorrow = (datetime.now().astimezone() + timedelta(days=1)).strftime("%Y%m%d")
    old = "" if source is None else source.text("SeriesDate") or source.text("ContentDate")
    for keyword in ("SeriesDate", "ContentDate", "InstanceCreationDate"):
        day = view.text(keyword)
        if day > tomorrow:
            objections.add("dates", view.path, f"{keyword} is after today")
        elif day and day < old:
            objections.add("dates", view.path, f"{keyword} is before its source")

"""The header of a derived slice, built on the header of its source by the table of attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.io.dicom_attributes import EQUIPMENT, TYPE_2, is_dropped
from ctdenoise.io.dicom_codes import (
    ACQUISITION_EQUIPMENT,
    LOCAL_SCHEME,
    PROCESSING_EQUIPMENT,
    SOURCE_IMAGE,
    SYNTHESIZING_EQUIPMENT,
    code_item,
    local_scheme_item,
)
from ctdenoise.io.dicom_copy import copied
from ctdenoise.io.dicom_derivation import PRODUCT, Derivation, ascii_text
from ctdenoise.io.dicom_private import KeptPrivate

_LONG_TEXT = 10240  # most characters of a value of VR LT
_INTEGER_MOST = 2**31 - 1

MULTI_ENERGY_TYPES = frozenset(
    (
        "VMI",
        "MAT_SPECIFIC",
        "MAT_REMOVED",
        "MAT_FRACTIONAL",
        "MAT_MODIFIED",
        "MAT_VALUE_BASED",
        "EFF_ATOMIC_NUM",
        "ELECTRON_DENSITY",
    )
)
"""Values 4 of ImageType that say what the pixels are and must survive (C.8.2.1.1.1)."""

_DOSE_INTEGERS = ("Exposure", "ExposureInuAs", "XRayTubeCurrent")
_DOSE_DECIMALS = ("XRayTubeCurrentInuA",)
_DOSE_FLOATS = ("CTDIvol", "ExposureInmAs", "XRayTubeCurrentInmA")


@dataclass(frozen=True, slots=True)
class NewSeries:
    """What all instances of one derived series share.

    Args:
        derivation: What was done.
        series_instance_uid: The new series.
        series_number: Its number.
        moment: When it was made.
        settings: How it is written.
    """

    derivation: Derivation
    series_instance_uid: UID
    series_number: int
    moment: datetime
    settings: DicomSettings = field(default_factory=DicomSettings)


@dataclass(frozen=True, slots=True)
class LossyStorage:
    """Loss that came from how the source is stored.

    Args:
        method: For LossyImageCompressionMethod.
        ratio: Size of the decoded pixels over the stored ones.
    """

    method: str
    ratio: float


def derived_header(
    source: Dataset, series: NewSeries, sop_instance_uid: UID, lossy: LossyStorage | None = None
) -> Dataset:
    """Everything of a derived instance but its pixels.

    Args:
        source: The source instance, freshly read: text that was accessed before loses its bytes.
        series: What its series shares.
        sop_instance_uid: Its own identity.
        lossy: Set where the source is stored with loss.

    Returns:
        A dataset without PixelData, to be written in Explicit VR Little Endian.
    """
    derivation = series.derivation
    is_simulated = derivation.dose_fraction is not None
    dropped = _old_pixels(source)
    out = copied(
        source,
        lambda tag: tag not in dropped and not is_dropped(tag, is_simulated=is_simulated),
        private=KeptPrivate(source) if series.settings.private == "keep" else None,
    )
    for keyword in TYPE_2:
        if keyword not in out:
            setattr(out, keyword, None)
    _identify(out, source, series, sop_instance_uid)
    _reference(out, source)
    _set_equipment(out, source, derivation, series.moment)
    _keep_lossy(out, source, lossy)
    if derivation.is_synthetic:  # the YES of a source was copied with its header
        out.SyntheticData = "YES"
    if is_simulated:
        _label_simulated(out, source, derivation)
    return out


def _old_pixels(source: Dataset) -> set[BaseTag]:
    """Pixel data, and overlays that lie in the unused bits of the pixel words."""
    dropped: set[BaseTag] = {Tag(0x7FE00010)}
    for tag in list(source.keys()):  # iterating over the dataset itself would decode its text
        if 0x6000 <= tag.group <= 0x60FF and not _is_separate_overlay(source, tag.group):
            dropped.add(tag)
    return dropped


def _is_separate_overlay(source: Dataset, group: int) -> bool:
    bits = source[group, 0x0100].value if (group, 0x0100) in source else 1
    return bits in (None, 1) and (group, 0x3000) in source


def _identify(out: Dataset, source: Dataset, series: NewSeries, sop_instance_uid: UID) -> None:
    derivation = series.derivation
    out.SOPInstanceUID = sop_instance_uid
    out.SeriesInstanceUID = series.series_instance_uid
    out.SeriesNumber = series.series_number
    description = derivation.series_description(text_of(source, "SeriesDescription"))
    set_text(out, source, "SeriesDescription", description)
    old_type = image_type(source)
    kept = [value for value in old_type[3:4] if value in MULTI_ENERGY_TYPES]
    out.ImageType = ["DERIVED", series.settings.image_type, "AXIAL", *kept]
    set_moment(out, series.moment)
    set_derivation(out, derivation)


def set_derivation(out: Dataset, derivation: Derivation) -> None:
    """What was done, in words and as one code; a code of our own with its coding scheme.

    Args:
        out: The header to change.
        derivation: What was done.
    """
    out.DerivationDescription = derivation.description
    if derivation.code is None:
        out.pop("DerivationCodeSequence", None)
        return
    out.DerivationCodeSequence = DicomSequence([code_item(derivation.code)])
    if derivation.code.scheme_designator == LOCAL_SCHEME:
        schemes = list(out.get("CodingSchemeIdentificationSequence") or ())
        known = [item for item in schemes if item.get("CodingSchemeDesignator") != LOCAL_SCHEME]
        out.CodingSchemeIdentificationSequence = DicomSequence([*known, local_scheme_item()])


def set_moment(out: Dataset, moment: datetime) -> None:
    """Date and time of series, content and instance.

    Args:
        out: The header to change.
        moment: One moment for the whole series.
    """
    for kind in ("Series", "Content", "InstanceCreation"):
        setattr(out, f"{kind}Date", moment.strftime("%Y%m%d"))
        setattr(out, f"{kind}Time", moment.strftime("%H%M%S"))


def image_type(source: Dataset) -> list[str]:
    """Values of ImageType; empty where it is missing."""
    value = source.get("ImageType") or []
    return [str(value)] if isinstance(value, str) else [str(item) for item in value]


def _reference(out: Dataset, source: Dataset) -> None:
    image = Dataset()
    image.ReferencedSOPClassUID = source.SOPClassUID
    image.ReferencedSOPInstanceUID = source.SOPInstanceUID
    instance = Dataset()
    instance.update(image)
    image.SpatialLocationsPreserved = "YES"
    image.PurposeOfReferenceCodeSequence = DicomSequence([code_item(SOURCE_IMAGE)])
    out.SourceImageSequence = DicomSequence([image])
    series = Dataset()
    series.ReferencedInstanceSequence = DicomSequence([instance])
    series.SeriesInstanceUID = source.SeriesInstanceUID
    out.ReferencedSeriesSequence = DicomSequence([series])


def _set_equipment(out: Dataset, source: Dataset, derivation: Derivation, moment: datetime) -> None:
    items = list(out.get("ContributingEquipmentSequence") or ())
    items.append(_source_equipment(source))
    if derivation.is_synthetic:
        items.append(synthesizing_equipment(derivation, moment))
    out.ContributingEquipmentSequence = DicomSequence(items)
    set_own_equipment(out, derivation.software)


def set_own_equipment(out: Dataset, software: Sequence[str]) -> None:
    """General Equipment: this program.

    Args:
        out: The header to change.
        software: Versions of the program and its models.
    """
    out.Manufacturer = PRODUCT
    out.ManufacturerModelName = PRODUCT
    out.SoftwareVersions = list(software)


def _source_equipment(source: Dataset) -> Dataset:
    wanted = {Tag(keyword) for keyword in EQUIPMENT}
    item = copied(source, lambda tag: tag in wanted and not _is_empty(source, tag))
    if "Manufacturer" not in item:  # type 1 here, type 2 in General Equipment
        item.Manufacturer = "UNKNOWN"
    if "DERIVED" in image_type(source)[:1]:
        purpose = PROCESSING_EQUIPMENT
    elif source.get("SyntheticData") == "YES":
        purpose = SYNTHESIZING_EQUIPMENT
    else:
        purpose = ACQUISITION_EQUIPMENT
    item.PurposeOfReferenceCodeSequence = DicomSequence([code_item(purpose)])
    return item


def synthesizing_equipment(derivation: Derivation, moment: datetime) -> Dataset:
    """This program as the maker of artificial content, for ContributingEquipmentSequence.

    Args:
        derivation: What it made.
        moment: When.
    """
    item = Dataset()
    item.Manufacturer = PRODUCT
    item.ManufacturerModelName = PRODUCT
    item.SoftwareVersions = list(derivation.software)
    item.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = derivation.description
    item.PurposeOfReferenceCodeSequence = DicomSequence([code_item(SYNTHESIZING_EQUIPMENT)])
    return item


def _is_empty(source: Dataset, tag: BaseTag) -> bool:
    value = source.get_item(tag).value
    return (
        value is None or len(value) == 0 or (isinstance(value, bytes) and not value.strip(b" \0"))
    )


def _keep_lossy(out: Dataset, source: Dataset, lossy: LossyStorage | None) -> None:
    if lossy is None:
        return
    out.LossyImageCompression = "01"
    methods = _values(source, "LossyImageCompressionMethod")
    ratios = _values(source, "LossyImageCompressionRatio")
    if methods[-1:] == [lossy.method] and len(ratios) == len(methods):
        return  # the header knew
    if len(ratios) == len(methods):
        ratios.append(format_number_as_ds(round(lossy.ratio, 2)))
        out.LossyImageCompressionRatio = ratios
    out.LossyImageCompressionMethod = [*methods, lossy.method]


def _values(source: Dataset, keyword: str) -> list[str]:
    value = source.get(keyword)
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str | float) else [str(item) for item in value]


def _label_simulated(out: Dataset, source: Dataset, derivation: Derivation) -> None:
    comments = text_of(source, "ImageComments")
    comments = f"{derivation.warning} {comments}".strip()[:_LONG_TEXT]
    set_text(out, source, "ImageComments", comments)
    scale_dose(out, source, derivation.dose_fraction or 1.0)


def scale_dose(out: Dataset, source: Dataset, fraction: float) -> None:
    """Scale what tells the dose of a scan; what cannot be scaled is removed.

    Args:
        out: The header or functional group to change.
        source: Where its values come from.
        fraction: Simulated dose over the dose of the source.
    """
    for keyword in (*_DOSE_INTEGERS, *_DOSE_DECIMALS, *_DOSE_FLOATS):
        if keyword not in out:
            continue
        value = number_of(source, keyword)
        if value is None:
            out.pop(keyword)  # what cannot be scaled would tell the dose of the scan
        elif keyword in _DOSE_INTEGERS:
            setattr(out, keyword, min(round(value * fraction), _INTEGER_MOST))
        elif keyword in _DOSE_DECIMALS:
            setattr(out, keyword, format_number_as_ds(value * fraction))
        else:
            setattr(out, keyword, value * fraction)


def number_of(source: Dataset, keyword: str) -> float | None:
    """One finite number of the source; None where it is missing, empty or unreadable.

    Args:
        source: A dataset as pydicom read it.
        keyword: An attribute of one value.
    """
    try:
        value = float(source.get(keyword))
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
        return None
    return value if isfinite(value) else None


def text_of(source: Dataset, keyword: str) -> str:
    """Text of the source that can be written again in the source's character set.

    Args:
        source: A dataset as pydicom read it.
        keyword: An attribute of one value.

    Returns:
        The text; characters that the header's character set does not explain become "?".
    """
    text = str(source.get(keyword) or "")
    if text.isascii() and text.isprintable():
        return text
    if "SpecificCharacterSet" not in source or not _survives(source, text):
        return ascii_text(text)
    return "".join(c for c in text if c.isprintable() and c != "\\")


def set_text(out: Dataset, source: Dataset, keyword: str, text: str) -> None:
    """Put text into a header in the character set that it shares with its source.

    Where there is only one, the text is encoded here: pydicom does not know how to in some, such
    as katakana of ISO_IR 13.

    Args:
        out: The header to change.
        source: What the header was copied from.
        keyword: An attribute of one text.
        text: Such as `text_of` returns, with more before or after it.
    """
    encodings = source.original_character_set
    names = [encodings] if isinstance(encodings, str) else list(encodings)
    if text.isascii() or len(names) > 1:
        setattr(out, keyword, text)
        return
    value, tag = text.encode(names[0], "replace"), Tag(keyword)
    value += b" " * (len(value) % 2)
    vr = dictionary_VR(tag)
    out[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def _survives(source: Dataset, text: str) -> bool:
    encodings = source.original_character_set
    names = [encodings] if isinstance(encodings, str) else list(encodings)
    for name in names:
        try:
            if text.encode(name).decode(name) == text:
                return True
        except (UnicodeError, LookupError):
            continue
    return False

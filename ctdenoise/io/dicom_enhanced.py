"""The header of a derived multi-frame CT object, built on the header of its source.

Enhanced CT (PS3.3 A.38) and Legacy Converted Enhanced CT (A.70) keep what differs between frames in
functional groups (C.7.6.16). A derived object is of the class of its source: a converted one lacks
most of what Enhanced CT demands of the scanner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import UID

from ctdenoise.io.dicom_attributes import is_dropped
from ctdenoise.io.dicom_codes import LOCAL_PROCESSING, SOURCE_IMAGE, code_item
from ctdenoise.io.dicom_copy import copied
from ctdenoise.io.dicom_derivation import Derivation
from ctdenoise.io.dicom_derived import (
    MULTI_ENERGY_TYPES,
    LossyStorage,
    NewSeries,
    derived_header,
    scale_dose,
)
from ctdenoise.io.dicom_enhanced_attributes import is_dropped_from_multi_frame
from ctdenoise.io.dicom_kinds import ENHANCED_CT
from ctdenoise.io.dicom_private import KeptPrivate
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID, new_uid

_CLASSIC_ONLY = ("SliceThickness", "KVP", "AcquisitionNumber")
"""Type 2 in the CT Image IOD, in functional groups or optional in multi-frame objects."""

_DESCRIPTION_MACRO = (
    "PixelPresentation",
    "VolumetricProperties",
    "VolumeBasedCalculationTechnique",
)
"""Common CT/MR Image Description macro (C.8.16.2): once for the object, once for each frame."""

_IN_STACK = Tag("InStackPositionNumber")


def derived_object(
    source: Dataset,
    frames: Sequence[int],
    series: NewSeries,
    sop_instance_uid: UID,
    lossy: LossyStorage | None = None,
) -> Dataset:
    """Everything of a derived multi-frame object but its pixels.

    Args:
        source: The header of the source, freshly read; its functional groups are taken out of it.
        frames: Zero-based frames of the source that become the frames of the new object, in order.
        series: What its series shares.
        sop_instance_uid: Its own identity.
        lossy: Set where the source is stored with loss.
    """
    shared, *_ = [*_items(source, "SharedFunctionalGroupsSequence"), Dataset()]
    per_frame = _items(source, "PerFrameFunctionalGroupsSequence")
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        source.pop(keyword, None)
    if series.derivation.code is None:  # the functional groups demand one
        series = replace(series, derivation=replace(series.derivation, code=LOCAL_PROCESSING))
    derivation = series.derivation
    private = KeptPrivate(source) if series.settings.private == "keep" else None
    out = derived_header(source, series, sop_instance_uid, lossy)
    for tag in [tag for tag in out if is_dropped_from_multi_frame(tag.tag)]:
        del out[tag.tag]
    for keyword in _CLASSIC_ONLY:
        if keyword not in source:
            out.pop(keyword, None)
    out.NumberOfFrames = len(frames)
    out.SharedFunctionalGroupsSequence = DicomSequence([_groups(shared, derivation, private)])
    out.PerFrameFunctionalGroupsSequence = DicomSequence(
        [_groups(per_frame[frame], derivation, private) for frame in frames]
    )
    _set_types(out, source, derivation)
    _set_derivation(out, source, frames, derivation)
    _number_dimensions(out, keep_private=private is not None)
    if out.SOPClassUID == ENHANCED_CT:
        out.DeviceSerialNumber = str(IMPLEMENTATION_CLASS_UID)
    if out.SOPClassUID == ENHANCED_CT or "ContentQualification" in out:
        out.ContentQualification = "RESEARCH"
    return out


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or ())


def _groups(source: Dataset, derivation: Derivation, private: KeptPrivate | None) -> Dataset:
    """The functional groups of a frame, or those that all frames share."""
    out = copied(source, lambda tag: not is_dropped(tag, is_simulated=False), private=private)
    out.pop("DerivationImageSequence", None)
    for group in _below(out):
        for tag in list(group.keys()):
            if is_dropped(tag, is_simulated=False):
                del group[tag]
        if derivation.dose_fraction is not None:
            scale_dose(group, group, derivation.dose_fraction)
            if "IrradiationEventUID" in group:
                _rename_events(group, derivation)
    return out


def _below(dataset: Dataset) -> Iterator[Dataset]:
    """Every item of every sequence of a dataset, at any depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                yield item
                yield from _below(item)


def _rename_events(group: Dataset, derivation: Derivation) -> None:
    """Give the irradiation events, of which there may be several, other identities."""
    value = group.IrradiationEventUID
    events = list(value) if isinstance(value, MultiValue) else [value]
    group.IrradiationEventUID = [
        new_uid("irradiation event", str(event), derivation.key) for event in events if event
    ]


def _set_types(out: Dataset, source: Dataset, derivation: Derivation) -> None:
    """ImageType, and the type of every frame (C.8.16.1)."""
    shared = out.SharedFunctionalGroupsSequence[0]
    groups = [shared, *out.PerFrameFunctionalGroupsSequence]
    kinds = [kind for group in groups for kind in _items(group, "CTImageFrameTypeSequence")]
    top = _values(source, "ImageType")
    if not kinds:
        kind = Dataset()
        for keyword in _DESCRIPTION_MACRO:
            if keyword in source:
                setattr(kind, keyword, source[keyword].value)
        shared.CTImageFrameTypeSequence = DicomSequence([kind])
        kinds = [kind]
    types = []
    for kind in kinds:
        kind.FrameType = _derived_type(_values(kind, "FrameType") or top, derivation)
        types.append(tuple(kind.FrameType))
    out.ImageType = [
        values[0] if len(set(values)) == 1 else "MIXED" for values in zip(*types, strict=True)
    ]


def _derived_type(old: Sequence[str], derivation: Derivation) -> list[str]:
    flavour = old[2] if len(old) > 2 and old[2] not in ("", "MIXED") else "VOLUME"
    if len(old) > 3 and old[3] in MULTI_ENERGY_TYPES:
        contrast = old[3]
    elif derivation.dose_fraction is not None and not derivation.is_denoised:
        contrast = "ADDITION"
    else:
        contrast = "FILTERED"
    return ["DERIVED", "PRIMARY", flavour, contrast]


def _values(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword) or []
    return [str(value)] if isinstance(value, str) else [str(item) for item in value]


def _set_derivation(
    out: Dataset, source: Dataset, frames: Sequence[int], derivation: Derivation
) -> None:
    """What was done to each frame and of which frame it was made (C.7.6.16.2.6, C.8.15.2)."""
    code = derivation.code or LOCAL_PROCESSING
    for group, frame in zip(out.PerFrameFunctionalGroupsSequence, frames, strict=True):
        image = _reference(source)
        image.ReferencedFrameNumber = frame + 1
        image.SpatialLocationsPreserved = "YES"
        image.PurposeOfReferenceCodeSequence = DicomSequence([code_item(SOURCE_IMAGE)])
        item = Dataset()
        item.DerivationDescription = derivation.description
        item.DerivationCodeSequence = DicomSequence([code_item(code)])
        item.SourceImageSequence = DicomSequence([image])
        group.DerivationImageSequence = DicomSequence([item])
    series = Dataset()
    series.ReferencedSOPSequence = DicomSequence([_reference(source)])
    series.SeriesInstanceUID = source.SeriesInstanceUID
    study = Dataset()
    study.ReferencedSeriesSequence = DicomSequence([series])
    study.StudyInstanceUID = source.StudyInstanceUID
    out.SourceImageEvidenceSequence = DicomSequence([study])


def _reference(source: Dataset) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = source.SOPClassUID
    image.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return image


def _number_dimensions(out: Dataset, *, keep_private: bool) -> None:
    """Count the indices of every dimension from 1 without a gap (C.7.6.17).

    Dimensions that point to private elements go, unless those are kept. Indices that contradict the
    dimensions already in the source are left as they are.
    """
    dimensions = _items(out, "DimensionIndexSequence")
    contents = [
        content
        for group in out.PerFrameFunctionalGroupsSequence
        for content in _items(group, "FrameContentSequence")
    ]
    rows = [_indices(content) for content in contents]
    if not dimensions or any(len(row) != len(dimensions) for row in rows):
        return
    kept = [place for place, item in enumerate(dimensions) if keep_private or not _is_private(item)]
    ranks = []
    for place in kept:
        present = sorted({row[place] for row in rows})
        ranks.append({value: rank for rank, value in enumerate(present, start=1)})
    numbered = [[rank[row[place]] for place, rank in zip(kept, ranks, strict=True)] for row in rows]
    if numbered == rows:
        return
    pointers = [dimensions[place].get("DimensionIndexPointer") for place in kept]
    for content, values in zip(contents, numbered, strict=True):
        content.DimensionIndexValues = values
        if _IN_STACK in pointers and "InStackPositionNumber" in content:
            content.InStackPositionNumber = values[pointers.index(_IN_STACK)]
    out.DimensionIndexSequence = DicomSequence([dimensions[place] for place in kept])
    for item in (*_items(out, "DimensionOrganizationSequence"), *out.DimensionIndexSequence):
        old = str(item.get("DimensionOrganizationUID") or "")
        item.DimensionOrganizationUID = new_uid("dimensions", old, str(out.SOPInstanceUID))


def _indices(content: Dataset) -> list[int]:
    value = content.get("DimensionIndexValues")
    if value is None:
        return []
    return [int(value)] if isinstance(value, int) else [int(index) for index in value]


def _is_private(dimension: Dataset) -> bool:
    pointers = (dimension.get("DimensionIndexPointer"), dimension.get("FunctionalGroupPointer"))
    return any(pointer is not None and Tag(pointer).is_private for pointer in pointers)

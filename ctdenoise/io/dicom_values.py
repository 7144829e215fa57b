"""Values of DICOM elements, of a classic header or one frame of many; absent if unreadable."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from functools import cache
from typing import cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.tag import BaseTag, Tag

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
    "DerivationDescription": "DerivationImageSequence",
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


class HeaderValues:
    """Elements of one frame: from its functional groups, the shared ones, then the top.

    Args:
        dataset: The header. Call within `quiet_pydicom`.
        groups: Functional groups of a frame, before the shared ones; empty for a classic image.
    """

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
            yield from HeaderValues(functional, ()).items(group)[:1]
        yield self._dataset

    def floats(self, keyword: str, count: int) -> Floats | None:
        """`count` finite numbers, or None."""
        value = self.raw(keyword)
        if isinstance(value, ItemSequence):
            return None
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
        if value is None or isinstance(value, ItemSequence):
            return ""
        items = value if isinstance(value, MutableSequence) else (value,)
        text = "/".join(map(str, items))
        if not text.isprintable():
            text = "".join(c for c in text if c.isprintable())
        return text.strip()

    def items(self, keyword: str) -> list[Dataset]:
        """Items of a sequence; none if it is absent, empty, unreadable or no sequence."""
        value = self.raw(keyword)
        return list(value) if isinstance(value, ItemSequence) else []

"""What a judge sees of an instance: its elements as bytes, text and numbers, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from math import isfinite
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ctdenoise.io.dicom_file import (
    DamagedFileError,
    DicomHeader,
    looks_like_dicom,
    read_header,
    read_instance,
    transfer_syntax,
)

MULTI_FRAME_CLASSES = frozenset(("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"))
"""Enhanced CT and Legacy Converted Enhanced CT (PS3.4 B.5)."""

PIXEL_DATA = Tag(0x7FE00010)
_PADDING = " \0"
_BINARY = frozenset(("AT", "FD", "FL", "SL", "SS", "UL", "US", "SV", "UV", "US or SS"))


def keywords(text: str) -> tuple[str, ...]:
    """Keywords of attributes, written one after the other.

    Args:
        text: Keywords with spaces between them.
    """
    return tuple(text.split())


@cache
def tag_of(keyword: str) -> BaseTag:
    """Tag of an attribute of the standard.

    Args:
        keyword: Its keyword.
    """
    return Tag(tag_for_keyword(keyword) or 0)


@cache
def _vr_of(tag: BaseTag) -> str:
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


def raw_value(dataset: Dataset, tag: BaseTag) -> bytes | None:
    """Bytes of an element without the padding at their end; None where there is no such element.

    Args:
        dataset: As pydicom read it; text that was not looked at yet still has its bytes.
        tag: An element that is no sequence.
    """
    if tag not in dataset:
        return None
    element: object = dataset.get_item(tag)
    value = getattr(element, "value", None)
    if value is None:
        return b""
    if isinstance(value, bytes):
        vr = getattr(element, "VR", None) or _vr_of(tag)
        return value if vr in _BINARY else value.rstrip(b" \0")
    parts = value if isinstance(value, MultiValue | list) else [value]
    return "\\".join(str(part) for part in parts).encode("utf-8", "replace").rstrip(b" \0")


def text_value(dataset: Dataset, keyword: str) -> str:
    """Text of an element, each byte a character; empty where it is missing.

    Args:
        dataset: As pydicom read it.
        keyword: An attribute of a text VR.
    """
    return (raw_value(dataset, tag_of(keyword)) or b"").decode("latin-1").strip(_PADDING)


def items_of(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """Items of a sequence; none where it is missing or no sequence.

    Args:
        dataset: As pydicom read it.
        keyword: An attribute of VR SQ.
    """
    tag = tag_of(keyword)
    if tag not in dataset:
        return ()
    element = dataset[tag]
    return tuple(element.value or ()) if element.VR == "SQ" else ()


def code_of(item: Dataset) -> tuple[str, str]:
    """Value and scheme of a coded word.

    Args:
        item: An item of a code sequence.
    """
    return (text_value(item, "CodeValue"), text_value(item, "CodingSchemeDesignator"))


class View:
    """One file: its header, never its pixels.

    Args:
        path: The file.

    Raises:
        DamagedFileError: If it cannot be parsed.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not looks_like_dicom(path):
            raise DamagedFileError("it does not begin like a DICOM file")
        self.header: DicomHeader = read_header(path)
        self.dataset = self.header.dataset
        self.syntax = str(transfer_syntax(self.dataset))

    def raw(self, keyword: str) -> bytes | None:
        """See `raw_value`."""
        return raw_value(self.dataset, tag_of(keyword))

    def text(self, keyword: str) -> str:
        """See `text_value`."""
        return text_value(self.dataset, keyword)

    def values(self, keyword: str) -> tuple[str, ...]:
        """The values of a text element, one by one."""
        text = self.text(keyword)
        return tuple(part.strip(_PADDING) for part in text.split("\\")) if text else ()

    def integer(self, keyword: str) -> int | None:
        """One whole number, binary or text; None where it is missing or unreadable."""
        numbers = numbers_of(self.dataset, keyword)
        return int(numbers[0]) if numbers else None

    def items(self, keyword: str) -> Sequence[Dataset]:
        """See `items_of`."""
        return items_of(self.dataset, keyword)

    @cached_property
    def preamble(self) -> bytes:
        """The 128 bytes before the DICM mark; empty where there is none."""
        with self.path.open("rb") as file:
            head = file.read(132)
        return head[:128] if head[128:] == b"DICM" else b""

    def meta(self, keyword: str) -> str:
        """Text of the file meta information, which a deflated file keeps outside its dataset."""
        if self.syntax != DeflatedExplicitVRLittleEndian:
            return str(self.dataset.file_meta.get(keyword, ""))
        return str(read_file_meta_info(self.path).get(keyword, ""))

    @cached_property
    def sop_instance_uid(self) -> str:
        """Identity of the instance."""
        return self.text("SOPInstanceUID")

    @cached_property
    def is_multi_frame(self) -> bool:
        """Whether geometry and rescale lie in functional groups."""
        return self.text("SOPClassUID") in MULTI_FRAME_CLASSES

    @cached_property
    def behind_the_pixels(self) -> tuple[BaseTag, ...]:
        """Elements after PixelData, such as signatures."""
        start, length = self.header.pixel_start, self.header.pixel_bytes
        if start is not None and length is not None and start + length == self.path.stat().st_size:
            return ()
        most = max(1, self.path.stat().st_size) * 8
        return tuple(
            tag
            for tag in read_instance(self.path, most_pixel_bytes=most).keys()  # noqa: SIM118
            if tag > PIXEL_DATA
        )

    def slices(self) -> Iterator[Slice]:
        """Its frames; the one image of a classic object."""
        if not self.is_multi_frame:
            yield Slice(self, 0)
            return
        for frame in range(len(self.items("PerFrameFunctionalGroupsSequence"))):
            yield Slice(self, frame)


class Slice:
    """One frame of a file.

    Args:
        view: The file.
        frame: Zero-based.
    """

    def __init__(self, view: View, frame: int) -> None:
        self.view, self.frame = view, frame

    @property
    def path(self) -> Path:
        """The file."""
        return self.view.path

    @cached_property
    def _places(self) -> tuple[Dataset, ...]:
        """Where attributes of this frame may be: its own groups, the shared ones, the top."""
        if not self.view.is_multi_frame:
            return (self.view.dataset,)
        own = self.view.items("PerFrameFunctionalGroupsSequence")[self.frame : self.frame + 1]
        shared = self.view.items("SharedFunctionalGroupsSequence")[:1]
        groups = [
            item
            for place in (*own, *shared)
            for tag in list(place.keys())
            if place[tag].VR == "SQ"
            for item in (place[tag].value or ())[:1]
        ]
        return (*groups, self.view.dataset)

    def place_of(self, keyword: str) -> Dataset | None:
        """The dataset or item that holds an attribute of this frame; None for none."""
        tag = tag_of(keyword)
        return next((place for place in self._places if tag in place), None)

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Numbers of an attribute; none where it is missing or unreadable."""
        place = self.place_of(keyword)
        return () if place is None else numbers_of(place, keyword)

    def text(self, keyword: str) -> str:
        """Text of an attribute; empty where it is missing."""
        place = self.place_of(keyword)
        return "" if place is None else text_value(place, keyword)

    @cached_property
    def position_mm(self) -> tuple[float, ...]:
        """ImagePositionPatient, LPS; empty where it is missing."""
        return self.numbers("ImagePositionPatient")

    @cached_property
    def rescale(self) -> tuple[float, float] | None:
        """Slope and intercept; None where they are missing or the slope is zero."""
        slope, intercept = self.numbers("RescaleSlope"), self.numbers("RescaleIntercept")
        return (slope[0], intercept[0]) if slope and intercept and slope[0] != 0 else None

    @cached_property
    def source_images(self) -> tuple[Dataset, ...]:
        """Items of SourceImageSequence, of the frame's derivation or at the top."""
        place = self.place_of("SourceImageSequence")
        return () if place is None else tuple(items_of(place, "SourceImageSequence"))

    @cached_property
    def padding(self) -> tuple[int, int] | None:
        """Smallest and largest stored value that mean padding; None for none."""
        first = self._stored("PixelPaddingValue")
        if first is None:
            return None
        last = self._stored("PixelPaddingRangeLimit")
        return (first, first) if last is None else (min(first, last), max(first, last))

    def _stored(self, keyword: str) -> int | None:
        """A number in the sign of the pixels, whatever the VR of the element says (C.7.5.1.1.2)."""
        value = self.view.integer(keyword)
        bits = self.view.integer("BitsAllocated") or 16
        if value is None:
            return None
        word = value & ((1 << bits) - 1)
        is_negative = self.view.integer("PixelRepresentation") == 1 and word >> (bits - 1)
        return word - (1 << bits) if is_negative else word


def numbers_of(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Finite numbers of an element, text or binary; none where it is missing or unreadable.

    Args:
        dataset: As pydicom read it.
        keyword: The attribute.
    """
    tag = tag_of(keyword)
    if tag not in dataset:
        return ()
    element: object = dataset.get_item(tag)
    try:
        if isinstance(element, RawDataElement) and element.VR in {"DS", "IS"}:
            parts: Sequence[object] = (element.value or b"").decode("ascii").split("\\")
            numbers = tuple(float(str(part).strip(_PADDING)) for part in parts)
        else:
            value = dataset[tag].value
            many = isinstance(value, MultiValue | list)
            numbers = tuple(float(part) for part in (value if many else [value]))
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
        return ()
    return numbers if all(isfinite(number) for number in numbers) else ()

"""Copying elements of a header without decoding their text.

Text is copied as the bytes it is, because decoding and encoding again changes names in odd or
wrong character sets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

_TEXT_VRS = frozenset(
    (
        "AE",
        "AS",
        "CS",
        "DA",
        "DS",
        "DT",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "TM",
        "UC",
        "UI",
        "UR",
        "UT",
    )
)
_NUMBER_VRS = frozenset(
    ("AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV")
)
_WORD_SIZE = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


def copied(source: Dataset, is_wanted: Callable[[BaseTag], bool]) -> Dataset:
    """Elements of a dataset, ready to be written in Explicit VR Little Endian.

    Args:
        source: A dataset as pydicom read it; elements that were not accessed yet keep their bytes.
        is_wanted: Asked for every element of the dataset. Private elements and group lengths never
            go in, at any depth; everything else inside a wanted sequence does.
    """
    out = Dataset(parent_encoding=source.original_character_set)
    for tag in sorted(source.keys()):
        if tag.is_private or tag.element == 0 or not is_wanted(tag):
            continue
        out[tag] = _element(source, tag)
    out.set_original_encoding(False, True, source.original_character_set)
    return out


def _element(source: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    raw: object = source.get_item(tag)  # pydicom's annotation forgets raw elements
    little = bool(source.original_encoding[1])
    if isinstance(raw, RawDataElement):
        vr = _vr(source, raw)
        if vr in _TEXT_VRS or (vr in _NUMBER_VRS and little):
            return _bytes_as_they_are(raw, vr)
    element = source[tag]
    if element.VR == "SQ":
        items = [copied(item, lambda _: True) for item in element.value or ()]
        return DataElement(tag, "SQ", Sequence(items))
    if not little and element.VR in _WORD_SIZE and isinstance(element.value, bytes):
        words = np.frombuffer(element.value, f">u{_WORD_SIZE[element.VR]}")
        return DataElement(tag, element.VR, words.byteswap().tobytes())
    # A copy: assigning to an element that two datasets share would change the source as well.
    return DataElement(tag, element.VR, element.value, already_converted=True)


def _vr(source: Dataset, raw: RawDataElement) -> str:
    vr = raw.VR
    if vr is None or vr == "UN":
        try:
            vr = dictionary_VR(raw.tag)
        except KeyError:
            return "UN"
    if vr == "US or SS":
        return "SS" if source.get("PixelRepresentation") == 1 else "US"
    return "OW" if " or " in vr and "OW" in vr else vr


def _bytes_as_they_are(raw: RawDataElement, vr: str) -> RawDataElement:
    value = raw.value or b""
    if len(value) % 2:  # PS3.5 6.2: values have even length
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    return raw._replace(
        VR=vr, length=len(value), value=value, is_implicit_VR=False, is_little_endian=True
    )

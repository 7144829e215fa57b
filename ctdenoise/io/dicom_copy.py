"""Copying elements of a header without decoding their text.

Text is copied as the bytes it is, because decoding and encoding again changes names in odd or
wrong character sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

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
_NEVER_IN_ITEMS = frozenset((0x4FFE, 0xFFFA, 0xFFFC))
_WORD_SIZE = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


class PrivateRule(Protocol):
    """Which private elements of a dataset are copied."""

    def is_wanted(self, dataset: Dataset, tag: BaseTag) -> bool:
        """Whether a private element of a dataset, at any depth, is copied."""
        ...


def copied(
    source: Dataset, is_wanted: Callable[[BaseTag], bool], *, private: PrivateRule | None = None
) -> Dataset:
    """Elements of a dataset, ready to be written in little endian.

    Args:
        source: A dataset as pydicom read it; elements that were not accessed yet keep their bytes.
        is_wanted: Asked for every standard element of the dataset. Group lengths never go in, and
            signatures in no sequence; everything else inside a wanted sequence does.
        private: Asked for every private element, at any depth; None for none of them.
    """
    out = Dataset(parent_encoding=source.original_character_set)
    for tag in sorted(source.keys()):
        if tag.element == 0:
            continue
        if tag.is_private:
            if private is None or not private.is_wanted(source, tag):
                continue
        elif not is_wanted(tag):
            continue
        out[tag] = _element(source, tag, private)
    out.set_original_encoding(False, True, source.original_character_set)
    return out


def _element(
    source: Dataset, tag: BaseTag, private: PrivateRule | None
) -> DataElement | RawDataElement:
    raw: object = source.get_item(tag)  # pydicom's annotation forgets raw elements
    little = bool(source.original_encoding[1])
    if isinstance(raw, RawDataElement):
        vr = _vr(source, raw)
        is_opaque = vr in _NUMBER_VRS or (tag.is_private and vr != "SQ")
        if vr in _TEXT_VRS or (little and is_opaque):
            return _bytes_as_they_are(raw, vr)
    element = source[tag]
    if element.VR == "SQ":
        items = [copied(item, _is_of_item, private=private) for item in element.value or ()]
        return DataElement(tag, "SQ", Sequence(items))
    if not little and element.VR in _WORD_SIZE and isinstance(element.value, bytes):
        words = np.frombuffer(element.value, f">u{_WORD_SIZE[element.VR]}")
        return DataElement(tag, element.VR, words.byteswap().tobytes())
    # A copy: assigning to an element that two datasets share would change the source as well.
    return DataElement(tag, element.VR, element.value, already_converted=True)


def _is_of_item(tag: BaseTag) -> bool:
    """All but signatures, which no copy satisfies, and padding (PS3.5 7.5)."""
    return tag.group not in _NEVER_IN_ITEMS


def _vr(source: Dataset, raw: RawDataElement) -> str:
    vr = raw.VR
    if raw.tag.is_private:
        return vr or "UN"  # what only its maker can interpret (PS3.5 6.2.2)
    try:
        standard = dictionary_VR(raw.tag)
    except KeyError:
        return vr or "UN"
    if vr is None or vr == "UN" or _is_same_in_bytes(vr, standard):
        vr = standard
    if vr == "US or SS":
        return "SS" if source.get("PixelRepresentation") == 1 else "US"
    return "OW" if " or " in vr and "OW" in vr else vr


def _is_same_in_bytes(vr: str, standard: str) -> bool:
    """Whether a wrong VR can be put right without touching the value; UIDs are padded otherwise."""
    text = _TEXT_VRS - {"UI"}
    return {vr, standard} <= text or (vr in ("US", "SS") and standard == "US or SS")


def _bytes_as_they_are(raw: RawDataElement, vr: str) -> RawDataElement:
    value = raw.value or b""
    if len(value) % 2:  # PS3.5 6.2: values have even length
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    return raw._replace(
        VR=vr, length=len(value), value=value, is_implicit_VR=False, is_little_endian=True
    )

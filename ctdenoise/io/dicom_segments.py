"""Coded words for the segments of a DICOM Segmentation, found by the names of the labels.

A segment has a property category (CID 7150), a type, and a side (PS3.3 C.8.20.4). The words of a
name are compared with those of the standard's own structures, in any order: "lung_upper_lobe_left"
is "Upper lobe of lung", left. All codes come from the tables of PS3.16 that pydicom holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ctdenoise.config.inference import SegmentSettings
from ctdenoise.errors import SettingsError

_ANATOMY = ("CID7192", "CID7154", "CID7155", "CID7153", "CID7152")
"""Context groups of anatomical structures that may be segmented."""

_ABNORMAL = {
    "abscess": "Abscess",
    "cyst": "Cyst",
    "hemorrhage": "Hemorrhage",
    "lesion": "Lesion",
    "mass": "Mass",
    "metastases": "NeoplasmSecondary",
    "metastasis": "NeoplasmSecondary",
    "neoplasm": "Neoplasm",
    "nodule": "Nodule",
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
}
"""What is no structure of a healthy body, as words of CID 7159."""

_TISSUES = {
    "bone": "BoneTissue",
    "fat": "AdiposeTissue",
    "adipose": "AdiposeTissue",
    "muscle": "MuscleTissue",
    "skin": "Skin",
    "soft": "SoftTissue",
}
"""Tissues, as words of CID 7166."""

_CATEGORIES: dict[str, Code] = {
    "anatomy": codes.SCT.AnatomicalStructure,
    "tissue": codes.SCT.Tissue,
    "abnormality": codes.SCT.MorphologicallyAbnormalStructure,
}
_SIDES: dict[str, Code] = {
    "left": codes.CID244.Left,
    "right": codes.CID244.Right,
    "bilateral": codes.CID244.Bilateral,
}
_LITTLE = frozenset(("of", "the", "and", "or", "structure", "tissue"))


@dataclass(frozen=True, slots=True)
class SegmentCodes:
    """What a segment is, in coded words.

    Args:
        category: Kind of thing.
        type: The thing.
        side: Where it is one of a pair; None otherwise.
        region: The structure that an abnormality is in; None for none.
    """

    category: Code
    type: Code
    side: Code | None = None
    region: Code | None = None


def segment_codes(name: str, settings: Mapping[str, SegmentSettings] | None = None) -> SegmentCodes:
    """What a label is in coded words.

    Args:
        name: Of the label, English: "liver", "kidney_left", "liver tumour".
        settings: What names mean that the standard does not know, or means otherwise.

    Returns:
        The codes; "Anatomical Structure" where the standard has nothing of that name.

    Raises:
        SettingsError: If a type of the settings is no name that the standard knows.
    """
    own = (settings or {}).get(name)
    found = _by_name(name)
    if own is None:
        return found
    type_, category = found.type, found.category
    if own.type is not None:
        told = _by_text(own.type)
        type_, category = told.type, told.category
    if own.category is not None:
        category = _CATEGORIES[own.category]
    side = found.side if own.laterality is None else _SIDES.get(own.laterality)
    return SegmentCodes(category, type_, side, None if own.type else found.region)


def _by_text(text: str) -> SegmentCodes:
    parts = text.split("^")
    if len(parts) == 3:
        return SegmentCodes(_CATEGORIES["anatomy"], Code(*parts))
    found = _by_name(text)
    if found.type == codes.SCT.AnatomicalStructure:
        raise SettingsError(
            f'"{text}" is no structure, tissue or abnormality that the standard has a name for.',
            where="objects.segments",
            fix="Give its code as value^scheme^meaning, such as 10200004^SCT^Liver.",
        )
    return found


def _by_name(name: str) -> SegmentCodes:
    words = re.findall(r"[a-z]+", name.lower())
    sides = [word for word in words if word in ("left", "right")]
    side = _SIDES[sides[0]] if len(sides) == 1 else None
    rest = frozenset(words) - _LITTLE - {"left", "right"}
    for word in rest:
        singular = word if word in _ABNORMAL else word.removesuffix("s")
        if singular in _ABNORMAL:
            type_: Code = getattr(codes.CID7159, _ABNORMAL[singular])
            region = _structure(rest - {word})
            return SegmentCodes(_CATEGORIES["abnormality"], type_, side, region)
    structure = _structure(rest)
    if structure is not None:
        return SegmentCodes(_CATEGORIES["anatomy"], structure, side)
    if len(rest) == 1 and (tissue := _TISSUES.get(next(iter(rest)))):
        return SegmentCodes(_CATEGORIES["tissue"], getattr(codes.CID7166, tissue), side)
    return SegmentCodes(_CATEGORIES["anatomy"], codes.SCT.AnatomicalStructure, side)


def _structure(words: frozenset[str]) -> Code | None:
    singular = frozenset(word.removesuffix("s") for word in words)
    return _structures().get(words) or _structures().get(singular)


@cache
def _structures() -> dict[frozenset[str], Code]:
    """The structures of the standard by the words of their names."""
    found: dict[frozenset[str], Code] = {}
    for group in _ANATOMY:
        concepts = getattr(codes, group)
        for keyword in concepts.dir():
            words = frozenset(re.findall(r"[A-Z]+[a-z]*", keyword))
            key = frozenset(word.lower() for word in words) - _LITTLE
            found.setdefault(key, getattr(concepts, keyword))
    return found

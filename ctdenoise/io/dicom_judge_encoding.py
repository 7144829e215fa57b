"""Judging the bytes of a derived file: meta information, UIDs, values, what hides in sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from ctdenoise.io.dicom_judge_objections import Objections
from ctdenoise.io.dicom_judge_view import View, raw_value

_LONGEST = {
    "AE": 16,
    "AS": 4,
    "CS": 16,
    "DA": 8,
    "DS": 16,
    "DT": 26,
    "IS": 12,
    "LO": 64,
    "SH": 16,
    "TM": 16,
    "UI": 64,
}
"""Most characters of one value (PS3.5 table 6.2-1); TM may end in a space."""

_LONGEST_WHOLE = {"ST": 1024, "LT": 10240}
"""Most characters where a backslash does not separate values."""

_NAME_LONGEST = 64  # characters of each component group of a PN

_FORMS = {
    "UI": re.compile(rb"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+"),
    "CS": re.compile(rb"[A-Z0-9 _]*"),
    "DA": re.compile(rb"[0-9]{8}"),
    "TM": re.compile(rb"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)? ?"),
    "DT": re.compile(rb"[0-9]{4,14}(\.[0-9]{1,6})?([+-][0-9]{4})? ?"),
    "IS": re.compile(rb" *[+-]?[0-9]+ *"),
    "DS": re.compile(rb" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *"),
    "AS": re.compile(rb"[0-9]{3}[DWMY]"),
}
_TEXT = frozenset((*_LONGEST, *_LONGEST_WHOLE, "PN", "UC", "UT", "UR"))
_OWN_CHARACTERS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_MULTI_BYTE = b"\x1b"
_PATIENT_GROUP = 0x0010

Place = tuple[int, ...]
"""Tags from the top down to an element; items of a sequence are not told apart."""


@dataclass(slots=True)
class Judged:
    """What was judged before, since most elements of a series are alike.

    Args:
        problems: Defect of a value by tag, VR and bytes.
    """

    problems: dict[tuple[int, str, bytes], str] = field(default_factory=dict)


def judge_file(view: View, objections: Objections) -> None:
    """Preamble and file meta information.

    Args:
        view: A derived file.
        objections: Told what is wrong.
    """
    if view.preamble.strip(b"\0"):
        objections.add("preamble", view.path)
    wrong = [] if view.preamble else ["no preamble and DICM mark"]
    for keyword, of_dataset in (
        ("MediaStorageSOPInstanceUID", "SOPInstanceUID"),
        ("MediaStorageSOPClassUID", "SOPClassUID"),
    ):
        if view.meta(keyword) != view.text(of_dataset):
            wrong.append(keyword)
    objections.add_each("file-meta", view.path, wrong)


def judge_elements(
    view: View, source: View | None, objections: Objections, judged: Judged, *, keep: bool
) -> None:
    """Every element at any depth: length and form of values, private elements, patient data.

    A value that is no better in the source at the same place is only named.

    Args:
        view: A derived file.
        source: The file it was derived from; None where it is not at hand.
        objections: Told what is wrong.
        judged: Kept between files of one series.
        keep: Whether private elements of the source may stay.
    """
    suspects = list(_suspects(view, judged))
    if not suspects:
        return
    known = None if source is None else {(at, value) for at, _, value in elements(source.dataset)}
    places = {at for at, _ in known or ()}
    values = {value for _, value in known or ()}
    for rule, place, value, detail in suspects:
        if rule == "private-elements":
            if not keep or (known is not None and place not in places):
                objections.add(rule, view.path, _name(place[:1]))
        elif rule == "nested-identity":
            if known is not None and (place, value) not in known:
                objections.add(rule, view.path, _name(place))
        else:  # a value of the source may stand at another place: a reference, the equipment
            where = f"{_name(place)} {detail}".strip()
            objections.add(rule, view.path, where, inherited=value in values)


def _suspects(view: View, judged: Judged) -> Iterator[tuple[str, Place, bytes, str]]:
    """Elements that may break a rule: the rule, where, the bytes, and what is wrong with them."""
    has_character_set = bool(view.text("SpecificCharacterSet"))
    for place, vr, value in elements(view.dataset):
        if any(tag >> 16 & 1 for tag in place):
            yield ("private-elements", place, value, "")
        elif len(place) > 1 and (place[-1] >> 16 == _PATIENT_GROUP or vr == "PN"):
            yield ("nested-identity", place, value, "")
        if vr in _TEXT and value:
            problem = _problem(place[-1], vr, value, judged)
            if not problem and vr in _OWN_CHARACTERS and not has_character_set:
                problem = "" if value.isascii() else "character-set"
            if problem:
                rule, _, detail = problem.partition(" ")
                yield (rule, place, value, detail)


def elements(dataset: Dataset, above: Place = ()) -> Iterator[tuple[Place, str, bytes]]:
    """Every element but pixels, at any depth: its place, VR and bytes; sequences have no bytes.

    Args:
        dataset: As pydicom read it.
        above: Tags of the sequences around it.
    """
    for tag in list(dataset.keys()):
        element: object = dataset.get_item(tag)
        vr, value = _vr(element, tag), getattr(element, "value", None)
        if vr == "SQ":
            yield ((*above, tag), vr, b"")
            for item in dataset[tag].value or ():
                yield from elements(item, (*above, tag))
        elif isinstance(value, bytes):
            yield ((*above, tag), vr, value.rstrip(b" \0"))
        else:
            yield ((*above, tag), vr, raw_value(dataset, tag) or b"")


def _vr(element: object, tag: BaseTag) -> str:
    vr = str(getattr(element, "VR", "") or "")
    if isinstance(element, RawDataElement) and vr in {"", "UN"} and dictionary_has_tag(tag):
        return dictionary_VR(tag)
    return vr


def _name(place: Place) -> str:
    """Keywords from the top down; private elements by group only, and no values at all."""
    return " > ".join(
        f"group {tag >> 16:04X}" if tag >> 16 & 1 else keyword_for_tag(tag) or f"{tag:08X}"
        for tag in place
    )


def _problem(tag: int, vr: str, value: bytes, judged: Judged) -> str:
    """Rule and words for what is wrong with a value; empty where it is fine."""
    key = (tag, vr, value)
    if key not in judged.problems:
        judged.problems[key] = _found(tag, vr, value)
    return judged.problems[key]


def _found(tag: int, vr: str, value: bytes) -> str:
    known = dictionary_VR(tag) if dictionary_has_tag(tag) else vr
    if vr != known and not (" or " in known and vr in known):
        return f"value-form has VR {vr} instead of {known}"
    if vr == "PN":
        parts = value.replace(b"=", b"\\").split(b"\\")
        is_short = all(len(part) <= _NAME_LONGEST for part in parts)
        return "" if is_short or not _one_byte(value, vr) else "value-form is too long"
    if vr in _LONGEST_WHOLE:
        return "value-form is too long" if len(value) > _LONGEST_WHOLE[vr] else ""
    return _found_in_parts(vr, value) if vr in _LONGEST else ""


def _found_in_parts(vr: str, value: bytes) -> str:
    rule = "uid-form" if vr == "UI" else "value-form"
    form = _FORMS.get(vr)
    for part in value.split(b"\\"):
        text = part if vr == "UI" else part.strip(b" \0")
        counted = part if vr in {"DS", "IS"} else text
        if len(counted) > _LONGEST[vr] and _one_byte(part, vr):
            return f"{rule} is too long"
        if form is not None and text and form.fullmatch(text) is None:
            return f"{rule} is not of its form"
    return ""


def _one_byte(part: bytes, vr: str) -> bool:
    """Whether bytes are characters: text of other scripts may take several bytes for each."""
    return vr not in _OWN_CHARACTERS or (part.isascii() and _MULTI_BYTE not in part)

"""What becomes of each element of a DICOM header when whose it is must not show.

The table of PS3.15 E.1-1 comes from dicom-anonymizer; it is applied inside every sequence. What the
table does not name is kept only where it cannot hold words of a person: numbers, coded strings, and
the few texts of `_KEPT_TEXTS`. So more goes than the basic profile asks for, never less.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from typing import Literal

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from ctdenoise.errors import MissingExtraError
from ctdenoise.io.deidentify_secrets import Secrets
from ctdenoise.io.dicom_attributes import TYPE_2

TABLE_EDITION = "2026c"
"""Edition of PS3.15 whose table is used."""

Dates = Literal["remove", "shift"]

_DICOM_ROOT = "1.2.840.10008."
_LONGEST_SHIFT_DAYS = 3650
_NUMBER = re.compile(rb"[\s0-9eE+.\\-]*\Z")
_PIXEL_TAGS = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010))
_NEVER = frozenset(("AE", "LT", "PN", "ST", "UC", "UN", "UR", "UT", "OB", "OW", "OD", "OF", "OL"))
"""Value representations of words, addresses and unknown bytes: kept nowhere but in the pixels."""

_KEPT_TEXTS = frozenset(
    (
        *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ConvolutionKernel"),
        *("FilterType", "RescaleType", "StackID", "CodeValue", "CodingSchemeDesignator"),
        *("CodingSchemeVersion", "CodeMeaning", "CodingSchemeName"),
        *("ImageFilter", "LUTLabel", "LUTExplanation"),
    )
)
"""LO and SH elements that are kept: made by machines, needed to use the images."""

_KEPT_TABLES = frozenset(
    f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")
)
"""Numbers of VR OW that say how pixels are shown; an image with a palette is not legal without."""

_ESSENTIAL = frozenset(("ImageType", "Modality", "PhotometricInterpretation", "FrameType"))
"""Not dropped where a secret seems to be in them; the scan of what was written refuses instead."""

_ALWAYS_GONE = frozenset(("IconImageSequence", "PatientBirthDate", "PatientBirthTime"))
_DRAWING_GROUPS = frozenset((0x50, 0x60, 0x7F))
"""Curves, overlays and pixels of any other kind than those that are copied."""

_SIGNED_GROUPS = frozenset((0x4FFE, 0xFFFA, 0xFFFC))
"""Signatures, which no changed header satisfies, and padding."""

_MULTI_FRAME_TYPE_1 = frozenset(
    ("ContentDate", "ContentTime", "AcquisitionDateTime", "DeviceSerialNumber")
)
"""What Enhanced CT requires with a value (PS3.3 A.38), so that it gets one that says nothing."""

_MULTI_FRAME_EMPTY = "AcquisitionContextSequence"
"""The one sequence of the table that multi-frame CT requires, with no item (Type 2)."""

_DUMMY_DATES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}
"""A date that says nothing, in a year that every program takes for one."""

_PSEUDONYMS = frozenset(("PatientID", "PatientName"))


def require_deidentify_extra() -> None:
    """Refuse early where the table of the standard is not installed.

    Raises:
        MissingExtraError: If dicom-anonymizer is not installed.
    """
    if find_spec("dicomanonymizer") is None:
        raise MissingExtraError(
            "de-identification needs dicom-anonymizer, which is not installed.",
            fix="Install it with: pip install 'ctdenoise[deidentify]'",
        )


def confidentiality_table() -> dict[tuple[int, int], str]:
    """Action of PS3.15 E.1-1 by tag: "X", "Z", "D", "U", "X/Z", ...; group ranges left out.

    The ranges are curves and overlays, which are dropped whatever they hold.
    """
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    lists = dicom_anonymization_database_selector(f"dicomfields_{TABLE_EDITION}")
    return {
        tag: name.removesuffix("_TAGS").replace("_STAR", "*").replace("_", "/")
        for name, tags in lists.items()
        if name != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """New identities that depend on the old ones and a secret key, so that no one can guess back.

    Args:
        key: At least 16 random bytes.
    """

    key: bytes

    def uid(self, old: str) -> UID:
        """The new UID of an old one: `2.25.` and a version 4 UUID's value (PS3.5 B.2)."""
        return UID(f"2.25.{uuid.UUID(bytes=self._digest('uid', old)[:16], version=4).int}")

    def patient(self, patient_id: str) -> str:
        """The new ID and name of a patient."""
        return "P" + self._digest("patient", patient_id).hex()[:12].upper()

    def digest(self, text: str) -> str:
        """Eight hexadecimal digits in the place of an old digest."""
        return self._digest("digest", text).hex()[:8]

    def shift_days(self, patient_id: str) -> int:
        """By how many days the dates of a patient move into the past; the same for all of them."""
        value = int.from_bytes(self._digest("days", patient_id)[:4], "big")
        return 1 + value % _LONGEST_SHIFT_DAYS

    def _digest(self, role: str, text: str) -> bytes:
        return hmac.new(self.key, f"{role}\x1f{text}".encode(), hashlib.sha256).digest()


class Rules:
    """Makes the header of an exported instance from the header of its source.

    Args:
        pseudonyms: New identities.
        secrets: Words that must appear nowhere.
        dates: "remove" or "shift".
        patient_id: Whose instances these are.
    """

    def __init__(
        self, pseudonyms: Pseudonyms, secrets: Secrets, *, dates: Dates, patient_id: str
    ) -> None:
        self._pseudonyms, self._secrets, self._dates = pseudonyms, secrets, dates
        self._name = pseudonyms.patient(patient_id)
        self._days = pseudonyms.shift_days(patient_id)
        self._table = confidentiality_table()

    def applied(self, source: Dataset) -> Dataset:
        """The elements that may be seen, pixel data as they are.

        Args:
            source: A whole instance, freshly read. Call within `quiet_pydicom`.
        """
        is_multi_frame = "SharedFunctionalGroupsSequence" in source
        out = self._cleaned(source, is_multi_frame=is_multi_frame)
        for keyword in TYPE_2:
            if keyword not in out and (not is_multi_frame or keyword in source):
                setattr(out, keyword, None)
        if is_multi_frame and _MULTI_FRAME_EMPTY in source:
            setattr(out, _MULTI_FRAME_EMPTY, DicomSequence())
        out.PatientID = out.PatientName = self._name
        return out

    def _cleaned(self, source: Dataset, *, is_multi_frame: bool) -> Dataset:
        out = Dataset(parent_encoding=source.original_character_set)
        for tag in sorted(source.keys()):
            kept = self._kept(source, tag, is_multi_frame=is_multi_frame)
            if kept is not None:
                out[tag] = kept
        implicit, little = source.original_encoding
        out.set_original_encoding(implicit, little, source.original_character_set)
        return out

    def _kept(
        self, source: Dataset, tag: BaseTag, *, is_multi_frame: bool
    ) -> DataElement | RawDataElement | None:
        """The element to write; None to drop it."""
        if int(tag) in _PIXEL_TAGS:
            raw: DataElement | RawDataElement = source.get_item(tag)
            return raw
        if _is_unwanted(tag):
            return None
        try:
            element = source[tag]
        except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
            return None
        return self._of_element(element, is_multi_frame=is_multi_frame)

    def _of_element(self, element: DataElement, *, is_multi_frame: bool) -> DataElement | None:
        tag = element.tag
        action = self._table.get((tag.group, tag.element), "")
        if element.VR == "SQ":
            return self._sequence(element, action, is_multi_frame=is_multi_frame)
        if element.VR == "UI":
            return self._renamed(element)
        if element.VR in ("DA", "DT", "TM"):
            return self._moved(element, action, is_multi_frame=is_multi_frame)
        if action:
            return _dummy(element, action, is_multi_frame=is_multi_frame)
        return element if self._is_harmless(element, element.keyword) else None

    def _sequence(
        self, element: DataElement, action: str, *, is_multi_frame: bool
    ) -> DataElement | None:
        if action and action != "X/Z/U*":
            return None
        items = [self._cleaned(item, is_multi_frame=is_multi_frame) for item in element.value or ()]
        return DataElement(element.tag, "SQ", DicomSequence(items))

    def _renamed(self, element: DataElement) -> DataElement:
        """UIDs of anything but the standard itself, replaced whatever element they are in."""
        values = [element.value] if isinstance(element.value, str) else list(element.value or ())
        new = [
            value if not value or value.startswith(_DICOM_ROOT) else self._pseudonyms.uid(value)
            for value in map(str, values)
        ]
        return DataElement(element.tag, "UI", new if len(new) > 1 else "".join(new))

    def _moved(
        self, element: DataElement, action: str, *, is_multi_frame: bool
    ) -> DataElement | None:
        text = str(element.value or "")
        if self._dates == "shift":
            if element.VR == "TM":
                return element if re.fullmatch(r"[0-9.]*", text) else None
            shifted = _shifted(text, self._days)
            return None if shifted is None else DataElement(element.tag, element.VR, shifted)
        return _dummy(element, action or "X", is_multi_frame=is_multi_frame)

    def _is_harmless(self, element: DataElement, keyword: str) -> bool:
        if keyword in _KEPT_TABLES:
            return True
        if element.VR in _NEVER or (element.VR in ("LO", "SH") and keyword not in _KEPT_TEXTS):
            return False
        text = "\\".join(map(str, _values(element)))
        if element.VR in ("DS", "IS") and not _NUMBER.match(text.encode("utf-8", "replace")):
            return False
        if element.VR in ("CS", "LO", "SH"):
            return keyword in _ESSENTIAL or (text.isascii() and not self._secrets.are_in(text))
        return element.VR != "AS"


def _is_unwanted(tag: BaseTag) -> bool:
    """Private and unknown elements, curves, overlays, signatures, and what is written anew."""
    if tag.is_private or tag.element == 0 or not dictionary_has_tag(tag):
        return True
    keyword = keyword_for_tag(tag)
    is_drawing = tag.group >> 8 in _DRAWING_GROUPS or tag.group in _SIGNED_GROUPS
    return is_drawing or keyword in _ALWAYS_GONE or keyword in _PSEUDONYMS


def _values(element: DataElement) -> list[object]:
    if element.value is None:
        return []
    return [element.value] if isinstance(element.value, str | int | float) else list(element.value)


def _dummy(element: DataElement, action: str, *, is_multi_frame: bool) -> DataElement | None:
    """What stands in the place of an element of the table that is no UID and no sequence.

    Classic CT requires none of the elements to hold a value; multi-frame CT requires some.
    """
    from dicomanonymizer.simpledicomanonymizer import replace_element

    wants_value = action == "D" or (is_multi_frame and element.keyword in _MULTI_FRAME_TYPE_1)
    if not wants_value:
        return None  # an empty one is added where the standard wants it (Type 2)
    if element.VR in _DUMMY_DATES:
        return DataElement(element.tag, element.VR, _DUMMY_DATES[element.VR])
    new = DataElement(element.tag, element.VR, element.value)
    replace_element(new)
    return new


def _shifted(text: str, days: int) -> str | None:
    """A DA or DT so many days earlier, its time of day kept; None where it is no date."""
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])) - timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    rest = text[8:]
    return day.strftime("%Y%m%d") + (rest if re.fullmatch(r"[0-9.+-]*", rest) else "")


def tag_name(tag: BaseTag | int) -> str:
    """Keyword of a tag for messages; its numbers where it has none."""
    return keyword_for_tag(Tag(tag)) or str(Tag(tag))

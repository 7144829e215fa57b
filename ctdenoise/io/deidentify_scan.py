"""The last look at a de-identified file: does anything of the patient remain in its bytes?

It shares no code with the rules that made the file but the table of the standard, and whatever it
finds stops the export.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from ctdenoise.io.deidentify_secrets import Secrets, elements_of, stands_in
from ctdenoise.io.dicom_file import quiet_pydicom, read_instance

_DUMMY_TEXTS = frozenset(("", "ANONYMIZED", "000Y", "0", "http://anonymized.invalid"))
_DUMMY_DATES = frozenset(("19000101", "19000101000000", "000000"))
_NUMBERS = frozenset(("DS", "IS"))
_SHORTEST_DIGITS = 6
"""Numbers with fewer digits stand in binary data and decimal strings by chance."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What elements of the table may hold.

    Args:
        pseudonym: ID and name of the patient.
        texts: Words that the export wrote itself.
        shifts_dates: Whether dates and times stay, moved.
    """

    pseudonym: str
    texts: frozenset[str]
    shifts_dates: bool


def residues(
    path: Path,
    secrets: Secrets,
    table: Mapping[tuple[int, int], str],
    allowed: Allowed,
    *,
    most_pixel_bytes: int,
) -> Iterator[str]:
    """What must not be in a written file, named without its value.

    Args:
        path: The file.
        secrets: Words and UIDs of the sources.
        table: Action by tag, of PS3.15 E.1-1.
        allowed: What the elements of the table may hold.
        most_pixel_bytes: Size of the decoded pixels.
    """
    dataset = read_instance(path, most_pixel_bytes=most_pixel_bytes)
    with quiet_pydicom():
        for element in (*elements_of(dataset.file_meta), *elements_of(dataset)):
            yield from _of_element(element, secrets, table, allowed)
        if dataset.preamble is not None and any(dataset.preamble):
            yield "the preamble is not empty"
        yield from _of_bytes(_header_bytes(path, dataset), secrets)


def _of_element(
    element: DataElement,
    secrets: Secrets,
    table: Mapping[tuple[int, int], str],
    allowed: Allowed,
) -> Iterator[str]:
    name = element.keyword or str(element.tag)
    if element.tag.is_private:
        yield f"{name} is a private element"
    if element.tag.group >> 8 in (0x50, 0x60):
        yield f"{name} is a curve or an overlay"
    if element.VR == "SQ" or element.tag.group >= 0x7FE0:
        return
    text = "" if element.value is None else str(element.value)
    if element.VR == "UI":
        if secrets.has_uid(text):
            yield f"{name} holds a UID of the source"
        return
    if element.VR not in _NUMBERS and any(stands_in(word, text.lower()) for word in secrets.words):
        yield f"{name} holds a word of the patient's name or IDs"
    action = table.get((element.tag.group, element.tag.element))
    if action and not _is_allowed(element, text, allowed):
        yield f"{name} still holds a value"


def _is_allowed(element: DataElement, text: str, allowed: Allowed) -> bool:
    if text in _DUMMY_TEXTS or text in _DUMMY_DATES or text in allowed.texts:
        return True
    if element.keyword in ("PatientName", "PatientID"):
        return text == allowed.pseudonym
    if element.VR in ("DA", "DT", "TM"):
        return allowed.shifts_dates and element.keyword != "PatientBirthDate"
    return False


def _header_bytes(path: Path, dataset: Dataset) -> bytes:
    """The file without its pixel data."""
    content = path.read_bytes()
    pixels = dataset.get_item("PixelData")
    value = pixels.value
    if not isinstance(value, bytes) or not value:
        return content
    start = content.rfind(value)
    return content if start < 0 else content[:start] + b"\0" + content[start + len(value) :]


def _of_bytes(content: bytes, secrets: Secrets) -> Iterator[str]:
    """The same in the bytes, whatever element they belong to."""
    if secrets.has_uid(content.decode("latin-1")):
        yield "its bytes hold a UID of the source"
    lowered = content.lower()
    for word in secrets.words:
        if not word.isascii():
            if word.encode() in lowered:
                yield "its bytes hold a word of the patient's name or IDs"
            continue
        is_number = not re.search(r"[a-z]", word)
        if is_number and len(re.sub(r"[^0-9]", "", word)) < _SHORTEST_DIGITS:
            continue
        pattern = re.escape(word.encode())
        if is_number or len(word) < 5:
            pattern = rb"(?<![0-9a-z.])" + pattern + rb"(?![0-9a-z.])"
        if re.search(pattern, lowered):
            yield "its bytes hold a word of the patient's name or IDs"

"""Words and UIDs of a study that must not appear in what is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableSequence
from dataclasses import dataclass, field

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID

SHORTEST_WORD = 3
"""Shorter parts of names and IDs are not searched for: they stand in every file by chance."""

_SURE_LENGTH = 5
"""From this length on a word is searched for inside other words as well."""

_ID_KEYWORDS = (
    *("PatientID", "OtherPatientIDs", "IssuerOfPatientID", "AccessionNumber", "AdmissionID"),
    *("ServiceEpisodeID", "PatientBirthDate", "InstitutionName", "InstitutionAddress"),
    *("InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "PatientAddress"),
    *("PatientTelephoneNumbers", "MedicalRecordLocator", "MilitaryRank"),
    *("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"),
    *("RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID"),
)
_OWN_WORDS = frozenset(
    (
        *("removed", "modified", "anonymized", "yes", "ctdenoise", "basic", "profile", "option"),
        *("application", "confidentiality", "retain", "longitudinal", "temporal", "information"),
        *("dates", "simulated", "dose", "research", "use", "only", "dcm", "2026c", "ps3.15"),
        str(IMPLEMENTATION_CLASS_UID),  # the serial number in derived multi-frame objects
    )
)
"""What an export writes itself; a name that is one of these goes with its element, unsearched."""

_UID_LIKE = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_DICOM_ROOT = "1.2.840.10008."


@dataclass(slots=True)
class Secrets:
    """What was found in the headers of a study.

    Args:
        words: Parts of names, IDs, accession numbers, in lower case.
        uids: UIDs of anything but the standard itself.
    """

    words: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)

    def collect(self, dataset: Dataset) -> None:
        """Take in what a header holds, at any depth.

        Args:
            dataset: A header. Call within `quiet_pydicom`.
        """
        for element in elements_of(dataset):
            if element.VR == "PN":
                for name in _texts(element.value):
                    self._add(re.split(r"[\^=\s,]+", name))
            elif element.VR == "UI":
                self.uids |= {
                    uid for uid in _texts(element.value) if not uid.startswith(_DICOM_ROOT)
                }
            elif element.keyword in _ID_KEYWORDS:
                self._add(_texts(element.value))
        self.uids.discard("")

    def add_uid(self, uid: str) -> None:
        """Take in one more UID; an empty one is none."""
        if uid:
            self.uids.add(str(uid))

    def _add(self, words: Iterable[str]) -> None:
        found = {word.strip(" \0").lower() for word in words}
        self.words |= {word for word in found if len(word) >= _shortest(word)} - _OWN_WORDS

    def are_in(self, text: str) -> bool:
        """Whether a word of these, or a UID, stands in a text."""
        lowered = text.lower()
        return self.has_uid(text) or any(stands_in(word, lowered) for word in self.words)

    def has_uid(self, text: str) -> bool:
        """Whether one of the UIDs stands in a text as a whole.

        The time does not depend on how many there are, which is several for each file of a study.
        """
        return not self.uids.isdisjoint(_UID_LIKE.findall(text))


def _shortest(word: str) -> int:
    return SHORTEST_WORD if word.isascii() else 2


def stands_in(word: str, text: str) -> bool:
    """Whether a word stands in a text, both in lower case; a short one only as a whole word."""
    start = text.find(word)
    if start < 0 or len(word) >= _SURE_LENGTH:
        return start >= 0
    return re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text) is not None


def elements_of(dataset: Dataset) -> Iterator[DataElement]:
    """Every element of a dataset that can be parsed, those inside sequences too.

    Args:
        dataset: Any dataset. Call within `quiet_pydicom`.
    """
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: BLE001, S112 - pydicom raises whatever the bytes provoke
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from elements_of(item)


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(part) for part in (value if isinstance(value, MutableSequence) else [value])]

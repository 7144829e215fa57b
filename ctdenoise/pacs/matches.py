"""What is asked of an archive, and what it finds: the words of both ways to ask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ctdenoise.errors import UsageError
from ctdenoise.io.dicom_uids import is_uid

Level = Literal["study", "series", "image"]
"""What a match is."""

LEVELS: tuple[Level, ...] = ("study", "series", "image")
"""From the outside in."""

IDENTITY: Mapping[Level, str] = {
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "image": "SOPInstanceUID",
}
"""The attribute that tells matches of a level apart."""

_SHOWN: Mapping[Level, tuple[str, ...]] = {
    "study": (
        "StudyDate",
        "StudyTime",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "series": (
        "SeriesNumber",
        "Modality",
        "SeriesDescription",
        "BodyPartExamined",
        "NumberOfSeriesRelatedInstances",
    ),
    "image": ("InstanceNumber", "SOPClassUID"),
}
_OF_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber")
_DATE = re.compile(r"\d{8}(-(\d{8})?)?|-\d{8}")
_TEXT_MOST = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """What matches must fit. `*` and `?` in a text stand for any characters and for one.

    Args:
        study_instance_uid, series_instance_uid, sop_instance_uid: One of them alone.
        accession_number, patient_id, patient_name: Of the study.
        date: Of the study, `YYYYMMDD`, or a range `YYYYMMDD-YYYYMMDD`, open at one end or not.
        modality: Such as CT.
        description: Of the study where studies are looked for, otherwise of the series.

    Raises:
        UsageError: If something of it cannot be asked for.
    """

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    patient_name: str = ""
    date: str = ""
    modality: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        for uid in (self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid):
            if uid and not is_uid(uid):
                raise UsageError("a UID is made of numbers and dots, at most 64 characters.")
        if self.date and not _DATE.fullmatch(self.date):
            raise UsageError(
                "a date is YYYYMMDD, or a range such as 20260101-20260131, 20260101- or -20260131."
            )
        texts = (self.accession_number, self.patient_id, self.patient_name, self.description)
        if any(len(text) > _TEXT_MOST or not text.isprintable() or "\\" in text for text in texts):
            raise UsageError(
                f"a text to look for has at most {_TEXT_MOST} printable characters, no backslash."
            )

    def keys(self, level: Level, *, top: Level) -> dict[str, str]:
        """Attributes that matches of a level must have, by keyword.

        Args:
            level: Which matches.
            top: The level that is looked for in the end.
        """
        if level == "study":
            found = {
                "StudyInstanceUID": self.study_instance_uid,
                "AccessionNumber": self.accession_number,
                "PatientID": self.patient_id,
                "PatientName": self.patient_name,
                "StudyDate": self.date,
                "ModalitiesInStudy": self.modality,
                "StudyDescription": self.description if top == "study" else "",
            }
        elif level == "series":
            found = {
                "SeriesInstanceUID": self.series_instance_uid,
                "Modality": self.modality,
                "SeriesDescription": self.description,
            }
        else:
            found = {"SOPInstanceUID": self.sop_instance_uid}
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Match:
    """One thing that an archive has.

    Args:
        level: What it is.
        attributes: Values by keyword, as text, several of them joined by a backslash. UIDs in it
            are made like UIDs; everything else is as the archive says it.
    """

    level: Level
    attributes: Mapping[str, str] = field(default_factory=dict)

    def uid(self, level: Level) -> str:
        """Its UID at its own level or one further out; empty where unknown."""
        return self.attributes.get(IDENTITY[level], "")


def asked_for(level: Level, *, patient: bool) -> tuple[str, ...]:
    """Attributes that are asked for and shown at a level.

    Args:
        level: What is looked for.
        patient: Whether what names the patient is, too.
    """
    own = (*_SHOWN[level], IDENTITY[level])
    return (*_OF_PATIENT, *own) if patient and level == "study" else own


def match_of(
    level: Level, attributes: Mapping[str, str], above: Mapping[str, str], shown: Iterable[str]
) -> Match | None:
    """A match of what an archive answered; None where it has no identity or one that is none.

    Args:
        level: What was looked for.
        attributes: As they came.
        above: Of the study, and series, that it belongs to.
        shown: Attributes that were asked for; others are dropped.
    """
    if not is_uid(attributes.get(IDENTITY[level], "")):
        return None
    kept = {key: _printable(attributes.get(key, "")) for key in shown}
    return Match(level, {**above, **kept})


def _printable(text: str) -> str:
    """A text without what could move a cursor or open a link in a terminal."""
    return "".join(one if one.isprintable() else " " for one in text[:1024]).strip()

"""On which day and scanner a phantom was scanned: for a history of image quality.

Of the header nothing else is taken: no patient, no operator, no institution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.errors import StudyError
from ctdenoise.io.dicom_file import looks_like_dicom, read_header

_DATES = ("AcquisitionDate", "SeriesDate", "ContentDate", "StudyDate")
"""Where the date is looked for, the day of the scan first."""


@dataclass(frozen=True, slots=True)
class ScanDay:
    """When and on what a scan was made.

    Args:
        date: ISO 8601; empty where the header has none.
        scanner: Manufacturer, model and station, as far as known.
    """

    date: str
    scanner: str


def scan_day(path: Path) -> ScanDay:
    """Date and scanner of a DICOM file.

    Args:
        path: One file of the series.

    Raises:
        StudyError: If it is no DICOM file.
    """
    if not looks_like_dicom(path):
        raise StudyError("a history needs the date of the scan, and this is no DICOM file.")
    dataset = read_header(path).dataset
    dates = (str(getattr(dataset, name, "") or "") for name in _DATES)
    whole = next((one for one in dates if re.fullmatch(r"\d{8}", one)), "")
    parts = ("Manufacturer", "ManufacturerModelName", "StationName")
    names = [str(getattr(dataset, name, "") or "").strip() for name in parts]
    return ScanDay(
        f"{whole[:4]}-{whole[4:6]}-{whole[6:]}" if whole else "",
        ", ".join(name for name in names if name),
    )

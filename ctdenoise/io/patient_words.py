"""Who a study is of, for people who may know: the one place that reads it to show it."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.io.dicom_file import quiet_pydicom, read_header

_LONGEST = 128
_SHOWN = (
    ("Name", "PatientName"),
    ("ID", "PatientID"),
    ("Date of the study", "StudyDate"),
)


def patient_words(file: Path) -> tuple[tuple[str, str], ...]:
    """Name, ID and date of the study as a header states them.

    Args:
        file: A DICOM file of the study; hostile content is bounded and control characters are
            left out.

    Returns:
        What it is called and its value, without what is empty; nothing where it cannot be read.
    """
    try:
        dataset = read_header(file).dataset
    except (DamagedFileError, OSError):
        return ()
    with quiet_pydicom():
        words = [(name, _text(dataset, keyword)) for name, keyword in _SHOWN]
    return tuple((name, text) for name, text in words if text)


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        text = str(dataset.get(keyword, ""))
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST].strip()

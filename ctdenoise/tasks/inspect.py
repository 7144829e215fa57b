"""`ctdenoise inspect`: what lies in a folder, and what of it can be read."""

from __future__ import annotations

from pathlib import Path

from ctdenoise.io.study import FoundSeries, find_series


def run(path: Path) -> tuple[FoundSeries, ...]:
    """Every series below a folder or in a file, readable or not, from headers alone.

    Args:
        path: A folder, a DICOM file or a NIfTI file.

    Raises:
        StudyError: If there is no DICOM or NIfTI at all.
    """
    return find_series(path)

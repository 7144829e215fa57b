"""Two independent judges of DICOM files, from the Debian package dicom3tools."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

KNOWN_LATER = "(0x0008,0x001c)"
"""SyntheticData (0008,001C) came into the standard after the validator of 2022 was made, which says
"Attribute with an even group number is not a recognized standard attribute" about it."""


KINDS = ("CTImage", "EnhancedCTImage", "Segmentation", "ParametricMap")
"""How the names end that dciodvfy has for what we write."""


def errors_of(program: str, path: Path) -> Counter[str]:
    """What dciodvfy calls an error in one file, each line with how often it comes."""
    return _lines_of(program, path, "Error")


def warnings_of(program: str, path: Path) -> Counter[str]:
    """What dciodvfy warns of in one file, each line with how often it comes."""
    return _lines_of(program, path, "Warning")


def _lines_of(program: str, path: Path, level: str) -> Counter[str]:
    run = subprocess.run(
        [program, str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    report = run.stdout + run.stderr
    kinds = [line for line in report.splitlines() if line.endswith(KINDS)]
    assert kinds, report  # it ran, and knew what it had before it
    lines = [line for line in report.splitlines() if line.startswith(level)]
    return Counter(line for line in lines if KNOWN_LATER not in line)


def disagreements(program: str, paths: Iterable[Path]) -> list[str]:
    """What dcentvfy calls an error in files that should agree about patient, study and series.

    It also warns where one file has an empty attribute that another lacks: the standard demands
    the empty ones, so a derived instance has them where an incomplete source has none.
    """
    run = subprocess.run(
        [program, *map(str, paths)], capture_output=True, text=True, errors="replace", check=False
    )
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]
    assert (run.returncode != 0) == bool(lines), run.stderr
    return lines

"""The contact sheet of `ctdenoise inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import CTDenoiseError, OutputExistsError, UsageError
from ctdenoise.io.read import open_series
from ctdenoise.io.staging import staged_file
from ctdenoise.io.study import FoundSeries
from ctdenoise.report.contact_sheet import SheetRow, write_contact_sheet
from ctdenoise.report.pictures import BONE, LUNG, SOFT, Display
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.tasks.inspect import spread

SLICES_OF_ONE, SLICES_OF_MANY = 24, 6
"""Slices shown of a series that is alone on the sheet, and of one among several."""

Window = Literal["soft", "lung", "bone"]

_DISPLAYS: dict[Window, Display] = {"soft": SOFT, "lung": LUNG, "bone": BONE}


def write(
    found: Sequence[FoundSeries],
    path: Path,
    *,
    window: Window = "soft",
    progress: Progress = SILENT,
) -> None:
    """Draw slices of every usable series, and name the others.

    Args:
        found: Series of a study.
        path: The PNG file to make.
        window: Display window.
        progress: Told about every series.

    Raises:
        UsageError: If its name does not end with .png.
        OutputExistsError: If the file exists.
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    require_report_extra("Everything else of `inspect` works without them.")
    if path.suffix.lower() != ".png":
        raise UsageError(
            "a contact sheet is a PNG file.",
            where=path,
            fix="Give --contact-sheet a name that ends with .png.",
        )
    if path.exists():
        raise OutputExistsError(
            "exists already and is not replaced.", where=path, fix="Choose another --contact-sheet."
        )
    most = SLICES_OF_ONE if len(found) == 1 else SLICES_OF_MANY
    display = _DISPLAYS[window]
    rows = []
    with progress.stage("Contact sheet", len(found)) as advance:
        for series in found:
            rows.append(_row(series, most, display))
            advance()
    with staged_file(path) as stage:
        write_contact_sheet(stage, rows, display=display)


def _row(series: FoundSeries, most: int, display: Display) -> SheetRow:
    title = f"{series.number}  {series.description or series.what}"
    if not series.readable:
        why = "; ".join(series.problems) if series.what == "CT" else "no CT images"
        slices = f"{series.slices} slice{'' if series.slices == 1 else 's'}"
        return SheetRow(title, f"{series.what}, {slices}: {why}"[:180])
    try:
        with open_series(series) as reader:
            indices = spread(reader.geometry.slices, most)
            sample = reader.read(indices)
    except CTDenoiseError as error:
        return SheetRow(title, f"{series.what}: {error.what}"[:180])
    geometry = reader.geometry
    step = geometry.slice_spacing_mm
    total = "1 slice" if geometry.slices == 1 else f"{geometry.slices} slices"
    parts = [total if len(indices) == geometry.slices else f"{len(indices)} of {total}"]
    parts += [f"{step:.2f} mm apart"] if step else []
    parts += [text for text in (series.acquisition.convolution_kernel,) if text]
    parts += [display.text]
    warnings = [str(finding) for finding in series.notes if finding.severity == "warning"]
    return SheetRow(title, " \N{MIDDLE DOT} ".join([*parts, *warnings])[:180], sample)

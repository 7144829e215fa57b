"""`ctdenoise inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ctdenoise.io.study import FoundSeries
    from ctdenoise.tasks.inspect_report import SeriesReport


def inspect(
    study: Path,
    /,
    *,
    series: str | None = None,
    noise: bool = False,
    calibrate: bool = False,
    json: bool = False,
    contact_sheet: Path | None = None,
    window: Literal["soft", "lung", "bone"] = "soft",
) -> int:
    """List the series in a folder: what they are, and what is wrong with them.

    Args:
        study: Folder with DICOM or NIfTI files at any depth, or one such file.
        series: Show one series in depth: its number, the end of its UID, or a part of its
            description. Also measures its noise and says what each command can do with it.
        noise: Measure the noise of every usable series in soft tissue, in HU. Reads eight slices
            of each.
        calibrate: Measure the noise of every usable series as well: its level, the reconstruction
            kernel and the photons that explain it. Reads sixteen slices of each.
        json: Print JSON for other programs instead of tables.
        contact_sheet: PNG file to make with slices of every usable series.
        window: Display window of the contact sheet.
    """
    from ctdenoise.cli import console, inspect_text
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import inspect as task

    if json and calibrate:
        raise UsageError("--calibrate prints for people; it has no JSON.", fix="Use --noise.")
    with console.progress() as progress:
        found = task.run(study)
        chosen = found if series is None else (task.named(found, series, where=study),)
        reports = _reports(chosen, noise=noise or series is not None, deep=series is not None)
        if contact_sheet is not None:
            from ctdenoise.tasks import inspect_pictures

            inspect_pictures.write(chosen, contact_sheet, window=window, progress=progress)
        if calibrate:
            from ctdenoise.tasks import inspect_uses

            calibrated = inspect_uses.calibrate_series(chosen, progress=progress)
    if json:
        from ctdenoise.tasks.inspect_report import as_json

        console.print_line(as_json(reports))
    elif series is not None:
        inspect_text.show_in_depth(reports[0])
    else:
        inspect_text.show_table(reports)
    if calibrate and not json:
        for result in calibrated:
            inspect_text.show_calibration(result)
    return 0 if any(report.readable for report in reports) else 3


def _reports(
    chosen: tuple[FoundSeries, ...], *, noise: bool, deep: bool
) -> tuple[SeriesReport, ...]:
    from ctdenoise.tasks import inspect as task
    from ctdenoise.tasks.inspect_report import report_of

    if not deep:
        return tuple(
            report_of(series, noise=task.measure_noise(series) if noise else None)
            for series in chosen
        )
    from ctdenoise.tasks import inspect_uses

    return tuple(
        report_of(series, noise=task.measure_noise(series), uses=inspect_uses.possible_uses(series))
        for series in chosen
    )

"""`ctdenoise inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctdenoise.io.study import FoundSeries
    from ctdenoise.simulation.calibration import Calibration
    from ctdenoise.tasks.inspect import CalibratedSeries


def inspect(study: Path, /, *, calibrate: bool = False) -> int:
    """List the series in a folder: what they are, and what is wrong with them.

    Ends with exit code 3 if nothing in the folder can be used as a CT series.

    Args:
        study: Folder with DICOM or NIfTI files at any depth, or one such file.
        calibrate: Measure the noise of every usable series as well: its level, the reconstruction
            kernel and the photons that explain it. Reads sixteen slices of each.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import inspect as task

    with console.progress() as progress:
        found = task.run(study)
        calibrated = task.calibrate_series(found, progress=progress) if calibrate else ()
    _show(found)
    for series in calibrated:
        _show_calibration(series)
    return 0 if any(series.readable for series in found) else 3


def _show(found: tuple[FoundSeries, ...]) -> None:
    from rich.table import Table

    from ctdenoise.cli import console

    table = Table(box=console.TABLE_BOX, pad_edge=False, show_edge=False)
    table.add_column("--series", justify="right")
    table.add_column("what")
    table.add_column("description", overflow="fold", max_width=34)
    table.add_column("slices", justify="right")
    table.add_column("matrix", no_wrap=True)
    table.add_column("pixel mm", justify="right")
    table.add_column("step mm", justify="right")
    table.add_column("thick mm", justify="right")
    table.add_column("kernel")
    table.add_column("kV", justify="right")
    table.add_column("mAs", justify="right")
    table.add_column("CTDIvol", justify="right")
    table.add_column("usable", no_wrap=True)
    for series in found:
        table.add_row(*_cells(series))
    console.print_wide(table)
    for series in found:
        for problem in series.problems:
            console.print_line(f"  series {series.number}, cannot be read: {problem}")
        for finding in series.notes:
            console.print_line(f"  series {series.number}, {finding.severity}: {finding}")


def _cells(series: FoundSeries) -> tuple[str, ...]:
    from ctdenoise.cli.console import number

    grid, scan = series.geometry, series.acquisition
    dose = scan.exposure_mas
    low, high = (min(dose), max(dose)) if dose else (None, None)
    mas = number(low, digits=0) if low == high else f"{number(low, digits=0)}-{high:.0f}"
    return (
        str(series.number),
        series.what,
        series.description,
        str(series.slices),
        "" if grid is None else f"{grid.columns}x{grid.rows}",
        "" if grid is None else f"{grid.pixel_spacing_mm[0]:.3f}",
        "" if grid is None else number(grid.slice_spacing_mm, digits=2),
        number(scan.slice_thickness_mm, digits=2),
        scan.convolution_kernel or "",
        number(scan.kvp, digits=0),
        mas,
        number(scan.ctdi_vol_mgy, digits=1),
        "yes" if series.readable else "no",
    )


def _show_calibration(series: CalibratedSeries) -> None:
    from ctdenoise.cli import console

    title = f"Series {series.number}: noise"
    if series.calibration is None:
        console.show_facts(title, [("not calibrated", series.problem)])
        return
    console.show_facts(title, _facts(series.calibration))


def _facts(found: Calibration) -> list[tuple[str, str]]:
    """Names and values of what a calibration found."""
    from ctdenoise.cli.console import number

    facts = [
        ("noise level", number(found.full_noise_hu, "HU")),
        ("photons N0", f"{found.photons:.3g} by {found.calibrated_by}"),
        ("kernel", f"half height at {found.kernel_f50_per_mm:.2f} /mm by {found.kernel_by}"),
        ("exposure along z", f"by {found.exposure_by}"),
        ("bowtie", found.model.bowtie),
    ]
    if found.exposure_photons is not None:
        facts.append(("photons by mAs", f"{found.exposure_photons:.3g} (a hint)"))
    if found.header_f50_per_mm is not None:
        facts.append(("kernel by header", f"half height at {found.header_f50_per_mm:.2f} /mm"))
    evidence = found.evidence
    if evidence is not None:
        facts.append(("uncertainty of noise", f"{100 * evidence.uncertainty:.1f} %"))
        facts.append(("flat patches", str(evidence.flat_patches)))
        if evidence.slice_correlation is not None:
            facts.append(("neighbouring slices", f"correlation {evidence.slice_correlation:.2f}"))
        trend = evidence.model.radial_trend
        if trend is not None:
            at_edge = f"noise x {trend.factor_at(trend.reach_mm):.2f} at {trend.reach_mm:.0f} mm"
            facts.append(("from the isocentre", f"{at_edge}, against the geometry alone"))
        if evidence.model.samples_per_channel > 1:
            facts.append(("detector", "two samples in each channel"))
    facts.extend(("note", note) for note in found.notes)
    return facts

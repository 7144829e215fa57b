"""`ctdenoise inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctdenoise.io.study import FoundSeries


def inspect(study: Path, /) -> int:
    """List the series in a folder: what they are, and what is wrong with them.

    Ends with exit code 3 if nothing in the folder can be used as a CT series.

    Args:
        study: Folder with DICOM or NIfTI files at any depth, or one such file.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import inspect as task

    with console.progress():
        found = task.run(study)
    _show(found)
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
        for label, lines in (("cannot be read", series.problems), ("note", series.notes)):
            for line in lines:
                console.print_line(f"  series {series.number}, {label}: {line}")


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

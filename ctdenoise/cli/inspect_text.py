"""What `ctdenoise inspect` prints for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from ctdenoise.cli import console
from ctdenoise.cli.console import number

if TYPE_CHECKING:
    from ctdenoise.io.series_facts import GridFacts, ScanFacts
    from ctdenoise.simulation.calibration import Calibration
    from ctdenoise.tasks.inspect_report import Remark, SeriesReport
    from ctdenoise.tasks.inspect_uses import CalibratedSeries

_DROPPED_FIRST = ("CTDIvol", "thick mm", "matrix", "kV", "pixel mm", "mAs", "kernel")
"""Columns that a narrow terminal does without, in this order; `--series` shows everything."""

_NARROW_DESCRIPTION = 16
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}
_MOST_GAPS = 6


def show_table(reports: Sequence[SeriesReport]) -> None:
    """Print a row for each series, and below what is remarkable about them.

    Args:
        reports: All series.
    """
    rows = [_cells(report) for report in reports]
    heads = [head for head in rows[0] if head != "noise HU" or any(row[head] for row in rows)]
    for head in _DROPPED_FIRST:
        if console.STDOUT.is_terminal and _width(heads, rows) > console.STDOUT.width:
            heads.remove(head)
    console.print_wide(_table(heads, rows))
    for remarks, about in _alike(reports).items():
        console.STDOUT.print()
        numbers = ", ".join(str(report.number) for report in about)
        title = f"series {numbers}" + (
            f" {about[0].description}".rstrip() if len(about) == 1 else ""
        )
        console.STDOUT.print(title, style="bold", markup=False)
        show_remarks(remarks)


def _alike(reports: Sequence[SeriesReport]) -> dict[tuple[Remark, ...], list[SeriesReport]]:
    """The series of which the same is to be said, by what is to be said."""
    alike: dict[tuple[Remark, ...], list[SeriesReport]] = {}
    for report in reports:
        remarks = tuple(remark for remark in report.remarks if remark.code != "not-ct")
        if remarks:
            alike.setdefault(remarks, []).append(report)
    return alike


def _width(heads: Sequence[str], rows: Sequence[dict[str, str]]) -> int:
    """Characters that a table needs in which only descriptions are folded."""
    widths = [
        _NARROW_DESCRIPTION
        if head == "description"
        else max(len(word) for word in (*head.split(), *(row[head] for row in rows)))
        for head in heads
    ]
    return sum(widths) + 2 * len(heads)


def _table(heads: Sequence[str], rows: Sequence[dict[str, str]]) -> Table:
    table = Table(box=console.TABLE_BOX, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        if head == "description":
            table.add_column(head, overflow="fold", min_width=_NARROW_DESCRIPTION, max_width=34)
        else:
            words = head in ("what", "matrix", "kernel", "usable")
            table.add_column(head.replace(" ", "\n"), justify="left" if words else "right")
            table.columns[-1].no_wrap = True
    for row in rows:
        table.add_row(*(row[head] for head in heads))
    return table


def _cells(report: SeriesReport) -> dict[str, str]:
    grid, scan, noise = report.grid, report.scan, report.noise
    return {
        "#": str(report.number),
        "what": report.what,
        "description": report.description,
        "slices": str(report.slices),
        "matrix": "" if grid is None else f"{grid.columns}x{grid.rows}",
        "pixel mm": "" if grid is None else f"{grid.pixel_spacing_mm[0]:.3f}",
        "step mm": "" if grid is None else number(grid.step_mm, digits=2),
        "thick mm": number(scan.thickness_mm, digits=2),
        "kernel": scan.kernel or "",
        "kV": number(scan.kv, digits=0),
        "mAs": _mas(scan),
        "CTDIvol": number(scan.ctdi_vol_mgy, digits=1),
        "noise HU": "" if noise is None else number(noise.noise_hu),
        "usable": _usable(report),
    }


def _usable(report: SeriesReport) -> str:
    if report.readable:
        return "yes"
    return "no" if report.what == "CT" else "not CT"


def _mas(scan: ScanFacts) -> str:
    if scan.mas_range is None:
        return ""
    low, high = (f"{value:.0f}" for value in scan.mas_range)
    return low if low == high else f"{low}-{high}"


def show_remarks(remarks: Sequence[Remark]) -> None:
    """Print problems, warnings and notes, each with what can be done.

    Args:
        remarks: In the order to print them.
    """
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    for remark in remarks:
        grid.add_row(f"  {remark.severity}", _escaped(remark.text))
        grid.rows[-1].style = _COLOURS[remark.severity] if remark.severity == "error" else ""
        if remark.advice:
            grid.add_row("", f"[dim]-> {_escaped(remark.advice)}[/dim]")
    console.print_wide(grid)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def show_in_depth(report: SeriesReport) -> None:
    """Print everything that is known about a series.

    Args:
        report: With noise and uses.
    """
    title = f"series {report.number}" + f" {report.description}".rstrip()
    console.STDOUT.print(title, style="bold", markup=False)
    files = f"{_counted(report.slices, 'slice')} in {_counted(report.files, 'file')}"
    console.show_facts("", [("what", report.what), ("holds", files), ("usable", _usable(report))])
    if report.grid is not None:
        console.show_facts("\nGeometry", _grid(report.grid))
    console.show_facts("\nScan", _scan(report.scan))
    if report.encoding is not None:
        console.show_facts("\nEncoding", _encoding(report))
    if report.noise is not None:
        console.show_facts("\nNoise in soft tissue", _noise(report))
    if report.uses:
        said = [(use.what, "yes" if use.possible else f"no: {use.reason}") for use in report.uses]
        console.show_facts("\nWhat can be done with it", said)
    if report.remarks:
        console.STDOUT.print("\nRemarks", style="bold")
        show_remarks(report.remarks)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _grid(grid: GridFacts) -> list[tuple[str, str]]:
    height, width = grid.field_of_view_mm
    between_rows, between_columns = grid.pixel_spacing_mm
    facts = [
        ("orientation", grid.orientation),
        ("matrix", f"{grid.columns} columns x {grid.rows} rows"),
        ("pixel", f"{between_columns:.4g} x {between_rows:.4g} mm"),
        ("field of view", f"{width:.1f} x {height:.1f} mm"),
        ("range", f"{grid.range_mm[0]:.2f} to {grid.range_mm[1]:.2f} mm along the normal"),
        ("step", number(grid.step_mm, "mm", digits=3)),
        ("thickness / step", number(grid.overlap, digits=2)),
    ]
    if grid.tilt_degrees > 0.5:
        facts.append(("gantry tilt", f"{grid.tilt_degrees:.1f} degrees"))
    if len(grid.runs) > 1:
        for run in grid.runs:
            step = "" if run.spacing_mm is None else f", {run.spacing_mm:.3f} mm apart"
            facts.append(("uniform run", f"slices {run.first_slice} to {run.last_slice}{step}"))
    for gap in grid.gaps[:_MOST_GAPS]:
        where = f"after slice {gap.after_slice} (at {gap.position_mm:.2f} mm)"
        facts.append(("between runs", f"{gap.distance_mm:.3f} mm {where}"))
    if len(grid.gaps) > _MOST_GAPS:
        facts.append(("", f"and {len(grid.gaps) - _MOST_GAPS} more"))
    return facts


def _scan(scan: ScanFacts) -> list[tuple[str, str]]:
    mas = _mas(scan)
    contrast = scan.contrast + (f" ({scan.contrast_agent})" if scan.contrast_agent else "")
    return [
        ("scanner", " ".join(text for text in (scan.manufacturer, scan.model) if text)),
        ("body part", scan.body_part or ""),
        ("patient position", scan.patient_position or ""),
        ("kernel", scan.kernel or ""),
        ("beam filter", scan.filter_type or ""),
        ("slice thickness", number(scan.thickness_mm, "mm", digits=2)),
        ("reconstructed field", number(scan.diameter_mm, "mm", digits=0)),
        ("tube voltage", number(scan.kv, "kV", digits=0)),
        ("exposure", f"{mas} mAs" if mas else ""),
        ("modulation", scan.modulation or ""),
        ("CTDIvol", number(scan.ctdi_vol_mgy, "mGy", digits=2)),
        ("DLP, estimated", number(scan.dlp_estimate_mgy_cm, "mGy cm", digits=0)),
        ("contrast agent", contrast),
    ]


def _encoding(report: SeriesReport) -> list[tuple[str, str]]:
    encoding = report.encoding
    if encoding is None:
        return []
    sign = {True: ", signed", False: ", unsigned", None: ""}[encoding.signed]
    rescales = [f"x {slope:g} {offset:+g}" for slope, offset in encoding.rescales]
    low, high = encoding.padding or (0, 0)
    padding = f"{low}" if low == high else f"{low} to {high}"
    return [
        ("transfer syntax", ", ".join(encoding.transfer_syntaxes)),
        ("stored values", f"{encoding.bits_stored} of {encoding.bits_allocated} bits{sign}"),
        ("shown as", encoding.photometric_interpretation),
        ("rescale to HU", "; ".join(rescales)),
        ("padding value", padding if encoding.padding else ""),
        ("lossy", "yes" if encoding.lossy else "no"),
        ("image type", "\\".join(encoding.image_type)),
    ]


def _noise(report: SeriesReport) -> list[tuple[str, str]]:
    noise = report.noise
    if noise is None:
        return []
    level = (
        f"not measured: {noise.reason}" if noise.noise_hu is None else f"{noise.noise_hu:.1f} HU"
    )
    return [
        ("all", level),
        *(
            (
                f"slice {one.slice} at {one.position_mm:.1f} mm",
                one.reason if one.noise_hu is None else f"{one.noise_hu:.1f} HU",
            )
            for one in noise.slices
        ),
    ]


def show_calibration(series: CalibratedSeries) -> None:
    """Print what the noise of a series tells.

    Args:
        series: With its calibration, or the reason why there is none.
    """
    title = f"Series {series.number}: noise"
    if series.calibration is None:
        console.show_facts(title, [("not calibrated", series.problem)])
        return
    console.show_facts(title, _facts(series.calibration))


def _facts(found: Calibration) -> list[tuple[str, str]]:
    """Names and values of what a calibration found."""
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

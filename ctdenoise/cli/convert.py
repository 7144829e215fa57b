"""`ctdenoise convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ctdenoise.cli.options import (
    Config,
    Out,
    Overrides,
    Series,
    TransferSyntax,
    transfer_syntax_changes,
)

if TYPE_CHECKING:
    from ctdenoise.tasks.convert import ConvertReport

_NAMES = {"dicom": "DICOM", "nifti": "NIfTI", "mha": "MetaImage", "nrrd": "NRRD"}


def convert(  # noqa: PLR0913 - each argument is an option of the command
    study: Path,
    /,
    *,
    out: Out,
    file_format: Annotated[
        Literal["dicom", "nifti", "mha", "nrrd"] | None, Parameter(name="--format")
    ] = None,
    series: Series = None,
    dtype: Annotated[
        Literal["auto", "int16", "int32", "float32"] | None, Parameter(name="--dtype")
    ] = None,
    compress: Annotated[bool, Parameter(name="--compress", negative=())] = False,
    resample: Annotated[bool, Parameter(name="--resample", negative=())] = False,
    spacing: Annotated[float | None, Parameter(name="--spacing")] = None,
    transfer_syntax: TransferSyntax = None,
    labels: Annotated[bool, Parameter(name="--labels", negative=())] = False,
    config: Config = None,
    overrides: Overrides = (),
) -> None:
    """Write a study as NIfTI, MetaImage, NRRD or DICOM: the same values at the same points.

    Args:
        study: Folder with DICOM files, or an image file (NIfTI, MetaImage, NRRD).
        out: A file that ends with .nii, .nii.gz, .mha or .nrrd, or a folder; must not exist.
        file_format: What to write, where the name of the output does not say it; an image file
            becomes DICOM unless told otherwise.
        series: Which series, where the folder holds several: the number that `inspect` shows, the
            end of its UID, or a part of its description.
        dtype: Type of the stored numbers; `auto` is the smallest that keeps every value.
        compress: Compress the voxels; NIfTI also by its name, .nii.gz.
        resample: Interpolate a tilted or unevenly spaced stack onto an orthogonal, even grid.
        spacing: Distance between slices after resampling, in mm.
        transfer_syntax: How DICOM is stored: uncompressed (`explicit`, which every reader knows, or
            `implicit`), `deflated`, or compressed without loss (`rle`, `jpeg-ls`, `jpeg2000`).
        labels: The study is a label map: whole numbers stay what they are.
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.conversion import ConvertSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks import convert as task

    changes = [*overrides]
    changes += [] if dtype is None else [f"dtype={dtype}"]
    changes += ["compress=true"] if compress else []
    changes += ["resample=true"] if resample else []
    changes += [] if spacing is None else [f"spacing_mm={spacing}"]
    changes += transfer_syntax_changes(transfer_syntax, file_format or "same")
    settings_file = find_settings_file("convert", config or "default")
    settings = load_settings(ConvertSettings, settings_file, changes)
    with console.progress() as progress:
        report = task.run(
            study,
            out=out,
            settings=settings,
            series=series,
            file_format=file_format,
            labels=labels,
            progress=progress,
        )
    _show(report)


def _show(report: ConvertReport) -> None:
    from ctdenoise.cli.console import number, show_facts

    slices, rows, columns = report.shape
    facts = [
        ("grid", f"{slices} slices of {columns} x {rows}"),
        ("stored as", f"{report.dtype}, {report.size_bytes / 1e6:.1f} MB"),
    ]
    if report.largest_rounding_hu:
        facts.append(
            ("rounded by", "at most " + number(report.largest_rounding_hu, "HU", digits=3))
        )
    if report.resampled:
        facts.append(("resampled", f"{report.interpolated} of {slices} slices are mixed of two"))
    if report.in_gaps:
        facts.append(
            ("in gaps", f"{report.in_gaps} slices lie between slices further apart than is usual")
        )
    facts += [("time", f"{report.seconds:.1f} s"), ("written to", str(report.out))]
    show_facts(f"Converted {_NAMES[report.source]} to {_NAMES[report.kind]}", facts)

"""`ctdenoise fuse`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ctdenoise.cli.options import (
    Config,
    Out,
    Overrides,
    TransferSyntax,
    transfer_syntax_changes,
)

if TYPE_CHECKING:
    from ctdenoise.tasks.fuse import FuseReport


def fuse(
    *studies: Path,
    out: Out,
    series: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    power: float | None = None,
    file_format: Annotated[
        Literal["same", "dicom", "nifti", "mha", "nrrd"], Parameter(name="--format")
    ] = "same",
    transfer_syntax: TransferSyntax = None,
    config: Config = None,
    overrides: Overrides = (),
) -> None:
    """Fuse repeated scans of one position into one series.

    Args:
        studies: A folder or image file for each scan, or one folder that holds them all.
        out: Folder for the result; new or empty.
        series: Which series of each folder, in their order; of one folder, each that is meant.
        power: 0 is the plain mean; the larger, the less a scan counts that moved.
        file_format: `same` as the scans, `dicom`, `nifti`, `mha` or `nrrd`.
        transfer_syntax: How DICOM is stored: uncompressed (`explicit`, which every reader knows, or
            `implicit`), `deflated`, or compressed without loss (`rle`, `jpeg-ls`, `jpeg2000`).
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.fusion import FuseSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import fuse as task

    if not studies:
        raise UsageError("there is nothing to fuse.", fix="Name two or more scans of one position.")
    changes = overrides if power is None else (*overrides, f"power={power}")
    changes = (*changes, *transfer_syntax_changes(transfer_syntax, file_format))
    settings = load_settings(FuseSettings, find_settings_file("fuse", config or "default"), changes)
    with console.progress() as progress:
        report = task.run(
            studies,
            settings,
            out=out,
            series=series,
            file_format=file_format,
            progress=progress,
        )
    _show(report)


def _show(report: FuseReport) -> None:
    from ctdenoise.cli.console import number, share, show_facts

    before, after = report.noise_before_hu, report.noise_after_hu
    show_facts(
        f"Fused {report.frames} scans of {report.slices} slices",
        (
            ("power", f"{report.power:g}" + (", the plain mean" if report.power == 0 else "")),
            ("noise of the first", number(before, "HU")),
            ("noise of the result", number(after, "HU") + share(after, before)),
            ("time", f"{report.seconds:.1f} s"),
            ("written to", str(report.out)),
        ),
    )

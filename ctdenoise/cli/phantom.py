"""`ctdenoise phantom`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ctdenoise.cli.every_series import require_none
from ctdenoise.cli.options import (
    Config,
    Out,
    Overrides,
    TransferSyntax,
    transfer_syntax_changes,
)
from ctdenoise.cli.phantom_sample import SampleRequest, show_samples

if TYPE_CHECKING:
    from ctdenoise.tasks.phantom import PhantomReport

Kind = Literal[
    "water",
    "rods",
    "torso",
    "shepp_logan",
    "forbild_head_2d",
    "forbild_head",
    "forbild_thorax",
    "forbild_abdomen",
    "acr464",
    "catphan504",
    "ctp404",
    "ctp486",
    "ctp515",
    "ctp528",
    "cct189",
    "size_series",
    "wire",
    "bead",
    "disc",
    "z_edge",
    "dead_leaves",
    "blobs",
    "vessels",
    "sample",
]
"""Phantoms with ready settings."""

_PART_OF = dict.fromkeys(("ctp404", "ctp486", "ctp515", "ctp528"), "catphan504")
"""Ready settings that are a part of another phantom."""


def phantom(  # noqa: PLR0913 - each argument is an option of the command
    kind: Kind,
    /,
    *,
    out: Out,
    file_format: Annotated[
        Literal["dicom", "nifti", "sinogram"], Parameter(name="--format")
    ] = "dicom",
    config: Config = None,
    overrides: Overrides = (),
    seed: Annotated[int | None, Parameter(name="--seed")] = None,
    transfer_syntax: TransferSyntax = None,
    scanner: Literal["ge", "siemens", "philips", "canon"] | None = None,
    count: int | None = None,
    first: int | None = None,
    pairs: Annotated[bool, Parameter(negative=())] = False,
    workers: int | None = None,
) -> None:
    """Make a study whose truth is known.

    Args:
        kind: `water` (a cylinder), `rods` (inserts of known contrast and size) or `torso`; of
            published tables `shepp_logan`, `forbild_head_2d`, `forbild_head`, `forbild_thorax`,
            `forbild_abdomen`; test phantoms `acr464`, `catphan504` or one of its modules
            (`ctp404`, `ctp486`, `ctp515`, `ctp528`), `cct189`, `size_series`; for resolution
            `wire`, `bead`, `disc`, `z_edge`; at random `dead_leaves` (solids of every size that
            lie on each other), `blobs` (small and of low contrast), `vessels`, or `sample`: many
            phantoms to train on.
        out: Folder for the series and its truth; new or empty.
        file_format: `dicom`, `nifti`, or `sinogram`: exact line integrals in `sinogram.npz`.
        config: A YAML file instead of the ready settings of this kind.
        overrides: Settings to change, as key=value; may be given several times.
        seed: Another seed, another patient, other leaves, other samples.
        transfer_syntax: How DICOM is stored: uncompressed (`explicit`, which every reader knows, or
            `implicit`), `deflated`, or compressed without loss (`rle`, `jpeg-ls`, `jpeg2000`).
        scanner: Whose headers are imitated, to try rules about makers, kernels and doses on; the
            series says that it is an imitation.
        count: With `sample`: how many phantoms; 1 by default.
        first: With `sample`: number of the first, to go on with a set made before.
        pairs: With `sample`: simulate a low-dose twin of each, too, to train on.
        workers: With `sample`: phantoms worked on at a time; half the cores by default.
    """
    if kind == "sample":
        require_none("phantom sample", "--scanner is for a single phantom.", ("--scanner", scanner))
        show_samples(
            SampleRequest(out, file_format, config, overrides, seed, transfer_syntax),
            count=1 if count is None else count,
            first=1 if first is None else first,
            pairs=pairs,
            workers=workers,
        )
        return
    require_none(
        f"phantom {kind}",
        "They are for many phantoms: ctdenoise phantom sample.",
        ("--count", count),
        ("--first", first),
        ("--pairs", pairs or None),
        ("--workers", workers),
    )
    from ctdenoise.cli import console
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.config.phantom import PhantomSettings
    from ctdenoise.tasks import phantom as task

    changes = [f"phantom.name={_PART_OF.get(kind, kind)}", *overrides]
    if seed is not None:
        changes.append(f"seed={seed}")
    if scanner is not None:
        changes.append(f"scanner={scanner}")
    changes += transfer_syntax_changes(transfer_syntax, file_format)
    settings_file = find_settings_file("phantom", config or kind)
    settings = load_settings(PhantomSettings, settings_file, changes)
    with console.progress() as progress:
        report = task.run(settings, out=out, file_format=file_format, progress=progress)
    _show(report, kind)


def _show(report: PhantomReport, kind: str) -> None:
    from ctdenoise.cli.console import show_facts

    slices, rows, columns = report.shape
    show_facts(
        f"Drew the {kind} phantom",
        (
            ("grid", f"{slices} slices of {columns} x {rows}"),
            ("pixel", f"{report.pixel_spacing_mm:.3f} mm"),
            ("slices every", f"{report.slice_spacing_mm:g} mm"),
            ("seed", str(report.seed)),
            ("made of", f"{report.shapes} shapes, {len(report.labels)} labels"),
            ("time", f"{report.seconds:.1f} s"),
            ("written to", str(report.out)),
        ),
    )

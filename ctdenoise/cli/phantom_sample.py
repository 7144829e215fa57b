"""`ctdenoise phantom sample`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctdenoise.cli.options import transfer_syntax_changes

if TYPE_CHECKING:
    from ctdenoise.tasks.phantom_sample import SamplesReport


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What the options say that `phantom` has for every kind.

    Args:
        out: Folder to make.
        file_format: What volumes are written as.
        config: Settings file, or None.
        overrides: Settings to change.
        seed: The seed, or None.
        transfer_syntax: How DICOM is stored, or None.
    """

    out: Path
    file_format: Literal["dicom", "nifti", "sinogram"]
    config: Path | None
    overrides: tuple[str, ...]
    seed: int | None
    transfer_syntax: str | None


def show_samples(
    request: SampleRequest, *, count: int, first: int, pairs: bool, workers: int | None
) -> None:
    """Make phantoms to train on and say what was made.

    Args:
        request: What was asked for.
        count: How many.
        first: Number of the first.
        pairs: Whether to simulate their twins.
        workers: Phantoms worked on at a time; None for half the cores.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.config.sampling import SampleSettings
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import phantom_sample as task

    if request.file_format == "sinogram":
        raise UsageError(
            "samples are made to train on, which needs images.",
            fix="Give --format dicom or nifti; a single phantom can be written as a sinogram.",
        )
    changes = [
        *request.overrides,
        *transfer_syntax_changes(request.transfer_syntax, request.file_format),
    ]
    settings_file = find_settings_file("sample", request.config or "default")
    settings = load_settings(SampleSettings, settings_file, changes)
    with console.progress() as progress:
        report = task.run(
            settings,
            out=request.out,
            count=count,
            first=first,
            seed=request.seed or 0,
            file_format=request.file_format,
            with_pairs=pairs,
            workers=workers,
            progress=progress,
        )
    _show(report)


def _show(report: SamplesReport) -> None:
    from ctdenoise.cli.console import number, show_facts

    kinds = [str(sample["phantom"]) for sample in report.samples]
    count = len(report.samples)
    show_facts(
        f"Drew {count} phantom{'s' if count > 1 else ''} to train on",
        (
            *((kind, str(kinds.count(kind))) for kind in sorted(set(kinds))),
            ("speed", number(60 * count / report.seconds, "phantoms/min")),
            ("time", f"{report.seconds:.1f} s"),
            ("written to", str(report.out)),
        ),
    )

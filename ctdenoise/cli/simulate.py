"""`ctdenoise simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ctdenoise.cli.every_series import require_none, show_outcomes
from ctdenoise.cli.options import (
    Config,
    Out,
    Overrides,
    Seed,
    Series,
    TransferSyntax,
    transfer_syntax_changes,
)

if TYPE_CHECKING:
    from ctdenoise.tasks.simulate import SimulateReport

_ONE_OR_ALL = "--all simulates every series of all studies; --series and --labels are for one."


def simulate(  # noqa: PLR0913 - each argument is an option of the command
    study: Path,
    /,
    *more: Path,
    out: Out,
    dose: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    n0: float | None = None,
    mas: float | None = None,
    kernel: str | None = None,
    config: Config = None,
    overrides: Overrides = (),
    series: Series = None,
    labels: Path | None = None,
    file_format: Annotated[Literal["pair", "dicom"], Parameter(name="--format")] = "pair",
    transfer_syntax: TransferSyntax = None,
    seed: Seed = 0,
    resume: Annotated[bool, Parameter(negative=())] = False,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    workers: int | None = None,
    preview: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make low-dose twins of a normal-dose study.

    Args:
        study: Folder with DICOM files, or an image file (NIfTI, MetaImage, NRRD).
        more: More studies, with --all.
        out: Folder for the result; new or empty.
        dose: Dose of the twin: a fraction of the dose of the study such as 0.25 or 25%, an exposure
            such as 50mAs, or a noise level such as 30HU; several make several twins.
        n0: Photons per channel and view at full dose; found from the noise of the study otherwise.
        mas: Exposure of the study in mAs, believed before its noise.
        kernel: Reconstruction kernel of the study: auto, header, measured, ramp, hann, the
            frequency in 1/mm at which it is one half, or a name such as B30f, STANDARD or FC13.
        config: Ready settings such as `default` or `ge_like`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        series: Which series, where the folder holds several: the number that `inspect` shows, the
            end of its UID, or a part of its description.
        labels: NIfTI segmentation on the study's grid, to go with the pair.
        file_format: `pair` writes NIfTI pairs to train on; `dicom` writes a derived series that is
            labelled as simulated.
        transfer_syntax: How DICOM is stored: uncompressed (`explicit`, which every reader knows, or
            `implicit`), `deflated`, or compressed without loss (`rle`, `jpeg-ls`, `jpeg2000`).
        seed: Same seed, same noise.
        preview: Write preview/preview.png (scan, twin, difference, noise map) and
            preview/calibration.html (what was found in the study), too.
        resume: Go on where the same command ended when it was killed; begin where none was.
        every: Simulate every readable CT series of the studies, each into a folder of its own below
            --out, with a table of them all. A series that fails does not stop the others.
        workers: With --all: series worked on at a time; half the cores by default.
    """
    from ctdenoise.cli import console
    from ctdenoise.cli.simulate_options import settings_changes
    from ctdenoise.config.dose import SimulateSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks import simulate as task
    from ctdenoise.tasks import simulate_all as all_task

    settings_file = find_settings_file("simulate", config or "default")
    changes = settings_changes(dose=dose, n0=n0, kernel=kernel, mas=mas, overrides=overrides)
    changes += transfer_syntax_changes(transfer_syntax, file_format)
    settings = load_settings(SimulateSettings, settings_file, changes)
    if every:
        require_none("--all", _ONE_OR_ALL, ("--series", series), ("--labels", labels))
        with console.progress() as progress:
            overview = all_task.run(
                (study, *more),
                settings,
                out=out,
                file_format=file_format,
                seed=seed,
                resume=resume,
                preview=preview,
                workers=workers,
                progress=progress,
            )
        again = "run the same command with --resume"
        show_outcomes(overview.outcomes, overview.out, done="simulated", again=again)
        return
    several = ("several studies", more or None)
    require_none("a single series", _ONE_OR_ALL, ("--workers", workers), several)
    with console.progress() as progress:
        report = task.run(
            study,
            settings,
            out=out,
            series=series,
            labels=labels,
            file_format=file_format,
            seed=seed,
            resume=resume,
            preview=preview,
            progress=progress,
        )
    _show(report)


def _show(report: SimulateReport) -> None:
    from ctdenoise.cli.console import number, show_facts

    facts: list[tuple[str, str]] = []
    for twin in report.exposures:
        if report.is_degraded:
            facts.append(("degraded: noise", _from_to(twin.full_noise_hu, twin.low_noise_hu)))
            continue
        label = f"dose {100 * twin.dose_fraction:g} %"
        facts += [
            (f"{label}: noise", _from_to(twin.full_noise_hu, twin.low_noise_hu)),
            (f"{label}: photons", f"{twin.photons:.3g} at full dose, by {twin.calibrated_by}"),
        ]
    show_facts(
        f"Simulated {report.slices} slices",
        (
            *facts,
            ("speed", number(report.slices_per_second, "slices/s")),
            ("time", f"{report.seconds:.1f} s{_resumed(report)}"),
            ("written to", str(report.out)),
        ),
    )


def _resumed(report: SimulateReport) -> str:
    return f", after {report.resumed} slices before" if report.resumed else ""


def _from_to(full_hu: float | None, low_hu: float | None) -> str:
    if full_hu is None or low_hu is None:
        return "" if low_hu is None else f"{low_hu:.1f} HU"
    return f"{full_hu:.1f} HU -> {low_hu:.1f} HU"

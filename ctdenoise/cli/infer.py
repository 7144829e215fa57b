"""`ctdenoise infer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ctdenoise.cli.every_series import require_none, show_outcomes
from ctdenoise.cli.options import (
    Config,
    Out,
    Overrides,
    Series,
    TransferSyntax,
    transfer_syntax_changes,
)

if TYPE_CHECKING:
    from ctdenoise.tasks.infer import InferReport
    from ctdenoise.tasks.infer_plan import InferPlan


_ONE_OR_ALL = "--all denoises every series of all studies; --series and --roi are for one."


def infer(  # noqa: PLR0913 - each argument is an option of the command
    study: Path,
    /,
    *more: Path,
    model: Annotated[str | None, Parameter(name=["--model", "-m"], show_default=False)] = None,
    out: Out,
    strength: Annotated[str | None, Parameter(name="--strength")] = None,
    texture: Annotated[float | None, Parameter(name="--texture")] = None,
    keep_below: Annotated[float | None, Parameter(name="--keep-below")] = None,
    noise_target: Annotated[float | None, Parameter(name="--noise-target")] = None,
    noise_level: Annotated[float | None, Parameter(name="--noise-level")] = None,
    roi: Annotated[str | None, Parameter(name="--roi")] = None,
    device: Annotated[str | None, Parameter(name="--device")] = None,
    engine: Annotated[str | None, Parameter(name="--engine")] = None,
    precision: Annotated[str | None, Parameter(name="--precision")] = None,
    config: Config = None,
    overrides: Overrides = (),
    series: Series = None,
    file_format: Annotated[
        Literal["same", "dicom", "nifti", "mha", "nrrd"], Parameter(name="--format")
    ] = "same",
    transfer_syntax: TransferSyntax = None,
    residual: Annotated[bool, Parameter(name="--residual", negative="")] = False,
    noise_map: Annotated[Literal["pm", "ct"] | None, Parameter(name="--noise-map")] = None,
    uncertainty: Annotated[Literal["pm", "ct"] | None, Parameter(name="--uncertainty")] = None,
    dry_run: Annotated[bool, Parameter(name="--dry-run", negative="")] = False,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    workers: int | None = None,
) -> None:
    """Denoise a study and write it as a derived series.

    Args:
        study: Folder with DICOM files, or an image file (NIfTI, MetaImage, NRRD).
        more: More studies, with --all.
        model: A released model (`ctdenoise models` lists them), a checkpoint, a folder that `train`
            made, a classical filter (`nlm`, `tv`, `bilateral`, `gaussian`, `vst`, `bm3d`), or
            `identity` to check the way through. Without it, `fast`, or on a GPU `redcnn` if there
            is one.
        out: Folder for the result; new or empty.
        strength: 0 keeps the study as it is, 1 is all that the model does; or `low`, `medium` or
            `high`, which keep the texture of the noise as well. Without it, what a released model
            recommends, and 1 for others.
        texture: 0 takes the same share away at all frequencies; 1 keeps, at the same noise level,
            as much of the texture of the noise as can be kept.
        keep_below: Frequency, 1/mm, below which nothing is taken away, so that faint structures
            keep their contrast: 0.1 for those of 7 mm; 0 for none. By default what the model
            recommends.
        noise_target: Noise in the soft tissue of the result, HU; the strength follows.
        noise_level: Noise in the soft tissue of the study, HU, for classical filters and for
            networks that are told the noise; measured in the pixels unless given.
        roi: Change nothing outside of a box of pixels, `x0:x1,y0:y1,z0:z1`, or of a label map on
            the grid of the study.
        device: `auto`, `cpu`, `cuda`, or `cuda:1` for one of several GPUs; auto takes a GPU if
            there is one.
        engine: What computes convolutions: `winograd` (kernels of our own, on a CPU), `torch`, or
            `auto` for the faster one.
        precision: `float32`, or `bf16`, which moves the result by about 1 HU; `auto` is bf16 on a
            GPU, with the last layer in float32.
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        series: Which series, where the folder holds several: the number that `inspect` shows, the
            end of its UID, or a part of its description.
        file_format: `same` as the study, `dicom`, `nifti`, `mha` or `nrrd`.
        transfer_syntax: How DICOM is stored: uncompressed (`explicit`, which every reader knows, or
            `implicit`), `deflated`, or compressed without loss (`rle`, `jpeg-ls`, `jpeg2000`).
        residual: Also write what was removed, source minus result.
        noise_map: Also write the error that the network states, or the local standard deviation of
            what was removed where it states none, as a DICOM Parametric Map (`pm`) or a CT series
            that every viewer shows (`ct`).
        uncertainty: Also write how far every pixel may be off, as a standard deviation in HU that
            is found on the study itself; `pm` or `ct` as above.
        dry_run: Say what would be done, in how much time, memory and space, and write nothing.
        every: Denoise every readable CT series of the studies, each into a folder of its own below
            --out, with a table of them all. A series that fails does not stop the others, and what
            an earlier run finished is kept.
        workers: With --all: series worked on at a time; one, or one for each of several GPUs, by
            default.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.inference import InferSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks import infer as task
    from ctdenoise.tasks import infer_all as all_task

    settings_file = find_settings_file("infer", config or "default")
    controls = {"strength": strength, "texture": texture, "noise_target": noise_target}
    given = {key: value for key, value in controls.items() if value is not None}
    changes = (*overrides, "presets=[]") if given else overrides
    if keep_below is not None:
        changes = (*changes, f"keep_below_per_mm={keep_below}")
    means = {
        "noise_level": noise_level,
        "device": device,
        "engine": engine,
        "precision": precision,
    }
    given |= {key: value for key, value in means.items() if value is not None}
    changes = (*changes, *(f"{key}={value}" for key, value in given.items()))
    changes = (*changes, *transfer_syntax_changes(transfer_syntax, file_format))
    if residual:
        changes = (*changes, "objects.residual=true")
    if noise_map is not None:
        changes = (*changes, f"objects.noise_map={noise_map}")
    if uncertainty is not None:
        changes = (*changes, f"objects.uncertainty={uncertainty}")
    settings = load_settings(InferSettings, settings_file, changes)
    several = ("several studies", more or None)
    if dry_run:
        ignored = (("--all", every or None), ("--workers", workers), several)
        require_none("--dry-run", "It plans one series at a time.", *ignored)
        from ctdenoise.tasks import infer_plan
        from ctdenoise.tasks.infer_work import InferRequest

        wanted = InferRequest(study, model, settings, out, series, file_format, roi)
        _show_plan(infer_plan.plan(wanted), named=model is not None)
        return
    if every:
        require_none("--all", _ONE_OR_ALL, ("--series", series), ("--roi", roi))
        with console.progress() as progress:
            overview = all_task.run(
                (study, *more),
                model=model,
                settings=settings,
                out=out,
                file_format=file_format,
                workers=workers,
                progress=progress,
            )
        again = "run the same command again"
        show_outcomes(overview.outcomes, overview.out, done="denoised", again=again)
        return
    require_none("a single series", _ONE_OR_ALL, ("--workers", workers), several)
    with console.progress() as progress:
        report = task.run(
            study,
            model=model,
            settings=settings,
            out=out,
            series=series,
            file_format=file_format,
            roi=roi,
            progress=progress,
        )
    _show(report, named=model is not None)
    if report.checks is not None:
        from ctdenoise.cli.checks_text import show_checks

        show_checks(report.checks)


def _called(model: str, digest: str, *, named: bool) -> str:
    """The model that was used, and whether the user said so."""
    return f"{model} {digest}".strip() + ("" if named else " (none was named)")


def _show(report: InferReport, *, named: bool) -> None:
    from ctdenoise.cli.console import number, share, show_facts

    before, after = report.noise_before_hu, report.noise_after_hu
    show_facts(
        f"Denoised {report.slices} slices",
        (
            ("model", _called(report.model, report.model_digest, named=named)),
            ("strength", f"{report.strength:g}"),
            *report.controls,
            *(
                ()
                if report.told_noise_hu is None
                else (("told noise", number(report.told_noise_hu, "HU")),)
            ),
            ("noise before", number(before, "HU")),
            ("noise after", number(after, "HU") + share(after, before)),
            ("mean change", number(report.mean_change_hu, "HU", digits=2)),
            ("largest change", number(report.largest_change_hu, "HU")),
            ("engine", report.engine),
            ("time", f"{report.seconds:.1f} s ({report.seconds_per_slice:.3f} s per slice)"),
            ("written to", str(report.out)),
            *((("beside the images", ", ".join(report.objects)),) if report.objects else ()),
            *((("noise map", report.noise_map),) if report.noise_map else ()),
            *(
                ()
                if report.rms_error_hu is None
                else (("error of a pixel", number(report.rms_error_hu, "HU") + " in the body"),)
            ),
        ),
    )


def _show_plan(plan: InferPlan, *, named: bool) -> None:
    from ctdenoise.cli.console import number, show_facts

    slices, rows, columns = plan.shape
    computed = "" if plan.computed_slices == slices else f", {plan.computed_slices} computed"
    images = "1 image file" if plan.files == 1 else f"{plan.files} image files"
    show_facts(
        f"Would denoise {slices} slices; nothing is written",
        (
            ("study", f"{slices} slices of {columns} x {rows}{computed}"),
            ("model", _called(plan.model, plan.model_digest, named=named)),
            ("strength", f"{plan.strength:g}"),
            *plan.controls,
            *(
                ()
                if plan.noise_told_hu is None
                else (("told noise", number(plan.noise_told_hu, "HU")),)
            ),
            ("engine", plan.engine),
            ("time", f"about {plan.seconds:.0f} s ({plan.seconds_per_slice:.3f} s per slice)"),
            ("memory", f"about {plan.memory_mb:.0f} MB"),
            ("disk", f"at most {plan.disk_mb:.0f} MB of {plan.free_mb:.0f} MB that are free"),
            ("would write", f"{images} as {plan.kind}: {', '.join(plan.outputs)}"),
            ("to", str(plan.out)),
            *((finding.severity, f"{finding.code}: {finding}") for finding in plan.findings),
        ),
    )

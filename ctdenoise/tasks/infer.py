"""`infer`: denoise a study and write it as a derived series."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan, with_steps
from ctdenoise.inference.check_finding import CheckReport
from ctdenoise.inference.checks import Checks, refuse
from ctdenoise.inference.denoiser import Denoised, Denoiser
from ctdenoise.inference.method import Block
from ctdenoise.inference.uncertainty import Uncertainty, everywhere, settle_uncertainty
from ctdenoise.io.dicom_judge import judge_written
from ctdenoise.io.manifest import write_manifest
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.staging import staged_folder
from ctdenoise.io.study import FoundSeries
from ctdenoise.io.volume_writer import VolumeWriter, image_name
from ctdenoise.io.write import FileFormat
from ctdenoise.tasks.infer_beside import BesideWriter, DicomBeside, ImagesBeside
from ctdenoise.tasks.infer_blocks import read_blocks
from ctdenoise.tasks.infer_checks import begin_checks
from ctdenoise.tasks.infer_stream import Figures, stream
from ctdenoise.tasks.infer_work import InferRequest, Work, controls_in_words, prepared

DICOM_FOLDER = "dicom"
"""Folder of the derived series inside the output folder: it holds nothing but the series, so that
it can be sent as it is."""


@dataclass(frozen=True, slots=True)
class InferReport:
    """What was done.

    Args:
        out: The output folder.
        model: The kind of network.
        model_digest: Digest of the checkpoint.
        engine: What computed: "torch cpu float32".
        strength: Share of the network's change that was applied.
        slices: How many slices were denoised.
        files: How many image files were written.
        noise_before_hu: Noise in the soft tissue of the study; None where there is too little.
        noise_after_hu: The same in the result.
        mean_change_hu: Mean of result minus study over the image voxels: a shift of all values.
        largest_change_hu: Largest absolute change of a voxel.
        seconds_per_slice: Time of the denoiser alone.
        seconds: Time of everything, files included.
        objects: Folders, or image files, of what was written beside the images.
        noise_map: What the noise map shows; None without one.
        told_noise_hu: Noise in the soft tissue that the network was told; None for networks that
            are not told.
        controls: The other controls that were used: what it is, and what was chosen or found.
        checks: What was found in the result; None where it was not looked at.
        rms_error_hu: Root mean square of the error of a pixel of the body, as the map of
            uncertainty has it; None without one.
    """

    out: Path
    model: str
    model_digest: str
    engine: str
    strength: float
    slices: int
    files: int
    noise_before_hu: float | None
    noise_after_hu: float | None
    mean_change_hu: float
    largest_change_hu: float
    seconds_per_slice: float
    seconds: float
    objects: tuple[str, ...] = ()
    noise_map: str | None = None
    told_noise_hu: float | None = None
    controls: tuple[tuple[str, str], ...] = ()
    checks: CheckReport | None = None
    rms_error_hu: float | None = None


def run(  # noqa: PLR0913 - each is a part of what is asked for
    study: Path | FoundSeries,
    *,
    model: str | Path | Denoiser | None = None,
    settings: InferSettings,
    out: Path,
    series: str | None = None,
    file_format: FileFormat = "same",
    roi: str | None = None,
    progress: Progress = SILENT,
) -> InferReport:
    """Denoise one series of a study, block by block.

    The output folder holds the derived series in `dicom/` with `manifest.json` beside it (or
    `image.nii`, `.mha`, `.nrrd`), `settings.yaml` and `run.json`; it appears whole or not at all.
    What headers and settings can tell is refused before anything is computed. Memory does not grow
    with the number of slices.

    Args:
        study: Folder or file with the study, or the series itself.
        model: A registered name, a checkpoint, or the output folder of a training run; or what was
            loaded of it, with the same settings. None for the released model of the device.
        settings: Strength, device, precision, memory.
        out: Folder to make; new or empty.
        series: Which series, where there are several: its number, the end of its UID, or a part of
            its description.
        file_format: What to write; "same" as the study.
        roi: Where anything may be changed: a box of pixels or the path of a label map; see
            `open_region`. None for everywhere.
        progress: Told about every slice.

    Raises:
        OutputExistsError: If `out` holds something.
        CheckpointError: If the model is no checkpoint.
        UsageError: If it is not clear which series is meant, or there is no GPU.
        StudyError: If the series is no CT, cannot be read right, or cannot be derived from.
        OutputError: If the result cannot be written, is judged to be no legal derived series, or
            fails a check (`checks.on_error`).
    """
    started = time.perf_counter()
    request = InferRequest(study, model, settings, out, series, file_format, roi)
    with prepared(request) as work:
        figures, busy = Figures(work.sample, work.denoising.region), work.busy
        with busy.at("check"):
            checks = begin_checks(work)
        uncertainty = _uncertainty(work, progress)
        with staged_folder(out) as folder:
            results = _make(work, figures, checks, uncertainty, folder, progress)
            write_settings(folder, work.settings)
            total_s = time.perf_counter() - started
            results["share_outside_denoiser"] = round(1 - busy.seconds["denoise"] / total_s, 4)
            write_run(folder, _record(work, results, {**busy.seconds, "total": total_s}))
        report = _report(work, figures, results, out, time.perf_counter() - started)
        rms_hu = None if uncertainty is None else uncertainty.rms_hu
        return replace(report, checks=checks.report(), rms_error_hu=rms_hu)


def _uncertainty(work: Work, progress: Progress) -> Uncertainty | None:
    """What states the error of every pixel; None where that is not wanted."""
    if work.wanted.uncertainty == "none":
        return None
    with work.busy.at("uncertainty"), progress.stage("Finding the uncertainty", 1) as advance:
        found = settle_uncertainty(
            everywhere(work.denoising),
            work.sample,
            context=work.denoiser.context,
            texture_hu=work.wanted.texture_hu,
        )
        advance()
        return found


def _make(
    work: Work,
    figures: Figures,
    checks: Checks,
    uncertainty: Uncertainty | None,
    folder: Path,
    progress: Progress,
) -> dict[str, JsonValue]:
    """Write everything into the staged folder; returns what the record says of it."""
    reader, busy, settings = work.reader, work.busy, work.settings
    result = with_steps(reader, work.denoising.step)
    place = folder
    if work.kind == "dicom":
        place = folder / DICOM_FOLDER
        place.mkdir()
    with ExitStack() as opened:
        writer = opened.enter_context(
            VolumeWriter(result, place, kind=work.kind, settings=settings.dicom)
        )
        beside = opened.enter_context(_beside(work, result, uncertainty, folder))

        def write(block: Block, denoised: Denoised) -> None:
            writer.write(denoised.volume)
            beside.write(block, denoised)
            with busy.at("measure"):
                figures.add(block.wanted, denoised.volume, block.places)
            with busy.at("check"):
                checks.add(block.wanted, denoised.volume, block.places)

        blocks = read_blocks(
            reader,
            figures.sample,
            size=work.denoising.block_slices,
            context=work.denoiser.context,
        )
        with progress.stage("Denoising", reader.shape[0]) as advance:
            stream(blocks, work.denoising, write, busy=busy, advance=advance)
        checked = checks.report()
        refuse(checked, settings.checks)
        with busy.at("write"):
            names = beside.finish()
        if work.kind == "dicom":
            with busy.at("judge"):
                judge_written(writer.files, reader.source, settings.dicom)
                beside.judge(writer.files)
    if work.kind == "dicom":
        write_manifest(folder, [DICOM_FOLDER, *names], settings.dicom)
    made: dict[str, JsonValue] = {
        "format": work.kind,
        "files": len(writer.files),
        "objects": list(names),
        "checks": checked.as_json(),
        "uncertainty": None if uncertainty is None else dict(uncertainty.record),
    }
    return {**_measured(work, figures, progress), **made}


def _beside(
    work: Work, result: Scan, uncertainty: Uncertainty | None, folder: Path
) -> BesideWriter:
    if work.kind == "dicom":
        return DicomBeside(work.wanted, result, folder, work.settings, uncertainty=uncertainty)
    name, _ = image_name(result, work.kind)
    suffix = name.removeprefix("image")
    return ImagesBeside(
        work.wanted, result, folder, uncertainty=uncertainty, kind=work.kind, suffix=suffix
    )


def _measured(work: Work, figures: Figures, progress: Progress) -> dict[str, JsonValue]:
    """Figures of the whole scan, for the record."""
    wanted = work.wanted
    with work.busy.at("measure"), progress.stage("Measuring noise", 2) as advance:
        before = figures.noise_before_hu()
        advance()
        after = figures.noise_after_hu()
        advance()
    told = {
        key: value for key, value in work.denoising.step.params.items() if key.startswith("noise_")
    }
    return {
        "noise_before_hu": before,
        "noise_after_hu": after,
        "mean_change_hu": figures.mean_change_hu,
        "largest_change_hu": figures.largest_change_hu,
        "noise_map": wanted.noise_quantity,
        **told,
        "controls": work.denoising.record,
        "label_names": {str(n): name for n, name in enumerate(wanted.names) if n},
    }


def _record(work: Work, results: dict[str, JsonValue], timings_s: dict[str, float]) -> Run:
    source = work.reader.source
    return Run(
        command="infer",
        settings=work.settings.as_json(),
        device=work.denoiser.description,
        inputs={
            "model": work.denoiser.name,
            "model_digest": work.denoiser.digest,
            "kind": None if source is None else source.kind,
            "shape": list(work.reader.shape),
        },
        results=results,
        timings_s=timings_s,
    )


def _report(
    work: Work, figures: Figures, results: dict[str, JsonValue], out: Path, seconds: float
) -> InferReport:
    slices = work.reader.shape[0]
    objects, files = results["objects"], results["files"]
    return InferReport(
        out=out,
        model=work.denoiser.name,
        model_digest=work.denoiser.digest,
        engine=work.denoiser.description,
        strength=work.denoising.strength,
        controls=controls_in_words(work),
        slices=slices,
        files=files if isinstance(files, int) else 0,
        noise_before_hu=_number(results["noise_before_hu"]),
        noise_after_hu=_number(results["noise_after_hu"]),
        mean_change_hu=figures.mean_change_hu,
        largest_change_hu=figures.largest_change_hu,
        seconds_per_slice=work.busy.seconds["denoise"] / slices,
        seconds=seconds,
        objects=tuple(map(str, objects)) if isinstance(objects, list) else (),
        noise_map=work.wanted.noise_quantity,
        told_noise_hu=_number(results.get("noise_level_hu")),
    )


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) else None

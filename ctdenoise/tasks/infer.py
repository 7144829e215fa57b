"""`infer`: denoise a study and write it as a derived series."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.dicom_judge import judge_written
from ctdenoise.io.manifest import write_manifest
from ctdenoise.io.read import read_volume
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.io.study import choose_series, find_series
from ctdenoise.io.write import (
    FileFormat,
    check_transfer_syntax,
    check_writable,
    write_volume,
    written_kind,
)
from ctdenoise.tasks.infer_objects import ObjectWriter, check_wanted, wanted_objects

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


def run(
    study: Path,
    *,
    model: str | Path,
    settings: InferSettings,
    out: Path,
    series: str | None = None,
    file_format: FileFormat = "same",
    progress: Progress = SILENT,
) -> InferReport:
    """Denoise one series of a study.

    The output folder holds the derived series in `dicom/` with `manifest.json` beside it (or
    `image.nii`, `.mha`, `.nrrd`), `settings.yaml` and `run.json`; it appears whole or not at all.
    Everything that can be refused is refused before anything is computed.

    Args:
        study: Folder or file with the study.
        model: A registered name, a checkpoint, or the output folder of a training run.
        settings: Strength, device, precision, memory.
        out: Folder to make; new or empty.
        series: Which series, where there are several: its number, the end of its UID, or a part of
            its description.
        file_format: What to write; "same" as the study.
        progress: Told about every slice.

    Raises:
        OutputExistsError: If `out` holds something.
        CheckpointError: If the model is no checkpoint.
        UsageError: If it is not clear which series is meant, or there is no GPU.
        StudyError: If the series is no CT, cannot be read right, or cannot be derived from.
        OutputError: If the result cannot be written, or is judged to be no legal derived series.
    """
    started = time.perf_counter()
    require_free_folder(out)
    denoiser = load_denoiser(model, settings)
    volume = read_volume(choose_series(find_series(study), series, where=study))
    check_transfer_syntax(settings.dicom, written_kind(volume, file_format))
    check_writable(volume, file_format)
    wanted = wanted_objects(denoiser, settings)
    check_wanted(wanted, volume, file_format)
    read = time.perf_counter()
    denoised, estimates = denoiser.with_estimates(
        volume, labels=wanted.labels, error=wanted.states_error, progress=progress
    )
    computed = time.perf_counter()
    mean_change_hu, largest_change_hu = change_hu(volume, denoised)
    with progress.stage("Measuring noise", 2) as advance:
        noise_before_hu = _noise_hu(volume)
        advance()
        noise_after_hu = _noise_hu(denoised)
        advance()
    measured = time.perf_counter()
    with staged_folder(out) as folder:
        objects = ObjectWriter(wanted, volume, denoised, estimates, settings)
        files, beside = _write(denoised, folder, file_format, settings, objects)
        write_settings(folder, settings)
        results: dict[str, JsonValue] = {
            "noise_before_hu": noise_before_hu,
            "noise_after_hu": noise_after_hu,
            "mean_change_hu": mean_change_hu,
            "largest_change_hu": largest_change_hu,
            "files": len(files),
            "objects": list(beside),
            "noise_map": wanted.noise_quantity,
            **_told(denoised),
            "label_names": {str(n): name for n, name in enumerate(wanted.names) if n},
        }
        written = time.perf_counter()
        timings_s = {
            "read": read - started,
            "denoise": computed - read,
            "measure": measured - computed,
            "write": written - measured,
        }
        write_run(folder, _record(denoiser, volume, settings, results, timings_s))
    return InferReport(
        out=out,
        model=denoiser.name,
        model_digest=denoiser.digest,
        engine=denoiser.description,
        strength=settings.strength,
        slices=volume.shape[0],
        files=len(files),
        noise_before_hu=noise_before_hu,
        noise_after_hu=noise_after_hu,
        mean_change_hu=mean_change_hu,
        largest_change_hu=largest_change_hu,
        seconds_per_slice=(computed - read) / volume.shape[0],
        seconds=time.perf_counter() - started,
        objects=beside,
        noise_map=wanted.noise_quantity,
        told_noise_hu=_level(_told(denoised)),
    )


def change_hu(before: CTVolume, after: CTVolume) -> tuple[float, float]:
    """Mean change, and largest absolute change, over the image voxels, HU.

    Args:
        before: A volume.
        after: The same grid; its padding is that of `before`.
    """
    total, count, largest = 0.0, 0, 0.0
    for index in range(before.shape[0]):  # slice by slice: no third volume in memory
        change = after.hu[index] - before.hu[index]
        if before.padding is not None:
            change = change[~before.padding[index]]
        if change.size:
            total += float(change.sum(dtype=np.float64))
            count += change.size
            largest = max(largest, float(np.abs(change).max()))
    return (total / count if count else 0.0), largest


def _told(denoised: CTVolume) -> dict[str, JsonValue]:
    """What the network was told of the noise, from the line of history that it wrote."""
    params = denoised.history[-1].params
    return {key: value for key, value in params.items() if key.startswith("noise_")}


def _level(told: dict[str, JsonValue]) -> float | None:
    level = told.get("noise_level_hu")
    return float(level) if isinstance(level, int | float) else None


def _noise_hu(volume: CTVolume) -> float | None:
    return noise_level_hu(volume.hu, volume.padding, volume.geometry.pixel_spacing_mm)


def _write(
    volume: CTVolume,
    folder: Path,
    file_format: FileFormat,
    settings: InferSettings,
    objects: ObjectWriter,
) -> tuple[Sequence[Path], tuple[str, ...]]:
    kind = written_kind(volume, file_format)
    if kind != "dicom":
        files = write_volume(volume, folder, file_format=kind)
        suffix = files[0].name.removeprefix("image")
        return files, objects.write_images(folder, kind, suffix)
    dicom = settings.dicom
    files = write_volume(volume, folder / DICOM_FOLDER, file_format="dicom", settings=dicom)
    judge_written(files, volume.source, dicom)
    beside = objects.write_dicom(folder)
    objects.judge_dicom(folder, files)
    write_manifest(folder, [DICOM_FOLDER, *beside], dicom)
    return files, beside


def _record(
    denoiser: Denoiser,
    volume: CTVolume,
    settings: InferSettings,
    results: dict[str, JsonValue],
    timings_s: dict[str, float],
) -> Run:
    return Run(
        command="infer",
        settings=settings.as_json(),
        device=denoiser.description,
        inputs={
            "model": denoiser.name,
            "model_digest": denoiser.digest,
            "kind": None if volume.source is None else volume.source.kind,
            "shape": list(volume.shape),
        },
        results=results,
        timings_s=timings_s,
    )

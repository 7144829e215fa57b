"""Make low-dose twins of a scan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.randomness import stream
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.nifti_labels import read_labels
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.read import read_volume
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.io.write import check_writable, write_series
from ctdenoise.simulation.low_dose import simulate_doses

COMMAND = "simulate"

DICOM_FOLDER = "dicom"
"""Folder of a single simulated series inside the output folder."""


@dataclass(frozen=True, slots=True)
class SimulateReport:
    """What was made.

    Args:
        out: Its folder.
        slices: Slices of the scan.
        exposures: Dose, photons and noise of each twin, in the order of the settings.
        seconds: Wall-clock time of the whole.
        slices_per_second: Twin slices made in a second, without reading and writing.
        is_degraded: Whether the twin is the general degradation model's, of no dose.
    """

    out: Path
    slices: int
    exposures: tuple[Exposure, ...]
    seconds: float
    slices_per_second: float
    is_degraded: bool = False


def run(  # noqa: PLR0913 - one argument for each word of the command line
    study: Path,
    settings: SimulateSettings,
    *,
    out: Path,
    series: str | None = None,
    labels: Path | None = None,
    file_format: Literal["pair", "dicom"] = "pair",
    seed: int = 0,
    progress: Progress = SILENT,
) -> SimulateReport:
    """Read a series, simulate every dose of the settings and write the twins.

    Args:
        study: Folder or file with the series.
        settings: What to simulate.
        out: Folder to make: a folder of training pairs, or a simulated DICOM series (one
            subfolder for each dose where there are several); with settings.yaml and run.json.
        series: Which series, where the study holds several.
        labels: A segmentation on the same grid (NIfTI), kept with the pairs.
        file_format: What to write.
        seed: Same series, settings and seed: same voxels.
        progress: Who is told.

    Raises:
        OutputExistsError: If `out` is taken.
        StudyError: If the series or the labels cannot be read.
        GeometryError: If the labels lie on another grid.
        SimulationError: If the series is no axial CT in Hounsfield units.
    """
    start = time.perf_counter()
    require_free_folder(out)
    volume = read_volume(study, series=series)
    if file_format == "dicom":
        check_writable(volume, "dicom")
    label_map = None if labels is None else read_labels(labels, volume.geometry)
    read = time.perf_counter()
    pairs = simulate_doses(volume, settings, stream(seed, COMMAND), progress=progress)
    if label_map is not None:
        pairs = tuple(replace(pair, labels=label_map) for pair in pairs)
    simulated = time.perf_counter()
    with staged_folder(out) as stage:
        if file_format == "pair":
            write_pairs(stage, pairs)
        else:
            _write_dicom(stage, pairs)
        write_settings(stage, settings)
        written = time.perf_counter()
        timings = {"read": read - start, "simulate": simulated - read, "write": written - simulated}
        write_run(stage, _record(volume, settings, pairs, seed, timings))
    return SimulateReport(
        out=out,
        slices=volume.shape[0],
        exposures=tuple(pair.exposure for pair in pairs),
        seconds=time.perf_counter() - start,
        slices_per_second=volume.shape[0] * len(pairs) / (simulated - read),
        is_degraded=settings.mode == "degradation",
    )


def _write_dicom(stage: Path, pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        name = f"dose_{pair.exposure.dose_fraction:g}"
        write_series(pair.low, stage / (name if len(pairs) > 1 else DICOM_FOLDER))


def _record(
    volume: CTVolume,
    settings: SimulateSettings,
    pairs: Sequence[Pair],
    seed: int,
    timings: dict[str, float],
) -> Run:
    return Run(
        command=COMMAND,
        settings=settings.as_json(),
        seed=seed,
        inputs={
            "shape": list(volume.shape),
            "pixel_spacing_mm": list(volume.geometry.pixel_spacing_mm),
            "patient_key": "" if volume.source is None else volume.source.patient_key,
        },
        results={
            "twins": [
                {
                    "dose_fraction": pair.exposure.dose_fraction,
                    "photons": pair.exposure.photons,
                    "calibrated_by": pair.exposure.calibrated_by,
                    "full_noise_hu": pair.exposure.full_noise_hu,
                    "low_noise_hu": pair.exposure.low_noise_hu,
                    "step": pair.low.history[-1].as_json(),
                }
                for pair in pairs
            ]
        },
        timings_s=timings,
    )

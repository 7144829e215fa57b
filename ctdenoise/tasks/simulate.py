"""Make low-dose twins of a scan."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.pair import Exposure
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.core.scan import with_steps
from ctdenoise.errors import UsageError
from ctdenoise.io.dicom_judge import judge_written
from ctdenoise.io.growing import JOURNAL_FILE, Journal, read_journal
from ctdenoise.io.image_labels import LabelReader
from ctdenoise.io.manifest import write_manifest
from ctdenoise.io.pair_writer import PairWriter, low_names
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.series_writer import TwinSeriesWriter, series_numbers
from ctdenoise.io.staging import require_free_folder, stage_of_killed_run, staged_folder
from ctdenoise.io.study import FoundSeries
from ctdenoise.io.write import check_writable
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import Plan, plan_simulation
from ctdenoise.tasks.simulate_preview import write_simulation_preview
from ctdenoise.tasks.simulate_request import differences, request_of
from ctdenoise.tasks.simulate_stream import Sources, TwinStream, TwinWriter

COMMAND = "simulate"

DICOM_FOLDER = "dicom"
"""Folder of a single simulated series inside the output folder."""

FileFormat = Literal["pair", "dicom"]
"""What is written: a folder of training pairs, or simulated series."""


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
        resumed: Slices that a killed run had finished.
    """

    out: Path
    slices: int
    exposures: tuple[Exposure, ...]
    seconds: float
    slices_per_second: float
    is_degraded: bool = False
    resumed: int = 0


def run(  # noqa: PLR0913 - one argument for each word of the command line
    study: Path | FoundSeries,
    settings: SimulateSettings,
    *,
    out: Path,
    series: str | None = None,
    labels: Path | None = None,
    file_format: FileFormat = "pair",
    seed: int = 0,
    resume: bool = False,
    preview: bool = False,
    progress: Progress = SILENT,
) -> SimulateReport:
    """Read a series, simulate every dose of the settings and write the twins, block by block.

    Args:
        study: Folder or file with the series, or the series itself.
        settings: What to simulate.
        out: Folder to make: a folder of training pairs, or a simulated DICOM series (one
            subfolder for each dose where there are several) with manifest.json; and settings.yaml
            and run.json.
        series: Which series, where the study holds several.
        labels: A segmentation on the same grid (NIfTI), kept with the pairs.
        file_format: What to write.
        seed: Same series, settings and seed: same voxels.
        resume: Go on where a killed run ended, if one left something.
        preview: Write pictures and the calibration page, too.
        progress: Who is told.

    Raises:
        OutputExistsError: If `out` is taken.
        UsageError: If the run to go on with was started with something else.
        MissingExtraError: If a preview is asked for and its packages are not installed.
        StudyError: If the series or the labels cannot be read.
        GeometryError: If the labels lie on another grid.
        SimulationError: If the series is no axial CT in Hounsfield units.
    """
    start = time.perf_counter()
    require_free_folder(out)
    if preview:
        require_report_extra("Or leave out --preview.")
    with ExitStack() as opened:
        reader = opened.enter_context(open_series(study, series=series))
        if file_format == "dicom":
            check_writable(reader, "dicom")
        label_reader = None
        if labels is not None:
            label_reader = opened.enter_context(LabelReader(labels, reader.geometry))
        sample = reader.read(sample_indices(reader.geometry))
        found = time.perf_counter()
        plan = plan_simulation(
            sample,
            settings,
            draw_seed(stream(seed, COMMAND)),
            geometry=reader.geometry,
            acquisition=reader.acquisition,
        )
        planned = time.perf_counter()
        request = request_of(
            reader.source,
            reader.geometry,
            settings,
            seed=seed,
            file_format=file_format,
            labels=labels,
        )
        steps = [plan.step(index).as_json() for index in range(len(plan.doses))]
        identity: dict[str, JsonValue] = {**request, "calibration": digest(steps)}
        killed = stage_of_killed_run(out) if resume else None
        journal = None if killed is None else _journal_of(killed, identity, out)
        stage = opened.enter_context(
            staged_folder(out, adopted=None if journal is None else killed)
        )
        journal = _journal_in(stage, journal, identity, reader, plan)
        sources = Sources(reader, sample, label_reader)
        with _writer(stage, file_format, sources, plan, journal.facts) as writer:
            twins = TwinStream(sources, plan, stage, writer, journal)
            exposures = twins.run(progress)
        if file_format == "dicom":
            with twins.busy.at("judge"):
                _judge(stage, reader, plan)
            write_manifest(stage, _series_folders(plan.doses), settings.dicom)
        busy = twins.busy.seconds
        if preview:
            write_simulation_preview(stage, plan, sample, exposures, geometry=reader.geometry)
        write_settings(stage, settings)
        timings = {
            "find": found - start,
            "calibrate": planned - found,
            **busy,
            "wall": time.perf_counter() - start,
        }
        write_run(stage, _record(reader, plan, exposures, seed, request, timings))
    slices = reader.shape[0]
    return SimulateReport(
        out=out,
        slices=slices,
        exposures=exposures,
        seconds=time.perf_counter() - start,
        slices_per_second=(slices - twins.resumed) * len(exposures) / max(busy["simulate"], 1e-9),
        is_degraded=settings.mode == "degradation",
        resumed=twins.resumed,
    )


def _writer(
    stage: Path,
    file_format: FileFormat,
    sources: Sources,
    plan: Plan,
    facts: Mapping[str, JsonValue],
) -> TwinWriter:
    reader = sources.series
    if file_format == "pair":
        return PairWriter(stage, reader, plan.doses, has_labels=sources.labels is not None)
    folders = [stage / name for name in _series_folders(plan.doses)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    numbers, began = facts["series_numbers"], facts["began"]
    if not isinstance(numbers, list | tuple) or not isinstance(began, int):
        raise TypeError("the journal was made by another program")
    scans = [with_steps(reader, plan.step(index)) for index in range(len(plan.doses))]
    given, dicom = [int(str(number)) for number in numbers], plan.settings.dicom
    return TwinSeriesWriter(folders, scans, given, posix_s=began, settings=dicom)


def _judge(stage: Path, reader: SeriesReader, plan: Plan) -> None:
    for name in _series_folders(plan.doses):
        paths = sorted((stage / name).iterdir())
        judge_written(paths, reader.source, plan.settings.dicom)


def _series_folders(doses: Sequence[float]) -> list[str]:
    if len(doses) == 1:
        return [DICOM_FOLDER]
    return [name.replace("low_", "dose_") for name in low_names(doses)]


def _journal_of(killed: Path, identity: Mapping[str, JsonValue], out: Path) -> Journal | None:
    """The journal of a killed run; None where it did not come far enough to leave one."""
    journal = read_journal(killed)
    if journal is None:
        return None
    other = differences(journal.identity, identity)
    if other:
        raise UsageError(
            f"the run to resume was started with {' and '.join(other)}.",
            where=out,
            fix="Run the same command as before, or leave out --resume to begin anew; what is "
            "unfinished is removed then.",
        )
    return journal


def _journal_in(
    stage: Path,
    old: Journal | None,
    identity: Mapping[str, JsonValue],
    reader: SeriesReader,
    plan: Plan,
) -> Journal:
    path = stage / JOURNAL_FILE
    if old is not None:
        return Journal(path, old.identity, old.facts, old.blocks)
    facts: dict[str, JsonValue] = {"began": int(time.time())}
    if identity["format"] == "dicom":
        scans = [with_steps(reader, plan.step(index)) for index in range(len(plan.doses))]
        facts["series_numbers"] = list(series_numbers(scans, plan.settings.dicom))
    journal = Journal(path, identity, facts)
    journal.begin()
    return journal


def _record(
    reader: SeriesReader,
    plan: Plan,
    exposures: Sequence[Exposure],
    seed: int,
    request: Mapping[str, JsonValue],
    timings: dict[str, float],
) -> Run:
    return Run(
        command=COMMAND,
        settings=plan.settings.as_json(),
        seed=seed,
        inputs={
            "request": request,
            "shape": list(reader.shape),
            "pixel_spacing_mm": list(reader.geometry.pixel_spacing_mm),
            "patient_key": "" if reader.source is None else reader.source.patient_key,
        },
        results={
            "twins": [
                {
                    "dose_fraction": exposure.dose_fraction,
                    "photons": exposure.photons,
                    "calibrated_by": exposure.calibrated_by,
                    "full_noise_hu": exposure.full_noise_hu,
                    "low_noise_hu": exposure.low_noise_hu,
                    "step": plan.step(index).as_json(),
                }
                for index, exposure in enumerate(exposures)
            ]
        },
        timings_s=timings,
    )

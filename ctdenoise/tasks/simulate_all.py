"""Make low-dose twins of every series of many studies."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import digest
from ctdenoise.core.workers import Lost, Service, results_of
from ctdenoise.errors import CTDenoiseError, StudyError, UsageError, listed
from ctdenoise.io.image_files import image_parts
from ctdenoise.io.read import open_series
from ctdenoise.io.runfile import RUN_FILE
from ctdenoise.io.staging import require_free_folder, staged_file
from ctdenoise.io.study import FoundSeries, find_series
from ctdenoise.simulation.threads import limit_threads
from ctdenoise.tasks import simulate
from ctdenoise.tasks.simulate import FileFormat
from ctdenoise.tasks.simulate_preview import PREVIEW_FOLDER
from ctdenoise.tasks.simulate_request import differences, request_of

SUMMARY_STEM = "series"
"""Name of the table of all series in the output folder: `.json` and `.csv`."""

_REMOVE = "remove its folder to make it again"

Status = Literal["made", "kept", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """What became of one series.

    Args:
        folder: Its folder below the output folder; empty where there is none.
        study: Which of the studies given, from 1.
        number: Its number in the list of `inspect`; 0 for a study that cannot be read at all.
        what: "CT", "scout", "labels", ...
        slices: How many slices it has.
        status: "made" now, "kept" from an earlier run, "failed", or "skipped" as no CT image.
        reason: Why it failed or was skipped, its files numbered in the order of their names;
            empty otherwise.
        seconds: How long it took.
        doses: Dose of each twin over the dose of the series.
        full_noise_hu: Noise level of the series.
        low_noise_hu: Noise level of each twin.
    """

    folder: str
    study: int
    number: int
    what: str
    slices: int
    status: Status
    reason: str = ""
    seconds: float = 0.0
    doses: tuple[float, ...] = ()
    full_noise_hu: float | None = None
    low_noise_hu: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class SimulateAllReport:
    """What was made of many studies.

    Args:
        out: The folder above theirs.
        outcomes: Every series, in the order of the studies.
    """

    out: Path
    outcomes: tuple[SeriesOutcome, ...]

    @property
    def failed(self) -> tuple[SeriesOutcome, ...]:
        """Series that should have been simulated and were not."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")


@dataclass(frozen=True, slots=True)
class _Job:
    """One series to simulate."""

    series: FoundSeries
    outcome: SeriesOutcome
    settings: SimulateSettings
    out: Path
    file_format: FileFormat
    seed: int
    resume: bool
    preview: bool


def run(  # noqa: PLR0913 - one argument for each word of the command line
    studies: Sequence[Path],
    settings: SimulateSettings,
    *,
    out: Path,
    file_format: FileFormat = "pair",
    preview: bool = False,
    seed: int = 0,
    resume: bool = False,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> SimulateAllReport:
    """Simulate every readable CT series of some studies, each into a folder of its own.

    A series that fails does not stop the others. The voxels do not depend on `workers`.

    Args:
        studies: Folders or files.
        settings: What to simulate.
        out: Folder for the folders of the series and a table of them all.
        file_format: What to write.
        preview: Write pictures and the calibration page of each, too.
        seed: Same series, settings and seed: same voxels.
        resume: Keep what an earlier run finished, and go on where it was killed.
        workers: Series worked on at a time, in a process each; half the cores by default.
        progress: Who is told.

    Raises:
        UsageError: If there is to be no worker.
        OutputExistsError: If `out` is taken and this is no resumed run.
        StudyError: If there is no readable series at all.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers cannot do anything.", fix="Give at least 1.")
    if not resume:
        require_free_folder(out)
    cores = os.cpu_count() or 1
    workers = max(1, cores // 2) if workers is None else workers
    outcomes: list[SeriesOutcome] = []
    jobs: dict[int, _Job] = {}
    for outcome, series in _listed(studies):
        if series is not None:
            place = out / outcome.folder
            jobs[len(outcomes)] = _Job(
                series, outcome, settings, place, file_format, seed, resume, preview
            )
        outcomes.append(outcome)
    if not jobs:
        raise StudyError(
            "no series here can be read as CT:\n"
            + listed([f"study {o.study}, series {o.number}: {o.reason}" for o in outcomes])
        )
    places = list(jobs)
    with progress.stage("Series", len(jobs)) as advance:
        for number, outcome in _outcomes(list(jobs.values()), workers, cores):
            outcomes[places[number]] = outcome
            advance()
    report = SimulateAllReport(out, tuple(outcomes))
    _write_summary(report)
    return report


def _listed(studies: Sequence[Path]) -> Iterator[tuple[SeriesOutcome, FoundSeries | None]]:
    """Every series of every study, and whether it is to be simulated."""
    seen: set[str] = set()
    for place, study in enumerate(studies, start=1):
        try:
            found = find_series(study)
        except StudyError as error:
            yield SeriesOutcome("", place, 0, "unknown", 0, "failed", error.what), None
            continue
        for series in found:
            name = series_folder(series)
            facts = (place, series.number, series.what, series.slices)
            if not series.readable:
                status: Status = "failed" if series.what == "CT" else "skipped"
                reason = _without_names("; ".join(series.problems), series)
                yield SeriesOutcome("", *facts, status, reason), None
            elif name in seen:
                yield SeriesOutcome("", *facts, "skipped", "it was given before"), None
            else:
                seen.add(name)
                yield SeriesOutcome(name, *facts, "made"), series


def series_folder(series: FoundSeries) -> str:
    """A name that tells a series from all others and names nobody: its number, and a digest.

    Args:
        series: A readable series.
    """
    source = series.source
    key = [instance.sop_instance_uid for instance in source.instances]
    if series.kind != "dicom":
        key = [_start_digest(part) for part in image_parts(source.instances[0].path)]
    number = series.headers[0].series_number if series.headers else None
    return f"{number or 0:04d}-{digest([source.series_instance_uid, *key], length=8)}"


def _start_digest(path: Path) -> str:
    with path.open("rb") as file:
        return digest([file.read(1 << 20).hex(), path.stat().st_size])


def _outcomes(
    jobs: Sequence[_Job], workers: int, cores: int
) -> Iterator[tuple[int, SeriesOutcome]]:
    if workers == 1:
        for number, job in enumerate(jobs):
            yield number, _simulated(job)
        return
    threads = max(1, cores // workers)
    service = Service(partial(limit_threads, threads), _simulated)
    for number, result in results_of(jobs, service, workers=min(workers, len(jobs))):
        if isinstance(result, Lost):
            reason = f"its process was lost (exit code {result.exit_code}); is there enough memory?"
            yield number, _failed(jobs[number], reason)
        else:
            yield number, result


def _simulated(job: _Job) -> SeriesOutcome:
    """Simulate one series; whatever happens is told in the outcome."""
    try:
        if job.resume and (job.out / RUN_FILE).is_file():
            return _kept(job)
        report = simulate.run(
            job.series,
            job.settings,
            out=job.out,
            file_format=job.file_format,
            preview=job.preview,
            seed=job.seed,
            resume=job.resume,
        )
    except CTDenoiseError as error:
        return _failed(job, error.what)
    except Exception as error:  # noqa: BLE001 - one study must not stop the others
        return _failed(job, f"unexpected {type(error).__name__}: a fault of ctdenoise")
    return replace(
        job.outcome,
        seconds=round(report.seconds, 3),
        doses=tuple(exposure.dose_fraction for exposure in report.exposures),
        full_noise_hu=report.exposures[0].full_noise_hu,
        low_noise_hu=tuple(exposure.low_noise_hu for exposure in report.exposures),
    )


def _kept(job: _Job) -> SeriesOutcome:
    """A series that an earlier run finished, if it was asked for the same."""
    with open_series(job.series) as reader:
        now = request_of(
            reader.source, reader.geometry, job.settings, seed=job.seed, file_format=job.file_format
        )
    try:
        record = json.loads((job.out / RUN_FILE).read_text(encoding="utf-8"))
        other = differences(record["inputs"]["request"], now)
        twins = record["results"]["twins"]
        kept = replace(
            job.outcome,
            status="kept",
            doses=tuple(twin["dose_fraction"] for twin in twins),
            full_noise_hu=twins[0]["full_noise_hu"],
            low_noise_hu=tuple(twin["low_noise_hu"] for twin in twins),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return _failed(job, f"the {RUN_FILE} of its folder, made before, cannot be read; {_REMOVE}")
    if job.preview and not (job.out / PREVIEW_FOLDER).is_dir():
        other = (*other, "no --preview")
    if other:
        return _failed(job, f"it was made before with {' and '.join(other)}; {_REMOVE}")
    return kept


def _failed(job: _Job, reason: str) -> SeriesOutcome:
    first, *more = _without_names(reason, job.series).splitlines()
    reason = " ".join((first, "; ".join(line.strip().removeprefix("- ") for line in more))).strip()
    return replace(job.outcome, folder="", status="failed", reason=reason)


def _without_names(reason: str, series: FoundSeries) -> str:
    """A reason whose files are numbered: their names may hold that of the patient."""
    names = {instance.path.name for instance in series.source.instances}
    for number, name in enumerate(sorted(names), start=1):
        listed_name = rf"(?:(?<=[:,] )|(?<=\()){re.escape(name)}(?=,|\)| and )"
        reason = re.sub(listed_name, f"file {number}", reason)
    return reason


def _write_summary(report: SimulateAllReport) -> None:
    rows = [asdict(outcome) for outcome in report.outcomes]
    with staged_file(report.out / f"{SUMMARY_STEM}.json") as stage:
        stage.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    with (
        staged_file(report.out / f"{SUMMARY_STEM}.csv") as stage,
        stage.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            lists = {k: " ".join(map(str, v)) for k, v in row.items() if isinstance(v, tuple)}
            writer.writerow({**row, **lists})

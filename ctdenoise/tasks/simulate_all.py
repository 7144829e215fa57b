"""Make low-dose twins of every series of many studies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.workers import Lost, Service, results_of
from ctdenoise.errors import CTDenoiseError, StudyError, UsageError, listed
from ctdenoise.io.read import open_series
from ctdenoise.io.runfile import RUN_FILE
from ctdenoise.io.staging import require_free_folder
from ctdenoise.io.study import FoundSeries
from ctdenoise.simulation.threads import limit_threads
from ctdenoise.tasks import simulate
from ctdenoise.tasks.every_series import (
    REMOVE,
    SeriesOutcome,
    failed,
    listed_series,
    write_summary,
)
from ctdenoise.tasks.simulate import FileFormat
from ctdenoise.tasks.simulate_preview import PREVIEW_FOLDER
from ctdenoise.tasks.simulate_request import differences, request_of


@dataclass(frozen=True, slots=True)
class SimulatedSeries(SeriesOutcome):
    """What became of one series, and of its noise.

    Args:
        doses: Dose of each twin over the dose of the series.
        full_noise_hu: Noise level of the series.
        low_noise_hu: Noise level of each twin.
    """

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
    outcomes: tuple[SimulatedSeries, ...]

    @property
    def failed(self) -> tuple[SimulatedSeries, ...]:
        """Series that should have been simulated and were not."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")


@dataclass(frozen=True, slots=True)
class _Job:
    """One series to simulate."""

    series: FoundSeries
    outcome: SimulatedSeries
    settings: SimulateSettings
    out: Path
    file_format: FileFormat
    seed: int
    resume: bool
    preview: bool

    def failed(self, reason: str) -> SimulatedSeries:
        """What became of it where it could not be made."""
        return failed(self.outcome, reason, self.series)


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
    outcomes: list[SimulatedSeries] = []
    jobs: dict[int, _Job] = {}
    for outcome, series in listed_series(studies, SimulatedSeries):
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
    write_summary(out, report.outcomes)
    return report


def _outcomes(
    jobs: Sequence[_Job], workers: int, cores: int
) -> Iterator[tuple[int, SimulatedSeries]]:
    if workers == 1:
        for number, job in enumerate(jobs):
            yield number, _simulated(job)
        return
    threads = max(1, cores // workers)
    service = Service(partial(_prepare, threads), _simulated)
    for number, result in results_of(jobs, service, workers=min(workers, len(jobs))):
        if isinstance(result, Lost):
            reason = f"its process was lost (exit code {result.exit_code}); is there enough memory?"
            yield number, jobs[number].failed(reason)
        else:
            yield number, result


def _prepare(threads: int, seat: int) -> None:
    del seat
    limit_threads(threads)


def _simulated(job: _Job) -> SimulatedSeries:
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
        return job.failed(error.what)
    except Exception as error:  # noqa: BLE001 - one study must not stop the others
        return failed(
            job.outcome, f"unexpected {type(error).__name__}: a fault of ctdenoise", job.series
        )
    return replace(
        job.outcome,
        seconds=round(report.seconds, 3),
        doses=tuple(exposure.dose_fraction for exposure in report.exposures),
        full_noise_hu=report.exposures[0].full_noise_hu,
        low_noise_hu=tuple(exposure.low_noise_hu for exposure in report.exposures),
    )


def _kept(job: _Job) -> SimulatedSeries:
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
        return failed(
            job.outcome,
            f"the {RUN_FILE} of its folder, made before, cannot be read; {REMOVE}",
            job.series,
        )
    if job.preview and not (job.out / PREVIEW_FOLDER).is_dir():
        other = (*other, "no --preview")
    if other:
        return failed(
            job.outcome, f"it was made before with {' and '.join(other)}; {REMOVE}", job.series
        )
    return kept

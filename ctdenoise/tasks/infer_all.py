"""Denoise every series of many studies."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.workers import Lost, Service, results_of
from ctdenoise.errors import (
    CTDenoiseError,
    OutputExistsError,
    StudyError,
    UsageError,
    listed,
)
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import default_model, load_denoiser
from ctdenoise.inference.processes import gpus_for, prepare_process
from ctdenoise.io.runfile import RUN_FILE
from ctdenoise.io.staging import require_free_folder
from ctdenoise.io.study import FoundSeries
from ctdenoise.io.write import FileFormat
from ctdenoise.tasks import infer
from ctdenoise.tasks.every_series import (
    REMOVE,
    SUMMARY_STEM,
    SeriesOutcome,
    failed,
    listed_series,
    write_summary,
)

_OURS = re.compile(rf"\d{{4,}}-[0-9a-f]{{8}}|{SUMMARY_STEM}\.(json|csv)|\.ctdenoise-partial-.*")
"""What an earlier run of the same kind leaves in the output folder."""


@dataclass(frozen=True, slots=True)
class DenoisedSeries(SeriesOutcome):
    """What became of one series, and of its noise.

    Args:
        noise_before_hu: Noise in the soft tissue of the series; None where there is too little.
        noise_after_hu: The same in the result.
    """

    noise_before_hu: float | None = None
    noise_after_hu: float | None = None


@dataclass(frozen=True, slots=True)
class InferAllReport:
    """What was made of many studies.

    Args:
        out: The folder above those of the series.
        outcomes: Every series, in the order of the studies.
    """

    out: Path
    outcomes: tuple[DenoisedSeries, ...]

    @property
    def failed(self) -> tuple[DenoisedSeries, ...]:
        """Series that should have been denoised and were not."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")


@dataclass(frozen=True, slots=True)
class _Job:
    """One series to denoise."""

    series: FoundSeries
    outcome: DenoisedSeries
    model: str
    settings: InferSettings
    out: Path
    file_format: FileFormat

    def failed(self, reason: str) -> DenoisedSeries:
        """What became of it where it could not be made."""
        return failed(self.outcome, reason, self.series)


def run(
    studies: Sequence[Path],
    *,
    model: str | Path | None = None,
    settings: InferSettings,
    out: Path,
    file_format: FileFormat = "same",
    workers: int | None = None,
    progress: Progress = SILENT,
) -> InferAllReport:
    """Denoise every readable CT series of some studies, each into a folder of its own.

    A series that fails does not stop the others; one that an earlier run finished with the same
    model, settings and format is kept as it is. The voxels do not depend on `workers`.

    Args:
        studies: Folders or files.
        model: A registered name, a checkpoint, or the output folder of a training run; None for
            the released model of the device.
        settings: Of `infer`.
        out: Folder for the folders of the series and a table of them all.
        file_format: What to write.
        workers: Series worked on at a time, in a process each. By default one, or one for each GPU
            where there are several and the device is `auto` or `cuda`.
        progress: Who is told.

    Raises:
        UsageError: If there is to be no worker.
        CheckpointError: If the model is no checkpoint.
        OutputExistsError: If `out` holds something that no earlier run made.
        StudyError: If there is no readable series at all.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers cannot do anything.", fix="Give at least 1.")
    _require_ours(out)
    model = default_model(settings.device) if model is None else model
    load_denoiser(model, settings)  # what is wrong with it concerns all
    jobs: dict[int, _Job] = {}
    outcomes: list[DenoisedSeries] = []
    for outcome, series in listed_series(studies, DenoisedSeries):
        if series is not None:
            place = out / outcome.folder
            jobs[len(outcomes)] = _Job(series, outcome, str(model), settings, place, file_format)
        outcomes.append(outcome)
    if not jobs:
        raise StudyError(
            "no series here can be read as CT:\n"
            + listed([f"study {o.study}, series {o.number}: {o.reason}" for o in outcomes])
        )
    places = list(jobs)
    with progress.stage("Series", len(jobs)) as advance:
        for number, outcome in _outcomes(list(jobs.values()), workers, settings):
            outcomes[places[number]] = outcome
            advance()
    write_summary(out, outcomes)
    return InferAllReport(out, tuple(outcomes))


def _require_ours(out: Path) -> None:
    """Refuse an output folder that holds what no earlier run of this kind left."""
    try:
        require_free_folder(out)
    except OutputExistsError:
        names = [path.name for path in out.iterdir()] if out.is_dir() else [out.name]
        if not all(_OURS.fullmatch(name) for name in names):
            raise


def _outcomes(
    jobs: Sequence[_Job], workers: int | None, settings: InferSettings
) -> Iterator[tuple[int, DenoisedSeries]]:
    gpus = gpus_for(settings.device)
    workers = min(workers or max(1, len(gpus)), len(jobs))
    if workers == 1:
        for number, job in enumerate(jobs):
            yield number, _denoised(job)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    service = Service(partial(prepare_process, threads, gpus), _denoised)
    for number, result in results_of(jobs, service, workers=workers):
        if isinstance(result, Lost):
            reason = f"its process was lost (exit code {result.exit_code}); is there enough memory?"
            yield number, jobs[number].failed(reason)
        else:
            yield number, result


def _denoised(job: _Job) -> DenoisedSeries:
    """Denoise one series; whatever happens is told in the outcome."""
    try:
        denoiser = _loaded(job.model, job.settings.model_dump_json())
        if (job.out / RUN_FILE).is_file():
            return _kept(job, denoiser)
        report = infer.run(
            job.series,
            model=denoiser,
            settings=job.settings,
            out=job.out,
            file_format=job.file_format,
        )
    except CTDenoiseError as error:
        return job.failed(error.what)
    except Exception as error:  # noqa: BLE001 - one study must not stop the others
        return job.failed(f"unexpected {type(error).__name__}: a fault of ctdenoise")
    return replace(
        job.outcome,
        seconds=round(report.seconds, 3),
        noise_before_hu=report.noise_before_hu,
        noise_after_hu=report.noise_after_hu,
    )


@lru_cache(maxsize=1)
def _loaded(model: str, settings: str) -> Denoiser:
    """A denoiser, loaded once in a process for all of its series."""
    return load_denoiser(model, InferSettings.model_validate_json(settings))


def _kept(job: _Job, denoiser: Denoiser) -> DenoisedSeries:
    """A series that an earlier run finished, if it was asked for the same."""
    try:
        record = json.loads((job.out / RUN_FILE).read_text(encoding="utf-8"))
        inputs, results = record["inputs"], record["results"]
        was = (inputs["model"], inputs["model_digest"]), record["settings"], results["format"]
        same = inputs["kind"] if job.file_format == "same" else job.file_format
        kept = replace(
            job.outcome,
            status="kept",
            noise_before_hu=results["noise_before_hu"],
            noise_after_hu=results["noise_after_hu"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return job.failed(f"the {RUN_FILE} of its folder, made before, cannot be read; {REMOVE}")
    settings = job.settings.with_recommended(denoiser.recommended)
    now = (denoiser.name, denoiser.digest), settings.as_json(), same
    names = ("another model", "other settings", "another format")
    other = [name for name, one, two in zip(names, was, now, strict=True) if one != two]
    if other:
        return job.failed(f"it was made before with {' and '.join(other)}; {REMOVE}")
    return kept

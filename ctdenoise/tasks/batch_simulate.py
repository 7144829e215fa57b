"""`batch simulate`: low-dose twins of every series of one study."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.io.study import FoundSeries
from ctdenoise.jobs.executors import threads_of
from ctdenoise.simulation.threads import limit_threads
from ctdenoise.tasks import simulate
from ctdenoise.tasks.batch_dispatch import BatchRequest
from ctdenoise.tasks.batch_series import every_series, mean_of, summed
from ctdenoise.tasks.batch_sources import BatchSources
from ctdenoise.tasks.batch_study import StudyResult, StudyTask, done_study
from ctdenoise.tasks.simulate_all import SimulatedSeries


def simulate_study(task: StudyTask) -> dict[str, JsonValue]:
    """Make low-dose twins of every CT series of a study.

    Args:
        task: What is asked for.
    """
    return done_study(task, _simulate)


def _simulate(task: StudyTask, folder: Path) -> StudyResult:
    settings = SimulateSettings.model_validate_json(task.settings)

    def make(series: FoundSeries, outcome: SimulatedSeries) -> SimulatedSeries:
        report = simulate.run(
            series,
            settings,
            out=folder / outcome.folder,
            file_format=cast("simulate.FileFormat", task.file_format or "pair"),
            seed=task.seed,
        )
        return replace(
            outcome,
            seconds=round(report.seconds, 3),
            doses=tuple(exposure.dose_fraction for exposure in report.exposures),
            full_noise_hu=report.exposures[0].full_noise_hu,
            low_noise_hu=tuple(exposure.low_noise_hu for exposure in report.exposures),
        )

    outcomes = every_series(task, folder, SimulatedSeries, make)
    made = [one for one in outcomes if one.status == "made"]
    figures = {
        "noise_before_hu": mean_of(one.full_noise_hu for one in made),
        "noise_after_hu": mean_of(one.low_noise_hu[-1] for one in made if one.low_noise_hu),
    }
    return summed(outcomes, figures)


def simulate_request(
    sources: BatchSources,
    settings: SimulateSettings,
    batch: BatchSettings,
    *,
    out: Path,
    kind: simulate.FileFormat,
    seed: int,
) -> BatchRequest:
    """Low-dose twins of many studies, as a request.

    Args:
        sources: Where they are.
        settings: What to simulate.
        batch: Where to work.
        out: Folder for the folders of the studies.
        kind: What to write.
        seed: Same seed, same noise.
    """
    return BatchRequest(
        "simulate",
        simulate_study,
        sources,
        out,
        settings,
        batch,
        file_format=kind,
        seed=seed,
        prepare=partial(_prepare, threads_of(batch.executor)),
    )


def _prepare(threads: int, seat: int) -> None:
    del seat
    limit_threads(threads)

"""`batch evaluate`: one study compared with its reference, or a denoiser judged on it."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import UsageError
from ctdenoise.tasks import cohort, evaluate, judge
from ctdenoise.tasks.batch_dispatch import STUDIES_FOLDER, BatchRequest
from ctdenoise.tasks.batch_infer import infer_request
from ctdenoise.tasks.batch_sources import BatchSources
from ctdenoise.tasks.batch_study import StudyResult, StudyTask, done_study
from ctdenoise.tasks.judge_plan import JudgeRequest, planned

_log = logging.getLogger(__name__)

COHORT_FOLDER = "cohort"
EVALUATION_FOLDER = "evaluation"
"""Folder of the comparison inside that of the study."""

_TOLD = ("rmse", "psnr", "ssim")
"""Beginnings of the keys of the figures that the table of all studies has."""


def evaluate_study(task: StudyTask) -> dict[str, JsonValue]:
    """Compare tests with their reference.

    Args:
        task: What is asked for.
    """
    return done_study(task, _evaluate)


def judge_study(task: StudyTask) -> dict[str, JsonValue]:
    """Judge a denoiser on a scan.

    Args:
        task: What is asked for.
    """
    return done_study(task, _judge)


def _evaluate(task: StudyTask, folder: Path) -> StudyResult:
    settings = EvaluateSettings.model_validate_json(task.settings)
    reference, *tests = task.paths
    report = evaluate.run(reference, tests, settings, out=folder / EVALUATION_FOLDER)
    figures: dict[str, float | None] = {}
    for name, evaluation in report.evaluations.items():
        for row in evaluation.rows():
            value = row["value"]
            if str(row["key"]).startswith(_TOLD) and isinstance(value, int | float):
                figures[f"{name}: {row['key']}"] = value
    return StudyResult(len(tests), 0, figures=figures)


def _judge(task: StudyTask, folder: Path) -> StudyResult:
    settings = JudgeSettings.model_validate_json(task.settings)
    (scan,) = task.paths
    request = JudgeRequest((str(task.model),), ("scan",), scan=scan, seed=task.seed)
    report = judge.run(planned(request, settings), settings, out=folder / "judgement")
    return StudyResult(1, 0, figures={"fails_a_limit": float(bool(report.failed))})


def compare_request(
    sources: BatchSources, settings: EvaluateSettings, batch: BatchSettings, *, out: Path
) -> BatchRequest:
    """Many references with their tests, as a request.

    Args:
        sources: A table of them.
        settings: Of `evaluate`.
        batch: Where to work.
        out: Folder for the folders of the studies.
    """
    return BatchRequest("evaluate", evaluate_study, sources, out, settings, batch, compared=True)


def judge_request(
    sources: BatchSources,
    model: str,
    settings: JudgeSettings,
    batch: BatchSettings,
    *,
    out: Path,
    seed: int,
) -> BatchRequest:
    """A denoiser to be judged on many scans, as a request.

    Args:
        sources: The scans.
        model: A registered name, a checkpoint, or the output folder of a training run.
        settings: Of `evaluate --model`.
        batch: Where to work.
        out: Folder for the folders of the studies.
        seed: Same seed, same figures.

    Raises:
        CheckpointError: If the model is no checkpoint.
    """
    request = infer_request(sources, model, settings.infer, batch, out=out, kind="same")
    return replace(
        request, kind="evaluate", work=judge_study, settings=settings, file_format="", seed=seed
    )


def write_cohort(out: Path) -> Path | None:
    """Put the comparisons that there are together, each as a patient of its own.

    Args:
        out: The output folder of the batch.

    Returns:
        The folder with the figures of the cohort; None where there are fewer than two patients, or
        their tests differ.
    """
    found = sorted((out / STUDIES_FOLDER).glob(f"*/{EVALUATION_FOLDER}"))
    place = out / COHORT_FOLDER
    if place.exists():
        shutil.rmtree(place)  # of fewer studies
    if len(found) < 2:
        return None
    try:
        cohort.run(found, StatisticsSettings(), out=place)
    except UsageError as error:
        _log.warning("No figures of the cohort: %s", error.what)
        return None
    return place

"""`batch infer`: every series of one study denoised."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.executor import DistributedSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import default_model, load_denoiser
from ctdenoise.inference.processes import gpus_for, prepare_process
from ctdenoise.io.study import FoundSeries
from ctdenoise.io.write import FileFormat
from ctdenoise.jobs.executors import threads_of
from ctdenoise.networks.released import portable
from ctdenoise.tasks import infer
from ctdenoise.tasks.batch_dispatch import BatchRequest
from ctdenoise.tasks.batch_series import every_series, mean_of, summed
from ctdenoise.tasks.batch_sources import BatchSources
from ctdenoise.tasks.batch_study import StudyResult, StudyTask, done_study
from ctdenoise.tasks.infer_all import DenoisedSeries


def infer_study(task: StudyTask) -> dict[str, JsonValue]:
    """Denoise every CT series of a study.

    Args:
        task: What is asked for.
    """
    return done_study(task, _infer)


def _infer(task: StudyTask, folder: Path) -> StudyResult:
    settings = InferSettings.model_validate_json(task.settings)

    def make(series: FoundSeries, outcome: DenoisedSeries) -> DenoisedSeries:
        report = infer.run(
            series,
            model=_loaded(str(task.model), task.settings),
            settings=settings,
            out=folder / outcome.folder,
            file_format=cast("FileFormat", task.file_format or "same"),
        )
        return replace(
            outcome,
            seconds=round(report.seconds, 3),
            noise_before_hu=report.noise_before_hu,
            noise_after_hu=report.noise_after_hu,
        )

    outcomes = every_series(task, folder, DenoisedSeries, make)
    made = [one for one in outcomes if one.status == "made"]
    figures = {
        "noise_before_hu": mean_of(one.noise_before_hu for one in made),
        "noise_after_hu": mean_of(one.noise_after_hu for one in made),
    }
    return summed(outcomes, figures)


@lru_cache(maxsize=1)
def _loaded(model: str, settings: str) -> Denoiser:
    """A denoiser, loaded once in a process for all of its studies."""
    return load_denoiser(model, InferSettings.model_validate_json(settings))


def infer_request(
    sources: BatchSources,
    model: str | None,
    settings: InferSettings,
    batch: BatchSettings,
    *,
    out: Path,
    kind: FileFormat,
) -> BatchRequest:
    """Many studies to be denoised, as a request.

    Args:
        sources: Where they are.
        model: A registered name, a checkpoint, or the output folder of a training run; None for
            the released model of the device, which for a cluster is taken to be a CPU.
        settings: Of `infer`.
        batch: Where to work.
        out: Folder for the folders of the studies.
        kind: What to write.

    Raises:
        CheckpointError: If the model is no checkpoint.
        UsageError: If there is no such GPU here; a cluster may have others, so it is not asked.
    """
    is_here = not isinstance(batch.executor.place, DistributedSettings)
    model = portable(
        default_model(settings.device if is_here else "cpu") if model is None else model
    )
    # What is wrong with a model concerns all studies.
    denoiser = load_denoiser(model, settings if is_here else settings.replaced(device="cpu"))
    gpus = gpus_for(settings.device) if is_here else []
    threads = threads_of(batch.executor, gpus=len(gpus))
    return BatchRequest(
        "infer",
        infer_study,
        sources,
        out,
        settings.with_recommended(denoiser.recommended),
        batch,
        model=model,
        model_digest=f"{denoiser.name} {denoiser.digest}",
        file_format=kind,
        prepare=partial(prepare_process, threads, gpus),
        gpus=len(gpus),
    )

"""The whole chain on phantoms: a study made low-dose, a network trained, the study denoised."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.demo import DemoSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.io.staging import staged_folder
from ctdenoise.metrics.table import Evaluation
from ctdenoise.report.page import PAGE_FILE
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.tasks import evaluate, infer, phantom, simulate, train

STUDY, LOW_DOSE, COHORT = "1-study", "2-low-dose", "3-training-pairs"
MODEL, DENOISED, EVALUATION = "4-model", "5-denoised", "6-evaluation"
NAMES = ("low dose", "denoised")
"""What the two tests are called on the page."""

LEVELS_MM = (0.0, 45.0, -45.0, 90.0, -90.0)
"""Heights at which the training patients are cut, so that the network sees chest and abdomen."""


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demonstration made.

    Args:
        out: Its folder.
        page: The page of numbers and pictures.
        evaluations: Figures of the low-dose and of the denoised study against the truth, by name.
        dose: Dose of the low-dose study.
        seconds: Time of each stage.
    """

    out: Path
    page: Path
    evaluations: dict[str, Evaluation]
    dose: float
    seconds: dict[str, float]


def run(
    settings: DemoSettings, *, out: Path, seed: int = 0, progress: Progress = SILENT
) -> DemoReport:
    """Run phantom, simulate, train, infer and evaluate once, end to end.

    The study is a phantom patient that the network never saw. Its truth is known, so the result is
    compared with the truth and not with another noisy scan.

    Args:
        settings: How large it is.
        out: Folder for everything that is made; new or empty.
        seed: Another seed, other patients and other noise.
        progress: Who is told.

    Raises:
        UsageError: If `out` is taken or a package for the page is missing.
        OutputError: If something cannot be written.
    """
    require_report_extra()
    seconds: dict[str, float] = {}
    with staged_folder(out) as stage:
        clock = _Clock(seconds)
        study = _draw(stage / STUDY, settings, seed=seed, level_mm=0.0, progress=progress)
        cohort = [
            _draw(
                stage / COHORT / f"patient-{number}" / "study",
                settings,
                seed=seed + number,
                level_mm=LEVELS_MM[(number - 1) % len(LEVELS_MM)],
                progress=progress,
            )
            for number in range(1, settings.training_patients + 1)
        ]
        clock.lap("phantoms")
        _make_low_dose(stage, study, cohort, settings, seed=seed, progress=progress)
        clock.lap("simulate")
        training = load_settings(TrainSettings, find_settings_file("train", settings.training))
        trained = train.run(
            [stage / COHORT], training, out=stage / MODEL, seed=seed, progress=progress
        )
        if trained.stopped == "interrupted":  # a run that can be resumed is no demonstration
            raise KeyboardInterrupt
        clock.lap("train")
        infer.run(
            stage / LOW_DOSE,
            model=stage / MODEL,
            settings=load_settings(InferSettings, find_settings_file("infer", "default")),
            out=stage / DENOISED,
            progress=progress,
        )
        clock.lap("infer")
        judged = evaluate.run(
            study,
            [stage / LOW_DOSE, stage / DENOISED],
            load_settings(EvaluateSettings, find_settings_file("evaluate", "default")),
            out=stage / EVALUATION,
            names=NAMES,
            progress=progress,
        )
        clock.lap("evaluate")
    return DemoReport(
        out=out,
        page=out / EVALUATION / PAGE_FILE,
        evaluations=judged.evaluations,
        dose=settings.dose,
        seconds=seconds,
    )


class _Clock:
    """Notes how long each stage took."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = now - self._last
        self._last = now


def _draw(
    out: Path, settings: DemoSettings, *, seed: int, level_mm: float, progress: Progress
) -> Path:
    drawing = PhantomSettings(
        phantom=TorsoSettings(level_mm=level_mm),
        grid=GridSettings(
            size=settings.size,
            slices=settings.slices,
            slice_spacing_mm=settings.slice_spacing_mm,
            slice_thickness_mm=settings.slice_thickness_mm,
        ),
        seed=seed,
        exposure_mas=settings.exposure_mas,
    )
    phantom.run(drawing, out=out, progress=progress)
    return out / "dicom"


def _make_low_dose(
    stage: Path,
    study: Path,
    cohort: Sequence[Path],
    settings: DemoSettings,
    *,
    seed: int,
    progress: Progress,
) -> None:
    changes = (
        f"dose={settings.dose}",
        f"kernel={{name: gaussian, f50_per_mm: {settings.kernel_f50_per_mm}}}",
    )
    dose = load_settings(SimulateSettings, find_settings_file("simulate", "phantom"), changes)
    simulate.run(
        study, dose, out=stage / LOW_DOSE, file_format="dicom", seed=seed, progress=progress
    )
    for number, patient in enumerate(cohort, start=1):
        simulate.run(
            patient, dose, out=patient.parents[1] / "pair", seed=seed + number, progress=progress
        )

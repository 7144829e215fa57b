"""`ctdenoise compare`: trained networks on the same pairs, as numbers and one page."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctdenoise.config.comparison import CompareSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.pairs import find_pairs
from ctdenoise.io.runfile import Run, timestamp, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.metrics.comparison import Figures, as_json, over_patients, words_about
from ctdenoise.metrics.contrasts import contrasts_of
from ctdenoise.report.compared import (
    LOW_DOSE,
    Comparison,
    Condition,
    Contender,
    JudgedImage,
    Picture,
    SliceTimes,
)
from ctdenoise.report.comparison import ComparisonPage, write_comparison_page
from ctdenoise.report.page import PAGE_FILE
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.tasks.compare_files import pretty, record, write_csv, write_differences
from ctdenoise.tasks.compare_images import Judged, MeasuredImage, judged_images, shown_images
from ctdenoise.tasks.compare_models import Model, read_models
from ctdenoise.training.distributed import ALONE
from ctdenoise.training.threads import arithmetic_threads

JSON_FILE = "comparison.json"
CSV_FILE = "comparison.csv"
DIFFERENCES_FILE = "differences.csv"
"""Written where there are two patients or more."""


@dataclass(frozen=True, slots=True)
class CompareReport:
    """What `compare` made.

    Args:
        out: The folder with all files.
        page: The page; None where settings ask for numbers alone.
        comparison: What was found.
        seconds: How long it took.
    """

    out: Path
    page: Path | None
    comparison: Comparison
    seconds: float


def run(  # noqa: PLR0913 - one argument for each word of the command line
    models: Sequence[Path],
    pairs: Sequence[Path],
    settings: CompareSettings,
    *,
    out: Path,
    names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    notes: Sequence[str] | None = None,
    title: str = "",
    progress: Progress = SILENT,
) -> CompareReport:
    """Apply trained networks to the same pairs and write how they compare.

    Every network is applied as `infer` applies it and judged as `evaluate` judges. The volumes of
    one test image are in memory at a time, never those of two.

    Args:
        models: Run folders of `train`, checkpoint files, or names of classical filters.
        pairs: Folders with the test pairs; searched at any depth.
        settings: Windows, slices, threads, page.
        out: Folder to make: comparison.json, comparison.csv, index.html, pictures, settings.yaml
            and run.json.
        names: What to call the models. The default is the kind of network: names of folders are
            never shown.
        groups: A group for each model; those of one group stand together.
        notes: A few words about each model.
        title: Heading of the page.
        progress: Told how far it is.

    Raises:
        UsageError: If there is no model, or names, groups or notes do not match the models.
        OutputExistsError: If `out` is taken.
        MissingExtraError: If a page is asked for and its packages are not installed.
        CheckpointError: If a model is no checkpoint.
        PairsError: If there is no pair, or one is damaged.
        SettingsError: If a pair has not the slices that are asked for.
    """
    start = time.perf_counter()
    require_free_folder(out)
    if settings.page is not None:
        require_report_extra("Or ask for numbers alone with: --set page=null")
    contenders = read_models(models, infer=settings.infer, names=names, groups=groups, notes=notes)
    tests = judged_images(find_pairs(pairs), settings)
    keys = [test.files.patient_key for test in tests]
    contenders = tuple(model.warned(keys) for model in contenders)
    with arithmetic_threads(settings.threads, ALONE) as threads:
        measured = _measure(contenders, tests, settings, threads, progress)
    comparison = measured.comparison(title, settings)
    compared = time.perf_counter() - start
    with staged_folder(out) as folder:
        (folder / JSON_FILE).write_text(pretty(record(comparison)), encoding="utf-8")
        write_csv(folder / CSV_FILE, comparison)
        write_differences(folder / DIFFERENCES_FILE, comparison)
        write_settings(folder, settings)
        if settings.page is not None:
            page = ComparisonPage(
                comparison,
                tuple(measured.pictures),
                settings,
                settings.page,
                _command(comparison, title),
                timestamp(),
            )
            write_comparison_page(folder, page)
        seconds = time.perf_counter() - start
        write_run(folder, _run_record(comparison, settings, threads, (compared, seconds)))
    return CompareReport(
        out,
        None if settings.page is None else out / PAGE_FILE,
        comparison,
        time.perf_counter() - start,
    )


@dataclass(slots=True)
class _Measured:
    """What was measured so far.

    Args:
        rows: The low dose and the models.
        images: The test images.
        by_image: Figures of each row on each of them.
        pictures: Slices to show.
    """

    rows: tuple[Contender, ...]
    images: list[JudgedImage]
    by_image: list[tuple[Figures, ...]]
    pictures: list[Picture]

    def comparison(self, title: str, settings: CompareSettings) -> Comparison:
        return Comparison(
            title or "Trained networks on the same pairs",
            self.rows,
            tuple(self.images),
            tuple(self.by_image),
            _conditions(self.images, self.by_image, settings),
        )


def _measure(
    models: Sequence[Model],
    tests: Sequence[Judged],
    settings: CompareSettings,
    threads: int,
    progress: Progress,
) -> _Measured:
    denoisers = [load_denoiser(model.path, settings.infer) for model in models]
    times: list[list[tuple[float, float]]] = [[] for _ in models]
    measured = _Measured((), [], [], [])
    shown = shown_images(tests, 0 if settings.page is None else settings.page.pictures)
    work = sum(len(test.slices) for test in tests) * len(models)
    with progress.stage("Comparing", work) as advance:
        for test in tests:
            image = MeasuredImage(test, settings)
            figures, slices = [image.figures(image.low)], [image.slice_of(image.low)]
            for denoiser, own in zip(denoisers, times, strict=True):
                volume, seconds = image.denoised(denoiser, advance)
                own.extend(seconds)
                figures.append(image.figures(volume))
                slices.append(image.slice_of(volume))
            measured.images.append(image.image)
            measured.by_image.append(tuple(figures))
            if test in shown:
                measured.pictures.append(image.picture(slices))
    measured.rows = (
        Contender(LOW_DOSE, note="what doing nothing gives"),
        *(
            replace(model.row, times=_slice_times(own, threads, denoiser))
            for model, denoiser, own in zip(models, denoisers, times, strict=True)
        ),
    )
    return measured


def _slice_times(
    times: Sequence[tuple[float, float]], threads: int, denoiser: Denoiser
) -> SliceTimes:
    # The first slice prepares the layers for its size: it does not count where there are others.
    seconds, processor_seconds = zip(*(times[1:] or times), strict=True)
    return SliceTimes(seconds, processor_seconds, threads, denoiser.description)


def _conditions(
    images: Sequence[JudgedImage],
    by_image: Sequence[tuple[Figures, ...]],
    settings: CompareSettings,
) -> tuple[Condition, ...]:
    """Images of one dose and one kind of truth, put together; scans first, high doses first."""
    statistics = settings.statistics
    places: dict[tuple[str, float], list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault((image.truth, round(image.dose_fraction, 6)), []).append(place)
    conditions = []
    for key in sorted(places, key=lambda key: (key[0] != "scan", -key[1])):
        chosen = [images[place] for place in places[key]]
        rows = len(by_image[0])
        figures = tuple(
            over_patients([(images[p].patient, by_image[p][row]) for p in places[key]], statistics)
            for row in range(rows)
        )
        patients = len({image.patient for image in chosen})
        slices = sum(len(image.slices) for image in chosen)
        conditions.append(
            Condition(
                chosen[0].truth,
                chosen[0].dose_fraction,
                len(chosen),
                patients,
                slices,
                figures,
                words_about(patients, slices),
                contrasts_of(figures, statistics),
            )
        )
    return tuple(conditions)


def _run_record(
    comparison: Comparison, settings: CompareSettings, threads: int, times: tuple[float, float]
) -> Run:
    compared, seconds = times
    return Run(
        "compare",
        settings.as_json(),
        device=next((row.times.engine for row in comparison.contenders if row.times), "cpu"),
        inputs={
            "models": {row.name: row.digest for row in comparison.contenders if row.digest},
            "images": len(comparison.images),
            "slices": sum(len(image.slices) for image in comparison.images),
            "threads": threads,
        },
        results={
            condition.title: {
                name: as_json(figures["rmse"])["value"]
                for name, figures in zip(comparison.names, condition.figures, strict=True)
            }
            for condition in comparison.conditions
        },
        timings_s={"compare": compared, "write": seconds - compared},
    )


def _command(comparison: Comparison, title: str) -> str:
    """The command that makes the page again; places stand for folders, which may name patients."""
    rows = comparison.contenders[1:]
    words = [f"ctdenoise compare {' '.join(f'MODEL_{n}' for n in range(1, len(rows) + 1))}"]
    words += ["--on PAIRS --out OUT --config settings.yaml"]
    words += [f"--names {' '.join(shlex.quote(row.name) for row in rows)}"]
    if any(row.group for row in rows):
        words += [f"--groups {' '.join(shlex.quote(row.group) for row in rows)}"]
    if any(row.note for row in rows):
        words += [f"--notes {' '.join(shlex.quote(row.note) for row in rows)}"]
    if title:
        words += [f"--title {shlex.quote(title)}"]
    return " ".join(words)

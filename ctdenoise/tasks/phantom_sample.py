"""`phantom sample`: many phantoms to train on, with their twins if wanted."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ctdenoise.config.load import settings_text, write_settings
from ctdenoise.config.sampling import SampleSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.core.workers import Lost, Service, results_of
from ctdenoise.errors import CTDenoiseError, OutputError, UsageError
from ctdenoise.io.staging import require_free_folder, staged_file, staged_folder
from ctdenoise.phantoms.sample import draw_sample
from ctdenoise.simulation.threads import limit_threads
from ctdenoise.tasks import phantom, simulate

STUDY_FOLDER = "study"
"""The phantom, in the folder of a sample."""

PAIR_FOLDER = "pair"
"""The training pair that was made of it."""

SIMULATE_FILE = "simulate.yaml"
"""Settings for `simulate` with the kernel and the dose that were drawn."""

MANIFEST_STEM = "samples"
"""Table of all samples in the output folder: `.json` and `.csv`."""


@dataclass(frozen=True, slots=True)
class SamplesReport:
    """What was made.

    Args:
        out: The output folder.
        samples: What was drawn for each.
        seconds: How long it took.
    """

    out: Path
    samples: tuple[dict[str, JsonValue], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Job:
    """One sample to make."""

    number: int
    seed: int
    settings: SampleSettings
    out: Path
    file_format: Literal["dicom", "nifti"]
    with_pair: bool


def run(  # noqa: PLR0913 - one argument for each word of the command line
    settings: SampleSettings,
    *,
    out: Path,
    count: int,
    first: int = 1,
    seed: int = 0,
    file_format: Literal["dicom", "nifti"] = "dicom",
    with_pairs: bool = False,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> SamplesReport:
    """Draw phantoms, each into a folder of its own.

    `00001/study` is what `phantom` makes (its truth without the list of shapes, which
    `phantom --config 00001/study/settings.yaml` gives), and `00001/simulate.yaml` are settings for
    its twin. `samples.json` and `samples.csv` say what was drawn. A sample depends on the seed and
    its number alone: neither on how many there are nor on the workers.

    Args:
        settings: What phantoms are drawn from.
        out: Folder to make; new or empty.
        count: How many.
        first: Number of the first, to go on with a set made before.
        seed: The same seed, the same phantoms.
        file_format: What volumes are written as.
        with_pairs: Simulate the twin of each, too, as a training pair in `00001/pair`.
        workers: Samples worked on at a time, in a process each; half the cores by default.
        progress: Told about samples.

    Raises:
        UsageError: If there is to be no sample or no worker.
        OutputExistsError: If `out` holds something.
        OutputError: If something cannot be written, or a process is lost.
    """
    if count < 1 or first < 1 or (workers is not None and workers < 1):
        raise UsageError("There is at least one sample, one worker, and the first number is 1.")
    require_free_folder(out)
    started = time.perf_counter()
    cores = os.cpu_count() or 1
    workers = max(1, cores // 2) if workers is None else workers
    with staged_folder(out) as folder:
        jobs = [
            _Job(
                number,
                draw_seed(stream(seed, "samples", number)),
                settings,
                folder / f"{number:05d}",
                file_format,
                with_pairs,
            )
            for number in range(first, first + count)
        ]
        rows: dict[int, dict[str, JsonValue]] = {}
        with progress.stage("Phantoms", count) as advance:
            for place, row in _rows(jobs, min(workers, count), cores):
                rows[place] = row
                advance()
        ordered = tuple(rows[place] for place in sorted(rows))
        _write_table(folder, ordered)
        write_settings(folder, settings)
    return SamplesReport(out, ordered, time.perf_counter() - started)


def _rows(
    jobs: Sequence[_Job], workers: int, cores: int
) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    if workers == 1:
        for place, job in enumerate(jobs):
            yield place, _made(job)
        return
    service = Service(partial(_prepare, max(1, cores // workers)), _answer)
    for place, result in results_of(jobs, service, workers=workers):
        if isinstance(result, Lost):
            raise OutputError(
                f"the process of sample {jobs[place].number} was lost "
                f"(exit code {result.exit_code}); is there enough memory?",
                fix="Give fewer --workers.",
            )
        if isinstance(result, CTDenoiseError):
            raise result
        yield place, result


def _prepare(threads: int, seat: int) -> None:
    del seat
    limit_threads(threads)


def _answer(job: _Job) -> dict[str, JsonValue] | CTDenoiseError:
    try:
        return _made(job)
    except CTDenoiseError as error:
        return OutputError(f"sample {job.number}: {error.what}", fix=error.fix)


def _made(job: _Job) -> dict[str, JsonValue]:
    """Make one sample; what was drawn for it."""
    sample = draw_sample(job.settings, job.seed)
    study = job.out / STUDY_FOLDER
    job.out.mkdir(parents=True)
    phantom.run(sample.phantom, out=study, file_format=job.file_format, with_shapes=False)
    header = "# For this phantom: ctdenoise simulate study --config simulate.yaml --out pair\n"
    text = header + settings_text(sample.simulate)
    (job.out / SIMULATE_FILE).write_text(text, encoding="utf-8")
    if job.with_pair:
        simulate.run(
            study,
            sample.simulate,
            out=job.out / PAIR_FOLDER,
            labels=study / phantom.LABELS_FILE,
            seed=draw_seed(stream(job.seed, "noise")),
        )
    return {"number": job.number, "folder": job.out.name, "seed": job.seed, **sample.drawn}


def _write_table(folder: Path, rows: Sequence[dict[str, JsonValue]]) -> None:
    with staged_file(folder / f"{MANIFEST_STEM}.json") as stage:
        stage.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")
    with (
        staged_file(folder / f"{MANIFEST_STEM}.csv") as stage,
        stage.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

"""`ctdenoise summarise` on evaluations: those of several patients as one cohort."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.errors import InputError, UsageError
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.metrics.comparison import Figure, Figures, as_json, over_patients, words_about
from ctdenoise.metrics.contrasts import Contrast, contrasts_of
from ctdenoise.metrics.table import Metric

EVALUATION_FILE = "evaluation.json"
JSON_FILE = "cohort.json"
CSV_FILE = "cohort.csv"
DIFFERENCES_FILE = "differences.csv"
FORMAT_VERSION = 1
"""Version of `cohort.json`."""

_FORMAT = "ctdenoise evaluation"
_OF_METRIC = (
    *("key", "title", "value", "unit", "window", "mask", "reduction", "better", "description"),
    "note",
)


@dataclass(frozen=True, slots=True)
class CohortReport:
    """What was found over the patients.

    Args:
        out: The folder with all files.
        names: Of the tests.
        figures: Of each test, means over the patients with their intervals.
        contrasts: How far the tests differ from each other on the same patients.
        words: What the number of patients allows to say.
    """

    out: Path
    names: tuple[str, ...]
    figures: tuple[Figures, ...]
    contrasts: tuple[Contrast, ...]
    words: str


def run(
    evaluations: Sequence[Path],
    settings: StatisticsSettings,
    *,
    out: Path,
    patients: Sequence[str] | None = None,
) -> CohortReport:
    """Put the evaluations of several patients together.

    A figure goes from the slices of an evaluation to the patient and from there to the cohort;
    several evaluations of one patient count as one.

    Args:
        evaluations: Folders that `evaluate` made, each with the same tests by name.
        settings: How intervals are found, and which figures are tested.
        out: Folder to make: cohort.json, cohort.csv, differences.csv and run.json.
        patients: A word for each evaluation, equal for those of one patient; None where each is of
            another. The words are not kept.

    Raises:
        UsageError: If there are fewer than two, or their tests or patients do not match.
        InputError: If one cannot be read.
        OutputExistsError: If `out` is taken.
    """
    start = time.perf_counter()
    if len(evaluations) < 2:
        raise UsageError("a cohort needs the evaluations of two patients.", where="evaluations")
    require_free_folder(out)
    called = _numbered(evaluations, patients)
    records = [_read(folder) for folder in evaluations]
    names = _common_names(records)
    figures = tuple(
        over_patients(
            [(who, _figures(record, name)) for who, record in zip(called, records, strict=True)],
            settings,
        )
        for name in names
    )
    slices = sum(int(record["reference"]["shape"][0]) for record in records)
    words = words_about(len(set(called)), slices)
    report = CohortReport(out, names, figures, contrasts_of(figures, settings), words)
    with staged_folder(out) as folder:
        text = canonical_json(_record(report, called))
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
        _write_csv(folder / CSV_FILE, report)
        _write_differences(folder / DIFFERENCES_FILE, report)
        inputs: dict[str, JsonValue] = {
            "evaluations": len(records),
            "patients": len(set(called)),
        }
        seconds = time.perf_counter() - start
        run_record = Run("summarise", settings.as_json(), inputs=inputs, timings_s={"all": seconds})
        write_run(folder, run_record)
    return report


def is_evaluation(folder: Path) -> bool:
    """Whether a folder was made by `evaluate` with a reference."""
    return (folder / EVALUATION_FILE).is_file() or folder.name == EVALUATION_FILE


def _numbered(evaluations: Sequence[Path], patients: Sequence[str] | None) -> tuple[str, ...]:
    """What to call the patient of each evaluation: by number, never by a word that was given."""
    words = [str(place) for place in range(len(evaluations))] if patients is None else patients
    if len(words) != len(evaluations):
        raise UsageError(
            f"{len(evaluations)} evaluations need {len(evaluations)} patients, and {len(words)} "
            "were given.",
            where="--patients",
            fix="Give a word for each evaluation, equal for those of one patient.",
        )
    order = list(dict.fromkeys(words))
    if len(order) < 2:
        raise UsageError(
            "all evaluations are of one patient, and a cohort needs two.", where="--patients"
        )
    return tuple(f"patient {order.index(word) + 1}" for word in words)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / EVALUATION_FILE if folder.is_dir() else folder
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "there is no evaluation that can be read.",
            where=folder,
            fix="Give the output folders of `ctdenoise evaluate`.",
        ) from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise InputError(
            "this file is no evaluation of `ctdenoise evaluate`.",
            where=path,
            fix="Give the output folders of `ctdenoise evaluate`.",
        )
    return record


def _common_names(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    every = [tuple(str(test["name"]) for test in record["tests"]) for record in records]
    if len({frozenset(names) for names in every}) > 1:
        found = "; ".join(dict.fromkeys(", ".join(names) for names in every))
        raise UsageError(
            f"the evaluations have different tests: {found}.",
            fix="Evaluate every patient with the same --names.",
        )
    return every[0]


def _figures(record: Mapping[str, Any], name: str) -> dict[str, Figure]:
    test = next(one for one in record["tests"] if one["name"] == name)
    metrics = [Metric(**{key: one[key] for key in _OF_METRIC}) for one in test["metrics"]]
    return {one.key: Figure(one, np.zeros(0)) for one in metrics}


def _record(report: CohortReport, called: Sequence[str]) -> dict[str, JsonValue]:
    return {
        "format": "ctdenoise cohort",
        "format_version": FORMAT_VERSION,
        "use": "Research use only. Not a medical device.",
        "patients": len(set(called)),
        "words": report.words,
        "tests": [
            {
                "name": name,
                "metrics": [
                    {**as_json(one), "patients": dict(one.patients)} for one in figures.values()
                ],
            }
            for name, figures in zip(report.names, report.figures, strict=True)
        ],
        "differences": [one.as_json(report.names) for one in report.contrasts],
    }


def _write_csv(path: Path, report: CohortReport) -> None:
    """One line for each test and figure."""
    lines: list[dict[str, JsonValue]] = [
        {
            "test": name,
            **figure.metric.as_row(),
            "standard_error": figure.standard_error,
            "patients": len(figure.patients),
        }
        for name, figures in zip(report.names, report.figures, strict=True)
        for figure in figures.values()
    ]
    _write_lines(path, lines)


def _write_differences(path: Path, report: CohortReport) -> None:
    """One line for each pair of tests and figure; no file where there is one test alone."""
    lines = [one.as_row(report.names) for one in report.contrasts]
    if lines:
        _write_lines(path, lines)


def _write_lines(path: Path, lines: Sequence[Mapping[str, JsonValue]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)

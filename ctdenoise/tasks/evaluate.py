"""`ctdenoise evaluate`: series against a reference, as numbers, pictures and one page."""

from __future__ import annotations

import csv
import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.core.scan import Scan
from ctdenoise.errors import UsageError
from ctdenoise.io.runfile import Run, installed_versions, timestamp, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.metrics.table import Evaluation
from ctdenoise.report.page import PAGE_FILE, Compared, PageContent, write_page
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.tasks.evaluate_masks import MaskAnswer, MaskQuestion
from ctdenoise.tasks.evaluate_stream import OpenImages, Source

JSON_FILE = "evaluation.json"
CSV_FILE = "evaluation.csv"
FORMAT_VERSION = 1
"""Version of `evaluation.json`."""

_VERSIONS = ("ctdenoise", "numpy", "scipy", "scikit-image", "matplotlib")


@dataclass(frozen=True, slots=True)
class EvaluateReport:
    """What `evaluate` made.

    Args:
        out: The folder with all files.
        page: The page; None where settings ask for numbers alone.
        evaluations: The numbers of each test by its name.
        seconds: How long it took.
    """

    out: Path
    page: Path | None
    evaluations: dict[str, Evaluation]
    seconds: float


def run(  # noqa: PLR0913 - one argument for each word of the command line
    reference: Path,
    tests: Sequence[Path],
    settings: EvaluateSettings,
    *,
    out: Path,
    reference_series: str | None = None,
    test_series: Sequence[str | None] | None = None,
    names: Sequence[str] | None = None,
    masks: MaskQuestion | None = None,
    input_test: int | None = None,
    progress: Progress = SILENT,
) -> EvaluateReport:
    """Compare tests with a reference and write the numbers and the page.

    Args:
        reference: Folder or file of the full-dose study or the known truth.
        tests: Folders or files on the same grid.
        settings: Windows and page.
        out: Folder to make: evaluation.json, evaluation.csv, index.html, pictures, settings.yaml
            and run.json.
        reference_series: Which series of the reference, where it holds several.
        test_series: Which series of each test; None for the only one.
        names: What to call the tests. The default is "test 1", ...: names of folders may be those
            of patients and are never shown.
        masks: Which masks to compare, too; None for none.
        input_test: Which test, from 0, the others were made from; None if none is.
        progress: Told how far it is.

    Raises:
        UsageError: If there is no test, or names, series or masks do not match the tests in number.
        OutputExistsError: If `out` is taken.
        MissingExtraError: If a page is asked for and its packages are not installed.
        StudyError: If a study cannot be read.
        GeometryError: If a test is on another grid than the reference.
    """
    start = time.perf_counter()
    called = _checked_names(tests, names)
    series = _checked_series(tests, test_series)
    require_free_folder(out)
    if settings.page is not None:
        require_report_extra("Or ask for numbers alone with: --set page=null")
    sources = [Source(*one) for one in zip(called, tests, series, strict=True)]
    with OpenImages(Source("the reference", reference, reference_series), sources) as images:
        full = images.reference
        organs = None
        if masks is not None:
            masks.check(full.geometry, tests=len(tests))
            organs = masks.organs(full, progress=progress)
        evaluations = images.compared(
            settings, organs=organs, input_test=input_test, progress=progress
        )
        answer = None
        if masks is not None and organs is not None:
            answer = masks.answered(organs, full, images.tests, evaluations, progress=progress)
            evaluations = answer.evaluations
        labels = () if answer is None else answer.labels
        shown = () if settings.page is None else images.shown(evaluations, called, labels)
    compared = tuple(Compared(*one) for one in zip(called, evaluations, strict=True))
    read_and_compared = time.perf_counter() - start
    with staged_folder(out) as folder:
        record = _record(full, compared, answer)
        (folder / JSON_FILE).write_text(_pretty(record), encoding="utf-8")
        _write_csv(folder / CSV_FILE, compared)
        write_settings(folder, settings)
        if settings.page is not None:
            content = PageContent(
                full,
                shown,
                compared,
                settings,
                settings.page,
                _command(called, masks, input_test),
                installed_versions(_VERSIONS),
                timestamp(),
            )
            write_page(folder, content)
        seconds = time.perf_counter() - start
        write_run(
            folder,
            Run(
                "evaluate",
                settings.as_json(),
                inputs={
                    "tests": len(tests),
                    "slices": full.shape[0],
                    "masks": None if answer is None else answer.record,
                },
                results={test.name: _summary(test.evaluation) for test in compared},
                timings_s={"compare": read_and_compared, "write": seconds - read_and_compared},
            ),
        )
    return EvaluateReport(
        out,
        None if settings.page is None else out / PAGE_FILE,
        {test.name: test.evaluation for test in compared},
        time.perf_counter() - start,
    )


def _checked_names(tests: Sequence[Path], names: Sequence[str] | None) -> tuple[str, ...]:
    if not tests:
        raise UsageError("there is nothing to compare with the reference.", where="tests")
    if names is None:
        return tuple(f"test {number}" for number in range(1, len(tests) + 1))
    called = tuple(name.strip() for name in names)
    if len(called) != len(tests) or not all(called) or len(set(called)) != len(called):
        raise UsageError(
            f"{len(tests)} tests need {len(tests)} different names, and {len(called)} were given: "
            f"{', '.join(called) or 'none'}.",
            where="--names",
        )
    return called


def _checked_series(
    tests: Sequence[Path], series: Sequence[str | None] | None
) -> Sequence[str | None]:
    if series is None:
        return [None] * len(tests)
    if len(series) != len(tests):
        raise UsageError(
            f"{len(tests)} tests need {len(tests)} series, and {len(series)} were given.",
            where="--test-series",
            fix="Name one series for each test, in their order.",
        )
    return series


def _record(
    reference: Scan, compared: Sequence[Compared], masks: MaskAnswer | None
) -> dict[str, JsonValue]:
    geometry = reference.geometry
    return {
        "format": "ctdenoise evaluation",
        "format_version": FORMAT_VERSION,
        "use": "Research use only. Not a medical device.",
        "reference": {
            "shape": list(geometry.shape),
            "pixel_spacing_mm": list(geometry.pixel_spacing_mm),
            "slice_spacing_mm": geometry.slice_spacing_mm,
        },
        **({} if masks is None else {"masks": masks.record}),
        "tests": [{"name": test.name, **test.evaluation.as_json()} for test in compared],
    }


def _pretty(record: dict[str, JsonValue]) -> str:
    return json.dumps(json.loads(canonical_json(record)), indent=2, ensure_ascii=False) + "\n"


def _write_csv(path: Path, compared: Sequence[Compared]) -> None:
    """One line per test and metric, in the order of the page."""
    with path.open("w", encoding="utf-8", newline="") as file:
        columns = ["test", *next(compared[0].evaluation.rows())]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for test in compared:
            writer.writerows({"test": test.name, **row} for row in test.evaluation.rows())


def _summary(evaluation: Evaluation) -> dict[str, JsonValue]:
    return {str(row["key"]): row["value"] for row in evaluation.rows()}


def _command(names: Sequence[str], masks: MaskQuestion | None, input_test: int | None) -> str:
    """The command that makes the page again; places stand for folders, which may name patients."""
    tests = " ".join(f"TEST_{number}" for number in range(1, len(names) + 1))
    called = " ".join(shlex.quote(name) for name in names)
    asked = "" if masks is None else f" {masks.words()}"
    if input_test is not None:
        asked += f" --input {shlex.quote(names[input_test])}"
    return (
        f"ctdenoise evaluate REFERENCE {tests} --names {called}{asked} --config settings.yaml "
        "--out OUT"
    )

"""`ctdenoise evaluate --study qa`: the scan of a phantom against limits and earlier days."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from ctdenoise.config.load import write_settings
from ctdenoise.config.qa import QaSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.io.history_file import append_to_history, read_history
from ctdenoise.io.read import read_volume
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.scan_day import ScanDay, scan_day
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.metrics.limits import Verdict, judged
from ctdenoise.metrics.measured import Measured
from ctdenoise.report.qa_page import PAGE_FILE, QaPage, ShownDay, day_values, write_qa_page
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.tasks.qa_constancy import (
    Baseline,
    Day,
    baseline_of,
    changes,
    constancy_limits,
    day_of,
)
from ctdenoise.tasks.qa_found import QaFound
from ctdenoise.tasks.qa_inserts import inspected_acr464, inspected_catphan504
from ctdenoise.tasks.qa_pylinac import with_pylinac
from ctdenoise.tasks.qa_uniform import inspected_water

JSON_FILE = "qa.json"
CSV_FILE = "qa.csv"
FORMAT_VERSION = 1
"""Version of `qa.json`."""

Outcome = Literal["pass", "fail"]


@dataclass(frozen=True, slots=True, eq=False)
class QaReport:
    """What the scan of a phantom showed.

    Args:
        out: The folder with all files.
        page: The page; None where settings ask for numbers alone.
        day: When and where it was scanned.
        measured: The figures.
        verdicts: Those that have a limit, against it.
        sentences: What failed and why, and what else should be known; one sentence each.
        baseline: What it was compared with; None without a history or on the first day.
        outcome: "fail" if any limit is failed.
        seconds: How long it took.
    """

    out: Path
    page: Path | None
    day: ScanDay
    measured: Measured
    verdicts: tuple[Verdict, ...]
    sentences: tuple[str, ...]
    baseline: Baseline | None
    outcome: Outcome
    seconds: float


def run(
    scan: Path,
    settings: QaSettings,
    *,
    out: Path,
    series: str | None = None,
    history: Path | None = None,
    progress: Progress = SILENT,
) -> QaReport:
    """Judge the scan of a phantom.

    Args:
        scan: Folder or file with the scan.
        settings: Which phantom, where it is, what must be met.
        out: Folder to make: index.html, regions.png, qa.json, qa.csv, settings.yaml, run.json.
        series: Which series, where there are several.
        history: A file of earlier days; the scan is compared with them and added. It holds dates
            and scanners, and nothing of a patient.
        progress: Told how far it is.

    Raises:
        OutputExistsError: If `out` is taken.
        MissingExtraError: If a page is asked for and its packages are not installed.
        StudyError: If the scan cannot be read, or has no date for the history.
        InputError: If the phantom is not found, or the history is damaged.
    """
    start = time.perf_counter()
    require_free_folder(out)
    if settings.page:
        require_report_extra("Or ask for numbers alone with: --set page=false")
    earlier = [] if history is None else [day_of(entry) for entry in read_history(history)]
    volume = read_volume(scan, series=series)
    day = _day(volume, asked=history is not None)
    with progress.stage("Measuring the phantom", 1) as advance:
        found = with_pylinac(_inspected(volume, settings), volume, settings)
        advance()
    figures = {metric.key: metric.value for metric in found.measured.metrics}
    protocol, digest = _protocol(volume, day, settings), _digest(volume)
    baseline = baseline_of(earlier, series=protocol, scan=digest, settings=settings.constancy)
    measured = found.measured
    if baseline is not None:
        measured = measured + Measured(changes(figures, baseline))
    limits = (*settings.limits_or_default, *constancy_limits(settings.constancy))
    verdicts = judged(measured.metrics, limits)
    outcome: Outcome = "fail" if any(one.outcome == "fail" for one in verdicts) else "pass"
    today = Day(day.date, protocol, digest, figures, outcome == "pass")
    known = any(one.scan == digest for one in earlier)
    report = QaReport(
        out,
        out / PAGE_FILE if settings.page else None,
        day,
        measured,
        verdicts,
        _sentences(found, verdicts, history=history, baseline=baseline, known=known),
        baseline,
        outcome,
        time.perf_counter() - start,
    )
    same = [one for one in earlier if one.series == protocol and one.scan != digest]
    days = () if history is None else (*same, today)
    _write(report, found, settings, days)
    if history is not None and not known:
        append_to_history(history, today.as_json())
    return report


def _inspected(volume: CTVolume, settings: QaSettings) -> QaFound:
    match settings.phantom:
        case "water":
            return inspected_water(volume, settings)
        case "acr464":
            return inspected_acr464(volume, settings)
        case "catphan504":
            return inspected_catphan504(volume, settings)
        case _:
            assert_never(settings.phantom)


def _day(volume: CTVolume, *, asked: bool) -> ScanDay:
    """When and on what the scan was made; unknown for an image file."""
    if volume.source is not None and volume.source.kind == "dicom":
        return scan_day(volume.source.instances[0].path)
    if asked:
        raise UsageError(
            "a history needs the date of the scan, which an image file does not have.",
            where="--history",
            fix="Give the DICOM series.",
        )
    return ScanDay("", "")


def _protocol(volume: CTVolume, day: ScanDay, settings: QaSettings) -> str:
    """What scans must share to be compared from day to day."""
    facts = volume.acquisition
    parts = [settings.phantom, day.scanner]
    if facts is not None:
        parts += [
            "" if facts.kvp is None else f"{facts.kvp:g} kV",
            facts.convolution_kernel or "",
            "" if facts.slice_thickness_mm is None else f"{facts.slice_thickness_mm:g} mm",
        ]
    pixel = volume.geometry.pixel_spacing_mm[0]
    return "; ".join(part for part in (*parts, f"pixel {pixel:.3f} mm") if part)


def _digest(volume: CTVolume) -> str:
    return hashlib.sha256(volume.hu.tobytes()).hexdigest()[:16]


def _sentences(
    found: QaFound,
    verdicts: tuple[Verdict, ...],
    *,
    history: Path | None,
    baseline: Baseline | None,
    known: bool,
) -> tuple[str, ...]:
    """What failed and why, and what else should be known."""
    said = [
        f"{one.metric.title} is {one.metric.text} {one.metric.unit}".rstrip()
        + f" (limit: {one.limit_text}; {one.limit.source})."
        for one in verdicts
        if one.outcome == "fail"
    ]
    said += found.remarks
    if history is not None and baseline is None:
        said.append(
            "No earlier day of this phantom, scanner and protocol that passed: nothing to compare "
            "with."
        )
    if known:
        said.append("This scan is in the history already and was not added again.")
    return tuple(said)


_DAYS_SHOWN = 30
"""So many of the latest days stand on the page."""

_TITLES = {"water": "Water", "acr464": "ACR phantom", "catphan504": "Catphan 504"}


def _page(report: QaReport, found: QaFound, settings: QaSettings, days: tuple[Day, ...]) -> QaPage:
    facts = (
        ("Date", report.day.date),
        ("Scanner", report.day.scanner),
        ("Baseline", "" if report.baseline is None else report.baseline.text),
    )
    return QaPage(
        _TITLES[settings.phantom],
        tuple((name, value) for name, value in facts if value),
        report.outcome,
        report.sentences,
        report.measured,
        report.verdicts,
        found.shown,
        tuple(
            ShownDay(day.date, day_values(dict(day.figures)), day.passed, day is days[-1])
            for day in days[-_DAYS_SHOWN:]
        ),
    )


def _write(report: QaReport, found: QaFound, settings: QaSettings, days: tuple[Day, ...]) -> None:
    with staged_folder(report.out) as folder:
        text = json.dumps(
            json.loads(canonical_json(_record(report, settings))), indent=2, ensure_ascii=False
        )
        (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
        _write_csv(folder / CSV_FILE, report)
        if settings.page:
            write_qa_page(folder, _page(report, found, settings, days))
        write_settings(folder, settings)
        write_run(
            folder,
            Run(
                "evaluate",
                settings.as_json(),
                inputs={"study": "qa", "phantom": settings.phantom},
                results={metric.key: metric.value for metric in report.measured.metrics},
                timings_s={"measure": report.seconds},
            ),
        )


def _record(report: QaReport, settings: QaSettings) -> dict[str, JsonValue]:
    return {
        "format": "ctdenoise phantom quality",
        "format_version": FORMAT_VERSION,
        "use": "Research use only. Not a medical device.",
        "phantom": settings.phantom,
        "date": report.day.date,
        "scanner": report.day.scanner,
        "outcome": report.outcome,
        "sentences": list(report.sentences),
        "baseline": None if report.baseline is None else report.baseline.text,
        "verdicts": [one.as_json() for one in report.verdicts],
        **report.measured.as_json(),
    }


def _write_csv(path: Path, report: QaReport) -> None:
    """One line per figure, with its limit where it has one."""
    verdicts = {one.metric.key: one for one in report.verdicts}
    rows = []
    for metric in report.measured.metrics:
        verdict = verdicts.get(metric.key)
        rows.append(
            {
                **metric.as_row(),
                "limit": "" if verdict is None else verdict.limit_text,
                "source": "" if verdict is None else verdict.limit.source,
                "outcome": "" if verdict is None else verdict.outcome,
            }
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

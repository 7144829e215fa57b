"""`evaluate --model`: denoisers judged, a page for each and one that compares them."""

from __future__ import annotations

import csv
import json
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.judgement import JudgeSettings, Study
from ctdenoise.config.load import write_settings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.io.runfile import Run, installed_versions, timestamp, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.report.judgement import JudgementPage, write_judgement
from ctdenoise.report.judgement_comparison import write_judgement_comparison
from ctdenoise.report.judgement_words import Headline, headline
from ctdenoise.report.page import PAGE_FILE
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.tasks.judge_one import Judgement, judge
from ctdenoise.tasks.judge_plan import JudgePlan, JudgeRequest, folder_name
from ctdenoise.tasks.judge_studies import OF_SCAN, STUDIES

JSON_FILE = "judgement.json"
CSV_FILE = "judgement.csv"
FORMAT_VERSION = 1
"""Version of `judgement.json`."""

_VERSIONS = ("ctdenoise", "numpy", "scipy", "torch", "matplotlib")

_ABSENT: dict[Study, str] = {
    "scan": "noise, texture, drift of HU and the worst places of a scan of yours",
    "response": "contrast recovery of lesions inserted into your scan, and hallucinations",
    "bench": "resolution against contrast and dose, HU linearity and uniformity on phantoms",
    "lcd": "detectability of low contrast against dose, and dose equivalence",
}


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """What `evaluate --model` made.

    Args:
        out: The folder with all files.
        pages: The page of each denoiser, by its name.
        headlines: The verdict of each.
        comparison: The page that compares them; None for a single one.
        failed: Names of the denoisers that fail a limit, or on which a study could not be done.
        seconds: How long it took.
    """

    out: Path
    pages: dict[str, Path]
    headlines: dict[str, Headline]
    comparison: Path | None
    failed: tuple[str, ...]
    seconds: float


def run(
    plan: JudgePlan, settings: JudgeSettings, *, out: Path, progress: Progress = SILENT
) -> JudgeReport:
    """Judge denoisers and write their pages; the folder appears whole or not at all.

    Args:
        plan: What is to be done.
        settings: How to measure, and the limits.
        out: Folder to make: index.html, judgement.json, judgement.csv, pictures, settings.yaml and
            run.json; with several models these stand in a folder for each.
        progress: Told how far it is.

    Raises:
        OutputExistsError: If `out` is taken.
        MissingExtraError: If the packages of the page are not installed.
        StudyError: If the scan cannot be read.
        GeometryError: If truth or labels are on another grid.
    """
    started = time.perf_counter()
    require_free_folder(out)
    require_report_extra()
    request = plan.request
    judgements = [
        judge(
            denoiser,
            name,
            request.chosen,
            plan.question,
            settings,
            seed=request.seed,
            progress=progress,
        )
        for denoiser, name in zip(plan.denoisers, plan.names, strict=True)
    ]
    several = len(judgements) > 1
    with staged_folder(out) as folder:
        made = []
        for judgement in judgements:
            place = folder / folder_name(judgement.name) if several else folder
            place.mkdir(exist_ok=True)
            made.append((place.name, _write(place, judgement, request, settings)))
        if several:
            write_judgement_comparison(folder, made)
        write_settings(folder, settings)
        seconds = time.perf_counter() - started
        write_run(folder, _run(judgements, request, settings, seconds))
    pages = {
        one.name: (out / folder_name(one.name) if several else out) / PAGE_FILE
        for one in judgements
    }
    headlines = {one.name: headline(one.measured, one.verdicts, one.absent) for one in judgements}
    failed = tuple(one.name for one in judgements if one.failed or one.absent)
    comparison = out / PAGE_FILE if several else None
    return JudgeReport(out, pages, headlines, comparison, failed, time.perf_counter() - started)


def _write(
    folder: Path, judgement: Judgement, request: JudgeRequest, settings: JudgeSettings
) -> JudgementPage:
    absent = (*judgement.absent, *_absent(request))
    page = JudgementPage(
        judgement.name,
        judgement.facts,
        judgement.flags,
        judgement.range_known,
        judgement.measured,
        judgement.verdicts,
        judgement.view,
        absent,
        settings,
        command_of(request),
        installed_versions(_VERSIONS),
        timestamp(),
        judgement.absent,
    )
    write_judgement(folder, page)
    (folder / JSON_FILE).write_text(_pretty(_record(judgement, absent)), encoding="utf-8")
    _write_csv(folder / CSV_FILE, judgement)
    return page


def _absent(request: JudgeRequest) -> list[str]:
    """What was not measured, with what would measure it."""
    lines = []
    for study in STUDIES:
        if study not in request.chosen:
            scan = "name a scan and " if study in OF_SCAN and request.scan is None else ""
            lines.append(f"{_ABSENT[study]}: {scan}add --study {study}")
    if request.scan is not None and request.truth is None:
        lines.append("errors against a truth (RMSE, PSNR, SSIM): add --truth, where one is known")
    return lines


def _record(judgement: Judgement, absent: Sequence[str]) -> dict[str, JsonValue]:
    words = headline(judgement.measured, judgement.verdicts, judgement.absent)
    return {
        "format": "ctdenoise judgement",
        "format_version": FORMAT_VERSION,
        "use": "Research use only. Not a medical device.",
        "name": judgement.name,
        "model_digest": judgement.digest,
        "facts": {heading.lower(): dict(facts) for heading, facts in judgement.facts},
        "outcome": words.outcome,
        "sentence": words.sentence,
        "flags": [flag.as_json() for flag in judgement.flags],
        "limits": [verdict.as_json() for verdict in judgement.verdicts],
        "not_measured": list(absent),
        **judgement.measured.as_json(),
    }


def _pretty(record: dict[str, JsonValue]) -> str:
    return json.dumps(json.loads(canonical_json(record)), indent=2, ensure_ascii=False) + "\n"


def _write_csv(path: Path, judgement: Judgement) -> None:
    """One line for each figure, with its limit and what came of it."""
    verdicts = {verdict.metric.key: verdict for verdict in judgement.verdicts}
    rows = []
    for metric in judgement.measured.metrics:
        verdict = verdicts.get(metric.key)
        rows.append(
            {
                **metric.as_row(),
                "outcome": "" if verdict is None else verdict.outcome,
                "limit_low": None if verdict is None else verdict.limit.low,
                "limit_high": None if verdict is None else verdict.limit.high,
                "limit_source": "" if verdict is None else verdict.limit.source,
            }
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["key"])
        writer.writeheader()
        writer.writerows(rows)


def command_of(request: JudgeRequest) -> str:
    """The command that makes the page again; places stand for files, which may name patients.

    Args:
        request: What was asked for.
    """
    words = ["ctdenoise evaluate"]
    if request.scan is not None:
        words.append("SCAN")
    for number, model in enumerate(request.models, start=1):
        words.append(f"--model {_model_word(model, number, len(request.models))}")
    words.append(f"--study {' '.join(request.chosen)}")
    for option, given in (
        ("--truth TRUTH", request.truth),
        ("--labels LABELS", request.labels),
        ("--segment-with SEGMENTER", request.segment_with),
    ):
        if given is not None:
            words.append(option)
    if request.names:
        words.append(f"--names {' '.join(shlex.quote(name) for name in request.names)}")
    return " ".join([*words, f"--seed {request.seed}", "--config settings.yaml --out OUT"])


def _model_word(model: str | Path, number: int, models: int) -> str:
    """A registered name as it is; a place for a file."""
    if re.fullmatch(r"(released:)?[a-z0-9_-]+", str(model)) and not Path(model).exists():
        return str(model)
    return "MODEL" if models == 1 else f"MODEL_{number}"


def _run(
    judgements: Sequence[Judgement], request: JudgeRequest, settings: JudgeSettings, seconds: float
) -> Run:
    return Run(
        "evaluate",
        settings.as_json(),
        seed=request.seed,
        inputs={
            "models": {one.name: one.digest for one in judgements},
            "studies": list(request.chosen),
            "truth": request.truth is not None,
        },
        results={
            one.name: {metric.key: metric.as_json()["value"] for metric in one.measured.metrics}
            for one in judgements
        },
        timings_s={"total": seconds},
    )

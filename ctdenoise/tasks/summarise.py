"""`ctdenoise summarise`: several comparisons on one page, repeats of a training put together."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctdenoise.errors import InputError, UsageError
from ctdenoise.io.runfile import Run, installed_versions, timestamp, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.metrics.repeats import Variant, mean_curve
from ctdenoise.report.repeats_page import (
    Ablation,
    Column,
    Table,
    table_of,
    write_repeats_page,
)
from ctdenoise.report.requirements import require_report_extra

TABLES_FILE = "tables.md"
CSV_FILE = "summary.csv"

_FORMAT = "ctdenoise comparison"
_COMPARISON_FILE = "comparison.json"

_FIGURE_FACTS = (
    "comparison",
    "truth",
    "dose_fraction",
    "variant",
    "figure",
    "mean",
    "deviation",
    "repeats",
    "less_the_first",
    "less_the_first_deviation",
)

QUARTER, HALF, DICE = "val_rmse_quarter", "val_rmse_half", "val_dice"
"""Validation RMSE after a quarter and after half of the steps, HU: how fast a network learns; and
the mean Dice of the kept network over the classes, on the same slices."""


@dataclass(frozen=True, slots=True)
class SummariseReport:
    """What `summarise` made.

    Args:
        out: The folder with all files.
        page: The page.
        tables: Title, condition and table of each comparison, as the page has them.
    """

    out: Path
    page: Path
    tables: tuple[tuple[str, str, Table], ...]


def run(comparisons: Sequence[Path], *, out: Path, title: str = "") -> SummariseReport:
    """Put the comparisons of `compare` on one page.

    Rows of one group are repeats of one variant. Every figure is a mean over the repeats with its
    standard deviation; the other variants of a comparison are set against the first, over the seeds
    that both were trained with.

    Args:
        comparisons: Folders that `compare` made.
        out: Folder to make: index.html, tables.md, summary.csv, charts and run.json.
        title: Heading of the page.

    Raises:
        UsageError: If no comparison is given.
        InputError: If one cannot be read.
        OutputExistsError: If `out` is taken.
        MissingExtraError: If the packages of the report are not installed.
    """
    start = time.perf_counter()
    if not comparisons:
        raise UsageError("there is no comparison to summarise.", where="comparisons")
    require_free_folder(out)
    require_report_extra()
    records = [_read(folder) for folder in comparisons]
    ablations = [one for record in records for one in _ablations(record)]
    columns = _columns(records)
    tables = tuple((one.title, one.condition, table_of(one, columns)) for one in ablations)
    with staged_folder(out) as folder:
        page = write_repeats_page(
            folder,
            ablations,
            columns,
            title=title or "Ablations",
            versions=installed_versions(("ctdenoise", "torch")),
            made=timestamp(),
        )
        _write_tables(folder / TABLES_FILE, tables)
        _write_csv(folder / CSV_FILE, ablations)
        results = {"comparisons": len(records), "tables": len(tables)}
        seconds = time.perf_counter() - start
        write_run(folder, Run("summarise", {}, results=results, timings_s={"all": seconds}))
    return SummariseReport(out, out / page.name, tables)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / _COMPARISON_FILE if folder.is_dir() else folder
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "there is no comparison that can be read.",
            where=folder,
            fix="Give the output folders of `ctdenoise compare`.",
        ) from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise InputError(
            "this file is no comparison of `ctdenoise compare`.",
            where=path,
            fix="Give the output folders of `ctdenoise compare`.",
        )
    return record


def _ablations(record: Mapping[str, Any]) -> list[Ablation]:
    """One for each condition: images of one dose and one kind of truth."""
    contenders = {row["name"]: row for row in record["rows"]}
    found = []
    for condition in record["conditions"]:
        figures = {row["name"]: _values(row["metrics"]) for row in condition["rows"]}
        rows = [row for name, row in contenders.items() if row["network"] and name in figures]
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            groups.setdefault(row["group"] or row["name"], []).append(row)
        baseline = [figures[name] for name, row in contenders.items() if not row["network"]]
        found.append(
            Ablation(
                title=record["title"],
                condition=_condition_text(condition),
                truth=condition["truth"],
                dose_fraction=condition["dose_fraction"],
                variants=tuple(_variant(name, own, figures) for name, own in groups.items()),
                baseline=baseline[0] if baseline else {},
            )
        )
    return found


def _condition_text(condition: Mapping[str, Any]) -> str:
    against = "the full-dose scan" if condition["truth"] == "scan" else "the exact truth"
    dose = f"{100 * condition['dose_fraction']:g} % dose"
    slices, patients = condition["slices"], condition["patients"]
    return f"{dose} against {against}, {slices} slices of {patients} test patients"


def _variant(
    name: str, rows: Sequence[Mapping[str, Any]], figures: Mapping[str, Mapping[str, float]]
) -> Variant:
    courses = [_course(row) for row in rows]
    steps = rows[0]["training"].get("steps")
    seeds = [row["training"].get("seed") for row in rows]
    known = None not in seeds and len(set(seeds)) == len(seeds)
    repeats = [
        {**figures[row["name"]], **_of_training(row["training"], course)}
        for row, course in zip(rows, courses, strict=True)
    ]
    return Variant(
        name,
        tuple(repeats),
        rows[0]["parameters"],
        mean_curve(courses),
        steps,
        tuple(seeds) if known else (),
    )


def _values(metrics: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {one["key"]: float(one["value"]) for one in metrics if one["value"] is not None}


def _course(row: Mapping[str, Any]) -> list[tuple[int, float]]:
    points = row["training"].get("validation_rmse_hu") or []
    return [(int(step), float(rmse)) for step, rmse in points]


def _of_training(
    training: Mapping[str, Any], course: Sequence[tuple[int, float]]
) -> dict[str, float]:
    """Validation Dice, and RMSE where it was measured a quarter and half of the way through."""
    at, steps, dice = dict(course), training.get("steps"), training.get("validation_dice")
    places = {} if steps is None else {QUARTER: steps / 4, HALF: steps / 2}
    found = {key: at[int(step)] for key, step in places.items() if step in at}
    return found if dice is None else {**found, DICE: float(dice)}


def _columns(records: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The first window of the comparisons, and the figures that every ablation is asked about."""
    keys = [
        one["key"]
        for record in records
        for condition in record["conditions"]
        for row in condition["rows"]
        for one in row["metrics"]
    ]
    psnr = next((key for key in keys if key.startswith("psnr")), "psnr")
    ssim = next((key for key in keys if key.startswith("ssim")), "ssim")
    return [
        Column(psnr, f"{psnr} (dB)", 2, with_difference=True),
        Column("rmse", "RMSE (HU)", 2),
        Column(ssim, ssim, 4),
        Column("bias_soft", "bias, soft tissue (HU)", 2),
        Column("nps_fav_change", "mean frequency of the noise, change (%)", 1),
        Column(DICE, "validation Dice", 3, with_difference=True),
        Column(QUARTER, "validation RMSE at a quarter of the steps (HU)", 2),
        Column(HALF, "at half (HU)", 2),
    ]


def _write_tables(path: Path, tables: Sequence[tuple[str, str, Table]]) -> None:
    """The tables as Markdown."""
    parts = []
    for title, condition, table in tables:
        lines = [f"## {title}", "", f"{condition}.", ""]
        lines += [_markdown(table.heads), "|---|" + "---:|" * (len(table.heads) - 1)]
        lines += [_markdown(row) for row in table.rows]
        parts.append("\n".join(lines))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _write_csv(path: Path, ablations: Sequence[Ablation]) -> None:
    """One line for each comparison, variant and figure."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _FIGURE_FACTS, restval="")
        writer.writeheader()
        for ablation in ablations:
            for variant in ablation.variants:
                for key in dict.fromkeys(key for one in variant.repeats for key in one):
                    spread = variant.spread(key)
                    less = variant.difference(key, ablation.variants[0])
                    line: dict[str, object] = {"comparison": ablation.title}
                    line |= {"truth": ablation.truth, "dose_fraction": ablation.dose_fraction}
                    line |= {"variant": variant.name, "figure": key}
                    if spread is not None:
                        line |= {"mean": spread.mean, "deviation": spread.deviation}
                        line |= {"repeats": spread.count}
                    if less is not None:
                        line |= {"less_the_first": less.mean}
                        line |= {"less_the_first_deviation": less.deviation}
                    writer.writerow(line)

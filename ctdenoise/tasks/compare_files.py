"""The numbers of a comparison as files: JSON, and CSV for figures and for differences."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.metrics.comparison import as_json
from ctdenoise.report.compared import Comparison

FORMAT_VERSION = 1
"""Version of `comparison.json`."""


def record(comparison: Comparison) -> dict[str, JsonValue]:
    """Everything that was found, as `comparison.json` holds it."""
    names = comparison.names
    return {
        "format": "ctdenoise comparison",
        "format_version": FORMAT_VERSION,
        "use": "Research use only. Not a medical device.",
        "title": comparison.title,
        "rows": [contender.as_json() for contender in comparison.contenders],
        "conditions": [condition.as_json(names) for condition in comparison.conditions],
        "images": [
            {
                "name": image.name,
                "patient": image.patient,
                "dose_fraction": image.dose_fraction,
                "truth": image.truth,
                "slices": list(image.slices),
                "rows": [
                    {"name": name, "metrics": [as_json(one) for one in figures.values()]}
                    for name, figures in zip(names, rows, strict=True)
                ],
            }
            for image, rows in zip(comparison.images, comparison.by_image, strict=True)
        ],
    }


def pretty(found: dict[str, JsonValue]) -> str:
    """Plain JSON, indented."""
    return json.dumps(json.loads(canonical_json(found)), indent=2, ensure_ascii=False) + "\n"


_FACTS = (
    "group",
    "name",
    "network",
    "truth",
    "dose_fraction",
    "patients",
    "slices",
    "seconds_per_slice",
    "processor_seconds_per_slice",
    "parameters",
    "operations_per_slice",
    "steps",
    "patches_seen",
    "training_seconds",
    "warnings",
)


def write_csv(path: Path, comparison: Comparison) -> None:
    """One line for each row and condition; every figure with its standard error and interval."""
    keys = dict.fromkeys(
        key
        for condition in comparison.conditions
        for figures in condition.figures
        for key in figures
    )
    parts = ("", "_standard_error", "_low", "_high")
    columns = [*_FACTS, *(f"{key}{part}" for key in keys for part in parts)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for condition in comparison.conditions:
            for row, figures in zip(comparison.contenders, condition.figures, strict=True):
                line: dict[str, JsonValue] = {
                    "group": row.group,
                    "name": row.name,
                    "network": row.network,
                    "truth": condition.truth,
                    "dose_fraction": condition.dose_fraction,
                    "patients": condition.patients,
                    "slices": condition.slices,
                    "seconds_per_slice": None if row.times is None else row.times.median_s,
                    "processor_seconds_per_slice": None
                    if row.times is None
                    else row.times.median_processor_s,
                    "parameters": row.parameters,
                    "operations_per_slice": row.operations,
                    "steps": row.training.steps,
                    "patches_seen": row.training.patches,
                    "training_seconds": row.training.seconds,
                    "warnings": " ".join(row.warnings),
                }
                for key, figure in figures.items():
                    told = as_json(figure)
                    line[key] = told["value"]
                    line[f"{key}_standard_error"] = told["standard_error"]
                    interval = figure.metric.interval
                    if interval is not None:
                        line[f"{key}_low"], line[f"{key}_high"] = interval.low, interval.high
                writer.writerow(line)


def write_differences(path: Path, comparison: Comparison) -> None:
    """One line for each pair of rows, figure and condition; no file where there is none."""
    lines: list[dict[str, JsonValue]] = [
        {"truth": condition.truth, "dose_fraction": condition.dose_fraction, **told}
        for condition in comparison.conditions
        for contrast in condition.contrasts
        for told in [contrast.as_row(comparison.names)]
    ]
    if lines:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)

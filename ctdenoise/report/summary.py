"""The summary table of the page: which numbers, in which order, and which is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctdenoise.metrics.table import Evaluation, Metric, number_text


def _of_masks(*against: str) -> tuple[str, ...]:
    """How keys of figures of masks begin."""
    kinds = ("dice", "surface_mm[", "far_mm[", "changed[", "volume_ml[")
    return tuple(f"{one}_{kind}" for one in against for kind in kinds)


_GROUPS = (
    ("Differences inside the body", ("rmse", "mae", "bias")),
    ("Noise", ("noise_reference", "noise_test", "noise_change")),
    ("By tissue", ("rmse_", "mae_", "bias_")),
    ("Structure", ("structure_correlation",)),
    ("Similarity inside a window", ("psnr", "ssim", "vif", "rmse[")),
    ("By organ", ("organ_",)),
    ("Masks: that of the test against that of the reference", _of_masks("mask")),
    ("Masks: that of the test against that of the input", _of_masks("mask_input")),
    ("Masks against the true one", _of_masks("mask_truth")),
)

_PREFIXES = (
    "rmse_",
    "mae_",
    "bias_",
    "psnr",
    "ssim",
    "vif",
    "rmse[",
    "organ_",
    *_of_masks("mask", "mask_input", "mask_truth"),
)
"""Starts of keys that many metrics share."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in the summary table.

    Args:
        text: The number for people, without its unit.
        best: Whether it is the closest to the reference among several tests.
        note: Why there is no number, or why it is infinite.
    """

    text: str
    best: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric in the summary table.

    Args:
        title: Name for people.
        key: Key of the metric.
        unit: Its unit.
        reference: The reference's own value, where it has one.
        cells: One for each test.
    """

    title: str
    key: str
    unit: str
    reference: str
    cells: tuple[Cell, ...]


def summary_groups(tests: Sequence[Evaluation]) -> list[tuple[str, list[Row]]]:
    """Headings and rows of the summary table; a metric that some test lacks keeps its row.

    Args:
        tests: The evaluations, in the order of the columns.
    """
    metrics = conventions(tests)
    noise = metrics["noise_reference"]
    groups: list[tuple[str, list[Row]]] = []
    for heading, starts in _GROUPS:
        rows = []
        for key, metric in metrics.items():
            if key == "noise_reference" or not _belongs(key, starts):
                continue
            reference = noise.text if key == "noise_test" else ""
            if key.startswith("mask_truth_"):
                own = metrics.get(key.replace("mask_truth_", "mask_truth_of_reference_", 1))
                reference = "" if own is None else own.text
            rows.append(_row(metric, [_find(test, key) for test in tests], reference))
        if rows:
            groups.append((heading, rows))
    return groups


def _belongs(key: str, starts: tuple[str, ...]) -> bool:
    return any(key.startswith(start) if start in _PREFIXES else key == start for start in starts)


def _find(evaluation: Evaluation, key: str) -> Metric | None:
    return next((metric for metric in evaluation.metrics if metric.key == key), None)


def _row(metric: Metric, found: Sequence[Metric | None], reference: str) -> Row:
    best = _best(found, metric.better)
    cells = tuple(
        Cell(number_text(None, ""), note="not present")
        if one is None
        else Cell(one.text, index in best, str(one.as_json()["note"]))
        for index, one in enumerate(found)
    )
    title = "Noise magnitude" if metric.key == "noise_test" else metric.title
    return Row(title, metric.key, metric.unit, reference, cells)


def _best(found: Sequence[Metric | None], better: str) -> set[int]:
    """Which tests have the best value; none where they read the same or nothing is best."""
    known = {i: (m.value, m.text) for i, m in enumerate(found) if m and m.value is not None}
    if better == "neither" or len({text for _, text in known.values()}) < 2:
        return set()
    sign = -1.0 if better == "higher" else 1.0
    score = {i: abs(v) if better == "near zero" else sign * v for i, (v, _) in known.items()}
    best = known[min(score, key=lambda i: score[i])][1].lstrip("\N{MINUS SIGN}")
    return {i for i, (_, text) in known.items() if text.lstrip("\N{MINUS SIGN}") == best}


def conventions(tests: Sequence[Evaluation]) -> dict[str, Metric]:
    """Every metric that some test has, by its key."""
    metrics: dict[str, Metric] = {}
    for test in tests:
        for metric in test.metrics:
            metrics.setdefault(metric.key, metric)
    return metrics

"""Denoisers compared: verdicts, figures side by side, the best only where it is certain."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from ctdenoise.metrics.table import Interval
from ctdenoise.report.judgement_comparison import (
    best_of,
    compared_rows,
    write_judgement_comparison,
)
from tests.judgements import figure, page
from tests.unit.report.test_page import Reader


def between(low: float, high: float, better="higher"):
    metric = figure("x", (low + high) / 2)
    return replace(metric, interval=Interval(low, high, "made up"), better=better)


@pytest.mark.parametrize(
    ("metrics", "best"),
    [
        ([between(0.8, 0.9), between(0.95, 1.0)], 1),
        ([between(0.8, 0.96), between(0.95, 1.0)], None),
        ([between(0.8, 0.9, "lower"), between(0.95, 1.0, "lower")], 0),
        ([between(-0.1, 0.1, "near zero"), between(-2, -1, "near zero")], 0),
        ([between(-2, 2, "near zero"), between(-2, -1, "near zero")], None),
        ([between(0.8, 0.9, "neither"), between(0.95, 1.0, "neither")], None),
        ([figure("x", 0.5), between(0.95, 1.0)], None),
        ([None, between(0.95, 1.0)], None),
        ([between(0.5, 0.6), between(0.5, 0.9), between(0.92, 1.0)], 2),
    ],
    ids=["apart", "overlap", "lower", "zero", "wide", "neither", "bare", "alone", "three"],
)
def test_the_best_is_marked_only_where_intervals_allow(metrics, best):
    assert best_of(metrics) == best


def test_each_limit_shows_the_worst_figure_of_each_denoiser():
    rows = {row.title: row.cells for row in compared_rows([page("a"), page("b", recovery=0.97)])}
    cells = rows["Contrast recovery of inserted lesions, from 15 HU"]
    assert [cell.outcome for cell in cells] == ["fail", "pass"]
    assert [cell.text for cell in cells] == ["0.41", "0.97"]


def test_a_figure_with_a_limit_stands_once():
    titles = [row.title for row in compared_rows([page("a"), page("b")])]
    assert titles.count("Drift of soft tissue") == 1


def test_a_denoiser_without_a_figure_has_a_dash():
    rows = {row.title: row.cells for row in compared_rows([page("a"), page("b", scan=False)])}
    assert rows["Noise magnitude"][1].text == "\N{EN DASH}"


def test_the_page_leads_to_each_denoiser_and_needs_nothing_from_elsewhere(tmp_path):
    path = write_judgement_comparison(
        tmp_path, [("a", page("first")), ("b", page("second", recovery=0.97))]
    )
    html = path.read_text(encoding="utf-8")
    reader = Reader(html)
    assert not reader.open
    others = [one for one in reader.addresses if not one.startswith("data:image/png;base64,")]
    assert others == ["a/index.html", "b/index.html"]
    text = " ".join(" ".join(reader.text).split())
    assert "falls to 0.41: fails." in text
    assert len(re.findall(r'class="shown', html)) == 4, "input, two outputs, truth"
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {
        "nps_scan.png",
        "contrast_recovery_first_table.png",
        "contrast_recovery_second_table.png",
    } <= names


def test_curves_of_the_input_are_drawn_once(tmp_path):
    first, second = page("first"), page("second")
    write_judgement_comparison(tmp_path, [("a", first), ("b", second)])
    from ctdenoise.report.judgement_comparison import _curves

    names = [curve.name for curve in _curves("nps[scan]", [first, second])]
    assert names == ["input", "first", "second"]
    assert np.array_equal(
        next(_curves("nps[scan]", [first, second])).y, first.measured.chart("nps[scan]")[0].y
    )

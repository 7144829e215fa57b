"""The page of a comparison: every row and figure, warnings first, nothing from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.comparison import CompareSettings, ComparisonPageSettings
from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.metrics.comparison import Figure, over_patients
from ctdenoise.metrics.contrasts import contrasts_of
from ctdenoise.metrics.table import Metric
from ctdenoise.report.compared import (
    LOW_DOSE,
    Comparison,
    Condition,
    Contender,
    JudgedImage,
    Picture,
    SliceTimes,
    Training,
)
from ctdenoise.report.comparison import ComparisonPage, write_comparison_page
from ctdenoise.report.comparison_charts import a_decade, apart
from ctdenoise.report.comparison_table import table_of
from tests.unit.report.test_page import Reader

SIZE = 40
RMSE = {LOW_DOSE: 20.0, "net <a>": 12.0, "net b": 11.0, "net c": 25.0, "net d": 900.0}


def metric(key: str, value: float, better="lower", unit="HU") -> Metric:
    return Metric(
        key, key.upper(), value, unit, "none", "body", "pooled", better, f"What {key} is."
    )


def figures(rmse: float, dose: float) -> dict[str, Figure]:
    spread = np.array([-0.1, 0.0, 0.1])
    value = rmse / dose**0.5
    psnr = 60 - value / 20
    return {
        "rmse": Figure(metric("rmse", value), value + spread),
        "psnr[-160,240]": Figure(metric("psnr[-160,240]", psnr, "higher", "dB"), psnr + spread),
        "bias_soft": Figure(metric("bias_soft", -rmse / 10, "near zero"), np.zeros(0)),
        "noise_reference": Figure(metric("noise_reference", 7.77, "neither"), np.zeros(0)),
        "noise_test": Figure(metric("noise_test", value, "neither"), np.zeros(0)),
    }


def contender(number: int, name: str) -> Contender:
    curve = ((10, 30.0), (20, RMSE[name] + 1))
    return Contender(
        name,
        group="second" if name == "net c" else "first",
        note=f"note {number}",
        network="redcnn",
        digest="0123456789ab",
        parameters=1000 * number,
        operations=10**9 * number,
        training=Training(20, 20, 160, 24, 12.5, (0.25, 0.25), curve, 21.0),
        times=SliceTimes((0.5, 0.75, 0.6), (0.4, 0.5, 0.45), 1, "torch cpu float32"),
        warnings=("TRAINED ON A TEST PATIENT.",) if name in ("net b", "net c") else (),
    )


def comparison(truths=("scan", "scan", "exact")) -> Comparison:
    names = list(RMSE)
    rows = (Contender(LOW_DOSE), *(contender(n, name) for n, name in enumerate(names) if n))
    doses = (0.5, 0.25, 0.25)
    conditions, images = [], []
    for truth, dose in zip(truths, doses, strict=True):
        found = tuple(figures(RMSE[name], dose) for name in names)
        conditions.append(Condition(truth, dose, 1, 1, 3, found, "One patient, in words."))
        images.append(JudgedImage(f"pair {len(images) + 1}", "aaaa", dose, truth, (1, 2, 3)))
    return Comparison(
        "Nets & others",
        rows,
        tuple(images),
        tuple(one.figures for one in conditions),
        tuple(conditions),
    )


def picture(image: JudgedImage, *, padded: bool = False) -> Picture:
    hu = np.full((SIZE, SIZE), 40.0, dtype=np.float32)
    body = np.zeros((SIZE, SIZE), dtype=bool)
    body[5:35, 5:35] = True
    padding = ~body if padded else None
    geometry = Geometry.axial((3, SIZE, SIZE), pixel_spacing_mm=2.0, slice_spacing_mm=3.0)
    return Picture(image, 2, hu, tuple(hu + n for n in range(len(RMSE))), body, padding, geometry)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Comparison, Reader]:
    folder = tmp_path_factory.mktemp("page")
    found = comparison()
    pictures = (picture(found.images[0]), picture(found.images[2], padded=True))
    content = ComparisonPage(
        found,
        pictures,
        CompareSettings(),
        ComparisonPageSettings(crop_mm=30),
        "ctdenoise compare MODEL_1",
        "2026-01-01T00:00:00Z",
    )
    path = write_comparison_page(folder, content)
    return folder, found, Reader(path.read_text(encoding="utf-8"))


def test_every_row_and_every_figure_of_the_table_stands_on_the_page(made):
    _, found, reader = made
    text = " ".join(" ".join(reader.text).split())
    for row in found.contenders:
        assert row.name in text
        assert row.note in text
    for condition in found.conditions:
        for rows in condition.figures:
            assert rows["rmse"].metric.text in text
            assert rows["psnr[-160,240]"].metric.text in text
    assert "holds noise of 7.77 HU" in text
    assert "What rmse is." in text


def test_the_page_needs_no_network_and_every_element_is_closed(made):
    _, _, reader = made
    assert reader.open == []
    assert all(one.startswith(("data:image/png", "#")) for one in reader.addresses)
    assert all(reader.alternatives)


def test_a_warning_stands_once_with_all_it_is_about_before_the_figures(made):
    _, _, reader = made
    text = " ".join(" ".join(reader.text).split())
    start = text.index("TRAINED ON A TEST PATIENT")
    assert text.count("TRAINED ON A TEST PATIENT") == 1
    assert "net b, net c" in text[:start]
    assert start < text.index("RMSE")


def test_there_is_a_chart_of_doses_of_courses_and_of_costs(made):
    folder, _, _ = made
    names = {path.stem for path in (folder / "pictures").glob("*.png")}
    assert {"rmse_by_dose_scan", "psnr_by_dose_scan", "courses", "cost_1", "cost_3"} <= names
    assert "rmse_by_dose_exact" not in names
    assert {"image1_whole_0", "image1_enlarged_5", "image2_difference_4"} <= names


def test_the_best_is_marked_within_its_group_and_what_is_worse_than_nothing_is_told():
    found = comparison()
    table = table_of(found, found.conditions[0], CompareSettings())
    (first, lines), (second, others) = table.groups
    assert (first, second) == ("first", "second")
    assert [line.row.name for line in lines] == ["net <a>", "net b", "net d"]
    assert [line.cells[0].best for line in lines] == [False, True, False]
    assert [line.cells[0].worse for line in lines] == [False, False, True]
    assert not others[0].cells[0].best
    assert others[0].cells[0].worse
    bias = [column.key for column in table.columns].index("bias_soft")
    assert not any(line.cells[bias].best for line in lines)
    assert lines[0].cells[bias].error == ""


def test_numbers_of_courses_that_end_together_can_be_told_apart():
    rows = [
        contender(1, "net b"),
        *(replace(contender(1, "net b"), name=f"net {n}") for n in range(12)),
    ]
    ends = [(n, row.training.curve[-1][1]) for n, row in enumerate(rows)]
    heights = sorted(height for _, height in apart([*ends, (99, 50.0), (100, 300.0)], (0.0, 100.0)))
    assert min(np.diff(heights)) >= 3.5
    assert heights[-1] == 50.0
    assert np.mean(heights[:13]) == pytest.approx(ends[0][1])


@pytest.mark.parametrize("limits", [(0.82, 0.93), (3.0, 3.0), (0.5, 120.0)])
def test_the_axis_of_costs_holds_a_power_of_ten_to_label(limits):
    low, high = a_decade(limits)
    assert low <= limits[0] <= limits[1] <= high
    assert any(low <= 10.0**power <= high for power in range(-3, 4))


def test_a_cohort_has_intervals_and_a_table_of_differences(tmp_path):
    names = list(RMSE)
    spread = np.random.default_rng(0).normal(0, 1, (len(names), 7))
    rows = tuple(
        over_patients(
            [(f"p{n}", figures(RMSE[name] + spread[place, n], 0.25)) for n in range(7)],
            StatisticsSettings(),
        )
        for place, name in enumerate(names)
    )
    contrasts = contrasts_of(rows, StatisticsSettings())
    one = Condition("scan", 0.25, 7, 7, 21, rows, "Seven patients.", contrasts)
    found = replace(comparison(), conditions=(one,))
    content = ComparisonPage(
        found, (), CompareSettings(), ComparisonPageSettings(), "ctdenoise compare", "2026"
    )
    path = write_comparison_page(tmp_path, content)
    words = " ".join(" ".join(Reader(path.read_text(encoding="utf-8")).text).split())
    interval = rows[1]["rmse"].metric.interval_text
    assert interval in words
    assert "studentised bootstrap over 7 patients" in words
    first = contrasts[0]
    assert first.p_value == 2**-6
    for text in ("net b \N{MINUS SIGN} low dose", "0.016", "not shown", "Wilcoxon"):
        assert text in words
    assert "in all 10 tests together" in words, "7 patients and 10 tests cannot reach 5 %"

"""Figures of several methods with the error that few images leave."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.comparison import CompareSettings
from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.core.body import body_mask
from ctdenoise.metrics.comparison import (
    Figure,
    clear_best,
    difference_error,
    figures_of,
    jackknife_error,
    over_patients,
    words_about,
)
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.noise_texture import TextureFigures, flat_areas, noise_power
from ctdenoise.metrics.table import Metric
from tests.unit.metrics.conftest import SHAPE, tissue_blocks, volume

STATISTICS = StatisticsSettings()


def metric(value: float | None, better="lower") -> Metric:
    return Metric("rmse", "RMSE", value, "HU", "none", "body", "pooled", better, "Error.")


def figure(values, better="lower") -> Figure:
    """A mean over units."""
    values = np.asarray(values, dtype=np.float64)
    without = (values.sum() - values) / (values.size - 1)
    return Figure(metric(float(values.mean()), better), without)


def measured(reference, test, truth="scan", side=8):
    body = body_mask(reference.hu)
    settings = CompareSettings().evaluation()
    areas = flat_areas(reference, body, side=side, truth=truth)
    power = [noise_power(one, reference, areas) for one in (test, reference)]
    texture = TextureFigures(power[0], power[1], truth, side)
    return figures_of(evaluate(reference, test, settings, body=body), texture)


def noisy(sigma: float, seed: int = 0):
    return volume(tissue_blocks() + np.random.default_rng(seed).normal(0, sigma, SHAPE))


def test_the_error_of_a_mean_is_its_spread_over_the_root_of_the_count():
    values = np.array([3.0, 5.0, 9.0, 4.0])
    assert figure(values).standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(4))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.inf]], ids=["none", "one", "infinite"])
def test_what_cannot_be_told_has_no_error(values):
    assert jackknife_error(np.array(values)) is None


def test_the_error_of_a_difference_leaves_out_what_both_share():
    rng = np.random.default_rng(0)
    patients = rng.normal(20, 8, 12)
    one, other = figure(patients), figure(patients + 1 + rng.normal(0, 0.01, 12))
    assert one.standard_error > 1
    assert difference_error(one, other) < 0.01
    assert clear_best([one, other]) == 0


def test_methods_on_other_units_have_no_common_error():
    assert difference_error(figure([1, 2, 3]), figure([1, 2])) is None


@pytest.mark.parametrize(
    ("better", "expected"), [("lower", 0), ("higher", 2), ("near zero", 1), ("neither", None)]
)
def test_the_best_is_what_the_metric_says(better, expected):
    rows = [[-9, -9, -9.1], [0.1, -0.1, 0.1], [9.2, 9.2, 9.1]]
    assert clear_best([figure(values, better) for values in rows]) == expected


def test_equal_within_the_error_is_not_marked():
    rng = np.random.default_rng(1)
    one, other = rng.normal(10, 1, 8), rng.normal(10, 1, 8)
    assert clear_best([figure(one), figure(other), figure(one + 5)]) is None
    assert clear_best([figure(one), figure(one + 5)]) == 0


def test_one_method_or_one_without_a_figure_is_not_marked():
    assert clear_best([figure([1, 2, 3])]) is None
    assert clear_best([figure([1, 2, 3]), None]) is None
    no_error = Figure(metric(1.0), np.zeros(0))
    assert clear_best([no_error, Figure(metric(5.0), np.zeros(0))]) is None


def test_figures_of_an_image_are_those_of_evaluate(reference):
    test = noisy(20)
    found = measured(reference, test)
    expected = evaluate(reference, test, CompareSettings().evaluation())
    for one in expected.metrics:
        assert found[one.key].metric == one


def test_figures_without_a_slice_are_those_of_the_other_slices(reference):
    test = noisy(20)
    found = measured(reference, test)
    settings = CompareSettings().evaluation()
    for index in range(3):
        others = [n for n in range(3) if n != index]
        expected = evaluate(reference.select(others), test.select(others), settings)
        for key in ("rmse", "rmse_fat", "bias", "bias_bone", "mae", "psnr[-160,240]"):
            assert found[key].without_one[index] == pytest.approx(expected[key].value), key


def test_identical_images_have_no_error_and_no_shift():
    scan = noisy(15)
    found = measured(scan, scan)
    assert found["rmse"].metric.value == 0
    assert found["rmse"].standard_error == 0
    assert found["psnr[-160,240]"].standard_error is None
    assert found["nps_fav_change"].metric.value == pytest.approx(0)
    assert found["nps_fav_change"].standard_error == pytest.approx(0)


def test_smoothing_the_noise_lowers_its_mean_frequency():
    scan = noisy(15)
    smooth = (scan.hu + np.roll(scan.hu, 1, 1) + np.roll(scan.hu, 1, 2)) / 3
    found = measured(scan, volume(smooth))
    shift = found["nps_fav_change"]
    assert shift.metric.value < -10
    assert shift.metric.value + 5 * shift.standard_error < 0


def test_an_exact_truth_is_subtracted_before_noise_is_looked_at(reference):
    striped = tissue_blocks()
    striped += 10 * np.sin(np.arange(96) * np.pi / 2)
    truth = volume(striped)
    noise = np.random.default_rng(3).normal(0, 5, SHAPE)
    body = body_mask(truth.hu)
    areas = flat_areas(truth, body, side=8, truth="exact")
    powers = noise_power(volume(striped + noise), truth, areas)
    count = sum(one.count for one in powers)
    total = sum(one.variance_hu2 * one.count for one in powers) / count
    # Two parts of each patch overlap with others: count half of the pixels.
    assert math.sqrt(total) == pytest.approx(5, rel=5 / math.sqrt(count * 64))


def test_too_little_soft_tissue_has_no_spectrum_but_the_other_figures(reference):
    found = measured(reference, noisy(20), side=64)
    assert found["nps_fav"].metric.value is None
    assert "too few" in found["nps_fav"].metric.note
    assert found["rmse"].metric.value > 0


def test_patients_count_once_however_many_images_they_have():
    def image(value):
        return {"rmse": Figure(metric(value), np.zeros(0))}

    found = over_patients([("a", image(10.0)), ("a", image(20.0)), ("b", image(30.0))], STATISTICS)[
        "rmse"
    ]
    assert found.metric.value == pytest.approx((15 + 30) / 2)
    assert found.standard_error == pytest.approx(np.std([15, 30], ddof=1) / math.sqrt(2))
    assert "mean of 2 patients" in found.metric.reduction


def test_a_figure_that_a_patient_lacks_is_a_mean_of_the_others():
    def image(value):
        return {"bias_bone": Figure(replace(metric(value), note="no bone"), np.zeros(0))}

    found = over_patients([("a", image(10.0)), ("b", image(None)), ("c", {})], STATISTICS)[
        "bias_bone"
    ]
    assert found.metric.value == 10
    assert "mean of 1 patient" in found.metric.reduction
    nothing = over_patients([("a", image(None)), ("b", image(None))], STATISTICS)["bias_bone"]
    assert nothing.metric.value is None
    assert nothing.metric.note == "no bone"


def test_one_image_keeps_its_own_figures_and_the_spread_of_its_slices(reference):
    found = measured(reference, noisy(20))
    assert over_patients([("a", found)], STATISTICS) == found


@pytest.mark.parametrize(
    ("patients", "slices", "words"),
    [
        (1, 1, "no standard error"),
        (1, 9, "nothing about other patients"),
        (3, 30, "min p = 2^(1-n) = 0.25"),
        (8, 80, "over patients"),
    ],
)
def test_few_patients_are_said_to_be_few(patients, slices, words):
    assert words in words_about(patients, slices)

"""Methods against each other on the same patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ctdenoise.config.statistics import StatisticsSettings
from ctdenoise.metrics.comparison import Figure, over_patients
from ctdenoise.metrics.contrasts import contrasts_of
from ctdenoise.metrics.statistics import holm
from ctdenoise.metrics.table import Metric

SETTINGS = StatisticsSettings(samples=2000)


def figures(values, key="rmse", better="lower"):
    """Figures of a method, one image for each patient."""
    made = [
        Metric(key, key.upper(), float(v), "HU", "none", "body", "pooled", better, "An error.")
        for v in values
    ]
    images = [(f"p{n}", {key: Figure(one, np.zeros(0))}) for n, one in enumerate(made)]
    return over_patients(images, SETTINGS)


@pytest.fixture
def patients() -> np.ndarray:
    """Errors of eight patients, far more alike within a patient than between patients."""
    return np.random.default_rng(0).normal(30, 10, 8)


def test_a_small_difference_that_every_patient_shows_is_found(patients):
    gain = 0.2 + 0.01 * np.arange(8)
    found = contrasts_of([figures(patients), figures(patients - gain)], SETTINGS)
    (one,) = found
    assert one.difference == pytest.approx(-gain.mean())
    assert -0.35 < one.interval.low < one.difference < one.interval.high < -0.15
    assert one.p_value == one.p_holm == pytest.approx(2**-7)
    assert one.better == 1
    told = one.as_json(("low dose", "net"))
    assert (told["method"], told["less"], told["better"]) == ("net", "low dose", "net")


def test_slices_of_a_patient_do_not_count_as_patients(patients):
    """Each patient five times: the mean, the interval and p are those of the patients."""
    rows = []
    for shift in (0.0, -0.5):
        images = []
        for number, value in enumerate(patients + shift * np.sign(np.sin(patients))):
            of_one = figures([value])["rmse"]
            images += [(f"p{number}", {"rmse": of_one})] * 5
        rows.append(over_patients(images, SETTINGS))
    (one,) = contrasts_of(rows, SETTINGS)
    differences = -0.5 * np.sign(np.sin(patients))
    assert one.patients == 8
    assert one.difference == pytest.approx(differences.mean())
    assert one.p_value == pytest.approx(stats.wilcoxon(differences, method="auto").pvalue)


def test_every_pair_is_tested_once_and_corrected_for_all(patients):
    rng = np.random.default_rng(1)
    rows = [
        {
            **figures(patients - n + rng.normal(0, 1, 8)),
            **figures(30 + n + rng.normal(0, 1, 8), "psnr", "higher"),
        }
        for n in range(3)
    ]
    found = contrasts_of(rows, SETTINGS.replaced(tested=("rmse", "psnr", "missing")))
    places = [(one.metric.key, one.one, one.other) for one in found]
    expected = [(1, 0), (2, 0), (2, 1)]
    assert places == [(key, *pair) for key in ("rmse", "psnr") for pair in expected]
    assert [one.p_holm for one in found] == pytest.approx(holm([one.p_value for one in found]))
    assert all("6 tests" in one.note or not one.note for one in found)


def test_few_patients_have_an_interval_and_words_but_no_test(patients):
    rows = [figures(patients[:4]), figures(patients[:4] - 3)]
    (one,) = contrasts_of(rows, SETTINGS)
    assert one.p_value is None
    assert one.p_holm is None
    assert one.better is None
    assert one.note == "n too small for p<0.05 (min p = 2^(1-n) = 0.125 for n = 4)"
    assert one.interval.high < 0


def test_a_single_patient_has_no_contrast_and_only_common_patients_count(patients):
    assert contrasts_of([figures(patients[:1])] * 2, SETTINGS) == ()
    (one,) = contrasts_of([figures(patients), figures(patients[:6] - 1)], SETTINGS)
    assert one.patients == 6
    assert one.difference == pytest.approx(-1)


def test_a_cohort_figure_has_the_interval_of_its_patients(patients):
    metric = figures(patients)["rmse"].metric
    assert metric.interval.low < metric.value < metric.interval.high
    assert "8 patients" in metric.interval.method
    assert "mean of 8 patients" in metric.reduction


def test_a_better_bias_is_no_matter_of_its_sign(patients):
    rows = [figures(patients, better="near zero"), figures(patients - 5, better="near zero")]
    (one,) = contrasts_of(rows, SETTINGS)
    assert one.p_holm < 0.05
    assert one.better is None

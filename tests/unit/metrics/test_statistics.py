"""Statistics of a cohort: intervals that hold what they promise, tests that know their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ctdenoise.metrics.statistics import (
    holm,
    least_p,
    mean_interval,
    signed_rank_p,
    words_about_test,
)


def normal(rng: np.random.Generator, patients: int) -> np.ndarray:
    return rng.normal(0.0, 1.0, patients)


def skewed(rng: np.random.Generator, patients: int) -> np.ndarray:
    return np.exp(0.6 * rng.normal(0.0, 1.0, patients)) - math.exp(0.18)


def coverage(draw, patients: int, *, cohorts: int = 600) -> float:
    """Share of cohorts, all of true mean 0, whose interval holds 0."""
    rng = np.random.default_rng(patients)
    held = 0
    for _ in range(cohorts):
        found = mean_interval(draw(rng, patients), seed=0, samples=1000)
        held += found.low <= 0 <= found.high
    return held / cohorts


THREE_ERRORS = 3 * math.sqrt(0.95 * 0.05 / 600)


@pytest.mark.parametrize("patients", [3, 5, 6, 8, 15])
def test_95_of_100_intervals_hold_the_mean_of_normal_patients(patients):
    # A bootstrap of 1000 resamples from 6 patients knows its quantiles to about one percent.
    assert coverage(normal, patients) == pytest.approx(0.95, abs=THREE_ERRORS + 0.01)


@pytest.mark.parametrize("patients", [6, 8, 15])
def test_few_patients_of_a_skewed_distribution_are_held_nearly_as_often(patients):
    assert 0.90 <= coverage(skewed, patients) <= 0.98


@pytest.mark.parametrize("patients", [6, 12])
def test_the_percentile_bootstrap_would_be_too_short(patients):
    """Why it is not used: 88 and 91 of 100 in the same simulation."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        values = rng.normal(size=patients)
        means = values[rng.integers(0, patients, (1000, patients))].mean(axis=1)
        low, high = np.quantile(means, (0.025, 0.975))
        held += low <= 0 <= high
    assert held / 600 < 0.95 - THREE_ERRORS


def test_the_same_seed_gives_the_same_interval_and_shift_and_scale_go_through_it():
    values = np.random.default_rng(0).normal(5, 2, 12)
    one, again = (mean_interval(values, seed=3) for _ in range(2))
    assert one == again
    assert mean_interval(values, seed=4) != one
    moved = mean_interval(10 * values - 7, seed=3)
    assert (moved.low, moved.high) == pytest.approx((10 * one.low - 7, 10 * one.high - 7))
    assert "bootstrap over 12 patients, 10000 resamples" in one.method


def test_fewer_than_six_patients_get_students_interval_and_are_told():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    found = mean_interval(values, seed=0)
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert "Student" in found.method


def test_equal_patients_have_an_interval_of_no_length_and_one_patient_has_none():
    same = mean_interval(np.full(8, 2.5) + np.array([0, 4e-16] * 4), seed=0)
    assert (same.low, same.high) == pytest.approx((2.5, 2.5))
    assert mean_interval(np.array([2.5]), seed=0) is None
    assert mean_interval(np.array([1.0, math.inf, 2.0]), seed=0) is None


def test_a_p_value_is_that_of_counting_every_sign():
    differences = np.array([1.5, -0.4, 2.2, 0.9, 3.1, -1.1, 0.6])
    ranks = stats.rankdata(np.abs(differences))
    observed = abs(ranks[differences > 0].sum() - ranks.sum() / 2)
    signs = np.array(np.meshgrid(*[[0, 1]] * 7)).reshape(7, -1).T
    sums = signs @ ranks - ranks.sum() / 2
    expected = np.mean(np.abs(sums) >= observed - 1e-9)
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("patients", [6, 9, 15])
def test_the_least_p_is_reached_where_all_patients_agree(patients):
    differences = np.arange(1.0, patients + 1)
    assert signed_rank_p(differences) == pytest.approx(least_p(patients))
    assert least_p(patients) == 2.0 ** (1 - patients)


def test_five_patients_are_not_tested_and_the_words_say_why():
    assert signed_rank_p(np.arange(1.0, 6.0)) is None
    words = words_about_test(5)
    assert words == "n too small for p<0.05 (min p = 2^(1-n) = 0.0625 for n = 5)"
    assert words_about_test(6) == ""
    assert "least p is 2^(1-n) = 0.0312, and 4 times that" in words_about_test(6, tests=4)
    assert words_about_test(12, tests=4) == ""


def test_ties_and_zeros_are_tested_and_no_difference_is_no_evidence():
    tied = np.array([1.0, 1.0, 2.0, -1.0, 3.0, 0.0, 2.0, 2.0])
    assert 0 < signed_rank_p(tied) < 0.1
    assert signed_rank_p(np.zeros(8)) == 1.0


def test_holm_gives_the_published_step_down_values():
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R gives 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.9]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def test_holm_keeps_false_claims_of_a_whole_family_below_the_level():
    rng = np.random.default_rng(0)
    families = rng.uniform(size=(4000, 10))
    false = np.mean([min(holm(list(family))) < 0.05 for family in families])
    assert false < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)

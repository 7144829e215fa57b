"""Organs before and after: mean, drift with its interval, spread."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.metrics.organ_change import organ_changes


def figures(before, after, labels, names=None):
    found = organ_changes(
        before.astype(np.float32),
        after.astype(np.float32),
        labels,
        names or {1: "liver"},
        draws=500,
        rng=np.random.default_rng(0),
    )
    return {metric.key: metric for metric in found}


def slices(count: int = 8, value: float = 60.0, noise: float = 10.0) -> np.ndarray:
    return np.random.default_rng(2).normal(value, noise, (count, 40, 40))


def test_the_drift_of_an_organ_is_that_of_its_mean():
    before = slices()
    labels = np.ones(before.shape, dtype=np.uint8)
    found = figures(before, before + 1.5, labels)
    assert found["organ_drift[liver]"].value == pytest.approx(1.5, abs=1e-4)
    assert found["organ_drift[liver]"].interval.low == pytest.approx(1.5, abs=1e-4)
    assert found["organ_hu[liver, input]"].value == pytest.approx(before.mean(), abs=1e-3)
    assert found["organ_sd[liver, output]"].value == pytest.approx(before.std(), rel=1e-4)


def test_the_interval_widens_with_slices_that_disagree():
    before = slices(12)
    labels = np.ones(before.shape, dtype=np.uint8)
    shift = np.linspace(-2, 2, 12)[:, None, None]
    interval = figures(before, before + shift, labels)["organ_drift[liver]"].interval
    standard_error = np.linspace(-2, 2, 12).std(ddof=1) / np.sqrt(12)
    # Student's t of 11 degrees of freedom, for a 95 % interval of the mean.
    assert interval.high - interval.low == pytest.approx(2 * 2.2 * standard_error, rel=0.15)


def test_an_organ_of_few_voxels_has_no_row():
    before = slices()
    labels = np.zeros(before.shape, dtype=np.uint8)
    labels[0, :10, :10] = 1
    assert figures(before, before, labels) == {}


def test_an_organ_without_a_name_is_told_by_its_number():
    before = slices()
    labels = np.full(before.shape, 7, dtype=np.uint8)
    assert "organ_drift[class 7]" in figures(before, before, labels)


def test_an_organ_that_lies_mostly_in_one_slice_has_a_sober_interval():
    rng = np.random.default_rng(3)
    labels = np.zeros((5, 64, 64), np.uint8)
    labels[0, 4:60, 4:60] = 1
    labels[1:, 10:14, 10:14] = 1
    before = rng.normal(40, 20, labels.shape).astype(np.float32)
    after = before + 1 + rng.normal(0, 1, labels.shape).astype(np.float32)
    found = organ_changes(before, after, labels, {1: "liver"}, draws=1000, rng=rng)
    drift = next(one for one in found if one.key == "organ_drift[liver]")
    assert drift.interval is not None
    assert 0.9 < drift.interval.low < drift.value < drift.interval.high < 1.1

"""Detectability with a known signal is unbiased, and its interval holds what it says."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.metrics.inserted_detectability import (
    SliceResponses,
    inserted_detectability,
    known_difference_dprime,
)

CHANNELS = 5
DELTA = np.array([1.0, 0.5, -0.3, 0.2, 0.0])
MIXING = np.eye(CHANNELS) + 0.4 * np.tri(CHANNELS, k=-1)
TRUE = float(np.sqrt(DELTA @ np.linalg.solve(MIXING @ MIXING.T, DELTA)))


def absent(rng, count):
    """Responses with a known covariance."""
    return rng.normal(size=(count, CHANNELS)) @ MIXING.T + 7.0


def test_the_square_is_unbiased_and_the_interval_exact():
    rng = np.random.default_rng(2)
    repeats, count = 600, 30
    found = [known_difference_dprime(DELTA, absent(rng, count)) for _ in range(repeats)]
    squares = np.array([value**2 for value, _ in found])
    standard_error = squares.std() / np.sqrt(repeats)
    assert squares.mean() == pytest.approx(TRUE**2, abs=4 * standard_error)
    held = np.mean([interval.low <= TRUE <= interval.high for _, interval in found])
    assert held == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / repeats))


def slices(rng, *, gain, count=10, places=30, lesions=6):
    """Slices of a scan and of a denoised scan that has more or less of the signal."""
    for _ in range(count):
        before = absent(rng, places)
        added = np.tile(DELTA, (lesions, 1))
        yield SliceResponses(before, 0.5 * before, added, 0.5 * gain * added)


def test_less_noise_with_as_much_less_signal_is_no_gain():
    found = inserted_detectability(
        list(slices(np.random.default_rng(0), gain=1.0)),
        draws=300,
        rng=np.random.default_rng(1),
    )
    assert found.ratio == pytest.approx(1.0)
    assert found.ratio_interval.low == pytest.approx(1.0)
    assert found.ratio_interval.high == pytest.approx(1.0)


def test_a_signal_that_is_lost_is_a_loss_of_detectability():
    found = inserted_detectability(
        list(slices(np.random.default_rng(0), gain=0.7)),
        draws=300,
        rng=np.random.default_rng(1),
    )
    assert found.ratio == pytest.approx(0.7)
    assert found.ratio_interval.high < 0.95
    assert found.before == pytest.approx(TRUE, rel=0.15)
    assert (found.places, found.lesions) == (300, 60)


def test_too_few_places_or_no_noise_give_no_figure():
    rng = np.random.default_rng(0)
    few = list(slices(rng, gain=1.0, count=3, places=10))
    silent = [
        SliceResponses(np.zeros((50, CHANNELS)), np.zeros((50, CHANNELS)), one, one)
        for one in [np.tile(DELTA, (3, 1))] * 3
    ]
    for some in (few, silent):
        assert inserted_detectability(some, draws=100, rng=rng) is None

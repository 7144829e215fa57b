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
        under = 0.5 * absent(rng, lesions)
        yield SliceResponses(before, 0.5 * before, added, 0.5 * gain * added, under)


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


def test_what_lesions_bring_with_them_is_noise_to_the_observer():
    """A denoiser that keeps faint lesions by chance: r varies as much as the noise does."""
    rng = np.random.default_rng(4)
    count, places, lesions = 40, 60, 60
    some = []
    for _ in range(count):
        before = absent(rng, places)
        added = np.tile(DELTA, (lesions, 1))
        brought = added + absent(rng, lesions) - 7.0
        some.append(SliceResponses(before, before, added, brought, absent(rng, lesions)))
    found = inserted_detectability(some, draws=300, rng=rng)
    # S = (S0 + 2 S0) / 2
    assert found.ratio == pytest.approx(1 / np.sqrt(1.5), rel=0.04)


def test_lesions_that_lie_differently_between_pixels_bring_no_noise():
    rng = np.random.default_rng(4)
    some = []
    for _ in range(10):
        before = absent(rng, 40)
        added = DELTA * rng.uniform(0.8, 1.2, (10, 1))
        some.append(SliceResponses(before, 0.6 * before, added, 0.6 * added, absent(rng, 10)))
    assert inserted_detectability(some, draws=100, rng=rng).ratio == pytest.approx(1.0)


def test_too_few_places_or_no_noise_give_no_figure():
    rng = np.random.default_rng(0)
    few = list(slices(rng, gain=1.0, count=3, places=10))
    silent = [
        SliceResponses(np.zeros((50, CHANNELS)), np.zeros((50, CHANNELS)), one, one, one)
        for one in [np.tile(DELTA, (3, 1))] * 3
    ]
    for some in (few, silent):
        assert inserted_detectability(some, draws=100, rng=rng) is None

"""Whether what was removed follows the anatomy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.structure import ProductSums
from tests.unit.metrics.conftest import volume

SIZE = 160


def anatomy() -> np.ndarray:
    """A body with discs of several contrasts, HU [z, y, x]."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    hu = np.where(np.hypot(y, x) < 72, 40.0, -1000.0)
    for row, column, radius, step in ((-30, -20, 14, 60), (20, 30, 10, -100), (25, -30, 6, 200)):
        hu[np.hypot(y - row, x - column) < radius] += step
    return np.repeat(ndimage.gaussian_filter(hu, 0.7)[None], 2, axis=0)


def grainy(sigma: float, seed: int) -> np.ndarray:
    """Noise that is twice as loud in the middle as at the rim of the body."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    loud = 2 - np.minimum(np.hypot(y, x) / 72, 1)
    return np.random.default_rng(seed).normal(0, sigma, (2, SIZE, SIZE)) * loud


def correlation(before, after, reference) -> float | None:
    found = evaluate(volume(reference), volume(after), before=volume(before))
    return found["structure_correlation"].value


@pytest.mark.parametrize("reference_noise", [0.0, 10.0])
def test_removing_noise_alone_follows_no_edge(reference_noise):
    truth = anatomy()
    reference = truth + grainy(reference_noise, 1)
    noisy = truth + grainy(25, 2)
    assert abs(correlation(noisy, truth, reference)) < 0.06


@pytest.mark.parametrize("reference_noise", [0.0, 10.0])
def test_a_gaussian_filter_takes_edges_away_and_is_caught(reference_noise):
    truth = anatomy()
    noisy = truth + grainy(25, 2)
    blurred = ndimage.gaussian_filter(noisy, (0, 2, 2))
    assert correlation(noisy, blurred, truth + grainy(reference_noise, 1)) > 0.3


def test_nothing_removed_has_no_correlation():
    truth = anatomy()
    assert correlation(truth, truth, truth) is None


def test_sums_of_parts_give_the_correlation_of_the_whole():
    rng = np.random.default_rng(0)
    one = rng.normal(5, 2, 500)
    other = one + rng.normal(0, 1, 500)
    parts = ProductSums.of(one[:200], other[:200]) + ProductSums.of(one[200:], other[200:])
    assert parts.correlation == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert ProductSums.of(one, np.full(500, 3.0)).correlation is None

"""Connected regions, holes, growing: compared with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.core.regions import connected_regions, grown, shrunk, without_holes


def random_mask(seed: int, density: float, shape: tuple[int, int] = (37, 53)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < density


@pytest.mark.parametrize("density", [0.0, 0.1, 0.45, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_regions_are_those_of_scipy(density, seed):
    mask = random_mask(seed, density)
    expected, count = ndimage.label(mask)
    regions = connected_regions(mask)
    assert regions.count == count
    pairs = np.unique(np.stack([expected.ravel(), regions.labels.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(expected)), "the same partition under other numbers"
    np.testing.assert_array_equal(np.bincount(regions.labels.ravel()), regions.areas)


def test_a_spiral_is_one_region():
    mask = np.zeros((41, 41), dtype=bool)
    row = column = 0
    step = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    for turn, length in enumerate([40, 40, 40, 38, 38, 36, 36, 34, 34, 32, 32]):
        for _ in range(length):
            mask[row, column] = True
            row, column = row + step[turn % 4][0], column + step[turn % 4][1]
    mask[row, column] = True
    assert connected_regions(mask).count == 1


def test_regions_know_whether_they_touch_the_border():
    mask = np.zeros((9, 9), dtype=bool)
    mask[0, 2:4] = mask[4:6, 4:6] = True
    regions = connected_regions(mask)
    assert not regions.touches_border[regions.labels[4, 4]]
    assert regions.touches_border[regions.labels[0, 2]]
    assert not regions.touches_border[0]


@pytest.mark.parametrize("seed", range(4))
def test_holes_are_those_of_scipy(seed):
    mask = random_mask(seed, 0.6)
    np.testing.assert_array_equal(without_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_growing_and_shrinking_are_those_of_scipy(steps):
    mask = random_mask(3, 0.2)
    np.testing.assert_array_equal(grown(mask, steps), ndimage.binary_dilation(mask, None, steps))
    expected = ndimage.binary_erosion(~mask, None, steps, border_value=1)
    np.testing.assert_array_equal(shrunk(~mask, steps), expected)

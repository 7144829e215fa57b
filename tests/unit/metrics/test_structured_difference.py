"""Places where more than noise was removed stand out; noise alone does not."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.metrics.structured_difference import Structured, apart, structured_places

SPACING = (0.8, 0.8)
SIZE = 256


def noise(seed: int = 0, *, slope: float = 0.0) -> np.ndarray:
    """White noise of 10 HU, stronger towards the right where there is a slope."""
    values = np.random.default_rng(seed).normal(0, 10, (SIZE, SIZE))
    return (values * (1 + slope * np.arange(SIZE) / SIZE)).astype(np.float32)


def body() -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=np.bool_)
    mask[20:236, 20:236] = True
    return mask


def places(removed: np.ndarray, most: int = 3) -> list[Structured]:
    return structured_places(removed, body(), place=4, pixel_spacing_mm=SPACING, most=most)


def test_a_lesion_that_was_taken_away_is_found_first():
    removed = noise()
    rows, columns = np.ogrid[:SIZE, :SIZE]
    removed[(rows - 90) ** 2 + (columns - 160) ** 2 < 5**2] += 15
    first = places(removed)[0]
    assert np.hypot(first.row - 90, first.column - 160) * SPACING[0] < 6
    assert first.place == 4
    assert first.ratio > 1.5


def test_an_edge_that_was_blurred_is_found_though_its_mean_is_zero():
    removed = noise()
    removed[100:130, 149] += 60
    removed[100:130, 151] -= 60
    first = places(removed)[0]
    assert 90 < first.row < 140
    assert abs(first.column - 150) < 10


def test_noise_that_grows_across_the_slice_is_no_structure():
    strongest = max(one.ratio for one in places(noise(3, slope=2.0)))
    even = max(one.ratio for one in places(noise(3)))
    assert strongest < 1.25 * even
    assert even < 2


@pytest.mark.parametrize("most", [0, 1, 3])
def test_as_many_places_as_wanted(most):
    found = places(noise(5), most=most)
    assert len(found) == most


def test_places_in_neighbouring_slices_show_the_same_thing():
    strong = Structured(0, 50, 50, 5.0, 10.0)
    beside = Structured(1, 52, 50, 4.0, 9.0)
    far = Structured(9, 52, 50, 3.0, 9.0)
    assert apart([beside, far, strong], 3, (SPACING, 5.0)) == [strong, far]


def test_what_was_not_changed_has_no_places():
    assert places(np.zeros((SIZE, SIZE), dtype=np.float32)) == []


def test_a_slice_without_a_body_has_no_places():
    empty = np.zeros((SIZE, SIZE), dtype=np.bool_)
    assert structured_places(noise(), empty, place=0, pixel_spacing_mm=SPACING, most=3) == []

"""The body mask on drawn patients, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.body import body_mask

SIZE = 384


def grid(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size) - (size - 1) / 2) / (size / 2)
    return axis[:, None], axis[None, :]


def ellipse(y0: float, x0: float, ry: float, rx: float, size: int = SIZE) -> np.ndarray:
    y, x = grid(size)
    return ((y - y0) / ry) ** 2 + ((x - x0) / rx) ** 2 < 1


def chest(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A chest with lungs over a hollow table; the image and the true body."""
    body = ellipse(-0.1, 0, 0.45, 0.7, size)
    hu = np.full((size, size), -1000.0, dtype=np.float32)
    table = ellipse(0.55, 0, 0.12, 0.6, size)
    hu[table] = -920.0
    hu[table & ~ellipse(0.55, 0, 0.11, 0.59, size)] = 100.0
    hu[body] = 40.0
    for side in (-0.3, 0.3):
        hu[ellipse(-0.1, side, 0.3, 0.2, size)] = -850.0
    return hu, body


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("noise_hu", [0.0, 40.0, 100.0])
@pytest.mark.parametrize("size", [64, 200, 384, 512])
def test_the_body_is_found_with_its_lungs_and_without_the_table(noise_hu, size):
    hu, body = chest(size)
    hu += np.random.default_rng(0).normal(0, noise_hu, hu.shape).astype(np.float32)
    found = body_mask(hu)
    assert overlap(found, body) > 0.99
    assert not found[ellipse(0.55, 0, 0.12, 0.6, size)].any()
    assert found[ellipse(-0.1, 0.3, 0.3, 0.2, size)].all()


def test_a_chest_wall_thinner_than_the_opening_still_encloses_the_lung():
    hu, body = chest()
    hu[ellipse(-0.1, 0.45, 0.22, 0.215)] = -850.0  # beside this lung, 6 pixels are left
    assert overlap(body_mask(hu), body) > 0.98


def test_padding_is_never_body_and_its_value_does_not_matter():
    hu, body = chest()
    padding = ~ellipse(0, 0, 0.6, 0.6)
    for value in (-3024.0, 3000.0):
        filled = np.where(padding, np.float32(value), hu)
        found = body_mask(filled, padding)
        assert not found[padding].any()
        assert overlap(found, body & ~padding) > 0.98


def test_lung_cut_by_the_edge_of_a_small_field_of_view_is_body():
    hu, _ = chest()
    centre = np.ascontiguousarray(hu[140:210, 90:180])
    assert np.count_nonzero(centre == -850.0) > 1000
    assert body_mask(centre).all()


def test_two_legs_are_both_body():
    hu = np.full((SIZE, SIZE), -1000.0, dtype=np.float32)
    legs = ellipse(0, -0.4, 0.25, 0.25) | ellipse(0, 0.4, 0.22, 0.22)
    hu[legs] = 50.0
    assert overlap(body_mask(hu), legs) > 0.99


def test_air_has_no_body():
    hu = np.full((2, 64, 64), -1000.0, dtype=np.float32)
    assert not body_mask(hu).any()


def test_a_stack_is_its_slices():
    hu, _ = chest(200)
    stack = np.stack([hu, np.full_like(hu, -1000.0), hu[::-1]])
    np.testing.assert_array_equal(body_mask(stack), np.stack([body_mask(image) for image in stack]))

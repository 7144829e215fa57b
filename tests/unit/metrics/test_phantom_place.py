"""Where a round phantom is, and how far it is turned."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.phantom_place import Insert, found_inserts, found_phantom

SHAPE, SPACING = (200, 220), (1.1, 1.0)
INSERTS = (
    Insert("air", -1000.0, 45.0, 25.0),
    Insert("bone", 910.0, -45.0, 25.0),
    Insert("acrylic", 122.0, 135.0, 25.0),
    Insert("polyethylene", -95.0, -135.0, 25.0),
)


def phantom(*, centre=(98.3, 112.6), radius=80.0, roll=0.0, noise=10.0, table=True) -> np.ndarray:
    y = (np.arange(SHAPE[0])[:, None] - centre[0]) * SPACING[0]
    x = (np.arange(SHAPE[1]) - centre[1]) * SPACING[1]
    image = np.where(np.hypot(y, x) <= radius, 0.0, -1000.0)
    for one in INSERTS:
        angle = np.radians(one.angle_degrees + roll)
        near = np.hypot(y - 50 * np.sin(angle), x - 50 * np.cos(angle)) <= one.diameter_mm / 2
        image[near] = one.hu
    if table:
        image[-12:-9] = 50.0
    return image + np.random.default_rng(1).normal(0, noise, SHAPE)


def test_the_axis_of_a_phantom_is_found_beside_a_table():
    place = found_phantom(phantom(), pixel_spacing_mm=SPACING)
    assert place.centre == pytest.approx((98.3, 112.6), abs=0.15)
    assert place.radius_mm == pytest.approx(80.0, abs=0.5)


@pytest.mark.parametrize("roll", [-7.0, 0.0, 2.5, 12.0])
def test_the_turn_of_a_phantom_is_found_by_its_inserts(roll):
    image = phantom(roll=roll, noise=40.0)
    place = found_phantom(image, pixel_spacing_mm=SPACING)
    found = found_inserts(image, place, INSERTS, ring_mm=50.0, pixel_spacing_mm=SPACING)
    assert found.place.roll_degrees == pytest.approx(roll, abs=1.0)
    assert found.error_hu < 20


def test_a_slice_without_the_inserts_fits_badly():
    image = np.where(phantom(table=False) > -500, 0.0, -1000.0)
    place = found_phantom(image, pixel_spacing_mm=SPACING)
    found = found_inserts(image, place, INSERTS, ring_mm=50.0, pixel_spacing_mm=SPACING)
    assert found.error_hu > 100


def test_what_is_not_round_is_refused():
    square = np.full(SHAPE, -1000.0)
    square[50:150, 30:180] = 0.0
    with pytest.raises(InputError, match="not round"):
        found_phantom(square, pixel_spacing_mm=SPACING)
    with pytest.raises(InputError, match="No phantom"):
        found_phantom(np.full(SHAPE, -1000.0), pixel_spacing_mm=SPACING)

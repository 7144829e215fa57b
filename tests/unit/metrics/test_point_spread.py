"""Transfer functions of wires and beads against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.point_spread import Point, point_transfer
from ctdenoise.metrics.transfer import resampled
from tests.exact_discs import CURVES, centre_of, disc_image, gaussian, true_frequency

SHAPE = (64, 64)


def wire(curve, *, diameter_mm=0.05, offset=(0.13, -0.21), spacing=(0.7, 0.7)):
    image = disc_image(
        curve,
        radius_mm=diameter_mm / 2,
        contrast_hu=100 / diameter_mm**2,
        offset_mm=offset,
        shape=SHAPE,
        pixel_spacing_mm=spacing,
    )
    return image, tuple(round(place) for place in centre_of(offset, SHAPE, spacing))


@pytest.mark.parametrize("name", sorted(CURVES))
@pytest.mark.parametrize("spacing", [(0.7, 0.7), (0.6, 0.7)], ids=["square", "oblong"])
def test_a_thin_wire_has_the_transfer_function_of_the_system(name, spacing):
    image, centre = wire(CURVES[name], spacing=spacing)
    found = point_transfer(image[None], Point(centre), pixel_spacing_mm=spacing)
    curve = CURVES[name]
    assert found.f50_per_mm == pytest.approx(true_frequency(curve, 0.5), rel=0.01)
    assert found.f10_per_mm == pytest.approx(true_frequency(curve, 0.1), rel=0.01)
    assert found.values == pytest.approx(curve(found.frequency_per_mm), abs=0.02)


def test_a_background_that_slopes_changes_nothing():
    image, centre = wire(gaussian)
    y, x = np.indices(SHAPE)
    sloping = image + 40 + 0.8 * y - 0.3 * x
    plain, found = (
        point_transfer(one[None], Point(centre), pixel_spacing_mm=(0.7, 0.7))
        for one in (image, sloping)
    )
    assert found.values == pytest.approx(plain.values, abs=1e-9)


def test_a_thick_wire_is_corrected_for_its_thickness():
    image, centre = wire(gaussian, diameter_mm=1.2)
    truth = true_frequency(gaussian, 0.5)
    plain, corrected = (
        point_transfer(image[None], Point(centre, 8.0, d), pixel_spacing_mm=(0.7, 0.7)).f50_per_mm
        for d in (0.0, 1.2)
    )
    assert plain < 0.93 * truth
    assert corrected == pytest.approx(truth, rel=0.01)


def test_a_tilted_wire_is_followed_from_slice_to_slice():
    offsets = [(0.1 * k, -0.05 * k) for k in range(8)]
    stack = np.stack([wire(gaussian, offset=offset)[0] for offset in offsets])
    noise = np.random.default_rng(1).normal(0, stack.max() / 60, stack.shape)
    found = point_transfer(
        stack + noise,
        Point((32, 32)),
        pixel_spacing_mm=(0.7, 0.7),
        resamplings=resampled(8, 300, np.random.default_rng(2)),
    )
    low, high = found.f50_interval_per_mm
    assert low < true_frequency(gaussian, 0.5) < high
    assert found.f50_per_mm == pytest.approx(true_frequency(gaussian, 0.5), rel=0.05)


def test_where_there_is_no_point_nothing_is_measured():
    noise = np.random.default_rng(1).normal(0, 1, (1, *SHAPE))
    with pytest.raises(InputError, match="No point"):
        point_transfer(noise, Point((32, 32)), pixel_spacing_mm=(0.7, 0.7))
    image, _ = wire(gaussian)
    with pytest.raises(InputError, match="ends too near"):
        point_transfer(image[None], Point((3, 32)), pixel_spacing_mm=(0.7, 0.7))
    with pytest.raises(InputError, match="stack"):
        point_transfer(image, Point((32, 32)), pixel_spacing_mm=(0.7, 0.7))
    with pytest.raises(InputError, match="wire"):
        Point((0, 0), 1.0, 2.0)

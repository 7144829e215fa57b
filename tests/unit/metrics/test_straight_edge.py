"""Edge transfer functions against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from ctdenoise.errors import InputError
from ctdenoise.metrics.slice_profile import profile_of_edge
from ctdenoise.metrics.straight_edge import (
    StraightEdge,
    found_straight_edge,
    straight_edge_profile,
    straight_edge_transfer,
)
from ctdenoise.metrics.transfer import resampled
from tests.exact_discs import gaussian, true_frequency


def blurred(angle_degrees, *, sd_mm=0.7, spacing=(0.7, 0.7), shape=(60, 80), height=100.0):
    """A step along the first axis with a Gaussian edge, and its line."""
    slope = np.tan(np.radians(angle_degrees))
    second = np.arange(shape[1]) * spacing[1]
    intercept = (shape[0] - 1) / 2 * spacing[0] + 0.13 - slope * second.mean()
    line = StraightEdge(intercept, slope)
    distance = line.distance_mm(shape, spacing)
    return height / 2 * special.erfc(-distance / np.sqrt(2) / sd_mm), line


@pytest.mark.parametrize("angle", [2.0, 5.0, -8.0, 20.0])
@pytest.mark.parametrize("spacing", [(0.7, 0.7), (0.5, 0.8)], ids=["square", "oblong"])
def test_a_slanted_edge_has_the_transfer_function_of_its_blur(angle, spacing):
    image, line = blurred(angle, spacing=spacing)
    found = found_straight_edge(image, spacing_mm=spacing)
    assert found.slope == pytest.approx(line.slope, abs=1e-4)
    assert found.intercept_mm == pytest.approx(line.intercept_mm, abs=0.005)
    transfer = straight_edge_transfer(image[None], found, spacing_mm=spacing)
    assert transfer.f50_per_mm == pytest.approx(true_frequency(gaussian, 0.5), rel=0.005)
    assert transfer.f10_per_mm == pytest.approx(true_frequency(gaussian, 0.1), rel=0.005)
    assert transfer.values == pytest.approx(gaussian(transfer.frequency_per_mm), abs=0.01)


@pytest.mark.parametrize("thickness_mm", [1.0, 3.0])
def test_the_edge_of_a_tilted_slab_gives_the_profile_of_thick_slices(thickness_mm):
    # Slices 3 mm apart that average over their thickness T: T(f) = sinc(T f), FWHM = T.
    spacing, slope = (3.0, 0.7), 0.15
    z, x = np.arange(14) * 3.0, np.arange(120) * 0.7
    edge = StraightEdge(19.0 - slope * x.mean(), slope, reach_mm=9.0)
    above = z[:, None] - edge.intercept_mm - slope * x
    image = np.clip(above / thickness_mm + 0.5, 0, 1)[None]
    transfer = straight_edge_transfer(image, edge, spacing_mm=spacing)
    # The distance is taken at right angles to the edge, 1.1 % shorter than along z.
    half = 0.6034 / thickness_mm
    if half < 1 / 3.0:
        assert transfer.f50_per_mm == pytest.approx(half, rel=0.015)
    else:
        assert transfer.f50_per_mm is None
    profile = profile_of_edge(straight_edge_profile(image, edge, spacing_mm=spacing))
    assert profile.fwhm_mm == pytest.approx(thickness_mm, abs=0.3)  # a bin is 0.3 mm


def test_the_interval_of_noisy_edges_holds_the_truth():
    image, line = blurred(5.0)
    noise = np.random.default_rng(3).normal(0, 10, (12, *image.shape))
    draws = resampled(12, 300, np.random.default_rng(4))
    transfer = straight_edge_transfer(image + noise, line, spacing_mm=(0.7, 0.7), resamplings=draws)
    low, high = transfer.f50_interval_per_mm
    assert low < true_frequency(gaussian, 0.5) < high
    assert high / low < 1.1


@pytest.mark.parametrize("angle", [0.0, 45.0])
def test_an_edge_along_the_pixels_is_refused(angle):
    image, line = blurred(angle)
    with pytest.raises(InputError, match="too few distances"):
        straight_edge_transfer(image[None], line, spacing_mm=(0.7, 0.7))


def test_what_has_no_edge_is_refused():
    with pytest.raises(InputError, match="no edge"):
        found_straight_edge(np.zeros((20, 20)), spacing_mm=(1.0, 1.0))
    with pytest.raises(InputError, match="cannot be looked at"):
        StraightEdge(0.0, 2.0)
    with pytest.raises(InputError, match="stack"):
        straight_edge_transfer(np.zeros((9, 9)), StraightEdge(4.0, 0.1), spacing_mm=(1.0, 1.0))

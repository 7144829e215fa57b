"""The response to a lesion is right where it is known, and intervals hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.metrics.insertion import (
    clustered_mean,
    core_of,
    response,
    response_transfer,
    ring_frequencies_per_mm,
)
from ctdenoise.metrics.lesions import Lesion, SystemBlur, lesion_image

SPACING_MM = (0.7, 0.7)
SIDE = 61
LESION = Lesion(10.0)


@pytest.fixture(scope="module")
def inserted():
    """A lesion of 20 HU as a scan shows it."""
    return 20 * lesion_image(LESION, SystemBlur(0.5, 3.0), side=SIDE, pixel_spacing_mm=SPACING_MM)


@pytest.fixture(scope="module")
def core():
    """Its core."""
    return core_of(LESION, SIDE, SPACING_MM, (0.0, 0.0))


def test_the_lesion_itself_is_recovered_whole_and_in_place(inserted, core):
    found = response(inserted, inserted, core, SPACING_MM)
    assert found.recovery == 1
    assert found.displacement_mm == pytest.approx(0, abs=1e-9)
    assert found.leakage < 0.01
    transfer = response_transfer([found])
    assert transfer[np.isfinite(transfer)] == pytest.approx(1)


def test_half_of_a_dark_lesion_is_a_recovery_of_a_half(inserted, core):
    found = response(-0.5 * inserted, -inserted, core, SPACING_MM)
    assert found.recovery == pytest.approx(0.5)
    assert found.displacement_mm == pytest.approx(0, abs=1e-9)


def test_a_lesion_that_moves_by_a_pixel_is_displaced_by_a_pixel(inserted, core):
    found = response(np.roll(inserted, 1, axis=1), inserted, core, SPACING_MM)
    assert found.displacement_mm == pytest.approx(0.7, rel=0.05)


def test_a_lesion_that_vanishes_has_no_place(inserted, core):
    found = response(np.zeros_like(inserted), inserted, core, SPACING_MM)
    assert found.recovery == 0
    assert np.isnan(found.displacement_mm)
    assert np.isnan(found.leakage)


def test_what_shows_around_a_lesion_is_leakage(inserted, core):
    halo = inserted + 2.0 * (np.abs(inserted) < 0.02 * inserted.max())
    found = response(halo, inserted, core, SPACING_MM)
    inside = np.sqrt(np.square(inserted[inserted >= 0.5 * inserted.max()]).mean())
    assert found.leakage == pytest.approx(2.0 / inside, rel=0.05)


def test_the_response_transfer_of_a_blur_is_its_transfer_function(inserted, core):
    sd_mm = 0.8
    blurred = ndimage.gaussian_filter(inserted, sd_mm / 0.7, truncate=8)
    transfer = response_transfer([response(blurred, inserted, core, SPACING_MM)])
    frequency = ring_frequencies_per_mm()
    expected = np.exp(-2 * (np.pi * sd_mm * frequency) ** 2)
    known = np.isfinite(transfer) & (frequency < 0.4)
    assert known.sum() >= 6
    # Within a ring of 0.05 /mm the function changes by up to 0.12, and lesions have zeros there.
    assert transfer[known] == pytest.approx(expected[known], abs=0.04)


def test_the_core_of_an_ellipse_is_half_as_large_and_never_empty():
    core = core_of(Lesion(20.0, elongation=2.0), SIDE, SPACING_MM, (0.0, 0.0))
    area = core.sum() * 0.7**2
    assert area == pytest.approx(np.pi * 10**2 / 4, rel=0.05)
    assert core_of(Lesion(1.0), SIDE, SPACING_MM, (0.4, 0.4)).sum() >= 2


@pytest.mark.parametrize("slices", [3, 5, 10])
def test_the_interval_over_few_slices_holds_the_mean_as_often_as_it_says(slices):
    """Eight lesions in each; the slices differ as much as the lesions in them do."""
    rng = np.random.default_rng(3)
    lesions, repeats = 8, 400
    clusters = np.repeat(np.arange(slices), lesions)
    held = 0
    for _ in range(repeats):
        values = rng.normal(size=slices).repeat(lesions) + rng.normal(size=slices * lesions)
        _, interval = clustered_mean(values, clusters, draws=2000, rng=rng)
        held += interval.low <= 0 <= interval.high
    tolerance = 4 * np.sqrt(0.95 * 0.05 / repeats)
    assert held / repeats == pytest.approx(0.95, abs=tolerance)


def test_two_slices_are_too_few_for_an_interval():
    mean, interval = clustered_mean(
        np.array([1.0, 2.0, 3.0]), [0, 0, 4], draws=100, rng=np.random.default_rng(0)
    )
    assert mean == 2
    assert interval is None

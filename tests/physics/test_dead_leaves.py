"""Dead leaves have the sizes, the correlations and the spectrum that theory gives them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from ctdenoise.config.phantom_random import DeadLeavesSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.phantoms.dead_leaves import paint_dead_leaves
from ctdenoise.phantoms.leaves import draw_leaves, radius_power

LOW_MM, HIGH_MM = 3.0, 30.0
VARIANCE = 2000.0**2 / 12
"""Of Hounsfield units uniform between -1000 and 1000."""

SIZE, PIXEL_MM = 200, 0.5
SEEDS = 40

BALLS = DeadLeavesSettings(
    diameter_mm=200,
    radius_mm=(LOW_MM, HIGH_MM),
    kinds=("ellipsoid",),
    elongation=1.0,
    palette="uniform",
    texture_share=0.0,
)


def ball_overlap(distance_mm: float) -> float:
    """Mean volume that a ball shares with itself shifted, radii falling as r^-4; any unit."""

    def integrand(r: float) -> float:
        ratio = distance_mm / r
        return r**-4 * r**3 * (1 - 0.75 * ratio + ratio**3 / 16)

    start = max(LOW_MM, distance_mm / 2)
    if start >= HIGH_MM:
        return 0.0
    return float(integrate.quad(integrand, start, HIGH_MM)[0])


def correlation(distance_mm: float) -> float:
    """Probability that two points show the same leaf: K(h) / (2 K(0) - K(h)) (Matheron 1968)."""
    shared, alone = ball_overlap(distance_mm), ball_overlap(0.0)
    return shared / (2 * alone - shared)


RADII_MM = np.linspace(0, 2 * HIGH_MM, 400)
TABLE = np.array([correlation(radius) for radius in RADII_MM])


@pytest.fixture(scope="module")
def slices() -> np.ndarray:
    """Slices through many independent phantoms, [seed, y, x], far inside the body."""
    corner = -(SIZE - 1) / 2 * PIXEL_MM
    grid = Geometry.axial(
        (1, SIZE, SIZE),
        pixel_spacing_mm=PIXEL_MM,
        slice_spacing_mm=1.0,
        first_position_mm=(corner, corner, 0.0),
    )
    return np.array(
        [
            paint_dead_leaves(BALLS, grid, slice_thickness_mm=0.2, seed=seed).hu[0]
            for seed in range(SEEDS)
        ],
        dtype=float,
    )


def pixel_covariance(distance_mm: float) -> float:
    """Covariance of two voxels, each the mean over its area: C over pairs of points of both."""
    step = (np.arange(41) - 20) / 20.5
    weight = (1 - np.abs(step))[:, None] * (1 - np.abs(step))
    apart = np.hypot(distance_mm + step[:, None] * PIXEL_MM, step * PIXEL_MM)
    return VARIANCE * float(np.average(np.interp(apart, RADII_MM, TABLE), weights=weight))


@pytest.mark.parametrize("distance_mm", [1.0, 2.0, 4.0, 8.0, 16.0])
def test_the_correlation_is_that_of_theory(slices, distance_mm):
    lag = round(distance_mm / PIXEL_MM)
    products = (slices[:, :, lag:] * slices[:, :, :-lag]).mean(axis=(1, 2))
    squares = (slices**2).mean(axis=(1, 2))
    found = products.mean() / squares.mean()
    # The standard error of a ratio of means: what varies in both does not count.
    error = (products - found * squares).std(ddof=1) / squares.mean() / np.sqrt(SEEDS)
    assert error < 0.025
    expected = pixel_covariance(distance_mm) / pixel_covariance(0.0)
    assert found == pytest.approx(expected, abs=4 * error)


def test_the_variance_is_that_of_theory(slices):
    squares = (slices**2).mean(axis=(1, 2))
    error = squares.std(ddof=1) / np.sqrt(SEEDS)
    assert error < 0.04 * VARIANCE
    assert squares.mean() == pytest.approx(pixel_covariance(0.0), abs=4 * error)


def test_the_spectrum_falls_with_the_square_of_the_frequency_as_theory_predicts(slices):
    # The expected periodogram is the transform of the covariance times that of the window.
    axis = np.hanning(SIZE + 2)[1:-1]
    window = axis[:, None] * axis
    length = 2 * SIZE
    overlap = np.fft.ifft2(np.abs(np.fft.fft2(window, (length, length))) ** 2).real
    lag = np.minimum(np.arange(length), length - np.arange(length)) * PIXEL_MM
    covariance = VARIANCE * np.interp(np.hypot(lag[:, None], lag), RADII_MM, TABLE, right=0.0)
    expected = np.fft.fft2(covariance * overlap).real
    frequency = np.fft.fftfreq(length, PIXEL_MM)
    pixel = np.sinc(frequency * PIXEL_MM) ** 2  # a voxel is the mean over its area
    expected *= pixel[:, None] * pixel
    power = np.abs(np.fft.fft2(slices * window, (length, length))) ** 2

    radius = np.hypot(frequency[:, None], frequency)
    edges = np.geomspace(1 / 40, 0.3, 7)
    rings = [(radius >= low) & (radius < high) for low, high in pairwise(edges)]
    found = np.log([[one[ring].mean() for ring in rings] for one in power])
    theory = np.log([expected[ring].mean() for ring in rings])
    mean_log = np.log(np.exp(found).mean(axis=0))
    error = found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    np.testing.assert_array_less(np.abs(mean_log - theory), 4 * error)

    middle = np.log([radius[ring].mean() for ring in rings])
    slope, predicted = (np.polyfit(middle, values, 1)[0] for values in (mean_log, theory))
    slopes = [np.polyfit(middle, one, 1)[0] for one in found]
    assert slope == pytest.approx(predicted, abs=4 * np.std(slopes, ddof=1) / np.sqrt(SEEDS))
    assert predicted == pytest.approx(-2.0, abs=0.6)  # steeper where no leaf is small enough


def test_radii_follow_their_power_law():
    leaves = draw_leaves(DeadLeavesSettings(radius_mm=(3, 30)), 0, low_mm=-30, high_mm=30)
    here = np.abs(leaves.centre_mm[:, 2]) < 30
    here &= np.hypot(leaves.centre_mm[:, 0], leaves.centre_mm[:, 1]) < 150
    power = radius_power(DeadLeavesSettings())
    assert power == 4.0

    def distribution(r: np.ndarray) -> np.ndarray:
        return (r ** (1 - power) - 3 ** (1 - power)) / (30 ** (1 - power) - 3 ** (1 - power))

    radii = leaves.radius_mm[here]
    assert len(radii) > 10_000
    assert stats.kstest(radii, distribution).pvalue > 1e-3


@pytest.mark.parametrize("octave", [(3.0, 6.0), (6.0, 12.0), (12.0, 24.0)])
def test_discs_in_a_slice_have_the_exponent_asked_for(octave):
    leaves = draw_leaves(BALLS, 1, low_mm=-0.1, high_mm=0.1)
    inside = np.hypot(leaves.centre_mm[:, 0], leaves.centre_mm[:, 1]) < 100
    square = leaves.radius_mm**2 - leaves.centre_mm[:, 2] ** 2
    discs = np.sqrt(square[inside & (square > 0)])

    def density(s: float) -> float:
        # Balls of r^-4 cut by a plane; t = sqrt(r^2 - s^2) takes the pole out of the integral.
        most = np.sqrt(HIGH_MM**2 - s**2)
        return s * float(integrate.quad(lambda t: (s * s + t * t) ** -2.5, 0, most)[0])

    def count(low: float, high: float) -> float:
        return float(integrate.quad(density, low, high)[0])

    found = [((discs >= a) & (discs < b)).sum() for a, b in (octave, (3.0, 30.0))]
    share = count(*octave) / count(3.0, 30.0)
    error = np.sqrt(share * (1 - share) / found[1])
    assert found[0] / found[1] == pytest.approx(share, abs=4 * error)
    # Without an upper end, each octave has a quarter of the discs of the one before.
    if octave[1] < 20:
        assert count(octave[0] * 2, octave[1] * 2) / count(*octave) == pytest.approx(0.25, abs=0.04)

"""Noise by way of parallel rays against that of the fan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.low_dose import simulate_low_dose
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import added_noise, slice_keys
from ctdenoise.simulation.parallel import insertion_of
from tests.builders import water_disc

SLICES, SIZE, SPACING = 64, 96, 4.8
GEOMETRY = Geometry.axial((SLICES, SIZE, SIZE), pixel_spacing_mm=SPACING, slice_spacing_mm=1.0)
SCANNER = ScannerSettings(
    distances="setting", views_per_turn=576, channels=368, channel_pitch_mm=2.5716
)
AXIS = (np.arange(SIZE) - (SIZE - 1) / 2) * SPACING
X, Y = AXIS[None], AXIS[:, None]
BODIES = {"disc": (215.0, 215.0), "ellipse": (225.0, 140.0)}
PLACES = {
    "centre": (0.0, 0.0),
    "100 mm": (100.0, 0.0),
    "150 mm": (150.0, 0.0),
    "200 mm": (200.0, 0.0),
    "above": (0.0, 120.0),
}


def variances(
    geometry: str, half_axes: tuple[float, float], *, photons: float, **scanner: object
) -> FloatArray:
    """Variance of the added noise over independent slices, [y, x]."""
    settings = SimulateSettings(scanner=SCANNER.replaced(**scanner))
    model = ScanModel.of(GEOMETRY, Acquisition(kvp=120.0), settings)
    inside = (X / half_axes[0]) ** 2 + (Y / half_axes[1]) ** 2 <= 1
    hu = np.repeat(np.where(inside, 0.0, -1000.0)[None], SLICES, axis=0).astype(np.float32)
    insertion = insertion_of(replace(model, geometry=geometry))
    noise = insertion.draw(
        insertion.project(hu),
        added_noise(0.25, electronic_noise=5.5, floor=1.0, dual_below=100.0),
        photons=np.full(SLICES, photons, np.float32),
        keys=slice_keys([f"{geometry} {index}".encode() for index in range(SLICES)]),
    )
    return noise[:, :, :SLICES].var(axis=2, ddof=1)


@pytest.mark.parametrize("photons", [1e7, 2e5], ids=["many photons", "starved"])
@pytest.mark.parametrize("body", BODIES)
def test_parallel_noise_is_as_strong_as_that_of_the_fan_everywhere(body, photons):
    scanner = {"bowtie": "body", "angular_modulation": 0.5}
    fan, parallel = (
        variances(geometry, BODIES[body], photons=photons, **scanner)
        for geometry in ("fan", "parallel")
    )
    for name, (x, y) in PLACES.items():
        # Both sides of the body; pixels 4.8 mm apart are close to independent.
        near = (np.abs(np.abs(X) - x) <= 12) & (np.abs(np.abs(Y) - y) <= 12)
        ratio = np.sqrt(parallel[near].mean() / fan[near].mean())
        error = np.sqrt(1 / (SLICES * near.sum()))  # of the ratio of two standard deviations
        assert error < 0.03
        assert ratio == pytest.approx(1, abs=0.02 + 3 * error), name


def test_rebinned_noise_is_that_of_the_fan_at_the_centre_and_less_far_from_it():
    fan, rebinned = (
        variances(geometry, BODIES["disc"], photons=1e7, bowtie="none")
        for geometry in ("fan", "rebinned")
    )
    radius = np.hypot(X, Y)
    for distance in (0, 100, 200):
        ring = np.abs(radius - distance) <= 12
        ratio = np.sqrt(rebinned[ring].mean() / fan[ring].mean())
        # In the middle of a disc all directions count alike: the mean of (D / L)^3 over a turn.
        angles = np.linspace(0, 2 * np.pi, 720)
        across, along = distance * np.cos(angles), distance * np.sin(angles)
        cosine = np.sqrt(1 - (across / 595) ** 2)
        path = 2 * np.sqrt(215.0**2 - across**2)
        variance = np.exp(0.0192 * (path - 430)) * cosine
        expected = (variance * (595 / (595 * cosine + along)) ** 3).sum() / variance.sum()
        error = np.sqrt(1 / (SLICES * ring.sum()))
        assert ratio == pytest.approx(1 / np.sqrt(expected), abs=0.02 + 3 * error)


@pytest.mark.parametrize("geometry", ["parallel", "rebinned"])
def test_blocks_do_not_change_a_voxel(geometry):
    volume = water_disc(slices=20, noise_hu=5.0)
    settings = SimulateSettings(
        photons=2e4,
        geometry=geometry,
        scanner=ScannerSettings(
            distances="setting", channels=97, channel_pitch_mm=3.0, views_per_turn=96
        ),
    )
    one, two = (
        simulate_low_dose(
            volume, settings.replaced(slices_per_batch=batch), np.random.default_rng(1)
        )
        for batch in (32, 3)
    )
    assert np.array_equal(one.low.hu, two.low.hu)

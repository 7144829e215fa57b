"""Slices that overlap share noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.low_dose import Simulator, plan_simulation, simulate_low_dose
from ctdenoise.simulation.overlap import MOST_SHARING, layer_weights
from tests.builders import water_disc

SCANNER = ScannerSettings(distances="setting", channels=97, channel_pitch_mm=3.0, views_per_turn=96)
SETTINGS = SimulateSettings(
    photons=2e4, scanner=SCANNER, kernel=GaussianKernelSettings(f50_per_mm=0.2)
)


def shared(weights: np.ndarray) -> np.ndarray:
    """Correlation of every two slices that weights of layers make."""
    slices, reach = weights.shape
    layers = np.zeros((slices, slices + reach))
    for index in range(slices):
        layers[index, index : index + reach] = weights[index]
    return layers @ layers.T


@pytest.mark.parametrize(
    ("positions", "thickness"),
    [
        (np.arange(300) * 2.5, 5.0),
        (np.arange(300) * -0.8, 1.0),
        (np.arange(60) * 1.0, 10.0),
        (np.arange(9) * 3.0, 3.0),
        (np.cumsum(np.random.default_rng(0).uniform(0.2, 3, 200)), 2.5),
        (np.array([0.0, 0.0, 1.0, 2.5]), 3.0),
        (np.array([0.0, 2.0, 4.0, 30.0, 32.0]), 3.0),
    ],
    ids=["half", "down", "tenths", "touching", "uneven", "twice the same", "gap"],
)
def test_weights_make_the_overlap_of_box_profiles(positions, thickness):
    distance = np.abs(positions[:, None] - positions[None, :])
    overlap = np.maximum(0, 1 - distance / thickness)
    weights = layer_weights(positions, thickness)
    assert shared(weights) == pytest.approx(overlap, abs=1e-6)  # single precision


@pytest.mark.parametrize("thickness", [None, 1.0, 2.0, 2.01])
def test_slices_that_do_not_overlap_are_independent(thickness):
    weights = layer_weights(np.arange(5) * 2.0, thickness)
    assert np.array_equal(weights, np.ones((5, 1)))


def test_an_absurd_thickness_is_not_believed():
    assert layer_weights(np.arange(100) * 1.0, 500.0).shape[1] == MOST_SHARING


def thick(*, slices: int, spacing: float, thickness: float) -> CTVolume:
    disc = water_disc(slices=slices, slice_spacing_mm=spacing)
    acquisition = replace(disc.acquisition, slice_thickness_mm=thickness)
    return replace(disc, acquisition=acquisition)


def noise(volume: CTVolume, **changes: object) -> np.ndarray:
    settings = SETTINGS.replaced(**changes)
    return simulate_low_dose(volume, settings, np.random.default_rng(1)).low.hu - volume.hu


def centre(images: np.ndarray) -> np.ndarray:
    """Every third pixel around the centre: at 6 mm their noise is close to independent."""
    return images[:, 16:48:3, 16:48:3].reshape(len(images), -1).astype(np.float64)


@pytest.mark.parametrize("photons", [2e4, 2e3], ids=["many photons", "starved"])
@pytest.mark.parametrize(("thickness", "spacing"), [(5.0, 2.5), (1.0, 0.8), (3.0, 2.0), (5.0, 1.0)])
def test_neighbours_correlate_as_their_profiles_overlap(thickness, spacing, photons):
    volume = thick(slices=160, spacing=spacing, thickness=thickness)
    values = centre(noise(volume, photons=photons))
    values -= values.mean()
    for ahead in (1, 2):
        products = values[ahead:] * values[:-ahead] / values.var()
        # Rows of slices are the independent units, as long as the slices that overlap are apart.
        blocks = [part.mean() for part in np.array_split(products, 12)]
        error = np.std(blocks, ddof=1) / np.sqrt(12)
        assert error < 0.025
        expected = max(0.0, 1 - ahead * spacing / thickness)
        assert products.mean() == pytest.approx(expected, abs=4 * error)


def test_overlap_does_not_change_the_variance():
    volume = thick(slices=96, spacing=2.5, thickness=5.0)
    alone, both = (centre(noise(volume, slice_correlation=how)) for how in ("none", "auto"))
    # Half of the 96 x 121 values are independent at least.
    error = np.sqrt(2 / alone.size + 2 / (both.size / 2))
    assert both.var() / alone.var() == pytest.approx(1, abs=4 * error)


def test_slices_that_only_touch_have_the_very_noise_of_independent_ones():
    volume = thick(slices=4, spacing=2.5, thickness=2.5)
    alone = noise(volume, slice_correlation="none")
    assert np.array_equal(noise(volume, slice_correlation="auto"), alone)


@pytest.mark.parametrize("batch", [1, 3, 16, 64])
def test_blocks_do_not_change_the_noise_of_overlapping_slices(batch):
    volume = thick(slices=40, spacing=1.0, thickness=4.5)
    whole = noise(volume, slices_per_batch=32, photons=1e3)
    assert np.array_equal(noise(volume, slices_per_batch=batch, photons=1e3), whole)


def test_a_block_wants_as_many_slices_ahead_as_overlap_and_is_as_noisy_without_them():
    volume = thick(slices=64, spacing=1.0, thickness=2.5)
    plan = plan_simulation(
        volume.select(range(16)),
        SETTINGS,
        7,
        geometry=volume.geometry,
        acquisition=volume.acquisition,
    )
    simulator = Simulator(plan)
    assert simulator.slices_ahead == 2
    block, ahead = volume.select(slice(0, 30)), volume.select(slice(30, 32))
    (known,) = simulator.twins(block, first=0, ahead=ahead)
    (unknown,) = simulator.twins(block, first=0)
    assert np.array_equal(known[:28], unknown[:28])
    ratio = centre(unknown - block.hu)[28:].std() / centre(known - block.hu)[28:].std()
    assert ratio == pytest.approx(1, abs=4 / np.sqrt(242))

"""Promises of the simulator other than its physics."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.low_dose import simulate_doses, simulate_low_dose
from tests.builders import water_disc

SCANNER = ScannerSettings(distances="setting", channels=97, channel_pitch_mm=3.0, views_per_turn=96)
KERNEL = GaussianKernelSettings()
QUARTER = SimulateSettings(dose=0.25, photons=2e4, scanner=SCANNER, kernel=KERNEL)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def volume() -> CTVolume:
    """Twenty different slices, the last ones starved."""
    disc = water_disc(slices=20, noise_hu=5.0)
    hu = disc.hu + np.linspace(0, 2000, 20, dtype=np.float32)[:, None, None] * (disc.hu > -500)
    return replace(disc, hu=hu)


@pytest.fixture(scope="module")
def twin(volume) -> np.ndarray:
    return simulate_low_dose(volume, QUARTER, rng()).low.hu


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(volume, twin):
    assert np.array_equal(simulate_low_dose(volume, QUARTER, rng()).low.hu, twin)
    assert not np.array_equal(simulate_low_dose(volume, QUARTER, rng(2)).low.hu, twin)


@pytest.mark.parametrize("batch", [1, 7, 16, 64])
def test_the_batch_size_does_not_change_a_voxel(volume, twin, batch):
    settings = QUARTER.replaced(slices_per_batch=batch)
    assert np.array_equal(simulate_low_dose(volume, settings, rng()).low.hu, twin)


def test_a_slice_has_the_same_noise_with_and_without_its_neighbours(volume, twin):
    part = volume.select([3, 11, 19])
    assert np.array_equal(simulate_low_dose(part, QUARTER, rng()).low.hu, twin[[3, 11, 19]])


def test_one_thread_gives_the_same_voxels_as_all(volume, twin):
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = simulate_low_dose(volume, QUARTER, rng()).low.hu
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(alone, twin)


def test_eight_threads_give_the_same_voxels(volume, twin, tmp_path):
    script = (
        "import sys, numpy as np; from tests.unit.simulation.test_low_dose import QUARTER, rng;"
        "from ctdenoise.simulation.low_dose import simulate_low_dose;"
        "from tests.builders import water_disc; from dataclasses import replace;"
        "disc = water_disc(slices=20);"
        "hu = np.load(sys.argv[1]);"
        "np.save(sys.argv[2], simulate_low_dose(replace(disc, hu=hu), QUARTER, rng()).low.hu)"
    )
    source, result = tmp_path / "source.npy", tmp_path / "twin.npy"
    np.save(source, volume.hu)
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, "-c", script, str(source), str(result)],
        check=True,
        cwd=root,
        env={**os.environ, "NUMBA_NUM_THREADS": "8"},
    )
    assert np.array_equal(np.load(result), twin)


def test_a_dose_has_the_same_noise_alone_and_in_a_list(volume, twin):
    half, quarter = simulate_doses(volume, QUARTER.replaced(dose=(0.5, 0.25)), rng())
    assert np.array_equal(quarter.low.hu, twin)
    noise = [pair.low.hu - volume.hu for pair in (half, quarter)]
    correlation = np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]
    assert abs(correlation) < 0.05  # about 2,000 independent values


def test_equal_slices_get_different_noise():
    disc = water_disc(slices=2)
    noise = simulate_low_dose(disc, QUARTER, rng()).low.hu - disc.hu
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


def test_full_dose_is_a_bit_identical_copy_and_a_warning(volume, caplog):
    with caplog.at_level(logging.WARNING):
        pair = simulate_low_dose(volume, QUARTER.replaced(dose=1.0), rng())
    assert np.array_equal(pair.low.hu, volume.hu)
    assert "copy" in caplog.text
    assert pair.exposure.dose_fraction == 1.0


def test_padding_is_bit_identical_and_attenuates_like_air(volume):
    padding = np.zeros(volume.shape, bool)
    padding[:, :10] = True
    odd = np.where(padding, np.float32(3000.0), volume.hu)
    air = np.where(padding, np.float32(-1000.0), volume.hu)
    padded = simulate_low_dose(replace(volume, hu=odd, padding=padding), QUARTER, rng()).low
    assert np.all(padded.hu[padding] == 3000.0)
    # Slice keys see the content, so compare spreads: dense padding would starve the rays.
    plain = simulate_low_dose(replace(volume, hu=air), QUARTER, rng()).low
    spread = [(image.hu - air)[:5][~padding[:5]].std() for image in (padded, plain)]
    assert spread[0] == pytest.approx(spread[1], rel=0.05)


def test_pixels_outside_the_scan_field_keep_their_values_and_tissue_there_is_told(caplog):
    disc = water_disc(slices=1, size=96, pixel_spacing_mm=4.0, radius_mm=170)
    with caplog.at_level(logging.WARNING):
        low = simulate_low_dose(disc, QUARTER, rng()).low
    axis = (np.arange(96) - 47.5) * 4.0
    radius = np.hypot(axis[None], axis[:, None])
    fan_radius = 595.0 * np.sin(48 * 3.0 / 1085.6)
    changed = low.hu[0] != disc.hu[0]
    assert not changed[radius > fan_radius].any()
    assert changed[radius < fan_radius - 4].mean() > 0.99
    assert "outside the scan field" in caplog.text


def test_oblong_pixels_and_matrices_of_any_size_work():
    geometry = Geometry.axial((3, 101, 122), pixel_spacing_mm=(3.0, 2.0), slice_spacing_mm=3.0)
    hu = np.full(geometry.shape, -1000, np.float32)
    hu[:, 30:70, 40:80] = 0
    low = simulate_low_dose(CTVolume(hu, geometry), QUARTER, rng()).low
    assert low.shape == (3, 101, 122)
    assert np.isfinite(low.hu).all()
    assert (low.hu - hu)[:, 40:60, 50:70].std() > 1


def test_history_holds_what_a_replay_needs(volume, twin):
    pair = simulate_low_dose(volume, QUARTER, rng())
    step = pair.low.history[-1]
    assert step.name == "simulate_low_dose"
    params = step.params
    assert params["dose_fraction"] == 0.25
    assert params["photons"] == 2e4
    assert params["calibrated_by"] == "setting"
    replayed = SimulateSettings.model_validate(params["settings"])
    assert np.array_equal(simulate_low_dose(volume, replayed, rng()).low.hu, twin)
    assert isinstance(params["seed"], int)


def test_header_exposure_shapes_the_noise_along_z():
    disc = water_disc(slices=2)
    modulated = replace(disc, acquisition=replace(disc.acquisition, exposure_mas=(40.0, 160.0)))
    noise = simulate_low_dose(modulated, QUARTER, rng()).low.hu - disc.hu
    part = np.s_[20:44, 20:44]
    assert noise[0][part].std() / noise[1][part].std() == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"row_direction": (0.0, 1.0, 0.0), "column_direction": (0.0, 0.0, -1.0)}, "not axial"),
        ({"pixel_spacing_mm": (0.07, 0.07)}, "millimetres"),
        ({"pixel_spacing_mm": (70.0, 70.0)}, "millimetres"),
    ],
)
def test_impossible_grids_are_refused(volume, change, words):
    one = volume.select([0])
    wrong = replace(one, geometry=replace(one.geometry, **change))
    with pytest.raises(SimulationError, match=words):
        simulate_low_dose(wrong, QUARTER, rng())


@pytest.mark.parametrize(
    ("scale", "shift", "words"),
    [(1 / 4000, 0.25, "normalised"), (100.0, 0.0, "no Hounsfield"), (1.0, 1024.0, "intercept")],
)
def test_values_that_are_no_hounsfield_units_are_refused(volume, scale, shift, words):
    hu = (volume.hu * np.float32(scale) + np.float32(shift)).clip(min=-1e5)
    if shift == 1024.0:
        hu = hu.clip(min=1)
    with pytest.raises(SimulationError, match=words):
        simulate_low_dose(replace(volume, hu=hu), QUARTER, rng())


def test_a_volume_of_nothing_but_padding_is_refused(volume):
    with pytest.raises(SimulationError, match="padding"):
        simulate_low_dose(replace(volume, padding=np.ones(volume.shape, bool)), QUARTER, rng())


def test_every_problem_is_told_at_once(volume):
    one = volume.select([0])
    wrong = replace(
        one, hu=one.hu / 4000, geometry=replace(one.geometry, pixel_spacing_mm=(0.07, 0.07))
    )
    with pytest.raises(SimulationError) as caught:
        simulate_low_dose(wrong, QUARTER, rng())
    assert "millimetres" in str(caught.value)
    assert "normalised" in str(caught.value)


def test_no_header_facts_are_needed():
    disc = replace(water_disc(slices=1), acquisition=Acquisition())
    pair = simulate_low_dose(disc, SimulateSettings(scanner=SCANNER), rng())
    assert pair.exposure.calibrated_by == "setting"
    assert pair.exposure.full_noise_hu == 0.0

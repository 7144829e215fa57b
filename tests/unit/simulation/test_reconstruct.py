"""Promises of artefacts and of reconstruction anew, other than their physics."""

from __future__ import annotations

import logging
from dataclasses import replace

import numba
import numpy as np
import pytest
from pydantic import ValidationError

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.low_dose import simulate_doses
from tests.builders import water_disc

SCANNER = ScannerSettings(distances="setting", channels=97, channel_pitch_mm=3.0, views_per_turn=96)
EVERYTHING = {
    "keep_every_view": 3,
    "metal": {"enabled": True},
    "rings": {"gain_sd": 0.01, "dead_channels": 2},
}


def wanted(mode: str, **changes: object) -> SimulateSettings:
    values = {
        "photons": 2e4,
        "scanner": SCANNER,
        "dose": (1.0, 0.25),
        "mode": mode,
        "geometry": "fan",
    }
    return SimulateSettings.model_validate({**values, "artefacts": EVERYTHING, **changes})


@pytest.fixture(scope="module")
def volume() -> CTVolume:
    """Twenty different slices, a rod of metal in the last ones."""
    disc = water_disc(slices=20, noise_hu=5.0)
    hu = disc.hu.copy()
    hu[15:, 28:31, 40:43] = 3071
    return replace(disc, hu=hu)


def twins(volume: CTVolume, settings: SimulateSettings) -> list[np.ndarray]:
    return [pair.low.hu for pair in simulate_doses(volume, settings, np.random.default_rng(1))]


@pytest.mark.parametrize("mode", ["insertion", "reconstruction"])
def test_blocks_threads_and_the_other_doses_do_not_change_a_voxel(volume, mode):
    full, quarter = twins(volume, wanted(mode))
    assert not np.array_equal(full, volume.hu)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = twins(volume, wanted(mode, dose=0.25, slices_per_batch=3))[0]
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(alone, quarter)


def test_overlapping_slices_share_noise_with_artefacts_as_without(volume):
    thick = replace(volume.acquisition, slice_thickness_mm=8.0)  # every 3 mm
    overlapping = replace(volume, acquisition=thick)
    rings = {"artefacts": {"rings": {"gain_sd": 1e-12}}, "dose": 0.25}
    with_rings = twins(overlapping, wanted("insertion", slices_per_batch=32, **rings))[0]
    without = twins(overlapping, wanted("insertion", slices_per_batch=7, **rings))[0]
    assert np.array_equal(with_rings, without)
    alone = twins(overlapping, wanted("insertion", artefacts={}, dose=0.25))[0]
    # The same rays; noise alone may wrap round the few channels of this detector in its filter.
    added, pure = with_rings - overlapping.hu, alone - overlapping.hu
    assert np.corrcoef(added.ravel(), pure.ravel())[0, 1] > 0.995
    assert added.std() == pytest.approx(pure.std(), rel=0.01)


def test_a_full_dose_with_artefacts_is_no_copy_and_no_cause_for_a_warning(volume, caplog):
    with caplog.at_level(logging.WARNING):
        simulate_doses(volume, wanted("insertion", dose=1.0), np.random.default_rng(1))
    assert "copy" not in caplog.text


def test_artefacts_of_the_full_dose_are_the_same_whatever_the_noise(volume):
    first, _ = twins(volume, wanted("insertion"))
    again = twins(volume, wanted("insertion", dose=1.0, photons=1e7))[0]
    # But for the most that can be measured behind metal, which photons bound.
    assert np.array_equal(first[:15], again[:15])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"geometry": "parallel"}, "artefacts need geometry fan"),
        ({"geometry": "rebinned"}, "artefacts need geometry fan"),
        ({"mode": "image_domain"}, "artefacts need mode"),
        ({"mode": "reconstruction", "artefacts": {}, "geometry": "parallel"}, "mode reconstruct"),
        ({"artefacts": {"keep_every_view": 2, "angle_degrees": 200}}, "cannot be combined"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_the_settings(changes, words):
    with pytest.raises(ValidationError, match=words):
        wanted(**{"mode": "insertion", **changes})

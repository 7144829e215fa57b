"""What was simulated can be rebuilt from the history alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import plan_simulation
from ctdenoise.simulation.recorded import recorded_scan
from tests.builders import water_disc

SLICES = 5


def scan() -> CTVolume:
    clean = water_disc(slices=SLICES, size=96, radius_mm=90.0)
    noise = np.random.default_rng(0).normal(0, 12, clean.shape).astype(np.float32)
    acquisition = Acquisition(
        kvp=100.0,
        exposure_mas=(80.0, 90.0, 100.0, 110.0, 120.0),
        convolution_kernel="B40f",
        manufacturer="SIEMENS",
        slice_thickness_mm=3.0,
        distance_source_to_patient_mm=570.0,
        distance_source_to_detector_mm=1040.0,
    )
    return CTVolume(clean.hu + noise, clean.geometry, acquisition)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"photons": 2e5, "kernel": {"name": "hann", "width": 0.8}},
        {"scanner": {"bowtie": "head", "angular_modulation": 0.5}, "mu_water_per_mm": 0.021},
        {"exposure_along_z": "flat", "mode": "image_domain"},
    ],
)
def test_model_and_photons_survive_the_record(changes):
    volume = scan()
    settings = SimulateSettings.model_validate(changes)
    plan = plan_simulation(
        volume.select(sample_indices(volume.geometry)),
        settings,
        7,
        geometry=volume.geometry,
        acquisition=volume.acquisition,
    )
    on_disk = Step("simulate_low_dose", json.loads(json.dumps(plan.step(0).as_json()["params"])))
    found = recorded_scan((on_disk,), geometry=volume.geometry, acquisition=volume.acquisition)
    assert found.settings == settings
    assert found.model == plan.calibration.model
    expected = plan.calibration.photons * plan.relative_exposure
    assert found.photons == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "history",
    [
        (),
        (Step("degrade", {"seed": 1}),),
        (Step("simulate_low_dose", {"dose_fraction": 0.5}),),
    ],
)
def test_other_histories_are_refused(history):
    volume = scan()
    with pytest.raises(SimulationError, match=r"history|record"):
        recorded_scan(history, geometry=volume.geometry, acquisition=volume.acquisition)

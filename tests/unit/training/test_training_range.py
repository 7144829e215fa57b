"""A checkpoint says within which limits the pixels of its training lay."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.training import TrainSettings
from ctdenoise.io.staged_scan import StagedScan
from ctdenoise.training.split import SliceRange
from ctdenoise.training.training_range import training_range
from tests.unit.inference.scans import body, noisy


def staged(volume, number=1):
    stored = np.rint(volume.hu).astype(np.int16)
    return StagedScan(number, "", volume.geometry, volume.acquisition, stored, "0" * 64)


def test_limits_are_those_of_what_is_measured_in_the_series():
    scans = [staged(noisy(body(), sd, seed)) for seed, sd in enumerate((10.0, 20.0))]
    parts = [SliceRange(scan, 0, scan.shape[0]) for scan in scans]
    blind = TrainSettings.model_validate({"supervision": {"name": "noise2sim"}})
    found = training_range(parts, blind)
    assert found["noise_hu"] == pytest.approx([10.0, 20.0], rel=0.1)
    low, high = found["noise_frequency_per_mm"]
    assert 0.1 < low <= high < 0.3
    assert found["slice_spacing_mm"] == [3.0, 3.0]
    # Means over 3.6 mm of 20 HU of noise, the highest of a few hundred in the bone.
    assert found["densest_hu"][1] == pytest.approx(600, abs=4 * 20)
    assert found["bright_soft_hu"][0] == pytest.approx(50, abs=15)


def test_noise_that_is_added_to_a_scan_counts_by_its_dose_and_so_does_its_own():
    scan = staged(noisy(body(), 10.0))
    settings = TrainSettings.model_validate(
        {"supervision": {"name": "recorrupted", "lowest_dose": 0.25, "highest_dose": 0.5}}
    )
    found = training_range([SliceRange(scan, 0, scan.shape[0])], settings)
    assert found["noise_hu"] == pytest.approx([10, 10 * 4**0.5], rel=0.1)

"""A checkpoint says within which limits the pixels of its training lay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.training import TrainSettings
from ctdenoise.io.staged_scan import StagedScan
from ctdenoise.training.split import SliceRange
from ctdenoise.training.training_range import limits_of, training_range
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


def test_phantoms_count_for_noise_and_grid_but_not_for_the_anatomy_of_scans():
    scan, phantom = staged(noisy(body(), 10.0)), noisy(body(), 30.0, 1)
    bright = phantom.hu + np.where(phantom.hu > 0, np.float32(400), np.float32(0))
    made = replace(phantom.acquisition, manufacturer="ctdenoise", body_part_examined="PHANTOM")
    made_scan = staged(replace(phantom, hu=bright, acquisition=made))
    parts = [SliceRange(one, 0, one.shape[0]) for one in (scan, made_scan)]
    blind = TrainSettings.model_validate({"supervision": {"name": "noise2sim"}})
    found, alone = training_range(parts, blind), training_range(parts[:1], blind)
    anatomy = ("bright_soft_hu", "bright_even_hu", "densest_hu", "bone_ring_mm", "body_mm")
    assert {key: found.get(key) for key in anatomy} == {key: alone.get(key) for key in anatomy}
    assert (found["scans"], found["phantoms"]) == (1, 1)
    assert found["noise_hu"][1] > alone["noise_hu"][1]
    assert found["normal_noise_hu"] == alone["normal_noise_hu"]
    assert "PHANTOM" not in found.get("body_parts", [])
    assert training_range(parts[1:], blind)["body_parts"] == ["PHANTOM"]


def test_the_outermost_of_many_series_make_no_range():
    few, many = [1.0, *[5.0] * 38, 99.0], [1.0, *[5.0] * 78, 99.0]
    assert limits_of(few[1:]) == [5.0, 99.0]
    assert limits_of(few) == [5.0, 5.0]
    assert limits_of([*many, None]) == [5.0, 5.0]
    assert limits_of([None]) is None

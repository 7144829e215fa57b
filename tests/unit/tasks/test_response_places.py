"""Where lesions are put: on pixels of any shape, over the whole scan, each tissue for itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.response import InsertedSettings, ResponseSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.inference.load import load_denoiser
from ctdenoise.tasks.response import measure_response
from tests.unit.inference.scans import body, noisy

SETTINGS = ResponseSettings(
    slices=3,
    apart_mm=14,
    soft=InsertedSettings(contrasts_hu=(15,), diameters_mm=(7, 10)),
    lung=InsertedSettings(contrasts_hu=(100,), diameters_mm=(7,)),
    organ=InsertedSettings(contrasts_hu=(15, 30), diameters_mm=(7,)),
    f50_per_mm=0.3,
    draws=100,
)


@pytest.fixture(scope="module")
def scan():
    """A body of 6 slices with noise."""
    return noisy(body(), 15.0)


@pytest.mark.parametrize("spacing", [(0.6, 1.3), (1.3, 0.6)])
def test_lesions_fit_into_images_whose_pixels_are_no_squares(scan, spacing):
    uniform = np.random.default_rng(0).normal(40, 15, (4, 128, 128)).astype(np.float32)
    geometry = Geometry.axial(uniform.shape, pixel_spacing_mm=spacing, slice_spacing_mm=3.0)
    long = replace(scan, hu=uniform, geometry=geometry)
    found = measure_response(load_denoiser("identity"), long, SETTINGS)
    recoveries = [one.value for one in found.metrics if one.key.startswith("contrast_recovery")]
    assert recoveries == pytest.approx([1.0] * len(recoveries), abs=1e-5)
    assert recoveries


def test_slices_with_lesions_reach_from_one_end_of_the_scan_to_the_other(scan):
    found = measure_response(load_denoiser("identity"), scan, SETTINGS.replaced(slices=4))
    conditions = dict(found.conditions)["response"]
    assert isinstance(conditions, dict)
    slices = conditions["slices"]
    assert isinstance(slices, list)
    assert len(slices) == 4
    assert max(slices) >= 5


@pytest.mark.parametrize("name", ["lung", "soft tissue", "liver"])
def test_an_organ_that_is_called_as_another_class_or_a_tissue_has_figures_of_its_own(scan, name):
    labels = np.zeros(scan.shape, dtype=np.uint8)
    labels[:, 110:150, 100:160] = 1
    labels[:, 60:90, 60:200] = 2
    names = ("background", name, "liver")
    found = measure_response(load_denoiser("identity"), scan, SETTINGS, labels=labels, names=names)
    keys = [one.key for one in found.metrics]
    assert len(set(keys)) == len(keys)
    assert f"contrast_recovery[{name} (class 1), 30 HU, 7 mm]" in keys
    assert "contrast_recovery[15 HU, 7 mm]" in keys


def test_false_structure_is_searched_for_in_a_phantom_without_noise(scan):
    block = np.full((3, 128, 128), -1000.0, np.float32)
    block[:, 14:-14, 14:-14] = 40
    geometry = Geometry.axial(block.shape, pixel_spacing_mm=(1.0, 1.0), slice_spacing_mm=3.0)
    found = measure_response(
        load_denoiser("identity"), replace(scan, hu=block, geometry=geometry), SETTINGS
    )
    assert found["false_structure"].value == 0

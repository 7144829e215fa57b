"""Size, skull and contrast medium are found in the pixels, whatever a header says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.scan_anatomy import scan_anatomy

SIZE, SPACING_MM = 256, 1.0
ROWS, COLUMNS = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
RADIUS = np.hypot(ROWS, COLUMNS)


def measured(image, *, noise_hu=0.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, noise_hu, image.shape) if noise_hu else 0.0
    hu = (image + noise).astype(np.float32)[None]
    geometry = Geometry.axial(hu.shape, pixel_spacing_mm=SPACING_MM, slice_spacing_mm=3.0)
    volume = CTVolume(hu, geometry)
    return scan_anatomy(volume, body_mask(volume.hu), noise_hu=noise_hu or None)


def head(thickness_mm=6.0, inside_hu=35.0):
    image = np.where(RADIUS < 80, 40.0, -1000.0)
    image = np.where(RADIUS < 75, 1000.0, image)
    return np.where(RADIUS + thickness_mm < 75, inside_hu, image)


def trunk(spine_hu=180.0):
    """An ellipse with twelve ribs, a spongy vertebra with a canal, and an aorta."""
    body = (ROWS / 80) ** 2 + (COLUMNS / 115) ** 2
    image = np.where(body < 1, 40.0, -1000.0)
    angle = np.arctan2(ROWS / 80, COLUMNS / 115)
    ribs = (body < 0.85) & (body > 0.74) & (np.sin(12 * angle) > 0.3)
    image = np.where(ribs, 700.0, image)
    vertebra = np.hypot(ROWS - 35, COLUMNS)
    spongy = 90 * np.sign(np.sin(ROWS / 2) * np.sin(COLUMNS / 2))  # squares of 6 mm
    image = np.where(vertebra < 20, spine_hu + spongy, image)
    return np.where(np.hypot(ROWS - 50, COLUMNS) < 9, 20.0, image)


def with_aorta(image, hu):
    return np.where(np.hypot(ROWS - 5, COLUMNS + 20) < 12, float(hu), image)


def test_size_is_that_of_a_disc_of_the_same_area():
    assert measured(head()).body_mm == pytest.approx(160, abs=2)
    assert measured(trunk()).body_mm == pytest.approx(2 * np.sqrt(80 * 115), rel=0.02)


def test_a_body_that_the_image_cuts_off_has_no_size():
    assert measured(np.full((SIZE, SIZE), 40.0)).body_mm is None


@pytest.mark.parametrize("thickness_mm", [3.0, 8.0])
@pytest.mark.parametrize("noise_hu", [0.0, 60.0])
def test_a_skull_closes_around_a_brain(thickness_mm, noise_hu):
    found = measured(head(thickness_mm), noise_hu=noise_hu)
    assert found.bone_ring_mm == pytest.approx(2 * (75 - thickness_mm), rel=0.08)


def test_an_empty_skull_and_one_with_a_suture_are_skulls():
    open_skull = np.where((np.abs(COLUMNS) < 2) & (ROWS < 0) & (RADIUS < 75), 35.0, head())
    assert measured(open_skull).bone_ring_mm > 120
    assert measured(head(inside_hu=-1000.0)).bone_ring_mm > 120


@pytest.mark.parametrize("noise_hu", [0.0, 60.0])
def test_ribs_and_vertebrae_close_around_little(noise_hu):
    assert measured(trunk(), noise_hu=noise_hu).bone_ring_mm < 50


@pytest.mark.parametrize("aorta_hu", [150, 350, 600])
@pytest.mark.parametrize("noise_hu", [0.0, 20.0])
def test_blood_with_contrast_medium_is_measured(aorta_hu, noise_hu):
    found = measured(with_aorta(trunk(), aorta_hu), noise_hu=noise_hu)
    assert found.bright_even_hu == pytest.approx(aorta_hu, abs=10)


def test_bone_counts_as_no_contrast_medium_however_dense():
    assert measured(trunk(spine_hu=500.0)).bright_even_hu == pytest.approx(40, abs=5)


def test_padding_closes_around_nothing():
    outside = RADIUS > 110
    image = np.where(outside, 3000.0, np.where(RADIUS < 80, 40.0, -1000.0))[None]
    geometry = Geometry.axial((1, SIZE, SIZE), pixel_spacing_mm=SPACING_MM, slice_spacing_mm=3.0)
    padded = CTVolume(image.astype(np.float32), geometry, padding=outside[None])
    body = body_mask(padded.hu, padded.padding)
    assert scan_anatomy(padded, body, noise_hu=None).bone_ring_mm == 0
    assert scan_anatomy(replace(padded, padding=None), body, noise_hu=None).bone_ring_mm > 200


def test_air_has_no_anatomy():
    found = measured(np.full((SIZE, SIZE), -1000.0))
    assert (found.body_mm, found.bone_ring_mm, found.bright_even_hu) == (None, None, None)

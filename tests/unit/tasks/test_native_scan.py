"""Native scans of phantoms: what they promise beside the physics."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.native_scan import NativeScanSettings
from ctdenoise.config.phantom import RodsSettings
from ctdenoise.errors import SimulationError, UsageError
from ctdenoise.phantoms.aperture import Reading
from ctdenoise.phantoms.rods import rods_shapes
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import ellipsoid
from ctdenoise.simulation.filters import header_f50_per_mm
from ctdenoise.tasks.native_scan import NativeScan
from tests.physics.fan_scan import SMALL_SCANNER

SETTINGS = NativeScanSettings(
    scanner=SMALL_SCANNER, size=32, field_of_view_mm=220.0, photons=1e5, slice_thickness_mm=2.0
)
WATER = rods_shapes(RodsSettings(inserts=(), diameter_mm=180.0))


def scan_of(slices: int, **changes: object) -> NativeScan:
    positions = tuple(2.0 * np.arange(slices))
    return NativeScan(WATER, SETTINGS.replaced(**changes), positions_mm=positions)


@pytest.mark.parametrize("counting", ["moments", "poisson"])
def test_the_same_seed_and_repeat_give_the_same_scan_whatever_is_scanned_beside(counting):
    few, many = scan_of(3, counting=counting), scan_of(20, counting=counting)
    first = many.scan(0.5, seed=4, repeat=2).hu
    assert np.array_equal(first, many.scan(0.5, seed=4, repeat=2).hu)
    assert np.array_equal(first[:3], few.scan(0.5, seed=4, repeat=2).hu)


def test_repeats_seeds_doses_and_slices_have_noise_of_their_own():
    scan = scan_of(2)
    clean = scan.without_noise().hu
    draws = [
        scan.scan(dose, seed=seed, repeat=repeat).hu - clean
        for dose, seed, repeat in ((1.0, 1, 0), (1.0, 1, 1), (1.0, 2, 0), (0.5, 1, 0))
    ]
    inside = np.hypot(*np.mgrid[-15.5:16, -15.5:16]) < 10
    flat = np.array([draw[index][inside] for draw in draws for index in range(2)])
    correlation = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(correlation).max() < 0.4  # some 300 pixels, correlated with their neighbours


def test_two_phantoms_scanned_with_the_same_seed_share_their_noise():
    faint = (*WATER, *rods_shapes(RodsSettings(diameter_mm=20.0, hu=10, inserts=())))
    plain = scan_of(1)
    other = NativeScan(faint, SETTINGS, positions_mm=(0.0,))
    noise = [scan.scan(1.0, seed=3).hu[0] - scan.without_noise().hu[0] for scan in (plain, other)]
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] > 0.999


def test_a_scan_says_how_it_was_made():
    volume = scan_of(3).scan(0.25, seed=4, repeat=1)
    acquisition = volume.acquisition
    assert acquisition.exposure_mas == (50.0,) * 3
    assert acquisition.slice_thickness_mm == 2.0
    assert acquisition.convolution_kernel == "GAUSS 0.335"
    assert acquisition.reconstruction_diameter_mm == 220.0
    assert acquisition.distance_source_to_patient_mm == SMALL_SCANNER.source_to_isocentre_mm
    assert volume.geometry.slice_spacing_mm == 2.0
    assert volume.history[-1].params["dose_fraction"] == 0.25
    assert header_f50_per_mm(acquisition) is None  # no maker's kernel is mistaken for it


def test_phantoms_that_change_along_z_are_projected_in_every_slice():
    ball = Shape("ball", 0.0, (ellipsoid((0.0, 0.0, 0.0), (60.0, 60.0, 60.0)),))
    scan = NativeScan((ball,), SETTINGS, positions_mm=(-50.0, 0.0, 50.0))
    clean, truth = scan.without_noise().hu, scan.truth_image().hu
    filled = (clean > -500).sum(axis=(1, 2))
    assert filled[0] == filled[2] < filled[1]
    assert np.abs(filled - (truth > -500).sum(axis=(1, 2))).max() <= 12


@pytest.mark.parametrize("dose", [0.0, -1.0, float("nan")])
def test_a_dose_that_is_not_positive_is_refused(dose):
    with pytest.raises(SimulationError, match="not positive"):
        scan_of(1).scan(dose, seed=1)


def test_a_phantom_without_a_slice_is_refused():
    with pytest.raises(UsageError, match="slice"):
        NativeScan(WATER, SETTINGS, positions_mm=())


@pytest.mark.parametrize("rays", [1, 2, 7, 8, 30, 64])
def test_rays_of_a_reading_meet_every_part_of_each_width_once(rays):
    offsets = Reading(1e-3, 1.0, 1e-3, rays).offsets()
    parts = (np.arange(rays) + 0.5) / rays - 0.5
    for axis in range(3):
        assert np.sort(offsets[:, axis]) == pytest.approx(parts)
    assert len(np.unique(offsets, axis=0)) == rays

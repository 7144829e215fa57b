"""Artefacts of sparse and limited views, metal and faulty channels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from ctdenoise.config.artefacts import ArtefactSettings, RingSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.artefacts import Artefacts
from ctdenoise.simulation.detector_faults import detector_faults
from ctdenoise.simulation.fbp import FilteredBackProjection, channel_weights
from ctdenoise.simulation.full_projection import FullProjector
from ctdenoise.simulation.low_dose import simulate_low_dose
from ctdenoise.simulation.measured_views import ray_weights
from ctdenoise.simulation.metal import (
    ENERGIES_KEV,
    HardeningTable,
    harden,
    hardening_table,
    spectrum_of,
    without_linear_part,
)
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.vectors import LANES, aligned_zeros
from tests.physics.fan_scan import MU_WATER, ellipse, noise_of, settings, small_fan

Array = np.ndarray


def artefact_of(volume: CTVolume, seed: int = 0, **artefacts: object) -> Array:
    """What artefacts alone add, HU, [slice, y, x]."""
    return noise_of(volume, seed, dose=1.0, artefacts=artefacts)


def test_a_sparse_twin_differs_from_the_scan_by_the_sparse_minus_the_full_reconstruction():
    volume = ellipse((80, 50), slices=2)
    model = ScanModel.of(volume.geometry, Acquisition(), settings())
    data = FullProjector(model).project(volume.hu)
    few = replace(model.fan, views=model.fan.views // 4)
    sparse = FilteredBackProjection(few, model.grid, model.kernel).reconstruct(
        np.ascontiguousarray(data[::4])
    )
    full = FilteredBackProjection(model.fan, model.grid, model.kernel).reconstruct(data)
    expected = (sparse - full)[:, :, :2].transpose(2, 0, 1) * (1000 / MU_WATER)
    # Single precision: line integrals up to 3 in sums of 160 views.
    assert np.abs(expected).max() > 50
    assert np.abs(artefact_of(volume, keep_every_view=4) - expected).max() < 0.05


def test_streaks_grow_with_the_views_left_out():
    volume = ellipse((60, 30), slices=1)
    energy = [float((artefact_of(volume, keep_every_view=n) ** 2).mean()) for n in (2, 4, 8, 16)]
    assert all(more > 1.5 * fewer for fewer, more in pairwise(energy))


def test_sparse_views_raise_the_noise_as_the_dose_left_out():
    disc = ellipse((70, 70), slices=32)
    middle = slice(44, 52)
    variance = []
    for every in (1, 4):
        artefacts = {"keep_every_view": every}
        noisy = noise_of(disc, 1, dose=1.0, source_noise="none", artefacts=artefacts)
        each = noisy - noisy.mean(axis=0)  # streaks are the same in every slice
        variance.append((each[:, middle, middle] ** 2).mean() * 32 / 31)
    # 64 pixels of 32 slices, of which one in four is independent: 2 sqrt(2 / 512) = 0.13 for the
    # ratio of two.
    assert variance[1] / variance[0] == pytest.approx(4, rel=0.4)


@pytest.mark.parametrize("views", [160, 152])
def test_weights_of_sparse_views_add_up_to_the_turn(views):
    fan = replace(small_fan(), views=views)
    weights = ray_weights(fan, ArtefactSettings(keep_every_view=7))
    assert weights.sum(axis=0) == pytest.approx(views)
    assert np.count_nonzero(weights[:, 0]) == -(-views // 7)


def test_half_a_turn_and_the_fan_is_enough_and_less_is_not():
    volume = ellipse((60, 40), slices=1)
    body = volume.hu[0] > -10
    fan = small_fan()
    enough = 180 + 2 * np.degrees(fan.fan_angles[-1]) + 20  # and the edges, which count less
    # Fewer views: aliasing of 160 in the turn, some HU; but no line is missing.
    assert np.abs(artefact_of(volume, angle_degrees=enough)[0][body]).mean() < 5
    # A third of all directions is missing from the middle.
    middle = artefact_of(volume, angle_degrees=120)[0, 44:52, 44:52]
    assert middle.mean() == pytest.approx(-1000 / 3, abs=60)


def test_where_the_arc_starts_turns_the_artefact():
    volume = ellipse((50, 50), slices=1)
    first = artefact_of(volume, angle_degrees=150)[0]
    turned = artefact_of(volume, angle_degrees=150, first_angle_degrees=90)[0]
    # A quarter of a turn from the lower edge to the left one.
    assert np.abs(np.rot90(first, -1) - turned).max() < 1


def attenuation(table: HardeningTable, water_mm: float, metal_mm: float) -> float:
    """-ln of the energy that comes through water and metal, band by band."""
    path = table.water_per_mm * water_mm + table.metal_per_mm * metal_mm
    return float(-np.log(np.sum(table.spectrum * np.exp(-path))))


@pytest.mark.parametrize("kvp", [80.0, 120.0, 140.0])
def test_the_water_correction_gives_water_its_own_attenuation(kvp):
    table = hardening_table("titanium", kvp=kvp, mu_water_per_mm=MU_WATER)
    for water_mm in (0.5, 10.0, 200.0, 450.0):
        at = attenuation(table, water_mm, 0.0) * table.steps_per_unit
        corrected = np.interp(at, np.arange(len(table.corrected)), table.corrected)
        # 1 HU is a thousandth.
        assert corrected == pytest.approx(MU_WATER * water_mm, rel=1e-4)


def test_the_effective_attenuation_of_water_is_that_of_the_scale():
    table = hardening_table("titanium", kvp=120.0, mu_water_per_mm=MU_WATER)
    # 0.0192 per mm at 120 kV, behind a body.
    assert attenuation(table, 300.0, 0.0) / 300 == pytest.approx(0.0192, rel=0.02)
    assert spectrum_of(110.0).sum() == pytest.approx(1)
    assert spectrum_of(80.0) @ ENERGIES_KEV < spectrum_of(140.0) @ ENERGIES_KEV


def test_a_ray_through_metal_is_attenuated_as_its_bands_say():
    table = hardening_table("iron", kvp=120.0, mu_water_per_mm=MU_WATER)
    scan, soft, metal_mm, extra = (aligned_zeros(8, 2, LANES) for _ in range(4))
    scan[:], soft[:] = 4.5, 4.0
    metal_mm[:, 1] = 3.0
    harden(scan, soft, metal_mm, table, np.full(LANES, 12, np.float32), extra)
    polyenergetic = attenuation(table, 200.0, 3.0)
    water = np.linspace(0, 600, 60001)
    thickness = np.array([attenuation(table, w, 0.0) for w in water[::100]])
    expected = MU_WATER * np.interp(polyenergetic, thickness, water[::100])
    assert soft[:, 1] == pytest.approx(expected - 4.0, rel=1e-4)
    assert extra[:, 1] == pytest.approx(expected - 4.5, rel=1e-4)
    assert not soft[:, 0].any()  # no metal, nothing at all
    assert not extra[:, 0].any()


def rods() -> tuple[CTVolume, Array]:
    """Water with two rods of metal, left and right; where the metal is."""
    volume = ellipse((90, 60), slices=1)
    axis = (np.arange(96) - 47.5) * 2.0
    metal = np.zeros((96, 96), bool)
    for x in (-45.0, 45.0):
        metal |= (axis[None, :] - x) ** 2 + axis[:, None] ** 2 < 8.0**2
    hu = np.where(metal, np.float32(3071), volume.hu)
    return replace(volume, hu=hu), metal


@pytest.mark.parametrize("material", ["titanium", "iron", "gold"])
def test_metal_draws_a_dark_band_between_two_rods_and_keeps_its_own_value(material):
    volume, metal = rods()
    change = artefact_of(volume, metal={"enabled": True, "material": material})[0]
    between, above = change[46:50, 40:56].mean(), change[28:32, 40:56].mean()
    assert between < -100
    assert abs(above) < 0.2 * abs(between)
    assert not change[metal].any()


def test_what_is_proportional_to_the_metal_is_no_artefact():
    rng = np.random.default_rng(0)
    metal_mm = rng.uniform(0, 20, (8, 5, LANES)).astype(np.float32)
    per_mm = np.linspace(0.1, 0.5, LANES, dtype=np.float32)  # of each slice
    bend = (0.001 * metal_mm**2).astype(np.float32)
    straight = without_linear_part(per_mm * metal_mm, metal_mm.copy())
    assert np.abs(straight).max() < 1e-5
    left = without_linear_part(per_mm * metal_mm - bend, metal_mm.copy())
    # The remainder has no part along the length of metal, in any slice.
    assert (left * metal_mm).sum(axis=(0, 1)) == pytest.approx(0, abs=1e-2)
    assert np.abs(left).max() > 0.01


def test_metal_settings_leave_water_alone():
    assert not artefact_of(ellipse((70, 50), slices=1), metal={"enabled": True}).any()


def test_heavier_metal_starves_the_rays_behind_it():
    volume, _ = rods()
    many = replace(
        volume,
        hu=np.repeat(volume.hu, 16, axis=0),
        geometry=ellipse((90, 60)).geometry,
    )
    spread = []
    for material in ("titanium", "iron"):
        artefacts = {"metal": {"enabled": True, "material": material}}
        noise = noise_of(many, dose=0.5, source_noise="none", artefacts=artefacts)
        spread.append(noise.std(axis=0)[46:50, 40:56].mean())
    usual = noise_of(many, dose=0.5, source_noise="none").std(axis=0)[46:50, 40:56].mean()
    assert usual * 1.5 < spread[0] < spread[1]


def test_noise_streaks_of_metal_are_those_of_counted_photons():
    volume, _ = rods()
    slices = 32
    many = replace(
        volume,
        hu=np.repeat(volume.hu, slices, axis=0),
        geometry=ellipse((90, 60), slices=slices).geometry,
    )
    common = {"source_noise": "none", "artefacts": {"metal": {"enabled": True}}, "dose": 0.25}
    inserted = noise_of(many, 1, **common)
    counted = noise_of(many, 2, mode="reconstruction", **common)
    for rows in (slice(46, 50), slice(26, 34)):  # between the rods, and in front of them
        spread, error = [], []
        for noise in (inserted, counted):
            part = noise[:, rows, 40:56]
            each = ((part - part.mean(axis=0)) ** 2).mean(axis=(1, 2))
            spread.append(each.mean())
            error.append(each.std(ddof=1) / np.sqrt(slices) / each.mean())
        tolerance = 0.04 + 4 * np.hypot(*error)
        assert tolerance < 0.6
        assert spread[0] / spread[1] == pytest.approx(1, abs=tolerance)


def polar(image: Array, radii: Array) -> Array:
    """An image on circles around its centre, [radius, angle]."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    middle = (image.shape[0] - 1) / 2
    y = middle + radii[:, None] * np.sin(angle)
    x = middle + radii[:, None] * np.cos(angle)
    return np.asarray(map_coordinates(image, [y, x], order=1))


def test_gain_errors_draw_rings_around_the_isocentre():
    volume = ellipse((70, 70), slices=3)
    change = artefact_of(volume, rings={"gain_sd": 0.01})
    rings = polar(change[0], np.arange(4.0, 44.0))
    share = (rings.mean(axis=1) ** 2).mean() / (rings**2).mean()
    assert share > 0.9  # the rest is what pixels make of circles
    assert np.array_equal(change[0], change[2])
    assert np.array_equal(change, artefact_of(volume, rings={"gain_sd": 0.01}))
    assert not np.array_equal(change, artefact_of(volume, 1, rings={"gain_sd": 0.01}))


def test_a_gain_error_adds_its_logarithm_and_has_the_spread_asked_for():
    faults = detector_faults(4000, RingSettings(gain_sd=0.02), seed=3)
    # Five standard errors of a spread: 5 / sqrt(2 n).
    assert np.exp(-faults.log_gain).std() == pytest.approx(0.02, rel=5 / np.sqrt(8000))
    assert np.exp(-faults.log_gain).mean() == pytest.approx(1, abs=5 * 0.02 / np.sqrt(4000))


def test_dead_channels_are_filled_from_the_nearest_that_work():
    faults = detector_faults(24, RingSettings(dead_channels=9), seed=1)
    signal = 2.0 * np.arange(24)
    filled = (1 - faults.fraction) * signal[faults.before] + faults.fraction * signal[faults.after]
    assert filled == pytest.approx(signal[faults.dead], rel=1e-6)
    assert not set(faults.dead) & (set(faults.before) | set(faults.after))
    assert len(set(faults.dead)) == 9
    assert not faults.log_gain.any()


def test_a_dead_channel_shows_what_its_neighbours_do_and_the_others_stay():
    volume = ellipse((70, 70), slices=1)
    model = ScanModel.of(volume.geometry, Acquisition(), settings())
    rings = RingSettings(dead_channels=5)
    artefacts = Artefacts(model, ArtefactSettings(rings=rings), count_floor=1.0, seed=3)
    dead = detector_faults(model.fan.channels, rings, seed=3).dead
    scan = FullProjector(model).project(volume.hu)
    data = aligned_zeros(*scan.shape)
    weights = channel_weights(model.fan)
    artefacts.alter(data, scan=scan, hardening=None, weights=weights, without_scan=False)
    shown = data / weights[:, None]
    single = [c for c in dead if c - 1 not in dead and c + 1 not in dead]
    for channel in single:
        expected = (scan[:, channel - 1] + scan[:, channel + 1]) / 2
        assert np.abs(shown[:, channel] - expected).max() < 1e-5
    others = np.setdiff1d(np.arange(model.fan.channels), dead)
    assert len(single) > 0
    assert np.abs(shown[:, others] - scan[:, others]).max() < 1e-5


def test_noise_without_metal_in_a_slice_does_not_depend_on_its_neighbours():
    volume, _ = rods()
    clean = ellipse((90, 60), slices=2)
    both = replace(clean, hu=np.concatenate([clean.hu[:1], volume.hu]))
    wanted = settings(dose=0.25, artefacts={"metal": {"enabled": True}, "keep_every_view": 2})
    alone = simulate_low_dose(both.select([0]), wanted, np.random.default_rng(4)).low.hu[0]
    beside = simulate_low_dose(both, wanted, np.random.default_rng(4)).low.hu[0]
    assert np.array_equal(alone, beside)

"""Volumes at the edge of what the simulator can take: right, or one clear error."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError, SimulationError
from ctdenoise.simulation.beam import photons_of_exposure
from ctdenoise.simulation.checks import share_of_outline_cut
from ctdenoise.simulation.low_dose import simulate_low_dose
from ctdenoise.simulation.scanner import fan_of
from tests.builders import water_disc

SCANNER = ScannerSettings(
    distances="setting", channels=193, channel_pitch_mm=2.4, views_per_turn=160, bowtie="none"
)
SETTINGS = SimulateSettings(
    scanner=SCANNER, kernel=GaussianKernelSettings(f50_per_mm=0.2), photons=1e5
)


def added(volume: CTVolume, settings: SimulateSettings = SETTINGS) -> np.ndarray:
    low = simulate_low_dose(volume, settings, np.random.default_rng(3)).low
    assert np.isfinite(low.hu).all()
    return low.hu - volume.hu


def cropped(volume: CTVolume, half: int) -> CTVolume:
    """The central square of each slice."""
    middle = volume.shape[1] // 2
    part = slice(middle - half, middle + half)
    hu = np.ascontiguousarray(volume.hu[:, part, part])
    geometry = Geometry.axial(
        hu.shape,
        pixel_spacing_mm=volume.geometry.pixel_spacing_mm,
        slice_spacing_mm=volume.geometry.slice_spacing_mm or 3.0,
    )
    return CTVolume(hu, geometry, volume.acquisition)


# ---- Truncation


def test_a_body_inside_the_field_is_not_cut():
    assert share_of_outline_cut(water_disc(size=96, radius_mm=80)) == 0


def test_a_body_that_fills_the_field_is_cut_all_around():
    assert share_of_outline_cut(cropped(water_disc(size=96, radius_mm=80), 24)) == 1


def test_the_share_of_the_outline_that_is_cut_is_that_of_the_drawing():
    size, half_mm, radius_mm = 120, 60.0, 70.0
    disc = water_disc(size=size, pixel_spacing_mm=2 * half_mm / size, radius_mm=radius_mm)
    # Four chords along the edges and four arcs; an arc around a diagonal has as many pixels as
    # it is long along x or y.
    chord = 2 * np.sqrt(radius_mm**2 - half_mm**2)
    arc = half_mm - chord / 2
    expected = chord / (chord + arc)
    assert share_of_outline_cut(disc) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_body_cut_by_the_reconstruction_circle_is_noticed(is_marked):
    disc = water_disc(slices=1, size=100, pixel_spacing_mm=1.0, radius_mm=80)
    axis = np.arange(100) - 49.5
    outside = (axis[:, None] ** 2 + axis**2 > 50**2)[None]
    hu = np.where(outside, np.float32(-3024), disc.hu)
    cut = replace(disc, hu=hu, padding=outside if is_marked else None)
    assert share_of_outline_cut(cut) > 0.95


def test_truncation_is_told_once_and_the_scan_simulated_all_the_same(caplog):
    disc = cropped(water_disc(slices=4, size=96, radius_mm=80, noise_hu=20.0), 24)
    with caplog.at_level(logging.WARNING):
        noise = added(disc)
    assert caplog.text.count("100 % of the outline") == 1
    assert noise.std() > 0


def test_a_truncated_scan_gets_the_noise_it_has_where_photons_are_found_from_it():
    whole = water_disc(slices=16, size=96, radius_mm=80)
    native = SETTINGS.replaced(source_noise="none", dose=1.0)
    scan = simulate_low_dose(whole, native, np.random.default_rng(1)).low
    settings = SETTINGS.replaced(photons="auto", dose=0.25, reference_mas=2.0)
    of_part = added(cropped(scan, 24), settings)[:, 16:32, 16:32]
    of_whole = added(scan, settings)[:, 40:56, 40:56]
    # Without what was cut off the attenuation is less by exp(-1.3), which N0 makes up for; what
    # is left is its shape (5 %) and two fits, each to noise levels that are good to 2 %.
    assert of_part.std() == pytest.approx(of_whole.std(), rel=0.15)


# ---- Values


def test_a_volume_without_air_is_simulated(caplog):
    tissue = water_disc(slices=2, size=64, radius_mm=200)
    tissue = replace(tissue, hu=tissue.hu + np.linspace(-60, 60, 64, dtype=np.float32))
    with caplog.at_level(logging.WARNING):
        assert added(tissue).std() > 0
    assert "outline" in caplog.text


@pytest.mark.parametrize(("metal_hu", "at_least"), [(3071.0, 1.1), (30_000.0, 2.0)])
def test_metal_makes_noise_where_its_rays_run_and_nothing_that_is_not_a_number(metal_hu, at_least):
    disc = water_disc(slices=16, size=96, radius_mm=80)
    hu = disc.hu.copy()
    hu[:, 44:52, 30:34] = hu[:, 44:52, 62:66] = metal_hu
    noise = added(replace(disc, hu=hu))
    between, without = noise[:, 44:52, 40:56].std(), added(disc)[:, 44:52, 40:56].std()
    assert between > at_least * without
    assert np.abs(noise).max() < 10_000


def test_what_is_denser_than_any_metal_is_refused():
    disc = water_disc(slices=1)
    with pytest.raises(SimulationError, match="no Hounsfield unit"):
        added(replace(disc, hu=np.where(disc.hu > -500, np.float32(65_535), disc.hu)))


@pytest.mark.parametrize("outside_hu", [-3024.0, -2000.0, -1500.0])
def test_padding_that_no_header_names_is_left_alone_and_attenuates_like_air(outside_hu):
    disc = water_disc(slices=2, size=96, radius_mm=60)
    axis = np.arange(96) - 47.5
    outside = np.broadcast_to(axis[:, None] ** 2 + axis**2 > 47**2, disc.shape)
    padded = replace(disc, hu=np.where(outside, np.float32(outside_hu), disc.hu))
    low = simulate_low_dose(padded, SETTINGS, np.random.default_rng(3)).low
    np.testing.assert_array_equal(low.hu[outside], outside_hu)
    marked = replace(padded, padding=outside)
    again = simulate_low_dose(marked, SETTINGS, np.random.default_rng(3)).low
    np.testing.assert_array_equal(low.hu, again.hu)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_no_number_is_refused(value):
    disc = water_disc(slices=1)
    hu = disc.hu.copy()
    hu[0, 3, 3] = value
    with pytest.raises(InputError, match="finite"):
        replace(disc, hu=hu)


def test_garbage_of_all_16_bit_values_is_refused():
    garbage = np.random.default_rng(0).integers(0, 65536, (2, 64, 64)).astype(np.float32)
    with pytest.raises(SimulationError, match="no Hounsfield unit"):
        added(replace(water_disc(slices=2), hu=garbage))


# ---- Grids


def test_the_photons_of_a_slice_go_with_its_thickness():
    fan = fan_of(SCANNER, water_disc().acquisition)
    thin, thick = (
        photons_of_exposure(100.0, kvp=120.0, slice_thickness_mm=mm, fan=fan) for mm in (1.0, 10.0)
    )
    assert thick == pytest.approx(10 * thin)


@pytest.mark.parametrize("spacing_mm", [1.0, 10.0])
def test_slices_of_any_thickness_have_the_noise_of_their_photons(spacing_mm):
    disc = water_disc(slices=16, size=96, radius_mm=60, slice_spacing_mm=spacing_mm)
    usual = water_disc(slices=16, size=96, radius_mm=60)
    part = np.s_[:, 40:56, 40:56]
    # The SD of 16 slices of 16 x 16 correlated pixels is good to 4 %.
    assert added(disc)[part].std() == pytest.approx(added(usual)[part].std(), rel=0.12)


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [((256, 256), (0.8, 0.8)), ((1024, 1024), (0.2, 0.2)), ((128, 96), (1.5, 2.0))],
)
def test_the_noise_of_a_place_does_not_depend_on_the_matrix(shape, spacing_mm):
    rows, columns = shape
    y = (np.arange(rows) - (rows - 1) / 2) * spacing_mm[0]
    x = (np.arange(columns) - (columns - 1) / 2) * spacing_mm[1]
    image = np.where(y[:, None] ** 2 + x**2 <= 70**2, np.float32(0), np.float32(-1000))
    geometry = Geometry.axial((16, *shape), pixel_spacing_mm=spacing_mm, slice_spacing_mm=3.0)
    volume = CTVolume(np.repeat(image[None], 16, axis=0), geometry)
    noise = added(volume)[:, np.abs(y) < 16][:, :, np.abs(x) < 16]
    usual = water_disc(slices=16, size=96, pixel_spacing_mm=2.0, radius_mm=70)
    expected = added(usual)[:, 40:56, 40:56].std()
    # Two SDs of 16 slices of 32 x 32 mm, each good to 3 %.
    assert noise.std() == pytest.approx(expected, rel=0.1)


def turned(volume: CTVolume, degrees: float) -> CTVolume:
    """The same slices in planes turned about the x axis, still stacked along z or along y."""
    angle = np.radians(degrees)
    down = (0.0, float(np.cos(angle)), float(np.sin(angle)))
    normal = np.cross((1.0, 0.0, 0.0), down)
    stack = np.eye(3)[2] if abs(normal[2]) > 0.5 else normal
    positions = np.arange(volume.shape[0])[:, None] * 3.0 * stack
    geometry = replace(volume.geometry, column_direction=down, positions_mm=positions)
    return replace(volume, geometry=geometry)


@pytest.mark.parametrize("degrees", [-22.0, 18.5, 30.0])
def test_a_tilted_gantry_is_simulated_in_the_plane_of_its_slices(degrees):
    disc = water_disc(slices=16, size=96, radius_mm=60)
    part = np.s_[:, 40:56, 40:56]
    assert added(turned(disc, degrees))[part].std() == pytest.approx(
        added(disc)[part].std(), rel=0.12
    )


@pytest.mark.parametrize("degrees", [60.0, 90.0])
def test_slices_that_hold_no_whole_turn_are_refused(degrees):
    with pytest.raises(SimulationError, match="not axial"):
        added(turned(water_disc(slices=2), degrees))

"""Voxels of the named phantoms: their masses, and exact values inside every shape."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.mathematical_phantoms import (
    ForbildHead2dSettings,
    ForbildHeadSettings,
    ForbildThoraxSettings,
    SheppLoganSettings,
)
from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.resolution_phantoms import (
    SIZE_SERIES_MM,
    BeadSettings,
    Cct189Settings,
    DiscSettings,
    EdgeSettings,
    SizeSeriesSettings,
    WireSettings,
    effective_diameter_mm,
)
from ctdenoise.phantoms.build import Phantom, build_phantom
from ctdenoise.phantoms.shepp_logan import ELLIPSES, ELLIPSOIDS
from tests.physics.painted import attenuation_at


def built(phantom, **grid) -> Phantom:
    return build_phantom(PhantomSettings(phantom=phantom, grid=GridSettings(**grid)))


def extra_mass(phantom: Phantom, background_hu: float) -> float:
    """Integral of attenuation over that of the background, mm3 of water."""
    geometry = phantom.volume.geometry
    voxel = geometry.pixel_spacing_mm[0] ** 2 * geometry.spacings_mm()[0]
    return float((phantom.volume.hu.astype(np.float64) - background_hu).sum() / 1000 * voxel)


def test_shepp_logan_voxels_hold_the_mass_of_its_ellipses():
    phantom = built(SheppLoganSettings(), size=256, slices=2)
    area = sum(np.pi * a * b * density for _, _, a, b, _, density, _ in ELLIPSES) * 100**2
    assert extra_mass(phantom, -1000.0) == pytest.approx(2 * 3.0 * area, rel=1e-4)


@pytest.mark.parametrize("contrast", ["original", "modified"])
def test_shepp_logan_voxels_hold_the_mass_of_its_ellipsoids(contrast):
    settings = SheppLoganSettings(dimensions=3, contrast=contrast, attenuation=1.0)
    phantom = built(settings, size=128, slices=62, slice_spacing_mm=3.0)
    column = 8 if contrast == "modified" else 7
    volume = sum(4 / 3 * np.pi * row[3] * row[4] * row[5] * row[column] for row in ELLIPSOIDS)
    assert extra_mass(phantom, -1000.0) == pytest.approx(volume * 100**3, rel=5e-4)


def test_densities_of_shepp_logan_become_hounsfield_units_as_stated():
    original = built(SheppLoganSettings(), size=256, slices=1).volume.hu[0]
    modified = built(SheppLoganSettings(contrast="modified"), size=256, slices=1).volume.hu[0]
    # Skull, brain and left ventricle: 2, 1.02 and 1.0 (1, 0.2 and 0) times the attenuation of 1.
    at = {"skull": (12, 127), "brain": (127, 60), "ventricle": (127, 160)}
    assert [round(float(original[place]), 3) for place in at.values()] == [1000.0, 20.0, 0.0]
    assert [round(float(modified[place]), 3) for place in at.values()] == [1000.0, -600.0, -1000.0]


@pytest.mark.parametrize(
    ("settings", "volume"),
    [
        (BeadSettings(diameter_mm=0.28, hu=20_000), np.pi / 6 * 0.28**3),
        (BeadSettings(diameter_mm=1.3, hu=2000, x_mm=3.17, z_mm=0.4), np.pi / 6 * 1.3**3),
        (DiscSettings(thickness_mm=0.05, z_mm=0.33, hu=2000), np.pi * 25 * 0.05),
        (WireSettings(diameter_mm=0.05, length_mm=6.0), np.pi * 0.025**2 * 6),
        (WireSettings(diameter_mm=0.3, length_mm=6.0, tilt_degrees=20.0), np.pi * 0.15**2 * 6),
    ],
    ids=["bead", "large bead", "disc", "wire", "leaning wire"],
)
def test_small_things_keep_their_mass_in_coarse_voxels(settings, volume):
    phantom = built(settings.replaced(body_mm=None), size=64, slices=11, slice_spacing_mm=1.25)
    exact = volume * (1 + settings.hu / 1000)
    # Eight lines across a thing of this size: 3 % at most.
    assert extra_mass(phantom, -1000.0) == pytest.approx(exact, rel=0.03)


def test_a_flat_disc_fills_the_exact_share_of_the_slices_that_it_cuts():
    settings = DiscSettings(thickness_mm=2.0, z_mm=1.1, hu=1000.0, body_mm=None)
    phantom = built(settings, size=64, slices=4, slice_spacing_mm=2.5, middle_mm=1.25)
    share = (phantom.volume.hu[:, 32, 32] + 1000) / 2000
    # Slices of 2.5 mm begin at -3.75, -1.25, 1.25 and 3.75; the disc reaches from 0.1 to 2.1.
    assert share.tolist() == pytest.approx([0.0, 1.15 / 2.5, 0.85 / 2.5, 0.0], abs=1e-6)


def test_an_edge_across_z_crosses_slices_at_the_height_of_its_plane():
    settings = EdgeSettings(lower_hu=0.0, upper_hu=100.0, tilt_degrees=5.0)
    phantom = built(settings, size=128, slices=15, slice_spacing_mm=1.0)
    geometry = phantom.volume.geometry
    spacing = geometry.pixel_spacing_mm[0]
    x = geometry.positions_mm[0, 0] + spacing * np.arange(128)
    middle = phantom.volume.hu[:, 64, :]
    for column in (40, 64, 90):
        above = middle[:, column].sum() / 100  # slices of 1 mm above the plane
        plane = geometry.positions_mm[-1, 2] + 0.5 - above
        assert plane == pytest.approx(np.tan(np.radians(5.0)) * x[column], abs=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        ForbildHead2dSettings(left_ear=True),
        ForbildHeadSettings(left_ear=False),  # its ellipsoids of 0.03 mm slip between the corners
        ForbildThoraxSettings(),
        Cct189Settings(),
        SizeSeriesSettings(diameter_mm=112.0),
    ],
    ids=lambda settings: str(settings.name),
)
def test_voxels_away_from_edges_are_exactly_what_the_shapes_say(settings):
    phantom = built(settings, size=160, slices=1, slice_spacing_mm=1.0)
    geometry = phantom.volume.geometry
    spacing = geometry.pixel_spacing_mm[0]
    axis = geometry.positions_mm[0, 0] + spacing * np.arange(160)
    z = geometry.positions_mm[0, 2]
    corners = [
        np.stack(np.broadcast_arrays(axis + dx, (axis + dy)[:, None], z + dz), axis=-1)
        for dx in (-spacing, 0.0, spacing)
        for dy in (-spacing, 0.0, spacing)
        for dz in (-0.6, 0.6)
    ]
    values = np.stack([attenuation_at(phantom.shapes, corner.reshape(-1, 3)) for corner in corners])
    even = np.ptp(values, axis=0) < 1e-12
    exact = 1000 * (values[0] - 1)
    # Float32 keeps 3e-5 HU at 1000 HU, and superposed ellipses round a few times.
    assert even.mean() > 0.7
    difference = np.abs(phantom.volume.hu.ravel() - exact)[even]
    assert np.quantile(difference, 0.999) < 1e-3


def test_the_size_series_is_that_of_ages():
    found = [effective_diameter_mm(age) for age in (0.0, 1.0, 5.0, 10.0)]
    assert found == pytest.approx([111.6, 151.2, 185.5, 216.0], abs=0.1)
    for diameter in (112.0, 151.0, 185.0, 216.0):
        assert diameter in SIZE_SERIES_MM
        assert min(abs(diameter - value) for value in found) < 1.0
    assert SizeSeriesSettings(age_years=5.0).size_mm == pytest.approx(185.5, abs=0.1)
    with pytest.raises(ValueError, match="exclude"):
        SizeSeriesSettings(age_years=5.0, diameter_mm=200.0)


def test_a_wire_that_leaves_its_cylinder_is_refused():
    with pytest.raises(ValueError, match="reaches out"):
        WireSettings(tilt_degrees=20.0)
    with pytest.raises(ValueError, match="reaches out"):
        BeadSettings(x_mm=25.0)

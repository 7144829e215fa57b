"""The phantoms of image quality tests have their materials where analysis looks for them."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.phantoms.acr464 import LINE_PAIRS, RODS
from ctdenoise.phantoms.build import Phantom, build_phantom
from ctdenoise.phantoms.catphan504 import BACKGROUND_HU, INSERTS, SPANS_MM, TARGETS
from ctdenoise.phantoms.solids import polar


def around(phantom: Phantom, place_mm, radius_mm: float, height_mm: float) -> np.ndarray:
    """Voxels of one slice within a distance of a place."""
    geometry = phantom.volume.geometry
    spacing = geometry.pixel_spacing_mm[0]
    x = geometry.positions_mm[0, 0] + spacing * np.arange(geometry.columns)
    y = geometry.positions_mm[0, 1] + spacing * np.arange(geometry.rows)
    slice_number = int(np.argmin(np.abs(geometry.positions_mm[:, 2] - height_mm)))
    inside = np.hypot(x - place_mm[0], y[:, None] - place_mm[1]) < radius_mm
    return phantom.volume.hu[slice_number][inside]


@pytest.fixture(scope="module")
def acr() -> Phantom:
    grid = GridSettings(size=256, slices=34, slice_spacing_mm=5)
    return build_phantom(PhantomSettings(phantom=Acr464Settings(), grid=grid))


@pytest.fixture(scope="module")
def catphan() -> Phantom:
    grid = GridSettings(size=256, slices=54, slice_spacing_mm=2.5)
    return build_phantom(PhantomSettings(phantom=Catphan504Settings(), grid=grid))


@pytest.mark.parametrize(("name", "hu", "diameter", "angle"), RODS)
def test_the_rods_of_acr_module_1_are_exactly_their_hounsfield_units(
    acr, name, hu, diameter, angle
):
    inside = around(acr, polar(63.0, angle), diameter / 2 - 1.5, 2.5)
    assert (inside == hu).all()
    assert name in acr.label_names.values()


def test_modules_of_the_acr_phantom_are_40_mm_long_and_follow_towards_the_head(acr):
    centre = [around(acr, (0.0, 0.0), 5.0, z).mean() for z in range(-15, 145, 10)]
    assert centre == [0.0] * 4 + [90.0] * 4 + [0.0] * 8
    assert around(acr, polar(60.0, -90.0), 10.0, 42.5).mean() == 96.0


def test_the_beads_of_acr_module_3_have_their_mass_and_are_100_mm_apart(acr):
    geometry = acr.volume.geometry
    slice_number = int(np.argmin(np.abs(geometry.positions_mm[:, 2] - 72.5)))
    extra = acr.volume.hu[slice_number].astype(np.float64)
    spacing = geometry.pixel_spacing_mm[0]
    axis = geometry.positions_mm[0, 0] + spacing * np.arange(256)
    found = []
    for radius, angle in ((20.0, -45.0), (80.0, 135.0)):
        x, y = polar(radius, angle)
        near = np.where(np.hypot(axis - x, axis[:, None] - y) < 3, extra, 0.0)
        mass = near.sum() * spacing**2 * 5.0 / 1000
        assert mass == pytest.approx(np.pi / 6 * 0.28**3 * 348, rel=0.03)
        found.append([(near * axis).sum() / near.sum(), (near * axis[:, None]).sum() / near.sum()])
    # A bead inside one pixel lies anywhere in it: half a pixel at each end.
    assert np.linalg.norm(np.subtract(*found)) == pytest.approx(100.0, abs=spacing)


@pytest.mark.parametrize(("pairs_per_cm", "angle"), LINE_PAIRS)
def test_line_pairs_of_the_acr_phantom_are_half_aluminium(acr, pairs_per_cm, angle):
    inside = around(acr, polar(70.0, angle), 5.0, 122.5)
    # A disc of 10 mm cuts bars of up to 1.25 mm anywhere: it holds half of them within a tenth.
    assert inside.mean() == pytest.approx(2641 / 2, rel=0.1)


@pytest.mark.parametrize(("name", "hu", "angle"), INSERTS)
def test_the_inserts_of_ctp404_are_exactly_their_hounsfield_units(catphan, name, hu, angle):
    assert (around(catphan, polar(58.7, angle), 4.5, 0.0) == hu).all()


@pytest.mark.parametrize("module", SPANS_MM)
def test_every_catphan_module_is_its_own_material(catphan, module):
    middle = sum(SPANS_MM[module]) / 2
    assert (around(catphan, (0.0, 0.0), 8.0, middle) == BACKGROUND_HU[module]).all()


@pytest.mark.parametrize(("contrast", "turn"), [(10.0, 0.0), (5.0, 120.0), (3.0, 240.0)])
def test_the_targets_of_ctp515_have_their_contrast(catphan, contrast, turn):
    for diameter, angle in TARGETS[:6]:
        inside = around(catphan, polar(50.0, angle + turn), diameter / 2 - 1.4, -30.0)
        assert inside.mean() == pytest.approx(50.0 + contrast, abs=1e-4)


def test_roll_turns_the_phantom_from_the_left_to_the_back():
    grid = GridSettings(size=256, slices=1)
    settings = Acr464Settings(modules=(1,), roll_degrees=10.0)
    phantom = build_phantom(PhantomSettings(phantom=settings, grid=grid))
    assert (around(phantom, polar(63.0, -35.0), 10.0, 0.0) == 910.0).all()


def test_one_module_alone_is_in_the_middle_of_its_stack():
    grid = GridSettings(size=64, slices=3)
    phantom = build_phantom(PhantomSettings(phantom=Acr464Settings(modules=(4,)), grid=grid))
    assert phantom.volume.geometry.positions_mm[1, 2] == 120.0
    one = build_phantom(PhantomSettings(phantom=Catphan504Settings(modules=("ctp486",)), grid=grid))
    assert one.volume.geometry.positions_mm[1, 2] == -65.0


@pytest.mark.parametrize("modules", [(), (5,), (0, 1)])
def test_modules_that_do_not_exist_are_refused(modules):
    with pytest.raises(ValidationError):
        Acr464Settings(modules=modules)

"""Exact sinograms of phantoms."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ctdenoise.config.phantom import (
    GridSettings,
    InsertSettings,
    PhantomSettings,
    RodsSettings,
    TorsoSettings,
    WaterSettings,
)
from ctdenoise.config.phantom_random import DeadLeavesSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.config.sinogram import SinogramSettings
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros
from ctdenoise.tasks import phantom as task
from ctdenoise.tasks.phantom_sinogram import project

FAN = SinogramSettings(
    scanner=ScannerSettings(
        distances="setting", channels=60, channel_pitch_mm=8.0, views_per_turn=16
    )
)
PARALLEL = SinogramSettings(
    geometry="parallel", parallel_views=12, parallel_rays=41, parallel_spacing_mm=5.0
)
OFF_CENTRE = RodsSettings(
    diameter_mm=200,
    inserts=(
        InsertSettings(material="a", hu=900, diameter_mm=30, radius_mm=60, angle_degrees=20),
        InsertSettings(material="b", hu=-1000, diameter_mm=20, radius_mm=40, angle_degrees=160),
    ),
)


def drawn(phantom, size: int = 32, slices: int = 1):
    grid = GridSettings(size=size, slices=slices, field_of_view_mm=250)
    return build_phantom(PhantomSettings(phantom=phantom, grid=grid))


@pytest.mark.parametrize("settings", [FAN, PARALLEL], ids=["fan", "parallel"])
def test_a_cylinder_of_water_has_its_chords(settings):
    sinogram = project(drawn(WaterSettings(diameter_mm=200)), settings)
    offset = sinogram.channels
    if settings is FAN:
        offset = sinogram.beam["source_to_isocentre_mm"] * np.sin(sinogram.channels)
    chord = 2 * np.sqrt(np.maximum(100.0**2 - offset**2, 0))
    expected = np.broadcast_to(chord, sinogram.water_mm.shape)
    np.testing.assert_allclose(sinogram.water_mm, expected, rtol=1e-6, atol=1e-3)


def test_the_fan_is_that_of_the_simulator():
    """Its projector, on fine voxels of the same phantom, gives the same up to the voxels."""
    phantom = drawn(OFF_CENTRE, size=500)
    sinogram = project(phantom, FAN)
    fan = Fan(
        sinogram.beam["source_to_isocentre_mm"],
        sinogram.beam["channel_angle_rad"],
        len(sinogram.channels),
        len(sinogram.view_angles),
    )
    images = aligned_zeros(500, 500, LANES)
    images[:, :, 0] = 1 + phantom.volume.hu[0] / 1000
    projector = JosephProjector(fan, PixelGrid(500, 500, 0.5, 0.5, 249.5, 249.5))
    found = projector.project(images)[:, :, 0]
    difference = np.abs(found - sinogram.water_mm[0])
    assert difference.mean() < 0.1  # of 200 mm of water; a mirrored fan would be off by tens
    assert sinogram.water_mm.max() > 190
    mirrored = np.abs(found[:, ::-1] - sinogram.water_mm[0])
    assert mirrored.mean() > 20 * difference.mean()


def test_slices_of_a_solid_differ_and_those_of_a_cylinder_do_not():
    torso = project(drawn(TorsoSettings(texture=0.0), slices=2), PARALLEL)
    assert not np.array_equal(torso.water_mm[0], torso.water_mm[1])
    water = project(drawn(WaterSettings(), slices=2), PARALLEL)
    np.testing.assert_array_equal(water.water_mm[0], water.water_mm[1])


@pytest.mark.parametrize(
    ("phantom", "fix"),
    [
        (TorsoSettings(), "phantom.texture=0"),
        (DeadLeavesSettings(texture_share=0, blur_fwhm_mm=1, radius_mm=(20, 60)), "blur_fwhm_mm=0"),
    ],
    ids=["texture", "blur"],
)
def test_what_line_integrals_do_not_know_is_refused(phantom, fix):
    with pytest.raises(UsageError) as caught:
        project(drawn(phantom), PARALLEL)
    assert fix in caught.value.fix


@pytest.mark.parametrize("settings", [FAN, PARALLEL], ids=["fan", "parallel"])
def test_the_file_says_what_it_holds(tmp_path, settings):
    phantom = PhantomSettings(
        phantom=OFF_CENTRE, grid=GridSettings(size=32, slices=2), sinogram=settings
    )
    report = task.run(phantom, out=tmp_path / "out", file_format="sinogram")
    assert sorted(path.name for path in report.out.iterdir()) == [
        "run.json",
        "settings.yaml",
        "sinogram.npz",
        "truth.json",
    ]
    with np.load(report.out / "sinogram.npz") as file:
        about = json.loads(str(file["about"]))
        channels = file["fan_angles_rad" if settings is FAN else "offsets_mm"]
        shape = (2, len(file["view_angles_rad"]), len(channels))
        assert file["water_mm"].shape == shape
        assert file["water_mm"].dtype == np.float32
        assert file["positions_mm"].tolist() == [-1.5, 1.5]
    assert about["geometry"] == settings.geometry
    assert "mm of water" in about["water_mm"]

"""The phantoms themselves."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from ctdenoise.cli.phantom import Kind
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.phantom import (
    DEFAULT_INSERTS,
    GridSettings,
    PhantomSettings,
    RodsSettings,
    TorsoSettings,
    WaterSettings,
)
from ctdenoise.phantoms.anatomy import LABELS
from ctdenoise.phantoms.build import Phantom, build_phantom
from ctdenoise.phantoms.rays import parallel_rays
from ctdenoise.phantoms.shapes import line_integrals
from ctdenoise.phantoms.torso import torso_shapes
from ctdenoise.phantoms.truth import shape_from_json

SMALL = GridSettings(size=128, slices=3, slice_spacing_mm=30.0, slice_thickness_mm=3.0)


def torso(seed: int = 0, **changes: object) -> Phantom:
    return build_phantom(PhantomSettings(phantom=TorsoSettings(**changes), grid=SMALL, seed=seed))


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return torso()


def test_water_is_exactly_its_hounsfield_units_inside_and_air_outside():
    phantom = build_phantom(
        PhantomSettings(phantom=WaterSettings(hu=7.0), grid=GridSettings(size=96, slices=2))
    )
    volume = phantom.volume
    axis = volume.geometry.positions_mm[0, 0] + np.arange(96) * volume.geometry.pixel_spacing_mm[0]
    radius = np.hypot(axis[:, None], axis)
    assert (volume.hu[:, radius < 97] == 7.0).all()
    assert (volume.hu[:, radius > 103] == -1000.0).all()


def test_an_oval_water_phantom_has_its_depth():
    phantom = build_phantom(
        PhantomSettings(
            phantom=WaterSettings(diameter_mm=200, depth_mm=100),
            grid=GridSettings(size=100, slices=1, field_of_view_mm=250),
        )
    )
    share = 1 + phantom.volume.hu[0] / 1000
    assert share[:, 50].sum() * 2.5 == pytest.approx(100, abs=0.2)
    assert share[50].sum() * 2.5 == pytest.approx(200, abs=0.2)


@pytest.fixture(scope="module")
def rods() -> Phantom:
    return build_phantom(
        PhantomSettings(phantom=RodsSettings(), grid=GridSettings(size=512, slices=1))
    )


@pytest.mark.parametrize("insert", DEFAULT_INSERTS, ids=lambda insert: insert.material)
def test_the_centre_of_every_rod_is_exact(rods, insert):
    angle = np.radians(insert.angle_degrees)
    at = insert.radius_mm * np.array([np.sin(angle), np.cos(angle)])  # [y, x]
    spacing = rods.volume.geometry.pixel_spacing_mm[0]
    row, column = np.rint(at / spacing + 255.5).astype(int)
    assert rods.volume.hu[0, row, column] == insert.hu
    assert rods.label_names[int(rods.labels[0, row, column])] == insert.material


def test_labels_of_rods_cover_their_area(rods):
    spacing = rods.volume.geometry.pixel_spacing_mm[0]
    for number, name in rods.label_names.items():
        if number == 1:
            continue
        insert = next(rod for rod in DEFAULT_INSERTS if rod.material == name)
        area = (rods.labels == number).sum() * spacing**2
        # A pixel counts wholly or not at all: the error is a random walk along the edge.
        edge_pixels = np.pi * insert.diameter_mm / spacing
        tolerance = 3 * 0.29 * np.sqrt(edge_pixels) * spacing**2
        assert area == pytest.approx(np.pi * insert.diameter_mm**2 / 4, abs=tolerance)


def test_the_same_seed_gives_the_same_voxels(patient):
    again = torso()
    np.testing.assert_array_equal(again.volume.hu, patient.volume.hu)
    np.testing.assert_array_equal(again.labels, patient.labels)
    assert again.truth == patient.truth


def test_another_seed_is_another_patient(patient):
    other = torso(seed=1)
    assert other.truth["anatomy"]["half_width_mm"] != patient.truth["anatomy"]["half_width_mm"]
    assert (other.labels != patient.labels).mean() > 0.02


def test_texture_does_not_change_the_anatomy(patient):
    smooth = torso(texture=0.0)
    np.testing.assert_array_equal(smooth.labels, patient.labels)
    assert smooth.truth["anatomy"]["half_width_mm"] == patient.truth["anatomy"]["half_width_mm"]


def test_more_nodules_leave_the_rest_of_the_patient_as_it_is():
    few = torso_shapes(TorsoSettings(nodules=1), seed=3)
    many = torso_shapes(TorsoSettings(nodules=9), seed=3)
    added = [shape.name for shape in many if shape.name.startswith("lung nodule")]
    assert added == [f"lung nodule {number}" for number in range(1, 10)]
    kept = [shape for shape in many if shape.name not in added[1:]]
    assert tuple(kept) == few


@pytest.mark.parametrize("enhancement", ["none", "portal_venous"])
def test_organs_have_the_hounsfield_units_of_their_shapes(enhancement):
    phantom = torso(texture=0.0, enhancement=enhancement)
    liver = next(shape for shape in phantom.shapes if shape.name == "liver")
    number = LABELS.index("liver") + 1
    inside = phantom.volume.hu[phantom.labels == number]
    assert (liver.hu > 90) == (enhancement == "portal_venous")
    assert np.median(inside) == pytest.approx(liver.hu)


def test_texture_in_soft_tissue_is_a_few_hounsfield_units(patient):
    liver = LABELS.index("liver") + 1
    flat = torso(texture=0.0)
    difference = (patient.volume.hu - flat.volume.hu)[patient.labels == liver]
    assert 4 < difference.std() < 12
    assert abs(difference.mean()) < 6


def test_every_part_of_the_body_is_there():
    grid = GridSettings(size=128, slices=80, slice_spacing_mm=3.0)
    phantom = build_phantom(
        PhantomSettings(phantom=TorsoSettings(level_mm=-20, texture=0.0), grid=grid)
    )
    found = {phantom.label_names[int(number)] for number in np.unique(phantom.labels) if number}
    assert found == set(LABELS)
    voxel_ml = 3.0 * phantom.volume.geometry.pixel_spacing_mm[0] ** 2 / 1000
    millilitres = {
        name: (phantom.labels == number).sum() * voxel_ml
        for number, name in phantom.label_names.items()
    }
    assert 900 < millilitres["liver"] < 2200  # adults: about 1500
    assert 80 < millilitres["spleen"] < 450  # about 200
    assert 180 < millilitres["kidney"] < 480  # both: about 300


@pytest.mark.parametrize("seed", range(4))
def test_no_lung_vessel_nodule_or_bone_sticks_out_of_the_skin(seed):
    phantom = torso(seed=seed, texture=0.0, table=False)
    body = phantom.labels > 0
    soft = LABELS.index("soft tissue") + 1
    for z in range(3):
        rows, columns = np.nonzero(body[z])
        edge = phantom.labels[z, [rows[0], rows[-1]], [columns[0], columns[-1]]]
        assert set(edge.tolist()) <= {soft, LABELS.index("fat") + 1}


def test_the_truth_rebuilds_the_shapes(patient):
    truth = json.loads(json.dumps(patient.truth))
    rebuilt = [shape_from_json(record) for record in truth["shapes"]]
    assert tuple(rebuilt) == patient.shapes
    rays = parallel_rays(np.array([0.4, 2.0]), np.linspace(-150, 150, 31))
    np.testing.assert_array_equal(
        line_integrals(rebuilt, *rays), line_integrals(patient.shapes, *rays)
    )
    assert truth["labels"] == {name: number for number, name in patient.label_names.items()}
    assert {shape["label"] for shape in truth["shapes"]} - {""} <= set(truth["labels"])


def test_the_volume_says_that_it_is_a_phantom(patient):
    step = patient.volume.history[0]
    assert step.name == "phantom"
    assert step.params["name"] == "torso"
    settings = PhantomSettings.model_validate(step.as_json()["params"]["settings"])
    assert (settings.phantom.name, settings.grid) == ("torso", SMALL)
    acquisition = patient.volume.acquisition
    assert acquisition.manufacturer == "ctdenoise phantom"
    assert len(acquisition.exposure_mas) == 3
    assert acquisition.reconstruction_centre_offset_mm == (0.0, 0.0)
    first, last = patient.volume.geometry.positions_mm[0], patient.volume.geometry.spacings_mm()
    spacing = patient.volume.geometry.pixel_spacing_mm[0]
    assert first[0] + 127 / 2 * spacing == pytest.approx(0.0)
    assert last == pytest.approx([30.0, 30.0])


@pytest.mark.parametrize("kind", [kind for kind in get_args(Kind) if kind != "sample"])
def test_every_kind_has_ready_settings(kind):
    settings = load_settings(PhantomSettings, find_settings_file("phantom", kind))
    assert settings.phantom.name == ("catphan504" if kind.startswith("ctp") else kind)


@pytest.mark.parametrize(
    "inserts",
    [
        [{"material": "a", "hu": 1, "diameter_mm": 20, "radius_mm": 95, "angle_degrees": 0}],
        [{"material": "a", "hu": 1, "diameter_mm": 2, "radius_mm": 5, "angle_degrees": 0}] * 2,
    ],
)
def test_rods_outside_the_cylinder_or_of_one_name_are_refused(inserts):
    with pytest.raises(ValidationError):
        RodsSettings(inserts=inserts)

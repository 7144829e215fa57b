"""Phantoms that are drawn at random."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.phantom_random import (
    BlobsSettings,
    DeadLeavesSettings,
    RandomTextureSettings,
    VesselsSettings,
)
from ctdenoise.phantoms.build import Phantom, build_phantom
from ctdenoise.phantoms.rays import parallel_rays
from ctdenoise.phantoms.shapes import line_integrals
from ctdenoise.phantoms.truth import shape_from_json

LEAVES = DeadLeavesSettings(diameter_mm=120, radius_mm=(5, 40))
BLOBS = BlobsSettings(diameter_mm=120, count=60)
VESSELS = VesselsSettings(diameter_mm=120, trees=2, branches=40, twig_radius_mm=1.0)


def built(phantom, seed: int = 1, slices: int = 4, size: int = 96, **grid: float) -> Phantom:
    grid = {"slice_spacing_mm": 3.0, "slice_thickness_mm": 3.0, **grid}
    return build_phantom(
        PhantomSettings(
            phantom=phantom, seed=seed, grid=GridSettings(size=size, slices=slices, **grid)
        )
    )


@pytest.mark.parametrize("phantom", [LEAVES, BLOBS, VESSELS], ids=lambda p: p.name)
def test_a_seed_decides_every_voxel(phantom):
    first, again, other = built(phantom), built(phantom), built(phantom, seed=2)
    np.testing.assert_array_equal(first.volume.hu, again.volume.hu)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.truth == again.truth
    assert (first.volume.hu != other.volume.hu).mean() > 0.02


@pytest.mark.parametrize("phantom", [LEAVES, BLOBS, VESSELS], ids=lambda p: p.name)
def test_its_truth_rebuilds_what_is_projected(phantom):
    made = built(phantom)
    truth = json.loads(json.dumps(made.truth))
    shapes = [shape_from_json(record) for record in truth["shapes"]]
    rays = parallel_rays(np.array([0.3, 1.9]), np.linspace(-50, 50, 21))
    np.testing.assert_array_equal(line_integrals(shapes, *rays), line_integrals(made.shapes, *rays))
    assert "shapes" not in made.summary or made.summary["shapes"] == []


@pytest.mark.parametrize("dimensions", [2, 3])
def test_voxels_of_leaves_are_the_mean_of_their_line_integrals(dimensions):
    leaves = DeadLeavesSettings(
        diameter_mm=120, radius_mm=(5, 40), texture_share=0.0, dimensions=dimensions
    )
    made = built(leaves, slices=1, slice_thickness_mm=0.1)
    spacing = made.volume.geometry.pixel_spacing_mm[0]
    rows = (np.arange(96) - 47.5) * spacing
    # Rays along x at five heights of each row of pixels.
    lines = rows[:, None] + (np.arange(15) / 15 + 1 / 30 - 0.5) * spacing
    origins = np.stack([np.zeros(lines.size), lines.ravel(), np.zeros(lines.size)], axis=-1)
    exact = line_integrals(made.shapes, origins, np.array([1.0, 0.0, 0.0])).reshape(96, 15)
    drawn = (1 + made.volume.hu[0].astype(float) / 1000).sum(axis=1) * spacing
    # 3 lines of a pixel against 15; leaves have edges everywhere, so single rows differ a little.
    assert np.abs(drawn - exact.mean(axis=1)).max() < 1.5
    assert np.abs(drawn - exact.mean(axis=1)).mean() < 0.3


def test_leaves_cover_the_body_without_a_gap():
    made = built(LEAVES)
    axis = (np.arange(96) - 47.5) * made.volume.geometry.pixel_spacing_mm[0]
    inside = np.hypot(axis[:, None], axis) < 57
    assert (made.labels[:, inside] > 0).all()
    assert made.volume.hu[:, inside].min() > -930
    assert (made.volume.hu[:, np.hypot(axis[:, None], axis) > 63] == -1000).all()


@pytest.mark.parametrize("blur", [0.0, 2.0])
def test_a_slice_of_leaves_does_not_depend_on_the_others(blur):
    leaves = DeadLeavesSettings(diameter_mm=120, radius_mm=(5, 40), blur_fwhm_mm=blur)
    few, many = built(leaves, slices=2), built(leaves, slices=6)
    np.testing.assert_array_equal(few.volume.hu, many.volume.hu[2:4])
    np.testing.assert_array_equal(few.labels, many.labels[2:4])


def test_two_dimensional_leaves_are_the_same_in_every_slice():
    made = built(
        DeadLeavesSettings(diameter_mm=120, radius_mm=(5, 40), dimensions=2, texture_share=0)
    )
    np.testing.assert_array_equal(made.volume.hu[0], made.volume.hu[3])


def test_blur_keeps_the_mean_and_softens_edges():
    sharp = built(LEAVES).volume.hu
    soft = built(LEAVES.replaced(blur_fwhm_mm=3.0)).volume.hu
    assert soft.mean() == pytest.approx(sharp.mean(), abs=0.1)
    assert np.abs(np.diff(soft)).mean() < 0.85 * np.abs(np.diff(sharp)).mean()


@pytest.mark.parametrize("is_textured", [False, True])
def test_the_core_of_every_blob_has_its_contrast(is_textured):
    texture = RandomTextureSettings(sd_hu=6.0 if is_textured else 0.0)
    settings = BlobsSettings(
        diameter_mm=120, count=40, blob_diameter_mm=(6, 15), texture=texture, cylinder_share=0.3
    )
    made = built(settings, size=192, slices=8)
    plain = built(settings.replaced(count=1, contrast_hu=(1e-6, 2e-6)), size=192, slices=8)
    extra = made.volume.hu - plain.volume.hu  # the texture is the same in both
    geometry = made.volume.geometry
    blobs = made.drawn["blobs"]
    assert len(blobs) == 40
    assert {blob["edge"] for blob in blobs} == {"soft", "hard"}
    checked = 0
    for blob in blobs:
        offset = np.array(blob["centre_mm"]) - geometry.positions_mm[0]
        column, row, z = np.rint(offset / (*geometry.pixel_spacing_mm[::-1], 3.0)).astype(int)
        off_plane = abs(offset[2] - 3.0 * z) if blob["kind"] == "sphere" else 0.0
        core = blob["diameter_mm"] / 2 * (0.7 if blob["edge"] == "soft" else 1.0)
        if not 0 <= z < 8 or core < off_plane + 2.5:
            continue  # the slice averages over what is beside it
        checked += 1
        assert extra[z, row, column] == pytest.approx(blob["contrast_hu"], abs=0.01)
        expected = "brighter blob" if blob["contrast_hu"] > 0 else "darker blob"
        assert made.label_names[int(made.labels[z, row, column])] == expected
    assert checked > 8


def test_small_faint_blobs_are_drawn_more_often():
    blobs = built(BlobsSettings(count=400), size=32).drawn["blobs"]
    small = [blob for blob in blobs if blob["diameter_mm"] < np.sqrt(2 * 15)]
    faint = [blob for blob in blobs if abs(blob["contrast_hu"]) < np.sqrt(3 * 40)]
    # As many below as above the geometric mean: five standard errors of a binomial.
    for part in (small, faint):
        assert len(part) / len(blobs) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(len(blobs)))


def test_blobs_do_not_touch():
    blobs = built(BlobsSettings(count=300, cylinder_share=0.0, soft_share=0.0), size=32).drawn[
        "blobs"
    ]
    centres = np.array([blob["centre_mm"] for blob in blobs])
    radii = np.array([blob["diameter_mm"] for blob in blobs]) / 2
    distance = np.linalg.norm(centres[:, None] - centres, axis=-1)
    gap = distance - radii[:, None] - radii
    np.fill_diagonal(gap, np.inf)
    assert gap.min() > 0.99


def test_vessels_taper_from_the_root_to_the_twigs():
    made = built(VESSELS)
    pieces = [shape for shape in made.shapes if shape.name == "vessel 1"]
    radii = [1 / np.linalg.norm(shape.parts[0].rows[0]) for shape in pieces]
    assert min(radii) == pytest.approx(1.0)
    assert 2.0 < max(radii) <= 40 ** (1 / 3) * (1 + 1e-9)  # 40 twigs by Murray's law
    assert (made.labels == 2).sum() > 100


@pytest.mark.parametrize(
    "build",
    [
        lambda: DeadLeavesSettings(radius_mm=(10, 5)),
        lambda: DeadLeavesSettings(kinds=()),
        lambda: DeadLeavesSettings(radius_mm=(0.3, 5), diameter_mm=900),
        lambda: BlobsSettings(blob_diameter_mm=(2, 150)),
        lambda: BlobsSettings(hu=-990),
        lambda: BlobsSettings(soft_share=0.8, cylinder_share=0.8),
        lambda: VesselsSettings(contrast_hu=(5, 1)),
    ],
    ids=["radii", "no kind", "too many", "too wide", "below vacuum", "shares", "contrast"],
)
def test_what_cannot_be_drawn_is_refused(build):
    with pytest.raises(ValidationError):
        build()

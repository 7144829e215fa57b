"""Masks against each other: closed forms, and two libraries that measure the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
)
from scipy import ndimage

from ctdenoise.core.geometry import Geometry
from ctdenoise.metrics.masks import REFERENCE, TRUTH, agreement, mask_metrics


def grid(shape, pixel=(1.0, 1.0), slices=1.0):
    return Geometry.axial(shape, pixel_spacing_mm=pixel, slice_spacing_mm=slices)


def cube(shape, start, edges):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, a + n) for a, n in zip(start, edges, strict=True))] = True
    return mask


def ball(shape, radius, spacing=(1.0, 1.0, 1.0), shift=0.0):
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + (x - shift) ** 2 < radius**2


def test_equal_masks_agree_in_everything():
    mask = ball((20, 20, 20), 7)
    found = agreement(mask, mask.copy(), grid(mask.shape))
    assert (found.dice, found.surface_mm, found.far_mm) == (1.0, 0.0, 0.0)
    assert (found.changed, found.volume_ml) == (0, 0.0)


def test_a_cube_moved_along_x_has_the_figures_that_are_counted_by_hand():
    # Edge 6, moved by 2 pixels of 0.5 mm. 6*6*4 voxels in both.
    one, other = (cube((12, 12, 14), (3, 3, start), (6, 6, 6)) for start in (3, 5))
    found = agreement(one, other, grid(one.shape, (0.8, 0.5), 2.0))
    assert found.dice == pytest.approx(2 * 144 / 432)
    assert found.changed == 2 * 72
    assert found.volume_ml == pytest.approx(0.0)
    # Of the 6^3 - 4^3 = 152 voxels of each surface: the face that was left (36 voxels, 1 mm from
    # the other's face; its rim lies 1 mm from the rim) and the ring beside it (20 voxels at
    # 0.5 mm); on the other side the ring inside is on the surface of both, and the old far face
    # has 20 voxels on the sides of the other cube and 16 inside it. From (y, z) = (0, 0) at the
    # middle of the face, the nearest of the other's surface is its side or its face 1 mm away.
    inner = [
        min(1.0, 0.8 * min(y, 5 - y), 2.0 * min(z, 5 - z)) for y in range(1, 5) for z in range(1, 5)
    ]
    expected = (36 * 1.0 + 20 * 0.5 + sum(inner)) / 152
    assert found.surface_mm == pytest.approx(expected)
    assert found.far_mm == pytest.approx(1.0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.7, 0.7)], ids=["cubic", "flat"])
def test_concentric_balls_are_as_far_apart_as_their_radii_differ(spacing):
    shape = tuple(int(44 / step) | 1 for step in spacing)
    one, other = ball(shape, 15.0, spacing), ball(shape, 18.0, spacing)
    found = agreement(one, other, grid(shape, spacing[1:], spacing[0]))
    # A surface voxel lies up to a voxel inside its sphere, at both.
    assert found.surface_mm == pytest.approx(3.0, abs=0.5 * max(spacing))
    assert found.far_mm == pytest.approx(3.0, abs=max(spacing))
    volume_ml = 4 / 3 * np.pi * (18.0**3 - 15.0**3) / 1000
    assert found.volume_ml == pytest.approx(volume_ml, rel=0.02)


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_monai_and_of_a_distance_transform(seed):
    rng = np.random.default_rng(seed)
    shape, spacing = (14, 24, 22), (2.5, 0.9, 0.7)
    noise = [ndimage.gaussian_filter(rng.normal(size=shape), 2.5) for _ in range(2)]
    inside = np.zeros(shape, dtype=bool)
    inside[2:-2, 2:-2, 2:-2] = True  # at the edge of the image, the other library sees a surface
    one = (noise[0] > 0.02) & inside
    other = (noise[0] + 0.6 * noise[1] > 0.02) & inside
    found = agreement(one, other, grid(shape, spacing[1:], spacing[0]))
    given = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (other, one)]
    named = {"include_background": True, "spacing": spacing}
    mean = compute_average_surface_distance(*given, symmetric=True, **named)
    far = compute_hausdorff_distance(*given, percentile=95, **named)
    assert found.surface_mm == pytest.approx(float(mean), rel=1e-5)
    assert found.far_mm == pytest.approx(float(far), rel=1e-5)
    assert found.dice == pytest.approx(float(compute_dice(*given)), rel=1e-6)
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    away = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    both = np.concatenate((away[1][edges[0]], away[0][edges[1]]))
    assert found.surface_mm == pytest.approx(both.mean(), rel=1e-9)


def test_slices_that_lie_unevenly_count_with_their_distance():
    geometry = grid((3, 8, 8))
    positions = geometry.positions_mm.copy()
    positions[:, 2] = [0.0, 1.0, 5.0]  # half-way to the next: 1, 2.5 and 4 mm
    uneven = Geometry(8, 8, (1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), positions)
    one = np.zeros((3, 8, 8), dtype=bool)
    other = one.copy()
    one[1, 3, 3], other[2, 3, 3] = True, True
    found = agreement(one, other, uneven)
    assert found.surface_mm == pytest.approx(4.0)
    assert found.volume_ml == pytest.approx((4.0 - 2.5) / 1000)


def test_where_a_mask_leaves_the_image_it_has_no_surface():
    one, other = (cube((8, 10, 10), (0, 2, 2), (n, 5, 5)) for n in (4, 5))
    found = agreement(one, other, grid(one.shape))
    # The first slice is no face: the mask goes on beyond it, and would do so in both.
    assert not np.isclose(found.surface_mm, 0)
    whole = agreement(np.ones((4, 5, 5), bool), np.ones((4, 5, 5), bool), grid((4, 5, 5)))
    assert (whole.dice, whole.surface_mm) == (1.0, None)


def test_a_single_slice_has_borders_but_no_volume():
    one, other = (cube((1, 10, 10), (0, 2, start), (1, 4, 4)) for start in (2, 3))
    found = agreement(one, other, grid((1, 10, 10)))
    assert found.volume_ml is None
    # Of 12 border pixels: 4 at 1 mm, 2 of the far side's 4 inside the other at 1 mm, rest shared.
    assert found.surface_mm == pytest.approx((4 + 2) / 12)


def test_classes_that_are_absent_have_no_figure_and_say_why():
    one, other = np.zeros((2, 4, 12, 12), dtype=np.uint8)
    one[:, 2:8, 2:8], other[:, 2:8, 2:9] = 1, 1
    one[:, 10, 10] = 2
    names = ("background", "liver", "cyst", "spleen")
    found = {m.key: m for m in mask_metrics(one, other, names, grid(one.shape))}
    assert found["mask_dice[liver]"].value == pytest.approx(2 * 144 / (144 + 168))
    assert found["mask_dice[cyst]"].value == 0.0
    assert found["mask_surface_mm[cyst]"].value is None
    assert found["mask_surface_mm[cyst]"].note == "in one mask only"
    assert found["mask_dice[spleen]"].value is None
    assert found["mask_dice[spleen]"].note == "in neither mask"
    assert found["mask_dice"].value == pytest.approx(found["mask_dice[liver]"].value / 2)
    assert found["mask_volume_ml[liver]"].value == pytest.approx(0.024)
    assert found["mask_changed[liver]"].text == "24"


def test_every_figure_names_what_it_is_compared_with():
    labels = np.ones((1, 4, 4), dtype=np.uint8)
    for against in (REFERENCE, TRUTH):
        for metric in mask_metrics(
            labels, labels, ("background", "water"), grid((1, 4, 4)), against=against
        ):
            assert metric.key.startswith(f"{against.key}_")
            assert against.words in metric.description

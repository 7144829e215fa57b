"""Dead leaves: solids that fall on each other until they cover a body."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from ctdenoise.config.phantom_random import DeadLeavesSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray, IndexArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.units import AIR_HU
from ctdenoise.phantoms.front_to_back import paint
from ctdenoise.phantoms.leaves import FACES, Leaves, draw_leaves
from ctdenoise.phantoms.packed import (
    CENTRE,
    COLUMNS,
    HALF_SPACE,
    KIND,
    POWER,
    QUADRIC,
    ROWS,
    SUPERQUADRIC,
    PackedShapes,
)
from ctdenoise.phantoms.painted import (
    Painted,
    body_cylinder,
    body_share,
    heights_mm,
    slice_numbers,
    slice_spacing_mm,
)
from ctdenoise.phantoms.shapes import Quadric, Shape
from ctdenoise.phantoms.solids import ellipsoid, elliptic_cylinder
from ctdenoise.phantoms.texture import texture_fields

LABELS = ("lung", "fat", "soft tissue", "enhanced", "bone")
"""Names of the labels, from number 1."""

_LABEL_EDGES_HU = (-400.0, -30.0, 78.0, 220.0)
"""Where one label ends and the next begins."""

GROUND_HU = 40.0
"""What shows where no leaf fell."""

_PALETTES = {
    # Share, and lowest and highest Hounsfield units: about the tissues of the torso phantom.
    "tissue": (
        (0.12, -900.0, -700.0),
        (0.20, -120.0, -80.0),
        (0.10, 0.0, 20.0),
        (0.33, 25.0, 75.0),
        (0.15, 80.0, 200.0),
        (0.10, 220.0, 1200.0),
    ),
    "soft_tissue": (
        (0.25, -120.0, -80.0),
        (0.12, 0.0, 20.0),
        (0.45, 25.0, 75.0),
        (0.18, 80.0, 200.0),
    ),
    "uniform": ((1.0, -1000.0, 1000.0),),
}

_FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))


def paint_dead_leaves(
    settings: DeadLeavesSettings, geometry: Geometry, *, slice_thickness_mm: float, seed: int
) -> Painted:
    """Draw dead leaves onto a grid.

    A slice is the same whatever other slices are drawn, if their distance and thickness are the
    same.

    Args:
        settings: How leaves are distributed.
        geometry: An axial grid.
        slice_thickness_mm: What a slice averages over along z.
        seed: The same seed, the same leaves.
    """
    low_mm, high_mm = heights_mm(geometry, slice_thickness_mm)
    leaves = draw_leaves(settings, seed, low_mm=low_mm, high_mm=high_mm)
    packs = _packed(leaves, settings)
    is_textured = settings.texture_share > 0 and settings.texture_sd_hu[1] > 0
    spacing_mm = (slice_spacing_mm(geometry), *geometry.pixel_spacing_mm)
    painting = paint(
        packs,
        geometry,
        slice_thickness_mm=slice_thickness_mm,
        fields=texture_fields(settings.texture_slopes, spacing_mm, seed) if is_textured else None,
        slice_numbers=slice_numbers(geometry),
        ground_hu=GROUND_HU,
        ground_label=LABELS.index("soft tissue") + 1,
    )
    # Leaves reach over the surface of the body, and all are cut by it at once: laid over each other
    # with the shares of leaves that are cut one by one, its edge would grow ever denser.
    body = body_cylinder(settings.diameter_mm, settings.depth_mm)
    share = body_share(body, geometry)
    hu = np.float32(AIR_HU) + share * (painting.hu - np.float32(AIR_HU))
    labels = np.where(share >= 0.5, painting.labels, np.uint8(0))
    shapes = _seen_shapes(packs, painting.seen, leaves, settings)
    return Painted(
        _blurred(hu, geometry, settings.blur_fwhm_mm),
        labels,
        shapes,
        {
            "leaves_fallen": len(leaves),
            "leaves_seen": len(shapes) - 1,
            "blur_fwhm_mm": settings.blur_fwhm_mm,
        },
    )


def _seen_shapes(
    packs: PackedShapes, seen: BoolArray, leaves: Leaves, settings: DeadLeavesSettings
) -> tuple[Shape, ...]:
    """The ground and the leaves that show on it, cut by the surface of the body."""
    body = body_cylinder(settings.diameter_mm, settings.depth_mm)
    is_cut = _reaches_out(packs, settings)
    shapes = [Shape("ground", GROUND_HU, (body,), label="soft tissue")]
    for index in np.flatnonzero(seen).tolist():
        kind = settings.kinds[leaves.kind[index]]
        parts = packs.parts_of(index)
        if kind == "box":
            parts = (*parts, _holding(leaves, index, settings.dimensions))
        shapes.append(
            Shape(
                kind,
                float(packs.hu[index]),
                (*parts, body) if is_cut[index] else parts,
                label=LABELS[packs.label[index] - 1],
                texture_sd_hu=float(packs.texture_sd_hu[index]),
            )
        )
    return tuple(shapes)


def _holding(leaves: Leaves, index: int, dimensions: int) -> Quadric:
    """The ellipsoid through the corners of a box: it cuts nothing off and gives it an end."""
    reach = leaves.half_axes_mm[index] * (math.sqrt(dimensions) * (1 + 1e-9))
    solid = ellipsoid if dimensions == 3 else elliptic_cylinder
    return solid(leaves.centre_mm[index], reach[:dimensions], leaves.turn[index])


def leaf_hu(palette: str, material: DoubleArray) -> DoubleArray:
    """Hounsfield units from two uniform numbers for each leaf, [leaf, 2].

    Args:
        palette: Which palette.
        material: In [0, 1): the first decides the tissue, the second the value within it.
    """
    table = np.array(_PALETTES[palette])
    tissue = np.searchsorted(np.cumsum(table[:-1, 0]), material[:, 0], side="right")
    low, high = table[tissue, 1], table[tissue, 2]
    return np.asarray(low + material[:, 1] * (high - low))


def _packed(leaves: Leaves, settings: DeadLeavesSettings) -> PackedShapes:
    """Leaves as arrays."""
    kinds = np.array(settings.kinds)[leaves.kind] if len(leaves) else np.empty(0, dtype=str)
    matrix = leaves.turn.transpose(0, 2, 1) / leaves.half_axes_mm[:, :, None]
    if settings.dimensions == 2:
        matrix[:, 2] = 0.0
    reach = _reach(leaves, kinds)
    own = np.select([kinds == "box", kinds == "polygon"], [settings.dimensions, 1 + FACES], 1)
    first = np.concatenate([[0], np.cumsum(own)]).astype(np.intp)
    parts = np.zeros((first[-1], COLUMNS))
    _fill(parts, first, leaves, kinds, matrix, settings.dimensions)
    low, high = leaves.centre_mm - reach, leaves.centre_mm + reach
    if settings.dimensions == 2:
        low[:, 2], high[:, 2] = -np.inf, np.inf
    hu = leaf_hu(settings.palette, leaves.material)
    sd_low, sd_high = settings.texture_sd_hu
    has_texture = leaves.texture[:, 0] < settings.texture_share
    return PackedShapes(
        parts=parts,
        first=first,
        low_mm=low,
        high_mm=high,
        hu=hu,
        label=np.searchsorted(_LABEL_EDGES_HU, hu) + 1,
        texture_sd_hu=has_texture * (sd_low + leaves.texture[:, 1] * (sd_high - sd_low)),
        field=(leaves.texture[:, 2] * len(settings.texture_slopes)).astype(np.intp),
        shift=leaves.shift,
    )


def _fill(
    parts: DoubleArray,
    first: IndexArray,
    leaves: Leaves,
    kinds: DoubleArray,
    matrix: DoubleArray,
    dimensions: int,
) -> None:
    """Write the parts of every leaf."""
    starts = first[:-1]
    for kind, code in (
        ("ellipsoid", QUADRIC),
        ("polygon", QUADRIC),
        ("superellipsoid", SUPERQUADRIC),
    ):
        which = kinds == kind
        lines = np.zeros((int(which.sum()), COLUMNS))
        lines[:, KIND] = code
        lines[:, CENTRE] = leaves.centre_mm[which]
        lines[:, ROWS] = matrix[which].reshape(-1, 9)
        lines[:, POWER] = leaves.power[which]
        parts[starts[which]] = lines
    which = kinds == "box"
    for axis in range(dimensions):
        lines = np.zeros((int(which.sum()), COLUMNS))
        lines[:, KIND] = QUADRIC
        lines[:, CENTRE] = leaves.centre_mm[which]
        lines[:, ROWS.start : ROWS.start + 3] = matrix[which, axis]
        parts[starts[which] + axis] = lines
    which = kinds == "polygon"
    for face in range(FACES):
        # u . M (x - c) <= d as a half-space with a unit normal.
        normal = np.einsum("nij,ni->nj", matrix[which], leaves.normals[which, face])
        length = np.linalg.norm(normal, axis=1)
        at_centre = np.sum(normal * leaves.centre_mm[which], axis=1)
        lines = np.zeros((int(which.sum()), COLUMNS))
        lines[:, KIND] = HALF_SPACE
        lines[:, CENTRE] = normal / length[:, None]
        lines[:, ROWS.start] = (leaves.depths[which, face] + at_centre) / length
        parts[starts[which] + 1 + face] = lines


def _reach(leaves: Leaves, kinds: DoubleArray) -> DoubleArray:
    """Half the width of each leaf along x, y and z, [leaf, 3]."""
    arms = np.abs(leaves.turn) * leaves.half_axes_mm[:, None, :]
    dual = np.select([kinds == "box", kinds == "superellipsoid"], [1.0, 0.0], 2.0)
    is_super = dual == 0.0
    dual[is_super] = leaves.power[is_super] / (leaves.power[is_super] - 1)
    exponent = dual[:, None, None]
    return np.asarray(np.sum(arms**exponent, axis=-1) ** (1 / dual[:, None]))


def _reaches_out(packs: PackedShapes, settings: DeadLeavesSettings) -> BoolArray:
    """Which leaves may reach out of the body."""
    half = np.array([settings.diameter_mm, settings.depth_mm or settings.diameter_mm]) / 2
    corner = np.maximum(np.abs(packs.low_mm[:, :2]), np.abs(packs.high_mm[:, :2])) / half
    return np.asarray(np.hypot(corner[:, 0], corner[:, 1]) >= 1.0)


def _blurred(hu: HuArray, geometry: Geometry, fwhm_mm: float) -> HuArray:
    """Slices blurred in their plane by a Gaussian."""
    if fwhm_mm == 0:
        return hu
    sigma = [fwhm_mm / _FWHM_PER_SIGMA / mm for mm in geometry.pixel_spacing_mm]
    return np.asarray(ndimage.gaussian_filter(hu, (0.0, *sigma), mode="nearest"), dtype=np.float32)

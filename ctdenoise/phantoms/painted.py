"""What a phantom that is drawn at random gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.phantom_random import RandomTextureSettings
from ctdenoise.core.arrays import FloatArray, HuArray, LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.units import AIR_HU
from ctdenoise.phantoms.front_to_back import paint
from ctdenoise.phantoms.packed import packed
from ctdenoise.phantoms.shapes import Quadric, Shape
from ctdenoise.phantoms.solids import elliptic_cylinder
from ctdenoise.phantoms.texture import texture_fields


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A phantom on its grid.

    Args:
        hu: Hounsfield units, float32 [z, y, x].
        labels: Number of the label of each voxel, uint8 [z, y, x].
        shapes: What shows on this grid, in painting order.
        drawn: What was drawn at random, in plain JSON.
    """

    hu: HuArray
    labels: LabelArray
    shapes: tuple[Shape, ...]
    drawn: Mapping[str, JsonValue]


def body_cylinder(diameter_mm: float, depth_mm: float | None) -> Quadric:
    """A body: an endless oval cylinder around the isocentre.

    Args:
        diameter_mm: Its width.
        depth_mm: Its size from front to back; None for as much.
    """
    return elliptic_cylinder((0.0, 0.0), (diameter_mm / 2, (depth_mm or diameter_mm) / 2))


def body_share(body: Quadric, geometry: Geometry) -> FloatArray:
    """Share of each pixel that an endless body fills, float32 [y, x].

    Args:
        body: The same at every height.
        geometry: An axial grid.
    """
    one = geometry.select([0])
    water = paint(packed((Shape("body", 0.0, (body,)),), {}), one, slice_thickness_mm=1.0).hu[0]
    return np.asarray(1 + water / np.float32(-AIR_HU), dtype=np.float32)


def painted_shapes(
    shapes: tuple[Shape, ...],
    geometry: Geometry,
    *,
    labels: tuple[str, ...],
    slice_thickness_mm: float,
    texture: RandomTextureSettings,
    seed: int,
    drawn: Mapping[str, JsonValue],
) -> Painted:
    """Draw shapes that share one texture, which runs on from one into the next.

    Args:
        shapes: In painting order.
        geometry: An axial grid.
        labels: Names of the labels, from number 1.
        slice_thickness_mm: What a slice averages over along z.
        texture: The texture; shapes say themselves how strong theirs is.
        seed: The same seed, the same texture.
        drawn: What was drawn at random.
    """
    fields = None
    if texture.sd_hu > 0:
        spacing_mm = (slice_spacing_mm(geometry), *geometry.pixel_spacing_mm)
        fields = texture_fields((texture.slope,), spacing_mm, seed)
    painting = paint(
        packed(shapes, {name: number for number, name in enumerate(labels, start=1)}),
        geometry,
        slice_thickness_mm=slice_thickness_mm,
        fields=fields,
        slice_numbers=slice_numbers(geometry),
    )
    return Painted(painting.hu, painting.labels, shapes, drawn)


def heights_mm(geometry: Geometry, slice_thickness_mm: float) -> tuple[float, float]:
    """Where a stack begins and ends along z, mm.

    Args:
        geometry: An axial grid.
        slice_thickness_mm: What a slice averages over.
    """
    heights = geometry.positions_mm[:, 2]
    half = slice_thickness_mm / 2
    return float(heights.min()) - half, float(heights.max()) + half


def slice_spacing_mm(geometry: Geometry) -> float:
    """Distance of slices; 1 mm for one slice alone."""
    heights = geometry.positions_mm[:, 2]
    return float(np.diff(heights).mean()) if len(heights) > 1 else 1.0


def slice_numbers(geometry: Geometry) -> tuple[int, ...]:
    """Numbers of slices in a texture, the same at the same height whatever the stack.

    Args:
        geometry: A grid of even spacing along z, or of one slice.
    """
    heights = geometry.positions_mm[:, 2]
    spacing = slice_spacing_mm(geometry)
    # A quarter off, so that neither 0, 1, 2 nor 1/2, 3/2 lies where rounding decides.
    return tuple(int(number) for number in np.floor(heights / spacing + 0.25))

"""Trees of vessels in a body with a cloudy texture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ctdenoise.config.phantom_random import VesselsSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import stream
from ctdenoise.phantoms.leaves import power_law
from ctdenoise.phantoms.lung_vessels import TWIG_MM, vessel_tree
from ctdenoise.phantoms.painted import Painted, body_cylinder, heights_mm, painted_shapes
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import ellipsoid, tube

LABELS = ("background", "vessel")
"""Names of the labels, from number 1."""

_MARGIN_MM = 15.0
"""Trees reach this far beyond the first and the last slice."""

_INSIDE = 0.92
"""Vessels end at this share of the radius of the body."""


def paint_vessels(
    settings: VesselsSettings, geometry: Geometry, *, slice_thickness_mm: float, seed: int
) -> Painted:
    """Draw trees of vessels around the slices of a grid.

    Args:
        settings: How many, how dense and how bright they are.
        geometry: An axial grid.
        slice_thickness_mm: What a slice averages over along z.
        seed: The same seed and the same height of the stack, the same trees.
    """
    low, high = heights_mm(geometry, slice_thickness_mm)
    shapes = [
        Shape(
            "body",
            settings.hu,
            (body_cylinder(settings.diameter_mm, settings.depth_mm),),
            label="background",
            texture_sd_hu=settings.texture.sd_hu,
        )
    ]
    records: list[JsonValue] = []
    for number in range(1, settings.trees + 1):
        rng = stream(seed, "vessels", number)
        contrast = float(power_law(rng.random(1), *settings.contrast_hu, 1.0)[0])
        contrast *= float(rng.choice((-1.0, 1.0), p=(0.2, 0.8)))
        hu = max(settings.hu + contrast, -1000.0)
        points = _points(settings, rng, (low - _MARGIN_MM, high + _MARGIN_MM))
        tree = list(_tree(points, settings, hu, number))
        shapes += tree
        records.append({"tree": number, "hu": hu, "pieces": len(tree) // 2})
    return painted_shapes(
        tuple(shapes),
        geometry,
        labels=LABELS,
        slice_thickness_mm=slice_thickness_mm,
        texture=settings.texture,
        seed=seed,
        drawn={"trees": records},
    )


def _points(
    settings: VesselsSettings, rng: np.random.Generator, heights: tuple[float, float]
) -> DoubleArray:
    """A root near the surface, and the points that a tree reaches, [1 + point, 3], mm."""
    half = np.array([settings.diameter_mm, settings.depth_mm or settings.diameter_mm]) / 2
    angle = rng.uniform(0, 2 * np.pi, settings.branches + 1)
    radius = np.sqrt(rng.random(settings.branches + 1))
    radius[0] = 1.0
    points = np.empty((settings.branches + 1, 3))
    points[:, 0] = _INSIDE * half[0] * radius * np.cos(angle)
    points[:, 1] = _INSIDE * half[1] * radius * np.sin(angle)
    points[:, 2] = rng.uniform(*heights, settings.branches + 1)
    return points


def _tree(
    points: DoubleArray, settings: VesselsSettings, hu: float, number: int
) -> Iterator[Shape]:
    """Pieces of a tree, each with a ball at its end that closes the bend."""
    scale = settings.twig_radius_mm / TWIG_MM
    for start, end, radius in vessel_tree(points[0], points[1:]):
        name, reach = f"vessel {number}", radius * scale
        yield Shape(name, hu, tube(start, end, reach), label="vessel")
        yield Shape(name, hu, (ellipsoid(end, (reach, reach, reach)),), label="vessel")

"""The vessel trees of the lungs of a torso."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.anatomy import Anatomy
from ctdenoise.phantoms.chest import lung_parts
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import tube

_POINTS = 330
"""Points of each tree; every one is the end of a piece of vessel."""

TWIG_MM = 0.75
"""Radius of the thinnest vessels."""

_MURRAY = 3.0
"""Radii at a branching: parent^3 = sum of children^3 (Murray's law)."""

_DETOUR = 0.35
"""How much a longer way from the hilum counts when a point picks where to join the tree."""


def lung_vessel_shapes(anatomy: Anatomy, rng: np.random.Generator) -> Iterator[Shape]:
    """Two trees, arteries and veins, that fill each lung from its hilum.

    Args:
        anatomy: The patient.
        rng: Decides where the vessels go.
    """
    for side in (-1, 1):
        inside = Shape("lung", 0.0, lung_parts(anatomy, side, less_mm=6.0))
        place = "left" if side > 0 else "right"
        for kind, (x, y, z) in {"artery": (38, 14, 70), "vein": (34, 4, 48)}.items():
            hilum = np.array(anatomy.at(side * x, y, z))
            points = _points_inside(inside, anatomy, side, rng)
            for start, end, radius in vessel_tree(hilum, points):
                yield anatomy.shape(
                    f"{place} lung {kind}", "lung vessel", *tube(start, end, radius)
                )


def _points_inside(
    inside: Shape, anatomy: Anatomy, side: int, rng: np.random.Generator
) -> DoubleArray:
    """Points spread over a lung, [point, 3]."""
    a, b = anatomy.cavity_mm
    low = np.array([min(side * 8.0, side * a), -b - 10, anatomy.diaphragm_mm - 95])
    high = np.array([max(side * 8.0, side * a), b, anatomy.diaphragm_mm + 215])
    places = rng.uniform(low, high, (12 * _POINTS, 3))
    return places[inside.contains(places)][:_POINTS]


def vessel_tree(
    root: DoubleArray, points: DoubleArray
) -> list[tuple[DoubleArray, DoubleArray, float]]:
    """A tree that reaches every point from a root.

    Points join from the nearest to the farthest, each where the way to the tree plus a share of
    the way back to the root is shortest. Radii follow from Murray's law.

    Args:
        root: Where the tree starts, mm [3].
        points: What it reaches, mm [point, 3].

    Returns:
        Start, end and radius of each piece, mm.
    """
    distance = np.linalg.norm(points - root, axis=1)
    nodes = np.concatenate([root[None], points[np.argsort(distance)]])
    parent = np.zeros(len(nodes), dtype=np.intp)
    way = np.zeros(len(nodes))
    for index in range(1, len(nodes)):
        reach = np.linalg.norm(nodes[:index] - nodes[index], axis=1)
        parent[index] = np.argmin(reach + _DETOUR * way[:index])
        way[index] = way[parent[index]] + reach[parent[index]]
    cubes = np.full(len(nodes), TWIG_MM**_MURRAY)
    for index in range(len(nodes) - 1, 0, -1):
        cubes[parent[index]] += cubes[index]
    radii = cubes ** (1 / _MURRAY)
    return [
        (nodes[parent[index]], nodes[index], float(radii[index])) for index in range(1, len(nodes))
    ]

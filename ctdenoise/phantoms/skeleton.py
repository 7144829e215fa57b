"""Spine, ribs and breastbone of the torso."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.anatomy import BOTTOM_MM, TOP_MM, Anatomy
from ctdenoise.phantoms.axes import Vector
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import (
    between_planes,
    ellipsoid,
    elliptic_cylinder,
    rotation,
    vector,
)

_VERTEBRA_MM = 29.0
"""Distance from one vertebra to the next."""

_DISC_MM = 5.0
_RIB_PIECES = 22
_RIB_DROP_MM = 125.0
"""How much lower the front end of a rib is than its back end."""


def spine_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Vertebrae with their arches and processes, discs, canal and cord."""
    x = anatomy.spine_shift_mm
    y = spine_y_mm(anatomy)
    for index, low in enumerate(np.arange(BOTTOM_MM, TOP_MM, _VERTEBRA_MM)):
        yield from _vertebra(anatomy, f"vertebra {index + 1}", x, y, float(low))
    whole = between_planes(BOTTOM_MM, TOP_MM)
    canal = elliptic_cylinder((x, y + 27), (10, 8))
    cord = elliptic_cylinder((x, y + 27), (5.5, 4))
    yield anatomy.shape("spinal canal", "spinal canal", canal, *whole)
    yield anatomy.shape("spinal cord", "spinal cord", cord, *whole)


def spine_y_mm(anatomy: Anatomy) -> float:
    """Where the vertebral bodies have their centres."""
    return anatomy.cavity_mm[1] - 39.0


def _vertebra(anatomy: Anatomy, name: str, x: float, y: float, low: float) -> Iterator[Shape]:
    high = low + _VERTEBRA_MM
    middle = low + (_VERTEBRA_MM - _DISC_MM) / 2
    bone = between_planes(low, high - _DISC_MM)
    marrow = between_planes(low + 1.3, high - _DISC_MM - 1.3)
    arch = between_planes(middle - 8, middle + 7)
    for side in (-1, 1):
        process = ellipsoid(
            (x + side * 27, y + 29, middle + 3), (17, 5, 7), rotation(about_z=side * 14)
        )
        inner = ellipsoid(
            (x + side * 27, y + 29, middle + 3), (15, 3, 5), rotation(about_z=side * 14)
        )
        yield anatomy.shape(f"{name} transverse process", "cortical bone", process)
        yield anatomy.shape(f"{name} transverse process", "spongy bone", inner)
    tip = ellipsoid((x, y + 43, middle - 6), (4, 14, 8), rotation(about_x=-18))
    yield anatomy.shape(f"{name} spinous process", "cortical bone", tip, hu=480.0)
    ring = elliptic_cylinder((x, y + 26), (16, 14))
    yield anatomy.shape(f"{name} arch", "cortical bone", ring, *arch, hu=560.0)
    yield anatomy.shape(
        f"{name} disc", "disc", elliptic_cylinder((x, y), (20, 15.5)), *between_planes(low, high)
    )
    yield anatomy.shape(
        f"{name} cortex", "cortical bone", elliptic_cylinder((x, y), (20.5, 16)), *bone, hu=520.0
    )
    yield anatomy.shape(
        f"{name} marrow", "spongy bone", elliptic_cylinder((x, y), (19, 14.5)), *marrow
    )


def rib_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """Ribs as chains of flat ellipsoids from the spine to the front, and their cartilage."""
    # Tops of the ribs at the spine; the lowest two do not reach the front.
    for number, start in enumerate(np.arange(-120.0, TOP_MM - 20, 27.0)):
        pieces = _RIB_PIECES if number >= 2 else _RIB_PIECES // 2 + 3 * number
        for side in (-1, 1):
            yield from _rib(anatomy, f"rib {12 - number}", side, float(start), pieces)


def _rib(anatomy: Anatomy, name: str, side: int, start: float, pieces: int) -> Iterator[Shape]:
    side_name = f"{name} {'left' if side > 0 else 'right'}"
    points = [_rib_point(anatomy, side, start, index / _RIB_PIECES) for index in range(pieces + 1)]
    inner: list[Shape] = []
    for index, (first, last) in enumerate(pairwise(points)):
        step = np.subtract(last, first)
        turn = _upright_axes(step)
        middle = vector((np.add(first, last)) / 2)
        half = float(np.linalg.norm(step)) * 0.72
        if index >= 0.86 * _RIB_PIECES:
            part = ellipsoid(middle, (3.2, 5.0, half), turn)
            yield anatomy.shape(f"{side_name} cartilage", "cartilage", part)
            continue
        yield anatomy.shape(side_name, "cortical bone", ellipsoid(middle, (3.6, 6.2, half), turn))
        marrow = ellipsoid(middle, (2.2, 4.6, half * 0.9), turn)
        inner.append(anatomy.shape(f"{side_name} marrow", "spongy bone", marrow))
    yield from inner


def _rib_point(anatomy: Anatomy, side: int, start: float, along: float) -> Vector:
    """A point of a rib, `along` from 0 at the spine to 1 at the breastbone."""
    a, b = anatomy.cavity_mm
    angle = np.radians(76 - 158 * along)  # from the back (90) round the side (0) to the front
    x = side * (a + 6.5) * np.cos(angle)
    y = (b + 6.5) * np.sin(angle) - anatomy.forward_mm
    z = start - _RIB_DROP_MM * along**1.15
    if along > 0.85:  # the cartilage rises to the breastbone
        z += 260 * (along - 0.85)
    return (float(x), float(y), float(z))


def _upright_axes(direction: DoubleArray) -> DoubleArray:
    """Axes [3, 3] whose third is a direction and whose second is as upright as it can be."""
    along = direction / np.linalg.norm(direction)
    upright = np.array([0.0, 0.0, 1.0]) - along[2] * along
    upright /= np.linalg.norm(upright)
    return np.stack([np.cross(upright, along), upright, along], axis=1)


def sternum_shapes(anatomy: Anatomy) -> Iterator[Shape]:
    """The breastbone."""
    y = -(anatomy.cavity_mm[1] + 5.5) - anatomy.forward_mm
    span = between_planes(anatomy.diaphragm_mm + 18, TOP_MM - 90)
    marrow = between_planes(anatomy.diaphragm_mm + 20, TOP_MM - 92)
    yield anatomy.shape(
        "breastbone", "cortical bone", elliptic_cylinder((0, y), (18, 6)), *span, hu=420.0
    )
    yield anatomy.shape(
        "breastbone marrow", "spongy bone", elliptic_cylinder((0, y), (16.3, 4.4)), *marrow
    )

"""Dead leaves as they are drawn at random: where they fall, and what they are like.

Leaves fall one after another (Matheron 1968; Lee, Mumford and Huang 2001): a Poisson process in
space and time, of which one sees the latest leaf at every point. Here time runs back from 0, and
after `COVER` leaves at the mean point it ends. Space is cut into slabs along z, and radii into
octaves; each slab of each octave has a random stream of its own. So a leaf is the same whatever
part of space is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.config.phantom_random import DeadLeavesSettings
from ctdenoise.core.arrays import DoubleArray, IndexArray
from ctdenoise.core.randomness import stream

COVER = 9.0
"""Leaves that cover a point on average; where there is none (one point in 8,000), the ground
shows."""

FACES = 7
"""Planes that cut a polygon (a polyhedron in three dimensions) out of an ellipsoid."""

REACH = 1.75
"""The corner of a box is this many times its largest half-axis from its centre (sqrt 3)."""

_FILL = 0.8
"""Volume of a mean leaf over that of the ball of its radius (boxes more, polyhedra less)."""


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """Leaves, the oldest first.

    Args:
        centre_mm: [leaf, 3].
        radius_mm: [leaf].
        half_axes_mm: [leaf, 3].
        turn: Rotations, [leaf, 3, 3].
        kind: Index into `DeadLeavesSettings.kinds`, [leaf].
        power: Power of superellipsoids, [leaf].
        normals: Unit normals of the faces of polygons in their own axes, [leaf, FACES, 3].
        depths: Distance of those faces from the centre over the half-axes, [leaf, FACES].
        material: Uniform in [0, 1), decides the Hounsfield units, [leaf, 2].
        texture: Uniform in [0, 1): whether it has one, how strong, which, [leaf, 3].
        shift: Shift of the texture in voxels, [leaf, 3].
    """

    centre_mm: DoubleArray
    radius_mm: DoubleArray
    half_axes_mm: DoubleArray
    turn: DoubleArray
    kind: IndexArray
    power: DoubleArray
    normals: DoubleArray
    depths: DoubleArray
    material: DoubleArray
    texture: DoubleArray
    shift: IndexArray

    def __len__(self) -> int:
        return len(self.radius_mm)


def draw_leaves(
    settings: DeadLeavesSettings, seed: int, *, low_mm: float, high_mm: float
) -> Leaves:
    """The leaves that may show between two heights.

    Args:
        settings: How they are distributed.
        seed: The same seed, the same leaves.
        low_mm: Lower height z.
        high_mm: Upper height.
    """
    drawn: list[dict[str, DoubleArray]] = []
    for octave, (small, large) in enumerate(_octaves(settings)):
        reach_mm = REACH * settings.elongation * large
        share = _cover_share(settings, small, large)
        if settings.dimensions == 2:
            slabs, slab_mm = range(1), 0.0
        else:
            slab_mm = 2 * reach_mm
            first = int(np.floor((low_mm - reach_mm) / slab_mm))
            slabs = range(first, int(np.floor((high_mm + reach_mm) / slab_mm)) + 1)
        for slab in slabs:
            rng = stream(seed, "dead leaves", octave, slab)
            part = _slab(settings, small, large, share, (slab * slab_mm, slab_mm), reach_mm, rng)
            height = part["centre_mm"][:, 2]
            near = (height >= low_mm - reach_mm) & (height <= high_mm + reach_mm)
            drawn.append({name: values[near] for name, values in part.items()})
    merged = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    order = np.argsort(-merged.pop("age"), kind="stable")
    return Leaves(**{name: values[order] for name, values in merged.items()})


def _octaves(settings: DeadLeavesSettings) -> list[tuple[float, float]]:
    """Ranges of the radius, each up to twice its smallest."""
    low, high = settings.radius_mm
    count = int(np.ceil(np.log2(high / low) - 1e-9))
    edges = np.geomspace(low, high, count + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def radius_power(settings: DeadLeavesSettings) -> float:
    """The number of leaves in space falls as radius to minus this.

    A plane meets balls in discs. The number of balls that it meets goes as their number times
    their radius, so an exponent a of discs in slices needs a + 1 of balls in space.
    """
    return settings.exponent + (settings.dimensions - 2)


def _cover_share(settings: DeadLeavesSettings, small: float, large: float) -> float:
    """Share of an octave in the mean cover of a point: integral of r^(d - b) over it."""
    power = settings.dimensions - radius_power(settings)

    def integral(a: float, b: float) -> float:
        if abs(power + 1) < 1e-9:
            return float(np.log(b / a))
        return float((b ** (power + 1) - a ** (power + 1)) / (power + 1))

    return integral(small, large) / integral(*settings.radius_mm)


def _slab(
    settings: DeadLeavesSettings,
    small: float,
    large: float,
    share: float,
    slab_mm: tuple[float, float],
    reach_mm: float,
    rng: np.random.Generator,
) -> dict[str, DoubleArray]:
    """Leaves of one octave whose centres lie in a slab (start and thickness, mm)."""
    dimensions = settings.dimensions
    half = np.array([settings.diameter_mm, settings.depth_mm or settings.diameter_mm]) / 2
    half = half + reach_mm
    power = radius_power(settings)
    # The mean volume (area) of an octave's leaves, from the moments of the power law.
    grid = np.geomspace(small, large, 201)
    middle = np.sqrt(grid[1:] * grid[:-1])
    density = middle**-power * np.diff(grid)
    ball = (np.pi if dimensions == 2 else 4 / 3 * np.pi) * _FILL
    mean_volume = ball * float((density * middle**dimensions).sum() / density.sum())
    space = 4 * half[0] * half[1] * (1.0 if dimensions == 2 else slab_mm[1])
    count = int(rng.poisson(COVER * share * space / mean_volume))
    centre = rng.uniform(-1, 1, (count, 3)) * np.array([*half, 0.0])
    if dimensions == 3:
        centre[:, 2] = slab_mm[0] + rng.uniform(0, slab_mm[1], count)
    radius = power_law(rng.random(count), small, large, power)
    axes = settings.elongation ** rng.uniform(-1, 1, (count, 3))
    if dimensions == 2:
        axes[:, 2] = 1.0
    # The product of the half-axes stays that of a ball, so elongation changes no volume.
    axes /= np.prod(axes, axis=1, keepdims=True) ** (1 / dimensions)
    axes = np.clip(axes, 1 / settings.elongation, settings.elongation)
    normals = rng.standard_normal((count, FACES, 3))
    if dimensions == 2:
        axes[:, 2] = 1.0
        normals[..., 2] = 0.0
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return {
        "age": rng.random(count),
        "centre_mm": centre,
        "radius_mm": radius,
        "half_axes_mm": radius[:, None] * axes,
        "turn": _turns(rng.standard_normal((count, 4)), is_flat=dimensions == 2),
        "kind": rng.integers(0, len(settings.kinds), count),
        "power": rng.integers(3, 9, count).astype(np.float64),
        "normals": normals,
        "depths": rng.uniform(0.5, 0.95, (count, FACES)),
        "material": rng.random((count, 2)),
        "texture": rng.random((count, 3)),
        "shift": rng.integers(0, 1 << 16, (count, 3)),
    }


def power_law(uniform: DoubleArray, low: float, high: float, power: float) -> DoubleArray:
    """Numbers in [low, high] whose density falls as x^-power, from uniform numbers in [0, 1)."""
    if abs(power - 1) < 1e-9:
        return np.asarray(low * (high / low) ** uniform)
    a, b = low ** (1 - power), high ** (1 - power)
    return np.asarray((a + uniform * (b - a)) ** (1 / (1 - power)))


def _turns(normal: DoubleArray, *, is_flat: bool) -> DoubleArray:
    """Rotations, uniform over all (or over all about z), from normal numbers [leaf, 4]."""
    if is_flat:
        normal = normal * np.array([1.0, 0.0, 0.0, 1.0])
    w, x, y, z = (normal / np.linalg.norm(normal, axis=1, keepdims=True)).T
    return np.moveaxis(
        np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        ),
        -1,
        0,
    )

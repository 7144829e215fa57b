"""What lies along rays that cross painted shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray, IndexArray


@dataclass(frozen=True, slots=True, eq=False)
class Chords:
    """Stretches of rays inside shapes, in painting order of the shapes.

    Args:
        ray: Number of the ray, [chord].
        start: Where it enters, mm along the ray, [chord].
        end: Where it leaves, farther than `start`.
        value: Attenuation of the shape relative to water, or what it adds.
        kept: What part of what lies below stays: 1 where the shape adds, 0 where it replaces.
    """

    ray: IndexArray
    start: DoubleArray
    end: DoubleArray
    value: DoubleArray
    kept: DoubleArray


def painted_lengths(chords: Chords, rays: int) -> DoubleArray:
    """Integral of relative attenuation along each ray, mm of water.

    The ends of all chords of a ray are sorted; every stretch between two of them gets what the
    shapes that cover it leave when they are painted one after the other.

    Args:
        chords: In painting order.
        rays: How many rays there are.

    Returns:
        [ray]; infinite where a chord has no end.
    """
    result = np.zeros(rays)
    order = np.argsort(chords.ray, kind="stable")
    counts = np.bincount(chords.ray, minlength=rays)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    # Rays that cross equally many shapes are swept together.
    for count in np.unique(counts[counts > 0]):
        chosen = np.flatnonzero(counts == count)
        chord = order[first[chosen] + np.arange(count)[:, None]]  # [shape, ray]
        result[chosen] = _swept(
            chords.start[chord], chords.end[chord], chords.value[chord], chords.kept[chord]
        )
    return result


def _swept(
    starts: DoubleArray, ends: DoubleArray, values: DoubleArray, kept: DoubleArray
) -> DoubleArray:
    """Painted lengths of rays that cross equally many shapes, [shape, ray] each."""
    endless = np.asarray((np.isinf(starts) | np.isinf(ends)).any(axis=0))
    if endless.any():
        result = np.full(endless.shape, np.inf)
        if not endless.all():
            finite = ~endless
            result[finite] = _swept(
                starts[:, finite], ends[:, finite], values[:, finite], kept[:, finite]
            )
        return result
    if len(starts) == 1:
        return np.asarray(values[0] * (ends[0] - starts[0]))
    edges = np.sort(np.concatenate([starts, ends]), axis=0)
    middles = (edges[1:] + edges[:-1]) / 2
    painted = np.zeros_like(middles)
    for start, end, value, keep in zip(starts, ends, values, kept, strict=True):
        covered = (middles > start) & (middles < end)
        np.copyto(painted, value + keep * painted, where=covered)
    return np.asarray(np.sum(painted * np.diff(edges, axis=0), axis=0), dtype=np.float64)


def line_distances(
    points: DoubleArray, origins: DoubleArray, directions: DoubleArray
) -> DoubleArray:
    """Distance of each point [point, 3] from each line [ray, 3], mm, [point, ray]."""
    along = points @ directions.T - np.sum(origins * directions, axis=-1)
    square = (
        np.sum(points * points, axis=-1)[:, None]
        - 2.0 * (points @ origins.T)
        + np.sum(origins * origins, axis=-1)
    )
    return np.asarray(np.sqrt(np.maximum(square - along * along, 0.0)))

"""Rays of parallel and fan beams in one axial plane, for exact projections of shapes."""

from __future__ import annotations

import numpy as np

from ctdenoise.core.arrays import DoubleArray


def parallel_rays(
    angles_rad: DoubleArray, offsets_mm: DoubleArray, *, z_mm: float = 0.0
) -> tuple[DoubleArray, DoubleArray]:
    """Rays of a parallel beam.

    The ray at angle a and offset s is the line x cos a + y sin a = s.

    Args:
        angles_rad: Angle of the detector axis of each view, [view].
        offsets_mm: Distance of each ray from the isocentre, [channel].
        z_mm: Height of the plane.

    Returns:
        Origins (mm) and unit directions, [view, channel, 3] each.
    """
    angle = np.asarray(angles_rad, dtype=np.float64)[:, None]
    offset = np.asarray(offsets_mm, dtype=np.float64)[None, :]
    origins = np.stack(
        [
            offset * np.cos(angle),
            offset * np.sin(angle),
            np.full(np.broadcast(angle, offset).shape, z_mm),
        ],
        axis=-1,
    )
    flat = np.zeros_like(offset)
    directions = np.stack(
        [-np.sin(angle) + flat, np.cos(angle) + flat, np.zeros(origins.shape[:-1])], axis=-1
    )
    return origins, directions


def fan_rays(
    angles_rad: DoubleArray,
    fan_angles_rad: DoubleArray,
    *,
    source_to_isocentre_mm: float,
    z_mm: float = 0.0,
) -> tuple[DoubleArray, DoubleArray]:
    """Rays of an equiangular fan beam.

    At view angle b the source is at D (cos b, sin b); the ray at fan angle g runs from it along
    -(cos (b + g), sin (b + g)), so its distance from the isocentre is D sin |g|.

    Args:
        angles_rad: Angle of the source of each view, [view].
        fan_angles_rad: Angle of each ray from the central one, [channel].
        source_to_isocentre_mm: D.
        z_mm: Height of the plane.

    Returns:
        Origins (mm) and unit directions, [view, channel, 3] each.
    """
    angle = np.asarray(angles_rad, dtype=np.float64)[:, None]
    turned = angle + np.asarray(fan_angles_rad, dtype=np.float64)[None, :]
    flat = np.zeros_like(turned)
    distance = source_to_isocentre_mm
    origins = np.stack(
        [distance * np.cos(angle) + flat, distance * np.sin(angle) + flat, flat + z_mm], axis=-1
    )
    directions = np.stack([-np.cos(turned), -np.sin(turned), flat], axis=-1)
    return origins, directions

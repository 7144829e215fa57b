"""Rays of a fan beam whose focal spot and channels have a width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray

_STEPS = (0.7549, 0.5698)
"""Shares of a lattice of points in three dimensions by which the second and third step: powers of
the inverse of the plastic number, whose multiples fill a square evenly."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of a detector averages over.

    Args:
        channel_angle: Opening of a channel seen from the focal spot, radians.
        focal_spot_mm: Width of the focal spot.
        view_angle: How far the gantry turns while a view is read, radians.
        rays: Rays that are averaged.
    """

    channel_angle: float
    focal_spot_mm: float
    view_angle: float
    rays: int

    def offsets(self) -> DoubleArray:
        """Where the rays are on the channel, the focal spot and the turn: -1/2 to 1/2, [ray, 3].

        Each of the three is met at the middles of as many equal parts as there are rays.
        """
        index = np.arange(self.rays)
        steps = [1, *(_coprime(share * self.rays, self.rays) for share in _STEPS)]
        part = np.stack([(index * step) % self.rays for step in steps], axis=1)
        return np.asarray((part + 0.5) / self.rays - 0.5)


def reading_rays(
    angles_rad: DoubleArray,
    fan_angles_rad: DoubleArray,
    reading: Reading,
    *,
    source_to_isocentre_mm: float,
    source_to_detector_mm: float,
    z_mm: float = 0.0,
) -> Iterator[tuple[DoubleArray, DoubleArray]]:
    """Rays that the readings of an equiangular fan beam are means over.

    They run as those of `rays.fan_rays`; the spot lies across the central ray and the detector on
    an arc around its middle.

    Args:
        angles_rad: Angle of the source in the middle of each view, [view].
        fan_angles_rad: Angle of the middle of each channel from the central ray, [channel].
        reading: What a reading averages over.
        source_to_isocentre_mm: Focal spot to isocentre.
        source_to_detector_mm: Focal spot to detector.
        z_mm: Height of the plane.

    Yields:
        For each ray of a reading: origins (mm) and directions, [view, channel, 3] each.
    """
    for channel, spot, turn in reading.offsets():
        angle = np.asarray(angles_rad)[:, None] + turn * reading.view_angle
        turned = angle + np.asarray(fan_angles_rad)[None, :] + channel * reading.channel_angle
        shift_mm = spot * reading.focal_spot_mm
        middle = source_to_isocentre_mm * _direction(angle)
        source = middle + shift_mm * _direction(angle + np.pi / 2)
        detector = middle - source_to_detector_mm * _direction(turned)
        source, detector = np.broadcast_arrays(source, detector)
        origins = np.concatenate([source, np.full((*turned.shape, 1), z_mm)], axis=-1)
        flat = np.zeros((*turned.shape, 1))
        yield origins, np.concatenate([detector - source, flat], axis=-1)


def _direction(angle: DoubleArray) -> DoubleArray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _coprime(wanted: float, count: int) -> int:
    """The number nearest to the wanted one that has no divisor in common with a count."""
    fits = [number for number in range(1, count + 1) if math.gcd(number, count) == 1]
    return min(fits, key=lambda number: abs(number - wanted))

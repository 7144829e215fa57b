"""Whether two volumes can be compared voxel by voxel, and if not, why."""

from __future__ import annotations

import numpy as np

from ctdenoise.core.geometry import POSITION_TOLERANCE_MM, Geometry, same_pixel_spacing
from ctdenoise.errors import GeometryError, listed


def require_same_grid(reference: Geometry, test: Geometry, *, name: str = "the test") -> None:
    """Refuse volumes on different grids; nothing is ever resampled or reordered silently.

    Args:
        reference: Grid of the reference.
        test: Grid of the test.
        name: What to call the test in the message.

    Raises:
        GeometryError: With every difference.
    """
    if reference.matches(test):
        return
    problems = listed(_differences(reference, test))
    raise GeometryError(
        f"The reference and {name} are not on the same grid:\n{problems}",
        fix="Compare series of the same slices and matrix; check which series was chosen.",
    )


def _differences(one: Geometry, other: Geometry) -> list[str]:
    found: list[str] = []
    if one.slices != other.slices:
        found.append(f"{one.slices} slices, not {other.slices}")
    if (one.rows, one.columns) != (other.rows, other.columns):
        found.append(f"{one.rows} x {one.columns} pixels, not {other.rows} x {other.columns}")
    if not same_pixel_spacing(one.pixel_spacing_mm, other.pixel_spacing_mm):
        found.append(
            f"pixels of {_millimetres(one.pixel_spacing_mm)}, "
            f"not {_millimetres(other.pixel_spacing_mm)}"
        )
    if not np.allclose(one.normal, other.normal, atol=1e-3):
        found.append("the slices are turned against each other")
    if one.slices == other.slices:
        found.extend(_position_differences(one, other))
    return found or ["the directions of rows and columns differ"]


def _position_differences(one: Geometry, other: Geometry) -> list[str]:
    distance = np.linalg.norm(one.positions_mm - other.positions_mm, axis=1)
    if distance.max() <= POSITION_TOLERANCE_MM:
        return []
    if np.ptp(distance) <= POSITION_TOLERANCE_MM:
        return [f"every slice is shifted by {distance.max():.2f} mm"]
    count = int(np.count_nonzero(distance > POSITION_TOLERANCE_MM))
    return [f"{count} slices lie elsewhere, by up to {distance.max():.2f} mm"]


def _millimetres(spacing: tuple[float, float]) -> str:
    return f"{spacing[0]:.4f} x {spacing[1]:.4f} mm"

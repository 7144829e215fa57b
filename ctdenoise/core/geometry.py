"""Where the voxels of a series are in the patient, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import GeometryError

DIRECTION_TOLERANCE = 1e-3
"""Largest difference between direction cosines that still count as the same."""

POSITION_TOLERANCE_MM = 0.01
"""Largest distance between slice positions that still count as the same."""

SPACING_TOLERANCE_FRACTION = 0.01
"""Spacings within 1 % (or POSITION_TOLERANCE_MM, if larger) are one run."""

PIXEL_SPACING_TOLERANCE_FRACTION = 1e-4
"""Pixel spacings within 0.01 % count as the same: over 512 pixels, a twentieth of one."""

SHEAR_TOLERANCE_PIXELS = 0.15
"""One affine serves a stack whose last slice lies this far beside the normal through the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The grid of a stack of slices in the patient frame (LPS, mm).

    Every slice has its own position, so gantry tilt, gaps and uneven spacing need no special case.

    Args:
        rows: Pixels along a column (size of axis y).
        columns: Pixels along a row (size of axis x).
        pixel_spacing_mm: Distance between the centres of adjacent rows, then of adjacent columns
            (the order of DICOM PixelSpacing).
        row_direction: Unit vector along a row, in which the column index grows.
        column_direction: Unit vector along a column, in which the row index grows.
        positions_mm: Centre of the first pixel of each slice, float64 [slice, 3], ordered along
            the normal. Read-only.

    Raises:
        GeometryError: If sizes are not positive, a value is not finite, the directions are not
            orthogonal unit vectors, or the positions do not ascend along the normal.
    """

    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    positions_mm: DoubleArray

    def __post_init__(self) -> None:
        positions = np.array(self.positions_mm, dtype=np.float64)
        positions.setflags(write=False)
        object.__setattr__(self, "positions_mm", positions)
        problems = self._problems()
        if problems:
            raise GeometryError("; ".join(problems))

    def _problems(self) -> list[str]:
        problems: list[str] = []
        if self.rows < 1 or self.columns < 1:
            problems.append(f"a grid of {self.rows} x {self.columns} pixels has no pixels")
        if not all(np.isfinite(s) and s > 0 for s in self.pixel_spacing_mm):
            problems.append(f"the pixel spacing {self.pixel_spacing_mm} is not positive")
        if self.positions_mm.ndim != 2 or self.positions_mm.shape[1:] != (3,):
            problems.append("slice positions must be an array of [slice, 3]")
            return problems
        if len(self.positions_mm) == 0:
            problems.append("there is no slice")
        directions = np.array([self.row_direction, self.column_direction])
        if not (np.isfinite(directions).all() and np.isfinite(self.positions_mm).all()):
            problems.append("a direction or position is not a finite number")
            return problems
        gram = directions @ directions.T
        if np.abs(gram - np.eye(2)).max() > DIRECTION_TOLERANCE:
            problems.append("the row and column directions are not orthogonal unit vectors")
        if len(self.positions_mm) > 1 and np.diff(self.along_normal_mm()).min() <= 0:
            problems.append("the slices are not in ascending order along the normal")
        return problems

    @classmethod
    def axial(
        cls,
        shape: tuple[int, int, int],
        *,
        pixel_spacing_mm: float | tuple[float, float],
        slice_spacing_mm: float,
        first_position_mm: tuple[float, float, float] | None = None,
    ) -> Self:
        """A plain axial grid, centred in x and y on the origin unless a position is given.

        Args:
            shape: Size along [z, y, x].
            pixel_spacing_mm: One number for both in-plane axes, or (row, column) spacing.
            slice_spacing_mm: Distance between slices.
            first_position_mm: Centre of the first pixel of the first slice.
        """
        slices, rows, columns = shape
        spacing = (
            (float(pixel_spacing_mm), float(pixel_spacing_mm))
            if isinstance(pixel_spacing_mm, int | float)
            else pixel_spacing_mm
        )
        if first_position_mm is None:
            first_position_mm = (
                -(columns - 1) / 2 * spacing[1],
                -(rows - 1) / 2 * spacing[0],
                0.0,
            )
        positions = np.tile(np.array(first_position_mm, dtype=np.float64), (slices, 1))
        positions[:, 2] += np.arange(slices) * slice_spacing_mm
        return cls(rows, columns, spacing, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), positions)

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.positions_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return (self.slices, self.rows, self.columns)

    @property
    def normal(self) -> DoubleArray:
        """Unit vector perpendicular to the slices: row direction x column direction."""
        normal = np.cross(self.row_direction, self.column_direction)
        return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)

    @property
    def is_axial(self) -> bool:
        """Whether the slices lie across the patient's long axis, tilted by less than 45 degrees."""
        return bool(abs(self.normal[2]) > np.sqrt(0.5))

    def along_normal_mm(self) -> DoubleArray:
        """Position of each slice along the normal, float64 [slice]."""
        return np.asarray(self.positions_mm @ self.normal, dtype=np.float64)

    def spacings_mm(self) -> DoubleArray:
        """Distance along the normal between neighbouring slices, float64 [slice - 1]."""
        return np.diff(self.along_normal_mm())

    @property
    def slice_spacing_mm(self) -> float | None:
        """The usual (median) distance between slices; None for a single slice."""
        return None if self.slices < 2 else float(np.median(self.spacings_mm()))

    @property
    def tilt_degrees(self) -> float:
        """Angle between the normal and the direction in which the slices advance.

        Zero for an orthogonal stack and for a single slice. Taken from positions and orientation,
        never from GantryDetectorTilt.
        """
        if self.slices < 2:
            return 0.0
        advance = self.positions_mm[-1] - self.positions_mm[0]
        cosine = float(advance @ self.normal / np.linalg.norm(advance))
        return float(np.degrees(np.arccos(np.clip(abs(cosine), 0.0, 1.0))))

    def runs(self) -> tuple[slice, ...]:
        """Stretches of slices with uniform spacing, in order; together they are the whole stack.

        Work in 2.5-D and 3-D stays inside a run: a gap ends it.
        """
        spacings = self.spacings_mm()
        starts = [0]
        first = 0  # first slice of the run that is being grown
        for index, spacing in enumerate(spacings):
            current = spacings[first]
            tolerance = max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE_FRACTION * current)
            if abs(spacing - current) <= tolerance:
                continue
            # Two slices before a finer spacing are no run: the second belongs to what follows.
            first = index if index == first + 1 and spacing < current else index + 1
            starts.append(first)
            if first >= len(spacings):
                break
        return tuple(slice(a, b) for a, b in zip(starts, [*starts[1:], self.slices], strict=True))

    def affine(self) -> DoubleArray:
        """Index (x, y, z) to patient position (LPS, mm), float64 [4, 4].

        Raises:
            GeometryError: If the stack is not one uniform run, or is sheared (gantry tilt).
        """
        spacings = self.spacings_mm()
        if len(spacings):
            spread = float(spacings.max() - spacings.min())
            allowed = 2 * max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE_FRACTION * spacings.min())
            if spread > allowed:
                raise GeometryError(
                    f"The slices are unevenly spaced ({spacings.min():.3f} to "
                    f"{spacings.max():.3f} mm), so no single affine describes them.",
                    fix="Write DICOM, which keeps the position of every slice, or let "
                    "`ctdenoise convert --resample` interpolate it.",
                )
        step = self.normal * (self.slice_spacing_mm or 1.0)
        if self.slices > 1:
            mean_step = (self.positions_mm[-1] - self.positions_mm[0]) / (self.slices - 1)
            drift = float(np.linalg.norm(mean_step - self.normal * float(mean_step @ self.normal)))
            if drift * (self.slices - 1) > max(
                POSITION_TOLERANCE_MM, SHEAR_TOLERANCE_PIXELS * min(self.pixel_spacing_mm)
            ):
                raise GeometryError(
                    f"The stack is sheared by {self.tilt_degrees:.1f} degrees (gantry tilt), "
                    "so no orthogonal affine describes it.",
                    fix="Write DICOM, which keeps the position of every slice, or let "
                    "`ctdenoise convert --resample` interpolate it.",
                )
            step = self.normal * float(mean_step @ self.normal)
        affine = np.eye(4)
        affine[:3, 0] = np.array(self.row_direction) * self.pixel_spacing_mm[1]
        affine[:3, 1] = np.array(self.column_direction) * self.pixel_spacing_mm[0]
        affine[:3, 2] = step
        affine[:3, 3] = self.positions_mm[0]
        return affine

    def matches(self, other: Geometry) -> bool:
        """Whether two grids are the same within the tolerances of this module."""
        return (
            self.shape == other.shape
            and same_pixel_spacing(self.pixel_spacing_mm, other.pixel_spacing_mm)
            and np.allclose(self.row_direction, other.row_direction, atol=DIRECTION_TOLERANCE)
            and np.allclose(self.column_direction, other.column_direction, atol=DIRECTION_TOLERANCE)
            and np.allclose(
                self.positions_mm, other.positions_mm, rtol=0.0, atol=POSITION_TOLERANCE_MM
            )
        )

    def select(self, which: slice | Sequence[int]) -> Geometry:
        """The same grid with only some of its slices, in order."""
        index = which if isinstance(which, slice) else list(which)
        return replace(self, positions_mm=self.positions_mm[index])


def same_pixel_spacing(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two pixel spacings are the same within PIXEL_SPACING_TOLERANCE_FRACTION.

    Args:
        a: Distance between rows and between columns, mm.
        b: Likewise.
    """
    return bool(np.allclose(a, b, rtol=PIXEL_SPACING_TOLERANCE_FRACTION, atol=0.0))

"""Line integrals through a stack of slices."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.kernels import Lines, project_lines
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import aligned_zeros, require_whole_vectors

_EDGE = 1e-3
"""Rays stop this far (in pixels) inside the padded image, so that rounding never leaves it."""


class Projector(Protocol):
    """Line integrals of images through one fan beam.

    Contract: linear; an image of zeros gives zeros; `project` returns lengths in mm times whatever
    the image is per mm; each lane is projected on its own, with the same result whatever the other
    lanes hold and however many threads work.
    """

    fan: Fan
    grid: PixelGrid

    def project(self, images: FloatArray) -> FloatArray:
        """Line integrals, float32 [view, channel, lane], of images, float32 [y, x, lane]."""
        ...


class JosephProjector:
    """Joseph's method: a ray is the sum of linear interpolations in every row that it crosses.

    Reference: P. M. Joseph, IEEE Trans. Med. Imaging 1 (1982) 192.

    Args:
        fan: The rays.
        grid: The pixels.
    """

    def __init__(self, fan: Fan, grid: PixelGrid) -> None:
        self.fan = fan
        self.grid = grid
        angles = fan.view_angles[:, None] + fan.fan_angles[None, :]
        distances = np.broadcast_to(fan.distance_mm * np.sin(fan.fan_angles), angles.shape)
        self._lines = _lines(angles, distances, grid)

    def project(self, images: FloatArray) -> FloatArray:
        """Line integrals, float32 [view, channel, lane], of images, float32 [y, x, lane]."""
        rows, columns, lanes = images.shape
        by_row = aligned_zeros(rows + 2, columns + 2, lanes)
        by_column = aligned_zeros(columns + 2, rows + 2, lanes)
        by_row[1:-1, 1:-1] = images
        by_column[1:-1, 1:-1] = images.transpose(1, 0, 2)
        return self.project_padded(by_row, by_column)

    def project_padded(self, by_row: FloatArray, by_column: FloatArray) -> FloatArray:
        """The same for images that have a pixel of zeros around them, given both ways.

        Args:
            by_row: [y + 2, x + 2, lane].
            by_column: The transpose, [x + 2, y + 2, lane].

        Raises:
            SimulationError: If the number of lanes is not a multiple of `vectors.LANES`.
        """
        require_whole_vectors(by_row.shape[2])
        sinogram = aligned_zeros(self.fan.views, self.fan.channels, by_row.shape[2])
        project_lines(by_row, by_column, self._lines, sinogram)
        return sinogram


def _lines(angles: DoubleArray, distances: DoubleArray, grid: PixelGrid) -> Lines:
    """Crossings of the lines x cos(angle) + y sin(angle) = distance with rows or columns."""
    cosine, sine = np.cos(angles), np.sin(angles)
    is_flat = np.abs(sine) * grid.row_spacing_mm > np.abs(cosine) * grid.column_spacing_mm
    # A flat ray is a steep one in the transposed image: x and y change their parts.
    major, minor = np.where(is_flat, sine, cosine), np.where(is_flat, cosine, sine)
    across = np.where(is_flat, grid.row_spacing_mm, grid.column_spacing_mm)
    along = np.where(is_flat, grid.column_spacing_mm, grid.row_spacing_mm)
    centre_across = np.where(is_flat, grid.isocentre_row, grid.isocentre_column)
    centre_along = np.where(is_flat, grid.isocentre_column, grid.isocentre_row)
    rows = np.where(is_flat, grid.columns, grid.rows)
    width = np.where(is_flat, grid.rows, grid.columns)

    slope = -(along * minor) / (across * major)
    intercept = centre_across + distances / (across * major) - slope * centre_along + 1
    step = along / np.abs(major)
    low, high = _EDGE, width + 1 - _EDGE
    steep = np.abs(slope) > 1e-9
    safe = np.where(steep, slope, 1.0)
    ends = np.sort(np.stack([(low - intercept) / safe, (high - intercept) / safe]), axis=0)
    inside = (intercept >= low) & (intercept <= high)
    first = np.where(steep, np.ceil(ends[0]), np.where(inside, 0, rows))
    last = np.where(steep, np.floor(ends[1]) + 1, np.where(inside, rows, 0))
    return Lines(
        slope.astype(np.float32),
        intercept.astype(np.float32),
        step.astype(np.float32),
        np.clip(first, 0, rows).astype(np.int32),
        np.clip(last, 0, rows).astype(np.int32),
        is_flat,
    )

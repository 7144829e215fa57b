"""What the odd studies of the zoo are made of: a phantom whose every slice can be recognised.

Each slice of the phantom is a body in air, with noise, and holds three single pixels (probes) whose
Hounsfield units occur nowhere else. A reader is right about a slice if it has, at the place of each
probe in the patient, a voxel centre within `MOST_VOXELS_OFF` and there the probe's Hounsfield unit
within `MOST_HU_OFF`. Nothing here knows how a reader works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from tests.dicom.builders import ct_series

MOST_HU_OFF = 1.0
"""A voxel is right within this."""

MOST_VOXELS_OFF = 0.15
"""A voxel is in its place within this, along each axis of the grid."""

SLICES = 12
SLICE_SPACING_MM = 2.5
FIRST_MM = (-71.5, -32.25, 40.0)

_FIELD_MM = 140.0
_LOWEST_PROBE_HU, _PROBE_STEP_HU = 300, 7
"""Above all tissue of the phantom, and far enough apart to be told from each other."""

_PROBES = ((0.42, 0.35), (0.55, 0.61), (0.66, 0.45))
"""Where the probes of a first slice lie, as fractions of rows and columns: off every symmetry."""

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Probe:
    """One pixel that is known: where it is in the patient (LPS, mm) and its Hounsfield unit."""

    point_mm: tuple[float, float, float]
    hu: float


@dataclass(frozen=True, slots=True)
class TrueSlice:
    """A slice as it was scanned.

    Args:
        position_mm: Centre of its first pixel, LPS.
        orientation: Direction of its rows, then of its columns.
        spacing_mm: Between rows, between columns.
        probes: What is known of its pixels.
    """

    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, float]
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One odd study, and what must become of it.

    Args:
        name: As in the tables.
        make: Writes the files into a folder with images of some size; gives the true slices.
        stacks: How many slices each CT volume has that is read right, ascending; empty if refused.
        refused: Parts of the sentences that refuse it.
        findings: Codes that a read volume must have among its findings.
        entry: File to point a reader to, inside the folder; empty for the folder itself.
    """

    name: str
    make: Callable[[Path, int], tuple[TrueSlice, ...]]
    stacks: tuple[int, ...] = (SLICES,)
    refused: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    entry: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """What a reader made: Hounsfield units [x, y, z] and where each index lies (LPS, mm)."""

    hu: npt.NDArray[np.floating | np.integer]
    affine: Affine

    def holds(self, probe: Probe) -> bool:
        """Whether the grid has the probe's voxel, in its place, with its value."""
        point = np.array([*probe.point_mm, 1.0])
        try:
            index = np.linalg.solve(self.affine, point)[:3]
        except np.linalg.LinAlgError:
            return False
        nearest = np.rint(index)
        if np.abs(index - nearest).max() > MOST_VOXELS_OFF:
            return False
        if (nearest < 0).any() or (nearest >= self.hu.shape).any():
            return False
        x, y, z = (int(value) for value in nearest)
        return bool(abs(float(self.hu[x, y, z]) - probe.hu) <= MOST_HU_OFF)


def right_slices(truth: Sequence[TrueSlice], grids: Sequence[Grid]) -> int:
    """How many of the true slices lie, with all their probes, in one of the grids."""
    return sum(any(all(map(grid.holds, one.probes)) for grid in grids) for one in truth)


def zoo_volume(size: int, *, seed: int = 0, geometry: Geometry | None = None) -> CTVolume:
    """The phantom on a grid, 12 axial slices by default.

    Args:
        size: Rows; there are four columns less, so that a transposed picture is noticed.
        seed: Gives other noise and other probes.
        geometry: Another grid.
    """
    geometry = geometry or axial(size)
    shape = geometry.shape
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(
        (np.arange(shape[1]) + 0.5) / shape[1] - 0.5,
        (np.arange(shape[2]) + 0.5) / shape[2] - 0.5,
        indexing="ij",
    )
    body = (rows / 0.36) ** 2 + (columns / 0.42) ** 2 < 1
    hu = np.where(body, 40.0, -1000.0) + rng.normal(0.0, 8.0, shape)
    hu = np.clip(np.rint(hu), -1024, _LOWEST_PROBE_HU - 50)
    for index in range(shape[0]):
        for number, (row, column) in enumerate(_places(geometry, index)):
            hu[index, row, column] = _probe_hu(index, number, seed)
    acquisition = Acquisition(
        manufacturer="Maker",
        manufacturer_model_name="Model",
        kvp=120.0,
        exposure_mas=(100.0,) * shape[0],
        slice_thickness_mm=geometry.slice_spacing_mm or 1.0,
        convolution_kernel="STANDARD",
    )
    return CTVolume(hu.astype(np.float32), geometry, acquisition)


def _places(geometry: Geometry, index: int) -> list[tuple[int, int]]:
    """Row and column of each probe of a slice; they wander, so that no slice is like the next."""
    step = index % 5
    return [
        (int(down * geometry.rows) + step, int(right * geometry.columns) - step)
        for down, right in _PROBES
    ]


def _probe_hu(index: int, number: int, seed: int) -> float:
    return float(
        _LOWEST_PROBE_HU + _PROBE_STEP_HU * (index * len(_PROBES) + number) + 3 * (seed % 2)
    )


def zoo_series(
    volume: CTVolume,
    *,
    series: str = "1",
    slope: float | Sequence[float] = 1.0,
    signed: bool = False,
    edit: Callable[[Dataset, int], None] | None = None,
    **others: Any,
) -> list[Dataset]:
    """Datasets of a phantom; 12 bits stored where its numbers fit, as scanners do.

    Args:
        volume: The phantom.
        series: As of `ct_series`, like all others.
        slope: Rescale slope.
        signed: Store two's complement numbers.
        edit: Called with every finished dataset and its index.
        others: Handed on.
    """

    def finish(dataset: Dataset, index: int) -> None:
        if not signed and slope == 1.0:
            dataset.BitsStored, dataset.HighBit = 12, 11
        if edit is not None:
            edit(dataset, index)

    return ct_series(volume, series=series, slope=slope, signed=signed, edit=finish, **others)


def true_slices(volume: CTVolume, *, seed: int = 0) -> tuple[TrueSlice, ...]:
    """What is known of a phantom that `zoo_volume` made with the same seed."""
    geometry = volume.geometry
    row, column = np.array(geometry.row_direction), np.array(geometry.column_direction)
    truth = []
    for index, position in enumerate(geometry.positions_mm):
        probes = []
        for number, (down, right) in enumerate(_places(geometry, index)):
            point = position + row * right * geometry.pixel_spacing_mm[1]
            point = point + column * down * geometry.pixel_spacing_mm[0]
            place = (float(point[0]), float(point[1]), float(point[2]))
            probes.append(Probe(place, _probe_hu(index, number, seed)))
        directions = (*geometry.row_direction, *geometry.column_direction)
        where = tuple(float(value) for value in position)
        truth.append(TrueSlice(where, directions, geometry.pixel_spacing_mm, tuple(probes)))
    return tuple(truth)


def axial(size: int, heights_mm: Sequence[float] | None = None) -> Geometry:
    """Slices across the patient at some heights above the first, 2.5 mm apart by default."""
    if heights_mm is None:
        heights_mm = [index * SLICE_SPACING_MM for index in range(SLICES)]
    return oriented(size, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), heights_mm, (0.0, 0.0, 1.0))


def oriented(
    size: int,
    row: tuple[float, float, float],
    column: tuple[float, float, float],
    steps_mm: Sequence[float] | None = None,
    advance: tuple[float, float, float] | None = None,
) -> Geometry:
    """Slices with these directions of rows and columns.

    Args:
        size: Rows; there are four columns less.
        row: Direction along a row.
        column: Direction along a column.
        steps_mm: Distance of each slice from the first; 2.5 mm apart by default.
        advance: Direction in which the slices follow each other; the normal by default.
    """
    if steps_mm is None:
        steps_mm = [index * SLICE_SPACING_MM for index in range(SLICES)]
    direction = np.cross(row, column) if advance is None else np.array(advance)
    positions = np.array(FIRST_MM) + np.outer(steps_mm, direction)
    pixel_mm = round(_FIELD_MM / size, 4)
    return Geometry(size, size - 4, (pixel_mm, round(pixel_mm * 0.9, 4)), row, column, positions)

"""The fan beam that a scan is simulated with, and the pixel grid seen from its isocentre."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.kernels import FanArrays, PixelArrays

PLAUSIBLE_SOURCE_DISTANCE_MM = (300.0, 900.0)
"""Source to isocentre of whole-body scanners; a header outside this is not believed."""

LARGEST_HALF_FAN_RADIANS = 0.57
"""Up to here the arctangent of the back-projector is exact to 3e-7. Scanners have 0.5."""

CENTRE_TOLERANCE_MM = 25.0
"""A stated isocentre may make the image reach this far beyond the scan field."""


@dataclass(frozen=True)
class Fan:
    """A third-generation scanner: equiangular channels on an arc around the focal spot.

    The ray of source angle beta and fan angle gamma is the line
    ``x cos(beta + gamma) + y sin(beta + gamma) = distance * sin(gamma)``.

    Args:
        distance_mm: Source to isocentre.
        channel_angle: Angle between neighbouring channels, radians.
        channels: Channels of a detector row.
        views: Projections in one turn, a multiple of eight.
    """

    distance_mm: float
    channel_angle: float
    channels: int
    views: int

    @cached_property
    def fan_angles(self) -> DoubleArray:
        """Angle of each channel from the central ray, radians, [channel]."""
        return np.linspace(-0.5, 0.5, self.channels) * ((self.channels - 1) * self.channel_angle)

    @cached_property
    def view_angles(self) -> DoubleArray:
        """Angle of the source in each view, radians, [view]."""
        return np.linspace(0, 2 * np.pi, self.views, endpoint=False)

    @property
    def field_radius_mm(self) -> float:
        """Radius of the circle that every view sees whole, one channel short of the last."""
        return float(self.distance_mm * np.sin(self.fan_angles[-1] - self.channel_angle))

    @property
    def channel_width_mm(self) -> float:
        """Distance of neighbouring rays at the isocentre."""
        return self.distance_mm * self.channel_angle

    def doubled(self) -> Fan:
        """The same arc sampled twice in each channel (flying focal spot, quarter offset)."""
        return Fan(self.distance_mm, self.channel_angle / 2, 2 * self.channels, self.views)

    def coarse(self, *, views: int, channels: int) -> Fan:
        """The same fan, sampled by at most this many views and channels from edge to edge."""
        channels = min(channels, self.channels)
        angle = self.channel_angle * (self.channels - 1) / (channels - 1)
        return Fan(self.distance_mm, angle, channels, min(views, self.views))

    def arrays(self) -> FanArrays:
        """The fan for the compiled back-projector."""
        return FanArrays(
            np.cos(self.view_angles),
            np.sin(self.view_angles),
            self.distance_mm,
            1 / self.channel_angle,
            (self.channels - 1) / 2,
        )


def fan_of(settings: ScannerSettings, acquisition: Acquisition) -> Fan:
    """The fan beam of a scan: the settings, with the header's distances where it gives them.

    Channels beyond what the back-projector can do are left out on both sides.

    Args:
        settings: The scanner.
        acquisition: Header facts of the series.
    """
    source, detector = settings.source_to_isocentre_mm, settings.source_to_detector_mm
    if settings.distances == "header":
        stated = acquisition.distance_source_to_patient_mm
        stated_detector = acquisition.distance_source_to_detector_mm
        low, high = PLAUSIBLE_SOURCE_DISTANCE_MM
        if stated and stated_detector and low <= stated <= high and 1.2 * stated < stated_detector:
            source, detector = stated, stated_detector
    angle = settings.channel_pitch_mm / detector
    beyond = (settings.channels - 1) / 2 - LARGEST_HALF_FAN_RADIANS / angle
    channels = settings.channels - 2 * max(0, int(np.ceil(beyond)))
    return Fan(source, angle, channels, settings.views_per_turn)


def centre_reach_mm(geometry: Geometry, fan: Fan) -> float:
    """How far the isocentre may lie from the centre of an image.

    A scanner reconstructs what every view sees, so a header that puts the image outside the scan
    field is wrong; many leave the isocentre at (0, 0, 0).

    Args:
        geometry: Grid of the scan.
        fan: The fan beam.
    """
    row_spacing, column_spacing = geometry.pixel_spacing_mm
    half_field = min(geometry.rows * row_spacing, geometry.columns * column_spacing) / 2
    return max(fan.field_radius_mm - half_field, 0.0) + CENTRE_TOLERANCE_MM


@dataclass(frozen=True)
class PixelGrid:
    """The pixels of a slice, seen from the isocentre.

    Args:
        rows: Pixels along y.
        columns: Pixels along x.
        row_spacing_mm: Distance of neighbouring rows.
        column_spacing_mm: Distance of neighbouring columns.
        isocentre_row: Row index (not whole) at which the isocentre lies.
        isocentre_column: Column index at which the isocentre lies.
    """

    rows: int
    columns: int
    row_spacing_mm: float
    column_spacing_mm: float
    isocentre_row: float
    isocentre_column: float

    @classmethod
    def of(
        cls, geometry: Geometry, acquisition: Acquisition, *, reach_mm: float = np.inf
    ) -> PixelGrid:
        """The grid of a volume's slices; its centre is the isocentre where the header is silent.

        Args:
            geometry: Grid of the volume.
            acquisition: Header facts: where the isocentre is.
            reach_mm: An isocentre farther from the centre of the image is not believed.
        """
        row_spacing, column_spacing = geometry.pixel_spacing_mm
        across, down = acquisition.reconstruction_centre_offset_mm or (0.0, 0.0)
        if np.hypot(across, down) > reach_mm:
            across, down = 0.0, 0.0
        return cls(
            geometry.rows,
            geometry.columns,
            row_spacing,
            column_spacing,
            (geometry.rows - 1) / 2 + down / row_spacing,
            (geometry.columns - 1) / 2 + across / column_spacing,
        )

    def binned(self, factor: int) -> PixelGrid:
        """The grid of means over factor x factor pixels."""
        shift = (factor - 1) / 2
        return PixelGrid(
            -(-self.rows // factor),
            -(-self.columns // factor),
            self.row_spacing_mm * factor,
            self.column_spacing_mm * factor,
            (self.isocentre_row - shift) / factor,
            (self.isocentre_column - shift) / factor,
        )

    @property
    def isocentre_offset_mm(self) -> tuple[float, float]:
        """Isocentre relative to the centre of the image, along x and y."""
        return (
            (self.isocentre_column - (self.columns - 1) / 2) * self.column_spacing_mm,
            (self.isocentre_row - (self.rows - 1) / 2) * self.row_spacing_mm,
        )

    def radius_mm(self) -> DoubleArray:
        """Distance of each pixel from the isocentre, [y, x]."""
        y = (np.arange(self.rows) - self.isocentre_row) * self.row_spacing_mm
        x = (np.arange(self.columns) - self.isocentre_column) * self.column_spacing_mm
        return np.asarray(np.hypot(y[:, None], x[None, :]))

    def arrays(self, radius_mm: float) -> PixelArrays:
        """The grid for the compiled back-projector, pixels beyond the radius left out."""
        return PixelArrays(
            self.row_spacing_mm,
            self.column_spacing_mm,
            self.isocentre_row,
            self.isocentre_column,
            radius_mm,
        )

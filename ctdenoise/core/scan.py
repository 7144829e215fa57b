"""What is known about a scan apart from its voxels."""

from __future__ import annotations

from typing import Protocol

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.source import SourceSeries


class Scan(Protocol):
    """A volume in memory, or a series that is open for reading and may be larger than memory."""

    @property
    def geometry(self) -> Geometry:
        """The grid, with the position of every slice."""
        ...

    @property
    def acquisition(self) -> Acquisition:
        """How it was scanned, as far as known."""
        ...

    @property
    def source(self) -> SourceSeries | None:
        """The series it comes from, if any."""
        ...

    @property
    def history(self) -> tuple[Step, ...]:
        """What was done since, oldest first."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        ...

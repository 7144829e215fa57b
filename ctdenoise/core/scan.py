"""What is known about a scan apart from its voxels."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class ScanFacts:
    """A scan without its voxels.

    Args:
        geometry: The grid, with the position of every slice.
        acquisition: How it was scanned, as far as known.
        source: The series it comes from, if any.
        history: What was done since, oldest first.
    """

    geometry: Geometry
    acquisition: Acquisition
    source: SourceSeries | None
    history: tuple[Step, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return self.geometry.shape


def with_steps(scan: Scan, *steps: Step) -> ScanFacts:
    """What is known about a scan after more was done to it.

    Args:
        scan: A volume or an open series.
        steps: What was done.
    """
    return ScanFacts(scan.geometry, scan.acquisition, scan.source, (*scan.history, *steps))

"""Settings of `fuse`: how repeated scans of one position become one."""

from __future__ import annotations

from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.dicom import DicomSettings


class FuseSettings(Settings):
    """How much each scan counts at each spatial frequency."""

    power: float = Field(default=11.0, ge=0.0, le=100.0)
    """Power of the magnitude that weighs a scan at a frequency. 0: all count the same, the plain
    mean; the larger, the more the sharpest one alone counts. 11 in the paper."""

    smoothing: float = Field(default=0.02, gt=0.0, le=0.5)
    """Standard deviation of the smoothing of the magnitudes, as a share of the size of the image:
    1/50 in the paper. Without it the weights would follow the noise."""

    dicom: DicomSettings = DicomSettings()
    """How the result is written where it becomes DICOM."""

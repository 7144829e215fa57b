"""Settings of `convert`: how one kind of image file is written as another."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.dicom import DicomSettings


class ConvertSettings(Settings):
    """How to store what is converted. Values and places stay, unless resampling is asked for."""

    dtype: Literal["auto", "int16", "int32", "float32"] = "auto"
    """Type of the stored numbers in an image file. `auto`: the smallest in which every value comes
    back as it was read: int16 for whole Hounsfield units (int32 where they do not fit), float32
    otherwise, except that NIfTI keeps a fractional rescale that all slices share. With `int16` and
    `int32` values are rounded to the nearest step."""

    compress: bool = False
    """Whether the voxels of a MetaImage or NRRD are compressed. NIfTI says it by its name."""

    resample: bool = False
    """Whether a tilted or unevenly spaced stack may be interpolated onto an orthogonal, even grid,
    which an image file needs. Without it, such a stack is refused."""

    spacing_mm: float | None = Field(default=None, gt=0.0)
    """Distance between slices after resampling; by default that of an even stack, and the smallest
    one of an uneven stack."""

    dicom: DicomSettings = DicomSettings()
    """How the result is written where it becomes DICOM."""

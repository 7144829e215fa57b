"""Settings of the reconstruction kernel, which shapes the noise."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class AutoKernelSettings(Settings):
    """Measured from the noise of the scan; where there is too little of it, from its header.

    A kernel that neither tells is taken as soft.
    """

    name: Literal["auto"] = "auto"
    """Kind of kernel."""


class HeaderKernelSettings(Settings):
    """The kernel that the series' ConvolutionKernel names; soft where it is unknown."""

    name: Literal["header"] = "header"
    """Kind of kernel."""


class MeasuredKernelSettings(Settings):
    """Measured from the noise of the scan, and refused where there is too little of it."""

    name: Literal["measured"] = "measured"
    """Kind of kernel."""


class RampKernelSettings(Settings):
    """The bare ramp up to the detector's Nyquist frequency: the sharpest and noisiest."""

    name: Literal["ramp"] = "ramp"
    """Kind of kernel."""


class HannKernelSettings(Settings):
    """Ramp times a Hann window."""

    name: Literal["hann"] = "hann"
    """Kind of kernel."""
    width: float = Field(1.0, gt=0.05, le=10)
    """Where the window reaches zero, over the detector's Nyquist frequency."""


class GaussianKernelSettings(Settings):
    """Ramp times a Gaussian."""

    name: Literal["gaussian"] = "gaussian"
    """Kind of kernel."""
    f50_per_mm: float = Field(0.335, gt=0.02, le=5)
    """Frequency at which the Gaussian is one half, 1/mm (0.335: soft; 0.6 and more: sharp)."""


class TableKernelSettings(Settings):
    """Ramp times a curve given by points, such as one measured on a scan."""

    name: Literal["table"] = "table"
    """Kind of kernel."""
    frequency_per_mm: tuple[float, ...] = Field(min_length=2, max_length=512)
    """Frequencies at the isocentre, 1/mm, rising from 0."""
    value: tuple[float, ...] = Field(min_length=2, max_length=512)
    """Factor on the ramp at each frequency; linear between them, and 0 beyond the last."""

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        if len(self.frequency_per_mm) != len(self.value):
            raise ValueError("frequency_per_mm and value must be of the same length")
        pairs = zip(self.frequency_per_mm[:-1], self.frequency_per_mm[1:], strict=True)
        if self.frequency_per_mm[0] != 0 or any(low >= high for low, high in pairs):
            raise ValueError("frequency_per_mm must rise from 0")
        if any(value < 0 for value in self.value) or max(self.value) <= 0:
            raise ValueError("value must not be negative, and not zero everywhere")
        return self


FixedKernelSettings = Annotated[
    RampKernelSettings | HannKernelSettings | GaussianKernelSettings | TableKernelSettings,
    Field(discriminator="name"),
]
KernelSettings = Annotated[
    AutoKernelSettings
    | HeaderKernelSettings
    | MeasuredKernelSettings
    | RampKernelSettings
    | HannKernelSettings
    | GaussianKernelSettings
    | TableKernelSettings,
    Field(discriminator="name"),
]

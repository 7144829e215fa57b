"""Settings of the general degradation model g = H f + n, for comparisons with natural images.

It knows nothing of CT: use the low-dose simulator for anything that concerns a scanner.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ctdenoise.config.base import Settings


class BlurSettings(Settings):
    """H: convolution with a Gaussian."""

    name: Literal["blur"] = "blur"
    """Kind of degradation."""
    sigma_mm: float = Field(1.0, gt=0, le=50)
    """Standard deviation of the Gaussian, mm."""


class MissingSettings(Settings):
    """H: pixels that are lost and read as air."""

    name: Literal["missing"] = "missing"
    """Kind of degradation."""
    share: float = Field(0.1, gt=0, lt=1)
    """Part of the pixels."""


class ProjectionSettings(Settings):
    """H: parallel projection from a number of directions, and filtered back-projection."""

    name: Literal["projection"] = "projection"
    """Kind of degradation."""
    views: int = Field(60, ge=2, le=4096)
    """Directions over half a turn. Few make streaks; about 1.6 times the pixels across a slice do
    not."""


class GaussianNoiseSettings(Settings):
    """n: white noise of one standard deviation."""

    name: Literal["gaussian"] = "gaussian"
    """Kind of degradation."""
    sigma_hu: float = Field(30.0, ge=0, le=10000)
    """Standard deviation, HU."""


class PoissonNoiseSettings(Settings):
    """n: Poisson counts, each pixel taken as an intensity."""

    name: Literal["poisson"] = "poisson"
    """Kind of degradation."""
    peak: float = Field(1000.0, gt=0, le=1e9)
    """Mean counts of a pixel of water."""


class SaltAndPepperSettings(Settings):
    """n: pixels replaced by the lowest or the highest value."""

    name: Literal["salt_and_pepper"] = "salt_and_pepper"
    """Kind of degradation."""
    share: float = Field(0.1, gt=0, lt=1)
    """Part of the pixels, one half each."""
    low_hu: float = -1000.0
    """Value of pepper, HU."""
    high_hu: float = 1000.0
    """Value of salt, HU."""


class PeriodicNoiseSettings(Settings):
    """n: a cosine across the slice, amplitude * cos(2 pi (x cos a + y sin a) / period)."""

    name: Literal["periodic"] = "periodic"
    """Kind of degradation."""
    amplitude_hu: float = Field(50.0, ge=0, le=10000)
    """Amplitude, HU."""
    period_mm: float = Field(10.0, gt=0.01, le=1000)
    """Length of a wave, mm."""
    angle_degrees: float = Field(0.0, ge=-180, le=180)
    """Direction a of the wave, from the row direction towards the column direction."""


class StreakNoiseSettings(Settings):
    """n: straight lines across the slice at random, a picture of streaks without their physics."""

    name: Literal["streak"] = "streak"
    """Kind of degradation."""
    count: int = Field(40, ge=1, le=2000)
    """Lines in a slice."""
    amplitude_hu: float = Field(50.0, ge=0, le=10000)
    """Height of a line, HU; one half of them are dark."""
    width_mm: float = Field(1.0, gt=0.05, le=100)
    """Standard deviation of a line's Gaussian profile, mm."""


DegradationSettings = Annotated[
    BlurSettings
    | MissingSettings
    | ProjectionSettings
    | GaussianNoiseSettings
    | PoissonNoiseSettings
    | SaltAndPepperSettings
    | PeriodicNoiseSettings
    | StreakNoiseSettings,
    Field(discriminator="name"),
]

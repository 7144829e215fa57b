"""Settings of `ctdenoise compare`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ctdenoise.config.base import Settings
from ctdenoise.config.evaluation import (
    EvaluateSettings,
    PageSettings,
    WindowName,
    WindowSettings,
    named_window,
    window_settings,
)
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.statistics import StatisticsSettings


class ComparisonPageSettings(PageSettings):
    """What the page of a comparison shows."""

    pictures: int = Field(default=2, ge=0, le=20)
    """How many test images are shown, one slice each: of every kind of truth the lowest dose
    first."""


_USUAL_WINDOWS: tuple[WindowName, ...] = ("redcnn", "full", "ldctbench-chest")


class CompareSettings(Settings):
    """How trained networks are compared on the same pairs."""

    windows: Annotated[
        tuple[Annotated[WindowSettings, BeforeValidator(named_window)], ...], Field(min_length=1)
    ] = tuple(window_settings(name) for name in _USUAL_WINDOWS)
    """Windows for PSNR and SSIM, as in the settings of `evaluate`. The table of the page shows the
    first one, the files hold all."""
    slices: (
        Annotated[int, Field(ge=1)]
        | Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
        | None
    ) = None
    """Which slices of every pair: null for all, a number for so many at even distances, or a list
    of their numbers, from 1."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads of the arithmetic on a CPU; null for as many as torch finds. Seconds per slice belong
    to this number."""
    infer: InferSettings = InferSettings()
    """How the networks are put to work, as in the settings of `infer`."""
    noise_patch: int = Field(default=24, ge=8, le=256)
    """Side of the flat patches in which the noise power spectrum is taken, pixels."""
    statistics: StatisticsSettings = StatisticsSettings()
    """Intervals and tests over patients."""
    page: ComparisonPageSettings | None = ComparisonPageSettings()
    """What the page shows; `null` for numbers alone, which needs neither jinja2 nor matplotlib."""

    def evaluation(self) -> EvaluateSettings:
        """How one image is compared with its reference."""
        return EvaluateSettings(windows=self.windows, threads=self.threads, page=None)

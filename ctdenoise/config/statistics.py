"""Settings of what is said about patients who were not measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ctdenoise.config.base import Settings


class StatisticsSettings(Settings):
    """What is said about patients who were not measured."""

    samples: int = Field(default=10_000, ge=1000, le=1_000_000)
    """Resamples of the bootstrap over patients."""
    seed: int = Field(default=0, ge=0)
    """Of the resampling: the same seed gives the same intervals."""
    level: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Share of such intervals that hold the mean of all patients."""
    tested: Annotated[tuple[str, ...], Field(min_length=1)] = ("rmse",)
    """Keys of the figures in which methods are tested against each other, such as `rmse_soft` or
    `psnr[-160,240]`. The more are tested, the less each can show."""

"""Settings of exact sinograms of phantoms."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.scanner import ScannerSettings


class SinogramSettings(Settings):
    """The rays that a phantom is projected along."""

    geometry: Literal["fan", "parallel"] = "fan"
    """`fan`: the scanner below, over a whole turn. `parallel`: parallel rays, over half a turn."""
    scanner: ScannerSettings = ScannerSettings(distances="setting")
    """The fan beam; `samples_per_channel: auto` is 1. Bowtie, modulation and rows change no line
    integral."""
    parallel_views: int = Field(default=720, ge=1, le=16384)
    """Views of the parallel beam."""
    parallel_rays: int = Field(default=736, ge=1, le=16384)
    """Rays of a view of the parallel beam."""
    parallel_spacing_mm: float = Field(default=0.7, gt=0, le=50)
    """Distance of neighbouring rays of the parallel beam, mm."""

"""Settings of `demo`."""

from __future__ import annotations

from pydantic import Field

from ctdenoise.config.base import Settings


class DemoSettings(Settings):
    """How large the demonstration is; the defaults take a few minutes on two processor cores."""

    size: int = Field(default=512, ge=64, le=1024)
    """Pixels along each side of a slice."""
    slices: int = Field(default=12, ge=2, le=200)
    """Slices of each phantom patient."""
    slice_spacing_mm: float = Field(default=5.0, gt=0, le=50)
    """Distance between slices, mm."""
    training_patients: int = Field(default=3, ge=2, le=50)
    """Phantom patients to train on; the one that is denoised is not among them."""
    dose: float = Field(default=0.25, gt=0, lt=1)
    """Dose of the low-dose twins."""
    training: str = "demo"
    """Ready training settings, or the path of a YAML file."""

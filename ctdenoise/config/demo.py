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
    slice_thickness_mm: float = Field(default=1.5, gt=0, le=50)
    """What a slice averages over, mm: thin slices are noisy."""
    exposure_mas: float = Field(default=120.0, gt=0, le=5000)
    """Exposure of the full-dose scan, mAs; 120 is a usual one."""
    kernel_f50_per_mm: float = Field(default=0.45, gt=0.02, le=5)
    """Frequency at which the reconstruction kernel is one half, 1/mm."""
    training_patients: int = Field(default=3, ge=2, le=50)
    """Phantom patients to train on; the one that is denoised is not among them."""
    dose: float = Field(default=0.25, gt=0, lt=1)
    """Dose of the low-dose twins."""
    training: str = "demo"
    """Ready training settings, or the path of a YAML file."""

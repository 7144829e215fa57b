"""Settings of `ctdenoise evaluate --model`: how a denoiser is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ctdenoise.config.base import Settings
from ctdenoise.config.bench import BenchSettings
from ctdenoise.config.evaluation import (
    MaskSettings,
    WindowName,
    WindowSettings,
    named_window,
    window_settings,
)
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.lcd import LcdSettings
from ctdenoise.config.limits import DENOISER_LIMITS, AcceptanceSettings
from ctdenoise.config.response import ResponseSettings

Study = Literal["scan", "response", "bench", "lcd"]
"""What a denoiser can be judged by: the user's scan before and after, lesions inserted into it,
scanned phantoms, and the detectability of low contrast against dose."""


class ScanStudySettings(Settings):
    """What is measured on the user's own scan, before and after."""

    slices: int = Field(default=24, ge=1, le=512)
    """How many slices are denoised and measured, evenly spread; all if the scan has fewer."""
    patch_mm: float = Field(default=20.0, ge=5, le=100)
    """Side of the flat patches of soft tissue in which the noise power spectrum is taken. Where too
    few are flat enough, smaller ones are taken."""
    draws: int = Field(default=1000, ge=100, le=100_000)
    """How often the slices are drawn again for an interval."""
    regions: int = Field(default=3, ge=0, le=9)
    """How many of the places where most beside noise was removed are shown."""


class JudgementPageSettings(Settings):
    """What the page of a denoiser shows."""

    difference_hu: float | None = Field(default=None, gt=0)
    """Pictures of differences show minus to plus this many HU; null for three times the noise."""
    crop_mm: float = Field(default=60.0, gt=0)
    """Side of the enlarged places."""
    compare_mm: float = Field(default=110.0, gt=0)
    """Side of what the page that compares denoisers shows of a slice."""


_USUAL_WINDOWS: tuple[WindowName, ...] = ("redcnn", "full")


class JudgeSettings(Settings):
    """How a denoiser is judged, on a scan and on scanned phantoms."""

    scan: ScanStudySettings = ScanStudySettings()
    """`--study scan`: noise, texture, drift and the worst places of the user's scan."""
    response: ResponseSettings = ResponseSettings()
    """`--study response`: lesions that are put into the user's scan."""
    bench: BenchSettings = BenchSettings()
    """`--study bench`: resolution, noise and Hounsfield units on scanned phantoms."""
    lcd: LcdSettings = LcdSettings()
    """`--study lcd`: detectability of low contrast against dose, on scanned phantoms."""
    limits: tuple[AcceptanceSettings, ...] = DENOISER_LIMITS
    """What must be met; of several that are meant for a figure the first one counts."""
    windows: tuple[Annotated[WindowSettings, BeforeValidator(named_window)], ...] = tuple(
        window_settings(name) for name in _USUAL_WINDOWS
    )
    """Windows for PSNR and SSIM against a truth (`--truth`)."""
    masks: MaskSettings = MaskSettings()
    """What the numbers of a label map (`--labels`) mean."""
    infer: InferSettings = InferSettings()
    """How the model is put to work, as in the settings of `infer`."""
    page: JudgementPageSettings = JudgementPageSettings()
    """What the page shows."""

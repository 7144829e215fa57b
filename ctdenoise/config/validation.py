"""Settings of how a network is judged while it learns, and when learning ends early."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

MetricName = Literal["rmse_hu", "psnr_db", "loss", "dice"]
"""What a network can be judged by; `psnr_db` and `dice` are better when larger."""


class PictureSettings(Settings):
    """Pictures for TensorBoard: low dose, denoised, full dose and what is left of the error."""

    slices: int = Field(default=2, ge=0)
    """How many of the measured slices are shown at each measurement; 0 for none."""

    difference_hu: float = Field(default=100.0, gt=0)
    """Difference of the denoised from the full-dose slice that is white; its negative is black."""


class ValidationSettings(Settings):
    """How the network is judged while it learns, on slices that it never trains on."""

    every: int = Field(default=500, ge=1)
    """Steps between two measurements; the last step is always measured."""

    metric: MetricName = "rmse_hu"
    """What decides which network is kept and, with `early_stopping`, when to stop: `rmse_hu`,
    `psnr_db` (of the window below), `loss` (the loss that is trained) or `dice` (of the labels)."""

    keep: Literal["best", "last"] = "best"
    """Which of the measured networks is kept. `last`: that of the last step, whatever its figure,
    where the slices that judge cannot show what is learnt."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the patients to hold out, at least one. A single patient keeps this share of
    slices, at its end, out of training."""

    gap_mm: float = Field(default=0.0, ge=0)
    """With a single patient: slices between those that train and those that judge, used by neither.
    Slices nearer than their thickness see the same photons, so their noise is alike."""

    patients: tuple[str, ...] = ()
    """Keys of the patients to hold out, as in pair.json; empty lets the seed choose."""

    slices: int = Field(default=8, ge=1)
    """Slices that are measured, spread evenly over the held-out ones."""

    crop: int | None = Field(default=256, ge=16)
    """Edge of the centre that is measured, pixels; null for whole slices."""

    window_low_hu: float = -160.0
    """Low end of the window of pictures and of `psnr_db`, which clips both images to it."""

    window_high_hu: float = 240.0
    """High end of the window; its width is the data range of `psnr_db`."""

    pictures: PictureSettings = PictureSettings()
    """What TensorBoard shows of the slices."""

    @model_validator(mode="after")
    def _window(self) -> Self:
        if not self.window_high_hu > self.window_low_hu:
            raise ValueError("window_high_hu must be above window_low_hu")
        return self


class EarlyStoppingSettings(Settings):
    """When to stop before the last step."""

    patience: int = Field(default=20, ge=1)
    """Measurements in a row that may pass without a gain."""

    least_gain: float = Field(default=0.01, ge=0)
    """What counts as a gain, in the unit of `validation.metric`: to be better by more than this
    than the last value that counted. Many small steps together count, too."""

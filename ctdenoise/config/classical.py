"""Settings of the classical filters: how much they take away, in units of the measured noise."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from ctdenoise.config.base import Settings

FilterName = Literal["gaussian", "bilateral", "tv", "nlm", "vst", "bm3d"]
"""Filters that stand beside networks: `--model nlm`."""

FILTERS: tuple[FilterName, ...] = get_args(FilterName)

InnerName = Literal["gaussian", "bilateral", "tv", "nlm", "bm3d"]


class GaussianSettings(Settings):
    """A Gaussian blur, the simplest of all: noise and detail go together."""

    left: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Share of the noise that is left: the width follows from the measured noise spectrum."""

    width_mm: float | None = Field(default=None, gt=0.0, le=20.0)
    """Standard deviation of the Gaussian, mm, instead of `left`."""


class BilateralSettings(Settings):
    """Means of near pixels of like value: edges stay, weak contrasts go with the noise."""

    tolerance: float = Field(default=1.5, gt=0.0, le=20.0)
    """How unlike pixels may be, in standard deviations of what noise makes of their difference."""

    width_mm: float = Field(default=1.2, gt=0.0, le=10.0)
    """Standard deviation of the Gaussian weight by distance, mm."""


class TvSettings(Settings):
    """Total variation: the image with the fewest edges that noise allows."""

    removed: float = Field(default=0.4, gt=0.0, le=1.0)
    """Power that is taken away, as a share of the power of the noise (the discrepancy principle):
    the weight of the total variation is found so. 1 is right for white noise; the grain of CT is
    as coarse as anatomy in part, and a total variation that takes all of it takes anatomy too."""

    weight: float | None = Field(default=None, gt=0.0, le=50.0)
    """Weight of the total variation in units of the noise around each pixel, instead of
    `removed`."""


class NlmSettings(Settings):
    """Non-local means: means of pixels whose surroundings are alike."""

    tolerance: float = Field(default=1.0, gt=0.0, le=20.0)
    """How unlike surroundings may be: beyond what noise explains, weights fall by e for so many
    standard deviations of what noise does to the distance of two surroundings."""

    patch: int = Field(default=1, ge=1, le=5)
    """Pixels on each side of a pixel that belong to its surroundings: 1 compares 3 x 3 pixels."""

    reach: int = Field(default=7, ge=1, le=20)
    """How far pixels are searched, pixels on each side; the time grows with its square."""


class Bm3dSettings(Settings):
    """BM3D by its authors' package, which is free for non-commercial use only."""

    factor: float = Field(default=1.0, gt=0.0, le=5.0)
    """Noise that it is told over the noise that was measured."""


class VstSettings(Settings):
    """Another filter, between a stabilisation of the variance and its unbiased inverse."""

    inner: InnerName = "nlm"
    """The filter, with its own settings; it is told noise of the same size everywhere."""

    by: Literal["place", "value"] = "place"
    """What the variance depends on. `place`, true of CT: the image is divided by the measured noise
    map. `value`, true of counts: the variance is fitted as a straight line over HU + 1000, and the
    generalised Anscombe transformation makes it 1."""


class FilterSettings(Settings):
    """How much each classical filter takes away. Only that of the one that is used matters."""

    gaussian: GaussianSettings = GaussianSettings()
    """For `--model gaussian`."""

    bilateral: BilateralSettings = BilateralSettings()
    """For `--model bilateral`."""

    tv: TvSettings = TvSettings()
    """For `--model tv`."""

    nlm: NlmSettings = NlmSettings()
    """For `--model nlm`."""

    vst: VstSettings = VstSettings()
    """For `--model vst`."""

    bm3d: Bm3dSettings = Bm3dSettings()
    """For `--model bm3d`."""

    def of(self, name: FilterName) -> dict[str, Any]:
        """The settings that decide what a filter does, as plain JSON."""
        whole = self.as_json()
        found: dict[str, Any] = whole[name]
        return {**found, "inner_settings": whole[self.vst.inner]} if name == "vst" else found

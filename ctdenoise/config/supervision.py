"""Settings of what a network learns from where nobody has a full dose without noise."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class PairsSettings(Settings):
    """The full-dose images of pairs are what the network should say, their own noise included."""

    name: Literal["pairs"] = "pairs"
    """What is learnt from."""


class NoisyTargetSettings(Settings):
    """Pairs whose full dose is noisy itself: the target is corrected for it.

    From the full dose, k times the noise that was added to it is taken off again, k being the
    variance of its own noise over that of the added one. What is left of the noise in target and
    input is uncorrelated, so that the network learns the image without noise, not the full dose.
    """

    name: Literal["noisy_target"] = "noisy_target"
    """What is learnt from."""

    largest_factor: float = Field(default=10.0, gt=0, le=100)
    """Largest k. It grows with the dose of the input: 0.33 at a quarter of the dose, 9 at nine
    tenths; where it would be larger, the correction stays incomplete."""


class RecorruptedSettings(Settings):
    """Plain scans, no pairs: more of a scan's own noise is added, and taken off the target.

    With n' like the noise of the scan y, drawn with its measured texture and strength, the network
    sees y + a n' and should say y - n'/a: their noises are uncorrelated.
    """

    name: Literal["recorrupted"] = "recorrupted"
    """What is learnt from."""

    lowest_dose: float = Field(default=0.5, gt=0, lt=1)
    """Lowest dose of the input over that of the scan, 1/(1 + a^2); drawn evenly in the logarithm.
    Low: the network learns on more noise than it will meet."""

    highest_dose: float = Field(default=0.8, gt=0, lt=1)
    """Highest dose. High: the target is noisier, 1/a^2 times, and learning slower."""

    largest_factor: float = Field(default=20.0, gt=0, le=100)
    """Largest ratio of the noise's variance in the scan to that of what is added."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.lowest_dose > self.highest_dose:
            raise ValueError("lowest_dose must not be above highest_dose")
        return self


class NeighboursSettings(Settings):
    """Plain scans, no pairs: the slice beside is the target, where both show the same anatomy.

    After Niu et al., "Noise suppression with similarity-based self-supervised deep learning", IEEE
    Transactions on Medical Imaging 42, 2023 (Noise2Sim).
    """

    name: Literal["noise2sim"] = "noise2sim"
    """What is learnt from."""

    furthest_mm: float = Field(default=3.0, gt=0)
    """Largest distance of the two slices. Slices that overlap share noise, so the nearest that
    share none are taken; where they are further apart than this, the mode is refused."""

    window_mm: float = Field(default=4.0, gt=0)
    """Edge of the square over which the difference of the slices is averaged before it is judged;
    judged pixel by pixel, it would choose pixels whose noise agrees by chance."""

    limit: float = Field(default=2.5, gt=0)
    """Averaged differences up to this many standard deviations of noise count as the same anatomy;
    other pixels teach nothing."""


class BlindSpotSettings(Settings):
    """Plain scans, no pairs: pixels are hidden and guessed from those around them.

    Krull et al., "Noise2Void", CVPR 2019. It needs noise that is independent from pixel to pixel.
    That of CT is not: neighbours tell the noise of a hidden pixel, which the network learns to
    restore.
    """

    name: Literal["noise2void"] = "noise2void"
    """What is learnt from."""

    allow_correlated_noise: bool = False
    """Train all the same, for images whose noise is known to be white."""

    share: float = Field(default=0.015, gt=0, le=0.25)
    """Share of the pixels that are hidden, one in each square of a grid."""

    reach: int = Field(default=2, ge=1, le=4)
    """Pixels in each direction from which the value that hides a pixel is drawn."""

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        if not self.allow_correlated_noise:
            raise ValueError(
                "noise2void needs noise that is independent from pixel to pixel. CT noise is "
                "correlated: the pixels around a hidden one tell its noise, and the network learns "
                "to restore it. Use recorrupted or noise2sim; if the noise of these images is "
                "known to be white, set supervision.allow_correlated_noise=true"
            )
        return self


WithoutPairs = RecorruptedSettings | NeighboursSettings | BlindSpotSettings
"""What learns from plain scans."""

SupervisionSettings = Annotated[
    PairsSettings
    | NoisyTargetSettings
    | RecorruptedSettings
    | NeighboursSettings
    | BlindSpotSettings,
    Field(discriminator="name"),
]
"""What a network learns from; told apart by `name`."""


def needs_pairs(supervision: SupervisionSettings) -> bool:
    """Whether a network learns from pairs; else from plain scans."""
    return not isinstance(supervision, WithoutPairs)

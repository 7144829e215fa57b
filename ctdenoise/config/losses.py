"""Settings of the training loss: a weighted sum of terms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ctdenoise.config.base import Settings


class MseSettings(Settings):
    """Mean squared difference from the full-dose image, in network scale."""

    name: Literal["mse"] = "mse"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""


class CrossEntropySettings(Settings):
    """Pixel-wise cross-entropy of the segmentation head, mean over the pixels."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    class_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """Factor of the pixels of each class, background first, where some classes are small. The term
    stays a mean over all pixels, so factors above 1 also raise the whole. Null: all equal."""

    @field_validator("class_weights")
    @classmethod
    def _some_class_counts(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not any(value):
            raise ValueError("one of the class weights must be above 0")
        return value


class DiceSettings(Settings):
    """Dice loss of the segmentation head, summed over the classes.

    Of the pixels that are computed together: a share of the batch in one process, or a piece of
    `accumulate`. The Dice of a batch is not the mean of the Dice of its pieces. A class that these
    pixels do not show costs nearly 1, with next to no gradient, until the network all but rules it
    out; batches that show every class are better than many pieces.
    """

    name: Literal["dice"] = "dice"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    include_background: bool = True
    """Whether class 0 counts as a class."""


class L1Settings(Settings):
    """Mean absolute difference from the full-dose image, in network scale."""

    name: Literal["l1"] = "l1"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""


class CharbonnierSettings(Settings):
    """Mean of `sqrt(d^2 + e^2) - e` over the differences d.

    Absolute for large ones, squared for small ones.
    """

    name: Literal["charbonnier"] = "charbonnier"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    epsilon_hu: float = Field(default=1.0, gt=0)
    """Where it turns from squared to absolute, HU."""


class MsSsimSettings(Settings):
    """One minus the multi-scale structural similarity in a window of Hounsfield units."""

    name: Literal["ms_ssim"] = "ms_ssim"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    low_hu: float = -160.0
    """Lower end of the window; values beyond an end count as the end."""

    high_hu: float = 240.0
    """Upper end of the window."""

    scales: int = Field(default=3, ge=1, le=5)
    """Octaves, the first of the five of Wang et al. 2003 with their weights, made to sum to 1.
    Patches must have at least 10 * 2**(scales - 1) + 1 pixels along each side: 41 for 3."""


class GradientSettings(Settings):
    """Mean absolute difference of the steps between neighbouring pixels, along y and along x."""

    name: Literal["gradient"] = "gradient"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""


class SpectrumSettings(Settings):
    """How far the noise that was removed has the spectrum of the noise that was there.

    Mean square of the logarithm of the ratio of their radial noise power spectra.
    """

    name: Literal["spectrum"] = "spectrum"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    bins: int = Field(default=12, ge=2, le=64)
    """Rings of equal width between 0 and the Nyquist frequency."""

    floor_hu: float = Field(default=0.5, gt=0)
    """Standard deviation of white noise added to both spectra, HU, so that frequencies without
    noise do not count."""


class HuBiasSettings(Settings):
    """Mean error in each tissue, squared, so that no tissue drifts.

    Drift is the classic fault of networks that are trained on squared differences alone.
    """

    name: Literal["hu_bias"] = "hu_bias"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum. The term is the mean over the tissues that a batch shows of
    (mean error / 10 HU)^2."""

    edges_hu: tuple[float, ...] = (-1100.0, -950.0, -500.0, -200.0, -30.0, 80.0, 250.0, 3000.0)
    """Ends of the ranges of the full-dose image that count as one tissue each: air, lung, border
    of lung, fat, soft tissue, enhanced tissue, bone."""

    fewest_pixels: int = Field(default=64, ge=1)
    """A tissue with fewer pixels in a batch does not count."""


class PerceptualSettings(Settings):
    """Mean squared difference of features that a frozen encoder finds in the two images."""

    name: Literal["perceptual"] = "perceptual"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    encoder: Path | None = None
    """Checkpoint of a `redcnn` whose convolutions are the encoder; by default fixed random
    filters, which compare edges and textures of several sizes."""

    layers: int = Field(default=3, ge=1, le=5)
    """Convolutions of the encoder."""


class HeteroscedasticSettings(Settings):
    """Likelihood of the full-dose image under the error that the network states for every pixel.

    Minus its logarithm for a normal distribution (Kendall and Gal, NeurIPS 2017); needs
    `predict_sigma`.
    """

    name: Literal["heteroscedastic"] = "heteroscedastic"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""


DifferenceTermSettings = MseSettings | L1Settings | CharbonnierSettings | GradientSettings
"""Terms of the difference from the full-dose image alone, which may be counted in any unit."""

ImageTermSettings = DifferenceTermSettings | MsSsimSettings | HuBiasSettings | PerceptualSettings
"""Terms that compare the denoised image with the full-dose one and nothing else."""

LossTermSettings = Annotated[
    ImageTermSettings
    | SpectrumSettings
    | HeteroscedasticSettings
    | CrossEntropySettings
    | DiceSettings,
    Field(discriminator="name"),
]
"""Any term; told apart by `name`."""


class LossSettings(Settings):
    """The loss that training makes small: the weighted sum of its terms."""

    terms: tuple[LossTermSettings, ...] = Field(default=(MseSettings(),), min_length=1)
    """The terms, each kind at most once."""

    relative_to_noise: bool = False
    """Count differences in units of the noise of their patch, as the network is told it, so that
    every dose weighs the same; without it the noisiest patches decide. Concerns the terms `mse`,
    `l1`, `charbonnier` and `gradient`; needs `network.noise_input`. A patch with 30 HU noise counts
    as it does otherwise, and less than 5 HU count as 5 HU."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [term.name for term in self.terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"{', '.join(twice)} is there more than once; raise its weight instead"
            )
        if self.relative_to_noise and not any(
            isinstance(term, DifferenceTermSettings) for term in self.terms
        ):
            raise ValueError(
                "relative_to_noise changes nothing without a term mse, l1, charbonnier or gradient"
            )
        return self

    @property
    def needs_labels(self) -> bool:
        """Whether a term compares the segmentation head with labels."""
        return any(isinstance(term, CrossEntropySettings | DiceSettings) for term in self.terms)

    @property
    def looks_at_image(self) -> bool:
        """Whether a term compares the denoised image with something."""
        return not all(isinstance(term, CrossEntropySettings | DiceSettings) for term in self.terms)

    @property
    def needs_sigma(self) -> bool:
        """Whether a term compares the stated standard deviation with the error."""
        return any(isinstance(term, HeteroscedasticSettings) for term in self.terms)

    @property
    def smallest_patch(self) -> int:
        """Least size of a patch that every term can compare, pixels."""
        scales = [term.scales for term in self.terms if isinstance(term, MsSsimSettings)]
        return max((10 * 2 ** (count - 1) + 1 for count in scales), default=1)

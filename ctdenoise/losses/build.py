"""From settings to a loss: the weighted sum of its terms, each reported by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, assert_never

import torch
from torch import Tensor

from ctdenoise.config.losses import (
    CharbonnierSettings,
    CrossEntropySettings,
    DiceSettings,
    DifferenceTermSettings,
    GradientSettings,
    HeteroscedasticSettings,
    HuBiasSettings,
    ImageTermSettings,
    L1Settings,
    LossSettings,
    LossTermSettings,
    MseSettings,
    MsSsimSettings,
    PerceptualSettings,
    SpectrumSettings,
)
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import UsageError
from ctdenoise.losses.image import (
    charbonnier,
    gradient,
    mean_absolute_error,
    mean_squared_error,
    ms_ssim,
    negative_log_likelihood,
    spectrum_mismatch,
    tissue_bias,
)
from ctdenoise.losses.perceptual import FrozenEncoder, feature_distance, random_encoder
from ctdenoise.losses.segmentation import cross_entropy, dice


class Predicted(Protocol):
    """What a loss reads from a network's output; `networks.prediction.Prediction` is one."""

    @property
    def image(self) -> Tensor:
        """The denoised image in network scale, [batch, 1, y, x]."""
        ...

    @property
    def logits(self) -> Tensor | None:
        """Class scores [batch, class, y, x], or None without a segmentation head."""
        ...

    @property
    def log_sigma(self) -> Tensor | None:
        """Logarithm of the stated standard deviation, or None where the network states none."""
        ...

    @property
    def penalty(self) -> Tensor | None:
        """What the network itself adds to the loss, a scalar; None for nothing."""
        ...


class Target(NamedTuple):
    """What the network should have said.

    Args:
        image: Full-dose images in network scale, [batch, 1, y, x].
        labels: Class of each pixel, integers from 0, [batch, y, x]; None where nobody labelled.
        low: Low-dose images in network scale, for terms that look at the noise; None where none
            does.
        noise: Standard deviation of the noise to remove, network scale, like `low`; None where
            nobody told it.
        weight: How much each pixel counts in `mse`, [batch, 1, y, x]; None for all alike.
    """

    image: Tensor
    labels: Tensor | None = None
    low: Tensor | None = None
    noise: Tensor | None = None
    weight: Tensor | None = None


class LossTerms(NamedTuple):
    """A loss and what it is made of.

    Args:
        total: The weighted sum, a scalar to take the gradient of.
        terms: Each term by name, before its weight, detached: what is logged.
    """

    total: Tensor
    terms: dict[str, Tensor]


Loss = Callable[[Predicted, Target], LossTerms]
"""What training makes small."""

_Term = Callable[[Predicted, Target], Tensor]

_BIAS_UNIT_HU = 10.0
"""A mean error of a tissue that counts 1."""

_REFERENCE_NOISE_HU = 30.0
"""Noise of a patch whose differences count as they are where they are relative to the noise."""

_LEAST_NOISE_HU = 5.0
"""Noise below this counts as this, or patches without any would decide alone."""


def build_loss(
    settings: LossSettings,
    hu_range: HuRange | None = None,
    *,
    encoder: FrozenEncoder | None = None,
) -> Loss:
    """The loss a settings file asks for.

    Args:
        settings: The terms and their weights.
        hu_range: The network's scale, for terms whose settings are Hounsfield units; the default
            range if None.
        encoder: Frozen encoder of a perceptual term that names one; random filters if None.

    Returns:
        A function of (prediction, target). It raises UsageError if a term needs something that the
        network does not predict or the pairs do not have.
    """
    scale = hu_range or HuRange()
    values_of = {
        term.name: _relative(term, scale)
        if settings.relative_to_noise and isinstance(term, DifferenceTermSettings)
        else _term(term, scale, encoder)
        for term in settings.terms
    }

    def loss(prediction: Predicted, target: Target) -> LossTerms:
        values: dict[str, Tensor] = {
            name: value_of(prediction, target) for name, value_of in values_of.items()
        }
        weighted = [term.weight * values[term.name] for term in settings.terms]
        if prediction.penalty is not None:
            values["penalty"] = prediction.penalty
            weighted.append(prediction.penalty)
        total = torch.stack(weighted).sum()
        return LossTerms(total, {name: value.detach() for name, value in values.items()})

    return loss


def _relative(term: DifferenceTermSettings, scale: HuRange) -> _Term:
    """A term of images in units of the noise of each patch: its root mean square."""
    compare = _image_term(term, scale, None)
    reference, least = (hu / scale.width_hu for hu in (_REFERENCE_NOISE_HU, _LEAST_NOISE_HU))

    def value_of(prediction: Predicted, target: Target) -> Tensor:
        power = _noise(target).float().square().mean(dim=(1, 2, 3), keepdim=True)
        factor = reference / power.sqrt().clamp_min(least)  # [batch, 1, 1, 1]
        if target.weight is not None:  # of squares, and only `mse` comes with it
            factor = factor * target.weight.sqrt()
        return compare(prediction.image.float() * factor, target.image.float() * factor)

    return value_of


def _term(term: LossTermSettings, scale: HuRange, encoder: FrozenEncoder | None) -> _Term:
    match term:
        case CrossEntropySettings():
            weights = term.class_weights
            return lambda p, t: cross_entropy(
                *_scores_and_labels(term.name, p, t), class_weights=weights
            )
        case DiceSettings():
            background = term.include_background
            return lambda p, t: dice(
                *_scores_and_labels(term.name, p, t), include_background=background
            )
        case MseSettings():
            return lambda p, t: mean_squared_error(p.image, t.image, t.weight)
        case HeteroscedasticSettings():
            return lambda p, t: negative_log_likelihood(p.image, t.image, _log_sigma(p))
        case SpectrumSettings():
            floor = term.floor_hu / scale.width_hu
            bins = term.bins
            return lambda p, t: spectrum_mismatch(p.image, t.image, _low(t), bins=bins, floor=floor)
        case _:
            compare = _image_term(term, scale, encoder)
            return lambda p, t: compare(p.image, t.image)


def _image_term(  # noqa: PLR0911 - one line for each kind
    term: ImageTermSettings, scale: HuRange, encoder: FrozenEncoder | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """A term that compares the denoised image with the full-dose one and nothing else."""
    match term:
        case MseSettings():
            return mean_squared_error
        case L1Settings():
            return mean_absolute_error
        case CharbonnierSettings():
            return partial(charbonnier, epsilon=term.epsilon_hu / scale.width_hu)
        case GradientSettings():
            return gradient
        case MsSsimSettings():
            window = (scale.to_network(term.low_hu), scale.to_network(term.high_hu))
            return partial(ms_ssim, window=window, scales=term.scales)
        case HuBiasSettings():
            return partial(
                tissue_bias,
                edges=[scale.to_network(edge) for edge in term.edges_hu],
                unit=_BIAS_UNIT_HU / scale.width_hu,
                fewest=term.fewest_pixels,
            )
        case PerceptualSettings():
            return partial(feature_distance, encoder or random_encoder(term.layers))
        case _:
            assert_never(term)


def _log_sigma(prediction: Predicted) -> Tensor:
    if prediction.log_sigma is None:
        raise UsageError(
            "The loss `heteroscedastic` needs a network that states its error.",
            fix="Set network.predict_sigma=true, or take the term out of loss.terms.",
        )
    return prediction.log_sigma


def _low(target: Target) -> Tensor:
    if target.low is None:
        raise UsageError("The loss `spectrum` needs the low-dose image beside the full-dose one.")
    return target.low


def _noise(target: Target) -> Tensor:
    if target.noise is None:
        raise UsageError(
            "A loss relative to the noise needs to be told the noise.",
            fix="Set network.noise_input=true, or loss.relative_to_noise=false.",
        )
    return target.noise


def _scores_and_labels(name: str, prediction: Predicted, target: Target) -> tuple[Tensor, Tensor]:
    if prediction.logits is None:
        raise UsageError(
            f"The loss `{name}` needs a network with a segmentation head.",
            fix="Set network.head.classes, or take the term out of loss.terms.",
        )
    if target.labels is None:
        raise UsageError(
            f"The loss `{name}` needs labels, and these training pairs have none.",
            fix="Make the pairs again with labels, or take the term out of loss.terms.",
        )
    return prediction.logits, target.labels

"""From settings to a loss: the weighted sum of its terms, each reported by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, assert_never

import torch
from torch import Tensor

from ctdenoise.config.losses import (
    CrossEntropySettings,
    DiceSettings,
    LossSettings,
    LossTermSettings,
    MseSettings,
)
from ctdenoise.errors import UsageError
from ctdenoise.losses.image import mean_squared_error
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
    def penalty(self) -> Tensor | None:
        """What the network itself adds to the loss, a scalar; None for nothing."""
        ...


class Target(NamedTuple):
    """What the network should have said.

    Args:
        image: Full-dose images in network scale, [batch, 1, y, x].
        labels: Class of each pixel, integers from 0, [batch, y, x]; None where nobody labelled.
    """

    image: Tensor
    labels: Tensor | None = None


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


def build_loss(settings: LossSettings) -> Loss:
    """The loss a settings file asks for.

    Args:
        settings: The terms and their weights.

    Returns:
        A function of (prediction, target). It raises UsageError if a term needs labels or a
        segmentation head and there is none.
    """

    def loss(prediction: Predicted, target: Target) -> LossTerms:
        values: dict[str, Tensor] = {
            term.name: _value(term, prediction, target) for term in settings.terms
        }
        weighted = [term.weight * values[term.name] for term in settings.terms]
        if prediction.penalty is not None:
            values["penalty"] = prediction.penalty
            weighted.append(prediction.penalty)
        total = torch.stack(weighted).sum()
        return LossTerms(total, {name: value.detach() for name, value in values.items()})

    return loss


def _value(term: LossTermSettings, prediction: Predicted, target: Target) -> Tensor:
    match term:
        case MseSettings():
            return mean_squared_error(prediction.image, target.image)
        case CrossEntropySettings():
            logits, labels = _scores_and_labels(term.name, prediction, target)
            return cross_entropy(logits, labels)
        case DiceSettings():
            logits, labels = _scores_and_labels(term.name, prediction, target)
            return dice(logits, labels, include_background=term.include_background)
        case _:
            assert_never(term)


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

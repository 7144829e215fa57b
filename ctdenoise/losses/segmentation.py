"""Losses that compare the segmentation head with labels."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - the usual name
from monai.losses.dice import DiceLoss
from torch import Tensor

SMOOTHING = 1e-5
"""Added to numerator and denominator, so that a class that is nowhere divides no zero by zero. It
still costs up to 1 while the network gives it a share of its softmax."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each pixel, mean over the pixels.

    Args:
        logits: Class scores, [batch, class, y, x].
        labels: Class of each pixel, integers from 0, [batch, y, x].
    """
    return F.cross_entropy(logits.float(), labels.long())


def dice(logits: Tensor, labels: Tensor, *, include_background: bool) -> Tensor:
    """Dice loss summed over the classes: 0 at perfect overlap, 1 for each class without any.

    For each class 1 - 2 sum(t p) / (sum t^2 + sum p^2), with p the softmax of the scores and t the
    one-hot labels; the sums run over all pixels of the batch, since a small patch rarely holds
    every class.

    Args:
        logits: Class scores, [batch, class, y, x].
        labels: Class of each pixel, integers from 0, [batch, y, x].
        include_background: Whether class 0 counts.
    """
    loss = DiceLoss(
        include_background=include_background,
        to_onehot_y=True,
        softmax=True,
        squared_pred=True,
        reduction="sum",
        smooth_nr=SMOOTHING,
        smooth_dr=SMOOTHING,
        batch=True,
    )
    total: Tensor = loss(logits.float(), labels.long().unsqueeze(1))
    return total

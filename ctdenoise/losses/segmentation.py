"""Losses that compare the segmentation head with labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from monai.losses.dice import DiceLoss
from torch import Tensor

SMOOTHING = 1e-5
"""Added to numerator and denominator, so that a class that is nowhere divides no zero by zero. It
still costs up to 1 while the network gives it a share of its softmax."""


def cross_entropy(
    logits: Tensor, labels: Tensor, *, class_weights: Sequence[float] | None = None
) -> Tensor:
    """Cross-entropy of each pixel, mean over the pixels.

    With class weights w it is the mean of -w[t] log p[t]: the sum is divided by the number of
    pixels and not by that of their weights, as torch does by default. So the loss of a batch is the
    mean of the losses of its pieces, and a batch of background alone does not count as much as one
    with a rare class.

    Args:
        logits: Class scores, [batch, class, y, x].
        labels: Class of each pixel, integers from 0, [batch, y, x].
        class_weights: Factor of the pixels of each class; None for 1.
    """
    if class_weights is None:
        return F.cross_entropy(logits.float(), labels.long())
    weights = torch.tensor(class_weights, dtype=torch.float32, device=logits.device)
    return F.cross_entropy(logits.float(), labels.long(), weight=weights, reduction="none").mean()


def dice(logits: Tensor, labels: Tensor, *, include_background: bool) -> Tensor:
    """Dice loss summed over the classes: 0 at perfect overlap, 1 for each class without any.

    For each class 1 - 2 sum(t p) / (sum t^2 + sum p^2), with p the softmax of the scores and t the
    one-hot labels; the sums run over all pixels of the batch, since a small patch rarely holds
    every class. The Dice of a batch is not the mean of the Dice of its parts.

    A class that the labels do not show costs 1 - s / (sum p^2 + s) with s the smoothing: nearly 1,
    and nearly flat, until the network gives it almost nothing, and then 0. So says the formula, and
    so does MONAI; such a class teaches next to nothing.

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

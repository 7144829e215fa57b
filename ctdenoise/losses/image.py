"""Losses that compare the denoised image with the full-dose one."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor


def mean_squared_error(image: Tensor, full: Tensor) -> Tensor:
    """Mean of the squared differences, in float32 whatever the precision of the network.

    Args:
        image: Denoised images in network scale, [batch, 1, y, x].
        full: Full-dose images in network scale, of the same shape.
    """
    return F.mse_loss(image.float(), full.float())

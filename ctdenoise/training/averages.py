"""The running mean of the weights (EMA), often better than the weights of the last step."""

from __future__ import annotations

import copy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ctdenoise.config.optimizers import EmaSettings
from ctdenoise.networks.prediction import DenoisingNetwork


class WeightAverage:
    """A network whose weights follow those of the trained one.

    Args:
        settings: How slowly they follow.
        network: The trained one, at its first weights; on its device, in its memory format.
    """

    def __init__(self, settings: EmaSettings, network: DenoisingNetwork) -> None:
        self.settings = settings
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False)

    def decay_at(self, step: int) -> float:
        """Share of the mean that stays at a step, counted from 1."""
        if not self.settings.warmup:
            return self.settings.decay
        return min(self.settings.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def follow(self, network: DenoisingNetwork, *, step: int) -> None:
        """Take in the weights that a step has made.

        Buffers, such as the running statistics of a batch normalisation, are means already and are
        copied.

        Args:
            network: The trained network.
            step: The step, counted from 1.
        """
        mix = get_ema_multi_avg_fn(self.decay_at(step))  # type: ignore[no-untyped-call]  # torch does not annotate it
        mix(list(self.network.parameters()), list(network.parameters()), step)
        for mean, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            mean.copy_(buffer)

"""The network that returns its input."""

from __future__ import annotations

import torch
from torch import Tensor

from ctdenoise.config.networks import IdentitySettings
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction


class Identity(DenoisingNetwork):
    """The baseline of every comparison; it has no weights.

    Args:
        settings: Nothing to set.
        generator: Not used.
    """

    def __init__(
        self,
        settings: IdentitySettings | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        del settings, generator
        super().__init__(Constraints(receptive_field_radius=0))

    def forward(self, scaled: Tensor) -> Prediction:
        """The input.

        Args:
            scaled: Slices in network scale, [batch, 1, y, x].
        """
        return Prediction(scaled)

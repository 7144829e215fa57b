"""The network that returns its input."""

from __future__ import annotations

from torch import Tensor

from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction


class Identity(DenoisingNetwork):
    """The baseline of every comparison; it has no weights."""

    def __init__(self) -> None:
        super().__init__(Constraints(receptive_field_radius=0))

    def forward(self, scaled: Tensor) -> Prediction:
        """The input.

        Args:
            scaled: Slices in network scale, [batch, 1, y, x].
        """
        return Prediction(scaled)

"""Any network on a CPU, its convolutions by kernels of our own."""

from __future__ import annotations

import copy
import math
from threading import Lock

import torch
from torch import Tensor

from ctdenoise.inference.crew import shared_crew
from ctdenoise.inference.deferred import numbers_of
from ctdenoise.inference.deferring import Deferring
from ctdenoise.inference.feature_maps import Store, stored
from ctdenoise.inference.layers import Kernels, without_normalisation
from ctdenoise.inference.vector_code import VectorUnit
from ctdenoise.networks.prediction import DenoisingNetwork

_TRIAL_EDGE = 48
"""Least edge of the image that an engine is tried on, pixels."""


class WinogradEngine:
    """Float32 on a CPU, one slice after another; the result does not depend on threads or batches.

    Convolutions of stride 1 are computed by Winograd's short convolutions, or directly where there
    are few inputs or outputs; all else by torch.

    Args:
        network: The network; it is copied, not changed.
        unit: What computes.
    """

    def __init__(self, network: DenoisingNetwork, unit: VectorUnit) -> None:
        self._unit = unit
        self._network = copy.deepcopy(network.folded()).eval()
        without_normalisation(self._network)
        self._kernels = Kernels(self._network.parameters(), unit)
        self._store = Store()
        self._size: tuple[int, int] | None = None
        self._lock = Lock()
        self.constraints = network.constraints
        self.share, self._bytes_per_value = self._measured()

    @property
    def description(self) -> str:
        """What computes, in a few words."""
        return f"winograd cpu float32 {self._unit.name}"

    @property
    def bytes_per_value(self) -> int:
        """Memory for one number of a feature map, with the channels that fill whole vectors."""
        return self._bytes_per_value

    def predict(self, scaled: Tensor) -> Tensor:
        """Denoised images for a batch of slices.

        Args:
            scaled: Slices in network scale, [batch, channel, y, x], float32.
        """
        with self._lock:
            return torch.cat([self._image(one)[0] for one in scaled[:, None]])

    def predict_with_estimates(self, scaled: Tensor) -> Tensor:
        """Denoised images and, as further channels, stated error and scores of every class.

        Args:
            scaled: Slices in network scale, [batch, channel, y, x], float32.
        """
        with self._lock:
            return torch.cat([self._image(one, estimates=True)[0] for one in scaled[:, None]])

    def _image(self, scaled: Tensor, *, estimates: bool = False) -> tuple[Tensor, Deferring]:
        """One slice [1, channel, y, x], estimates as further channels, and how it was computed.

        A head that is not asked for stays deferred, and is never computed.
        """
        size = (scaled.shape[2], scaled.shape[3])
        if size != self._size:  # tiles and slices of another size
            self._store.forget()
            self._size = size
        deferring = Deferring(self._kernels, self._store, shared_crew(torch.get_num_threads()))
        with torch.inference_mode():
            with deferring:
                predicted = self._network(scaled)
            beside = (predicted.log_sigma, predicted.logits) if estimates else ()
            channels = (predicted.image, *beside)
            outputs = [numbers_of(one).float() for one in channels if one is not None]
            return torch.cat(outputs, dim=1), deferring

    def _measured(self) -> tuple[float, int]:
        """Share of the products of convolutions that kernels make, and bytes for a number."""
        edge = trial_edge(self.constraints.smallest_input, self.constraints.multiple_of)
        image = torch.zeros(1, self.constraints.channels, edge, edge)
        _, deferring = self._image(image, estimates=True)
        made, left = deferring.products, deferring.left
        values = self.constraints.peak_values_per_pixel * edge**2
        # Sizes shrink along the way through some networks: much, in so small an image.
        filled = 4 * stored(deferring.widest) / deferring.widest if made else 0
        most = math.ceil(max(4.0, filled, self._store.most_used / values))
        return made / max(1, made + left), most


def trial_edge(smallest: int, multiple: int) -> int:
    """Edge of a small image that a network accepts, pixels."""
    return -(-max(smallest, _TRIAL_EDGE) // multiple) * multiple

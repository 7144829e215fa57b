"""Batches as a network sees them: tensors on its device, in its scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.units import AIR_HU
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.losses.build import Target
from ctdenoise.training.changes import PatchChanges, PatchImages, changed
from ctdenoise.training.gathering import StoredBatch

# Batches are no tuples: MONAI takes tuples apart.


@dataclass(frozen=True, slots=True, eq=False)
class PatchBatch:
    """What one training step sees.

    Args:
        low: Low-dose patches in network scale, float32 [batch, 1, y, x].
        target: Full-dose patches and, if used, labels and noise.
        noise: Standard deviation of the noise to remove from `low`, like it; None for networks not
            told.
        beside: The same place in the slices before, then in those after, [batch, slice, y, x]; None
            for networks that see one slice alone.
    """

    low: Tensor
    target: Target
    noise: Tensor | None = None
    beside: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """What the network is given, [batch, channel, y, x]."""
        return seen_by_network(self.low, self.beside, self.noise)


def seen_by_network(low: Tensor, beside: Tensor | None, noise: Tensor | None) -> Tensor:
    """Slices in order and their noise as channels, [batch, channel, y, x].

    Args:
        low: The middle slices, [batch, 1, y, x].
        beside: As many before them as after, [batch, slice, y, x]; None for none.
        noise: What is told of their noise, [batch, 1, y, x]; None where nothing is.
    """
    channels = [low]
    if beside is not None:
        before, after = beside.chunk(2, dim=1)
        channels = [before, low, after]
    if noise is not None:
        channels.append(noise)
    return low if len(channels) == 1 else torch.cat(channels, dim=1)


class ToNetworkScale:
    """Stored patches as tensors on a device, in network scale.

    Padding becomes air in both images, as it does when a network is used.

    Args:
        hu_range: The network's scale.
        device: Where the tensors go; integers travel, scaling is done there.
    """

    def __init__(self, hu_range: HuRange, device: torch.device) -> None:
        self.hu_range = hu_range
        self.device = device

    def __call__(self, batch: StoredBatch) -> PatchBatch:
        """The batch as tensors, changed as planned."""
        images = PatchImages(
            full=self.hu(batch.full) if batch.target_hu is None else self.moved(batch.target_hu),
            low=self.hu(batch.low),
            labels=None if batch.labels is None else self.moved(batch.labels).long(),
            noise=None if batch.noise is None else self.moved(batch.noise),
            weight=None if batch.weight is None else self.moved(batch.weight),
            beside=None if batch.beside is None else self.hu(batch.beside),
        )
        return self.finished(images, batch.changes)

    def finished(self, images: PatchImages, changes: PatchChanges | None) -> PatchBatch:
        """Patches in HU, changed as planned and brought to the scale of the network."""
        if changes is not None:
            images = changed(images, changes)
        low, full = (self.hu_range.to_network(hu)[:, None] for hu in (images.low, images.full))
        noise = None if images.noise is None else self._noise(images.noise)
        weight = None if images.weight is None else images.weight[:, None]
        beside = None if images.beside is None else self.hu_range.to_network(images.beside)
        return PatchBatch(low, Target(full, images.labels, low, noise, weight), noise, beside)

    def noise(self, noise_hu: FloatArray) -> Tensor:
        """Standard deviations as float32 [batch, 1, y, x] in network scale.

        Args:
            noise_hu: HU, float32 [batch, y, x].
        """
        return self._noise(self.moved(noise_hu))

    def _noise(self, noise_hu: Tensor) -> Tensor:
        return (noise_hu * (1.0 / self.hu_range.width_hu))[:, None]

    def scaled(self, stored: StoredArray) -> Tensor:
        """Stored slices as float32 [batch, 1, y, x] in network scale.

        Args:
            stored: int16 HU [batch, y, x].
        """
        return self.hu_range.to_network(self.hu(stored))[:, None]

    def hu(self, stored: StoredArray | Tensor) -> Tensor:
        """Stored slices as float32 HU of the same shape, padding as air.

        Args:
            stored: int16 HU [batch, y, x], or of several slices; a tensor is on the device already.
        """
        values = stored if isinstance(stored, Tensor) else self.moved(stored)
        return values.float().masked_fill_(values == PADDING_HU, AIR_HU)

    def moved(self, array: npt.NDArray[np.generic]) -> Tensor:
        """An array as a tensor on the device."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

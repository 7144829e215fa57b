"""How good the network is on slices that it never trained on, in HU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ctdenoise.config.training import ValidationSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.labels import ClassTable
from ctdenoise.training.patches import ToNetworkScale
from ctdenoise.training.split import SliceRange


@dataclass(frozen=True, slots=True, eq=False)
class ValidationSlice:
    """The centre of one held-out slice.

    Args:
        low: int16 HU [y, x].
        full: int16 HU [y, x].
        labels: Class of each pixel, uint8 [y, x], or None.
    """

    low: StoredArray
    full: StoredArray
    labels: StoredArray | ClassTable | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement.

    Args:
        rmse_hu: Root mean squared difference of the denoised from the full-dose slices, HU.
        baseline_rmse_hu: That of the low-dose slices: what doing nothing gives.
        dice: Mean over the classes (without background) that the reference shows; None without
            labels, or if it shows none.
    """

    rmse_hu: float
    baseline_rmse_hu: float
    dice: float | None = None


class Validator:
    """Measures a network on the same few slices every time.

    Padding does not count. Layers run in float32, so that the figure is about the weights.

    Args:
        slices: At least one.
        hu_range: The network's scale.
        device: Where the network is.
    """

    def __init__(
        self, slices: Sequence[ValidationSlice], hu_range: HuRange, device: torch.device
    ) -> None:
        self.slices = tuple(slices)
        self.hu_range = hu_range
        self.scale = ToNetworkScale(hu_range, device)
        differences = [
            np.subtract(item.low, item.full, dtype=np.float64)[item.full != PADDING_HU]
            for item in self.slices
        ]
        self.pixels = sum(difference.size for difference in differences)
        squared = sum(float(np.square(difference).sum()) for difference in differences)
        self.baseline_rmse_hu = float(np.sqrt(squared / max(1, self.pixels)))

    @torch.no_grad()
    def measure(self, network: DenoisingNetwork) -> Measured:
        """Denoise every slice and compare; the network comes back in training mode."""
        network.eval()
        squared = 0.0
        overlaps: list[Tensor] = []
        for item in self.slices:
            prediction = network(self.scale.scaled(item.low[None]))
            hu = self.hu_range.to_hu(prediction.image[0, 0]).cpu().numpy()
            difference = (hu - item.full.astype(np.float64))[item.full != PADDING_HU]
            squared += float(np.square(difference).sum())
            if prediction.logits is not None and item.labels is not None:
                overlaps.append(_overlap(prediction.logits[0], torch.from_numpy(item.labels)))
        network.train()
        rmse_hu = float(np.sqrt(squared / max(1, self.pixels)))
        return Measured(rmse_hu, self.baseline_rmse_hu, _mean_dice(overlaps))


def choose_slices(
    ranges: Sequence[SliceRange],
    settings: ValidationSettings,
    *,
    tables: dict[str, ClassTable] | None = None,
    multiple_of: int = 1,
) -> tuple[ValidationSlice, ...]:
    """The slices to measure: spread evenly, low doses in turn, the centre only.

    Args:
        ranges: The held-out slices.
        settings: How many, how much of each.
        tables: Class of each label, by folder; None where labels are not used.
        multiple_of: What the network asks sizes to be a multiple of.
    """
    slices_before = np.cumsum([part.slices for part in ranges])
    total = int(slices_before[-1])
    count = min(settings.slices, total)
    chosen = []
    for number in range(count):
        place = (2 * number + 1) * total // (2 * count)
        index = int(np.searchsorted(slices_before, place, side="right"))
        part = ranges[index]
        z = part.start + place - int(slices_before[index] - part.slices)
        arrays = part.files.open()
        window = (
            z,
            _centre(part.files.shape[1], settings.crop, multiple_of),
            _centre(part.files.shape[2], settings.crop, multiple_of),
        )
        labels = None
        if tables is not None and arrays.labels is not None:
            labels = tables[str(part.files.folder)][arrays.labels[window]]
        chosen.append(
            ValidationSlice(
                np.array(arrays.low[number % len(arrays.low)][window]),
                np.array(arrays.full[window]),
                labels,
            )
        )
    return tuple(chosen)


def _centre(size: int, crop: int | None, multiple_of: int) -> slice:
    kept = size if crop is None else min(size, crop)
    kept -= kept % multiple_of
    start = (size - kept) // 2
    return slice(start, start + kept)


def _overlap(logits: Tensor, labels: Tensor) -> Tensor:
    """Pixels of each class [class, (both, predicted, reference)]."""
    classes = len(logits)
    predicted = logits.argmax(dim=0).cpu().reshape(-1)
    reference = labels.long().reshape(-1)
    both = torch.bincount(reference[predicted == reference], minlength=classes)
    return torch.stack(
        [
            both,
            torch.bincount(predicted, minlength=classes),
            torch.bincount(reference, minlength=classes),
        ],
        dim=1,
    )


def _mean_dice(overlaps: Sequence[Tensor]) -> float | None:
    if not overlaps:
        return None
    both, predicted, reference = torch.stack(list(overlaps)).sum(dim=0)[1:].double().unbind(dim=1)
    shown = reference > 0
    if not bool(shown.any()):
        return None
    return float((2 * both / (predicted + reference))[shown].mean())

"""How good the network is on slices that it never trained on, in HU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ctdenoise.config.validation import ValidationSettings
from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.neighbours import neighbour_indices
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.losses.build import Loss, Target
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.batches import ToNetworkScale, seen_by_network
from ctdenoise.training.distributed import ALONE, Peers
from ctdenoise.training.expected_noise import noise_beyond
from ctdenoise.training.frozen import predicting
from ctdenoise.training.labels import ClassTable
from ctdenoise.training.pictures import Gray, panel
from ctdenoise.training.split import SliceRange


@dataclass(frozen=True, slots=True, eq=False)
class ValidationSlice:
    """The centre of one held-out slice.

    Args:
        low: int16 HU [y, x].
        full: int16 HU [y, x].
        labels: Class of each pixel, uint8 [y, x], or None.
        noise: Standard deviation of the noise to remove from `low`, HU [y, x]; None for networks
            that are not told.
        weight: How much each pixel counts in the loss, [y, x]; where it is 0, it does not count at
            all. None for all alike.
        beside: The low dose in the slices before, then in those after, int16 HU [slice, y, x]; None
            for networks that see one slice alone.
    """

    low: StoredArray
    full: StoredArray
    labels: StoredArray | ClassTable | None = None
    noise: FloatArray | None = None
    weight: FloatArray | None = None
    beside: StoredArray | None = None

    @property
    def counted(self) -> BoolArray:
        """Which pixels count, [y, x]."""
        inside: BoolArray = self.full != PADDING_HU
        return inside if self.weight is None else inside & (self.weight > 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement.

    Args:
        rmse_hu: Root mean squared difference of the denoised from the full-dose slices, HU.
        baseline_rmse_hu: That of the low-dose slices: what doing nothing gives.
        psnr_db: Peak signal-to-noise ratio of images that are clipped to the window of the
            settings, whose width is the data range: 10 log10(width^2 / mean squared difference).
        loss: The loss that is trained, a mean over the slices.
        dice: Mean over the classes (without background) that the reference shows; None without
            labels, or if it shows none.
        class_dice: Dice of class 1, 2, ... over the pixels of all slices; None where the reference
            does not show the class: whatever is labelled so is wrong then, and 0 would say no more
            of one pixel than of a thousand. Empty without labels.
        panels: Pictures of the first slices of this process; see `pictures.panel`.
    """

    rmse_hu: float
    baseline_rmse_hu: float
    psnr_db: float
    loss: float
    dice: float | None = None
    class_dice: tuple[float | None, ...] = ()
    panels: tuple[Gray, ...] = field(default=(), compare=False, repr=False)


class Validator:
    """Measures a network on the same few slices every time.

    Padding does not count. Layers run in float32, so that the figure is about the weights. Several
    processes share the slices out and sum up what they find.

    Args:
        slices: At least one.
        hu_range: The network's scale.
        device: Where the network is.
        loss: The loss that is trained.
        settings: Window and pictures.
        peers: The processes that measure together.
    """

    def __init__(
        self,
        slices: Sequence[ValidationSlice],
        hu_range: HuRange,
        device: torch.device,
        loss: Loss,
        settings: ValidationSettings,
        peers: Peers = ALONE,
    ) -> None:
        self.slices = tuple(slices)
        self.hu_range = hu_range
        self.scale = ToNetworkScale(hu_range, device)
        self.loss = loss
        self.window_hu = (settings.window_low_hu, settings.window_high_hu)
        self.pictures = settings.pictures
        self.peers = peers
        differences = [
            np.subtract(item.low, item.full, dtype=np.float64)[item.counted] for item in self.slices
        ]
        self.pixels = sum(difference.size for difference in differences)
        squared = sum(float(np.square(difference).sum()) for difference in differences)
        self.baseline_rmse_hu = float(np.sqrt(squared / max(1, self.pixels)))

    @torch.no_grad()
    def measure(self, network: DenoisingNetwork) -> Measured:
        """Denoise every slice and compare; the network comes back in the mode that it was in.

        Every process must measure, with equal weights. The running statistics of batch
        normalisations become their mean over the processes.
        """
        self.peers.even_out(network)
        with predicting(network):
            return self._measured(network)

    def _measured(self, network: DenoisingNetwork) -> Measured:
        sums = torch.zeros(3, dtype=torch.float64)  # of squares, of those in the window, of losses
        overlaps: list[Tensor] = []
        panels: list[Gray] = []
        for item in self.slices[self.peers.rank :: self.peers.world]:
            target = self._target(item)
            prediction = network(self._seen(item, target))
            hu = self.hu_range.to_hu(prediction.image[0, 0]).cpu().numpy()
            inside = item.counted
            pair = hu[inside].astype(np.float64), item.full[inside].astype(np.float64)
            clipped = [np.clip(image, *self.window_hu) for image in pair]
            loss = float(self.loss(prediction, target).total)
            sums += torch.tensor([_squares(*pair), _squares(*clipped), loss], dtype=torch.float64)
            if prediction.logits is not None and item.labels is not None:
                overlaps.append(_overlap(prediction.logits[0], torch.from_numpy(item.labels)))
            if len(panels) < self.pictures.slices:
                panels.append(self._panel(item, hu))
        squared, in_window, losses = self.peers.summed(sums).tolist()
        pixels, width_hu = max(1, self.pixels), self.window_hu[1] - self.window_hu[0]
        class_dice = self._class_dice(overlaps)
        shown = [dice for dice in class_dice if dice is not None]
        return Measured(
            rmse_hu=math.sqrt(squared / pixels),
            baseline_rmse_hu=self.baseline_rmse_hu,
            psnr_db=_decibels(width_hu**2 * pixels, in_window),
            loss=losses / len(self.slices),
            dice=sum(shown) / len(shown) if shown else None,
            class_dice=class_dice,
            panels=tuple(panels),
        )

    def _seen(self, item: ValidationSlice, target: Target) -> Tensor:
        """What the network is given, [1, channel, y, x]."""
        beside = item.beside
        low = self.scale.scaled(item.low[None]) if target.low is None else target.low
        others = None if beside is None else self.scale.scaled(beside).transpose(0, 1)
        return seen_by_network(low, others, target.noise)

    def _target(self, item: ValidationSlice) -> Target:
        labels, noise = item.labels, item.noise
        return Target(
            self.scale.scaled(item.full[None]),
            None if labels is None else self.scale.moved(labels[None]).long(),
            self.scale.scaled(item.low[None]),
            None if noise is None else self.scale.noise(noise[None]),
            weight=None if item.weight is None else self.scale.moved(item.weight[None])[:, None],
        )

    def _panel(self, item: ValidationSlice, hu: npt.NDArray[np.float32]) -> Gray:
        difference_hu = self.pictures.difference_hu
        return panel(item.low, hu, item.full, window_hu=self.window_hu, difference_hu=difference_hu)

    def _class_dice(self, overlaps: Sequence[Tensor]) -> tuple[float | None, ...]:
        """Over the slices of all processes; whether there are labels is the same in each."""
        tables = [item.labels for item in self.slices if item.labels is not None]
        if not tables:
            return ()
        # A process without a slice does not know how many classes there are.
        classes = self.peers.largest(len(overlaps[0]) if overlaps else 0)
        total = torch.zeros(classes, 3, dtype=torch.int64)
        for overlap in overlaps:
            total += overlap
        return _dice_of(self.peers.summed(total))


def choose_slices(
    ranges: Sequence[SliceRange],
    settings: ValidationSettings,
    *,
    tables: dict[str, ClassTable] | None = None,
    multiple_of: int = 1,
    with_noise: bool = False,
    slices: int = 1,
) -> tuple[ValidationSlice, ...]:
    """The slices to measure: spread evenly, low doses in turn, the centre only.

    Args:
        ranges: The held-out slices.
        settings: How many, how much of each.
        tables: Class of each label, by folder; None where labels are not used.
        multiple_of: What the network asks sizes to be a multiple of.
        with_noise: Measure the noise that each slice has more than its full-dose twin, which the
            reference shows, too.
        slices: Neighbouring slices that the network sees at once.
    """
    chosen = []
    for number, (part, z) in enumerate(places(ranges, settings.slices)):
        arrays = part.files.open()
        window = (
            z,
            centre(part.files.shape[1], settings.crop, multiple_of),
            centre(part.files.shape[2], settings.crop, multiple_of),
        )
        labels = None
        if tables is not None and arrays.labels is not None:
            labels = tables[str(part.files.folder)][arrays.labels[window]]
        low = arrays.low[number % len(arrays.low)]
        noise = None
        if with_noise:
            along_mm = part.files.geometry.along_normal_mm()
            spacing = part.files.pixel_spacing_mm
            noise = noise_beyond(low, arrays.full, z, spacing, along_mm)[window[1:]]
        chosen.append(
            ValidationSlice(
                np.array(low[window]),
                np.array(arrays.full[window]),
                labels,
                noise,
                beside=_beside(low, part, window, slices // 2),
            )
        )
    return tuple(chosen)


def _beside(
    low: StoredArray, part: SliceRange, window: tuple[int, slice, slice], reach: int
) -> StoredArray | None:
    """The low dose of a window in the slices before and after, of the held-out ones alone."""
    if not reach:
        return None
    z, rows, columns = window
    own = part.files.geometry.select(slice(part.start, part.stop))
    around = neighbour_indices(own, reach)[z - part.start] + part.start
    others = np.delete(around, reach).tolist()
    return np.array([low[(other, rows, columns)] for other in others])


def places(ranges: Sequence[SliceRange], wanted: int) -> Iterator[tuple[SliceRange, int]]:
    """Slices spread evenly over some ranges: the range, and the slice of its series.

    Args:
        ranges: At least one.
        wanted: How many; fewer where there are fewer.
    """
    slices_before = np.cumsum([part.slices for part in ranges])
    total = int(slices_before[-1])
    count = min(wanted, total)
    for number in range(count):
        place = (2 * number + 1) * total // (2 * count)
        index = int(np.searchsorted(slices_before, place, side="right"))
        part = ranges[index]
        yield part, part.start + place - int(slices_before[index] - part.slices)


def centre(size: int, crop: int | None, multiple_of: int) -> slice:
    """The middle of an axis.

    Args:
        size: Of the axis, pixels.
        crop: Pixels to keep at most; None for all.
        multiple_of: What their number must be a multiple of.
    """
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


def _dice_of(overlap: Tensor) -> tuple[float | None, ...]:
    """Dice of each class above background; None where the reference does not show it."""
    return tuple(
        2 * both / (predicted + reference) if reference else None
        for both, predicted, reference in overlap[1:].tolist()
    )


def _squares(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return float(np.square(one - other).sum())


def _decibels(signal: float, error: float) -> float:
    """Ratio in decibels; not a number where the error is none, infinite where there is no error."""
    if not math.isfinite(error):
        return math.nan
    return 10.0 * math.log10(signal / error) if error > 0 else math.inf

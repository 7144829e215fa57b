"""Random changes of patches that need arithmetic: their scale and their Hounsfield units.

Full and low dose go through the same change, so what is learnt from them stays the noise.

A patch of another scale is interpolated with the cubic kernel of Keys ("Cubic convolution
interpolation for digital image processing", IEEE Trans. ASSP 29(6):1153, 1981, a = -1/2), which
comes near to what a reconstruction on another grid of pixels would give: noise loses little of its
strength, while linear interpolation would smooth it. Its texture changes with the scale, as it does
with the field of view of a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.units import AIR_HU


@dataclass(frozen=True, slots=True, eq=False)
class PatchChanges:
    """What is done to the patches of a batch; every array is float64 [batch].

    Args:
        size: Edge of the patches that come out, pixels.
        scale: How much larger everything appears; None for no change.
        gain: Factor of the attenuation over that of air: air stays what it is.
        offset_hu: What is added afterwards.
    """

    size: int
    scale: DoubleArray | None
    gain: DoubleArray
    offset_hu: DoubleArray


class PatchImages(NamedTuple):
    """Patches before they are brought to the scale of a network.

    Args:
        full: Full dose, HU, float32 [batch, y, x].
        low: Low dose, like `full`.
        labels: Class of each pixel, [batch, y, x], or None.
        noise: Standard deviation of the noise of `low`, HU, like it, or None.
        weight: How much each pixel counts, like it; None for all alike.
        beside: The low dose in neighbouring slices, [batch, slice, y, x], or None.
    """

    full: Tensor
    low: Tensor
    labels: Tensor | None
    noise: Tensor | None
    weight: Tensor | None = None
    beside: Tensor | None = None


def changed(images: PatchImages, changes: PatchChanges) -> PatchImages:
    """Patches after their changes; labels are taken from the nearest pixel.

    The stated noise follows what interpolation and gain make of the difference of the doses.

    Args:
        images: Patches, with a margin where the scale changes (`PatchSettings.window`).
        changes: Of as many patches.
    """
    gain, offset = (_column(each, images.full) for each in (changes.gain, changes.offset_hu))
    if changes.scale is not None:
        images = _scaled(images, _column(changes.scale, images.full)[:, 0], changes.size)
    full, low = ((each - AIR_HU) * gain + (AIR_HU + offset) for each in (images.full, images.low))
    noise = None if images.noise is None else images.noise * gain
    beside = images.beside
    if beside is not None:
        beside = (beside - AIR_HU) * gain[:, None] + (AIR_HU + offset[:, None])
    return PatchImages(full, low, images.labels, noise, images.weight, beside)


def _column(values: DoubleArray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like)[:, None, None]


def _scaled(images: PatchImages, scale: Tensor, size: int) -> PatchImages:
    """Patches of other scales, cut to `size`; `scale` is [batch, 1]."""
    pixels = images.full.shape[-1]
    steps = torch.arange(size, dtype=torch.float32, device=scale.device) - (size - 1) / 2
    places = (pixels - 1) / 2 + steps / scale  # [batch, size]
    full, low = cubic(images.full, places), cubic(images.low, places)
    labels = None if images.labels is None else nearest(images.labels, places)
    noise = images.noise
    if noise is not None:
        before = nearest(images.low - images.full, places).square().mean(dim=(1, 2))
        after = (low - full).square().mean(dim=(1, 2))
        kept = torch.where(before > 0, after / before.clamp_min(1e-12), 1.0).sqrt()
        noise = cubic(noise, places).clamp_min(0.0) * kept[:, None, None]
    weight = None if images.weight is None else nearest(images.weight, places)
    beside = images.beside
    if beside is not None:
        count = beside.shape[1]
        flat = cubic(beside.flatten(0, 1), places.repeat_interleave(count, dim=0))
        beside = flat.reshape(-1, count, *flat.shape[1:])
    return PatchImages(full, low, labels, noise, weight, beside)


def nearest(images: Tensor, places: Tensor) -> Tensor:
    """Pixels nearest to some places of square patches.

    Args:
        images: [batch, y, x].
        places: Along rows and along columns alike, pixels, [batch, place].
    """
    index = places.round().long().clamp(0, images.shape[-1] - 1)
    patch = torch.arange(len(images), device=images.device)[:, None, None]
    return images[patch, index[:, :, None], index[:, None, :]]


def cubic(images: Tensor, places: Tensor) -> Tensor:
    """Square patches interpolated at some places, by Keys' cubic kernel.

    Args:
        images: float32 [batch, y, x]; beyond an edge they are as at the edge.
        places: Along rows and along columns alike, pixels, [batch, place].
    """
    first = places.floor()
    part = (places - first)[:, :, None]
    index = first.long()
    weights = (
        ((-0.5 * part + 1.0) * part - 0.5) * part,
        (1.5 * part - 2.5) * part * part + 1.0,
        ((-1.5 * part + 2.0) * part + 0.5) * part,
        (0.5 * part - 0.5) * part * part,
    )
    count = images.shape[1]
    start = count * torch.arange(len(images), device=images.device)[:, None]
    lines = [(start + (index + tap).clamp(0, count - 1)).reshape(-1) for tap in (-1, 0, 1, 2)]
    for _ in range(2):  # along the rows, then along the columns
        flat = images.reshape(-1, images.shape[2])
        total = torch.zeros(*places.shape, images.shape[2], device=images.device)
        for weight, line in zip(weights, lines, strict=True):
            total.addcmul_(weight, flat.index_select(0, line).view_as(total))
        images = total.transpose(1, 2)
    return images

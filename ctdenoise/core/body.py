"""Where the patient is in a slice: not the air, not the table."""

from __future__ import annotations

import numpy as np

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.regions import connected_regions, grown, shrunk
from ctdenoise.core.units import AIR_HU

SKIN_HU = -300.0
"""What is denser belongs to a body or a table; fat (-100) and skin do, foam and blankets do not."""

OPEN_AIR_HU = -950.0
"""Blocks below this are room air rather than lung (-900 to -700)."""

OPEN_AIR_FRACTION = 0.3
"""A region at the image edge with at least this part of open air is the room; with less, it is lung
that the edge of a small field of view cuts. The room also holds table, foam and blankets, so its
mean says little."""

SECOND_BODY_FRACTION = 0.2
"""Regions of at least this part of the largest one belong to the body, too: the other leg."""

_COARSE_PIXELS = 128

_BRIDGE_BLOCKS = 12
"""How far a chest wall too thin for the opening is followed to close the ring around the lung."""


def body_mask(hu: HuArray, padding: BoolArray | None = None) -> BoolArray:
    """The body in each slice, lungs and bowel gas included, table and air excluded.

    Found on block means (about 128 blocks across, so that noise and thin table shells average
    out): threshold, opening by one block, the largest region, thin walls bridged, holes filled,
    opening once more. The outline is then sharpened at full resolution with the same threshold.

    Args:
        hu: Hounsfield units, indexed [z, y, x] or [y, x].
        padding: True outside the reconstruction circle, indexed like `hu`; never part of the body.

    Returns:
        A mask indexed like `hu`. A slice without a body is all False.
    """
    if hu.ndim == 2:
        return _body_in_slice(hu, padding)
    mask = np.zeros(hu.shape, dtype=np.bool_)
    for index, image in enumerate(hu):
        mask[index] = _body_in_slice(image, None if padding is None else padding[index])
    return mask


def _body_in_slice(image: HuArray, padding: BoolArray | None) -> BoolArray:
    if padding is not None:
        image = np.where(padding, np.float32(AIR_HU), image)
    block = max(1, min(image.shape) // _COARSE_PIXELS)
    means = _block_means(image, block)
    dense = means > SKIN_HU
    solid = _bridged(_largest(_opened(dense)), dense)
    coarse = _largest(_opened(_with_enclosed_air(solid, means)))
    if not coarse.any():
        return np.zeros(image.shape, dtype=np.bool_)
    inner = _enlarged(shrunk(coarse), block, image.shape)
    outer = _enlarged(grown(coarse), block, image.shape)
    body: BoolArray = inner | (outer & (image > SKIN_HU))
    if padding is not None:
        body &= ~padding
    return body


def _block_means(image: HuArray, block: int) -> HuArray:
    """Means of square blocks; the last row and column of blocks may repeat edge pixels."""
    if block == 1:
        return image
    rows, columns = image.shape
    missing = (-rows % block, -columns % block)
    if any(missing):
        image = np.pad(image, ((0, missing[0]), (0, missing[1])), mode="edge")
    rows, columns = image.shape
    blocks = image.reshape(rows // block, block, columns // block, block)
    means: HuArray = blocks.sum(axis=1).sum(axis=2) / np.float32(block * block)
    return means


def _enlarged(coarse: BoolArray, block: int, shape: tuple[int, ...]) -> BoolArray:
    fine = np.repeat(np.repeat(coarse, block, axis=0), block, axis=1)
    return fine[: shape[0], : shape[1]]


def _opened(mask: BoolArray) -> BoolArray:
    return grown(shrunk(mask)) & mask


def _bridged(solid: BoolArray, dense: BoolArray) -> BoolArray:
    """The solid parts and the thin ones that lead on from them."""
    for _ in range(_BRIDGE_BLOCKS):
        solid = grown(solid) & dense
    return solid


def _largest(mask: BoolArray) -> BoolArray:
    regions = connected_regions(mask)
    if regions.count == 0:
        return mask
    areas = regions.areas.copy()
    areas[0] = 0
    chosen = areas >= SECOND_BODY_FRACTION * areas.max()
    chosen[0] = False
    kept: BoolArray = chosen[regions.labels]
    return kept


def _with_enclosed_air(mask: BoolArray, means: HuArray) -> BoolArray:
    """The mask with its holes, and with lung that the image edge cuts."""
    if not mask.any():
        return mask
    outside = connected_regions(~mask)
    air = np.bincount(outside.labels[means < OPEN_AIR_HU], minlength=len(outside.areas))
    is_room = outside.touches_border & (air >= OPEN_AIR_FRACTION * outside.areas)
    enclosed = ~is_room
    enclosed[0] = True
    filled: BoolArray = enclosed[outside.labels]
    return filled

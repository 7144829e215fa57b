"""Slices cut into tiles and put together again, without seams.

A network with a known receptive field computes each pixel from its neighbourhood only. So a tile
that overlaps its neighbours by the radius of that field (the halo), and of which only the inside is
kept, gives the pixels of the whole slice, exact to rounding. Blending overlapping tiles instead
leaves seams of several HU; it is used only for networks whose every output may depend on every
input.

MONAI supplies the machinery: `PatchInferer` with a splitter and a merger of our own, and
`SlidingWindowInferer` for blending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from monai.inferers.inferer import PatchInferer, SlidingWindowInferer
from monai.inferers.merger import Merger
from monai.inferers.splitter import Splitter
from torch import Tensor

from ctdenoise.errors import SettingsError
from ctdenoise.networks.prediction import Constraints

BLEND_OVERLAP = 0.5
"""Overlap of blended tiles: at 0.5 the seams of a Gaussian blend are about 1 HU at most."""

Predict = Callable[[Tensor], Tensor]
"""A batch [batch, channel, y, x] to images [batch, 1, y, x] of the same y and x."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How slices are cut.

    Args:
        size: Tile size along (y, x), pixels, halo included.
        halo: Pixels that are computed and thrown away at every inner edge; None to blend.
        batch: Tiles computed together.
    """

    size: tuple[int, int]
    halo: int | None
    batch: int = 1


def smallest_tile(constraints: Constraints) -> int:
    """The least edge of a tile that keeps some of its pixels, and that the network accepts."""
    halo = _halo(constraints) or 0
    step = constraints.multiple_of
    return _up(max(2 * halo + step, constraints.smallest_input), step)


def plan_tiles(
    shape: tuple[int, int], constraints: Constraints, *, edge: int, batch: int = 1
) -> Tiling:
    """Tiles for slices of a shape.

    Args:
        shape: Size of the slices along (y, x), already a multiple of what the network asks for.
        constraints: What the network asks for.
        edge: Wanted edge of the tiles, halo included; made smaller to fit slice and network.
        batch: Tiles computed together.

    Raises:
        SettingsError: If tiles of this size would keep nothing.
    """
    least = smallest_tile(constraints)
    step = constraints.multiple_of
    whole = edge // step * step
    if whole < least:
        raise SettingsError(
            f"Tiles of {edge} pixels are too small: this network needs {least}.",
            where="tile",
            fix=f"Set tile to {least} or more (256 is a good size), or leave it out.",
        )
    size = (min(whole, shape[0]), min(whole, shape[1]))
    return Tiling(size, _halo(constraints), batch)


def predict_in_tiles(scaled: Tensor, predict: Predict, tiling: Tiling) -> Tensor:
    """The prediction for whole slices, computed tile by tile.

    Args:
        scaled: Slices in network scale, [batch, channel, y, x].
        predict: The network.
        tiling: How to cut; the size must fit inside the slices.
    """
    inferer = (
        SlidingWindowInferer(
            roi_size=tiling.size,
            sw_batch_size=tiling.batch,
            overlap=BLEND_OVERLAP,
            mode="gaussian",
        )
        if tiling.halo is None
        else PatchInferer(
            splitter=HaloSplitter(tiling.size, tiling.halo),
            merger_cls=InsideMerger,
            batch_size=tiling.batch,
            halo=tiling.halo,
        )
    )
    image: Tensor = inferer(scaled, predict)
    return image


class HaloSplitter(Splitter):  # type: ignore[misc]  # MONAI's classes are untyped
    """Tiles that overlap by two halos; the last one along an axis is moved in to fit.

    Args:
        size: Tile size along (y, x), halo included.
        halo: Pixels at each inner edge that the merger throws away.
    """

    def __init__(self, size: tuple[int, int], halo: int) -> None:
        super().__init__(patch_size=size)
        self._size = size
        self._halo = halo

    def get_input_shape(self, inputs: Tensor) -> tuple[int, ...]:
        """Spatial size of the slices."""
        return tuple(inputs.shape[2:])

    def get_padded_shape(self, inputs: Tensor) -> tuple[int, ...]:
        """The same: tiles never reach over the edge."""
        return tuple(inputs.shape[2:])

    def __call__(self, inputs: Tensor) -> Iterator[tuple[Tensor, tuple[int, int]]]:
        """Each tile [batch, channel, y, x] with the place of its first pixel."""
        height, width = self._size
        for top in _starts(inputs.shape[2], height, self._halo):
            for left in _starts(inputs.shape[3], width, self._halo):
                yield inputs[..., top : top + height, left : left + width], (top, left)


class InsideMerger(Merger):  # type: ignore[misc]  # MONAI's classes are untyped
    """Keeps the inside of each tile; at the edge of the slice there is no halo to throw away.

    Args:
        merged_shape: Shape of the result, [batch, channel, y, x].
        cropped_shape: Shape after padding is removed; tiles need none, so it is the same.
        halo: Pixels to throw away at each inner edge.
    """

    def __init__(
        self,
        merged_shape: Sequence[int],
        cropped_shape: Sequence[int] | None = None,
        *,
        halo: int,
    ) -> None:
        super().__init__(merged_shape=merged_shape, cropped_shape=cropped_shape)
        self._halo = halo
        self._merged: Tensor | None = None

    def aggregate(self, values: Tensor, location: Sequence[int]) -> None:
        """Put the inside of a tile into its place.

        Args:
            values: The prediction for the tile, [batch, channel, y, x].
            location: Row and column of its first pixel.
        """
        if self._merged is None:
            self._merged = torch.empty(self.merged_shape, dtype=values.dtype, device=values.device)
        inside = [
            slice(halo_before, size - halo_after)
            for size, halo_before, halo_after in (
                self._kept(axis, values.shape[axis + 2], location[axis]) for axis in (0, 1)
            )
        ]
        place = [
            slice(start + part.start, start + part.stop)
            for start, part in zip(location, inside, strict=True)
        ]
        self._merged[..., place[0], place[1]] = values[..., inside[0], inside[1]]

    def finalize(self) -> Tensor:
        """The slices, whole."""
        if self._merged is None:
            return torch.empty(self.merged_shape)
        return self._merged

    def _kept(self, axis: int, size: int, start: int) -> tuple[int, int, int]:
        at_end = start + size == self.merged_shape[axis + 2]
        return size, 0 if start == 0 else self._halo, 0 if at_end else self._halo


def _starts(length: int, size: int, halo: int) -> list[int]:
    """First pixel of each tile along an axis, so that the insides cover it."""
    step = size - 2 * halo
    return [*range(0, length - size, step), length - size] if length > size else [0]


def _halo(constraints: Constraints) -> int | None:
    radius = constraints.receptive_field_radius
    return None if radius is None else _up(radius, constraints.multiple_of)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step

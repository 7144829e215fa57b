"""Connected regions of a 2-D mask, by runs of pixels: numpy only, a few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import BoolArray

_Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The 4-connected regions of a mask.

    Args:
        labels: Number of the region of each pixel, from 1; 0 outside the mask. Indexed [y, x].
        areas: Pixels of each region; entry 0 counts the pixels outside the mask.
        touches_border: Whether each region has a pixel on the edge of the image; entry 0 is False.
    """

    labels: _Indices
    areas: _Indices
    touches_border: BoolArray

    @property
    def count(self) -> int:
        """Number of regions."""
        return len(self.areas) - 1


def connected_regions(mask: BoolArray) -> Regions:
    """Label the 4-connected regions of a mask.

    Runs of pixels along the rows are the nodes of a graph, runs that overlap in neighbouring rows
    its edges; the smallest number is handed along the edges, with pointer jumping, until nothing
    changes. The work after the first pass grows with the number of runs, not of pixels.

    Args:
        mask: Indexed [y, x].
    """
    if not mask.any():
        return _outside_only(mask)
    first = mask.copy()
    first[:, 1:] &= ~mask[:, :-1]
    runs = np.cumsum(first.ravel()).reshape(mask.shape)  # run of each pixel of the mask, from 1
    both = mask[1:] & mask[:-1]
    opening = both.copy()
    opening[:, 1:] &= ~(both[:, :-1])
    owner = _smallest_in_component(int(runs[-1, -1]), runs[:-1][opening] - 1, runs[1:][opening] - 1)
    _, compact = np.unique(owner, return_inverse=True)
    number = np.concatenate([np.zeros(1, np.intp), compact.ravel() + 1])
    labels = np.where(mask, number[runs], 0)
    areas = np.bincount(labels.ravel())
    touches = np.zeros(len(areas), dtype=np.bool_)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touches[edge] = True
    touches[0] = False
    return Regions(labels, areas, touches)


def _outside_only(mask: BoolArray) -> Regions:
    labels = np.zeros(mask.shape, dtype=np.intp)
    return Regions(labels, np.array([mask.size]), np.zeros(1, dtype=np.bool_))


def _smallest_in_component(nodes: int, one: _Indices, other: _Indices) -> _Indices:
    """The smallest node number of the component of each node of a graph."""
    owner = np.arange(nodes)
    while True:
        before = owner.copy()
        low = np.minimum(owner[one], owner[other])
        # Hook the owners themselves, not only the nodes, so that whole trees move at once.
        np.minimum.at(owner, before[one], low)
        np.minimum.at(owner, before[other], low)
        owner = owner[owner]
        if np.array_equal(owner, before):
            return owner


def without_holes(mask: BoolArray) -> BoolArray:
    """The mask with everything that it encloses; what reaches the image edge is not enclosed.

    Args:
        mask: Indexed [y, x].
    """
    outside = connected_regions(~mask)
    filled: BoolArray = mask | ((outside.labels > 0) & ~outside.touches_border[outside.labels])
    return filled


def grown(mask: BoolArray, steps: int = 1) -> BoolArray:
    """The mask grown by its four neighbours, `steps` times.

    Args:
        mask: Indexed [y, x].
        steps: How often.
    """
    for _ in range(steps):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def shrunk(mask: BoolArray, steps: int = 1) -> BoolArray:
    """The mask shrunk by its four neighbours, `steps` times; the image edge does not shrink it.

    Args:
        mask: Indexed [y, x].
        steps: How often.
    """
    return ~grown(~mask, steps)

"""A part of a scan outside of which not a bit is changed: a box of pixels, or a label map."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.errors import UsageError
from ctdenoise.io.image_labels import LabelReader

EDGE_PIXELS = 3
"""Pixels inside the edge of a region, in its slice, over which the change grows to all of it."""

_BOX = re.compile(r"\s*(\d*):(\d*)\s*,\s*(\d*):(\d*)\s*,\s*(\d*):(\d*)\s*")


class Region(Protocol):
    """Where a scan may be changed.

    The contract: `weights` are 0 outside, and above 0 and at most 1 inside.
    """

    @property
    def words(self) -> str:
        """What it is, for the history: the pixels of a box, the digest of a label map. No path."""
        ...

    @property
    def slices(self) -> int:
        """How many slices it touches."""
        ...

    def touches(self, place: int) -> bool:
        """Whether any pixel of a slice is inside.

        Args:
            place: Where in the scan the slice is.
        """
        ...

    def weights(self, place: int) -> FloatArray:
        """Which part of the change is made at each pixel of a slice, float32 [y, x].

        Args:
            place: Where in the scan the slice is.
        """
        ...


@dataclass(frozen=True, slots=True)
class BoxRegion:
    """A box of pixels.

    Args:
        low: First pixel along [z, y, x].
        high: First pixel that is no longer inside.
        shape: Of the scan, [z, y, x].
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    shape: tuple[int, int, int]

    @property
    def words(self) -> str:
        """Its pixels along each axis."""
        spans = zip("zyx", self.low, self.high, strict=True)
        named = [f"{axis} {low}:{high}" for axis, low, high in spans]
        return f"box {' '.join(reversed(named))}"

    @property
    def slices(self) -> int:
        """How many slices it touches."""
        return self.high[0] - self.low[0]

    def touches(self, place: int) -> bool:
        """Whether a slice is inside; see `Region`.

        Args:
            place: Where in the scan the slice is.
        """
        return self.low[0] <= place < self.high[0]

    def weights(self, place: int) -> FloatArray:
        """Which part of the change is made; see `Region`.

        Args:
            place: Where in the scan the slice is.
        """
        if not self.touches(place):
            return np.zeros(self.shape[1:], dtype=np.float32)
        return _box_weights(self)


@lru_cache(maxsize=2)
def _box_weights(box: BoxRegion) -> FloatArray:
    inside = np.zeros(box.shape[1:], dtype=np.bool_)
    inside[box.low[1] : box.high[1], box.low[2] : box.high[2]] = True
    return softened(inside)


class LabelRegion:
    """Every voxel of a label map that is not background.

    Args:
        labels: An open label map on the grid of the scan; it is read once as a whole.
        slices: Of the scan.

    Raises:
        StudyError: If it is damaged, or holds anything but whole numbers from 0 to 255.
        UsageError: If it is empty.
    """

    def __init__(self, labels: LabelReader, slices: int) -> None:
        self._labels = labels
        self._lock = Lock()  # blocks for a GPU come from several threads, and the file is one
        found = hashlib.sha256()
        touched = []
        for place in range(slices):
            inside = self._inside(place)
            found.update(np.packbits(inside).tobytes())
            touched.append(bool(inside.any()))
        self._touched = tuple(touched)
        self.words = f"labels {found.hexdigest()[:16]}"
        if not any(touched):
            raise UsageError(
                "no voxel of the label map is inside: all of it is 0.",
                where="--roi",
                fix="Give a map in which the region has any other number, or leave --roi out.",
            )

    @property
    def slices(self) -> int:
        """How many slices it touches."""
        return sum(self._touched)

    def touches(self, place: int) -> bool:
        """Whether any pixel of a slice is inside; see `Region`.

        Args:
            place: Where in the scan the slice is.
        """
        return self._touched[place]

    def weights(self, place: int) -> FloatArray:
        """Which part of the change is made; see `Region`.

        Args:
            place: Where in the scan the slice is.
        """
        return softened(self._inside(place))

    def _inside(self, place: int) -> BoolArray:
        with self._lock:
            inside: BoolArray = self._labels.read(slice(place, place + 1))[0] > 0
        return inside


def softened(inside: BoolArray) -> FloatArray:
    """1 deep inside, and growing from the edge, which is no edge where it is that of the image.

    Args:
        inside: [y, x].
    """
    if inside.all():
        return np.ones(inside.shape, dtype=np.float32)
    depth = ndimage.distance_transform_edt(inside)
    weights: FloatArray = np.minimum(depth / (EDGE_PIXELS + 1), 1.0).astype(np.float32)
    return weights


@contextmanager
def open_region(text: str, geometry: Geometry) -> Iterator[Region]:
    """The region that a user means; a label map stays open until the end.

    Args:
        text: `x0:x1,y0:y1,z0:z1`, pixels from 0, the last one not included and everything up to the
            edge where a number is left out; or the path of a label map on the grid of the scan.
        geometry: Grid of the scan.

    Raises:
        UsageError: If it is neither, a box is empty or reaches out of the scan, or no voxel is
            inside.
        StudyError: If a label map cannot be read.
        GeometryError: If it lies on another grid.
    """
    box = _BOX.fullmatch(text)
    if box is not None:
        yield _box_of(box, geometry.shape)
        return
    if not Path(text).is_file():
        raise UsageError(
            "this is neither a box of pixels nor a file.",
            where="--roi",
            fix="Give x0:x1,y0:y1,z0:z1, or a label map (NIfTI, MetaImage, NRRD) on the grid of "
            "the scan.",
        )
    with LabelReader(text, geometry) as labels:
        yield LabelRegion(labels, geometry.slices)


def _box_of(box: re.Match[str], shape: tuple[int, int, int]) -> BoxRegion:
    ends = box.groups()
    low = [int(text or 0) for text in ends[::2]][::-1]
    high = [int(text) if text else n for text, n in zip(ends[1::2], shape[::-1], strict=True)][::-1]
    wrong = [
        f"{axis} {first}:{last} (there are {size})"
        for axis, first, last, size in zip("zyx", low, high, shape, strict=True)
        if not first < last <= size
    ]
    if wrong:
        raise UsageError(
            f"the box is empty or reaches out of the scan: {', '.join(reversed(wrong))}.",
            where="--roi",
            fix="Give x0:x1,y0:y1,z0:z1 in pixels from 0, such as 100:300,120:320,0:20.",
        )
    (z0, y0, x0), (z1, y1, x1) = low, high
    return BoxRegion((z0, y0, x0), (z1, y1, x1), shape)

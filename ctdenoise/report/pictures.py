"""Slices as pictures: native pixels, fixed windows, no interpolation."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray, LabelArray
from ctdenoise.core.geometry import Geometry

CLASS_COLOURS = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (213, 94, 0),
        (204, 121, 167),
        (0, 114, 178),
    ],
    dtype=np.uint8,
)
"""Colours of the classes, in turn, that most people can tell apart (Okabe and Ito, 2008)."""

MARGIN_MM = 12.0
"""Air around the body that pictures show."""


@dataclass(frozen=True, slots=True)
class Display:
    """A display window.

    Args:
        name: As it stands in file names.
        title: For people.
        level_hu: Centre.
        width_hu: Width.
    """

    name: str
    title: str
    level_hu: float
    width_hu: float

    @property
    def text(self) -> str:
        """The window as radiologists write it: W 400 / L 40."""
        return f"W {self.width_hu:g} / L {self.level_hu:g}".replace("-", "\N{MINUS SIGN}")


SOFT = Display("soft", "Soft tissue", 40.0, 400.0)
LUNG = Display("lung", "Lung", -600.0, 1500.0)
BONE = Display("bone", "Bone", 480.0, 2500.0)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of pixels.

    Args:
        rows: First row and the row after the last.
        columns: First column and the column after the last.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def index(self) -> tuple[slice, slice]:
        """For indexing [y, x]."""
        return slice(*self.rows), slice(*self.columns)

    def aspect(self, pixel_spacing_mm: tuple[float, float]) -> float:
        """Width over height in millimetres."""
        height = (self.rows[1] - self.rows[0]) * pixel_spacing_mm[0]
        width = (self.columns[1] - self.columns[0]) * pixel_spacing_mm[1]
        return width / height


def body_region(body: BoolArray, geometry: Geometry) -> Region:
    """The rectangle around the body with a margin; the whole slice where there is no body.

    Args:
        body: Indexed [y, x].
        geometry: Gives the pixel spacing.
    """
    if not body.any():
        return Region((0, body.shape[0]), (0, body.shape[1]))
    ranges = []
    for axis in (0, 1):
        margin = round(MARGIN_MM / geometry.pixel_spacing_mm[axis])
        found = np.flatnonzero(body.any(axis=1 - axis))
        low = max(0, int(found[0]) - margin)
        ranges.append((low, min(body.shape[axis], int(found[-1]) + 1 + margin)))
    return Region(ranges[0], ranges[1])


def central_region(body: BoolArray, geometry: Geometry, side_mm: float) -> Region:
    """A square around the centre of the body, as much of it as lies in the slice.

    Args:
        body: Indexed [y, x].
        geometry: Gives the pixel spacing.
        side_mm: Side of the square.
    """
    ranges = []
    for axis in (0, 1):
        size = min(body.shape[axis], max(8, round(side_mm / geometry.pixel_spacing_mm[axis])))
        found = np.flatnonzero(body.any(axis=1 - axis))
        centre = (found[0] + found[-1]) / 2 if found.size else body.shape[axis] / 2
        low = int(np.clip(round(centre - size / 2), 0, body.shape[axis] - size))
        ranges.append((low, low + size))
    return Region(ranges[0], ranges[1])


def in_display(image: HuArray, display: Display) -> npt.NDArray[np.uint8]:
    """HU as grey levels 0 to 255 of a display window; any shape."""
    low = display.level_hu - display.width_hu / 2
    return _grey((image.astype(np.float64) - low) / display.width_hu)


def difference_in_grey(reference: HuArray, test: HuArray, limit_hu: float) -> npt.NDArray[np.uint8]:
    """Test minus reference as grey levels: 0 for -limit, 255 for +limit, mid-grey for none."""
    difference = test.astype(np.float64) - reference
    return _grey((difference + limit_hu) / (2 * limit_hu))


def outlined(grey: npt.NDArray[np.uint8], labels: LabelArray) -> npt.NDArray[np.uint8]:
    """A picture with the border pixels of every class in a colour of its own, [y, x, 3].

    Args:
        grey: Grey levels, [y, x].
        labels: Class of each pixel, 0 is background, [y, x].
    """
    around = np.pad(labels, 1, mode="edge")
    shifts = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    border = (labels > 0) & np.logical_or.reduce([labels != shift for shift in shifts])
    picture = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    picture[border] = CLASS_COLOURS[(labels[border] - 1) % len(CLASS_COLOURS)]
    return picture


def write_picture(path: Path, grey: npt.NDArray[np.uint8]) -> str:
    """Write a picture as a PNG file and return it as a data URI for the page.

    Args:
        path: The PNG file.
        grey: Grey levels, indexed [y, x], or red, green and blue, [y, x, 3].
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG", optimize=True)
    path.write_bytes(buffer.getvalue())
    return data_uri(buffer.getvalue())


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _grey(scaled: DoubleArray) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)

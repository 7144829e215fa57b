"""A contact sheet: slices of every series of a study on one page, turned as one reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.orientation import letters, normal_axis
from ctdenoise.core.volume import CTVolume
from ctdenoise.report.pictures import Display, in_display

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

GreyArray = npt.NDArray[np.uint8]
"""Grey levels 0 to 255, indexed [y, x]."""

_COLUMNS = 6
_TILE = 256  # pixels of the longer side of the largest slice
_GAP, _MARGIN = 8, 24
_TITLE_PX, _TEXT_PX, _SMALL_PX = 20, 14, 13
_PAPER, _INK, _FAINT, _MARK = (18, 24, 30), (238, 243, 247), (150, 162, 172), (255, 214, 102)
_SCALES_MM = (500, 200, 100, 50, 20, 10, 5, 2, 1)
_LONGEST_SCALE = 0.4
"""The scale bar takes at most this part of a slice's width."""

_RIGHT = ((0, 1, 0), (1, 0, 0), (1, 0, 0))
_DOWN = ((0, 0, -1), (0, 0, -1), (0, 1, 0))
"""What pictures of sagittal, coronal and axial slices show to the right and below: the patient's
back or left, and the feet or back, as if one looked from the feet or from the front."""


@dataclass(frozen=True, slots=True, eq=False)
class SheetRow:
    """Slices of one series.

    Args:
        title: What it is; no names of patients.
        caption: A second line in smaller letters.
        sample: The slices to show; None where there is nothing to show, only the text.
    """

    title: str
    caption: str
    sample: CTVolume | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """How stored slices are turned to be looked at.

    Args:
        is_transposed, flips_rows, flips_columns: In this order.
        right, down: Directions of the patient frame on the page.
        right_mm, down_mm: Distance between pixels on the page.
    """

    is_transposed: bool
    flips_rows: bool
    flips_columns: bool
    right: tuple[float, ...]
    down: tuple[float, ...]
    right_mm: float
    down_mm: float

    def of(self, image: GreyArray) -> GreyArray:
        """A slice as it is shown."""
        shown = image.T if self.is_transposed else image
        shown = shown[::-1] if self.flips_rows else shown
        return shown[:, ::-1] if self.flips_columns else shown


def write_contact_sheet(path: Path, rows: Sequence[SheetRow], *, display: Display) -> None:
    """Draw the slices of each series in the usual orientation, with letters, positions and a scale.

    Args:
        path: The PNG file.
        rows: The series, in the order to show them.
        display: Display window.
    """
    from PIL import Image, ImageDraw

    heights = [_height(row) for row in rows]
    width = 2 * _MARGIN + _COLUMNS * _TILE + (_COLUMNS - 1) * _GAP
    page = Image.new("RGB", (width, 2 * _MARGIN + sum(heights)), _PAPER)
    draw = ImageDraw.Draw(page)
    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        _draw_row(page, draw, row, top, display)
        top += height
    page.save(path, format="PNG", optimize=True)


def _heading_height(row: SheetRow) -> int:
    return _TITLE_PX + 6 + (_TEXT_PX + 6 if row.caption else 0) + 4


def _height(row: SheetRow) -> int:
    if row.sample is None:
        return _heading_height(row) + 2 * _GAP
    lines = -(-len(row.sample.hu) // _COLUMNS)
    tile_height = _tile_size(row.sample.geometry)[1] + _SMALL_PX + 8
    return _heading_height(row) + lines * (tile_height + _GAP) + 2 * _GAP


def _draw_row(page: Image, draw: ImageDraw, row: SheetRow, top: int, display: Display) -> None:
    draw.text((_MARGIN, top), row.title, fill=_INK, font=_font(_TITLE_PX, bold=True))
    if row.caption:
        below = top + _TITLE_PX + 6
        draw.text((_MARGIN, below), row.caption, fill=_FAINT, font=_font(_TEXT_PX))
    if row.sample is None:
        return
    geometry = row.sample.geometry
    view, size = _view(geometry), _tile_size(geometry)
    axis = normal_axis(geometry)
    centres = _centres_mm(geometry)
    for index, image in enumerate(row.sample.hu):
        line, column = divmod(index, _COLUMNS)
        left = _MARGIN + column * (_TILE + _GAP)
        above = top + _heading_height(row) + line * (size[1] + _SMALL_PX + 8 + _GAP)
        _draw_tile(page, draw, view.of(in_display(image, display)), (left, above), size)
        _draw_letters(draw, view, (left, above), size)
        place = f"{'xyz'[axis]} = {centres[index, axis]:.1f} mm".replace("-", "\N{MINUS SIGN}")
        draw.text((left, above + size[1] + 4), place, fill=_FAINT, font=_font(_SMALL_PX))
    _draw_scale(draw, view, geometry, (_MARGIN, top + _heading_height(row)), size)


def _draw_tile(
    page: Image, draw: ImageDraw, grey: GreyArray, place: tuple[int, int], size: tuple[int, int]
) -> None:
    from PIL import Image as Pictures

    picture = Pictures.fromarray(np.ascontiguousarray(grey))
    page.paste(picture.resize(size, Pictures.Resampling.LANCZOS), place)
    edge = (place[0] - 1, place[1] - 1, place[0] + size[0], place[1] + size[1])
    draw.rectangle(edge, outline=(54, 66, 76))


def _draw_letters(
    draw: ImageDraw, view: _View, place: tuple[int, int], size: tuple[int, int]
) -> None:
    left, top = place
    middle, centre = top + size[1] / 2, left + size[0] / 2
    opposite = [tuple(-value for value in way) for way in (view.right, view.down)]
    for text, spot, anchor in (
        (letters(opposite[0]), (left + 4, middle), "lm"),
        (letters(view.right), (left + size[0] - 4, middle), "rm"),
        (letters(opposite[1]), (centre, top + 3), "ma"),
        (letters(view.down), (centre, top + size[1] - 3), "md"),
    ):
        font = _font(_SMALL_PX)
        draw.text(
            spot, text, fill=_MARK, font=font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0)
        )


def _draw_scale(
    draw: ImageDraw, view: _View, geometry: Geometry, place: tuple[int, int], size: tuple[int, int]
) -> None:
    """A bar of a round length in the lower left corner of the first slice."""
    columns = geometry.rows if view.is_transposed else geometry.columns
    pixels_per_mm = size[0] / (columns * view.right_mm)
    fitting = [mm for mm in _SCALES_MM if mm * pixels_per_mm <= _LONGEST_SCALE * size[0]]
    if not fitting:
        return
    length = fitting[0] * pixels_per_mm
    left, below = place[0] + 8, place[1] + size[1] - 10
    draw.line((left, below, left + length, below), fill=_MARK, width=3)
    text = f"{fitting[0]} mm"
    draw.text(
        (left, below - 4),
        text,
        fill=_MARK,
        font=_font(_SMALL_PX),
        anchor="ld",
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )


def _tile_size(geometry: Geometry) -> tuple[int, int]:
    """Width and height of a slice on the page; the longer side is _TILE."""
    view = _view(geometry)
    rows, columns = geometry.rows, geometry.columns
    if view.is_transposed:
        rows, columns = columns, rows
    width_mm, height_mm = columns * view.right_mm, rows * view.down_mm
    scale = _TILE / max(width_mm, height_mm)
    return max(8, round(width_mm * scale)), max(8, round(height_mm * scale))


def _centres_mm(geometry: Geometry) -> DoubleArray:
    """Centre of each slice in the patient frame, [slice, 3]."""
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    along_row = np.array(geometry.row_direction) * columns_mm * (geometry.columns - 1) / 2
    along_column = np.array(geometry.column_direction) * rows_mm * (geometry.rows - 1) / 2
    return np.asarray(geometry.positions_mm + along_row + along_column)


def _view(geometry: Geometry) -> _View:
    """Slices turned by whole quarters and mirrored until they lie as one usually sees them."""
    axis = normal_axis(geometry)
    row, column = np.array(geometry.row_direction), np.array(geometry.column_direction)
    right, down = np.array(_RIGHT[axis]), np.array(_DOWN[axis])
    is_transposed = bool(abs(row @ right) < abs(column @ right))
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    across, along = (column, row) if is_transposed else (row, column)
    right_mm, down_mm = (rows_mm, columns_mm) if is_transposed else (columns_mm, rows_mm)
    flips_columns, flips_rows = bool(across @ right < 0), bool(along @ down < 0)
    across, along = across * (-1 if flips_columns else 1), along * (-1 if flips_rows else 1)
    return _View(
        is_transposed,
        flips_rows,
        flips_columns,
        right=tuple(float(value) for value in across),
        down=tuple(float(value) for value in along),
        right_mm=right_mm,
        down_mm=down_mm,
    )


def _font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has every sign that is needed."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)

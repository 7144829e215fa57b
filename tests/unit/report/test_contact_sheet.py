"""Contact sheets: the usual view, the right aspect, the right letters."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.report import contact_sheet
from ctdenoise.report.contact_sheet import SheetRow, write_contact_sheet
from ctdenoise.report.pictures import SOFT

pytest.importorskip("matplotlib")

ALONG = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1)}
ALONG["F"] = (0, 0, -1)


def volume(row: str, column: str, spacing_mm=(1.0, 1.0), marked=(2, 3)) -> CTVolume:
    """One slice of 24 rows and 40 columns of air with one bright pixel block."""
    hu = np.full((1, 24, 40), -1000, np.float32)
    hu[0, marked[0] * 4 : marked[0] * 4 + 4, marked[1] * 4 : marked[1] * 4 + 4] = 1000
    geometry = Geometry(24, 40, spacing_mm, ALONG[row], ALONG[column], np.zeros((1, 3)))
    return CTVolume(hu, geometry)


def bright_place(path) -> tuple[float, float]:
    """Centre of the white block in the first tile, as parts of its width and height."""
    from PIL import Image

    page = np.asarray(Image.open(path).convert("L")).astype(int)
    dark = page == 0
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    tile = page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    y, x = np.nonzero(tile == 255)
    return float(x.mean() / tile.shape[1]), float(y.mean() / tile.shape[0])


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ("L", "P", (0.35, 0.42)),  # as stored
        ("R", "P", (0.65, 0.42)),  # mirrored, so that left is on the right
        ("L", "A", (0.35, 0.58)),
        ("P", "L", (0.42, 0.35)),  # turned over the diagonal
    ],
)
def test_slices_are_turned_to_the_usual_view(tmp_path, monkeypatch, row, column, expected):
    monkeypatch.setattr(contact_sheet, "_draw_letters", lambda *_: None)
    monkeypatch.setattr(contact_sheet, "_draw_scale", lambda *_: None)
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, [SheetRow("", "", volume(row, column))], display=SOFT)
    assert bright_place(path) == pytest.approx(expected, abs=0.02)


def test_pixels_that_are_no_squares_keep_their_shape():
    size = contact_sheet._tile_size(volume("L", "F", spacing_mm=(5.0, 1.5)).geometry)
    assert size[0] / size[1] == pytest.approx(40 * 1.5 / (24 * 5.0), rel=0.02)


def test_unreadable_series_are_named_without_pictures(tmp_path):
    from PIL import Image

    path = tmp_path / "sheet.png"
    write_contact_sheet(path, [SheetRow("1 scout", "no CT images")], display=SOFT)
    with Image.open(path) as page:
        assert page.size[1] < 150

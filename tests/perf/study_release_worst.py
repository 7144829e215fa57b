"""The worst places of a released model, found by the program, as pictures.

Three measures of `evaluate --study scan` are asked, on real series at a quarter and a tenth of the
dose: where the difference from the full dose stands out most from that around it
(`structured_places`), which spot of what was removed stands out most from noise
(`removed_features`), and in which slice the mean of a tissue moved most (`tissue_drift`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.units import AIR_HU
from ctdenoise.metrics.removed_features import removed_features
from ctdenoise.metrics.structured_difference import structured_places
from ctdenoise.metrics.tissue_drift import BACKGROUND, tissue_drift
from tests.perf.study_release_measures import Case, Method

ERROR, REMOVED, DRIFT = "structured error", "removed spot", "tissue drift"

SHOWN = {ERROR: 2, REMOVED: 2, DRIFT: 1}
"""How many of each are shown: each of another series."""

CROP_MM = 90.0
PANEL = 300
"""Pixels along each side of a panel."""

GREYS = 48
"""Levels of grey of a picture, which keeps it small."""

DIFFERENCE_HU = 100.0
"""Half the window of differences."""

SOFT_WINDOW, LUNG_WINDOW = (-160.0, 240.0), (-1350.0, 150.0)

_LUNG_BELOW_HU = -300.0
_FEWEST_CELLS = 150.0  # of 1.5 mm: a tissue of less has no drift


@dataclass(frozen=True, slots=True)
class Worst:
    """A place where a model does badly.

    Args:
        measure: What found it.
        size: By how much, in the unit of the measure.
        hu: The same in HU.
        tissue: That moved; empty for places.
        source: Series.
        kernel: Of the pair.
        dose: Of the twin.
        slice_number: Of the pair, from 0.
        row: Of the middle, pixels; None for the whole slice.
        column: As the row.
        picture: File name.
    """

    measure: str
    size: float
    hu: float
    tissue: str
    source: str
    kernel: str
    dose: float
    slice_number: int
    row: int | None
    column: int | None
    picture: str = ""


def find_worst(
    cases: Iterator[Case], model: Method, strength: float, pictures: Path, file: Path
) -> None:
    """Find the worst places of a model, and draw them.

    Args:
        cases: Twins.
        model: Which.
        strength: As it is recommended.
        pictures: Folder of the pictures.
        file: What was found, JSON.
    """
    found: list[Worst] = []
    images: dict[tuple[str, int], list[FloatArray]] = {}
    spacing: dict[str, tuple[float, float]] = {}
    for case in cases:
        spacing[case.name] = case.pair.low.geometry.pixel_spacing_mm
        for number, panels in enumerate(_slices(case, model, strength)):
            here = list(_places(case, number, panels))
            found = _most(found, here)
            images[case.name, number] = panels
        kept = {(_case_name(one), one.slice_number) for one in found}
        images = {key: value for key, value in images.items() if key in kept}
    shown = []
    for number, one in enumerate(found, start=1):
        name = f"models_{model.name}_worst_{number}.png"
        panels = images[_case_name(one), one.slice_number]
        _draw(pictures / name, panels, one, spacing[_case_name(one)])
        shown.append(replace(one, picture=name))
        print(asdict(shown[-1]), flush=True)
    file.write_text(json.dumps([asdict(one) for one in shown], indent=1), encoding="utf-8")


def _case_name(one: Worst) -> str:
    return f"{one.source}-{one.kernel}-{one.dose:g}"


def _slices(case: Case, model: Method, strength: float) -> Iterator[list[FloatArray]]:
    """Low dose, result and full dose of each slice, air at padding, HU."""
    low, full = case.pair.low, case.pair.full
    result = low.hu + strength * (model.denoiser(case.source, None)(low).hu - low.hu)
    for number in range(low.shape[0]):
        panels = [np.array(each[number], np.float32) for each in (low.hu, result, full.hu)]
        if full.padding is not None:
            for panel in panels:
                panel[full.padding[number]] = AIR_HU
        yield panels


def _places(case: Case, number: int, panels: Sequence[FloatArray]) -> Iterator[Worst]:
    """The worst place by each measure in a slice."""
    before, after, reference = panels
    body: BoolArray = case.body[number]
    spacing = case.pair.low.geometry.pixel_spacing_mm
    common = (case.source, case.kernel, case.dose, number)
    for place in structured_places(
        after - reference, body, place=number, pixel_spacing_mm=spacing, most=1
    ):
        yield Worst(ERROR, place.ratio, place.excess_hu, "", *common, place.row, place.column)
    for spot in removed_features(before - after, body, place=number, pixel_spacing_mm=spacing):
        yield Worst(REMOVED, abs(spot.deviations), spot.mean_hu, "", *common, spot.row, spot.column)
    inside = np.ones_like(body)
    for tissue, sums in tissue_drift(before, after, body, inside, pixel_spacing_mm=spacing).items():
        ratio = sums.sums
        if tissue != BACKGROUND and ratio.denominator >= _FEWEST_CELLS:
            drift = -ratio.numerator / ratio.denominator
            yield Worst(DRIFT, abs(drift), drift, tissue, *common, None, None)


def _most(found: Sequence[Worst], others: Sequence[Worst]) -> list[Worst]:
    """The largest of each measure, each of another series."""
    kept: list[Worst] = []
    for measure, count in SHOWN.items():
        some = sorted(
            (one for one in (*found, *others) if one.measure == measure), key=lambda one: -one.size
        )
        of_series = {one.source: one for one in reversed(some)}
        kept += sorted(of_series.values(), key=lambda one: -one.size)[:count]
    return kept


def _draw(
    path: Path, panels: Sequence[FloatArray], one: Worst, spacing_mm: tuple[float, float]
) -> None:
    """Input, result, full dose and the difference of the last two."""
    low, high = SOFT_WINDOW
    parts = [*panels, panels[1] - panels[2]]
    if one.row is not None and one.column is not None:
        half = [round(CROP_MM / 2 / each) for each in spacing_mm]
        at = [
            int(np.clip(middle, reach, size - reach))
            for middle, reach, size in zip(
                (one.row, one.column), half, panels[0].shape, strict=True
            )
        ]
        cut = tuple(slice(a - reach, a + reach) for a, reach in zip(at, half, strict=True))
        parts = [part[cut] for part in parts]
        middle = panels[2][one.row - 3 : one.row + 4, one.column - 3 : one.column + 4]
        if middle.mean() < _LUNG_BELOW_HU:
            low, high = LUNG_WINDOW
    windows = [(low, high)] * 3 + [(-DIFFERENCE_HU, DIFFERENCE_HU)]
    whole = Image.new("L", (4 * PANEL + 18, PANEL + 16), 255)
    draw = ImageDraw.Draw(whole)
    names = (f"{one.dose * 100:g} % dose", "result", "full dose", "result - full dose")
    for number, (part, (least, most), name) in enumerate(zip(parts, windows, names, strict=True)):
        grey = np.clip((part - least) / (most - least), 0, 1) * (GREYS - 1)
        image = Image.fromarray((np.round(grey) * (255 / (GREYS - 1))).astype(np.uint8))
        kind = Image.Resampling.NEAREST if one.row is not None else Image.Resampling.BOX
        whole.paste(image.resize((PANEL, PANEL), kind), (number * (PANEL + 6), 16))
        draw.text((number * (PANEL + 6) + 2, 2), name, fill=0)
        if one.row is not None and one.column is not None:
            _mark(draw, number, one, cut, part.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(GREYS + 8).save(path, optimize=True)


def _mark(
    draw: ImageDraw.ImageDraw,
    number: int,
    one: Worst,
    cut: tuple[slice, ...],
    shape: tuple[int, ...],
) -> None:
    """Corners around the place, a centimetre from it."""
    y, x = (
        (place - part.start) * PANEL / size
        for place, part, size in zip((one.row, one.column), cut, shape, strict=True)
    )
    reach = 10 / CROP_MM * PANEL
    left, top = number * (PANEL + 6) + x, 16 + y
    for across in (-1, 1):
        for down in (-1, 1):
            corner = (left + across * reach, top + down * reach)
            draw.line([corner, (corner[0] - across * 8, corner[1])], fill=255)
            draw.line([corner, (corner[0], corner[1] - down * 8)], fill=255)

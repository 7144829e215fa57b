"""The report: one page that works offline, with every number and how it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.evaluation import EvaluateSettings, PageSettings
from ctdenoise.config.load import settings_text
from ctdenoise.core.arrays import BoolArray, HuArray, LabelArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.metrics.local_noise import KERNEL_MM, local_sd_hu
from ctdenoise.metrics.table import Evaluation, number_text, unit_of
from ctdenoise.report.charts import Chart
from ctdenoise.report.figures import write_charts
from ctdenoise.report.pictures import (
    LUNG,
    SOFT,
    Display,
    Region,
    body_region,
    central_region,
    difference_in_grey,
    in_display,
    outlined,
    write_picture,
)
from ctdenoise.report.rendering import rendered
from ctdenoise.report.requirements import require_report_extra
from ctdenoise.report.summary import conventions, summary_groups

PAGE_FILE = "index.html"
PICTURES_FOLDER = "pictures"

LUNG_FRACTION = 0.05
"""Slices with at least this part of the body below -500 HU are shown in the lung window, too."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One test and how it compares.

    Args:
        name: What to call it on the page; names no patient.
        evaluation: Its numbers.
    """

    name: str
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class ShownSlice:
    """One slice of all images.

    Args:
        index: Which one, from 0.
        title: Why it is shown.
        reference: HU [y, x].
        tests: The same slice of each test.
        body: Body of the reference.
        padding: Pixels that are padding in any image; None for none.
        labels: Class of each pixel of the reference, then of each test; empty without masks.
    """

    index: int
    title: str
    reference: HuArray
    tests: tuple[HuArray, ...]
    body: BoolArray
    padding: BoolArray | None = None
    labels: tuple[LabelArray, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PageContent:
    """Everything the page shows.

    Args:
        reference: The reference without its voxels.
        shown: Slices to show.
        tests: The tests, in the order of the columns.
        settings: How they were compared.
        page: What the page shows.
        command: The command that makes the page again, without names of files.
        versions: Versions of the program and its libraries.
        made: When, ISO 8601.
    """

    reference: Scan
    shown: tuple[ShownSlice, ...]
    tests: tuple[Compared, ...]
    settings: EvaluateSettings
    page: PageSettings
    command: str
    versions: dict[str, JsonValue]
    made: str


def write_page(folder: Path, content: PageContent) -> Path:
    """Write `index.html` with its pictures inside, and the pictures once more as PNG files.

    Args:
        folder: An existing folder, usually a staged one.
        content: What the page shows.

    Returns:
        The page.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    require_report_extra()
    pictures = folder / PICTURES_FOLDER
    pictures.mkdir()
    tests = [(test.name, test.evaluation) for test in content.tests]
    text = rendered(
        "page.html",
        names=[test.name for test in content.tests],
        facts=_facts(content.reference),
        cards=[_card(test) for test in content.tests],
        remark=_noise_remark(content.tests[0].evaluation),
        groups=summary_groups([evaluation for _, evaluation in tests]),
        views=[_view(content, pictures, one) for one in content.shown],
        charts=write_charts(pictures, tests, difference_hu=content.page.difference_hu),
        slices=_slice_tables(content.tests),
        conventions=list(conventions([evaluation for _, evaluation in tests]).values()),
        difference_hu=f"{content.page.difference_hu:g}",
        settings_text=settings_text(content.settings),
        command=content.command,
        versions=content.versions,
        made=content.made,
    )
    path = folder / PAGE_FILE
    path.write_text(text, encoding="utf-8")
    return path


def _facts(reference: Scan) -> list[tuple[str, str]]:
    """What was compared, in words that name no patient."""
    geometry, acquisition = reference.geometry, reference.acquisition
    spacing = geometry.pixel_spacing_mm
    facts = [
        ("Slices", f"{geometry.slices}"),
        ("Matrix", f"{geometry.rows} \N{MULTIPLICATION SIGN} {geometry.columns}"),
        ("Pixel", f"{spacing[0]:.3f} \N{MULTIPLICATION SIGN} {spacing[1]:.3f} mm"),
    ]
    if geometry.slice_spacing_mm is not None:
        facts.append(("Slice spacing", f"{geometry.slice_spacing_mm:.2f} mm"))
    if acquisition.slice_thickness_mm is not None:
        facts.append(("Slice thickness", f"{acquisition.slice_thickness_mm:g} mm"))
    scanner = " ".join(
        word for word in (acquisition.manufacturer, acquisition.manufacturer_model_name) if word
    )
    if scanner:
        facts.append(("Scanner", scanner))
    if acquisition.kvp is not None:
        facts.append(("Tube voltage", f"{acquisition.kvp:g} kV"))
    if acquisition.convolution_kernel:
        facts.append(("Kernel", acquisition.convolution_kernel))
    return facts


@dataclass(frozen=True, slots=True)
class _Card:
    """The three numbers to read first."""

    name: str
    figures: tuple[tuple[str, str, str], ...]


def _card(test: Compared) -> _Card:
    wanted = (
        ("rmse", "RMSE"),
        ("noise_test", "noise"),
        ("bias_soft", "bias, soft tissue"),
        ("mask_dice", "Dice of the masks"),
    )
    found = {metric.key: metric for metric in test.evaluation.metrics}
    figures = tuple(
        (label, found[key].text, found[key].unit) for key, label in wanted if key in found
    )
    return _Card(test.name, figures)


def _noise_remark(evaluation: Evaluation) -> str:
    """What the noise of the reference means for the numbers."""
    noise = evaluation["noise_reference"]
    if not noise.value:
        return ""
    return (
        f"The reference itself holds noise of {noise.text} HU. A test without any noise would "
        "still differ from it by about that much: RMSE, PSNR and SSIM cannot reach their ideals."
    )


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture in a grid; `uri` is empty for a cell that holds the legend."""

    uri: str
    aspect: float
    alt: str
    label: str = ""
    figure: str = ""


@dataclass(frozen=True, slots=True)
class _Strip:
    """A row of pictures, the reference first."""

    title: str
    kind: str
    pictures: tuple[_Picture, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """Everything shown of one slice."""

    title: str
    strips: tuple[_Strip, ...]


def _view(content: PageContent, folder: Path, shown: ShownSlice) -> _View:
    body, geometry = shown.body, content.reference.geometry
    whole = body_region(body, geometry)
    crop = central_region(body, geometry, content.page.crop_mm)
    strips = [
        _strip(content, folder, shown, SOFT, whole),
        _difference_strip(content, folder, shown, whole),
        _strip(content, folder, shown, SOFT, crop, crop_mm=content.page.crop_mm),
    ]
    if shown.labels:
        strips.insert(1, _strip(content, folder, shown, SOFT, whole, with_masks=True))
    inside = shown.reference[body]
    if inside.size and np.mean(inside < -500) >= LUNG_FRACTION:
        strips.insert(2, _strip(content, folder, shown, LUNG, whole))
    if inside.size:
        strips.append(_noise_strip(content, folder, shown, whole))
    title = f"{shown.title} (slice {shown.index + 1} of {geometry.slices})"
    return _View(title, tuple(strips))


def _images(content: PageContent, shown: ShownSlice) -> list[tuple[str, HuArray]]:
    names = [test.name for test in content.tests]
    return [("Reference", shown.reference), *zip(names, shown.tests, strict=True)]


def _strip(
    content: PageContent,
    folder: Path,
    shown: ShownSlice,
    display: Display,
    region: Region,
    crop_mm: float | None = None,
    *,
    with_masks: bool = False,
) -> _Strip:
    part = "_masks" if with_masks else "" if crop_mm is None else "_enlarged"
    title = f"{display.title}, {display.text}"
    if crop_mm is not None:
        title = f"Centre enlarged, {crop_mm:g} mm wide, {display.text}"
    elif with_masks:
        title = f"Masks, {display.text}"
    aspect = region.aspect(content.reference.geometry.pixel_spacing_mm)
    pictures = []
    for number, (name, image) in enumerate(_images(content, shown)):
        path = folder / f"slice{shown.index + 1}_{display.name}{part}_{number}.png"
        picture = in_display(image[region.index], display)
        if with_masks:
            picture = outlined(picture, shown.labels[number][region.index])
        uri = write_picture(path, picture)
        pictures.append(_Picture(uri, aspect, f"{name}: {title}", name))
    return _Strip(title, "image" if crop_mm is None else "crop", tuple(pictures))


def _difference_strip(
    content: PageContent, folder: Path, shown: ShownSlice, region: Region
) -> _Strip:
    limit = content.page.difference_hu
    (_, reference), *tests = _images(content, shown)
    aspect = region.aspect(content.reference.geometry.pixel_spacing_mm)
    pictures = [_Picture("", aspect, "")]
    for number, (name, image) in enumerate(tests, start=1):
        grey = difference_in_grey(reference, image, limit)
        if shown.padding is not None:
            grey[shown.padding] = 128
        path = folder / f"slice{shown.index + 1}_difference_{number}.png"
        uri = write_picture(path, grey[region.index])
        rmse = content.tests[number - 1].evaluation.slices.columns["rmse"][shown.index]
        label = f"{name} \N{MINUS SIGN} reference"
        alt = f"Difference of {name} and the reference"
        pictures.append(_Picture(uri, aspect, alt, label, f"RMSE {number_text(rmse, 'HU')} HU"))
    return _Strip("Difference", "difference", tuple(pictures))


def _noise_strip(content: PageContent, folder: Path, shown: ShownSlice, region: Region) -> _Strip:
    """Maps of the local noise, all in one range: up to twice the median of the noisiest image."""
    geometry = content.reference.geometry
    maps = [
        local_sd_hu(
            image,
            shown.padding,
            pixel_spacing_mm=geometry.pixel_spacing_mm,
            window_mm=KERNEL_MM,
        )
        for _, image in _images(content, shown)
    ]
    medians = [float(np.median(one[shown.body])) for one in maps]
    most = max(5.0, 5.0 * round(2 * max(medians) / 5))
    display = Display("noise", "Noise map", most / 2, most)
    title = (
        f"Noise map: standard deviation over {KERNEL_MM:g} mm, 0 to {most:g} HU; edges show, too"
    )
    aspect = region.aspect(geometry.pixel_spacing_mm)
    pictures = []
    for number, (name, _) in enumerate(_images(content, shown)):
        path = folder / f"slice{shown.index + 1}_noise_{number}.png"
        uri = write_picture(path, in_display(maps[number][region.index], display))
        figure = f"median {number_text(medians[number], 'HU')} HU"
        pictures.append(_Picture(uri, aspect, f"{name}: noise map", name, figure))
    return _Strip(title, "image", tuple(pictures))


def _slice_tables(tests: Sequence[Compared]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Name, headings and rows of the per-slice figures of each test."""
    tables = []
    for test in tests:
        rows = list(test.evaluation.slices.rows())
        headings = list(rows[0])
        texts = [
            [str(row["slice"]), *(_text(row[key], unit_of(key)) for key in headings[1:])]
            for row in rows
        ]
        tables.append((test.name, headings, texts))
    return tables


def _text(value: JsonValue, unit: str) -> str:
    return number_text(value if isinstance(value, int | float) else None, unit)


__all__ = [
    "PAGE_FILE",
    "PICTURES_FOLDER",
    "Chart",
    "Compared",
    "PageContent",
    "ShownSlice",
    "write_page",
]

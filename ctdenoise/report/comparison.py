"""The page of a comparison: one file that works offline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.comparison import CompareSettings, ComparisonPageSettings
from ctdenoise.config.load import settings_text
from ctdenoise.core.arrays import HuArray
from ctdenoise.io.runfile import installed_versions
from ctdenoise.report.compared import Comparison, Contender, Picture
from ctdenoise.report.comparison_charts import comparison_charts
from ctdenoise.report.comparison_table import conventions_of, interval_methods, table_of
from ctdenoise.report.page import PAGE_FILE, PICTURES_FOLDER
from ctdenoise.report.pictures import (
    LUNG,
    SOFT,
    Display,
    Region,
    body_region,
    central_region,
    difference_in_grey,
    in_display,
    write_picture,
)
from ctdenoise.report.rendering import rendered
from ctdenoise.report.requirements import require_report_extra

_VERSIONS = ("ctdenoise", "numpy", "scipy", "scikit-image", "torch", "matplotlib")
_MIDDLE_GREY = 128


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonPage:
    """Everything the page shows.

    Args:
        comparison: What was found.
        pictures: Slices to show.
        settings: How it was measured.
        page: What the page shows.
        command: The command that makes it again, without names of files.
        made: When, ISO 8601.
    """

    comparison: Comparison
    pictures: tuple[Picture, ...]
    settings: CompareSettings
    page: ComparisonPageSettings
    command: str
    made: str


def write_comparison_page(folder: Path, content: ComparisonPage) -> Path:
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
    comparison = content.comparison
    text = rendered(
        "comparison.html",
        title=comparison.title,
        warnings=_warnings(comparison),
        facts=_facts(comparison),
        tables=[table_of(comparison, one, content.settings) for one in comparison.conditions],
        budgets=[_budget(n, row) for n, row in enumerate(comparison.contenders) if n],
        charts=comparison_charts(pictures, comparison, content.settings),
        views=list(_views(content, pictures)),
        timing=_timing(comparison),
        conventions=conventions_of(comparison),
        level=f"{100 * content.settings.statistics.level:g} %",
        intervals="; ".join(interval_methods(comparison)),
        difference_hu=f"{content.page.difference_hu:g}",
        settings_text=settings_text(content.settings),
        command=content.command,
        versions=installed_versions(_VERSIONS),
        made=content.made,
    )
    path = folder / PAGE_FILE
    path.write_text(text, encoding="utf-8")
    return path


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    images = comparison.images
    doses = dict.fromkeys(f"{100 * image.dose_fraction:g} %" for image in images)
    return [
        ("Networks", f"{len(comparison.contenders) - 1}"),
        ("Test patients", f"{len({image.patient for image in images})}"),
        ("Test images", f"{len(images)}"),
        ("Slices", f"{sum(len(image.slices) for image in images)}"),
        ("Doses", ", ".join(doses)),
    ]


def _warnings(comparison: Comparison) -> dict[str, list[str]]:
    """Every warning once, with the names of the rows that it is about."""
    found: dict[str, list[str]] = {}
    for row in comparison.contenders:
        for warning in row.warnings:
            found.setdefault(warning, []).append(row.name)
    return found


@dataclass(frozen=True, slots=True)
class _Budget:
    """What a network costs and was trained with, in words."""

    number: int
    row: Contender
    cells: tuple[str, ...]


def _budget(number: int, row: Contender) -> _Budget:
    training, times = row.training, row.times
    doses = training.doses
    dash = "\N{EN DASH}"
    return _Budget(
        number,
        row,
        (
            row.network,
            _count(row.parameters),
            dash if row.operations is None else f"{row.operations / 1e9:,.1f}",
            dash if times is None else f"{times.median_s:.3g}",
            dash if times is None else f"{times.median_processor_s:.3g}",
            _count(training.steps),
            _count(training.best_step),
            _count(training.patches),
            dash if training.patch_size is None else f"{training.patch_size}",
            dash if training.seconds is None else f"{training.seconds:,.0f}",
            dash
            if doses is None
            else " to ".join(f"{100 * dose:g} %" for dose in dict.fromkeys(doses)),
        ),
    )


def _count(value: int | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,}"


def _timing(comparison: Comparison) -> str:
    times = [row.times for row in comparison.contenders if row.times is not None]
    if not times:
        return ""
    count, threads = len(times[0].seconds), times[0].threads
    return (
        f"Seconds per slice: median of {count} slice{'s' if count != 1 else ''} of the test images"
        f"{' without the first one' if count > 1 else ''}, {times[0].engine}, {threads} "
        f"thread{'s' if threads != 1 else ''}; by the clock, and as the processors spent it, which "
        "is less where other programs were busy. Measuring the noise, for a network that is told "
        "it, is shared out among the slices; reading and writing files is not counted. Operations "
        "are multiplications with an addition for a slice of 512 x 512 pixels."
    )


@dataclass(frozen=True, slots=True)
class _Tile:
    """A picture in a grid."""

    uri: str
    aspect: float
    alt: str
    label: str


@dataclass(frozen=True, slots=True)
class _Strip:
    """Pictures of one kind."""

    title: str
    kind: str
    tiles: tuple[_Tile, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """Everything shown of one slice."""

    title: str
    strips: tuple[_Strip, ...]


def _views(content: ComparisonPage, folder: Path) -> Iterator[_View]:
    for place, picture in enumerate(content.pictures, start=1):
        image = picture.image
        title = f"{image.name}, slice {picture.number}, {100 * image.dose_fraction:g} % dose"
        crop = central_region(picture.body, picture.geometry, content.page.crop_mm)
        whole = body_region(picture.body, picture.geometry)
        inside = picture.full[picture.body]
        display = LUNG if inside.size and np.median(inside) < LUNG.level_hu + 300 else SOFT
        stem = f"image{place}"
        strips = (
            _strip(content, picture, folder / f"{stem}_enlarged", (display, crop)),
            _strip(content, picture, folder / f"{stem}_whole", (display, whole)),
            _differences(content, picture, folder / f"{stem}_difference", whole),
        )
        yield _View(title, strips)


def _labelled(content: ComparisonPage, picture: Picture) -> list[tuple[str, HuArray]]:
    """Low dose, every network, full dose."""
    names = [
        f"{number} {name}" if number else name
        for number, name in enumerate(content.comparison.names)
    ]
    last = "full dose" if picture.image.truth == "scan" else "truth"
    return [*zip(names, picture.shown, strict=True), (last, picture.full)]


def _strip(
    content: ComparisonPage, picture: Picture, stem: Path, shown: tuple[Display, Region]
) -> _Strip:
    display, region = shown
    aspect = region.aspect(picture.geometry.pixel_spacing_mm)
    enlarged = stem.name.endswith("enlarged")
    what = f"Centre, {content.page.crop_mm:g} mm wide" if enlarged else "Whole slice"
    title = f"{what}, {display.title.lower()} window {display.text}"
    tiles = []
    for number, (name, image) in enumerate(_labelled(content, picture)):
        path = stem.with_name(f"{stem.name}_{number}.png")
        uri = write_picture(path, in_display(image[region.index], display))
        tiles.append(_Tile(uri, aspect, f"{name}: {title}", name))
    return _Strip(title, "crop" if enlarged else "image", tuple(tiles))


def _differences(content: ComparisonPage, picture: Picture, stem: Path, region: Region) -> _Strip:
    limit = content.page.difference_hu
    aspect = region.aspect(picture.geometry.pixel_spacing_mm)
    *methods, (reference, _) = _labelled(content, picture)
    tiles = []
    for number, (name, image) in enumerate(methods):
        grey = difference_in_grey(picture.full, image, limit)
        if picture.padding is not None:
            grey[picture.padding] = _MIDDLE_GREY
        path = stem.with_name(f"{stem.name}_{number}.png")
        uri = write_picture(path, grey[region.index])
        label = f"{name} \N{MINUS SIGN} {reference}"
        tiles.append(_Tile(uri, aspect, f"Difference: {label}", label))
    title = f"Differences, \N{MINUS SIGN}{limit:g} (black) to +{limit:g} HU (white)"
    return _Strip(title, "image", tuple(tiles))

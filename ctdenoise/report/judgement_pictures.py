"""Pictures of a judgement: a slice before and after, the worst places, maps of noise, spectra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctdenoise.config.judgement import JudgementPageSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.report.charts import coloured
from ctdenoise.report.judgement_view import PlaceView, ScanView, SliceView
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

_LUNG_FRACTION = 0.25  # slices with more of the body below -500 HU are shown in the lung window
_MIDDLE_GREY = 128
_USUAL_DIFFERENCE_HU = 50.0  # where the noise of the input is unknown
_DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture with its words.

    Args:
        uri: Address that holds it.
        aspect: Width over height.
        label: Below it.
        alt: For those who do not see it.
    """

    uri: str
    aspect: float
    label: str
    alt: str


@dataclass(frozen=True, slots=True)
class ShownPlace:
    """A place where more than noise was removed, enlarged.

    Args:
        title: Where it is, and how far it stands out.
        pictures: Input, output and difference.
    """

    title: str
    pictures: tuple[ShownPicture, ...]


@dataclass(frozen=True, slots=True)
class ShownMaps:
    """Two pictures on one scale of colours.

    Args:
        title: Above them.
        pictures: Input and output.
        low: First value of the scale, in words.
        high: Last value of the scale, in words.
        note: Below them.
    """

    title: str
    pictures: tuple[ShownPicture, ...]
    low: str
    high: str
    note: str


@dataclass(frozen=True, slots=True)
class ShownScan:
    """All pictures of a scan.

    Args:
        title: Which slice it is, and in which window.
        slices: Input, output and difference, and the truth where there is one.
        difference: What the difference shows, in words.
        places: The worst places.
        maps: Maps of noise, and spectra.
    """

    title: str
    slices: tuple[ShownPicture, ...]
    difference: str
    places: tuple[ShownPlace, ...]
    maps: tuple[ShownMaps, ...]


def shown_scan(folder: Path, view: ScanView, settings: JudgementPageSettings) -> ShownScan:
    """Draw everything that is shown of a scan.

    Args:
        folder: Where the PNG files go.
        view: The arrays.
        settings: Ranges and sizes.
    """
    limit = _difference_hu(view, settings)
    middle, geometry = view.middle, view.geometry
    display = _display(middle)
    region = body_region(middle.body, geometry)
    title = (
        f"Slice {middle.number} of {view.slices_of_scan}, {display.title.lower()} window "
        f"({display.text})"
    )
    maps = [_noise_maps(folder, view, region)]
    if view.spectrum is not None:
        maps.append(_spectra(folder, view))
    return ShownScan(
        title,
        tuple(_triple(folder, "slice", middle, (region, display, limit), geometry)),
        f"Output \N{MINUS SIGN} input from \N{MINUS SIGN}{limit:.0f} HU (black) to +{limit:.0f} HU "
        f"(white){_noise_words(view, settings)}. Noise alone is what should be seen; outlines of "
        "anatomy mean that structure was removed.",
        tuple(
            _place(folder, number, place, settings.crop_mm, limit, geometry)
            for number, place in enumerate(view.places, start=1)
        ),
        tuple(maps),
    )


def enlarged(
    folder: Path, views: Sequence[tuple[str, ScanView]], side_mm: float
) -> Iterator[ShownPicture]:
    """The middle of one slice as every denoiser leaves it.

    Args:
        folder: Where the PNG files go.
        views: What each denoiser is called, and its pictures; all of the same slices.
        side_mm: Side of what is shown.
    """
    first = views[0][1]
    middle, geometry = first.middle, first.geometry
    region, display = central_region(middle.body, geometry, side_mm), _display(middle)
    images = [("Input", middle.before), *((name, view.middle.after) for name, view in views)]
    if middle.truth is not None:
        images.append(("Truth", middle.truth))
    aspect = region.aspect(geometry.pixel_spacing_mm)
    for number, (name, hu) in enumerate(images):
        grey = in_display(hu[region.index], display)
        uri = write_picture(folder / f"enlarged_{number}.png", grey)
        label = f"{name}, slice {middle.number}, {display.text}"
        yield ShownPicture(uri, aspect, name, label)


def _difference_hu(view: ScanView, settings: JudgementPageSettings) -> float:
    if settings.difference_hu is not None:
        return settings.difference_hu
    return max(5.0, _DEVIATIONS * view.noise_hu) if view.noise_hu else _USUAL_DIFFERENCE_HU


def _noise_words(view: ScanView, settings: JudgementPageSettings) -> str:
    fixed = settings.difference_hu is not None or not view.noise_hu
    return "" if fixed else ", three standard deviations of the noise of the input"


def _display(view: SliceView) -> Display:
    inside = view.before[view.body]
    return LUNG if inside.size and np.mean(inside < -500) > _LUNG_FRACTION else SOFT


def _triple(
    folder: Path,
    stem: str,
    view: SliceView,
    shown: tuple[Region, Display, float],
    geometry: Geometry,
) -> Iterator[ShownPicture]:
    """Input, output, difference, and the truth where there is one."""
    region, display, limit = shown
    aspect = region.aspect(geometry.pixel_spacing_mm)
    difference = difference_in_grey(view.before, view.after, limit)
    if view.padding is not None:
        difference[view.padding] = _MIDDLE_GREY
    pictures: list[tuple[str, npt.NDArray[np.uint8]]] = [
        ("Input", in_display(view.before, display)),
        ("Output", in_display(view.after, display)),
        ("Output \N{MINUS SIGN} input", difference),
    ]
    if view.truth is not None:
        pictures.append(("Truth", in_display(view.truth, display)))
    for name, grey in pictures:
        word = "difference" if "input" in name else name.lower()
        uri = write_picture(folder / f"{stem}_{word}.png", grey[region.index])
        yield ShownPicture(uri, aspect, name, f"{name}, slice {view.number}, {display.text}")


def _place(
    folder: Path,
    number: int,
    place: PlaceView,
    crop_mm: float,
    limit: float,
    geometry: Geometry,
) -> ShownPlace:
    region = _around(place, crop_mm, geometry)
    inside = place.view.before[region.index]
    display = LUNG if np.mean(inside < -500) > 0.5 else SOFT
    pictures = tuple(
        _triple(folder, f"place{number}", place.view, (region, display, limit), geometry)
    )
    title = (
        f"Slice {place.view.number}, row {place.row}, column {place.column}: "
        f"{place.ratio:.1f} times what was removed around it"
    )
    return ShownPlace(title, pictures[:3])


def _around(place: PlaceView, crop_mm: float, geometry: Geometry) -> Region:
    ranges = []
    shape = (geometry.rows, geometry.columns)
    for middle, size, spacing in zip(
        (place.row, place.column), shape, geometry.pixel_spacing_mm, strict=True
    ):
        wanted = min(size, max(8, round(crop_mm / spacing)))
        low = int(np.clip(middle - wanted // 2, 0, size - wanted))
        ranges.append((low, low + wanted))
    return Region(ranges[0], ranges[1])


def _noise_maps(folder: Path, view: ScanView, region: Region) -> ShownMaps:
    inside = view.noise_before[view.middle.body]
    high = float(np.percentile(inside, 99)) if inside.size else float(view.noise_before.max())
    aspect = region.aspect(view.geometry.pixel_spacing_mm)
    pictures = []
    for name, values in (("Input", view.noise_before), ("Output", view.noise_after)):
        shown: FloatArray = np.where(view.middle.body, values, 0).astype(np.float32)
        uri = write_picture(
            folder / f"noise_map_{name.lower()}.png", coloured(shown[region.index], 0.0, high)
        )
        pictures.append(ShownPicture(uri, aspect, name, f"Noise map, {name.lower()}"))
    return ShownMaps(
        "Noise map",
        tuple(pictures),
        "0",
        f"{high:.0f} HU",
        "Standard deviation of the noise around each pixel of the same slice.",
    )


def _spectra(folder: Path, view: ScanView) -> ShownMaps:
    spectrum = view.spectrum
    if spectrum is None:
        raise ValueError("no spectrum")
    aspect = spectrum.nyquist_per_mm[1] / spectrum.nyquist_per_mm[0]
    pictures = []
    for name, power in (("Input", spectrum.before), ("Output", spectrum.after)):
        high = float(power.max())
        uri = write_picture(folder / f"nps_2d_{name.lower()}.png", coloured(power, 0.0, high))
        label = f"{name}, to {high:.3g} HU\N{SUPERSCRIPT TWO} mm\N{SUPERSCRIPT TWO}"
        pictures.append(ShownPicture(uri, aspect, label, f"Two-dimensional spectrum, {name}"))
    return ShownMaps(
        "Noise power in two dimensions",
        tuple(pictures),
        "0",
        "maximum",
        f"Zero frequency in the middle, \N{PLUS-MINUS SIGN}{spectrum.nyquist_per_mm[1]:.2f}/mm at "
        "the edges. Each has its own scale: compare shapes. Bright lines or lobes are streaks.",
    )

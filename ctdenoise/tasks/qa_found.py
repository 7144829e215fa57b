"""What judging the scan of a phantom found, and how its figures are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.qa import PlaceSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.metrics.discs import PhantomPlace
from ctdenoise.metrics.measured import Axis, Curve, Measured
from ctdenoise.metrics.nps import PowerSums
from ctdenoise.metrics.phantom_place import found_phantom
from ctdenoise.metrics.table import Better, Metric
from ctdenoise.report.qa_picture import ShownSlice


@dataclass(frozen=True, slots=True, eq=False)
class QaFound:
    """What was found in the scan of a phantom.

    Args:
        measured: The figures.
        shown: Slices with the places where they were measured.
        remarks: What people should know, a sentence each.
    """

    measured: Measured
    shown: tuple[ShownSlice, ...]
    remarks: tuple[str, ...] = ()


def qa_metric(  # noqa: PLR0913 - one argument for each field that differs
    key: str,
    title: str,
    value: float | None,
    unit: str,
    *,
    mask: str,
    reduction: str,
    description: str,
    better: Better = "neither",
    note: str = "",
) -> Metric:
    """A figure of a phantom; none of them clips HU."""
    return Metric(
        key,
        title,
        value,
        unit,
        window="none",
        mask=mask,
        reduction=reduction,
        better=better,
        description=description,
        note=note,
    )


def slices_text(count: int) -> str:
    """A number of slices for people."""
    return "1 slice" if count == 1 else f"{count} slices"


def images(volume: CTVolume, indices: Sequence[int]) -> DoubleArray:
    """Slices of a volume, HU, float64 [slice, y, x]; what lies outside the scan is air."""
    stack = volume.hu[list(indices)].astype(np.float64)
    if volume.padding is not None:
        stack[volume.padding[list(indices)]] = AIR_HU
    return stack


def placed(
    image: DoubleArray, settings: PlaceSettings, spacing: tuple[float, float]
) -> PhantomPlace:
    """Where the phantom is: as stated, or found.

    Args:
        image: HU [y, x].
        settings: What is stated.
        spacing: Of the pixels along (rows, columns), mm.

    Raises:
        UsageError: If a centre is stated without a radius, or the other way round.
        InputError: If it is not found.
    """
    if (settings.centre is None) != (settings.radius_mm is None):
        raise UsageError("place.centre and place.radius_mm are stated together or not at all.")
    roll = settings.roll_degrees or 0.0
    if settings.centre is not None and settings.radius_mm is not None:
        return PhantomPlace(settings.centre, settings.radius_mm, roll)
    found = found_phantom(image, pixel_spacing_mm=spacing)
    return PhantomPlace(found.centre, found.radius_mm, roll)


def stated_slices(volume: CTVolume, settings: PlaceSettings, module: str) -> list[int] | None:
    """Indices of the slices that are stated for a module; None where none are.

    Raises:
        UsageError: If the scan has no such slice.
    """
    numbers = settings.slices.get(module)
    if numbers is None:
        return None
    beyond = [one for one in numbers if not 1 <= one <= len(volume.hu)]
    if beyond or not numbers:
        raise UsageError(
            f"the scan has slices 1 to {len(volume.hu)}, not {', '.join(map(str, beyond))}.",
            where=f"place.slices.{module}",
        )
    return [one - 1 for one in numbers]


def noise_figures(power: PowerSums, *, mask: str) -> Measured:
    """Noise power spectrum of a uniform object: its mean and peak frequency and the curve.

    Args:
        power: Sums over the patches.
        mask: Where they lie.
    """
    radial = power.radial()
    reduction = f"mean spectrum of {power.count} patches less a quadratic surface each, rings"
    metrics = tuple(
        qa_metric(
            key,
            title,
            value,
            "1/mm",
            mask=mask,
            reduction=reduction,
            description=f"{title} of the noise power spectrum, up to the Nyquist frequency.",
        )
        for key, title, value in (
            ("nps_fav", "Mean frequency of the noise", radial.mean_frequency_per_mm),
            ("nps_fpeak", "Peak frequency of the noise", radial.peak_frequency_per_mm),
        )
    )
    error = 1.96 * power.ring_errors * radial.power
    curve = Curve(
        "nps",
        "scan",
        radial.frequency_per_mm,
        radial.power,
        Axis("Spatial frequency", "1/mm"),
        Axis("Noise power", "HU\N{SUPERSCRIPT TWO} mm\N{SUPERSCRIPT TWO}"),
        radial.power - error,
        radial.power + error,
        reduction,
    )
    return Measured(metrics, (curve,))

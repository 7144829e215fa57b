"""Figures, curves and tables of what a denoiser made of inserted lesions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.randomness import stream
from ctdenoise.metrics.hallucination import SignalAbsent, linear_bound
from ctdenoise.metrics.insertion import (
    Response,
    clustered_mean,
    response_transfer,
    ring_frequencies_per_mm,
)
from ctdenoise.metrics.measured import Axis, Curve, HeatMap, Measured
from ctdenoise.metrics.table import Interval, Metric
from ctdenoise.tasks.response_places import Group

SEEN_HU = 15.0
SEEN_MM = 7.0
"""Lesions of at least this contrast and size must come through: those that have limits."""

_TRANSFER_MM = 10.0
"""Size of the lesions whose transfer is shown, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Inserted:
    """What became of one lesion.

    Args:
        group: Tissue or organ that it lies in.
        contrast_hu: Its contrast.
        diameter_mm: Its size.
        place: Slice of the scan.
        response: What the denoiser shows of it.
        channels_before: What it adds to the responses of an observer's channels in the scan.
        channels_after: What it adds to them in the denoised scan.
        channels_under: The responses to the denoised scan without it.
    """

    group: str
    contrast_hu: float
    diameter_mm: float
    place: int
    response: Response
    channels_before: DoubleArray
    channels_after: DoubleArray
    channels_under: DoubleArray


@dataclass(frozen=True, slots=True)
class _Cell:
    """The lesions of one contrast and size in one tissue, as a mean with its interval."""

    contrast_hu: float
    diameter_mm: float
    lesions: tuple[Inserted, ...]
    mean: float
    interval: Interval | None


def insertion_figures(
    inserted: Sequence[Inserted], groups: Sequence[Group], *, draws: int, seed: int
) -> Measured:
    """Contrast recovery by contrast and size, and how lesions are spread and moved.

    Args:
        inserted: What became of each lesion; at least one.
        groups: Which lesions were wanted.
        draws: How often slices are drawn again for an interval.
        seed: Of these draws.
    """
    found = Measured()
    for group in groups:
        cells = list(_cells([one for one in inserted if one.group == group.name], draws, seed))
        if not cells:
            continue
        found += Measured(
            tuple(_recovery(cell, group) for cell in cells),
            (*_curves(cells, group), *_transfers(cells, group)),
            (_heat_map(cells, group),),
        )
    return found + Measured(tuple(_spread(inserted, draws, seed)))


def _cells(lesions: Sequence[Inserted], draws: int, seed: int) -> Iterator[_Cell]:
    kinds = sorted({(one.contrast_hu, one.diameter_mm) for one in lesions})
    for contrast, diameter in kinds:
        some = tuple(
            one for one in lesions if (one.contrast_hu, one.diameter_mm) == (contrast, diameter)
        )
        mean, interval = clustered_mean(
            np.array([one.response.recovery for one in some]),
            [one.place for one in some],
            draws=draws,
            rng=stream(seed, "response", "draws"),
        )
        yield _Cell(contrast, diameter, some, mean, interval)


def _recovery(cell: _Cell, group: Group) -> Metric:
    name = f"{group.prefix}{cell.contrast_hu:g} HU, {cell.diameter_mm:g} mm"
    note = "" if cell.interval is not None else "in fewer than three slices: no interval"
    return Metric(
        key=f"contrast_recovery[{name}]",
        title=f"Contrast recovery, {name}",
        value=cell.mean,
        unit="",
        window="none",
        mask=f"core of lesions put into flat {group.name}",
        reduction=_reduction(cell.lesions),
        better="higher",
        description="Contrast of inserted lesions in D(x + s) - D(x) over that inserted; 1 is "
        "all of it.",
        note=note,
        interval=cell.interval,
        at=(("contrast_hu", cell.contrast_hu), ("diameter_mm", cell.diameter_mm)),
    )


def _reduction(lesions: Sequence[Inserted]) -> str:
    slices = len({one.place for one in lesions})
    return f"mean of {len(lesions)} lesions in {slices} slices"


def _heat_map(cells: Sequence[_Cell], group: Group) -> HeatMap:
    contrasts = sorted({cell.contrast_hu for cell in cells})
    diameters = sorted({cell.diameter_mm for cell in cells})
    values, low, high = (np.full((len(contrasts), len(diameters)), np.nan) for _ in range(3))
    for cell in cells:
        at = contrasts.index(cell.contrast_hu), diameters.index(cell.diameter_mm)
        values[at] = cell.mean
        if cell.interval is not None:
            low[at], high[at] = cell.interval.low, cell.interval.high
    counts = [len(cell.lesions) for cell in cells]
    return HeatMap(
        key=f"contrast_recovery{group.suffix}",
        title=f"Contrast recovery of lesions in {group.name}",
        rows=Axis("Contrast", "HU"),
        row_names=tuple(f"{contrast:g} HU" for contrast in contrasts),
        columns=Axis("Diameter", "mm"),
        column_names=tuple(f"{diameter:g} mm" for diameter in diameters),
        values=values,
        better="higher",
        ideal=1.0,
        low=low,
        high=high,
        note=f"{min(counts)} to {max(counts)} lesions for each contrast and size",
    )


def _curves(cells: Sequence[_Cell], group: Group) -> Iterator[Curve]:
    for diameter in sorted({cell.diameter_mm for cell in cells}):
        some = [cell for cell in cells if cell.diameter_mm == diameter]
        ends = [
            (cell.interval.low, cell.interval.high) if cell.interval else (np.nan, np.nan)
            for cell in some
        ]
        yield Curve(
            key=f"contrast_recovery{group.suffix}",
            name=f"{diameter:g} mm",
            x=np.array([cell.contrast_hu for cell in some]),
            y=np.array([cell.mean for cell in some]),
            x_axis=Axis("Contrast of the lesion", "HU"),
            y_axis=Axis("Contrast recovery"),
            low=np.array([low for low, _ in ends]),
            high=np.array([high for _, high in ends]),
            note=_reduction([one for cell in some for one in cell.lesions]),
        )


def _transfers(cells: Sequence[_Cell], group: Group) -> Iterator[Curve]:
    sizes = sorted({cell.diameter_mm for cell in cells})
    diameter = max((size for size in sizes if size <= _TRANSFER_MM), default=sizes[0])
    for cell in cells:
        if cell.diameter_mm == diameter:
            yield Curve(
                key=f"response_transfer[{group.prefix}{diameter:g} mm]",
                name=f"{cell.contrast_hu:g} HU",
                x=ring_frequencies_per_mm(),
                y=response_transfer([one.response for one in cell.lesions]),
                x_axis=Axis("Spatial frequency", "1/mm"),
                y_axis=Axis("Response over lesion"),
                note=_reduction(cell.lesions),
            )


def _spread(inserted: Sequence[Inserted], draws: int, seed: int) -> Iterator[Metric]:
    """How far lesions that must be seen are smeared and moved."""
    some = [
        one for one in inserted if abs(one.contrast_hu) >= SEEN_HU and one.diameter_mm >= SEEN_MM
    ]
    kinds = (
        (
            "response_leakage",
            "Response around lesions",
            "",
            np.array([one.response.leakage for one in some]),
            "Root mean square of D(x + s) - D(x) around inserted lesions over that inside.",
        ),
        (
            "response_displacement",
            "Displacement of lesions",
            "mm",
            np.array([one.response.displacement_mm for one in some]),
            "Distance of the centre of mass of D(x + s) - D(x) from that of the inserted lesion.",
        ),
    )
    for key, title, unit, values, description in kinds:
        known = np.isfinite(values)
        mean: float | None = None
        interval = None
        if known.any():
            mean, interval = clustered_mean(
                values[known],
                [one.place for one, counted in zip(some, known, strict=True) if counted],
                draws=draws,
                rng=stream(seed, "response", "draws"),
            )
        yield Metric(
            key=key,
            title=title,
            value=mean,
            unit=unit,
            window="none",
            mask=f"lesions of at least {SEEN_HU:g} HU and {SEEN_MM:g} mm",
            reduction=_reduction(
                [one for one, counted in zip(some, known, strict=True) if counted]
            ),
            better="lower",
            description=description,
            note="" if known.any() else "no such lesion came through",
            interval=interval,
        )


def absent_figures(absent: SignalAbsent) -> Measured:
    """The rate of false structure, and how faint it may be to be found.

    Args:
        absent: What the search found.
    """
    strongest = absent.found[0] if absent.found else None
    note = ""
    if not absent.area_cm2:
        note = "no calm soft tissue to search"
    elif strongest is not None:
        note = (
            f"the strongest: {strongest.excess_hu:+.0f} HU over {strongest.diameter_mm:g} mm in "
            f"slice {strongest.place + 1}, row {strongest.row + 1}, column {strongest.column + 1}"
        )
    rate = Metric(
        key="false_structure",
        title="False structure where there is none",
        value=absent.per_100_cm2,
        unit="per 100 cm\N{SUPERSCRIPT TWO}",
        window="none",
        mask=f"{absent.area_cm2:.0f} cm\N{SUPERSCRIPT TWO} of calm soft tissue",
        reduction=f"{len(absent.found)} spots of any size",
        better="lower",
        description="Spots whose contrast in the output lies more than "
        f"{absent.least_deviations:g} standard deviations of the input's noise outside of what the "
        "input shows there; a linear filter has one in a place with a probability of at most "
        f"{linear_bound(absent.least_deviations):.1g}.",
        note=note,
        interval=absent.interval,
    )
    sizes: DoubleArray = np.array(sorted(absent.noise_hu))
    if not sizes.size:
        return Measured((rate,))
    faintest = np.array([absent.least_deviations * absent.noise_hu[size] for size in sizes])
    curve = Curve(
        key="false_structure_found_from",
        name="found from",
        x=sizes,
        y=faintest,
        x_axis=Axis("Diameter", "mm"),
        y_axis=Axis("Least contrast of false structure that is found", "HU"),
        note="fainter spots cannot be told from the noise of the input",
    )
    return Measured((rate,), (curve,))

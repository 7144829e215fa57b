"""What was judged on what, in words that name no patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.inference.denoiser import Denoiser

_TIMES = "\N{MULTIPLICATION SIGN}"

_TRAINED = (
    ("noise_hu", "noise", "HU", 0),
    ("noise_frequency_per_mm", "mean frequency", "/mm", 2),
    ("pixel_spacing_mm", "pixels", "mm", 2),
    ("slice_thickness_mm", "slices", "mm", 1),
)
"""What is said of a training: key, words, unit, decimals."""


def model_facts(
    denoiser: Denoiser, training: Mapping[str, JsonValue] | None, infer: InferSettings
) -> tuple[tuple[str, str], ...]:
    """The denoiser: what it is, its digest, what computes it, and what it was trained on.

    Args:
        denoiser: A network or a classical filter.
        training: What it was trained on; None for what was never trained.
        infer: How it is put to work.
    """
    facts = [
        ("Kind", denoiser.name),
        ("Digest", denoiser.digest),
        ("Computed by", denoiser.description),
        ("Strength", f"{infer.share(denoiser.recommended):g}"),
    ]
    if kept := infer.kept_below(denoiser.recommended):
        facts.append(("Kept below", f"{kept:g} /mm"))
    trained = trained_words(training)
    return (*facts, *((("Trained on", trained),) if trained else ()))


def trained_words(training: Mapping[str, JsonValue] | None) -> str:
    """What a network was trained on, in a line; empty where nothing is known.

    Args:
        training: The record of its training.
    """
    words = []
    for key, name, unit, digits in _TRAINED:
        limits = (training or {}).get(key)
        if isinstance(limits, list | tuple) and len(limits) == 2:
            low, high = limits
            if isinstance(low, int | float) and isinstance(high, int | float):
                ends = [f"{end:.{digits}f}" for end in (low, high)]
                words.append(f"{name} {' to '.join(dict.fromkeys(ends))} {unit}")
    return ", ".join(words)


def scan_facts(scan: Scan, places: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """The scan: how it was made, its grid, and which slices were judged.

    Args:
        scan: Open for reading.
        places: The slices, counted from 0.
    """
    acquisition, geometry = scan.acquisition, scan.geometry
    scanner = " ".join(
        word for word in (acquisition.manufacturer, acquisition.manufacturer_model_name) if word
    )
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    fov = acquisition.reconstruction_diameter_mm or geometry.columns * columns_mm
    facts = [
        ("Scanner", scanner),
        ("Tube voltage", _with_unit(acquisition.kvp, "kV")),
        ("Dose", _dose(scan)),
        ("Kernel", acquisition.convolution_kernel or "not stated"),
        ("FOV", f"{fov:.0f} mm"),
        ("Pixel", f"{rows_mm:.3f} {_TIMES} {columns_mm:.3f} mm"),
        ("Thickness", _with_unit(acquisition.slice_thickness_mm, "mm")),
        ("Spacing", _with_unit(geometry.slice_spacing_mm, "mm")),
        ("Matrix", f"{geometry.rows} {_TIMES} {geometry.columns}"),
        ("Slices judged", slices_words([place + 1 for place in places], geometry.slices)),
    ]
    return tuple((name, value) for name, value in facts if value)


def _dose(scan: Scan) -> str:
    acquisition = scan.acquisition
    parts = []
    if acquisition.ctdi_vol_mgy is not None:
        parts.append(f"CTDIvol {acquisition.ctdi_vol_mgy:.3g} mGy")
    if acquisition.exposure_mas:
        low, high = min(acquisition.exposure_mas), max(acquisition.exposure_mas)
        spread = "" if high - low < 1 else f" ({low:.0f} to {high:.0f})"
        parts.append(f"{mean(acquisition.exposure_mas):.0f} mAs{spread}")
    return ", ".join(parts) or "not stated"


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g} {unit}"


def slices_words(numbers: Sequence[int], slices: int) -> str:
    """Which slices, counted from 1: "all 24", or "24 of 300: 7, 19, 32, ..., 294".

    Args:
        numbers: Of the slices, ascending.
        slices: How many the scan has.
    """
    if len(numbers) == slices:
        return f"all {slices}"
    named = [str(number) for number in numbers]
    if len(named) > 5:
        named = [*named[:3], "\N{HORIZONTAL ELLIPSIS}", named[-1]]
    return f"{len(numbers)} of {slices}: {', '.join(named)}"

"""Whether a scan is like those that a network was trained on.

A network was never tried outside of what it was trained on: noise, texture (kernel), pixel size,
slice thickness, contrast, metal. Its checkpoint says within which limits these lay, as measured in
the images of the training; the same is measured in some slices of the scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ctdenoise.config.checks import CheckSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.inference.check_finding import CheckFinding
from ctdenoise.inference.denoiser import Denoiser, MethodDenoiser
from ctdenoise.inference.method import Sample
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.metrics.scan_character import scan_character

_DECIMALS = 3

_SPACING = "slice_spacing_mm"
"""Compared for networks that look at neighbouring slices alone."""

_SMOOTHED = 0.8
"""Noise whose mean frequency is lower than this share of the lowest in training was smoothed."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A figure that is compared.

    Args:
        key: Of the figure in the record of a training.
        title: For people.
        unit: Of both.
        older: Keys of records that do not have the first.
        only_above: Whether less than in training is of no concern.
        digits: Decimals for people.
        slack: What a figure may be beyond the limits in any case, in its unit.
        advice: What to do outside.
    """

    key: str
    title: str
    unit: str
    advice: str
    older: tuple[str, ...] = ()
    only_above: bool = False
    digits: int = 1
    slack: float = 0.0


_KINDS = (
    _Kind(
        "noise_hu",
        "noise in soft tissue",
        "HU",
        "Judge the result with care, or take a network for this dose.",
        older=("told_noise_hu", "low_noise_hu"),
    ),
    _Kind(
        "noise_frequency_per_mm",
        "mean frequency of the noise",
        "/mm",
        "The kernel is sharper or smoother than any in training: take a reconstruction with a "
        "usual kernel, or a network for this one.",
        digits=2,
    ),
    _Kind(
        "pixel_spacing_mm",
        "pixel spacing",
        "mm",
        "Take a reconstruction with a usual field of view, or a network for this one.",
        digits=2,
    ),
    _Kind(
        "slice_thickness_mm",
        "slice thickness",
        "mm",
        "Take a reconstruction of usual thickness, or a network for this one.",
        digits=2,
    ),
    _Kind(
        _SPACING,
        "slice spacing",
        "mm",
        "The network looks at neighbouring slices, and those of its training were nearer or "
        "farther: take a network of one slice, or one for this spacing.",
        digits=2,
    ),
    _Kind(
        "bright_soft_hu",
        "brightness of soft tissue (90th percentile)",
        "HU",
        "There is more contrast medium than in training: compare vessels and organs with the scan.",
        only_above=True,
        digits=0,
        slack=30.0,
    ),
    _Kind(
        "densest_hu",
        "densest spot",
        "HU",
        "There is metal, or denser bone than in training: compare its surroundings with the scan.",
        only_above=True,
        digits=0,
    ),
    _Kind("kvp", "tube voltage", "kV", "Compare bone and vessels with the scan.", digits=0),
)


def trained_on(denoiser: Denoiser) -> Mapping[str, JsonValue] | None:
    """What a network was trained on; empty where unknown, None for what was never trained.

    What does not matter to it is left out.

    Args:
        denoiser: A network or a classical filter.
    """
    if not isinstance(denoiser, MethodDenoiser) or not isinstance(denoiser.method, NetworkMethod):
        return None
    if denoiser.name == "identity":
        return None
    record = denoiser.method.checkpoint.training.get("trained_on")
    known = record if isinstance(record, Mapping) else {}
    return {key: value for key, value in known.items() if key != _SPACING or denoiser.context}


def scan_figures(sample: Sample, scan: Scan) -> dict[str, JsonValue]:
    """What a scan is like, plain JSON; None where it cannot be measured or is not stated.

    Args:
        sample: Some of its slices.
        scan: What is known of all of them.
    """
    character = scan_character(sample.volume)
    spacing = [round(one, _DECIMALS) for one in scan.geometry.pixel_spacing_mm]
    figures: dict[str, float | None] = {
        "noise_hu": character.noise_hu,
        "noise_frequency_per_mm": character.noise_frequency_per_mm,
        "slice_thickness_mm": scan.acquisition.slice_thickness_mm,
        _SPACING: scan.geometry.slice_spacing_mm,
        "bright_soft_hu": character.bright_soft_hu,
        "densest_hu": character.densest_hu,
        "kvp": scan.acquisition.kvp,
    }
    rounded: dict[str, JsonValue] = {
        key: None if value is None else round(float(value), _DECIMALS)
        for key, value in figures.items()
    }
    return {
        **rounded,
        "pixel_spacing_mm": list(spacing),
        "kernel": scan.acquisition.convolution_kernel,
        "body_part": scan.acquisition.body_part_examined,
    }


def outside_training(
    figures: Mapping[str, JsonValue],
    training: Mapping[str, JsonValue] | None,
    settings: CheckSettings,
) -> tuple[CheckFinding, ...]:
    """Every figure of a scan that lies outside of what a network was trained on.

    Args:
        figures: Of the scan.
        training: What `trained_on` says.
        settings: The margin.
    """
    if training is None:
        return ()
    if not any(_limits_of(training, kind) for kind in _KINDS):
        return (
            CheckFinding(
                "note",
                "range-unknown",
                "The network does not say on what it was trained, so whether it fits this scan is "
                "not checked.",
                "Compare the result with the scan.",
            ),
        )
    found = [finding for kind in _KINDS for finding in _compared(figures, training, kind, settings)]
    return (*found, *_other_kernel(figures, training))


def _limits_of(training: Mapping[str, JsonValue], kind: _Kind) -> tuple[float, float] | None:
    for key in (kind.key, *kind.older):
        limits = training.get(key)
        if isinstance(limits, list | tuple) and len(limits) == 2:
            low, high = limits
            if isinstance(low, int | float) and isinstance(high, int | float):
                return float(low), float(high)
    return None


def _values_of(figures: Mapping[str, JsonValue], key: str) -> list[float]:
    value = figures.get(key)
    values = value if isinstance(value, list | tuple) else [value]
    return [float(one) for one in values if isinstance(one, int | float)]


def _compared(
    figures: Mapping[str, JsonValue],
    training: Mapping[str, JsonValue],
    kind: _Kind,
    settings: CheckSettings,
) -> Iterator[CheckFinding]:
    limits = _limits_of(training, kind)
    if limits is None:
        return
    low, high = limits
    factor = 1 + settings.margin
    for value in sorted(set(_values_of(figures, kind.key))):
        above = value > max(high * factor, high + kind.slack)
        below = not kind.only_above and value < min(low / factor, low - kind.slack)
        if not above and not below:
            continue
        shown, lowest, highest = (f"{one:.{kind.digits}f}" for one in (value, low, high))
        range_text = (
            f"up to {highest}"
            if kind.only_above
            else lowest
            if lowest == highest
            else f"{lowest} to {highest}"
        )
        smoothed = kind.key == "noise_frequency_per_mm" and value < low * _SMOOTHED
        yield CheckFinding(
            "warning",
            "input-smoothed" if smoothed else "outside-training",
            f"The {kind.title} is {shown} {kind.unit}; in training, {range_text} {kind.unit}.",
            "The scan seems to be denoised or reconstructed iteratively already: denoise the "
            "original reconstruction instead."
            if smoothed
            else kind.advice,
            figure=value,
            limit=high if above else low,
            unit=kind.unit,
        )


def _other_kernel(
    figures: Mapping[str, JsonValue], training: Mapping[str, JsonValue]
) -> Iterator[CheckFinding]:
    """A kernel by a name that was not in training is worth a note: its noise is what counts."""
    kernel, kernels = figures.get("kernel"), training.get("kernels")
    known = kernels if isinstance(kernels, list | tuple) else ()
    if isinstance(kernel, str) and known and kernel not in known:
        yield CheckFinding(
            "note",
            "another-kernel",
            f"The kernel {kernel} is none of those in training "
            f"({', '.join(str(one) for one in known)}).",
            "What counts is the frequency of the noise, which is compared where it is known.",
        )

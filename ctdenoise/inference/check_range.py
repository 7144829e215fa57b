"""Whether a scan is like those that a network was trained on.

A network was never tried outside of what it was trained on: noise, texture (kernel), pixel size,
slice thickness, part and size of the body, contrast, metal. Its checkpoint says within which limits
these lay, as measured in the images of the training; the same is measured in some slices of the
scan. Nothing but a note hangs on a name alone where pixels can tell; `check_kinds` has the limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ctdenoise.config.checks import CheckSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.inference.check_body import regions_named
from ctdenoise.inference.check_finding import CheckFinding
from ctdenoise.inference.check_kinds import FREQUENCY, KINDS, PIXEL, SPACING, Kind
from ctdenoise.inference.denoiser import Denoiser, MethodDenoiser
from ctdenoise.inference.input_caution import thickness_of
from ctdenoise.inference.method import Sample
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.metrics.scan_character import normal_noise_hu, scan_character

_DECIMALS = 3

_SMOOTHED = 0.8
"""Noise whose mean frequency is lower than this share of the lowest in training was smoothed."""

_ITERATIVE = re.compile(r"I\d\d[a-z]?.*|[A-Z][a-z]\d\d[a-z]?/[1-5]")
"""Kernels of Siemens for iterative reconstructions: I40f (SAFIRE), Br38f of strength 3 (ADMIRE)."""


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
    return {key: value for key, value in known.items() if key != SPACING or denoiser.context}


def scan_figures(sample: Sample, scan: Scan) -> dict[str, JsonValue]:
    """What a scan is like, plain JSON; None where it cannot be measured or is not stated.

    Args:
        sample: Some of its slices.
        scan: What is known of all of them.
    """
    character = scan_character(sample.volume)
    acquisition, spacing_mm = scan.acquisition, scan.geometry.slice_spacing_mm
    thickness_mm = thickness_of(scan)
    spacing = [round(one, _DECIMALS) for one in scan.geometry.pixel_spacing_mm]
    figures: dict[str, float | None] = {
        "noise_hu": character.noise_hu,
        FREQUENCY: character.noise_frequency_per_mm,
        "normal_noise_hu": normal_noise_hu(
            character.noise_hu, character.anatomy.body_mm, thickness_mm
        ),
        "slice_thickness_mm": thickness_mm,
        SPACING: spacing_mm,
        "bright_soft_hu": character.bright_soft_hu,
        "bright_even_hu": character.anatomy.bright_even_hu,
        "densest_hu": character.densest_hu,
        "bone_ring_mm": character.anatomy.bone_ring_mm,
        "body_mm": character.anatomy.body_mm,
        "kvp": acquisition.kvp,
    }
    rounded: dict[str, JsonValue] = {
        key: None if value is None else round(float(value), _DECIMALS)
        for key, value in figures.items()
    }
    return {
        **rounded,
        PIXEL: list(spacing),
        "kernel": acquisition.convolution_kernel,
        "body_part": acquisition.body_part_examined,
        "denoised_before": _denoised_before(scan),
    }


def _denoised_before(scan: Scan) -> bool:
    """Whether the files of a scan, or what was done since, say that this program denoised it."""
    told = () if scan.source is None else scan.source.steps
    return "denoise" in told or any(step.name == "denoise" for step in scan.history)


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
    before = tuple(_before(figures))
    if training is None:
        return before
    if not any(_limits_of(training, kind) for kind in KINDS):
        return (
            *before,
            CheckFinding(
                "note",
                "range-unknown",
                "The network does not say on what it was trained, so whether it fits this scan is "
                "not checked.",
                "Compare the result with the scan.",
            ),
        )
    found = [finding for kind in KINDS for finding in _compared(figures, training, kind, settings)]
    head_seen = any(finding.code == "another-body-part" for finding in found)
    return (
        *before,
        *found,
        *(() if head_seen else _other_body_part(figures, training)),
        *_other_kernel(figures, training),
        *_unmeasured(figures),
    )


def _limits_of(training: Mapping[str, JsonValue], kind: Kind) -> tuple[float, float] | None:
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
    kind: Kind,
    settings: CheckSettings,
) -> Iterator[CheckFinding]:
    limits = _limits_of(training, kind)
    if limits is None:
        return
    low, high = limits
    least, most = _allowed(kind, limits, settings)
    for value in sorted(set(_values_of(figures, kind.key))):
        above = kind.only != "below" and value > most
        below = kind.only != "above" and value < least
        if not above and not below:
            continue
        smoothed = kind.key == FREQUENCY and value < low * _SMOOTHED
        if smoothed and _coarse(figures, training, settings):
            continue  # large pixels hold no higher frequencies; they are remarked on themselves
        yield CheckFinding(
            "warning",
            "input-smoothed" if smoothed else kind.code,
            f"The {kind.title} is {value:.{kind.digits}f} {kind.unit}; in training, "
            f"{_range_words(kind, limits)} {kind.unit}.",
            "The scan seems to be denoised or reconstructed iteratively already: denoise the "
            "original reconstruction instead."
            if smoothed
            else kind.advice,
            figure=value,
            limit=high if above else low,
            unit=kind.unit,
        )


def _allowed(
    kind: Kind, limits: tuple[float, float], settings: CheckSettings
) -> tuple[float, float]:
    """Between which values nothing is remarked on."""
    low, high = limits
    factor = kind.factor or 1 + settings.margin
    usual_low, usual_high = kind.usual or limits
    return (
        min(low / factor, low - kind.slack, usual_low),
        max(high * factor, high + kind.slack, usual_high),
    )


def _range_words(kind: Kind, limits: tuple[float, float]) -> str:
    lowest, highest = (f"{one:.{kind.digits}f}" for one in limits)
    if kind.only == "above":
        return f"up to {highest}"
    if kind.only == "below":
        return f"at least {lowest}"
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _coarse(
    figures: Mapping[str, JsonValue], training: Mapping[str, JsonValue], settings: CheckSettings
) -> bool:
    """Whether pixels are larger than in training."""
    limits = next(_limits_of(training, kind) for kind in KINDS if kind.key == PIXEL)
    pixels = _values_of(figures, PIXEL)
    return limits is not None and max(pixels, default=0.0) > limits[1] * (1 + settings.margin)


def _before(figures: Mapping[str, JsonValue]) -> Iterator[CheckFinding]:
    """What was denoised by this program before says so in its header."""
    if figures.get("denoised_before") is True:
        yield CheckFinding(
            "warning",
            "input-denoised",
            "The scan was denoised by ctdenoise before.",
            "Denoise the original series instead.",
        )


def _other_body_part(
    figures: Mapping[str, JsonValue], training: Mapping[str, JsonValue]
) -> Iterator[CheckFinding]:
    """A part of the body, by what the header says, that no scan of the training was of."""
    part, parts = figures.get("body_part"), training.get("body_parts")
    known = [str(one) for one in parts] if isinstance(parts, list | tuple) else []
    regions, trained = regions_named([str(part or "")]), regions_named(known)
    if regions and trained and not regions & trained:
        yield CheckFinding(
            "warning",
            "another-body-part",
            f"The header names {part}; scans of the training were of: {', '.join(known)}.",
            "The network was never tried on this part of the body: compare small things with the "
            "scan, or do not use the result.",
        )


def _unmeasured(figures: Mapping[str, JsonValue]) -> Iterator[CheckFinding]:
    if figures.get("noise_hu") is None:
        yield CheckFinding(
            "note",
            "noise-unmeasured",
            "There is too little soft tissue to measure the noise, so whether it is like that of "
            "the training is not known.",
            "Compare the result with the scan.",
        )


def _other_kernel(
    figures: Mapping[str, JsonValue], training: Mapping[str, JsonValue]
) -> Iterator[CheckFinding]:
    """A kernel by a name that was not in training is worth a note: its noise is what counts."""
    kernel, kernels = figures.get("kernel"), training.get("kernels")
    known = [str(one) for one in kernels] if isinstance(kernels, list | tuple) else []
    if not isinstance(kernel, str) or kernel in known:
        return
    if _ITERATIVE.fullmatch(kernel) and not any(map(_ITERATIVE.fullmatch, known)):
        yield CheckFinding(
            "note",
            "iterative-kernel",
            f"The kernel {kernel} is one of an iterative reconstruction, which took noise away "
            "already; in training there was none.",
            "A reconstruction by filtered back-projection is what the network knows.",
        )
    elif known:
        yield CheckFinding(
            "note",
            "another-kernel",
            f"The kernel {kernel} is none of those in training ({', '.join(known)}).",
            "What counts is the frequency of the noise, which is compared where it is known.",
        )

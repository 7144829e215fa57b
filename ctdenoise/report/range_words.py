"""What a network learnt from, in words: the limits that its checkpoint keeps.

The keys of the record say what they are: `pixel_spacing_mm` is the spacing of pixels in mm. So that
whatever training writes down is told, words are made of the keys themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ctdenoise.core.provenance import JsonValue

_UNITS = (
    ("_frequency_per_mm", "frequency", "/mm"),
    ("_hu", "", "HU"),
    ("_mm", "", "mm"),
)
"""Ending of a key, what of it stays, and the unit."""

_NAMES = {
    "noise_hu": "noise in soft tissue",
    "noise_frequency_per_mm": "mean frequency of the noise",
    "bright_soft_hu": "brightness of soft tissue",
    "bright_even_hu": "brightest even area of soft tissue",
    "densest_hu": "densest spot",
    "bone_ring_mm": "largest ring of bone",
    "body_mm": "diameter of the body",
    "normal_noise_hu": "noise for a usual body and slice",
    "dose_fraction": "dose",
    "kvp": "tube voltage",
    "low_noise_hu": "noise of the low doses",
    "told_noise_hu": "noise that it was told",
    "noise": "noise drawn",
    "held_out_patients": "patients held out",
}
"""Words for keys that do not read well as they are."""

_NO_LIMITS = ("kernels", "body_parts", "manufacturers")


def range_words(trained_on: Mapping[str, JsonValue]) -> tuple[tuple[str, str], ...]:
    """What was met in training: what it is, and its limits.

    Args:
        trained_on: The record of the training.
    """
    return tuple((_name(key), _value(key, value)) for key, value in _told(trained_on))


def _told(trained_on: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """What is told, figures that are compared with a scan first."""
    limits = [key for key, value in trained_on.items() if _is_limits(key, value)]
    rest = [key for key, value in trained_on.items() if key not in limits]
    for key in (*limits, *rest):
        value = trained_on[key]
        if value is not None and value != [] and not isinstance(value, Mapping):
            yield key, value


def _is_limits(key: str, value: JsonValue) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and key not in _NO_LIMITS


def _name(key: str) -> str:
    if key in _NAMES:
        return _NAMES[key]
    for ending, stays, _ in _UNITS:
        if key.endswith(ending):
            return f"{key.removesuffix(ending).replace('_', ' ')} {stays}".strip()
    return key.replace("_", " ")


def _value(key: str, value: JsonValue) -> str:
    unit = next((unit for ending, _, unit in _UNITS if key.endswith(ending)), "")
    unit = {"dose_fraction": "%", "kvp": "kV"}.get(key, unit)
    factor = 100 if key == "dose_fraction" else 1
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [_figure(part, factor) for part in value]
        joined = ", ".join(parts) if key in _NO_LIMITS else " to ".join(dict.fromkeys(parts))
    else:
        joined = _figure(value, factor)
    return f"{joined} {unit}".strip()


def _figure(value: JsonValue, factor: int) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value * factor:,.0f}" if abs(value * factor) >= 1000 else f"{value * factor:.3g}"
